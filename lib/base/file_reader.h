// A regular file from front to back, in pieces: for what need not be in memory as a whole.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "base/status.h"

namespace frugal::base {

class FileReader {
 public:
  static absl::StatusOr<FileReader> open(const std::filesystem::path& path);
  FileReader(FileReader&&) noexcept;
  FileReader& operator=(FileReader&&) noexcept;
  ~FileReader();
  // Bytes read; fewer than asked for only at the end, 0 behind it.
  absl::StatusOr<size_t> read(std::span<char> bytes);

 private:
  struct State;
  explicit FileReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace frugal::base
