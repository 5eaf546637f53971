// Files: read-only memory maps, whole-file reads with a bound, writes that appear under their name
// only when complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace frugal::base {

// A read-only mapping of a whole file; copies share it. Bytes stay valid while any copy lives.
class MappedFile {
 public:
  static absl::StatusOr<MappedFile> open(const std::filesystem::path& path);
  std::span<const std::byte> bytes() const;
  const std::filesystem::path& path() const;

 private:
  struct Mapping;
  std::shared_ptr<const Mapping> mapping_;
};

// Whether something stands under `path` (links are followed). Only the file system's word that
// there is nothing counts as no; what kept it from answering (EIO, a stale NFS handle, no
// permission) is an error, because whoever takes it for "absent" writes over finished work.
absl::StatusOr<bool> exists(const std::filesystem::path& path);

// The whole file as text. Errors: NotFound, ResourceExhausted above `max_bytes`.
absl::StatusOr<std::string> read_file(const std::filesystem::path& path,
                                      int64_t max_bytes = int64_t{1} << 32);

// Writes to a temporary name in the same folder; `commit` flushes, syncs and renames onto `path`.
// An object destroyed before commit removes its temporary file: nothing half-written ever stands
// under the final name. Errors name the path and the cause (ResourceExhausted for a full disk);
// after a failed commit the old file is what it was.
class AtomicFile {
 public:
  static absl::StatusOr<AtomicFile> create(const std::filesystem::path& path);
  AtomicFile(AtomicFile&&) noexcept;
  AtomicFile& operator=(AtomicFile&&) noexcept;
  ~AtomicFile();
  absl::Status write(std::span<const std::byte> bytes);
  absl::Status write(std::string_view text);
  // Overwrites at `offset`, which must lie inside what was written (headers with late values).
  absl::Status write_at(int64_t offset, std::span<const std::byte> bytes);
  int64_t size() const;
  absl::Status commit();

 private:
  struct State;
  explicit AtomicFile(std::unique_ptr<State> state);
  friend absl::Status copy_file(const std::filesystem::path& from, const std::filesystem::path& to);
  std::unique_ptr<State> state_;
};

absl::Status write_file_atomically(const std::filesystem::path& path, std::string_view content);

// A file that only grows, one whole line per call, flushed to the disk before the call returns (the
// journal).
class AppendFile {
 public:
  // Creates the file or continues it; a torn last line (no newline: a kill in mid-write) is cut
  // off. Errors: FailedPrecondition while another AppendFile, of this process or another, has it
  // open.
  static absl::StatusOr<AppendFile> open(const std::filesystem::path& path);
  AppendFile(AppendFile&&) noexcept;
  AppendFile& operator=(AppendFile&&) noexcept;
  ~AppendFile();
  absl::Status append_line(std::string_view line);

 private:
  explicit AppendFile(int descriptor, std::filesystem::path path);
  int descriptor_ = -1;
  std::filesystem::path path_;
};

// Renames a finished folder onto `to` (which must not exist), syncing the parent.
absl::Status publish_folder(const std::filesystem::path& from, const std::filesystem::path& to);

// Exchanges two existing folders of one parent: `to` then is what `from` was, and `from` holds the
// old one. In one step where the file system can; else `to` is absent for a moment and is put back
// when the new one cannot take its place. After an error both are what they were; should even
// putting back fail, the message says where the old folder lies.
absl::Status exchange_folders(const std::filesystem::path& from, const std::filesystem::path& to);

// `name` resolved below `folder`. Errors: absolute names, "..", symbolic links that leave the
// folder.
absl::StatusOr<std::filesystem::path> resolve_inside(const std::filesystem::path& folder,
                                                     std::string_view name);

// Copies a regular file atomically; shares its blocks where the file system can (reflink).
absl::Status copy_file(const std::filesystem::path& from, const std::filesystem::path& to);

// Bytes free for this user on the file system of `path` (or of its nearest existing parent).
absl::StatusOr<int64_t> free_bytes(const std::filesystem::path& path);

}  // namespace frugal::base
