// GPT-2's printable alphabet for bytes (Radford et al. 2019, encoder.py): printable Latin-1 bytes
// stand for themselves, the other 68 for U+0100 onwards in order, so that a vocabulary of byte
// strings can be written as text.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace frugal::text {

// The character that stands for `byte`.
char32_t byte_to_character(unsigned char byte);

// The byte that `character` stands for; nullopt outside the alphabet.
std::optional<unsigned char> character_to_byte(char32_t character);

// Bytes -> printable text, and back; nullopt where a character is outside the alphabet.
std::string to_byte_level(std::string_view bytes);
std::optional<std::string> from_byte_level(std::string_view text);

}  // namespace frugal::text
