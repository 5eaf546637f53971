#include "pass/cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/log.h"

namespace frugal::pass {
namespace fs = std::filesystem;
namespace {

constexpr auto kLockPause = std::chrono::milliseconds(100);

absl::Status make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  return error ? base::system_error("create", folder.string(), error.value()) : absl::OkStatus();
}

int64_t nanoseconds(const struct stat& info) {
  return int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

absl::StatusOr<int64_t> modified_nanoseconds(const fs::path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    return base::system_error("inspect", path.string(), errno);
  }
  return nanoseconds(info);
}

// Regular files below `folder`, sorted by their relative names.
absl::StatusOr<std::vector<std::string>> files_below(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  auto entry = fs::recursive_directory_iterator(folder, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (entry->is_regular_file(error) && !error) {
      names.push_back(entry->path().lexically_relative(folder).generic_string());
    }
  }
  if (error) return base::system_error("list", folder.string(), error.value());
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<base::Json> describe_files(const fs::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_below(folder));
  base::Json files = base::Json::array();
  for (const std::string& name : names) {
    if (name == "files.json") continue;
    std::error_code error;
    const auto size = fs::file_size(folder / name, error);
    if (error) return base::system_error("inspect", (folder / name).string(), error.value());
    FRUGAL_ASSIGN_OR_RETURN(const std::string hash, base::xxh3_128_of_file(folder / name));
    FRUGAL_ASSIGN_OR_RETURN(const int64_t modified, modified_nanoseconds(folder / name));
    files.push_back({{"path", name},
                     {"bytes", static_cast<int64_t>(size)},
                     {"xxh3", hash},
                     {"modified_nanoseconds", modified}});
  }
  return files;
}

// DataLoss is the proof that an entry is damaged, and nothing else is: files that cannot be looked
// at may be sound.
absl::Status verify_file(const fs::path& folder, const base::Json& file) {
  const auto name = base::json_get<std::string>(file, "path", "files.json");
  const auto bytes = base::json_get<int64_t>(file, "bytes", "files.json");
  const auto hash = base::json_get<std::string>(file, "xxh3", "files.json");
  const auto written = base::json_get<int64_t>(file, "modified_nanoseconds", "files.json");
  for (const absl::Status& status :
       {name.status(), bytes.status(), hash.status(), written.status()}) {
    if (!status.ok()) return base::data_loss(status.message());
  }
  struct stat info{};
  if (::stat((folder / *name).c_str(), &info) != 0) {
    if (errno == ENOENT) return base::data_loss("'", *name, "' is missing");
    return base::system_error("inspect", (folder / *name).string(), errno);
  }
  if (info.st_size != *bytes) {
    return base::data_loss("'", *name, "' has ", int64_t{info.st_size}, " bytes, expected ",
                           *bytes);
  }
  if (nanoseconds(info) == *written) return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(const std::string found, base::xxh3_128_of_file(folder / *name));
  return found == *hash ? absl::OkStatus() : base::data_loss("'", *name, "' was changed");
}

absl::StatusOr<base::Json> json_of_entry(const fs::path& folder, const char* name) {
  const auto text = base::read_file(folder / name);
  if (absl::IsNotFound(text.status())) return base::data_loss("'", name, "' is missing");
  if (!text.ok()) return text.status();
  auto json = base::parse_json(*text, name);
  return json.ok() ? json : base::data_loss(json.status().message());
}

absl::StatusOr<base::Json> verified_record(const fs::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(const base::Json files, json_of_entry(folder, "files.json"));
  if (!files.is_array()) return base::data_loss("files.json is no list");
  for (const base::Json& file : files) FRUGAL_RETURN_IF_ERROR(verify_file(folder, file));
  return json_of_entry(folder, "record.json");
}

}  // namespace

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}
FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

absl::StatusOr<std::optional<FileLock>> FileLock::try_acquire(const fs::path& path) {
  FRUGAL_RETURN_IF_ERROR(make_folder(path.parent_path()));
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0) return base::system_error("open", path.string(), errno);
  FileLock lock(descriptor);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK || errno == EINTR) return std::nullopt;
  return base::system_error("lock", path.string(), errno);
}

absl::StatusOr<FileLock> FileLock::acquire(const fs::path& path,
                                           const std::function<void()>& on_wait) {
  for (bool waiting = false;; waiting = true) {
    FRUGAL_ASSIGN_OR_RETURN(std::optional<FileLock> lock, try_acquire(path));
    if (lock) return *std::move(lock);
    if (!waiting && on_wait) on_wait();
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    std::this_thread::sleep_for(kLockPause);
  }
}

absl::StatusOr<Cache> Cache::open(const fs::path& folder) {
  std::error_code error;
  const fs::path absolute = fs::absolute(folder, error).lexically_normal();
  if (error) return base::system_error("resolve", folder.string(), error.value());
  for (const char* name : {"steps", "staging", "resume", "shared", "locks", "hashes"}) {
    FRUGAL_RETURN_IF_ERROR(make_folder(absolute / name));
  }
  return Cache(absolute);
}

bool Cache::contains(std::string_view key) const {
  std::error_code error;
  return !key.empty() && fs::exists(entry(key) / "record.json", error);
}

