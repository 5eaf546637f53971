// Tested by: tests/report/verify_test.cpp
#include "report/verify_files.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/file.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "base/text.h"
#include "pass/model_card.h"
#include "report/drawings.h"
#include "report/exports.h"
#include "report/recorded_files.h"

namespace frugal::report {
namespace {

namespace fs = std::filesystem;
using base::str_cat;

constexpr int64_t kMegabyte = 1'000'000;

class FileVerifier {
 public:
  FileVerifier(const fs::path& run, const JournalView& journal, Verification* out)
      : run_(run), journal_(journal), recorded_(recorded_files(journal)), out_(*out) {}

  absl::Status verify() {
    for (const std::string& text : recorded_.problems) problem(text);
    FRUGAL_RETURN_IF_ERROR(hashes());
    strangers();
    if (!recorded_.unrecorded.empty()) {
      out_.unchecked.push_back(str_cat("not hashed by the version of frugal that made them: ",
                                       base::join(recorded_.unrecorded, ", ")));
    }
    read_sums();
    drawings();
    sums_of_records();
    return absl::OkStatus();
  }

 private:
  void problem(std::string_view text) { out_.problems.emplace_back(text); }

  absl::Status hashes() {
    int64_t total = 0, done = 0;
    std::map<std::string, int64_t> sizes;
    for (const RecordedFile& file : recorded_.files) {
      std::error_code error;
      const auto size = fs::file_size(run_ / file.path, error);
      if (!error) total += sizes[file.path] = static_cast<int64_t>(size);
    }
    base::Progress progress("verify", "MB", total / kMegabyte);
    for (const RecordedFile& file : recorded_.files) {
      FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
      const auto found = base::sha256_of_file(run_ / file.path);
      const int64_t next = done + sizes[file.path];
      progress.advance(next / kMegabyte - done / kMegabyte);
      done = next;
      if (!found.ok()) {
        problem(str_cat(file.by, ": ", base::as_std(found.status().message())));
      } else if (*found != file.sha256) {
        problem(str_cat(file.by, ": '", (run_ / file.path).string(), "' has SHA-256 ", *found,
                        ", the journal says ", file.sha256));
      } else {
        ++out_.files;
      }
    }
    return absl::OkStatus();
  }

  // What lies in the folders that frugal made, and no record vouches for.
  void strangers() {
    std::set<std::string> known;
    for (const RecordedFile& file : recorded_.files) known.insert(file.path);
    for (const std::string& folder : recorded_.folders) {
      std::error_code error;
      for (auto entry = fs::recursive_directory_iterator(run_ / folder, error);
           !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
        const std::string path = entry->path().lexically_relative(run_).generic_string();
        if (entry->is_regular_file(error) && !known.contains(path))
          problem(str_cat("'", (run_ / path).string(), "' was not there when ", folder,
                          " was made: no record vouches for it"));
      }
    }
  }

  void read_sums() {
    const auto text = base::read_file(run_ / kSums);
    if (!text.ok()) {
      out_.unchecked.emplace_back(base::as_std(text.status().message()));
      return;
    }
    auto read = read_checksums(*text);
    if (!read.ok()) return problem(base::as_std(read.status().message()));
    has_sums_ = true;
    sums_ = *std::move(read);
  }

  // Checks the hash that SHA256SUMS has of a path, and ticks it off.
  bool sum_is(const std::string& path, const std::string& hash) {
    const auto found = sums_.find(path);
    const bool right = found != sums_.end() && found->second == hash;
    if (found != sums_.end()) sums_.erase(found);
    return right;
  }

  void drawing(const Drawing& expected, bool may_be_absent) {
    const fs::path path = run_ / expected.path;
    const auto found = base::read_file(path);
    if (!found.ok()) {
      sums_.erase(expected.path);
      if (!may_be_absent || !absl::IsNotFound(found.status()))
        out_.unchecked.emplace_back(base::as_std(found.status().message()));
      return;
    }
    if (expected.path.starts_with("artifacts/") && !pass::is_own_card(path)) {
      out_.unchecked.push_back(str_cat("'", path.string(), "' is a card of somebody's own"));
      return;
    }
    const bool summed = sum_is(expected.path, base::sha256(*found));
    const bool same = *found == expected.text;
    if (same && has_sums_ && !summed) {
      problem(str_cat(kSums, " has no hash of '", expected.path, "', or another"));
    } else if (same) {
      ++out_.drawings;
    } else if (summed) {
      out_.unchecked.push_back(
          str_cat("'", path.string(), "' is what another version of frugal drew, unchanged since (",
                  kSums, "); this one draws it otherwise: `frugal report` draws it again"));
    } else if (!has_sums_ && !journal_.run_start.contains("chain")) {
      // Of a version that left neither hashes nor links.
      out_.unchecked.push_back(
          str_cat("'", path.string(), "' is not what this version draws; the one that ran left no ",
                  kSums, ", so that a change cannot be told from another way of drawing"));
    } else {
      const auto at =
          std::mismatch(found->begin(), found->end(), expected.text.begin(), expected.text.end());
      problem(str_cat("'", path.string(), "' is not what the journal gives (from byte ",
                      at.first - found->begin(), has_sums_ ? "), nor what was once drawn" : ")",
                      ": one of the two was changed; `frugal report` draws it again"));
    }
  }

  void drawings() {
    const auto drawn = draw(journal_);
    if (!drawn.ok()) return problem(base::as_std(drawn.status().message()));
    for (const Drawing& expected : *drawn) drawing(expected, false);
    for (const Drawing& expected : exports_of(journal_).files) drawing(expected, true);
  }

  // What is left of SHA256SUMS is the journal, and what it vouches for.
  void sums_of_records() {
    if (!has_sums_) return;
    if (!sum_is("journal.jsonl", journal_.sha256))
      problem(str_cat("journal.jsonl has SHA-256 ", journal_.sha256, ", ", kSums,
                      " has another: one of the two was changed, or a run goes on"));
    for (const RecordedFile& file : recorded_.files) {
      if (!sum_is(file.path, file.sha256))
        problem(str_cat(kSums, " has no hash of '", file.path, "', or another than the journal"));
    }
    for (const auto& [path, hash] : sums_)
      problem(str_cat(kSums, " has a hash of '", path, "', which is no file of this run"));
  }

  const fs::path& run_;
  const JournalView& journal_;
  const RecordedFiles recorded_;
  std::map<std::string, std::string> sums_;
  bool has_sums_ = false;
  Verification& out_;
};

}  // namespace

absl::Status verify_files(const fs::path& run_folder, const JournalView& journal,
                          Verification* out) {
  return FileVerifier(run_folder, journal, out).verify();
}

}  // namespace frugal::report
