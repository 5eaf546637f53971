// Tokens that are found in the text before the model sees it: leftmost match, longest first, with
// Hugging Face's options.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace frugal::text {

struct AddedToken {
  TokenId id = -1;
  std::string content;
  bool single_word = false;  // not inside a word
  bool lstrip = false;       // swallows white space on its left
  bool rstrip = false;
  bool normalized = false;  // looked for in the normalized text
  bool special = false;     // control token: left out by decode(skip_special)
};

// A part of a text: an added token, or (id −1) text between them.
struct TextPart {
  TokenId id = -1;
  size_t begin = 0;
  size_t end = 0;
};

class AddedTokenMatcher {
 public:
  void add(const AddedToken& token, std::string_view spelling);

  // Cuts `text` into parts, in order. `with_special` false: special tokens are plain text.
  std::vector<TextPart> split(std::string_view text, bool with_special) const;

  // Whether `split` finds the same tokens in both halves of a text as in the whole, `begin` and
  // `end` being what is known around the cut. False also where more of the text is needed to tell.
  bool may_cut(std::string_view begin, std::string_view end) const;

  bool empty() const { return tokens_.empty(); }

 private:
  struct Node {
    std::vector<std::pair<unsigned char, int32_t>> children;  // sorted by byte
    int32_t token = -1;
  };
  int32_t child(int32_t node, unsigned char byte) const;
  int32_t longest_at(std::string_view text, size_t at, size_t& end) const;

  std::vector<Node> nodes_{Node{}};
  std::array<bool, 256> begins_{};  // bytes that some token begins with
  std::vector<AddedToken> tokens_;
  size_t longest_bytes_ = 0;
};

}  // namespace frugal::text
