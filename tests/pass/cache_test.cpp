#include "pass/cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "support/shared_data.h"

namespace {

// While set, ::stat of every path that contains it fails with this number.
std::string g_failing_path;
int g_failure = 0;

}  // namespace

// In place of the C library's, for everything in this executable.
extern "C" int stat(const char* path, struct stat* info) noexcept {
  if (!g_failing_path.empty() && std::string_view(path).find(g_failing_path) != std::string::npos) {
    errno = g_failure;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_newfstatat, AT_FDCWD, path, info, 0));
}

namespace frugal::pass {
namespace {

namespace fs = std::filesystem;

class CacheTest : public testing::Test {
 protected:
  Cache cache() { return Cache::open(folder_.path() / "cache").value(); }
  Cache::Entry make(const std::string& key, const std::string& content) {
    const fs::path staging = cache().begin(key).value();
    EXPECT_TRUE(base::write_file_atomically(staging / "output" / "x", content).ok());
    return cache().publish(key, {{"seconds", 1.5}}).value();
  }
  // Absent or damaged: what a run does with it, which holds the lock.
  absl::StatusOr<std::optional<Cache::Entry>> find_locked(const std::string& key) {
    const Cache here = cache();
    FRUGAL_ASSIGN_OR_RETURN(const FileLock held, here.lock(key));
    return here.find(key, held);
  }
  bool exists(const std::string& key) {
    return fs::exists(folder_.path() / "cache" / "steps" / key / "output");
  }
  // Neither way of looking at an entry that cannot be looked at answers, or removes it.
  void expect_untouched(const std::string& key, absl::StatusCode code, const std::string& text,
                        const std::function<void()>& break_it,
                        const std::function<void()>& mend_it) {
    const Cache here = cache();
    FRUGAL_ASSERT_OK_AND_ASSIGN(const FileLock held, here.lock(key));
    break_it();
    const auto unlocked = here.find(key);
    const auto locked = here.find(key, held);
    mend_it();
    FRUGAL_EXPECT_ERROR(unlocked, code, text);
    FRUGAL_EXPECT_ERROR(locked, code, text);
    FRUGAL_EXPECT_ERROR(locked, code, "nothing was removed");
    EXPECT_TRUE(exists(key));
  }
  frugal::test::TemporaryFolder folder_;
};

TEST_F(CacheTest, AnEntryAppearsWhole) {
  EXPECT_FALSE(cache().contains("k"));
  FRUGAL_ASSERT_OK(cache().begin("k"));
  EXPECT_FALSE(cache().contains("k"));
  make("k", "abc");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto entry, cache().find("k"));
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->record["seconds"], 1.5);
  EXPECT_EQ(base::read_file(entry->output() / "x").value(), "abc");
  EXPECT_TRUE(fs::is_empty(folder_.path() / "cache" / "staging"));
}

TEST_F(CacheTest, ADamagedEntryIsDroppedAndMadeAgain) {
  const auto damage = [&](const std::function<void(const Cache::Entry&)>& how) {
    how(make("k", "abc"));
    // Without the lock it is only passed over: its owner may be at work.
    EXPECT_EQ(cache().find("k").value(), std::nullopt);
    EXPECT_TRUE(fs::exists(folder_.path() / "cache" / "steps" / "k"));
    EXPECT_EQ(find_locked("k").value(), std::nullopt);
    EXPECT_FALSE(fs::exists(folder_.path() / "cache" / "steps" / "k"));
    EXPECT_TRUE(fs::is_empty(folder_.path() / "cache" / "staging"));
  };
  damage([](const Cache::Entry& entry) { fs::resize_file(entry.output() / "x", 2); });
  damage([](const Cache::Entry& entry) { fs::remove(entry.output() / "x"); });
  // The same size, other content: the changed time gives it away.
  damage([](const Cache::Entry& entry) {
    FRUGAL_EXPECT_OK(base::write_file_atomically(entry.output() / "x", "abd"));
  });
  damage([](const Cache::Entry& entry) {
    FRUGAL_EXPECT_OK(base::write_file_atomically(entry.folder / "files.json", "[{]"));
  });
  damage([](const Cache::Entry& entry) {
    FRUGAL_EXPECT_OK(base::write_file_atomically(entry.folder / "files.json", "[{\"path\": 1}]"));
  });
  damage([](const Cache::Entry& entry) { fs::remove(entry.folder / "files.json"); });
  damage([](const Cache::Entry& entry) { fs::remove(entry.folder / "record.json"); });
}

TEST_F(CacheTest, TooManyOpenFilesRemoveNothing) {
  make("k", "abc");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  expect_untouched(
      "k", absl::StatusCode::kResourceExhausted, "Too many open files",
      [&] {
        const rlimit none{0, before.rlim_max};
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
      },
      [&] { ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0); });
  EXPECT_TRUE(cache().find("k").value());
}

