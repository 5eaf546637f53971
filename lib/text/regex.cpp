#include "text/regex.h"

#include <algorithm>
#include <limits>
#include <new>
#include <optional>

#include "text/regex_classes.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace frugal::text {
namespace {

// Texts are whole books with runs of any length: a limit that is linear in them.
uint32_t steps(size_t text_bytes) {
  constexpr size_t kSteps = 1'000'000, kStepsForByte = 64;
  constexpr size_t kMost = std::numeric_limits<uint32_t>::max();
  return static_cast<uint32_t>(
      std::min(text_bytes, (kMost - kSteps) / kStepsForByte) * kStepsForByte + kSteps);
}

struct MatchState {
  pcre2_match_data* data = nullptr;
  pcre2_match_context* context = nullptr;
  pcre2_jit_stack* stack = nullptr;

  MatchState(const pcre2_code* code, size_t text_bytes)
      : data(pcre2_match_data_create_from_pattern(code, nullptr)) {
    context = pcre2_match_context_create(nullptr);
    if (data == nullptr || context == nullptr) {
      release();
      throw std::bad_alloc();
    }
    pcre2_set_match_limit(context, steps(text_bytes));
    pcre2_set_depth_limit(context, steps(text_bytes));
    pcre2_set_heap_limit(context, 1u << 20);  // KiB
  }
  ~MatchState() { release(); }
  MatchState(const MatchState&) = delete;
  MatchState& operator=(const MatchState&) = delete;

  void grow_stack() {
    stack = pcre2_jit_stack_create(size_t{1} << 16, size_t{256} << 20, nullptr);
    if (stack == nullptr) throw std::bad_alloc();
    pcre2_jit_stack_assign(context, nullptr, stack);
  }

 private:
  void release() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  explicit Code(pcre2_code* compiled) : code(compiled) {}
  ~Code() { pcre2_code_free(code); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
};

absl::StatusOr<Regex> Regex::compile(std::string_view pattern) {
  constexpr size_t kMaxPattern = 1 << 16;
  if (pattern.size() > kMaxPattern) {
    return base::invalid_argument("regular expression of ", pattern.size(), " bytes; at most ",
                                  kMaxPattern);
  }
  const std::string translated = with_unicode_classes(pattern);
  constexpr size_t kMaxTranslated = 1 << 20;
  if (translated.size() > kMaxTranslated)
    return base::invalid_argument("regular expression '", pattern.substr(0, 200),
                                  "': too many classes of characters");
  int error = 0;
  PCRE2_SIZE offset = 0;
  constexpr uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_MULTILINE;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()),
                                   translated.size(), kOptions, &error, &offset, nullptr);
  if (code == nullptr) {
    unsigned char message[128] = {};
    pcre2_get_error_message(error, message, sizeof message);
    return base::invalid_argument("regular expression '", pattern,
                                  "': ", reinterpret_cast<const char*>(message), " at byte ",
                                  offset);
  }
  // Where the machine allows no executable memory the interpreter does the same, slower.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD);
  Regex regex;
  regex.pattern_ = pattern;
  regex.known_ = find_split_pattern(pattern);
  regex.code_ = std::make_shared<const Code>(code);
  return regex;
}

Regex Regex::literal(std::string_view text) {
  Regex regex;
  regex.pattern_ = text;
  return regex;
}

void Regex::for_each_match(std::string_view text, Match match) const {
  match_all(text, false, match);
}

void Regex::for_each_settled_match(std::string_view text, Match match) const {
  if (!looks_back()) match_all(text, true, match);
}

bool Regex::looks_back() const {
  if (code_ == nullptr) return false;
  uint32_t characters = 0;
  pcre2_pattern_info(code_->code, PCRE2_INFO_MAXLOOKBEHIND, &characters);
  // The start of a text does not count as looking back there; neither does a match that is moved.
  bool at_start = pattern_.find("\\K") != std::string::npos;
  for (size_t i = 0; i < pattern_.size(); ++i)
    at_start = at_start || (pattern_[i] == '^' && (i == 0 || pattern_[i - 1] != '['));
  return characters > 0 || at_start;
}

// PCRE2 at work on one text.
class Regex::Matcher {
 public:
  Matcher(const Regex& regex, std::string_view text, bool may_go_on)
      : regex_(regex),
        text_(text),
        options_(PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY | (may_go_on ? PCRE2_PARTIAL_HARD : 0u)) {}

  // The first match at or behind `at`; empty where there is none. With `may_go_on` a match attempt
  // that reaches the end of the text finds none: it would have looked at what is not there yet.
  TextRange next(size_t at) {
    const pcre2_code* code = regex_.code_->code;
    if (!state_) state_.emplace(code, text_.size());
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text_.data());
    const auto attempt = [&] {
      return pcre2_match(code, subject, text_.size(), at, options_, state_->data, state_->context);
    };
    int found = attempt();
    if (found == PCRE2_ERROR_JIT_STACKLIMIT && state_->stack == nullptr) {
      state_->grow_stack();
      found = attempt();
    }
    if (found == PCRE2_ERROR_NOMATCH || found == PCRE2_ERROR_PARTIAL) return {};
    if (found == PCRE2_ERROR_MATCHLIMIT || found == PCRE2_ERROR_DEPTHLIMIT) {
      throw PatternLimit(base::str_cat(
          "the tokenizer's pattern '", regex_.pattern_.substr(0, 200), "' gives up behind byte ",
          at, " of a text of ", text_.size(),
          " bytes: it backtracks without bound; write it without nested repetitions"));
    }
    if (found < 0) throw std::bad_alloc();  // with the limits above, only memory is left to run out
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(state_->data);
    // `\K` in a lookahead may put the end before the start; such a match takes nothing.
    if (range[1] <= at || range[0] < at || range[0] >= range[1]) return {};
    return {range[0], range[1]};
  }

 private:
  const Regex& regex_;
  std::string_view text_;
  uint32_t options_;
  std::optional<MatchState> state_;  // ASCII often needs none
};

void Regex::match_all(std::string_view text, bool may_go_on, Match match) const {
  if (code_ == nullptr) {
    if (pattern_.empty()) return;
    for (size_t at = text.find(pattern_); at != text.npos;
         at = text.find(pattern_, at + pattern_.size())) {
      match(at, at + pattern_.size());
    }
    return;
  }
  Matcher matcher(*this, text, may_go_on);
  for (size_t at = 0; at < text.size();) {
    const std::optional<TextRange> fast =
        known_ ? ascii_match(*known_, text, at, may_go_on) : std::nullopt;
    const TextRange next = fast ? *fast : matcher.next(at);
    if (next.begin == next.end) return;
    match(next.begin, next.end);
    at = next.end;
  }
}

}  // namespace frugal::text
