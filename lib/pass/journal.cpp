#include "pass/journal.h"

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace frugal::pass {
namespace {

base::Json or_null(const std::optional<double>& value) {
  return value ? base::finite_or_null(*value) : base::Json(nullptr);
}

}  // namespace

std::string utc_now() {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
}

absl::StatusOr<Journal> Journal::open(const std::filesystem::path& path,
                                      std::function<void(const std::string&)> listener) {
  FRUGAL_ASSIGN_OR_RETURN(base::AppendFile file, base::AppendFile::open(path));
  return Journal(std::move(file), std::move(listener));
}

absl::Status Journal::write(std::string_view event, const base::Json& fields) {
  base::Json line = {{"event", event}, {"time", utc_now()}};
  for (const auto& [key, value] : fields.items()) line[key] = value;
  const std::string text = line.dump(-1, ' ', false, base::Json::error_handler_t::replace);
  if (listener_) listener_(text);
  return file_.append_line(text);
}

absl::StatusOr<std::vector<base::Json>> read_latest_run(const std::filesystem::path& journal) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, base::read_file(journal));
  std::vector<base::Json> events;
  int64_t number = 0;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    const std::string where = base::str_cat(journal.string(), ":", ++number);
    FRUGAL_ASSIGN_OR_RETURN(base::Json line,
                            base::parse_json(text.substr(begin, end - begin), where));
    FRUGAL_ASSIGN_OR_RETURN(const std::string event,
                            base::json_get<std::string>(line, "event", where));
    if (event == "run_start") events.clear();
    if (event == "run_start" || !events.empty()) events.push_back(std::move(line));
  }
  if (events.empty()) {
    return base::invalid_argument(journal.string(),
                                  ": no run_start in it; expected the journal of a run");
  }
  return events;
}

base::Json to_json(const Statistic& statistic) {
  base::Json out = {{"name", statistic.name},
                    {"value", or_null(statistic.value)},
                    {"unit", statistic.unit},
                    {"help", statistic.help},
                    {"provenance", statistic.provenance}};
  if (statistic.low || statistic.high) {
    out["low"] = or_null(statistic.low);
    out["high"] = or_null(statistic.high);
    out["confidence"] = statistic.confidence;
    out["n"] = statistic.n;
    out["method"] = statistic.method;
  } else if (statistic.n > 0) {
    out["n"] = statistic.n;
  }
  if (!statistic.marks.empty()) out["marks"] = statistic.marks;
  if (statistic.range) out["range"] = energy::to_json(statistic.range);
  return out;
}

}  // namespace frugal::pass
