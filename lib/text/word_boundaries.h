// Where vocabularies that write "▁" for a space keep words apart. A model joins neighbors to pieces
// that it has: where none has "▁" behind some character, nothing is ever joined over that place,
// and what stands on one side of it does not matter on the other.
#pragma once

#include <array>
#include <string_view>

namespace frugal::text {

class WordBoundaries {
 public:
  static constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581 "▁"

  // Without this call there are no boundaries. Only for models that have "▁" itself as a piece and
  // that nothing but joins of neighbors makes larger pieces in.
  void enable() { any_ = true; }
  void disable() { any_ = false; }
  // Something is joined over a place in front of "▁" and behind this byte (of any character that
  // ends with it).
  void join_behind(char byte) { joined_[static_cast<unsigned char>(byte)] = true; }
  // Learns what a piece with marks inside joins.
  void learn(std::string_view piece) {
    for (size_t at = piece.find(kMark, 1); at != piece.npos; at = piece.find(kMark, at + 1))
      join_behind(piece[at - 1]);
  }

  bool any() const { return any_; }
  // Whether a boundary lies between a text that ends with `byte` and "▁".
  bool behind(char byte) const { return any_ && !joined_[static_cast<unsigned char>(byte)]; }

  // The first boundary inside of `text`, its size where there is none.
  size_t next(std::string_view text) const {
    for (size_t at = 1; any_;) {
      at = text.find(kMark[0], at);
      if (at == text.npos) break;
      if (text.substr(at, kMark.size()) == kMark && behind(text[at - 1])) return at;
      ++at;
    }
    return text.size();
  }

 private:
  bool any_ = false;
  std::array<bool, 256> joined_{};
};

}  // namespace frugal::text
