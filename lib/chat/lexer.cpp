// Tested by: tests/chat/parser_test.cpp
#include "chat/lexer.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "chat/unicode.h"

namespace frugal::chat {
namespace {

// "\r\n" and "\r" are newlines; one newline at the end may go.
std::string normalized(std::string_view source, const Dialect& dialect) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!dialect.keep_last_newline && !out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool is_digit_of(char c, int radix) {
  if (radix <= 10) return c >= '0' && c < '0' + radix;
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool begins_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool continues_name(char c) { return begins_name(c) || (c >= '0' && c <= '9'); }

// Line and column of bytes that are asked for in their order.
class Places {
 public:
  explicit Places(std::string_view source) : source_(source) {}
  Position of(size_t offset) {
    for (; at_ < offset && at_ < source_.size(); ++at_) {
      if (source_[at_] == '\n') {
        ++place_.line;
        place_.column = 1;
      } else if ((source_[at_] & 0xC0) != 0x80) {
        ++place_.column;
      }
    }
    return place_;
  }

 private:
  std::string_view source_;
  size_t at_ = 0;
  Position place_;
};

class Lexer {
 public:
  Lexer(std::string source, bool trim_blocks)
      : source_(std::move(source)), text_(source_), trim_blocks_(trim_blocks), places_(source_) {}

  absl::StatusOr<std::vector<Token>> run() {
    while (at_ < text_.size()) FRUGAL_RETURN_IF_ERROR(data());
    add(Token::Kind::kEnd, "", at_);
    return std::move(tokens_);
  }

 private:
  // -- Outside of tags

  // Text up to the next tag, and the tag.
  absl::Status data() {
    size_t tag = at_;
    while (true) {
      tag = text_.find('{', tag);
      if (tag == std::string_view::npos) {
        add_data(text_.substr(at_), at_);
        at_ = text_.size();
        return absl::OkStatus();
      }
      const char kind = tag + 1 < text_.size() ? text_[tag + 1] : '\0';
      if (kind == '{' || kind == '%' || kind == '#') break;
      ++tag;
    }
    const char kind = text_[tag + 1];
    size_t behind = tag + 2;
    const char sign = behind < text_.size() ? text_[behind] : '\0';
    if (sign == '-' || sign == '+') ++behind;
    add_data(stripped(text_.substr(at_, tag - at_), sign, kind == '{'), at_);
    if (kind == '#') return comment(tag, behind);
    if (kind == '%') {
      size_t raw_end = behind;
      if (is_raw(raw_end)) return raw(tag, raw_end);
    }
    add(kind == '{' ? Token::Kind::kVariableBegin : Token::Kind::kBlockBegin, "", tag);
    at_ = behind;
    return expression(kind == '{', tag);
  }

  // What is left of the text before a tag.
  std::string_view stripped(std::string_view before, char sign, bool variable) const {
    if (sign == '-') return strip(before, Sides::kRight);
    if (sign == '+' || variable || !trim_blocks_) return before;
    const size_t newline = before.rfind('\n');
    if (newline == std::string_view::npos && !line_starts_) return before;
    const size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    return strip(before.substr(begin), Sides::kLeft).empty() ? before.substr(0, begin) : before;
  }

  void skip_space() {
    while (at_ < text_.size()) {
      size_t next = at_;
      if (!is_space(next_character(text_, next))) break;
      at_ = next;
    }
  }

  bool skip_if(std::string_view wanted) {
    if (!text_.substr(at_).starts_with(wanted)) return false;
    at_ += wanted.size();
    return true;
  }

  void leave(size_t begin) { line_starts_ = at_ > begin && text_[at_ - 1] == '\n'; }

  // Behind the end of a comment or block: a sign, the end, and the white space that goes with it.
  bool skip_end(std::string_view end) {
    const size_t begin = at_;
    if (text_.substr(at_).starts_with("-") && text_.substr(at_ + 1).starts_with(end)) {
      at_ += 1 + end.size();
      skip_space();
    } else if (text_.substr(at_).starts_with("+") && text_.substr(at_ + 1).starts_with(end)) {
      at_ += 1 + end.size();
    } else if (skip_if(end)) {
      if (trim_blocks_) skip_if("\n");
    } else {
      return false;
    }
    leave(begin);
    return true;
  }

  absl::Status comment(size_t tag, size_t behind) {
    const size_t end = text_.find("#}", behind);
    if (end == std::string_view::npos) return failure(tag, "a comment without its '#}'");
    at_ = end;
    if (end > behind && (text_[end - 1] == '-' || text_[end - 1] == '+')) --at_;
    skip_end("#}");
    return absl::OkStatus();
  }

  // Whether "raw %}" stands at `at`, which is then moved behind it.
  bool is_raw(size_t& at) {
    const size_t saved = at_;
    at_ = at;
    skip_space();
    bool found = skip_if("raw");
    if (found) {
      skip_space();
      if (skip_if("-%}"))
        skip_space();
      else
        found = skip_if("%}");
    }
    at = at_;
    at_ = saved;
    return found;
  }

  absl::Status raw(size_t tag, size_t behind) {
    line_starts_ = text_[behind - 1] == '\n';
    for (size_t end = text_.find("{%", behind); end != std::string_view::npos;
         end = text_.find("{%", end + 1)) {
      at_ = end + 2;
      const char sign = at_ < text_.size() ? text_[at_] : '\0';
      if (sign == '-' || sign == '+') ++at_;
      skip_space();
      if (!skip_if("endraw")) continue;
      skip_space();
      const std::string_view text =
          stripped(text_.substr(behind, end - behind), sign, false);  // before leave()
      if (!skip_end("%}")) continue;
      add_data(text, behind);
      return absl::OkStatus();
    }
    return failure(tag, "a raw block without its {% endraw %}");
  }

  // -- Inside of tags

  absl::Status expression(bool variable, size_t tag) {
    std::string open;  // brackets that wait for their end
    while (at_ < text_.size()) {
      const size_t begin = at_;
      if (open.empty() && end_of_tag(variable)) return absl::OkStatus();
      skip_space();
      if (at_ > begin) continue;
      FRUGAL_RETURN_IF_ERROR(token(open));
    }
    return failure(tag, variable ? "a '{{' without its '}}'" : "a '{%' without its '%}'");
  }

  bool end_of_tag(bool variable) {
    const size_t begin = at_;
    if (!variable) {
      if (!skip_end("%}")) return false;
      add(Token::Kind::kBlockEnd, "", begin);
      return true;
    }
    if (skip_if("-}}"))
      skip_space();
    else if (!skip_if("}}"))
      return false;
    add(Token::Kind::kVariableEnd, "", begin);
    leave(begin);
    return true;
  }

  absl::Status token(std::string& open) {
    const char c = text_[at_];
    if (c >= '0' && c <= '9') return number();
    if (begins_name(c)) {
      const size_t begin = at_;
      while (at_ < text_.size() && continues_name(text_[at_])) ++at_;
      add(Token::Kind::kName, std::string(text_.substr(begin, at_ - begin)), begin);
      return absl::OkStatus();
    }
    if (c == '\'' || c == '"') return quoted(c);
    return operation(open);
  }

  // Digits with single underscores between them; the number of bytes.
  size_t digits(size_t at, int radix) const {
    const size_t begin = at;
    while (at < text_.size()) {
      if (is_digit_of(text_[at], radix))
        ++at;
      else if (at > begin && text_[at] == '_' && at + 1 < text_.size() &&
               is_digit_of(text_[at + 1], radix))
        at += 2;
      else
        break;
    }
    return at - begin;
  }

  // The length of a float at `at`; 0: there is none.
  size_t float_length(size_t at) const {
    const size_t begin = at;
    at += digits(at, 10);
    bool is_float = false;
    if (at < text_.size() && text_[at] == '.') {
      if (const size_t fraction = digits(at + 1, 10); fraction > 0) {
        at += 1 + fraction;
        is_float = true;
      }
    }
    if (at < text_.size() && (text_[at] == 'e' || text_[at] == 'E')) {
      size_t power = at + 1;
      if (power < text_.size() && (text_[power] == '+' || text_[power] == '-')) ++power;
      if (const size_t count = digits(power, 10); count > 0) {
        at = power + count;
        is_float = true;
      }
    }
    return is_float ? at - begin : 0;
  }

  absl::Status number() {
    const size_t begin = at_;
    const bool behind_point = at_ > 0 && text_[at_ - 1] == '.';
    const size_t as_float = behind_point ? 0 : float_length(at_);
    size_t length = as_float;
    if (as_float == 0) {
      const char next = at_ + 1 < text_.size() ? static_cast<char>(text_[at_ + 1] | 0x20) : '\0';
      const int radix = text_[at_] != '0' ? 10
                        : next == 'x'     ? 16
                        : next == 'o'     ? 8
                        : next == 'b'     ? 2
                                          : 10;
      if (radix != 10) {
        size_t start = at_ + 2;
        if (start < text_.size() && text_[start] == '_') ++start;
        const size_t count = digits(start, radix);
        length = count > 0 ? start + count - at_ : 1;
      } else if (text_[at_] == '0') {  // 007 is three numbers to Jinja
        while (length < text_.size() - at_ &&
               (text_[at_ + length] == '0' ||
                (text_[at_ + length] == '_' && text_.substr(at_ + length).starts_with("_0"))))
          ++length;
      } else {
        length = digits(at_, 10);
      }
    }
    at_ += length;
    std::string text(text_.substr(begin, length));
    text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
    add(as_float > 0 ? Token::Kind::kFloat : Token::Kind::kInteger, std::move(text), begin);
    return absl::OkStatus();
  }

  absl::Status quoted(char quote) {
    const size_t begin = at_;
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) return failure(begin, "a text without its end");
    at_ = end + 1;
    std::string out;
    FRUGAL_RETURN_IF_ERROR(unescape(text_.substr(begin + 1, end - begin - 1), begin, out));
    add(Token::Kind::kText, std::move(out), begin);
    return absl::OkStatus();
  }

  // Python's unicode-escape.
  absl::Status unescape(std::string_view text, size_t begin, std::string& out) {
    for (size_t at = 0; at < text.size();) {
      if (text[at] != '\\') {
        out += text[at++];
        continue;
      }
      ++at;
      if (at == text.size()) return failure(begin, "a '\\' at the end of a text");
      const char c = text[at];
      constexpr std::string_view kSimple = "n\nt\tr\ra\ab\bf\fv\v\\\\''\"\"";
      size_t found = 0;
      while (found < kSimple.size() && kSimple[found] != c) found += 2;
      if (found < kSimple.size()) {
        out += kSimple[found + 1];
        ++at;
      } else if (c == '\n') {
        ++at;
      } else if (c >= '0' && c <= '7') {
        uint32_t code = 0;
        for (int i = 0; i < 3 && at < text.size() && is_digit_of(text[at], 8); ++i)
          code = code * 8 + static_cast<uint32_t>(text[at++] - '0');
        append_character(out, code);
      } else if (c == 'x' || c == 'u' || c == 'U') {
        FRUGAL_RETURN_IF_ERROR(unescape_code(text, at, begin, out));
      } else if (c == 'N') {
        return base::unimplemented(described(places_.of(begin)),
                                   "'\\N{...}' in a text is not supported by frugal");
      } else {
        append_unknown(text, at, out);
      }
    }
    return absl::OkStatus();
  }

  // An escape that is none stays with its backslash; what is beyond ASCII is itself written as an
  // escape by then, and loses its meaning to the backslash before it.
  static void append_unknown(std::string_view text, size_t& at, std::string& out) {
    out += '\\';
    const size_t begin = at;
    const char32_t character = next_character(text, at);
    if (character < 0x80) {
      out += text.substr(begin, at - begin);
      return;
    }
    std::array<char, 16> code{};
    std::snprintf(code.data(), code.size(),
                  character < 0x100     ? "x%02x"
                  : character < 0x10000 ? "u%04x"
                                        : "U%08x",
                  static_cast<unsigned>(character));
    out += code.data();
  }

  absl::Status unescape_code(std::string_view text, size_t& at, size_t begin, std::string& out) {
    const size_t wanted = text[at] == 'x' ? 2 : text[at] == 'u' ? 4 : 8;
    ++at;
    uint32_t code = 0;
    for (size_t i = 0; i < wanted; ++i, ++at) {
      if (at >= text.size() || !is_digit_of(text[at], 16))
        return failure(begin, "a '\\x', '\\u' or '\\U' with too few digits");
      const char c = static_cast<char>(text[at] | 0x20);
      code = code * 16 + static_cast<uint32_t>(c >= 'a' ? c - 'a' + 10 : text[at] - '0');
    }
    if (!is_character(code)) return failure(begin, "an escape of a code that is no character");
    append_character(out, code);
    return absl::OkStatus();
  }

  absl::Status operation(std::string& open) {
    constexpr std::array<std::string_view, 6> kTwo = {"//", "**", "==", "!=", ">=", "<="};
    constexpr std::string_view kOne = "+-/*%~[](){}><=.:|,;";
    const size_t begin = at_;
    const auto two = std::find(kTwo.begin(), kTwo.end(), text_.substr(at_, 2));
    const char c = text_[at_];
    if (two == kTwo.end() && kOne.find(c) == std::string_view::npos) {
      size_t end = at_;
      next_character(text_, end);
      return failure(at_, base::str_cat("unexpected '", text_.substr(at_, end - at_), "'"));
    }
    at_ += two != kTwo.end() ? 2 : 1;
    if (two == kTwo.end()) {
      if (c == '(') open += ')';
      if (c == '[') open += ']';
      if (c == '{') open += '}';
      if (c == ')' || c == ']' || c == '}') {
        if (open.empty() || open.back() != c)
          return failure(begin, base::str_cat("unexpected '", std::string(1, c), "'"));
        open.pop_back();
      }
    }
    add(Token::Kind::kOperator, std::string(text_.substr(begin, at_ - begin)), begin);
    return absl::OkStatus();
  }

  // --

  void add(Token::Kind kind, std::string text, size_t offset) {
    tokens_.push_back({kind, std::move(text), places_.of(offset)});
  }
  void add_data(std::string_view text, size_t offset) {
    if (!text.empty()) add(Token::Kind::kData, std::string(text), offset);
  }
  absl::Status failure(size_t offset, std::string_view what) {
    return base::invalid_argument(described(Places(text_).of(offset)), what);
  }

  std::string source_;
  std::string_view text_;
  bool trim_blocks_;
  Places places_;
  size_t at_ = 0;
  bool line_starts_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::string described(Position at) {
  return base::str_cat("line ", at.line, ", column ", at.column, ": ");
}

absl::StatusOr<std::vector<Token>> tokenize(std::string_view source, const Dialect& dialect) {
  return Lexer(normalized(source, dialect), dialect.trim_blocks).run();
}

}  // namespace frugal::chat
