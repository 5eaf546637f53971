#include "format/inspect_text.h"

#include "base/text.h"

namespace frugal::format {
namespace {

constexpr size_t kMaxTextBytes = 400;

// The longest prefix of at most kMaxTextBytes that does not end inside a character.
std::string_view cut(std::string_view text) {
  if (text.size() <= kMaxTextBytes) return text;
  size_t end = kMaxTextBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0u) == 0x80u) --end;
  return text.substr(0, end);
}

std::string escaped(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out.push_back(c);
    } else {
      out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text) {
  const std::string_view shown = cut(text);
  std::string out = base::is_valid_utf8(shown) ? std::string(shown) : escaped(shown);
  if (shown.size() < text.size()) out += "…";
  return out;
}

base::Json shortened(const base::Json& json) {
  if (json.is_string()) return printable(json.get_ref<const std::string&>());
  if (json.is_object()) {
    base::Json::object_t object;  // appended to directly: operator[] searches from the front
    for (const auto& [key, value] : json.items())
      object.Container::emplace_back(key, shortened(value));
    return object;
  }
  if (!json.is_array()) return json;
  base::Json list = base::Json::array();
  for (size_t i = 0; i < json.size() && i < kShownListLength; ++i)
    list.push_back(shortened(json[i]));
  if (json.size() <= kShownListLength) return list;
  return {{"length", json.size()}, {"first", std::move(list)}};
}

}  // namespace frugal::format
