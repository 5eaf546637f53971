#include "report/markup.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "base/json.h"
#include "base/text.h"

namespace frugal::report {
namespace {

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// Line breaks and other control characters become spaces.
std::string on_one_line(std::string_view text) {
  std::string line(text);
  std::replace_if(line.begin(), line.end(), is_control, ' ');
  return line;
}

bool is_word_character(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         std::string_view("-_./").find(c) != std::string_view::npos;
}

size_t longest_run(std::string_view text, char mark) {
  size_t longest = 0, run = 0;
  for (const char c : text) {
    run = c == mark ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return longest;
}

}  // namespace

std::string yaml_scalar(std::string_view text) {
  // What YAML 1.1 or 1.2 reads as something other than a text.
  constexpr std::array<std::string_view, 9> kReserved = {"true", "false", "yes", "no", "on",
                                                         "off",  "null",  "y",   "n"};
  const std::string lower = absl::AsciiStrToLower(base::as_absl(text));
  const bool plain = !text.empty() && absl::ascii_isalpha(static_cast<unsigned char>(text[0])) &&
                     std::all_of(text.begin(), text.end(), is_word_character) &&
                     std::find(kReserved.begin(), kReserved.end(), lower) == kReserved.end();
  if (plain) return std::string(text);
  // Strings of JSON are strings of YAML.
  return base::Json(text).dump(-1, ' ', true, base::Json::error_handler_t::replace);
}

std::string markdown_text(std::string_view text) {
  constexpr std::string_view kMarks = "\\`*_{}[]<>#|~$!&";
  std::string out;
  for (const char c : on_one_line(text)) {
    if (kMarks.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string markdown_code(std::string_view text) {
  // Cells of tables are cut at bars before code is looked for.
  std::string code = on_one_line(text);
  std::replace(code.begin(), code.end(), '|', '/');
  const std::string marks(longest_run(code, '`') + 1, '`');
  const std::string_view room = marks.size() > 1 ? " " : "";
  return base::str_cat(marks, room, code, room, marks);
}

std::string shell_word(std::string_view text) {
  const std::string line = on_one_line(text);
  const bool plain =
      !line.empty() && line[0] != '-' && std::all_of(line.begin(), line.end(), is_word_character);
  if (plain) return line;
  std::string word = "'";
  for (const char c : line) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

std::string markdown_block(std::string_view language, std::string_view text) {
  const std::string fence(std::max<size_t>(3, longest_run(text, '`') + 1), '`');
  return base::str_cat(fence, language, "\n", text, fence, "\n");
}

std::string csv_field(const base::Json& value) {
  if (value.is_null()) return "";
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace frugal::report
