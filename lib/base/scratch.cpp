#include "base/scratch.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/descriptor.h"
#include "base/text.h"

namespace frugal::base {

namespace fs = std::filesystem;

namespace {

// A file that has no name, or loses it at once where the file system wants one.
absl::StatusOr<Descriptor> open_nameless(const fs::path& folder) {
#ifdef O_TMPFILE
  if (const int number = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600); number >= 0)
    return Descriptor(number);
#endif
  std::string name = (folder / ".frugal-scratch-XXXXXX").string();
  const int number = ::mkostemp(name.data(), O_CLOEXEC);
  if (number < 0) return system_error("create a temporary file in", folder.string(), errno);
  ::unlink(name.c_str());
  return Descriptor(number);
}

std::string place(const fs::path& folder) {
  return str_cat("a temporary file in ", folder.string());
}

}  // namespace

struct ScratchFile::State {
  fs::path folder;
  Descriptor descriptor;
  int64_t size_bytes = 0;
};

ScratchFile::ScratchFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
ScratchFile::ScratchFile(ScratchFile&&) noexcept = default;
ScratchFile& ScratchFile::operator=(ScratchFile&&) noexcept = default;
ScratchFile::~ScratchFile() = default;

absl::StatusOr<ScratchFile> ScratchFile::create(const fs::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(Descriptor descriptor, open_nameless(folder));
  return ScratchFile(std::make_unique<State>(State{folder, std::move(descriptor)}));
}

int64_t ScratchFile::size_bytes() const { return state_->size_bytes; }

absl::Status ScratchFile::append(std::span<const std::byte> bytes) {
  int64_t written = 0;
  const int error =
      write_fully(state_->descriptor.number(),
                  {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, &written);
  state_->size_bytes += written;
  if (error != 0) return system_error("write", place(state_->folder), error);
  return absl::OkStatus();
}

absl::Status ScratchFile::read(int64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = ::pread(state_->descriptor.number(), bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("read", place(state_->folder), errno);
    if (count == 0) {
      return internal("cannot read ", bytes.size(), " bytes at ", offset, " of ",
                      place(state_->folder), ": it has ", state_->size_bytes);
    }
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += count;
  }
  return absl::OkStatus();
}

absl::StatusOr<ScratchMemory> ScratchMemory::create(const fs::path& folder, int64_t size_bytes) {
  if (size_bytes == 0) return ScratchMemory(nullptr, 0);  // the kernel refuses to map nothing
  FRUGAL_ASSIGN_OR_RETURN(const Descriptor descriptor, open_nameless(folder));
  // Blocks are taken now: a disk that fills up later would be a signal at the first write to them.
  if (const int error = ::posix_fallocate(descriptor.number(), 0, size_bytes); error != 0)
    return system_error("write", place(folder), error);
  void* address = ::mmap(nullptr, static_cast<size_t>(size_bytes), PROT_READ | PROT_WRITE,
                         MAP_SHARED, descriptor.number(), 0);
  if (address == MAP_FAILED) return system_error("map", place(folder), errno);
  return ScratchMemory(address, static_cast<size_t>(size_bytes));
}

ScratchMemory::ScratchMemory(ScratchMemory&& other) noexcept
    : address_(std::exchange(other.address_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

ScratchMemory& ScratchMemory::operator=(ScratchMemory&& other) noexcept {
  std::swap(address_, other.address_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

ScratchMemory::~ScratchMemory() {
  if (address_ != nullptr) ::munmap(address_, size_bytes_);
}

}  // namespace frugal::base
