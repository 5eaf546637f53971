#include "base/file_reader.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/descriptor.h"

namespace frugal::base {

struct FileReader::State {
  std::filesystem::path path;
  Descriptor descriptor;
};

FileReader::FileReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
FileReader::FileReader(FileReader&&) noexcept = default;
FileReader& FileReader::operator=(FileReader&&) noexcept = default;
FileReader::~FileReader() = default;

absl::StatusOr<FileReader> FileReader::open(const std::filesystem::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(OpenedFile file, open_regular(path));
  return FileReader(std::make_unique<State>(State{path, std::move(file.descriptor)}));
}

absl::StatusOr<size_t> FileReader::read(std::span<char> bytes) {
  size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t count =
        ::read(state_->descriptor.number(), bytes.data() + size, bytes.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("read", state_->path.string(), errno);
    if (count == 0) break;
    size += static_cast<size_t>(count);
  }
  return size;
}

}  // namespace frugal::base
