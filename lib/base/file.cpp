#include "base/file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

namespace frugal::base {
namespace fs = std::filesystem;
namespace {

// An open file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int number() const { return number_; }
  int close() { return ::close(std::exchange(number_, -1)); }

 private:
  int number_;
};

struct OpenedFile {
  Descriptor descriptor;
  int64_t size_bytes;
};

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

// Makes a rename in `folder` survive a power cut.
absl::Status sync_folder(const fs::path& folder) {
  Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.number() < 0) return system_error("open", folder.string(), errno);
  // Some file systems (FUSE, 9p) do not sync folders; the rename itself has succeeded.
  if (::fsync(descriptor.number()) != 0 && errno != EINVAL && errno != ENOTSUP) {
    return system_error("sync", folder.string(), errno);
  }
  return absl::OkStatus();
}

// 0, or the errno of the first write that failed.
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

}  // namespace

struct MappedFile::Mapping {
  fs::path path;
  void* address = nullptr;
  size_t size_bytes = 0;

  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (address != nullptr) ::munmap(address, size_bytes);
  }
};

absl::StatusOr<MappedFile> MappedFile::open(const fs::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const OpenedFile file, open_regular(path));
  auto mapping = std::make_shared<Mapping>();
  mapping->path = path;
  mapping->size_bytes = static_cast<size_t>(file.size_bytes);
  if (file.size_bytes > 0) {  // the kernel refuses to map nothing
    void* address =
        ::mmap(nullptr, mapping->size_bytes, PROT_READ, MAP_PRIVATE, file.descriptor.number(), 0);
    if (address == MAP_FAILED) return system_error("map", path.string(), errno);
    mapping->address = address;
  }
  MappedFile out;
  out.mapping_ = std::move(mapping);
  return out;
}

std::span<const std::byte> MappedFile::bytes() const {
  if (mapping_ == nullptr) return {};
  return {static_cast<const std::byte*>(mapping_->address), mapping_->size_bytes};
}

const fs::path& MappedFile::path() const {
  static const fs::path kNone;
  return mapping_ == nullptr ? kNone : mapping_->path;
}

absl::StatusOr<bool> exists(const fs::path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return system_error("inspect", path.string(), errno);
}

absl::StatusOr<std::string> read_file(const fs::path& path, int64_t max_bytes) {
  FRUGAL_ASSIGN_OR_RETURN(const OpenedFile file, open_regular(path));
  const auto too_large = [&](int64_t found) {
    return resource_exhausted("cannot read '", path.string(), "': it has ", found,
                              " bytes or more, at most ", max_bytes, " are accepted here");
  };
  if (file.size_bytes > max_bytes) return too_large(file.size_bytes);
  std::string content;
  size_t size = 0;
  // Files below /proc and /sys say that they are empty: read until the end, whatever the size says.
  for (size_t room = static_cast<size_t>(file.size_bytes) + 1;;
       room = std::max<size_t>(2 * size, 4096)) {
    content.resize(std::max(room, size + 1));
    while (size < content.size()) {
      const ssize_t count =
          ::read(file.descriptor.number(), content.data() + size, content.size() - size);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return system_error("read", path.string(), errno);
      if (count == 0) {
        content.resize(size);
        return content;
      }
      size += static_cast<size_t>(count);
      if (size > static_cast<size_t>(max_bytes)) return too_large(static_cast<int64_t>(size));
    }
  }
}

struct AtomicFile::State {
  static constexpr size_t kBufferBytes = size_t{1} << 20;

  fs::path path;
  fs::path temporary;
  Descriptor descriptor;
  bool is_named;  // `temporary` stands in the folder
  std::string buffer;
  int64_t flushed_bytes = 0;

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
    int64_t written = 0;
    const int error = write_fully(descriptor.number(), buffer, &written);
    flushed_bytes += written;
    buffer.erase(0, static_cast<size_t>(written));
    if (error != 0) return system_error("write", path.string(), error);
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
  int64_t written = 0;
  const int error = write_fully(state_->descriptor.number(), text, &written);
  state_->flushed_bytes += written;
  if (error != 0) return system_error("write", state_->path.string(), error);
  return absl::OkStatus();
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
    const absl::Status failure = system_error("replace", to.string(), errno);
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
