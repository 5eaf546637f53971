#include "text/records.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/json.h"
#include "text/data_file.h"

namespace frugal::text {
namespace {

using Take = std::function<absl::StatusOr<bool>(Record)>;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr int kMaxDepth = 16;  // of fields inside of fields
constexpr size_t kMostRecordBytes = size_t{1} << 30;

absl::Status check_utf8(std::string_view line, const std::string& where) {
  if (base::is_valid_utf8(line)) return absl::OkStatus();
  return base::invalid_argument(where, ": not valid UTF-8; convert the file");
}

// A file as lines; memory holds one of them and a window of the file.
class Lines {
 public:
  static absl::StatusOr<Lines> open(const std::filesystem::path& path) {
    FRUGAL_ASSIGN_OR_RETURN(DataStream stream, DataStream::open(path));
    return Lines(std::move(stream), path.string());
  }

  const std::string& path() const { return path_; }
  std::string_view head() const { return without_mark(stream_.head()); }

  // The next line with its '\n', where it has one; empty at the end. Valid until the next call.
  absl::StatusOr<std::string_view> next() {
    for (size_t searched = begin_;;) {
      if (const size_t end = buffer_.find('\n', searched); end != std::string::npos)
        return give(end + 1);
      buffer_.erase(0, std::exchange(begin_, 0));
      searched = buffer_.size();
      FRUGAL_ASSIGN_OR_RETURN(const bool more, stream_.read(buffer_));
      if (!more) return give(buffer_.size());
      if (std::exchange(first_, false)) {
        buffer_.erase(0, buffer_.size() - without_mark(buffer_).size());
        searched = 0;
      }
      if (buffer_.size() > kMostRecordBytes) {
        return base::resource_exhausted(path_, ": a line of more than ", kMostRecordBytes,
                                        " bytes; split it into records");
      }
    }
  }

 private:
  Lines(DataStream stream, std::string path) : stream_(std::move(stream)), path_(std::move(path)) {}

  static std::string_view without_mark(std::string_view text) {
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    return text;
  }

  std::string_view give(size_t end) {
    const size_t begin = std::exchange(begin_, end);
    return std::string_view(buffer_).substr(begin, end - begin);
  }

  DataStream stream_;
  std::string path_;
  std::string buffer_;
  size_t begin_ = 0;  // of the next line in the buffer
  bool first_ = true;
};

// Calls `take(line, number)` for every line, without its ending, until it returns false.
absl::Status for_each_line(
    Lines& lines, const std::function<absl::StatusOr<bool>(std::string_view, int64_t)>& take) {
  for (int64_t number = 1;; ++number) {
    FRUGAL_ASSIGN_OR_RETURN(std::string_view line, lines.next());
    if (line.empty()) return absl::OkStatus();
    if (line.ends_with('\n')) line.remove_suffix(1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    FRUGAL_RETURN_IF_ERROR(check_utf8(line, base::str_cat(lines.path(), ":", number)));
    FRUGAL_ASSIGN_OR_RETURN(const bool more, take(line, number));
    if (!more) return absl::OkStatus();
  }
}

// Puts the scalars of `value` under `name`, those inside of it under "name.key" and "name.0".
void add_fields(const base::Json& value, const std::string& name, int depth, Record& record) {
  if (value.is_string()) {
    record.fields[name] = value.get<std::string>();
  } else if (value.is_number() || value.is_boolean()) {
    record.fields[name] = value.dump();
  } else if (depth < kMaxDepth && value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i)
      add_fields(value[i], base::str_cat(name, ".", i), depth + 1, record);
  } else if (depth < kMaxDepth && value.is_object()) {
    for (const auto& [key, inner] : value.items())
      add_fields(inner, base::str_cat(name, ".", key), depth + 1, record);
  }
}

absl::StatusOr<Record> record_of(base::Json json, std::string where, int64_t line) {
  Record record{{}, std::move(where), line};
  if (json.is_string()) {
    record.names = {"text"};
    record.fields["text"] = json.get<std::string>();
    return record;
  }
  if (!json.is_object()) {
    return base::invalid_argument(record.where, ": expected an object (or a text in quotes)");
  }
  for (const auto& [key, value] : json.items()) {
    record.names.push_back(key);
    add_fields(value, key, 0, record);
  }
  record.json = std::move(json);
  return record;
}

// Cuts an array of JSON into its elements as its bytes come.
class ArrayCutter {
 public:
  // Takes `text` from the front until an element is complete (true) or all is used up.
  absl::StatusOr<bool> feed(std::string_view& text, const std::string& path) {
    while (!text.empty()) {
      const char c = text.front();
      text.remove_prefix(1);
      if (state_ != State::kInside) {
        if (is_space(c)) continue;
        if (state_ == State::kBehind || c != '[') {
          return base::invalid_argument(path, ": not one list of records: '", std::string(1, c),
                                        "' stands behind record ", count_);
        }
        state_ = State::kInside;
        continue;
      }
      if (!in_string_ && depth_ == 0 && (c == ',' || c == ']')) {
        const bool only = c == ']' && count_ == 0 && base::trim(element_).empty();
        if (c == ']') state_ = State::kBehind;
        if (only) continue;
        ++count_;
        return true;
      }
      step(c);
      element_.push_back(c);
      if (element_.size() > kMostRecordBytes)
        return base::resource_exhausted(path, ": a record of more than ", kMostRecordBytes,
                                        " bytes; split it");
    }
    return false;
  }
  // The element that is complete; it is gone afterwards.
  std::string take() { return std::exchange(element_, ""); }
  int64_t number() const { return count_; }  // of that element, from 1
  absl::Status finish(const std::string& path) const {
    return state_ == State::kBehind ? absl::OkStatus()
                                    : base::invalid_argument(path,
                                                             ": the list has no ']' at its "
                                                             "end; is the file whole?");
  }

