// Tested by: tests/base/file_test.cpp
// Files that only grow, line by line.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/descriptor.h"
#include "base/file.h"

namespace frugal::base {

namespace fs = std::filesystem;

namespace {

// The offset behind the last newline; 0 where there is none.
absl::StatusOr<int64_t> end_of_last_line(int descriptor, int64_t size_bytes,
                                         const std::string& path) {
  constexpr int64_t kChunkBytes = 1 << 16;
  std::vector<char> chunk(kChunkBytes);
  for (int64_t end = size_bytes; end > 0;) {
    const int64_t begin = std::max<int64_t>(0, end - kChunkBytes);
    const ssize_t count =
        ::pread(descriptor, chunk.data(), static_cast<size_t>(end - begin), begin);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("read", path, errno);
    if (count != end - begin) return failed("'", path, "' changed while it was opened");
    for (ssize_t i = count; i > 0; --i) {
      if (chunk[static_cast<size_t>(i - 1)] == '\n') return begin + i;
    }
    end = begin;
  }
  return 0;
}

}  // namespace

absl::StatusOr<AppendFile> AppendFile::open(const fs::path& path) {
  const int number = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
  if (number < 0) return system_error("open", path.string(), errno);
  AppendFile file(number, path);
  struct stat info{};
  if (::fstat(number, &info) != 0) return system_error("inspect", path.string(), errno);
  if (!S_ISREG(info.st_mode))
    return invalid_argument("'", path.string(), "' is not a regular file");
  // A writer that still lives would lose the line it is writing.
  // Without the lock nothing is cut off.
  if (::flock(number, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return system_error("lock", path.string(), errno);
    return failed("cannot continue '", path.string(), "': another process is writing it");
  }
  FRUGAL_ASSIGN_OR_RETURN(const int64_t end, end_of_last_line(number, info.st_size, path.string()));
  if (end != info.st_size && ::ftruncate(number, end) != 0) {
    return system_error("truncate", path.string(), errno);
  }
  if (::lseek(number, end, SEEK_SET) < 0) return system_error("seek in", path.string(), errno);
  FRUGAL_RETURN_IF_ERROR(sync_folder(parent_of(path)));
  return file;
}

AppendFile::AppendFile(int descriptor, fs::path path)
    : descriptor_(descriptor), path_(std::move(path)) {}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

AppendFile& AppendFile::operator=(AppendFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(path_, other.path_);
  return *this;
}

AppendFile::~AppendFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

absl::Status AppendFile::append_line(std::string_view line) {
  if (descriptor_ < 0) return internal("AppendFile: used after it was moved from");
  if (line.find('\n') != std::string_view::npos) {
    return internal("cannot append to '", path_.string(), "': the line holds a newline");
  }
  const off_t begin = ::lseek(descriptor_, 0, SEEK_CUR);
  if (begin < 0) return system_error("seek in", path_.string(), errno);
  int64_t written = 0;
  int error = write_fully(descriptor_, str_cat(line, "\n"), &written);
  if (error == 0 && ::fdatasync(descriptor_) != 0) error = errno;
  if (error == 0) return absl::OkStatus();
  // Take the torn line back, so that a later one does not join it. Failing that, the next opening
  // cuts it off.
  if (::ftruncate(descriptor_, begin) == 0) ::lseek(descriptor_, begin, SEEK_SET);
  return system_error("append to", path_.string(), error);
}

}  // namespace frugal::base
