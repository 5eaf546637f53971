#include "tasks/task_yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>
#include <vector>

namespace frugal::tasks {
namespace {

using base::Json;

constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr size_t kMaxDepth = 32;
// Keys are looked up one by one; no task file has as many in one place.
constexpr size_t kMaxKeys = 1024;
constexpr size_t kMaxProblems = 20;

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// As YAML 1.1 knows it: a whole number is no other kind of number.
std::optional<int64_t> integer_of(std::string_view text) {
  std::string_view digits = text;
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.remove_prefix(1);
  if (digits.empty() || !std::all_of(digits.begin(), digits.end(), is_digit)) return std::nullopt;
  if (digits.size() > 1 && digits[0] == '0') return std::nullopt;
  if (text[0] == '+') text.remove_prefix(1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// [-+]?[0-9]+\.[0-9]*([eE][-+][0-9]+)? or with the point in front: "1e3" is text to YAML 1.1.
std::optional<double> number_of(std::string_view text) {
  size_t at = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  const size_t begin = at;
  size_t digits = 0;
  for (; at < text.size() && is_digit(text[at]); ++at) ++digits;
  if (at == text.size() || text[at] != '.') return std::nullopt;
  for (++at; at < text.size() && is_digit(text[at]); ++at) ++digits;
  if (digits == 0) return std::nullopt;
  if (at < text.size()) {
    if (text[at] != 'e' && text[at] != 'E') return std::nullopt;
    if (++at == text.size() || (text[at] != '-' && text[at] != '+')) return std::nullopt;
    if (++at == text.size() || !std::all_of(text.begin() + at, text.end(), is_digit))
      return std::nullopt;
  }
  const std::string plain(text[0] == '-' ? text : text.substr(begin));
  double value = 0;
  const auto [end, error] = std::from_chars(plain.data(), plain.data() + plain.size(), value);
  if (error != std::errc() || end != plain.data() + plain.size()) return std::nullopt;
  return value;
}

// What YAML 1.1 takes for a number and a reader would not: 0777, 0x1f, 1_000, 12:30.
bool is_odd_number(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  if (text.empty() || !is_digit(text[0])) return false;
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return is_digit(c) || c == '_' || c == ':' || c == '.';
  });
  return plain || text.starts_with("0x") || text.starts_with("0b");
}

class Builder : public YAML::EventHandler {
 public:
  explicit Builder(std::string_view where) : where_(where) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) add(mark, "a second document; a task file holds one");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    check(mark, "", anchor);
    place(nullptr, mark, false);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    add(mark, "an alias (*name) is not read; write the value out");
    place(nullptr, mark, false);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check(mark, tag, anchor, value);
    if (!base::is_valid_utf8(value)) {
      add(mark, "the text is not valid UTF-8");
      return place("", mark, true);
    }
    const bool quoted = tag == "!";  // how yaml-cpp marks quoted and block scalars
    place(quoted ? Json(value) : plain(mark, value), mark, true);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Json::array());
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Json::object());
  }
  void OnMapEnd() override { close(); }

  void add(const YAML::Mark& mark, std::string_view what) {
    if (problems_.size() < kMaxProblems)
      problems_.push_back(
          base::str_cat(where_, ":", mark.line + 1, ":", mark.column + 1, ": ", what));
  }

  absl::StatusOr<TaskYaml> finish() && {
    if (!problems_.empty()) return base::invalid_argument(base::join(problems_, "\n"));
    if (!root_.is_object())
      return base::invalid_argument(where_, ": a task file is a mapping (task: name, ...)");
    return TaskYaml{std::move(root_), std::move(lines_)};
  }

 private:
  struct Level {
    Json value;
    YAML::Mark mark;
    bool has_key = false;
    bool dropped = false;  // the value of a key that was refused
    std::string key;
  };

  void check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
             std::string_view value = {}) {
    if (anchor != 0) add(mark, "an anchor (&name) is not read; write the value out");
    if (tag.empty() || tag == "?" || tag == "!") return;
    if (tag == "!function") {
      add(mark,
          base::str_cat(
              "!function ", value,
              " is Python, which frugal does not run; write a template, name a "
              "preprocessing that frugal has (process_docs: hellaswag, wikitext), or prepare the "
              "documents beforehand"));
    } else {
      add(mark, base::str_cat("the tag '", tag, "' is not read; write the plain value"));
    }
  }

  Json plain(const YAML::Mark& mark, const std::string& text) {
    if (is_one_of(text, {"", "~", "null", "Null", "NULL"})) return nullptr;
    if (is_one_of(text, {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"}))
      return true;
    if (is_one_of(text, {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"}))
      return false;
    if (const auto integer = integer_of(text)) return *integer;
    if (const auto number = number_of(text)) return *number;
    if (is_odd_number(text))
      add(mark, base::str_cat("'", text.substr(0, 40),
                              "' is read as a number in another notation by YAML 1.1; quote it, "
                              "or write the number plainly"));
    return text;
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Json value) {
    check(mark, tag, anchor);
    if (levels_.size() == kMaxDepth) add(mark, "nested too deeply");
    levels_.push_back({std::move(value), mark});
  }
  void close() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    // What lies too deep was complained of; it is not kept, so that nothing deep is torn down.
    place(levels_.size() >= kMaxDepth ? Json() : std::move(level.value), level.mark, false);
  }

  std::string path() const {
    std::vector<std::string> parts;
    for (const Level& level : levels_) {
      parts.push_back(level.value.is_array() ? base::str_cat(level.value.size()) : level.key);
    }
    return base::join(parts, ".");
  }

  void place(Json value, const YAML::Mark& mark, bool may_be_key) {
    if (levels_.empty()) {
      if (documents_ <= 1) root_ = std::move(value);
      return;
    }
    Level& level = levels_.back();
    if (level.value.is_array()) {
      if (levels_.size() <= kMaxDepth) lines_.try_emplace(path(), mark.line + 1);
      level.value.push_back(std::move(value));
    } else if (!level.has_key) {
      take_key(level, value, mark, may_be_key);
    } else {
      level.has_key = false;
      if (!level.dropped) level.value[level.key] = std::move(value);
    }
  }

  void take_key(Level& level, const Json& value, const YAML::Mark& mark, bool may_be_key) {
    level.has_key = true;
    level.dropped = true;
    level.key = value.is_string() ? value.get<std::string>() : value.dump();
    if (!may_be_key) {
      add(mark, "a key must be text");
    } else if (level.value.size() == kMaxKeys) {
      add(mark, base::str_cat("more than ", kMaxKeys, " keys in one mapping; no task has as many"));
    } else if (level.key == "<<") {
      add(mark, "merge keys (<<) are not read; write the keys out");
    } else if (level.value.contains(level.key)) {
      add(mark, base::str_cat("the key '", level.key, "' stands twice"));
    } else {
      level.dropped = false;
      level.value[level.key] = nullptr;
      if (levels_.size() <= kMaxDepth) lines_.try_emplace(path(), mark.line + 1);
    }
  }

  std::string_view where_;
  std::vector<Level> levels_;
  Json root_;
  std::map<std::string, int, std::less<>> lines_;
  std::vector<std::string> problems_;
  int documents_ = 0;
};

}  // namespace

absl::StatusOr<TaskYaml> parse_task_yaml(std::string_view text, std::string_view where) {
  if (text.size() > kMaxBytes)
    return base::resource_exhausted(
        where, ": ", base::format_bytes(static_cast<double>(text.size())),
        " are no task file; at most ", base::format_bytes(kMaxBytes), " are read");
  Builder builder(where);
  std::istringstream stream{std::string(text)};
  try {
    YAML::Parser parser(stream);
    // Two are enough to refuse them; in front of some stray text yaml-cpp finds empty ones forever.
    for (int documents = 0; documents < 2 && parser.HandleNextDocument(builder); ++documents) {
    }
  } catch (const YAML::Exception& error) {
    builder.add(error.mark, base::str_cat("not YAML: ", error.msg));
  }
  return std::move(builder).finish();
}

}  // namespace frugal::tasks
