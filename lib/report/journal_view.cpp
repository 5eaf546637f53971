#include <string>

#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "report/access.h"
#include "report/report.h"

namespace frugal::report {

namespace {

absl::StatusOr<std::vector<base::Json>> parse_lines(std::string_view text, std::string_view where) {
  std::vector<base::Json> events;
  int64_t number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    if (end == std::string_view::npos)
      break;  // a torn last line: the run was killed while writing it
    FRUGAL_ASSIGN_OR_RETURN(
        base::Json event,
        base::parse_json(text.substr(0, end), base::str_cat(where, " line ", number)));
    if (!event.is_object() || !event.contains("event")) {
      return base::data_loss(where, " line ", number,
                             " is no journal record: expected an object with 'event'");
    }
    events.push_back(std::move(event));
    text.remove_prefix(end + 1);
  }
  return events;
}

// Lists whose elements everybody takes for texts.
absl::Status check_texts(const base::Json& step) {
  for (const char* key : {"from", "warnings"}) {
    for (const base::Json& text : list_at(step, key)) {
      if (!text.is_string())
        return base::data_loss("the record of step ", text_at(step, "id"), " has in '", key,
                               "' what is no text: ", text.dump().substr(0, 200));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<JournalView> read_journal(const std::filesystem::path& journal) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, base::read_file(journal));
  FRUGAL_ASSIGN_OR_RETURN(std::vector<base::Json> events, parse_lines(text, journal.string()));
  JournalView view;
  bool started = false;
  for (base::Json& event : events) {
    const std::string kind = text_at(event, "event");
    if (kind == "run_start") {
      view = JournalView{};
      view.run_start = std::move(event);
      started = true;
    } else if (kind == "run_end") {
      view.run_end = std::move(event);
    } else if (kind == "step_end" || kind == "step_failed") {
      FRUGAL_RETURN_IF_ERROR(check_texts(event));
      view.steps.push_back(std::move(event));
    } else if (kind == "idle") {
      view.idle.push_back(std::move(event));
    }
  }
  if (!started) {
    return base::data_loss(journal.string(),
                           " holds no run_start record: it is empty or not a journal of frugal");
  }
  view.sha256 = base::sha256(text);
  return view;
}

}  // namespace frugal::report
