#include "base/file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/descriptor.h"

namespace frugal::base {

namespace fs = std::filesystem;

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

}  // namespace frugal::base
