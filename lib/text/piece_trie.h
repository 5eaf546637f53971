// Pieces of a vocabulary by their bytes: which of them does a text begin with?
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace frugal::text {

class PieceTrie {
 public:
  // `pieces` and their numbers; none is empty, and of equal ones the last counts.
  explicit PieceTrie(std::vector<std::pair<std::string, int32_t>> pieces);

  // Calls `found(bytes, number)` for every piece at the front of `text`, short ones first.
  template <typename Found>
  void for_each_prefix(std::string_view text, const Found& found) const {
    int32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      node = child(node, static_cast<unsigned char>(text[i]));
      if (node < 0) return;
      if (nodes_[node].number >= 0) found(i + 1, nodes_[node].number);
    }
  }

 private:
  struct Node {
    int32_t first_child = 0;  // children lie side by side, by byte
    int16_t children = 0;
    unsigned char byte = 0;
    int32_t number = -1;
  };
  int32_t child(int32_t node, unsigned char byte) const;

  std::vector<Node> nodes_{Node{}};
  std::array<int32_t, 256> roots_{};  // children of the root, −1 where there is none
};

}  // namespace frugal::text