TEST_F(CacheTest, ADiskErrorRemovesNothing) {
  // The first page of the own memory is never mapped: reading it is a true EIO.
  const auto unreadable = [](const fs::path& file) {
    fs::rename(file, file.string() + ".aside");
    fs::create_symlink("/proc/self/mem", file);
  };
  const auto back = [](const fs::path& file) { fs::rename(file.string() + ".aside", file); };
  const Cache::Entry entry = make("k", "");  // as long as the other file claims to be
  for (const fs::path& file : {entry.output() / "x", entry.folder / "files.json"}) {
    expect_untouched(
        "k", absl::StatusCode::kFailedPrecondition, "Input/output error", [&] { unreadable(file); },
        [&] { back(file); });
  }
  EXPECT_TRUE(cache().find("k").value());
}

TEST_F(CacheTest, AStaleHandleRemovesNothing) {
  make("k", "abc");
  for (const char* path : {"steps/k", "steps/k/output/x"}) {
    expect_untouched(
        "k", absl::StatusCode::kFailedPrecondition, "Stale file handle",
        [&] {
          g_failing_path = path;
          g_failure = ESTALE;
        },
        [&] { g_failing_path.clear(); });
  }
  EXPECT_TRUE(cache().find("k").value());
}

TEST_F(CacheTest, ASharedResultThatCannotBeLookedAtIsNotMadeAgain) {
  const auto make_one = [&](const fs::path& folder) {
    return base::write_file_atomically(folder / "y", "1");
  };
  FRUGAL_ASSERT_OK_AND_ASSIGN(const fs::path shared, cache().shared("reference", make_one));
  g_failing_path = "/shared/";
  g_failure = EIO;
  bool made = false;
  const auto again = cache().shared("reference", [&](const fs::path&) {
    made = true;
    return absl::OkStatus();
  });
  g_failing_path.clear();
  FRUGAL_EXPECT_ERROR(again, absl::StatusCode::kFailedPrecondition, "Input/output error");
  EXPECT_FALSE(made);
  EXPECT_EQ(base::read_file(shared / "y").value(), "1");
}

TEST_F(CacheTest, ATouchedButEqualFileIsSound) {
  const Cache::Entry entry = make("k", "abc");
  fs::last_write_time(entry.output() / "x",
                      fs::file_time_type::clock::now() + std::chrono::hours(1));
  EXPECT_TRUE(cache().find("k").value());
}

TEST_F(CacheTest, SharedResultsAreMadeOnce) {
  int64_t made = 0;
  const auto make_one = [&](const fs::path& folder) {
    ++made;
    return base::write_file_atomically(folder / "y", "1");
  };
  FRUGAL_ASSERT_OK_AND_ASSIGN(const fs::path first, cache().shared("reference", make_one));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const fs::path second, cache().shared("reference", make_one));
  EXPECT_EQ(first, second);
  EXPECT_EQ(made, 1);
  FRUGAL_EXPECT_ERROR(cache().shared("other", [](const fs::path&) { return base::failed("no"); }),
                      absl::StatusCode::kFailedPrecondition, "no");
  FRUGAL_EXPECT_OK(cache().shared("other", make_one));  // a failure leaves nothing behind
}

TEST_F(CacheTest, ALockIsHeldByOne) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto first, FileLock::try_acquire(folder_.path() / "l"));
  ASSERT_TRUE(first);
  EXPECT_FALSE(FileLock::try_acquire(folder_.path() / "l").value());
  first.reset();
  EXPECT_TRUE(FileLock::try_acquire(folder_.path() / "l").value());
}

TEST_F(CacheTest, HashesAreRememberedUntilAFileChanges) {
  const fs::path model = folder_.path() / "model";
  fs::create_directories(model);
  FRUGAL_ASSERT_OK(base::write_file_atomically(model / "w", "1"));
  HashStore store(folder_.path() / "hashes");
  int64_t computed = 0;
  const auto compute = [&]() -> absl::StatusOr<std::string> {
    return base::str_cat("h", ++computed);
  };
  EXPECT_EQ(store.get(model, nullptr).value(), std::nullopt);
  EXPECT_EQ(store.get(model, compute).value(), "h1");
  EXPECT_EQ(store.get(model, nullptr).value(), "h1");
  FRUGAL_ASSERT_OK(base::write_file_atomically(model / "w", "2"));
  EXPECT_EQ(store.get(model, nullptr).value(), std::nullopt);
  EXPECT_EQ(store.get(model, compute).value(), "h2");
}

TEST_F(CacheTest, HashesOfFilesAreTakenApartByWhatElseTheyDependOn) {
  const fs::path text = folder_.path() / "text";
  FRUGAL_ASSERT_OK(base::write_file_atomically(text, "1"));
  HashStore store(folder_.path() / "hashes");
  int64_t computed = 0;
  const auto compute = [&]() -> absl::StatusOr<std::string> {
    return base::str_cat("h", ++computed);
  };
  EXPECT_EQ(store.get("a", {text}, compute).value(), "h1");
  EXPECT_EQ(store.get("a", {text}, compute).value(), "h1");
  EXPECT_EQ(store.get("b", {text}, compute).value(), "h2");
  FRUGAL_ASSERT_OK(base::write_file_atomically(text, "2"));
  EXPECT_EQ(store.get("a", {text}, nullptr).value(), std::nullopt);
  FRUGAL_EXPECT_ERROR(store.get("a", {folder_.path() / "absent"}, compute),
                      absl::StatusCode::kNotFound, "absent");
}

}  // namespace
}  // namespace frugal::pass
