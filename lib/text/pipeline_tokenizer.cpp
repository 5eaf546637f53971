#include "text/pipeline_tokenizer.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/text.h"
#include "text/cut_finder.h"
#include "text/utf8.h"

namespace frugal::text {

PipelineTokenizer::PipelineTokenizer(TokenizerParts parts) : parts_(std::move(parts)) {
  for (const AddedToken& token : parts_.added) {
    if (token.normalized)
      normalized_.add(token, parts_.normalizer.apply(token.content));
    else
      raw_.add(token, token.content);
  }
}

class PipelineTokenizer::Encoding {
 public:
  using Place = PreTokenizer::Place;

  Encoding(const PipelineTokenizer& tokenizer, bool parse_special, std::vector<TokenId>& ids)
      : tokenizer_(tokenizer), parse_special_(parse_special), ids_(ids) {}

  void text(std::string_view text, Place place) {
    for (const TextPart& part : tokenizer_.raw_.split(text, parse_special_)) {
      if (part.id >= 0)
        ids_.push_back(part.id);
      else
        plain(text.substr(part.begin, part.end - part.begin),
              part.begin == 0 ? place : Place::kInside);
    }
  }

 private:
  // Text without (unnormalized) added tokens.
  void plain(std::string_view text, Place place) {
    const TokenizerParts& parts = tokenizer_.parts_;
    std::string normalized;
    if (!parts.normalizer.empty())
      text = normalized = parts.normalizer.apply(text, place == Place::kContinued);
    for (const TextPart& part : tokenizer_.normalized_.split(text, parse_special_)) {
      if (part.id >= 0) {
        ids_.push_back(part.id);
        continue;
      }
      std::deque<std::string> storage;
      const std::string_view rest = text.substr(part.begin, part.end - part.begin);
      for (const std::string_view segment :
           parts.pre_tokenizer.split(rest, part.begin == 0 ? place : Place::kInside, storage)) {
        encode_segment(segment);
      }
    }
  }

  // Most segments are words, and words recur.
  void encode_segment(std::string_view segment) {
    constexpr size_t kMaxCachedBytes = 32;
    constexpr size_t kMaxCachedSegments = 1 << 16;
    if (segment.size() > kMaxCachedBytes) {
      tokenizer_.parts_.model->encode(segment, scratch_, ids_);
      return;
    }
    if (const auto found = cache_.find(segment); found != cache_.end()) {
      ids_.insert(ids_.end(), found->second.begin(), found->second.end());
      return;
    }
    const size_t before = ids_.size();
    tokenizer_.parts_.model->encode(segment, scratch_, ids_);
    if (cache_.size() < kMaxCachedSegments) {
      cache_.emplace(segment, std::vector<TokenId>(
                                  ids_.begin() + static_cast<std::ptrdiff_t>(before), ids_.end()));
    }
  }

  const PipelineTokenizer& tokenizer_;
  bool parse_special_;
  std::vector<TokenId>& ids_;
  MergeScratch scratch_;
  base::string_map<std::vector<TokenId>> cache_;
};

std::vector<TokenId> PipelineTokenizer::encode(std::string_view text, bool add_special,
                                               bool parse_special) const {
  std::vector<TokenId> ids;
  if (add_special) ids = parts_.prefix;
  std::string repaired;
  Encoding(*this, parse_special, ids)
      .text(repair_utf8(text, repaired), PreTokenizer::Place::kStart);
  if (add_special) ids.insert(ids.end(), parts_.suffix.begin(), parts_.suffix.end());
  return ids;
}

class PipelineTokenizer::Stream final : public EncodingStream {
 public:
  Stream(const PipelineTokenizer& tokenizer, size_t window_bytes)
      : cuts_(tokenizer.parts_, tokenizer.raw_, tokenizer.normalized_),
        encoding_(tokenizer, true, settled_),
        window_bytes_(window_bytes),
        wanted_bytes_(window_bytes) {}

  void feed(std::string_view part, std::vector<TokenId>& ids) override {
    begun_ += part;
    const size_t whole = begun_.size() - begun_character(begun_);
    std::string repaired;
    text_ += repair_utf8(std::string_view(begun_).substr(0, whole), repaired);
    begun_.erase(0, whole);
    if (text_.size() < wanted_bytes_) return;
    const size_t cut = cuts_.find(text_, continued_);
    if (cut > 0) encode(cut, ids);
    // Where there is no cut, the next attempt has twice as much to find one in.
    wanted_bytes_ = std::max(window_bytes_, 2 * text_.size());
  }

  void finish(std::vector<TokenId>& ids) override {
    std::string repaired;
    text_ += repair_utf8(begun_, repaired);
    begun_.clear();
    encode(text_.size(), ids);
    continued_ = false;
    wanted_bytes_ = window_bytes_;
  }

 private:
  void encode(size_t bytes, std::vector<TokenId>& ids) {
    encoding_.text(std::string_view(text_).substr(0, bytes),
                   continued_ ? PreTokenizer::Place::kContinued : PreTokenizer::Place::kStart);
    ids.insert(ids.end(), settled_.begin(), settled_.end());
    settled_.clear();
    text_.erase(0, bytes);
    continued_ = true;
  }

  CutFinder cuts_;
  std::vector<TokenId> settled_;
  Encoding encoding_;
  size_t window_bytes_, wanted_bytes_;
  std::string begun_;  // bytes of a character that is not whole yet
  std::string text_;   // not yet encoded
  bool continued_ = false;
};

std::unique_ptr<EncodingStream> PipelineTokenizer::stream(size_t window_bytes) const {
  return std::make_unique<Stream>(*this, window_bytes);
}

std::string PipelineTokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  const Vocabulary& vocabulary = parts_.vocabulary;
  std::vector<std::string> pieces;
  pieces.reserve(ids.size());
  for (const TokenId id : ids) {
    if (id < 0 || static_cast<size_t>(id) >= vocabulary.pieces.size()) continue;
    const PieceType type = vocabulary.types[id];
    if (type == PieceType::kUnused) continue;
    if (skip_special && (type == PieceType::kControl || type == PieceType::kUnknown)) continue;
    pieces.push_back(vocabulary.pieces[id]);
  }
  return parts_.decoder.decode(std::move(pieces));
}

}  // namespace frugal::text