 private:
  enum class State { kBefore, kInside, kBehind };

  static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
  void step(char c) {
    if (in_string_) {
      if (!std::exchange(escaped_, !escaped_ && c == '\\') && c == '"') in_string_ = false;
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '[' || c == '{') {
      ++depth_;
    } else if (c == ']' || c == '}') {
      --depth_;
    }
  }

  State state_ = State::kBefore;
  bool in_string_ = false, escaped_ = false;
  int64_t depth_ = 0, count_ = 0;
  std::string element_;
};

absl::Status read_array(Lines& lines, const Take& take) {
  ArrayCutter cutter;
  while (true) {
    FRUGAL_ASSIGN_OR_RETURN(std::string_view text, lines.next());
    if (text.empty()) return cutter.finish(lines.path());
    while (true) {
      FRUGAL_ASSIGN_OR_RETURN(const bool complete, cutter.feed(text, lines.path()));
      if (!complete) break;
      const std::string where = base::str_cat(lines.path(), ":record ", cutter.number());
      const std::string element = cutter.take();
      FRUGAL_RETURN_IF_ERROR(check_utf8(element, where));
      FRUGAL_ASSIGN_OR_RETURN(base::Json json, base::parse_json(element, where));
      FRUGAL_ASSIGN_OR_RETURN(Record record, record_of(std::move(json), where, cutter.number()));
      FRUGAL_ASSIGN_OR_RETURN(const bool more, take(std::move(record)));
      if (!more) return absl::OkStatus();
    }
  }
}

// A file that is one object, such as {"data": [{…}, …]}: which of its members are lists.
absl::Status explain_object(const std::filesystem::path& path, absl::Status otherwise) {
  constexpr int64_t kMostBytes = int64_t{256} << 20;  // for a message, memory is not spent freely
  const auto content = read_data_file(path, kMostBytes);
  if (!content.ok()) return otherwise;
  const auto json = base::parse_json(*content, path.string());
  if (!json.ok() || !json->is_object()) return otherwise;
  std::string lists, first;
  for (const auto& [key, value] : json->items()) {
    if (!value.is_array()) continue;
    if (first.empty()) first = key;
    lists += base::str_cat(lists.empty() ? "" : ", ", key, " (a list of ", value.size(), ")");
  }
  if (first.empty()) return otherwise;
  const std::string name = path.filename().string();
  return base::invalid_argument(path.string(), ": one object, not a list of records; it holds ",
                                lists, "; take the list out of it: jq -c '.[\"", first, "\"][]' '",
                                name, "' > '", path.stem().string(), ".jsonl'");
}

absl::Status read_lines(Lines& lines, const std::filesystem::path& path, const Take& take) {
  bool any = false;
  const absl::Status status =
      for_each_line(lines, [&](std::string_view line, int64_t number) -> absl::StatusOr<bool> {
        if (base::trim(line).empty()) return true;
        const std::string where = base::str_cat(path.string(), ":", number);
        FRUGAL_ASSIGN_OR_RETURN(base::Json json, base::parse_json(line, where));
        FRUGAL_ASSIGN_OR_RETURN(Record record, record_of(std::move(json), where, number));
        any = true;
        return take(std::move(record));
      });
  if (status.ok() || any) return status;
  if (data_form(lines.head(), path) == DataForm::kTable) {
    return base::invalid_argument(path.string(),
                                  ": a table, not JSON; name it under `table` instead of `jsonl`");
  }
  return explain_object(path, status);
}

// One record of a comma-separated table, put together line by line: quotes may hold line breaks.
class QuotedFields {
 public:
  // Takes a line with its ending. True: the record is complete.
  bool feed(std::string_view line, char separator) {
    for (size_t i = 0; i < line.size(); ++i) {
      const char c = line[i];
      if (quoted_) {
        if (c == '"' && i + 1 < line.size() && line[i + 1] == '"') {
          fields_.back() += line[i++];
        } else if (c == '"') {
          quoted_ = false;
        } else {
          fields_.back() += c;
        }
      } else if (c == '"' && fields_.back().empty()) {
        quoted_ = true;
      } else if (c == separator) {
        fields_.emplace_back();
      } else if (c != '\n') {
        fields_.back() += c;
      }
    }
    return !quoted_;
  }
  std::vector<std::string> take() {
    if (fields_.back().ends_with('\r')) fields_.back().pop_back();
    return std::exchange(fields_, std::vector<std::string>(1));
  }

