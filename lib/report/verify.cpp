#include "report/verify.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/text.h"
#include "energy/site.h"
#include "energy/window.h"
#include "report/access.h"
#include "report/models.h"
#include "report/report.h"
#include "report/verify_files.h"

namespace frugal::report {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::str_cat;

// Equal up to the rounding of sums and means.
bool same_number(const Json& a, const Json& b) {
  if (!a.is_number() || !b.is_number()) return a == b;
  const double x = a.get<double>(), y = b.get<double>();
  return std::abs(x - y) <= 1e-9 * std::max({std::abs(x), std::abs(y), 1e-9});
}

class Verifier {
 public:
  Verifier(const fs::path& run, const JournalView& journal, const pass::Recompute& recompute)
      : run_(run), journal_(journal), recompute_(recompute) {}

  absl::StatusOr<Verification> verify() {
    for (const Json& idle : journal_.idle) window(any_at(idle, "energy"), "idle");
    for (const Json& step : journal_.steps) {
      window(any_at(step, "energy"), step_name(step));
      FRUGAL_RETURN_IF_ERROR(statistics(step));
    }
    kept_windows();
    site();
    FRUGAL_RETURN_IF_ERROR(verify_files(run_, journal_, &out_));
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

  // Every field of `again` is what `recorded` has.
  void compare(const Json& recorded, const Json& again, const std::string& where, int64_t* count) {
    for (const auto& [key, value] : again.items()) {
      if (same_number(any_at(recorded, key), value)) continue;
      return problem(str_cat(where, ": ", key, " is recorded as ", any_at(recorded, key).dump(),
                             ", its items give ", value.dump()));
    }
    ++*count;
  }

  absl::Status statistics(const Json& step) {
    if (text_at(step, "event") != "step_end") return absl::OkStatus();
    pass::Recomputed again;
    if (recompute_) {
      auto computed = recompute_(journal_.run_start, journal_.steps, step, run_);
      if (computed.ok()) again = *std::move(computed);
      if (base::is_interrupted(computed.status())) return computed.status();
      if (!computed.ok())
        problem(str_cat(step_name(step), ": ", base::as_std(computed.status().message())));
    }
    for (const std::string& text : again.not_computed)
      out_.unchecked.push_back(str_cat(step_name(step), ": ", text));
    std::map<std::string, const Json*> by_name;
    for (const Json& statistic : again.statistics) by_name[text_at(statistic, "name")] = &statistic;
    for (const Json& recorded : list_at(step, "statistics")) {
      const std::string name = text_at(recorded, "name");
      const auto found = by_name.find(name);
      if (found == by_name.end())
        ++out_.reported;
      else
        compare(recorded, *found->second, str_cat(step_name(step), ": ", name), &out_.statistics);
    }
    const Json rows = list_at(object_at(step, "tables"), "comparison");
    for (const Json& row : again.comparisons) {
      const std::string metric = text_at(row, "metric");
      const auto recorded = std::find_if(rows.begin(), rows.end(), [&](const Json& other) {
        return text_at(other, "metric") == metric;
      });
      compare(recorded == rows.end() ? Json() : *recorded, row,
              str_cat(step_name(step), ": comparison of ", metric), &out_.comparisons);
    }
    return absl::OkStatus();
  }

  // The numbers that the journal has of the site are those of the files kept with the run.
  void site() {
    const Json recorded = any_at(journal_.run_start, "site");
    std::map<std::string, fs::path> kept;
    for (const Json& factor : list_at(journal_.run_start, "factors")) {
      const auto path = base::resolve_inside(run_, text_at(factor, "path"));
      if (path.ok()) kept[text_at(factor, "kind")] = *path;
    }
    for (const auto& [kind, path] : kept) {
      if (kind == "site") continue;
      if (const auto profile = energy::load_hardware(path); !profile.ok())
        problem(base::as_std(profile.status().message()));
    }
    if (!recorded.is_object() || !kept.contains("site")) return;
    const auto text = base::read_file(kept["site"]);
    if (!text.ok()) return problem(base::as_std(text.status().message()));
    const auto site = energy::parse_site(*text, kept["site"].string(), [&](const std::string&) {
      return energy::load_hardware(kept["hardware"]);
    });
    if (!site.ok()) return problem(base::as_std(site.status().message()));
    if (const Json again = energy::to_json(*site); again.dump() != recorded.dump())
      problem(str_cat("the site is recorded as ", recorded.dump(), ", '", kept["site"].string(),
                      "' says ", again.dump()));
  }

  const fs::path& run_;
  const JournalView& journal_;
  const pass::Recompute& recompute_;
  Verification out_;
};

}  // namespace

absl::StatusOr<Verification> verify_run(const fs::path& run_folder,
                                        const pass::Recompute& recompute) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, base::read_file(run_folder / "journal.jsonl"));
  const pass::ChainCheck chain = pass::check_chain(text);
  const auto journal = read_journal(run_folder / "journal.jsonl");
  Verification out;
  if (journal.ok()) {
    FRUGAL_ASSIGN_OR_RETURN(out, Verifier(run_folder, *journal, recompute).verify());
  } else {
    out.problems.emplace_back(base::as_std(journal.status().message()));
  }
  out.lines = chain.linked;
  for (const std::string& line : chain.problems)
    out.problems.push_back(str_cat("journal.jsonl ", line));
  if (chain.unlinked > 0) {
    out.unchecked.push_back(str_cat(chain.unlinked,
                                    " lines of journal.jsonl have no links: the version of frugal "
                                    "that wrote them made none"));
  }
  return out;
}

}  // namespace frugal::report
