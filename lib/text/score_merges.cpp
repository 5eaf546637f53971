#include "text/score_merges.h"

#include <algorithm>

#include "base/text.h"
#include "text/utf8.h"

namespace frugal::text {
namespace {

bool is_normal(PieceType type) { return type == PieceType::kNormal || type == PieceType::kUnused; }

}  // namespace

std::vector<std::pair<std::string, std::string>> merges_of_scores(
    std::span<const std::string> pieces, std::span<const float> scores,
    std::span<const PieceType> types) {
  struct Split {
    size_t id, bytes;  // of the piece, of its left part
  };
  base::string_map<size_t> ids;
  ids.reserve(pieces.size());
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (is_normal(types[id])) ids.emplace(pieces[id], id);
  }
  std::vector<Split> splits;
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (!is_normal(types[id])) continue;
    const std::string_view piece = pieces[id];
    for (size_t at = 0; at < piece.size();) {
      at += first_character(piece.substr(at)).length;
      if (at < piece.size() && ids.contains(piece.substr(0, at)) && ids.contains(piece.substr(at)))
        splits.push_back({id, at});
    }
  }
  std::sort(splits.begin(), splits.end(), [&](const Split& a, const Split& b) {
    return scores[a.id] != scores[b.id] ? scores[a.id] > scores[b.id]
           : a.id != b.id               ? a.id < b.id
                                        : a.bytes > b.bytes;
  });
  std::vector<std::pair<std::string, std::string>> merges;
  merges.reserve(splits.size());
  for (const auto& [id, bytes] : splits)
    merges.emplace_back(pieces[id].substr(0, bytes), pieces[id].substr(bytes));
  return merges;
}

}  // namespace frugal::text
