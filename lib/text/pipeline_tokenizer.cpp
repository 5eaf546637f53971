#include "text/pipeline_tokenizer.h"

#include <deque>
#include <utility>

#include "base/text.h"
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
  Encoding(const PipelineTokenizer& tokenizer, bool parse_special, std::vector<TokenId>& ids)
      : tokenizer_(tokenizer), parse_special_(parse_special), ids_(ids) {}

  void text(std::string_view text) {
    for (const TextPart& part : tokenizer_.raw_.split(text, parse_special_)) {
      if (part.id >= 0)
        ids_.push_back(part.id);
      else
        plain(text.substr(part.begin, part.end - part.begin), part.begin == 0);
    }
  }

 private:
  // Text without (unnormalized) added tokens; `at_start`: where the input begins.
  void plain(std::string_view text, bool at_start) {
    const TokenizerParts& parts = tokenizer_.parts_;
    std::string normalized;
    if (!parts.normalizer.empty()) text = normalized = parts.normalizer.apply(text);
    for (const TextPart& part : tokenizer_.normalized_.split(text, parse_special_)) {
      if (part.id >= 0) {
        ids_.push_back(part.id);
        continue;
      }
      std::deque<std::string> storage;
      const std::string_view rest = text.substr(part.begin, part.end - part.begin);
      for (const std::string_view segment :
           parts.pre_tokenizer.split(rest, at_start && part.begin == 0, storage)) {
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
  Encoding(*this, parse_special, ids).text(repair_utf8(text, repaired));
  if (add_special) ids.insert(ids.end(), parts_.suffix.begin(), parts_.suffix.end());
  return ids;
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
