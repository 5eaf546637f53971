#include "text/utf8.h"

#include <algorithm>

#include "base/text.h"

namespace frugal::text {

Utf8Character first_character(std::string_view bytes) {
  using State = Utf8Character::State;
  const auto lead = static_cast<unsigned char>(bytes[0]);
  if (lead < 0x80) return {State::kValid, lead, 1};
  if (lead < 0xC2 || lead > 0xF4) return {State::kInvalid, 0, 1};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF.
  unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  char32_t code_point = lead & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) return {State::kIncomplete, 0, i};
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (byte < low || byte > high) return {State::kInvalid, 0, i};
    code_point = code_point << 6 | (byte & 0x3Fu);
    low = 0x80;
    high = 0xBF;
  }
  return {State::kValid, code_point, length};
}

size_t begun_character(std::string_view text) {
  for (size_t count = 1; count <= std::min<size_t>(3, text.size()); ++count) {
    const std::string_view end = text.substr(text.size() - count);
    if ((static_cast<unsigned char>(end[0]) & 0xC0) == 0x80) continue;
    return first_character(end).state == Utf8Character::State::kIncomplete ? count : 0;
  }
  return 0;
}

void append_utf8(char32_t code_point, std::string& out) {
  const auto byte = [&](char32_t value) { out.push_back(static_cast<char>(value)); };
  if (code_point < 0x80) {
    byte(code_point);
  } else if (code_point < 0x800) {
    byte(0xC0 | code_point >> 6);
    byte(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    byte(0xE0 | code_point >> 12);
    byte(0x80 | (code_point >> 6 & 0x3F));
    byte(0x80 | (code_point & 0x3F));
  } else {
    byte(0xF0 | code_point >> 18);
    byte(0x80 | (code_point >> 12 & 0x3F));
    byte(0x80 | (code_point >> 6 & 0x3F));
    byte(0x80 | (code_point & 0x3F));
  }
}

std::string_view repair_utf8(std::string_view bytes, std::string& storage) {
  if (base::is_valid_utf8(bytes)) return bytes;
  storage.clear();
  while (!bytes.empty()) {
    const Utf8Character character = first_character(bytes);
    storage += character.state == Utf8Character::State::kValid ? bytes.substr(0, character.length)
                                                               : kReplacementCharacter;
    bytes.remove_prefix(character.length);
  }
  return storage;
}

}  // namespace frugal::text
