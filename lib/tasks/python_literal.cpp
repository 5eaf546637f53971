#include "tasks/python_literal.h"

#include <charconv>

#include "chat/unicode.h"

namespace frugal::tasks {
namespace {

using base::Json;

constexpr int kMaxDepth = 64;

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  absl::StatusOr<Json> run() {
    skip_space();
    FRUGAL_ASSIGN_OR_RETURN(Json value, read(0));
    skip_space();
    if (at_ < text_.size()) return wrong("more behind the value");
    return value;
  }

 private:
  absl::StatusOr<Json> read(int depth) {
    if (depth > kMaxDepth) return wrong("nested too deeply");
    const char c = peek();
    if (c == '[') return list(']', depth);
    if (c == '(') return list(')', depth);
    if (c == '{') return dictionary(depth);
    if (c == '\'' || c == '"') return texts();
    if ((c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.') return number();
    for (const auto& [word, value] :
         {std::pair<std::string_view, Json>{"True", true}, {"False", false}, {"None", nullptr}}) {
      if (!text_.substr(at_).starts_with(word)) continue;
      at_ += word.size();
      return value;
    }
    return wrong("a value was expected");
  }

  absl::StatusOr<Json> list(char end, int depth) {
    ++at_;
    Json result = Json::array();
    bool comma = false;
    for (skip_space(); peek() != end; skip_space()) {
      if (!result.empty() && !comma) return wrong("a comma was expected");
      FRUGAL_ASSIGN_OR_RETURN(Json item, read(depth + 1));
      result.push_back(std::move(item));
      skip_space();
      comma = peek() == ',';
      if (comma) ++at_;
    }
    ++at_;
    if (end == ')' && result.size() == 1 && !comma) return Json(std::move(result[0]));
    return result;
  }

  absl::StatusOr<Json> dictionary(int depth) {
    ++at_;
    Json result = Json::object();
    bool comma = true;
    for (skip_space(); peek() != '}'; skip_space()) {
      if (!comma) return wrong("a comma was expected");
      if (peek() != '\'' && peek() != '"') return wrong("a text was expected as a key");
      FRUGAL_ASSIGN_OR_RETURN(const Json key, texts());
      skip_space();
      if (peek() != ':') return wrong("a colon was expected");
      ++at_;
      skip_space();
      FRUGAL_ASSIGN_OR_RETURN(Json value, read(depth + 1));
      result[key.get<std::string>()] = std::move(value);
      skip_space();
      comma = peek() == ',';
      if (comma) ++at_;
    }
    ++at_;
    return result;
  }

  // Texts behind each other are one.
  absl::StatusOr<Json> texts() {
    std::string out;
    while (peek() == '\'' || peek() == '"') {
      FRUGAL_RETURN_IF_ERROR(quoted(out));
      skip_space();
    }
    return Json(std::move(out));
  }

  absl::Status quoted(std::string& out) {
    const char quote = text_[at_++];
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] == '\n') return wrong("a text without its end");
      if (text_[at_] != '\\') {
        out += text_[at_++];
        continue;
      }
      FRUGAL_RETURN_IF_ERROR(escape(out));
    }
    if (at_ == text_.size()) return wrong("a text without its end");
    ++at_;
    return absl::OkStatus();
  }

  absl::Status escape(std::string& out) {
    const char c = ++at_ < text_.size() ? text_[at_] : '\0';
    constexpr std::string_view kSimple = "n\nt\tr\ra\ab\bf\fv\v\\\\''\"\"";
    for (size_t i = 0; i < kSimple.size(); i += 2) {
      if (kSimple[i] != c) continue;
      out += kSimple[i + 1];
      ++at_;
      return absl::OkStatus();
    }
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0) return wrong("an escape that is not read");
    uint32_t code = 0;
    const std::string_view hex = text_.substr(at_ + 1, digits);
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
    if (hex.size() < digits || error != std::errc() || end != hex.data() + hex.size() ||
        !chat::is_character(code))
      return wrong("an escape of no character");
    chat::append_character(out, code);
    at_ += 1 + digits;
    return absl::OkStatus();
  }

  absl::StatusOr<Json> number() {
    size_t end = at_ + 1;
    while (end < text_.size() &&
           std::string_view("0123456789.eE+-").find(text_[end]) != std::string_view::npos)
      ++end;
    std::string_view digits = text_.substr(at_, end - at_);
    if (digits.starts_with("+")) digits.remove_prefix(1);
    const char* const last = digits.data() + digits.size();
    int64_t integer = 0;
    if (const auto [stop, error] = std::from_chars(digits.data(), last, integer);
        error == std::errc() && stop == last) {
      at_ = end;
      return Json(integer);
    }
    double value = 0;
    const auto [stop, error] = std::from_chars(digits.data(), last, value);
    if (error != std::errc() || stop != last) return wrong("a number that is not read");
    at_ = end;
    return Json(value);
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_space() {
    while (at_ < text_.size() &&
           std::string_view(" \t\n\r").find(text_[at_]) != std::string_view::npos)
      ++at_;
  }
  absl::Status wrong(std::string_view what) const {
    return base::invalid_argument("not a Python literal at byte ", at_, " (", what, ")");
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

absl::StatusOr<base::Json> parse_python_literal(std::string_view text) {
  return Reader(text).run();
}

}  // namespace frugal::tasks
