// Tested by: tests/pass/runner_test.cpp
#include "pass/run_folder.h"

#include <algorithm>
#include <vector>

#include "base/file.h"

namespace frugal::pass {
namespace fs = std::filesystem;
namespace {

absl::Status make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  return error ? base::system_error("create", folder.string(), error.value()) : absl::OkStatus();
}

// A relative link, so that a run folder and the cache beside it can be moved together.
absl::Status make_link(const fs::path& target, const fs::path& link) {
  FRUGAL_RETURN_IF_ERROR(make_folder(link.parent_path()));
  std::error_code error;
  const fs::path relative = fs::relative(target, link.parent_path(), error);
  if (error) return base::system_error("resolve", target.string(), error.value());
  fs::remove(link, error);  // of an earlier run; a folder of the user is not empty and stays
  fs::create_symlink(relative, link, error);
  return error ? base::system_error("create", link.string(), error.value()) : absl::OkStatus();
}

void remove_links(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> links, folders;
  for (auto entry = fs::recursive_directory_iterator(folder, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (entry->is_symlink()) {
      links.push_back(entry->path());
    } else if (entry->is_directory()) {
      folders.push_back(entry->path());
    }
  }
  for (const fs::path& link : links) fs::remove(link, error);
  std::reverse(folders.begin(), folders.end());
  for (const fs::path& empty : folders) fs::remove(empty, error);  // refused when not empty
  fs::remove(folder, error);
}

absl::Status copy_items(const fs::path& from, const fs::path& to) {
  std::error_code error;
  for (auto entry = fs::recursive_directory_iterator(from, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (!entry->is_regular_file()) continue;
    const fs::path target = to / entry->path().lexically_relative(from);
    FRUGAL_RETURN_IF_ERROR(make_folder(target.parent_path()));
    // Every run makes these copies anew, so none needs to survive a power cut: no sync.
    fs::copy_file(entry->path(), target, fs::copy_options::overwrite_existing, error);
    if (error) return base::system_error("write", target.string(), error.value());
  }
  return error ? base::system_error("list", from.string(), error.value()) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<RunFolder> RunFolder::open(const fs::path& folder) {
  std::error_code error;
  const fs::path path = fs::absolute(folder, error).lexically_normal();
  FRUGAL_RETURN_IF_ERROR(make_folder(path));
  FRUGAL_ASSIGN_OR_RETURN(std::optional<FileLock> lock, FileLock::try_acquire(path / ".lock"));
  if (!lock) {
    return base::failed("another run is working in '", path.string(),
                        "': wait until it ends, or give --out another folder");
  }
  return RunFolder(path, *std::move(lock));
}

absl::Status RunFolder::clear() const {
  remove_links(path_ / "checkpoints");
  remove_links(path_ / "artifacts");
  std::error_code error;
  fs::remove_all(path_ / "items", error);
  return error ? base::system_error("remove", (path_ / "items").string(), error.value())
               : absl::OkStatus();
}

absl::StatusOr<std::string> RunFolder::publish(const Unit& unit, const Cache::Entry& entry) const {
  FRUGAL_RETURN_IF_ERROR(copy_items(entry.items(), path_ / "items" / unit.name()));
  switch (unit.pass->info().output) {
    case Output::kNone:
      return "";
    case Output::kArtifact:
      return link_artifacts(unit, entry);
    case Output::kCheckpoint:
      break;
  }
  const std::string relative = "checkpoints/" + unit.name();
  FRUGAL_RETURN_IF_ERROR(make_link(entry.output(), path_ / relative));
  return relative;
}

absl::StatusOr<std::string> RunFolder::link_artifacts(const Unit& unit,
                                                      const Cache::Entry& entry) const {
  std::vector<std::string> names;
  std::error_code error;
  for (auto item = fs::directory_iterator(entry.output(), error);
       !error && item != fs::directory_iterator(); item.increment(error)) {
    names.push_back(item->path().filename().string());
  }
  if (error) return base::system_error("list", entry.output().string(), error.value());
  std::sort(names.begin(), names.end());
  std::string first;
  for (const std::string& name : names) {
    std::string link = "artifacts/" + name;
    if (fs::exists(fs::symlink_status(path_ / link, error))) {  // of another step
      link = "artifacts/" + unit.id + "-" + name;
    }
    FRUGAL_RETURN_IF_ERROR(make_link(entry.output() / name, path_ / link));
    if (first.empty()) first = link;
  }
  return first;
}

}  // namespace frugal::pass
