#include "text/piece_trie.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

namespace frugal::text {

namespace {

using Pieces = std::vector<std::pair<std::string, int32_t>>;

// Equal ones stay in their order (std::stable_sort of libstdc++ does not run under clang's address
// sanitizer).
Pieces sorted(Pieces pieces) {
  std::vector<size_t> order(pieces.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::tie(pieces[a].first, a) < std::tie(pieces[b].first, b);
  });
  Pieces result;
  result.reserve(pieces.size());
  for (const size_t i : order) result.push_back(std::move(pieces[i]));
  return result;
}

}  // namespace

PieceTrie::PieceTrie(Pieces given) {
  const Pieces pieces = sorted(std::move(given));
  struct Range {  // of the pieces that begin as node `node` does, and go on
    size_t begin, end, depth;
    int32_t node;
  };
  std::vector<Range> open = {{0, pieces.size(), 0, 0}};
  for (size_t next = 0; next < open.size(); ++next) {
    Range range = open[next];
    // A piece that ends here stands in front of those that go on.
    for (; range.begin < range.end && pieces[range.begin].first.size() == range.depth;
         ++range.begin)
      nodes_[range.node].number = pieces[range.begin].second;
    nodes_[range.node].first_child = static_cast<int32_t>(nodes_.size());
    for (size_t at = range.begin; at < range.end;) {
      const char byte = pieces[at].first[range.depth];
      size_t end = at;
      while (end < range.end && pieces[end].first[range.depth] == byte) ++end;
      open.push_back({at, end, range.depth + 1, static_cast<int32_t>(nodes_.size())});
      nodes_.push_back({.byte = static_cast<unsigned char>(byte)});
      ++nodes_[range.node].children;
      at = end;
    }
  }
  roots_.fill(-1);
  for (int32_t i = 0; i < nodes_[0].children; ++i)
    roots_[nodes_[nodes_[0].first_child + i].byte] = nodes_[0].first_child + i;
}

int32_t PieceTrie::child(int32_t node, unsigned char byte) const {
  if (node == 0) return roots_[byte];
  const auto first = nodes_.begin() + nodes_[node].first_child;
  const auto last = first + nodes_[node].children;
  const auto found =
      std::lower_bound(first, last, byte,
                       [](const Node& child, unsigned char wanted) { return child.byte < wanted; });
  return found != last && found->byte == byte ? static_cast<int32_t>(found - nodes_.begin()) : -1;
}

}  // namespace frugal::text
