// Model cards of artifacts: README.md of a repository on Hugging Face's hub, a head in YAML and a
// body in Markdown. A pure function of the journal and of report.json, so that numbers on a card
// are those of the page; what the run does not know is said to be unknown. Internal to the room.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "report/report.h"

namespace frugal::report {

struct Card {
  std::string path;  // below the run folder: "artifacts/small-q4_k.md"
  std::string text;
};

// One for each artifact of each export that did not switch it off.
std::vector<Card> model_cards(const JournalView& journal, const base::Json& report);

// Writes them, each atomically; a file of another's in the place of one is left alone, with a
// warning.
absl::Status write_cards(const std::filesystem::path& run_folder, const JournalView& journal,
                         const base::Json& report);

}  // namespace frugal::report
