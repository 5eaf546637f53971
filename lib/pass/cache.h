// The content-addressed cache of finished steps.
//
//   <cache>/steps/<key>/     record.json, files.json, output/…, items/*.jsonl; appears by one
//   rename <cache>/staging/<key>/   being written; what a killed run left is removed by the next
//   <cache>/resume/<key>/    resume state of an unfinished step
//   <cache>/shared/<hash>/   results that several steps share
//   <cache>/locks/, hashes/  who works on what; content hashes of folders by their files' sizes and
//   times
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace frugal::pass {

// An exclusive lock on a file, held while the object lives; freed by the kernel when the process
// dies.
class FileLock {
 public:
  // nullopt when another process (or another object) holds it.
  static absl::StatusOr<std::optional<FileLock>> try_acquire(const std::filesystem::path& path);
  // Waits, and stops waiting when the user interrupts. `on_wait` is called once when there is
  // something to wait for.
  static absl::StatusOr<FileLock> acquire(const std::filesystem::path& path,
                                          const std::function<void()>& on_wait);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

class Cache {
 public:
  // Creates the folder when it is absent.
  static absl::StatusOr<Cache> open(const std::filesystem::path& folder);
  const std::filesystem::path& folder() const { return folder_; }

  struct Entry {
    std::filesystem::path folder;
    base::Json record;
    std::filesystem::path output() const { return folder / "output"; }
    std::filesystem::path items() const { return folder / "items"; }
  };
  // Whether a finished entry stands there, unverified (for plans).
  bool contains(std::string_view key) const;
  // The verified entry; nullopt where there is none or it is damaged. Every file must be there with
  // its size; a file whose time changed since it was written is hashed again. Errors: the files
  // could not be looked at (too many open files, a disk error, a stale handle), which proves
  // nothing about them.
  absl::StatusOr<std::optional<Entry>> find(std::string_view key) const;
  // The same; a damaged entry is removed with a warning, so that it can be made again. `held` is
  // the lock of `key`: nobody else is looking at it or making it.
  absl::StatusOr<std::optional<Entry>> find(std::string_view key, const FileLock& held) const;

  absl::StatusOr<FileLock> lock(std::string_view key) const;
  // Empty folder with output/ and items/ inside. The caller holds the lock of `key`.
  absl::StatusOr<std::filesystem::path> begin(std::string_view key) const;
  // Writes record.json and files.json and publishes the staging folder.
  absl::StatusOr<Entry> publish(std::string_view key, const base::Json& record) const;
  void discard(std::string_view key) const;  // the staging folder

  absl::StatusOr<std::filesystem::path> resume_folder(std::string_view key) const;
  void remove_resume_folder(std::string_view key) const;

  // The folder of the shared result `key`, made by `make` when it is absent.
  absl::StatusOr<std::filesystem::path> shared(
      std::string_view key,
      const std::function<absl::Status(const std::filesystem::path&)>& make) const;

 private:
  explicit Cache(std::filesystem::path folder) : folder_(std::move(folder)) {}
  absl::StatusOr<std::optional<Entry>> verified(std::string_view key, std::string& damage) const;
  absl::Status remove(std::string_view key) const;
  std::filesystem::path staging(std::string_view key) const { return folder_ / "staging" / key; }
  std::filesystem::path entry(std::string_view key) const { return folder_ / "steps" / key; }
  std::filesystem::path folder_;
};

// Content hashes of large folders and data, remembered by the sizes, times and inodes of their
// files.
class HashStore {
 public:
  explicit HashStore(std::filesystem::path folder) : folder_(std::move(folder)) {}
  // The remembered hash of `folder`, or what `compute` says (null: not now, nullopt comes back).
  absl::StatusOr<std::optional<std::string>> get(
      const std::filesystem::path& folder,
      const std::function<absl::StatusOr<std::string>()>& compute);
  // The same of these files. `name` tells apart what else the hash depends on.
  absl::StatusOr<std::optional<std::string>> get(
      std::string_view name, const std::vector<std::filesystem::path>& files,
      const std::function<absl::StatusOr<std::string>()>& compute);

 private:
  std::filesystem::path folder_;
};

}  // namespace frugal::pass
