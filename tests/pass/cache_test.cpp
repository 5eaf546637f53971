#include "pass/cache.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "support/shared_data.h"

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
  frugal::test::TemporaryFolder folder_;
};

TEST_F(CacheTest, AnEntryAppearsWhole) {
  EXPECT_FALSE(cache().contains("k"));
  FRUGAL_ASSERT_OK(cache().begin("k"));
  EXPECT_FALSE(cache().contains("k"));
  make("k", "abc");
  const auto entry = cache().find("k");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->record["seconds"], 1.5);
  EXPECT_EQ(base::read_file(entry->output() / "x").value(), "abc");
  EXPECT_TRUE(fs::is_empty(folder_.path() / "cache" / "staging"));
}

TEST_F(CacheTest, ADamagedEntryIsDroppedAndMadeAgain) {
  const auto damage = [&](const std::function<void(const Cache::Entry&)>& how) {
    how(make("k", "abc"));
    EXPECT_FALSE(cache().find("k"));
    EXPECT_FALSE(fs::exists(folder_.path() / "cache" / "steps" / "k"));
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
  damage([](const Cache::Entry& entry) { fs::remove(entry.folder / "record.json"); });
}

TEST_F(CacheTest, ATouchedButEqualFileIsSound) {
  const Cache::Entry entry = make("k", "abc");
  fs::last_write_time(entry.output() / "x",
                      fs::file_time_type::clock::now() + std::chrono::hours(1));
  EXPECT_TRUE(cache().find("k"));
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

}  // namespace
}  // namespace frugal::pass
