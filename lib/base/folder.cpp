// Tested by: tests/base/file_test.cpp
// Folders: publishing them whole, staying inside them, and the room there is.
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/descriptor.h"
#include "base/file.h"

namespace frugal::base {

namespace fs = std::filesystem;

absl::Status publish_folder(const fs::path& from, const fs::path& to) {
  std::error_code ignored;
  if (!fs::is_directory(from, ignored))
    return not_found("cannot publish '", from.string(), "': no such folder");
  FRUGAL_RETURN_IF_ERROR(sync_folder(from));
  int outcome = ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE);
  if (outcome != 0 && errno == EINVAL) {  // a file system without that flag
    if (fs::exists(fs::symlink_status(to, ignored))) {
      errno = EEXIST;
    } else {
      outcome = ::rename(from.c_str(), to.c_str());
    }
  }
  if (outcome != 0) {
    return annotate(system_error("create", to.string(), errno),
                    str_cat("publishing '", from.string(), "'"));
  }
  return sync_folder(parent_of(to));
}

namespace {

absl::Status exchange_in_steps(const fs::path& from, const fs::path& to) {
  const fs::path aside = to.string() + str_cat(".old-", ::getpid());
  if (::rename(to.c_str(), aside.c_str()) != 0) {
    return system_error("replace", to.string(), errno);
  }
  if (::rename(from.c_str(), to.c_str()) != 0) {
    absl::Status failure = system_error("replace", to.string(), errno);
    if (::rename(aside.c_str(), to.c_str()) == 0) return failure;
    return annotate(failure, str_cat("the old folder could not be put back and lies in '",
                                     aside.string(), "'"));
  }
  if (::rename(aside.c_str(), from.c_str()) != 0) {
    return annotate(system_error("rename", aside.string(), errno),
                    str_cat("'", to.string(), "' is replaced; the old folder remains"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status exchange_folders(const fs::path& from, const fs::path& to) {
  FRUGAL_RETURN_IF_ERROR(sync_folder(from));
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) != 0) {
    if (errno != EINVAL && errno != ENOSYS) return system_error("replace", to.string(), errno);
    FRUGAL_RETURN_IF_ERROR(exchange_in_steps(from, to));
  }
  return sync_folder(parent_of(to));
}

absl::StatusOr<fs::path> resolve_inside(const fs::path& folder, std::string_view name) {
  const auto refused = [&](std::string_view reason) {
    return invalid_argument("file name '", name, "' below '", folder.string(), "': ", reason);
  };
  if (name.empty()) return refused("it is empty");
  if (name.find('\0') != std::string_view::npos) return refused("it holds a zero byte");
  const fs::path relative(name);
  if (relative.is_absolute()) return refused("absolute names are not accepted");
  for (const fs::path& part : relative) {
    if (part == "..") return refused("'..' is not accepted");
  }
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  if (error) return system_error("resolve", folder.string(), error.value());
  const fs::path target = fs::weakly_canonical(root / relative, error);
  if (error) return system_error("resolve", (folder / relative).string(), error.value());
  const auto [end, rest] = std::mismatch(root.begin(), root.end(), target.begin(), target.end());
  if (end != root.end())
    return refused(str_cat("it leads to '", target.string(), "', out of the folder"));
  return folder / relative;
}

absl::StatusOr<int64_t> free_bytes(const fs::path& path) {
  std::error_code error;
  fs::path existing = fs::absolute(path, error);
  if (error) return system_error("resolve", path.string(), error.value());
  while (!fs::exists(existing, error) && existing.has_relative_path())
    existing = existing.parent_path();
  struct statvfs info{};
  if (::statvfs(existing.c_str(), &info) != 0)
    return system_error("inspect", existing.string(), errno);
  return static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
}

}  // namespace frugal::base
