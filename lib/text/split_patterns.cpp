#include "text/split_patterns.h"

#include <array>
#include <cstdint>

namespace frugal::text {
namespace {

struct Entry {
  SplitPattern pattern;
  std::string_view text;
};
constexpr std::array kEntries = {
    Entry{SplitPattern::kGpt2,
          R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    Entry{
        SplitPattern::kLlama3,
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    Entry{
        SplitPattern::kQwen2,
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    Entry{
        SplitPattern::kGpt4o,
        R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    Entry{SplitPattern::kNumber, R"(\p{N})"},
};

// Classes of bytes. A line's end is white space, too.
enum Class : uint8_t {
  kUpper = 1,
  kLower = 2,
  kDigit = 4,
  kSpace = 8,
  kLine = 16,
  kOther = 32,
  kForeign = 64,  // of a character that is not ASCII, or what may come behind the end
};
constexpr uint8_t kLetter = kUpper | kLower;

constexpr std::array<uint8_t, 256> make_classes() {
  std::array<uint8_t, 256> classes{};
  for (int c = 0; c < 256; ++c) {
    classes[c] = c >= 0x80                              ? kForeign
                 : c == '\r' || c == '\n'               ? kSpace | kLine
                 : c == ' ' || (c >= '\t' && c <= '\r') ? kSpace
                 : c >= '0' && c <= '9'                 ? kDigit
                 : c >= 'A' && c <= 'Z'                 ? kUpper
                 : c >= 'a' && c <= 'z'                 ? kLower
                                                        : kOther;
  }
  return classes;
}
constexpr std::array<uint8_t, 256> kClasses = make_classes();

// The end of a match at a place, by pattern; 0 where it cannot be told.
class Scanner {
 public:
  Scanner(std::string_view text, bool may_go_on)
      : text_(text), behind_end_(may_go_on ? kForeign : uint8_t{0}) {}

  size_t gpt2(size_t at) const {
    if (text_[at] == '\'') {
      const size_t length = contraction(at, false);
      if (length != 0) return length == kUnknown ? 0 : at + length;
    }
    const size_t start = at + (text_[at] == ' ' ? 1 : 0);
    for (const uint8_t kind : {kLetter, uint8_t{kDigit}, uint8_t{kOther}}) {
      if (class_at(start) & kind) return settled(run(start, kind));
    }
    return class_at(start) & kForeign ? 0 : spaces(at, false);
  }

  // Llama 3's, and Qwen's with `most_digits` = 1.
  size_t words(size_t at, size_t most_digits) const {
    if (text_[at] == '\'') {
      const size_t length = contraction(at, true);
      if (length != 0) return length == kUnknown ? 0 : at + length;
    }
    const size_t start = behind_prefix(at);
    if (class_at(start) & kForeign) return 0;
    if (class_at(start) & kLetter) return settled(run(start, kLetter));
    return no_word(at, most_digits, "\r\n");
  }

  size_t gpt4o(size_t at) const {
    const size_t start = behind_prefix(at);
    if (class_at(start) & kForeign) return 0;
    if (!(class_at(start) & kLetter)) return no_word(at, 3, "\r\n/");
    const size_t end = run(run(start, kUpper), kLower);
    if (class_at(end) & kForeign) return 0;
    if (end == text_.size() || text_[end] != '\'') return end;
    const size_t length = contraction(end, true);
    return length == kUnknown ? 0 : end + length;
  }

 private:
  static constexpr size_t kUnknown = static_cast<size_t>(-1);

  uint8_t class_at(size_t at) const {
    return at < text_.size() ? kClasses[static_cast<unsigned char>(text_[at])] : behind_end_;
  }
  size_t run(size_t at, uint8_t kinds) const {
    while (at < text_.size() && (kClasses[static_cast<unsigned char>(text_[at])] & kinds)) ++at;
    return at;
  }
  // A run ends there, if what follows is known not to go on with it.
  size_t settled(size_t end) const { return class_at(end) & kForeign ? 0 : end; }

  // [^\r\n\p{L}\p{N}]?
  size_t behind_prefix(size_t at) const {
    return class_at(at) & (kLetter | kDigit | kLine) ? at : at + 1;
  }

  // Bytes of 's, 't, 're, 've, 'm, 'll or 'd.
  size_t contraction(size_t at, bool any_case) const {
    const auto letter = [&](size_t i) {
      const char c = text_[i];
      return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    if (class_at(at + 1) & kForeign) return kUnknown;
    if (at + 1 >= text_.size()) return 0;
    const char first = letter(at + 1);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
    if (first != 'r' && first != 'v' && first != 'l') return 0;
    if (class_at(at + 2) & kForeign) return kUnknown;
    if (at + 2 >= text_.size()) return 0;
    return letter(at + 2) == (first == 'l' ? 'l' : 'e') ? 3 : 0;
  }

  // What the newer patterns have behind words: digits, then signs with `tail` behind them, then
  // white space.
  size_t no_word(size_t at, size_t most_digits, std::string_view tail) const {
    if (class_at(at) & kDigit) {
      size_t end = at + 1;
      while (end < at + most_digits && (class_at(end) & kDigit)) ++end;
      return end == at + most_digits ? end : settled(end);
    }
    const size_t start = at + (text_[at] == ' ' ? 1 : 0);
    if (!(class_at(start) & kOther)) return spaces(at, true);
    size_t end = run(start, kOther);
    if (class_at(end) & kForeign) return 0;
    while (end < text_.size() && tail.find(text_[end]) != tail.npos) ++end;
    return settled(end);
  }

  // \s*[\r\n]+ where lines count, \s+(?!\S), \s+
  size_t spaces(size_t at, bool lines) const {
    const size_t end = run(at, kSpace);
    if (class_at(end) & kForeign) return 0;
    for (size_t line = end; lines && line > at; --line) {
      if (class_at(line - 1) & kLine) return line;
    }
    return end == text_.size() || end == at + 1 ? end : end - 1;
  }

  std::string_view text_;
  uint8_t behind_end_;
};

std::optional<TextRange> ascii_number(std::string_view text, size_t at) {
  for (; at < text.size(); ++at) {
    const uint8_t kind = kClasses[static_cast<unsigned char>(text[at])];
    if (kind & kForeign) return std::nullopt;
    if (kind & kDigit) return TextRange{at, at + 1};
  }
  return TextRange{at, at};
}

}  // namespace

std::string_view pattern_text(SplitPattern pattern) {
  for (const Entry& entry : kEntries) {
    if (entry.pattern == pattern) return entry.text;
  }
  return {};
}

std::optional<SplitPattern> find_split_pattern(std::string_view text) {
  for (const Entry& entry : kEntries) {
    if (entry.text == text) return entry.pattern;
  }
  return std::nullopt;
}

std::optional<TextRange> ascii_match(SplitPattern pattern, std::string_view text, size_t at,
                                     bool may_go_on) {
  if (pattern == SplitPattern::kNumber) return ascii_number(text, at);
  if (kClasses[static_cast<unsigned char>(text[at])] & kForeign) return std::nullopt;
  const Scanner scanner(text, may_go_on);
  size_t end = 0;
  switch (pattern) {
    case SplitPattern::kGpt2:
      end = scanner.gpt2(at);
      break;
    case SplitPattern::kLlama3:
      end = scanner.words(at, 3);
      break;
    case SplitPattern::kQwen2:
      end = scanner.words(at, 1);
      break;
    case SplitPattern::kGpt4o:
      end = scanner.gpt4o(at);
      break;
    case SplitPattern::kNumber:
      break;
  }
  return end == 0 ? std::nullopt : std::optional(TextRange{at, end});
}

}  // namespace frugal::text
