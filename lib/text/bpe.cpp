#include "text/bpe.h"

#include <utility>

#include "text/byte_level.h"
#include "text/utf8.h"

namespace frugal::text {

std::string byte_piece(unsigned char byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return {'<', '0', 'x', kDigits[byte >> 4], kDigits[byte & 15], '>'};
}

std::optional<unsigned char> parse_byte_piece(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>') return std::nullopt;
  unsigned value = 0;
  for (const char digit : piece.substr(3, 2)) {
    if (digit >= '0' && digit <= '9')
      value = value * 16 + static_cast<unsigned>(digit - '0');
    else if (digit >= 'A' && digit <= 'F')
      value = value * 16 + static_cast<unsigned>(digit - 'A' + 10);
    else
      return std::nullopt;
  }
  return static_cast<unsigned char>(value);
}

absl::StatusOr<std::shared_ptr<const BpeModel>> BpeModel::create(
    std::span<const std::string> pieces, const std::vector<bool>& in_model,
    std::span<const MergeRule> merges, const BpeOptions& options) {
  auto model = std::make_shared<BpeModel>();
  model->options_ = options;
  FRUGAL_RETURN_IF_ERROR(model->index_pieces(pieces, in_model));
  FRUGAL_RETURN_IF_ERROR(model->index_merges(merges, pieces.size()));
  return std::shared_ptr<const BpeModel>(std::move(model));
}

absl::Status BpeModel::index_pieces(std::span<const std::string> pieces,
                                    const std::vector<bool>& in_model) {
  byte_ids_.fill(-1);
  ids_.reserve(pieces.size());
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (!in_model[i]) continue;
    const auto id = static_cast<TokenId>(i);
    std::optional<std::string> bytes = options_.byte_level ? from_byte_level(pieces[i]) : pieces[i];
    if (!bytes) continue;  // outside the byte alphabet: no segment can produce it
    if (options_.byte_level && bytes->size() == 1)
      byte_ids_[static_cast<unsigned char>(bytes->front())] = id;
    if (!options_.byte_level) {
      if (const auto byte = parse_byte_piece(*bytes)) byte_ids_[*byte] = id;
    }
    const auto [found, inserted] = ids_.emplace(*std::move(bytes), id);
    if (!inserted) {
      return base::invalid_argument("vocabulary: ids ", found->second, " and ", id,
                                    " are the same piece '", pieces[i], "'");
    }
  }
  return absl::OkStatus();
}

absl::Status BpeModel::index_merges(std::span<const MergeRule> merges, size_t pieces) {
  const auto in_range = [&](TokenId id) { return id >= 0 && static_cast<size_t>(id) < pieces; };
  ranks_.reserve(merges.size());
  for (size_t i = 0; i < merges.size(); ++i) {
    const MergeRule& rule = merges[i];
    if (!in_range(rule.left) || !in_range(rule.right) || !in_range(rule.joined)) {
      return base::invalid_argument("merge ", i, ": id outside the vocabulary of ", pieces);
    }
    // Of a pair that stands twice the last one counts, as in Hugging Face.
    ranks_[key(rule.left, rule.right)] = Rank{static_cast<int32_t>(i), rule.joined};
  }
  return absl::OkStatus();
}

void BpeModel::push_bytes(std::string_view segment, MergeScratch& scratch) const {
  for (size_t i = 0; i < segment.size(); ++i) {
    TokenId id = byte_ids_[static_cast<unsigned char>(segment[i])];
    if (id < 0 && options_.unknown) id = *options_.unknown;
    if (id >= 0) scratch.push(static_cast<int64_t>(i), static_cast<int64_t>(i + 1), id);
  }
}

bool BpeModel::push_fallback(std::string_view character, int64_t at, MergeScratch& scratch) const {
  if (!options_.byte_fallback) return false;
  for (const char byte : character) {
    if (byte_ids_[static_cast<unsigned char>(byte)] < 0) return false;
  }
  for (const char byte : character) {
    scratch.push(at, at + 1, byte_ids_[static_cast<unsigned char>(byte)]);
    ++at;
  }
  return true;
}

void BpeModel::push_characters(std::string_view segment, MergeScratch& scratch) const {
  bool after_unknown = false;
  for (size_t at = 0; at < segment.size();) {
    const size_t length = first_character(segment.substr(at)).length;
    const std::string_view character = segment.substr(at, length);
    const auto begin = static_cast<int64_t>(at);
    const auto end = static_cast<int64_t>(at + length);
    at += length;
    if (const auto found = ids_.find(character); found != ids_.end()) {
      scratch.push(begin, end, found->second);
      after_unknown = false;
    } else if (push_fallback(character, begin, scratch)) {
      after_unknown = false;
    } else if (options_.unknown) {
      if (after_unknown && options_.fuse_unknown)
        scratch.symbols.back().end = end;
      else
        scratch.push(begin, end, *options_.unknown);
      after_unknown = true;
    }
  }
}

void BpeModel::encode(std::string_view segment, MergeScratch& scratch,
                      std::vector<TokenId>& ids) const {
  if (segment.empty()) return;
  if (options_.ignore_merges) {
    if (const auto found = ids_.find(segment); found != ids_.end()) {
      ids.push_back(found->second);
      return;
    }
  }
  scratch.symbols.clear();
  if (options_.byte_level)
    push_bytes(segment, scratch);
  else
    push_characters(segment, scratch);
  merge_symbols(
      scratch,
      [this](const Symbol& left, const Symbol& right) -> std::optional<Merge> {
        const auto found = ranks_.find(key(left.id, right.id));
        if (found == ranks_.end()) return std::nullopt;
        return Merge{static_cast<double>(found->second.rank), found->second.joined};
      },
      [](const Symbol&, const Symbol&, TokenId) {});
  for (const Symbol& symbol : scratch.symbols) {
    if (symbol.alive) ids.push_back(symbol.id);
  }
}

}  // namespace frugal::text
