#include "text/byte_level.h"

#include "text/utf8.h"

namespace frugal::text {
namespace {

constexpr char32_t kAlphabetEnd = 0x144;  // 0x100 + 68 bytes that are not printable

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<char32_t, 256> characters{};
  std::array<int16_t, kAlphabetEnd> bytes{};

  constexpr Alphabet() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      characters[byte] = stands_for_itself(byte) ? byte : next++;
      bytes[characters[byte]] = static_cast<int16_t>(byte);
    }
  }
};
constexpr Alphabet kAlphabet;

}  // namespace

char32_t byte_to_character(unsigned char byte) { return kAlphabet.characters[byte]; }

std::optional<unsigned char> character_to_byte(char32_t character) {
  if (character >= kAlphabetEnd || kAlphabet.bytes[character] < 0) return std::nullopt;
  return static_cast<unsigned char>(kAlphabet.bytes[character]);
}

std::string to_byte_level(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char byte : bytes)
    append_utf8(byte_to_character(static_cast<unsigned char>(byte)), text);
  return text;
}

std::optional<std::string> from_byte_level(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  while (!text.empty()) {
    const Utf8Character character = first_character(text);
    if (character.state != Utf8Character::State::kValid) return std::nullopt;
    const std::optional<unsigned char> byte = character_to_byte(character.code_point);
    if (!byte) return std::nullopt;
    bytes.push_back(static_cast<char>(*byte));
    text.remove_prefix(character.length);
  }
  return bytes;
}

}  // namespace frugal::text
