// Open files, and what every way of writing one needs. Internal to this room.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace frugal::base {

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

// For reading. Errors: what is no regular file.
absl::StatusOr<OpenedFile> open_regular(const std::filesystem::path& path);

std::filesystem::path parent_of(const std::filesystem::path& path);

// Makes a rename in `folder` survive a power cut.
absl::Status sync_folder(const std::filesystem::path& folder);

// 0, or the errno of the first write that failed.
int write_fully(int descriptor, std::string_view bytes, int64_t* written);

}  // namespace frugal::base