absl::StatusOr<std::optional<Cache::Entry>> Cache::verified(std::string_view key,
                                                            std::string& damage) const {
  if (key.empty()) return std::nullopt;
  const auto exists = base::exists(entry(key));
  if (exists.ok() && !*exists) return std::nullopt;
  auto record = exists.ok() ? verified_record(entry(key)) : exists.status();
  if (record.ok()) return Entry{entry(key), *std::move(record)};
  if (absl::IsDataLoss(record.status())) {
    damage = std::string(record.status().message());
    return std::nullopt;
  }
  return base::annotate(
      record.status(),
      base::str_cat("the finished step in '", entry(key).string(),
                    "' cannot be checked, and nothing was removed; run again when this is mended"));
}

absl::StatusOr<std::optional<Cache::Entry>> Cache::find(std::string_view key) const {
  std::string damage;
  return verified(key, damage);
}

absl::StatusOr<std::optional<Cache::Entry>> Cache::find(std::string_view key,
                                                        const FileLock&) const {
  std::string damage;
  FRUGAL_ASSIGN_OR_RETURN(std::optional<Entry> found, verified(key, damage));
  if (damage.empty()) return found;
  base::warn("the cache entry ", key, " is damaged (", damage,
             "); it is removed and computed again");
  FRUGAL_RETURN_IF_ERROR(remove(key));
  return std::nullopt;
}

// By one rename first: nobody finds half of it.
absl::Status Cache::remove(std::string_view key) const {
  discard(key);
  std::error_code error;
  fs::rename(entry(key), staging(key), error);
  if (error) return base::system_error("remove", entry(key).string(), error.value());
  discard(key);
  return absl::OkStatus();
}

absl::StatusOr<FileLock> Cache::lock(std::string_view key) const {
  return FileLock::acquire(folder_ / "locks" / key, [&] {
    base::info("waiting: another run is working on the same step (", key, ")");
  });
}

absl::StatusOr<fs::path> Cache::begin(std::string_view key) const {
  discard(key);
  FRUGAL_RETURN_IF_ERROR(make_folder(staging(key) / "output"));
  FRUGAL_RETURN_IF_ERROR(make_folder(staging(key) / "items"));
  return staging(key);
}

void Cache::discard(std::string_view key) const {
  std::error_code ignored;
  fs::remove_all(staging(key), ignored);
}

absl::StatusOr<Cache::Entry> Cache::publish(std::string_view key, const base::Json& record) const {
  const fs::path from = staging(key);
  FRUGAL_RETURN_IF_ERROR(base::write_file_atomically(from / "record.json", record.dump(1) + "\n"));
  FRUGAL_ASSIGN_OR_RETURN(const base::Json files, describe_files(from));
  FRUGAL_RETURN_IF_ERROR(base::write_file_atomically(from / "files.json", files.dump(1) + "\n"));
  FRUGAL_RETURN_IF_ERROR(base::publish_folder(from, entry(key)));
  return Entry{entry(key), record};
}

absl::StatusOr<fs::path> Cache::resume_folder(std::string_view key) const {
  FRUGAL_RETURN_IF_ERROR(make_folder(folder_ / "resume" / key));
  return folder_ / "resume" / key;
}

void Cache::remove_resume_folder(std::string_view key) const {
  std::error_code ignored;
  fs::remove_all(folder_ / "resume" / key, ignored);
}

absl::StatusOr<fs::path> Cache::shared(
    std::string_view key, const std::function<absl::Status(const fs::path&)>& make) const {
  const std::string hash = base::KeyHasher().add("shared").add(key).hex();
  const fs::path target = folder_ / "shared" / hash;
  FRUGAL_ASSIGN_OR_RETURN(bool exists, base::exists(target));
  if (exists) return target;
  FRUGAL_ASSIGN_OR_RETURN(const FileLock held, lock(hash));
  FRUGAL_ASSIGN_OR_RETURN(exists, base::exists(target));  // another run may have made it meanwhile
  if (exists) return target;
  discard(hash);
  FRUGAL_RETURN_IF_ERROR(make_folder(staging(hash)));
  const absl::Status made = make(staging(hash));
  if (!made.ok()) {
    discard(hash);
    return made;
  }
  FRUGAL_RETURN_IF_ERROR(base::publish_folder(staging(hash), target));
  return target;
}

absl::StatusOr<std::optional<std::string>> HashStore::get(
    const fs::path& folder, const std::function<absl::StatusOr<std::string>()>& compute) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_below(folder));
  std::vector<fs::path> files;
  for (const std::string& name : names) files.push_back(folder / name);
  return get(folder.string(), files, compute);
}

absl::StatusOr<std::optional<std::string>> HashStore::get(
    std::string_view name, const std::vector<fs::path>& files,
    const std::function<absl::StatusOr<std::string>()>& compute) {
  base::KeyHasher fingerprint;
  for (const fs::path& path : files) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) {
      return base::system_error("inspect", path.string(), errno);
    }
    fingerprint.add(path.string())
        .add(base::str_cat(info.st_size, " ", info.st_mtim.tv_sec, " ", info.st_mtim.tv_nsec, " ",
                           info.st_ino, " ", info.st_dev));
  }
  const std::string state = fingerprint.hex();
  const fs::path file = folder_ / base::xxh3_128(name);
  if (const auto known = base::read_file(file, 1 << 12); known.ok()) {
    const std::vector<std::string> parts = base::split(base::trim(*known), ' ');
    if (parts.size() == 2 && parts[0] == state) return parts[1];
  }
  if (!compute) return std::nullopt;
  FRUGAL_ASSIGN_OR_RETURN(const std::string hash, compute());
  FRUGAL_RETURN_IF_ERROR(make_folder(folder_));
  FRUGAL_RETURN_IF_ERROR(base::write_file_atomically(file, base::str_cat(state, " ", hash, "\n")));
  return hash;
}

}  // namespace frugal::pass
