#include "pass/journal.h"

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/hash.h"

namespace frugal::pass {
namespace {

base::Json or_null(const std::optional<double>& value) {
  return value ? base::finite_or_null(*value) : base::Json(nullptr);
}

constexpr std::string_view kLink = R"(,"chain":")";
constexpr std::string_view kLinkEnd = R"("})";
constexpr size_t kLinkDigits = 64;

// The link at the end of a line; empty where it has none.
std::string_view link_of(std::string_view line) {
  const size_t size = kLink.size() + kLinkDigits + kLinkEnd.size();
  if (line.size() < size) return {};
  const std::string_view tail = line.substr(line.size() - size);
  if (!tail.starts_with(kLink) || !tail.ends_with(kLinkEnd)) return {};
  return tail.substr(kLink.size(), kLinkDigits);
}

std::string link_for(std::string_view before, std::string_view text) {
  return base::Sha256().add(before).add(text).hex();
}

// Complete lines; what stands behind the last newline is none.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t end; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1))
    lines.push_back(text.substr(0, end));
  return lines;
}

}  // namespace

std::string utc_now() {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
}

absl::StatusOr<Journal> Journal::open(const std::filesystem::path& path,
                                      std::function<void(const std::string&)> listener) {
  FRUGAL_ASSIGN_OR_RETURN(base::AppendFile file, base::AppendFile::open(path));
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, base::read_file(path));
  const std::vector<std::string_view> lines = lines_of(text);
  std::string link(lines.empty() ? std::string_view() : link_of(lines.back()));
  return Journal(std::move(file), std::move(link), std::move(listener));
}

absl::Status Journal::write(std::string_view event, const base::Json& fields) {
  base::Json line = {{"event", event}, {"time", utc_now()}};
  for (const auto& [key, value] : fields.items()) line[key] = value;
  std::string text = line.dump(-1, ' ', false, base::Json::error_handler_t::replace);
  text.pop_back();  // the brace
  std::string link = link_for(link_, text);
  text += base::str_cat(kLink, link, kLinkEnd);
  if (listener_) listener_(text);
  FRUGAL_RETURN_IF_ERROR(file_.append_line(text));
  link_ = std::move(link);
  return absl::OkStatus();
}

ChainCheck check_chain(std::string_view journal) {
  ChainCheck out;
  std::string before;
  bool linked_run = false;
  int64_t number = 0;
  for (const std::string_view line : lines_of(journal)) {
    ++number;
    const std::string_view link = link_of(line);
    // A run has links or has none; only where one begins may that change.
    const bool starts = line.starts_with(R"({"event":"run_start")");
    if (starts || number == 1) linked_run = !link.empty();
    if (link.empty() != !linked_run) {
      out.problems.push_back(base::str_cat("line ", number, link.empty() ? " has no" : " has a",
                                           " link to the line before, other lines of its run ",
                                           linked_run ? "have one" : "have none"));
    } else if (link.empty()) {
      ++out.unlinked;
    } else if (const std::string_view text =
                   line.substr(0, line.size() - kLink.size() - kLinkDigits - kLinkEnd.size());
               link_for(before, text) != link) {
      out.problems.push_back(
          base::str_cat("line ", number, " is not the one that was written: its link does not fit",
                        starts ? " it, or the end of the run before it was changed" : ""));
    } else {
      ++out.linked;
    }
    before = link;
  }
  return out;
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