 private:
  std::vector<std::string> fields_ = std::vector<std::string>(1);
  bool quoted_ = false;
};

absl::StatusOr<Record> row_of(const std::vector<std::string>& names,
                              std::vector<std::string> values, std::string where, int64_t line) {
  Record record{{}, std::move(where), line, names};
  if (values.size() != names.size()) {
    return base::invalid_argument(record.where, ": ", values.size(), " columns, the header names ",
                                  names.size());
  }
  for (size_t i = 0; i < names.size(); ++i) record.fields[names[i]] = std::move(values[i]);
  return record;
}

absl::Status read_separated(Lines& lines, char separator, const Take& take) {
  std::vector<std::string> names;
  QuotedFields fields;
  for (int64_t line = 1;;) {
    const int64_t begin = line;
    const std::string where = base::str_cat(lines.path(), ":", begin);
    for (bool complete = false; !complete; ++line) {
      FRUGAL_ASSIGN_OR_RETURN(const std::string_view text, lines.next());
      if (text.empty() && line == begin) return absl::OkStatus();
      if (text.empty())
        return base::invalid_argument(where, ": a quote opens here and never closes");
      complete = fields.feed(text, separator);
    }
    std::vector<std::string> values = fields.take();
    for (const std::string& value : values) FRUGAL_RETURN_IF_ERROR(check_utf8(value, where));
    if (begin == 1) {
      names = std::move(values);
      continue;
    }
    if (values.size() == 1 && values.front().empty()) continue;  // an empty line
    FRUGAL_ASSIGN_OR_RETURN(Record record, row_of(names, std::move(values), where, begin));
    FRUGAL_ASSIGN_OR_RETURN(const bool more, take(std::move(record)));
    if (!more) return absl::OkStatus();
  }
}

absl::Status read_tabbed(Lines& lines, const Take& take) {
  const std::string& path = lines.path();
  std::vector<std::string> names;
  return for_each_line(lines, [&](std::string_view line, int64_t number) -> absl::StatusOr<bool> {
    if (number == 1) {
      names = base::split(line, '\t');
      return true;
    }
    if (line.empty()) return true;
    FRUGAL_ASSIGN_OR_RETURN(Record record, row_of(names, base::split(line, '\t'),
                                                  base::str_cat(path, ":", number), number));
    return take(std::move(record));
  });
}

// "2: role, content" of the fields "messages.0.role", …; empty where `name` is a scalar.
std::string describe_inside(const Record& record, const std::string& name) {
  int64_t elements = 0;
  std::vector<std::string> keys;
  for (const auto& [field, value] : record.fields) {
    if (!field.starts_with(name + ".")) continue;
    const std::vector<std::string> parts = base::split(field.substr(name.size() + 1), '.');
    const bool numbered = parts[0].find_first_not_of("0123456789") == std::string::npos;
    if (numbered) elements = std::max<int64_t>(elements, std::stoll(parts[0].substr(0, 9)) + 1);
    const size_t key = numbered ? 1 : 0;
    if (parts.size() > key && std::find(keys.begin(), keys.end(), parts[key]) == keys.end())
      keys.push_back(parts[key]);
  }
  std::sort(keys.begin(), keys.end());
  if (elements == 0 && keys.empty()) return "";
  const std::string inside = keys.empty() ? "" : base::str_cat(": ", base::join(keys, ", "));
  return elements > 0 ? base::str_cat(" (a list of ", elements, inside, ")")
                      : base::str_cat(" (an object", inside, ")");
}

// A conversation as chat data has it: the list, and what its turns call speaker and text.
struct Conversation {
  std::string list, role, content;
};
constexpr std::pair<std::string_view, std::string_view> kTurns[] = {{"role", "content"},
                                                                    {"from", "value"}};

std::optional<Conversation> conversation_of(const Record& record) {
  for (const std::string_view list : kConversationFields) {
    for (const auto& [role, content] : kTurns) {
      if (record.fields.contains(base::str_cat(list, ".0.", content)))
        return Conversation{std::string(list), std::string(role), std::string(content)};
    }
  }
  return std::nullopt;
}

// Everything before the first answer is the prompt.
std::string map_conversation(const Record& record, const Conversation& chat) {
  std::string prompt, answer;
  for (int64_t i = 0; answer.empty(); ++i) {
    const std::string turn = base::str_cat(chat.list, ".", i, ".");
    if (!record.fields.contains(turn + chat.content)) break;
    const std::string field = base::str_cat("{", turn, chat.content, "}");
    const auto role = record.fields.find(turn + chat.role);
    const bool answers =
        role != record.fields.end() && (role->second == "assistant" || role->second == "gpt" ||
                                        role->second == "model" || role->second == "bot");
    if (answers)
      answer = field;
    else
      prompt += base::str_cat(prompt.empty() ? "" : "\\n", field);
  }
  if (answer.empty()) return base::str_cat("completion: \"", prompt, "\"");
  return base::str_cat("prompt: \"", prompt, "\", completion: \"", answer,
                       "\"; or through the model's chat template: chat: true (--data-chat)");
}

}  // namespace

absl::Status read_jsonl(const std::filesystem::path& path, const Take& take) {
  FRUGAL_ASSIGN_OR_RETURN(Lines lines, Lines::open(path));
  if (data_form(lines.head(), path) == DataForm::kJsonArray) return read_array(lines, take);
  return read_lines(lines, path, take);
}

absl::Status read_table(const std::filesystem::path& path, const Take& take) {
  FRUGAL_ASSIGN_OR_RETURN(Lines lines, Lines::open(path));
  const DataForm form = data_form(lines.head(), path);
  if (form == DataForm::kJsonLines || form == DataForm::kJsonArray) {
    return base::invalid_argument(path.string(),
                                  ": JSON, not a table; name it under `jsonl` instead of `table`");
  }
  const std::string_view head = lines.head();
  const char separator = table_separator(head.substr(0, head.find('\n')));
  return separator == '\t' ? read_tabbed(lines, take) : read_separated(lines, separator, take);
}

std::string describe_fields(const Record& record) {
  std::string text;
  for (const std::string& name : record.names) {
    text += base::str_cat(text.empty() ? "" : ", ", name);
    if (!record.fields.contains(name)) text += describe_inside(record, name);
  }
  return text.empty() ? "no field at all" : text;
}

std::string suggest_templates(const Record& record) {
  if (const auto chat = conversation_of(record)) return map_conversation(record, *chat);
  std::vector<std::string> scalars;
  for (const std::string& name : record.names) {
    if (record.fields.contains(name)) scalars.push_back(name);
  }
  if (scalars.empty()) return "completion: \"{FIELD}\"";
  if (scalars.size() == 1) return base::str_cat("completion: \"{", scalars[0], "}\"");
  return base::str_cat("prompt: \"{", scalars[0], "}\\n\", completion: \"{", scalars[1], "}\"");
}

}  // namespace frugal::text
