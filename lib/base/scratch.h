// Room on a disk for what is too much for memory: files without a name, gone with the object or
// with the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <type_traits>

#include "base/status.h"

namespace frugal::base {

// Bytes behind each other, read back from any place.
class ScratchFile {
 public:
  // In `folder`, which must exist.
  static absl::StatusOr<ScratchFile> create(const std::filesystem::path& folder);
  ScratchFile(ScratchFile&&) noexcept;
  ScratchFile& operator=(ScratchFile&&) noexcept;
  ~ScratchFile();

  // Errors: ResourceExhausted on a full disk.
  absl::Status append(std::span<const std::byte> bytes);
  // Fills `bytes` from `offset` on. Errors: what lies beyond the end.
  absl::Status read(int64_t offset, std::span<std::byte> bytes) const;
  int64_t size_bytes() const;

 private:
  struct State;
  explicit ScratchFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Zeroed memory that the system may write to the disk and take back: unlike the heap it does not
// have to fit beside everything else.
class ScratchMemory {
 public:
  // Errors: ResourceExhausted where the disk has no room for it, so that no later access fails.
  static absl::StatusOr<ScratchMemory> create(const std::filesystem::path& folder,
                                              int64_t size_bytes);
  ScratchMemory(ScratchMemory&& other) noexcept;
  ScratchMemory& operator=(ScratchMemory&& other) noexcept;
  ~ScratchMemory();
  std::span<std::byte> bytes() const { return {static_cast<std::byte*>(address_), size_bytes_}; }

 private:
  ScratchMemory(void* address, size_t size_bytes) : address_(address), size_bytes_(size_bytes) {}
  void* address_ = nullptr;
  size_t size_bytes_ = 0;
};

// `count` values of T, zero at first.
template <typename T>
class ScratchArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  static absl::StatusOr<ScratchArray> create(const std::filesystem::path& folder, size_t count) {
    FRUGAL_ASSIGN_OR_RETURN(ScratchMemory memory,
                            ScratchMemory::create(folder, static_cast<int64_t>(count * sizeof(T))));
    return ScratchArray(std::move(memory), count);
  }
  std::span<T> values() const { return {reinterpret_cast<T*>(memory_.bytes().data()), count_}; }

 private:
  ScratchArray(ScratchMemory memory, size_t count) : memory_(std::move(memory)), count_(count) {}
  ScratchMemory memory_;
  size_t count_ = 0;
};

}  // namespace frugal::base
