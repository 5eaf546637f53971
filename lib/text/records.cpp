#include "text/records.h"

#include <algorithm>
#include <optional>

#include "base/json.h"
#include "text/data_file.h"

namespace frugal::text {
namespace {

using Take = std::function<absl::StatusOr<bool>(Record)>;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr int kMaxDepth = 16;  // of fields inside of fields

absl::StatusOr<std::string> read_without_mark(const std::filesystem::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(std::string content, read_data_file(path));
  if (content.starts_with(kByteOrderMark)) content.erase(0, kByteOrderMark.size());
  return content;
}

absl::Status check_utf8(std::string_view line, const std::string& where) {
  if (base::is_valid_utf8(line)) return absl::OkStatus();
  return base::invalid_argument(where, ": not valid UTF-8; convert the file");
}

// Calls `take(line, number)` for every line, without its ending, until it returns false.
absl::Status for_each_line(
    std::string_view rest, const std::string& path,
    const std::function<absl::StatusOr<bool>(std::string_view, int64_t)>& take) {
  for (int64_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    FRUGAL_RETURN_IF_ERROR(check_utf8(line, base::str_cat(path, ":", number)));
    FRUGAL_ASSIGN_OR_RETURN(const bool more, take(line, number));
    if (!more) break;
  }
  return absl::OkStatus();
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

absl::StatusOr<Record> record_of(const base::Json& json, std::string where, int64_t line) {
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
  return record;
}

absl::Status read_array(std::string_view content, const std::string& path, const Take& take) {
  FRUGAL_RETURN_IF_ERROR(check_utf8(content, path));
  FRUGAL_ASSIGN_OR_RETURN(const base::Json list, base::parse_json(content, path));
  for (size_t i = 0; i < list.size(); ++i) {
    FRUGAL_ASSIGN_OR_RETURN(
        Record record,
        record_of(list[i], base::str_cat(path, ":record ", i + 1), static_cast<int64_t>(i + 1)));
    FRUGAL_ASSIGN_OR_RETURN(const bool more, take(std::move(record)));
    if (!more) break;
  }
  return absl::OkStatus();
}

// A file that is one object, such as {"data": [{…}, …]}: which of its members are lists.
absl::Status explain_object(std::string_view content, const std::filesystem::path& path,
                            absl::Status otherwise) {
  const auto json = base::parse_json(content, path.string());
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

absl::Status read_lines(std::string_view content, const std::filesystem::path& path,
                        const Take& take) {
  bool any = false;
  const absl::Status status = for_each_line(
      content, path.string(), [&](std::string_view line, int64_t number) -> absl::StatusOr<bool> {
        if (base::trim(line).empty()) return true;
        const std::string where = base::str_cat(path.string(), ":", number);
        FRUGAL_ASSIGN_OR_RETURN(const base::Json json, base::parse_json(line, where));
        FRUGAL_ASSIGN_OR_RETURN(Record record, record_of(json, where, number));
        any = true;
        return take(std::move(record));
      });
  if (status.ok() || any) return status;
  if (data_form(content.substr(0, size_t{1} << 16), path) == DataForm::kTable) {
    return base::invalid_argument(path.string(),
                                  ": a table, not JSON; name it under `table` instead of `jsonl`");
  }
  return explain_object(content, path, status);
}

// Fields of one record of a comma-separated table; `rest` goes on behind it.
absl::StatusOr<std::vector<std::string>> take_quoted_fields(std::string_view& rest, char separator,
                                                            const std::string& where,
                                                            int64_t& lines) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < rest.size(); ++i) {
    const char c = rest[i];
    if (quoted) {
      if (c == '"' && i + 1 < rest.size() && rest[i + 1] == '"') {
        fields.back() += rest[i++];
      } else if (c == '"') {
        quoted = false;
      } else {
        fields.back() += c;
        lines += c == '\n';
      }
    } else if (c == '"' && fields.back().empty()) {
      quoted = true;
    } else if (c == separator) {
      fields.emplace_back();
    } else if (c == '\n') {
      ++lines;
      rest.remove_prefix(i + 1);
      if (fields.back().ends_with('\r')) fields.back().pop_back();
      return fields;
    } else {
      fields.back() += c;
    }
  }
  rest = {};
  ++lines;
  if (quoted) return base::invalid_argument(where, ": a quote opens here and never closes");
  if (fields.back().ends_with('\r')) fields.back().pop_back();
  return fields;
}

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

absl::Status read_separated(std::string_view rest, char separator, const std::string& path,
                            const Take& take) {
  std::vector<std::string> names;
  int64_t line = 1;
  while (!rest.empty()) {
    const int64_t begin = line;
    const std::string where = base::str_cat(path, ":", begin);
    FRUGAL_ASSIGN_OR_RETURN(std::vector<std::string> values,
                            take_quoted_fields(rest, separator, where, line));
    for (const std::string& value : values) FRUGAL_RETURN_IF_ERROR(check_utf8(value, where));
    if (begin == 1) {
      names = std::move(values);
      continue;
    }
    if (values.size() == 1 && values.front().empty()) continue;  // an empty line
    FRUGAL_ASSIGN_OR_RETURN(Record record, row_of(names, std::move(values), where, begin));
    FRUGAL_ASSIGN_OR_RETURN(const bool more, take(std::move(record)));
    if (!more) break;
  }
  return absl::OkStatus();
}

absl::Status read_tabbed(std::string_view content, const std::string& path, const Take& take) {
  std::vector<std::string> names;
  return for_each_line(
      content, path, [&](std::string_view line, int64_t number) -> absl::StatusOr<bool> {
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
constexpr std::string_view kLists[] = {"messages", "conversations", "conversation", "chat"};
constexpr std::pair<std::string_view, std::string_view> kTurns[] = {{"role", "content"},
                                                                    {"from", "value"}};

std::optional<Conversation> conversation_of(const Record& record) {
  for (const std::string_view list : kLists) {
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
  return base::str_cat("prompt: \"", prompt, "\", completion: \"", answer, "\"");
}

}  // namespace

absl::Status read_jsonl(const std::filesystem::path& path, const Take& take) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string content, read_without_mark(path));
  if (data_form(content, path) == DataForm::kJsonArray)
    return read_array(content, path.string(), take);
  return read_lines(content, path, take);
}

absl::Status read_table(const std::filesystem::path& path, const Take& take) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string content, read_without_mark(path));
  const DataForm form = data_form(std::string_view(content).substr(0, size_t{1} << 16), path);
  if (form == DataForm::kJsonLines || form == DataForm::kJsonArray) {
    return base::invalid_argument(path.string(),
                                  ": JSON, not a table; name it under `jsonl` instead of `table`");
  }
  const std::string_view header = std::string_view(content).substr(0, content.find('\n'));
  const char separator = table_separator(header);
  if (separator == '\t') return read_tabbed(content, path.string(), take);
  return read_separated(content, separator, path.string(), take);
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
