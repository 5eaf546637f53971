// UTF-8, one character at a time, with the treatment of damage that Unicode recommends ("maximal
// subpart", chapter 3.9): each run of bytes that can begin no character is replaced by one U+FFFD,
// as Python and Rust do.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace frugal::text {

struct Utf8Character {
  enum class State {
    kValid,
    kInvalid,
    kIncomplete
  };  // kIncomplete: a prefix of a character at the end of the bytes
  State state = State::kInvalid;
  char32_t code_point = 0;  // where valid
  size_t length = 0;        // bytes taken, at least 1
};

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

// The character at the front of `bytes`, which must not be empty.
Utf8Character first_character(std::string_view bytes);

// Bytes at the end of `text` that begin a character whose rest is missing.
size_t begun_character(std::string_view text);

void append_utf8(char32_t code_point, std::string& out);

// `bytes` itself where it is valid UTF-8; otherwise `storage`, filled with the repaired text.
std::string_view repair_utf8(std::string_view bytes, std::string& storage);

}  // namespace frugal::text
