// Tested by: tests/base/file_test.cpp
// Files that appear under their name only when complete.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/descriptor.h"
#include "base/file.h"

namespace frugal::base {

namespace fs = std::filesystem;

struct AtomicFile::State {
  static constexpr size_t kBufferBytes = size_t{1} << 20;

  fs::path path;
  fs::path temporary;
  Descriptor descriptor;
  bool is_named;  // `temporary` stands in the folder
  std::string buffer;
  int64_t flushed_bytes = 0;
  int64_t started_bytes = 0;  // of them, on their way to the disk

  State(fs::path target, fs::path temporary_name, Descriptor file, bool named)
      : path(std::move(target)),
        temporary(std::move(temporary_name)),
        descriptor(std::move(file)),
        is_named(named) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (is_named) ::unlink(temporary.c_str());
  }

  absl::Status flush() {
    size_t written = 0;
    const absl::Status status = put(buffer, written);
    buffer.erase(0, written);
    return status;
  }

  // In pieces, each on its way to the disk while the next is made: what is left for the sync at
  // the end would otherwise be everything that the system's cache took.
  absl::Status put(std::string_view bytes, size_t& written) {
    constexpr size_t kPieceBytes = size_t{16} << 20;
    written = 0;
    while (written < bytes.size()) {
      int64_t count = 0;
      const int error =
          write_fully(descriptor.number(), bytes.substr(written, kPieceBytes), &count);
      written += static_cast<size_t>(count);
      flushed_bytes += count;
      if (error != 0) return system_error("write", path.string(), error);
      if (flushed_bytes - started_bytes < static_cast<int64_t>(kPieceBytes)) continue;
      // Nothing depends on it; not every file system has it.
      ::sync_file_range(descriptor.number(), started_bytes, flushed_bytes - started_bytes,
                        SYNC_FILE_RANGE_WRITE);
      started_bytes = flushed_bytes;
    }
    return absl::OkStatus();
  }

  absl::Status give_name() {
    if (is_named) return absl::OkStatus();
    const std::string own = str_cat("/proc/self/fd/", descriptor.number());
    ::unlink(temporary.c_str());  // of a process that died with our number
    if (::linkat(AT_FDCWD, own.c_str(), AT_FDCWD, temporary.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      return system_error("write", path.string(), errno);
    }
    is_named = true;
    return absl::OkStatus();
  }
};

absl::StatusOr<AtomicFile> AtomicFile::create(const fs::path& path) {
  static std::atomic<uint64_t> counter{0};
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return invalid_argument("cannot write '", path.string(), "': ",
                            S_ISDIR(info.st_mode) ? "it is a folder" : "it is not a regular file");
  }
  if (!path.has_filename())
    return invalid_argument("cannot write '", path.string(), "': no file name");
  const fs::path folder = parent_of(path);
  const fs::path temporary = folder / str_cat(".", path.filename().string().substr(0, 200), ".",
                                              ::getpid(), "-", counter.fetch_add(1), ".partial");
  // A file without a name vanishes with the process, even one that is killed; not every file system
  // has them.
  int number = -1;
#ifdef O_TMPFILE
  number = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
#endif
  const bool named = number < 0;
  if (named) number = ::open(temporary.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (number < 0) return system_error("create", path.string(), errno);
  return AtomicFile(std::make_unique<State>(path, temporary, Descriptor(number), named));
}

AtomicFile::AtomicFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
AtomicFile::AtomicFile(AtomicFile&&) noexcept = default;
AtomicFile& AtomicFile::operator=(AtomicFile&&) noexcept = default;
AtomicFile::~AtomicFile() = default;

absl::Status AtomicFile::write(std::span<const std::byte> bytes) {
  return write(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

absl::Status AtomicFile::write(std::string_view text) {
  if (state_ == nullptr) return internal("AtomicFile: written after commit");
  if (state_->buffer.size() + text.size() < State::kBufferBytes) {
    state_->buffer += text;
    return absl::OkStatus();
  }
  FRUGAL_RETURN_IF_ERROR(state_->flush());
  size_t written = 0;
  return state_->put(text, written);
}

absl::Status AtomicFile::write_at(int64_t offset, std::span<const std::byte> bytes) {
  if (state_ == nullptr) return internal("AtomicFile: written after commit");
  const auto count = static_cast<int64_t>(bytes.size());
  if (offset < 0 || offset > size() || count > size() - offset) {
    return internal("cannot overwrite ", count, " bytes at ", offset, " of '",
                    state_->path.string(), "': only ", size(), " are written");
  }
  FRUGAL_RETURN_IF_ERROR(state_->flush());
  const auto* data = reinterpret_cast<const char*>(bytes.data());
  for (int64_t done = 0; done < count;) {
    const ssize_t written = ::pwrite(state_->descriptor.number(), data + done,
                                     static_cast<size_t>(count - done), offset + done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0)
      return system_error("write", state_->path.string(), written < 0 ? errno : ENOSPC);
    done += written;
  }
  return absl::OkStatus();
}

int64_t AtomicFile::size() const {
  return state_ == nullptr ? 0
                           : state_->flushed_bytes + static_cast<int64_t>(state_->buffer.size());
}

absl::Status AtomicFile::commit() {
  if (state_ == nullptr) return internal("AtomicFile: committed twice");
  const std::unique_ptr<State> state = std::move(state_);  // whatever happens, the object is spent
  const std::string path = state->path.string();
  FRUGAL_RETURN_IF_ERROR(state->flush());
  if (::fsync(state->descriptor.number()) != 0) return system_error("sync", path, errno);
  FRUGAL_RETURN_IF_ERROR(state->give_name());
  if (state->descriptor.close() != 0) return system_error("close", path, errno);
  if (::rename(state->temporary.c_str(), state->path.c_str()) != 0) {
    return system_error("write", path, errno);
  }
  state->is_named = false;
  return sync_folder(parent_of(state->path));
}

absl::Status write_file_atomically(const fs::path& path, std::string_view content) {
  FRUGAL_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  FRUGAL_RETURN_IF_ERROR(file.write(content));
  return file.commit();
}

absl::Status copy_file(const fs::path& from, const fs::path& to) {
  FRUGAL_ASSIGN_OR_RETURN(const OpenedFile original, open_regular(from));
  FRUGAL_ASSIGN_OR_RETURN(AtomicFile target, AtomicFile::create(to));
  const int sharing =
      ::ioctl(target.state_->descriptor.number(), FICLONE, original.descriptor.number());
  if (sharing == 0) return target.commit();
  FRUGAL_ASSIGN_OR_RETURN(const MappedFile source, MappedFile::open(from));
  FRUGAL_RETURN_IF_ERROR(target.write(source.bytes()));
  return target.commit();
}

}  // namespace frugal::base
