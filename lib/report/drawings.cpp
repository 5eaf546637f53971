// Tested by: tests/report/verify_test.cpp
#include "report/drawings.h"

#include <algorithm>

#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "report/card.h"
#include "report/exports.h"
#include "report/recorded_files.h"

namespace frugal::report {

namespace fs = std::filesystem;
using base::Json;

namespace {

std::vector<Drawing> drawings_of(const JournalView& journal, const Json& report) {
  std::vector<Drawing> out = {
      {"report.json", report.dump(1, ' ', false, Json::error_handler_t::replace) + "\n"},
      {"report.csv", render_csv(report)},
      {"report.html", render_page(report)}};
  for (Card& card : model_cards(journal, report))
    out.push_back({std::move(card.path), std::move(card.text)});
  return out;
}

}  // namespace

absl::StatusOr<std::vector<Drawing>> draw(const JournalView& journal) {
  FRUGAL_ASSIGN_OR_RETURN(const Json report, summarize(journal));
  return drawings_of(journal, report);
}

std::string checksums(const JournalView& journal, const std::vector<Drawing>& drawn) {
  std::map<std::string, std::string> sums = {{"journal.jsonl", journal.sha256}};
  for (const RecordedFile& file : recorded_files(journal).files) sums[file.path] = file.sha256;
  for (const Drawing& drawing : drawn) sums[drawing.path] = base::sha256(drawing.text);
  std::string text;
  for (const auto& [path, hash] : sums) text += base::str_cat(hash, "  ", path, "\n");
  return text;
}

absl::StatusOr<std::map<std::string, std::string>> read_checksums(std::string_view text) {
  constexpr size_t kDigits = 64;
  std::map<std::string, std::string> sums;
  int64_t number = 0;
  for (const std::string& line : base::split(text, '\n')) {
    ++number;
    if (line.empty()) continue;
    const bool hashed = line.find_first_not_of("0123456789abcdef") == kDigits &&
                        line.compare(kDigits, 2, "  ") == 0 && line.size() > kDigits + 2;
    if (!hashed || !sums.emplace(line.substr(kDigits + 2), line.substr(0, kDigits)).second)
      return base::data_loss(kSums, " line ", number, " is no hash with a path of its own");
  }
  return sums;
}

absl::Status write_checksums(const fs::path& run_folder, const JournalView& journal,
                             const std::vector<Drawing>& drawn) {
  std::vector<Drawing> standing;
  for (const Drawing& drawing : drawn) {
    const auto found = base::read_file(run_folder / drawing.path);
    if (found.ok() && *found == drawing.text) standing.push_back(drawing);
  }
  return base::write_file_atomically(run_folder / kSums, checksums(journal, standing));
}

absl::Status write_report(const fs::path& run_folder) {
  FRUGAL_ASSIGN_OR_RETURN(const JournalView journal, read_journal(run_folder / "journal.jsonl"));
  FRUGAL_ASSIGN_OR_RETURN(const Json report, summarize(journal));
  std::vector<Drawing> drawn = drawings_of(journal, report);
  for (const Drawing& drawing : drawn) {
    if (!drawing.path.starts_with("report.")) continue;
    FRUGAL_RETURN_IF_ERROR(base::write_file_atomically(run_folder / drawing.path, drawing.text));
  }
  FRUGAL_RETURN_IF_ERROR(write_cards(run_folder, journal, report));
  for (Drawing& drawing : exports_of(journal).files) drawn.push_back(std::move(drawing));
  return write_checksums(run_folder, journal, drawn);
}

}  // namespace frugal::report
