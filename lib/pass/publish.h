// Where the result of a command goes when the user names a place for it.
//
// A folder that frugal publishes holds one file more than the result, `.frugal-output.json`:
// {"files": [{"path": "config.json", "bytes": 123}, …]}. By it, and only by it, frugal knows a
// folder of its own again and may replace it.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"

namespace frugal::pass {

inline constexpr const char* kOutputMarker = ".frugal-output.json";

// Whether a result may be published at `out`: nothing is there, or with `force` a regular file, an
// empty folder, or a folder that holds exactly what frugal once published in it. Errors:
// FailedPrecondition naming what stands in the way (without `force`; a folder of somebody else;
// files added or of another size than published).
absl::Status check_target(const std::filesystem::path& out, bool force);

// The model card of what is called `artifact` in a result.
struct CardFile {
  std::filesystem::path file;
  std::string artifact;
};

// The cards that a run has left in its folder for the artifacts in `result`, whose paths below the
// run folder are `paths`, in the order of their names.
std::vector<CardFile> cards_of(const std::filesystem::path& result,
                               const std::filesystem::path& run_folder,
                               const std::vector<std::string>& paths);

// Copies `result` (the output folder of a finished step) to `out`: the one file or folder in it,
// else the folder itself. It appears by one rename, or takes the place of the old one by one
// exchange; after an error `out` is what it was. A GGUF model in parts comes beside `out` where
// that is called .gguf, as format::gguf_part names its parts, the first one last, and an older
// `out` goes. Cards come along: as README.md in an artifact's folder, else beside its file
// (card_name); one that somebody has made there is left alone, with a warning. Errors: those of
// check_target; a file where a folder comes, or the other way round.
absl::Status publish_result(const std::filesystem::path& result, const std::filesystem::path& out,
                            bool force, const std::vector<CardFile>& cards = {});

// A folder at `out` that `make` fills: in a folder beside it, which takes the name when `make` is
// done, as publish_result does. After an error or an interruption nothing new stands there. Errors:
// those of check_target and of `make`.
absl::Status publish_made(
    const std::filesystem::path& out, bool force,
    const std::function<absl::Status(const std::filesystem::path& folder)>& make);

}  // namespace frugal::pass
