// The folder of a run: its lock, and links into the cache.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "pass/cache.h"
#include "pass/plan.h"

namespace frugal::pass {

class RunFolder {
 public:
  // Creates the folder and takes its lock. Errors: FailedPrecondition while another run works in
  // it, or where files of somebody else stand under the names of a run's.
  static absl::StatusOr<RunFolder> open(const std::filesystem::path& folder);
  const std::filesystem::path& path() const { return path_; }

  // Removes the links, model cards, items and factors of earlier runs; files of the user stay.
  absl::Status clear() const;
  // Copies files of factors to factors/<kind>.yaml, so that the folder holds all that its numbers
  // rest on. Returns [{kind, from, path, bytes, sha256}] for the journal.
  absl::StatusOr<base::Json> keep_factors(const std::vector<FactorFile>& files) const;
  // Links the outputs of a finished unit and copies its items. Returns the paths of the outputs
  // below the run folder: of a checkpoint one, of artifacts those of all files and folders by name,
  // else none.
  absl::StatusOr<std::vector<std::string>> publish(const Unit& unit,
                                                   const Cache::Entry& entry) const;

 private:
  RunFolder(std::filesystem::path path, FileLock lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  absl::StatusOr<std::vector<std::string>> link_artifacts(const Unit& unit,
                                                          const Cache::Entry& entry) const;
  std::filesystem::path path_;
  FileLock lock_;
};

}  // namespace frugal::pass
