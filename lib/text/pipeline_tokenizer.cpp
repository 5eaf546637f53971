#include "text/pipeline_tokenizer.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/text.h"
#include "text/cut_finder.h"
#include "text/utf8.h"
#include "text/word_cache.h"

namespace frugal::text {

PipelineTokenizer::PipelineTokenizer(TokenizerParts parts) : parts_(std::move(parts)) {
  for (const AddedToken& token : parts_.added) {
    if (token.normalized)
      normalized_.add(token, parts_.normalizer.apply(token.content));
    else
      raw_.add(token, token.content);
  }
}

PipelineTokenizer::~PipelineTokenizer() = default;

struct PipelineTokenizer::Workspace {
  MergeScratch scratch;
  WordCache words;
};

// Takes a workspace that nobody uses, or a new one, and gives it back.
class PipelineTokenizer::Lease {
 public:
  explicit Lease(const PipelineTokenizer& tokenizer) : tokenizer_(tokenizer) {
    const std::lock_guard lock(tokenizer.mutex_);
    if (tokenizer.idle_.empty()) {
      workspace_ = std::make_unique<Workspace>();
      tokenizer.idle_.reserve(++tokenizer.workspaces_);  // giving back then needs no memory
      return;
    }
    workspace_ = std::move(tokenizer.idle_.back());
    tokenizer.idle_.pop_back();
  }
  ~Lease() {
    const std::lock_guard lock(tokenizer_.mutex_);
    tokenizer_.idle_.push_back(std::move(workspace_));
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  Workspace& workspace() const { return *workspace_; }

 private:
  const PipelineTokenizer& tokenizer_;
  std::unique_ptr<Workspace> workspace_;
};

class PipelineTokenizer::Encoding {
 public:
  using Place = PreTokenizer::Place;

  Encoding(const PipelineTokenizer& tokenizer, bool parse_special, std::vector<TokenId>& ids)
      : tokenizer_(tokenizer),
        model_(*tokenizer.parts_.model),
        lease_(tokenizer),
        parse_special_(parse_special),
        ids_(ids) {}

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
      parts.pre_tokenizer.split(text.substr(part.begin, part.end - part.begin),
                                part.begin == 0 ? place : Place::kInside,
                                [this](std::string_view segment) { encode_segment(segment); });
    }
  }

  void encode_segment(std::string_view segment) {
    if (!model_.boundaries().any()) return encode_word(segment);
    while (!segment.empty()) {
      const size_t end = model_.boundaries().next(segment);
      encode_word(segment.substr(0, end));
      segment.remove_prefix(end);
    }
  }

  void encode_word(std::string_view word) {
    Workspace& workspace = lease_.workspace();
    if (word.empty() || word.size() > WordCache::kMaxBytes)
      return model_.encode(word, workspace.scratch, ids_);
    const WordCache::Key key(word);
    if (workspace.words.find(key, ids_)) return;
    const size_t before = ids_.size();
    model_.encode(word, workspace.scratch, ids_);
    workspace.words.store(key, std::span(ids_).subspan(before));
  }

  const PipelineTokenizer& tokenizer_;
  const SegmentModel& model_;
  Lease lease_;
  bool parse_special_;
  std::vector<TokenId>& ids_;
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
