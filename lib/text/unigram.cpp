#include "text/unigram.h"

#include <algorithm>
#include <utility>

#include "text/utf8.h"

namespace frugal::text {
namespace {

PieceTrie trie_of(std::vector<UnigramPiece>& pieces) {
  std::vector<std::pair<std::string, int32_t>> numbered;
  numbered.reserve(pieces.size());
  for (UnigramPiece& piece : pieces)
    numbered.emplace_back(std::move(piece.text), static_cast<int32_t>(numbered.size()));
  return PieceTrie(std::move(numbered));
}

}  // namespace

UnigramModel::UnigramModel(std::vector<UnigramPiece> pieces, const std::array<TokenId, 256>& bytes,
                           const UnigramOptions& options)
    : options_(options), bytes_(bytes), trie_(trie_of(pieces)) {
  pieces_.reserve(pieces.size());
  for (const UnigramPiece& piece : pieces) pieces_.emplace_back(piece.id, piece.score);
}

void UnigramModel::improve(Step& step, double sum, size_t begin, TokenId id) const {
  if (options_.float_sums) sum = static_cast<double>(static_cast<float>(sum));
  if (step.id < 0 || sum > step.sum) step = {sum, begin, id};
}

std::vector<UnigramModel::Step> UnigramModel::best_steps(std::string_view segment) const {
  std::vector<Step> steps(segment.size() + 1);  // by the place where they end
  for (size_t at = 0; at < segment.size();) {
    const size_t length = first_character(segment.substr(at)).length;
    const double sum = steps[at].sum;
    bool known = false;
    trie_.for_each_prefix(segment.substr(at), [&](size_t bytes, int32_t number) {
      const auto& [id, score] = pieces_[number];
      improve(steps[at + bytes], sum + score, at, id);
      known = known || bytes == length;
    });
    if (!known) improve(steps[at + length], sum + options_.unknown_score, at, options_.unknown);
    at += length;
  }
  return steps;
}

void UnigramModel::emit_unknown(std::string_view text, std::vector<TokenId>& ids) const {
  // The unknown piece itself may be spelled in the text.
  bool spelled = false;
  trie_.for_each_prefix(text, [&](size_t bytes, int32_t number) {
    spelled = spelled || (bytes == text.size() && pieces_[number].first == options_.unknown);
  });
  if (spelled) return ids.push_back(options_.unknown);
  const auto id_of = [&](char byte) { return bytes_[static_cast<unsigned char>(byte)]; };
  const bool bytes = options_.byte_fallback &&
                     std::all_of(text.begin(), text.end(), [&](char c) { return id_of(c) >= 0; });
  if (!bytes) return ids.push_back(options_.unknown);
  for (const char byte : text) ids.push_back(id_of(byte));
}

void UnigramModel::encode(std::string_view segment, MergeScratch&,
                          std::vector<TokenId>& ids) const {
  if (segment.empty()) return;
  const std::vector<Step> steps = best_steps(segment);
  std::vector<std::pair<size_t, size_t>> path;  // pieces from the last to the first
  for (size_t end = segment.size(); end > 0;) {
    const size_t begin = steps[end].begin;
    const bool unknown = steps[end].id == options_.unknown;
    if (unknown && !path.empty() && steps[path.back().second].id == options_.unknown)
      path.back().first = begin;
    else
      path.emplace_back(begin, end);
    end = begin;
  }
  for (auto piece = path.rbegin(); piece != path.rend(); ++piece) {
    const TokenId id = steps[piece->second].id;
    if (id == options_.unknown)
      emit_unknown(segment.substr(piece->first, piece->second - piece->first), ids);
    else
      ids.push_back(id);
  }
}

}  // namespace frugal::text
