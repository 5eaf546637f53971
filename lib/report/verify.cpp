#include "report/verify.h"

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "energy/window.h"
#include "report/access.h"
#include "report/drawings.h"
#include "report/models.h"
#include "report/report.h"

namespace frugal::report {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::str_cat;

class Verifier {
 public:
  Verifier(const fs::path& run, const JournalView& journal) : run_(run), journal_(journal) {}

  Verification verify() {
    for (const Json& idle : journal_.idle) window(any_at(idle, "energy"), "idle");
    for (const Json& step : journal_.steps) {
      window(any_at(step, "energy"), step_name(step));
      artifacts(step);
    }
    kept_windows();
    drawings();
    return std::move(out_);
  }

 private:
  void problem(std::string_view text) { out_.problems.emplace_back(text); }

  // A record is right when its numbers follow from its readings, and its totals from its meters.
  void window(const Json& recorded, const std::string& where) {
    if (recorded.is_null()) return;
    const auto read = energy::window_from_json(recorded, where);
    absl::Status status = read.status();
    if (status.ok()) status = energy::verify_window(*read, where);
    if (!status.ok()) return problem(base::as_std(status.message()));
    const Json again = energy::to_json(*read);
    for (const char* total : {"total_joules", "total_net_joules"}) {
      // What earlier versions did not record is not there to be compared.
      const Json totals = object_at(recorded, total);
      for (const auto& [key, value] : totals.items()) {
        if (object_at(again, total).value(key, Json()) != value)
          return problem(str_cat(where, ": ", total, " is recorded with ", key, " ", value.dump(),
                                 ", its meters give ",
                                 object_at(again, total).value(key, Json()).dump()));
      }
    }
    ++out_.windows;
  }

  // items/<step>/energy_windows.jsonl, one window a line.
  void kept_windows() {
    std::error_code error;
    std::vector<fs::path> found;
    for (auto item = fs::recursive_directory_iterator(run_ / "items", error);
         !error && item != fs::recursive_directory_iterator(); item.increment(error)) {
      if (item->path().filename() == "energy_windows.jsonl") found.push_back(item->path());
    }
    std::sort(found.begin(), found.end());
    for (const fs::path& path : found) {
      const auto text = base::read_file(path);
      if (!text.ok()) {
        problem(base::as_std(text.status().message()));
        continue;
      }
      int64_t number = 0;
      for (const std::string& line : base::split(*text, '\n')) {
        ++number;
        if (line.empty()) continue;
        const std::string where = str_cat(fs::relative(path, run_).string(), " line ", number);
        const auto json = base::parse_json(line, where);
        if (json.ok()) window(*json, where);
        if (!json.ok()) problem(base::as_std(json.status().message()));
      }
    }
  }

  // The run folder links each top entry of a step's output under artifacts/, in their order.
  void artifacts(const Json& step) {
    const Json rows = list_at(object_at(step, "tables"), "files");
    const Json links = list_at(object_at(step, "output"), "artifacts");
    std::set<std::string> tops;
    for (const Json& row : rows) tops.insert(top_of(text_at(row, "path")));
    if (rows.empty()) return;
    if (tops.size() != links.size()) {
      out_.unchecked.push_back(str_cat(step_name(step), ": ", tops.size(), " artifacts, and ",
                                       links.size(), " places of them in the record"));
      return;
    }
    for (const Json& link : links) {
      if (!link.is_string())
        return problem(str_cat(step_name(step), ": ", link.dump(), " is no place of an artifact"));
    }
    for (const Json& row : rows) {
      const std::string path = text_at(row, "path"), top = top_of(path);
      const auto index = static_cast<size_t>(std::distance(tops.begin(), tops.find(top)));
      const fs::path inside = path == top ? fs::path() : fs::path(path.substr(top.size() + 1));
      fs::path file = run_ / links[index].get<std::string>();
      if (!inside.empty()) file /= inside;
      hash(file, text_at(row, "sha256"), step_name(step));
    }
  }

  static std::string top_of(const std::string& path) { return path.substr(0, path.find('/')); }

  void hash(const fs::path& file, const std::string& expected, const std::string& step) {
    const auto found = base::sha256_of_file(file);
    if (!found.ok()) return problem(str_cat(step, ": ", base::as_std(found.status().message())));
    if (*found == expected) {
      ++out_.files;
      return;
    }
    problem(str_cat(step, ": '", file.string(), "' has SHA-256 ", *found, ", the journal says ",
                    expected));
  }

  void drawings() {
    const auto drawn = draw(journal_);
    if (!drawn.ok()) return problem(base::as_std(drawn.status().message()));
    for (const auto& [name, expected] :
         {std::pair<const char*, const std::string&>{"report.json", drawn->json},
          {"report.csv", drawn->csv},
          {"report.html", drawn->html}}) {
      const auto found = base::read_file(run_ / name);
      if (!found.ok()) {
        out_.unchecked.emplace_back(base::as_std(found.status().message()));
        continue;
      }
      if (*found == expected) {
        ++out_.drawings;
        continue;
      }
      problem(str_cat("'", (run_ / name).string(), "' is not what the journal gives (from byte ",
                      first_difference(*found, expected),
                      "): one of the two was changed, or another version of frugal drew it; "
                      "`frugal report` draws it again"));
    }
  }

  static int64_t first_difference(const std::string& a, const std::string& b) {
    return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
  }

  const fs::path& run_;
  const JournalView& journal_;
  Verification out_;
};

}  // namespace

absl::StatusOr<Verification> verify_run(const fs::path& run_folder) {
  FRUGAL_ASSIGN_OR_RETURN(const JournalView journal, read_journal(run_folder / "journal.jsonl"));
  return Verifier(run_folder, journal).verify();
}

}  // namespace frugal::report
