#include "base/scratch.h"

#include <sys/mount.h>

#include <string>

#include "support/shared_data.h"

namespace frugal::base {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(ScratchFile, IsReadFromAnyPlaceAndLeavesNothing) {
  const test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK_AND_ASSIGN(ScratchFile file, ScratchFile::create(folder.path()));
  FRUGAL_ASSERT_OK(file.append(bytes_of("first,")));
  FRUGAL_ASSERT_OK(file.append(bytes_of("second")));
  EXPECT_EQ(file.size_bytes(), 12);
  EXPECT_TRUE(fs::is_empty(folder.path()));
  std::string text(7, ' ');
  FRUGAL_ASSERT_OK(file.read(5, std::as_writable_bytes(std::span(text))));
  EXPECT_EQ(text, ",second");
  FRUGAL_EXPECT_ERROR(file.read(6, std::as_writable_bytes(std::span(text))),
                      absl::StatusCode::kInternal, "it has 12");
  FRUGAL_EXPECT_ERROR(ScratchFile::create(folder.path() / "none"), absl::StatusCode::kNotFound,
                      "none");
}

TEST(ScratchArray, IsZeroAndKeepsWhatIsWritten) {
  const test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto array, ScratchArray<int64_t>::create(folder.path(), 100000));
  ASSERT_EQ(array.values().size(), 100000u);
  EXPECT_EQ(array.values()[99999], 0);
  for (size_t i = 0; i < array.values().size(); ++i)
    array.values()[i] = static_cast<int64_t>(i) * 3;
  const ScratchArray<int64_t> moved = std::move(array);
  EXPECT_EQ(moved.values()[77777], 77777 * 3);
  EXPECT_TRUE(fs::is_empty(folder.path()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto none, ScratchArray<int32_t>::create(folder.path(), 0));
  EXPECT_TRUE(none.values().empty());
}

TEST(Scratch, AFullDiskIsAnErrorAndNoSignal) {
  const test::TemporaryFolder folder;
  const fs::path small = folder.path() / "small";
  fs::create_directory(small);
  if (mount("tmpfs", small.c_str(), "tmpfs", 0, "size=256k") != 0) {
    GTEST_SKIP() << "mounting a tmpfs is not allowed here";
  }
  absl::Status memory, file;
  {
    memory = ScratchMemory::create(small, 1 << 20).status();
    absl::StatusOr<ScratchFile> scratch = ScratchFile::create(small);
    file = scratch.ok() ? scratch->append(bytes_of(std::string(1 << 20, 'x'))) : scratch.status();
  }
  umount(small.c_str());
  FRUGAL_EXPECT_ERROR(memory, absl::StatusCode::kResourceExhausted, "No space left on device");
  FRUGAL_EXPECT_ERROR(file, absl::StatusCode::kResourceExhausted, "No space left on device");
}

}  // namespace
}  // namespace frugal::base
