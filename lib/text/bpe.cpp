#include "text/bpe.h"

#include <utility>

#include "text/byte_level.h"
#include "text/utf8.h"

namespace frugal::text {
namespace {

constexpr size_t kFew = 32;

}  // namespace

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
  model->learn_boundaries(pieces, merges);
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

void BpeModel::learn_boundaries(std::span<const std::string> pieces,
                                std::span<const MergeRule> merges) {
  if (options_.byte_level || options_.ignore_merges) return;
  if (ids_.contains(WordBoundaries::kMark)) boundaries_.enable();
  for (const MergeRule& rule : merges) {
    const std::string& left = pieces[rule.left];
    // What stands for a byte or for an unknown character does not end as its name does.
    if (parse_byte_piece(left) || rule.left == options_.unknown) return boundaries_.disable();
    if (pieces[rule.right].starts_with(WordBoundaries::kMark)) boundaries_.join_behind(left.back());
  }
}

void BpeModel::split_bytes(std::string_view segment, std::vector<TokenId>& ids) const {
  for (const char byte : segment) {
    TokenId id = byte_ids_[static_cast<unsigned char>(byte)];
    if (id < 0 && options_.unknown) id = *options_.unknown;
    if (id >= 0) ids.push_back(id);
  }
}

bool BpeModel::split_fallback(std::string_view character, std::vector<TokenId>& ids) const {
  if (!options_.byte_fallback) return false;
  for (const char byte : character) {
    if (byte_ids_[static_cast<unsigned char>(byte)] < 0) return false;
  }
  for (const char byte : character) ids.push_back(byte_ids_[static_cast<unsigned char>(byte)]);
  return true;
}

void BpeModel::split_characters(std::string_view segment, std::vector<TokenId>& ids) const {
  bool after_unknown = false;
  for (size_t at = 0; at < segment.size();) {
    const size_t length = first_character(segment.substr(at)).length;
    const std::string_view character = segment.substr(at, length);
    at += length;
    if (const auto found = ids_.find(character); found != ids_.end()) {
      ids.push_back(found->second);
      after_unknown = false;
    } else if (split_fallback(character, ids)) {
      after_unknown = false;
    } else if (options_.unknown) {
      if (!after_unknown || !options_.fuse_unknown) ids.push_back(*options_.unknown);
      after_unknown = true;
    }
  }
}

BpeModel::Rank BpeModel::rank_of(TokenId left, TokenId right) const {
  const auto found = ranks_.find(key(left, right));
  return found == ranks_.end() ? Rank{} : found->second;
}

// Of words, looking at all pairs for each join costs less than keeping them in order.
void BpeModel::join_few(std::vector<TokenId>& ids, MergeScratch& scratch) const {
  std::array<Rank, kFew> ranks;  // of each id with the one behind it; the last one has none
  size_t count = ids.size();
  for (size_t i = 0; i + 1 < count; ++i) ranks[i] = rank_of(ids[i], ids[i + 1]);
  if (count > 0) scratch.looked_up += static_cast<int64_t>(count) - 1;
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (ranks[i].rank < ranks[best].rank) best = i;
    }
    if (ranks[best].rank == Rank::kNone) break;
    ids[best] = ranks[best].joined;
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      ids[i] = ids[i + 1];
      ranks[i] = ranks[i + 1];
    }
    if (best > 0) ranks[best - 1] = rank_of(ids[best - 1], ids[best]);
    if (best + 1 < count) ranks[best] = rank_of(ids[best], ids[best + 1]);
    scratch.looked_up += (best > 0 ? 1 : 0) + (best + 1 < count ? 1 : 0);
  }
  ids.resize(count);
}

void BpeModel::join_many(std::vector<TokenId>& ids, MergeScratch& scratch) const {
  scratch.symbols.clear();
  for (size_t i = 0; i < ids.size(); ++i)
    scratch.push(static_cast<int64_t>(i), static_cast<int64_t>(i + 1), ids[i]);
  merge_symbols(
      scratch,
      [this](const Symbol& left, const Symbol& right) -> std::optional<Merge> {
        const Rank rank = rank_of(left.id, right.id);
        if (rank.rank == Rank::kNone) return std::nullopt;
        return Merge{static_cast<double>(rank.rank), rank.joined};
      },
      [](const Symbol&, const Symbol&, TokenId) {});
  ids.clear();
  for (const Symbol& symbol : scratch.symbols) {
    if (symbol.alive) ids.push_back(symbol.id);
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
  scratch.ids.clear();
  if (options_.byte_level)
    split_bytes(segment, scratch.ids);
  else
    split_characters(segment, scratch.ids);
  if (scratch.ids.size() <= kFew)
    join_few(scratch.ids, scratch);
  else
    join_many(scratch.ids, scratch);
  ids.insert(ids.end(), scratch.ids.begin(), scratch.ids.end());
}

}  // namespace frugal::text
