// The files that a journal vouches for, with their hashes. Internal to the room.
#pragma once

#include <string>
#include <vector>

#include "report/report.h"

namespace frugal::report {

struct RecordedFile {
  std::string path;  // below the run folder
  std::string sha256;
  std::string by;  // "pipeline", "site", or the step
};

struct RecordedFiles {
  std::vector<RecordedFile> files;
  // Folders below the run folder in which there is to be nothing else: checkpoints, artifacts that
  // are folders, items of steps.
  std::vector<std::string> folders;
  std::vector<std::string> unrecorded;  // what the version that ran did not hash
  std::vector<std::string> problems;    // records that name no place in the run folder
};
RecordedFiles recorded_files(const JournalView& journal);

}  // namespace frugal::report
