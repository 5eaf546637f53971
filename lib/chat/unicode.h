// Text as Python sees it: characters (code points), their kinds and cases. Every text here is valid
// UTF-8 (Template sees to it), so nothing fails.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace frugal::chat {

int64_t count_characters(std::string_view text);

// The character at byte `at`, which is moved behind it.
char32_t next_character(std::string_view text, size_t& at);
void append_character(std::string& text, char32_t character);

// The byte at which character number `index` (0 to the count) begins.
size_t byte_of_character(std::string_view text, int64_t index);

// Lone surrogates and what is beyond Unicode are no characters.
bool is_character(uint32_t code);

// str.isspace, str.isprintable, str.isalpha, ... of one character.
bool is_space(char32_t character);
bool is_printable(char32_t character);
bool is_alphabetic(char32_t character);
bool is_decimal(char32_t character);
bool is_digit(char32_t character);
bool is_lower(char32_t character);
bool is_upper(char32_t character);
bool is_cased(char32_t character);

// str.upper, str.lower, str.title, str.capitalize: with Unicode's full mappings ("ß" to "SS").
std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string title(std::string_view text);
std::string capitalize(std::string_view text);

// str.strip: of white space, or of the characters of `characters` where not null.
enum class Sides { kBoth, kLeft, kRight };
std::string_view strip(std::string_view text, Sides sides,
                       const std::string_view* characters = nullptr);

// str.splitlines.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

}  // namespace frugal::chat
