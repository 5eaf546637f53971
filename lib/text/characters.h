// Kinds of characters, and what is made of single ones.
#pragma once

#include <string>

namespace frugal::text {

bool is_white_space(char32_t c);  // Unicode's White_Space
// Regular expressions' \w: letters, marks, decimal digits, letter numbers, connectors, joiners.
bool is_word_character(char32_t c);
bool is_mark(char32_t c);  // Unicode's M

// Appends `c` as a normalizer writes it.
void append_lower(char32_t c, std::string& out);
void append_unless_mark(char32_t c, std::string& out);  // marks of Unicode 9
// Of NMT's rules (SentencePiece, builder.cc): no control characters, and other spaces as spaces.
void append_nmt(char32_t c, std::string& out);

}  // namespace frugal::text
