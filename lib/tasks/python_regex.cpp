#define PCRE2_CODE_UNIT_WIDTH 8
#include "tasks/python_regex.h"

#include <pcre2.h>

#include <optional>
#include <utility>

namespace frugal::tasks {
namespace {

constexpr size_t kMaxPattern = 1 << 14;
constexpr uint32_t kMaxSteps = 2'000'000;

// Python's `\Z` is the very end of the text, PCRE2's `\z`.
std::string translated(std::string_view pattern) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    out += pattern[i];
    if (pattern[i] == '\\' && i + 1 < pattern.size()) out += pattern[++i] == 'Z' ? 'z' : pattern[i];
  }
  return out;
}

}  // namespace

struct PythonRegex::Code {
  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
  uint32_t groups = 0;
  Code() = default;
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() {
    pcre2_match_context_free(context);
    pcre2_code_free(code);
  }
};

// Bytes of the whole match, then of each group; {npos, npos} of one that took no part.
struct PythonRegex::Match {
  std::vector<std::pair<size_t, size_t>> ranges;
};

absl::StatusOr<PythonRegex> PythonRegex::compile(std::string_view pattern) {
  if (pattern.size() > kMaxPattern)
    return base::invalid_argument("regular expression of ", pattern.size(), " bytes; at most ",
                                  kMaxPattern);
  const std::string source = translated(pattern);
  auto made = std::make_shared<Code>();
  int error = 0;
  PCRE2_SIZE offset = 0;
  made->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (made->code == nullptr) {
    unsigned char message[128] = {};
    pcre2_get_error_message(error, message, sizeof message);
    return base::invalid_argument("regular expression '", pattern,
                                  "': ", reinterpret_cast<const char*>(message), " at byte ",
                                  offset);
  }
  made->context = pcre2_match_context_create(nullptr);
  if (made->context == nullptr) return base::resource_exhausted("no memory for a pattern");
  pcre2_set_match_limit(made->context, kMaxSteps);
  pcre2_set_depth_limit(made->context, kMaxSteps);
  pcre2_set_heap_limit(made->context, 1u << 16);  // KiB
  pcre2_pattern_info(made->code, PCRE2_INFO_CAPTURECOUNT, &made->groups);
  PythonRegex regex;
  regex.pattern_ = pattern;
  regex.code_ = std::move(made);
  return regex;
}

absl::StatusOr<std::vector<PythonRegex::Match>> PythonRegex::matches(std::string_view text) const {
  if (!base::is_valid_utf8(text)) return base::invalid_argument("the text is not UTF-8");
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create_from_pattern(code_->code, nullptr), &pcre2_match_data_free);
  if (data == nullptr) return base::resource_exhausted("no memory for a match");
  std::vector<Match> result;
  size_t at = 0;
  uint32_t options = PCRE2_NO_UTF_CHECK;
  while (at <= text.size()) {
    const int found = pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()),
                                  text.size(), at, options, data.get(), code_->context);
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0)
      return base::resource_exhausted("regular expression '", pattern_.substr(0, 200),
                                      "' takes too long on a text of ", text.size(),
                                      " bytes; write it without nested repetitions");
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(data.get());
    // `\K` in a lookahead may put the end before the start.
    if (range[1] < range[0] || range[1] < at) break;
    Match match;
    for (uint32_t group = 0; group <= code_->groups; ++group) {
      const bool took_part =
          group < static_cast<uint32_t>(found) && range[2 * group] != PCRE2_UNSET;
      match.ranges.emplace_back(took_part ? range[2 * group] : std::string_view::npos,
                                took_part ? range[2 * group + 1] : std::string_view::npos);
    }
    result.push_back(std::move(match));
    // Behind an empty match the next one may begin at the same place, and must not be empty there.
    options = PCRE2_NO_UTF_CHECK | (range[1] == range[0] ? PCRE2_NOTEMPTY_ATSTART : 0u);
    at = range[1];
  }
  return result;
}

absl::StatusOr<std::vector<std::vector<std::string>>> PythonRegex::find_all(
    std::string_view text) const {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<Match> found, matches(text));
  std::vector<std::vector<std::string>> result;
  for (const Match& match : found) {
    std::vector<std::string>& groups = result.emplace_back();
    for (size_t group = match.ranges.size() > 1 ? 1 : 0; group < match.ranges.size(); ++group) {
      const auto [begin, end] = match.ranges[group];
      const bool took_part = begin != std::string_view::npos && end >= begin;
      groups.emplace_back(took_part ? text.substr(begin, end - begin) : std::string_view());
    }
  }
  return result;
}

absl::StatusOr<std::string> PythonRegex::remove_all(std::string_view text) const {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<Match> found, matches(text));
  std::string out;
  size_t at = 0;
  for (const Match& match : found) {
    const auto [begin, end] = match.ranges[0];
    out += text.substr(at, begin - at);
    at = end;
  }
  return out += text.substr(at);
}

}  // namespace frugal::tasks
