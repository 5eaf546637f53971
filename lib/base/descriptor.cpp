#include "base/descriptor.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include "base/text.h"

namespace frugal::base {

namespace fs = std::filesystem;

absl::StatusOr<OpenedFile> open_regular(const fs::path& path) {
  // O_NONBLOCK: a pipe under the name must give an error, not wait for a writer.
  Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (descriptor.number() < 0) return system_error("open", path.string(), errno);
  struct stat info{};
  if (::fstat(descriptor.number(), &info) != 0)
    return system_error("inspect", path.string(), errno);
  if (!S_ISREG(info.st_mode)) {
    return invalid_argument("cannot read '", path.string(), "': ",
                            S_ISDIR(info.st_mode) ? "it is a folder" : "it is not a regular file");
  }
  return OpenedFile{std::move(descriptor), static_cast<int64_t>(info.st_size)};
}

fs::path parent_of(const fs::path& path) {
  const fs::path parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

absl::Status sync_folder(const fs::path& folder) {
  Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.number() < 0) return system_error("open", folder.string(), errno);
  // Some file systems (FUSE, 9p) do not sync folders; the rename itself has succeeded.
  if (::fsync(descriptor.number()) != 0 && errno != EINVAL && errno != ENOTSUP) {
    return system_error("sync", folder.string(), errno);
  }
  return absl::OkStatus();
}

int write_fully(int descriptor, std::string_view bytes, int64_t* written) {
  *written = 0;
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    if (count == 0) return ENOSPC;
    bytes.remove_prefix(static_cast<size_t>(count));
    *written += count;
  }
  return 0;
}

}  // namespace frugal::base
