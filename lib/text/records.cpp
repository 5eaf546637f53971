#include "text/records.h"

#include "base/file.h"
#include "base/json.h"

namespace frugal::text {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Calls `take(line, number)` for every line, without its ending, until it returns false.
absl::Status for_each_line(
    const std::filesystem::path& path,
    const std::function<absl::StatusOr<bool>(std::string_view, int64_t)>& take) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string content, base::read_file(path));
  std::string_view rest = content;
  if (rest.starts_with(kByteOrderMark)) rest.remove_prefix(kByteOrderMark.size());
  for (int64_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!base::is_valid_utf8(line)) {
      return base::invalid_argument(path.string(), ":", number,
                                    ": not valid UTF-8; convert the file");
    }
    FRUGAL_ASSIGN_OR_RETURN(const bool more, take(line, number));
    if (!more) break;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status read_jsonl(const std::filesystem::path& path,
                        const std::function<absl::StatusOr<bool>(Record)>& take) {
  return for_each_line(path, [&](std::string_view line, int64_t number) -> absl::StatusOr<bool> {
    if (base::trim(line).empty()) return true;
    Record record{{}, base::str_cat(path.string(), ":", number), number};
    FRUGAL_ASSIGN_OR_RETURN(const base::Json json, base::parse_json(line, record.where));
    if (!json.is_object())
      return base::invalid_argument(record.where, ": expected an object on each line");
    for (const auto& [key, value] : json.items()) {
      if (value.is_string())
        record.fields[key] = value.get<std::string>();
      else if (value.is_number() || value.is_boolean())
        record.fields[key] = value.dump();
    }
    return take(std::move(record));
  });
}

absl::Status read_table(const std::filesystem::path& path,
                        const std::function<absl::StatusOr<bool>(Record)>& take) {
  std::vector<std::string> names;
  return for_each_line(path, [&](std::string_view line, int64_t number) -> absl::StatusOr<bool> {
    if (number == 1) {
      names = base::split(line, '\t');
      return true;
    }
    if (line.empty()) return true;
    std::vector<std::string> values = base::split(line, '\t');
    Record record{{}, base::str_cat(path.string(), ":", number), number};
    if (values.size() != names.size()) {
      return base::invalid_argument(record.where, ": ", values.size(),
                                    " columns, the header names ", names.size());
    }
    for (size_t i = 0; i < names.size(); ++i) record.fields[names[i]] = std::move(values[i]);
    return take(std::move(record));
  });
}

}  // namespace frugal::text
