#include "base/descriptor.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>

#include "base/file.h"
#include "support/shared_data.h"

namespace frugal::base {
namespace {

namespace fs = std::filesystem;

bool is_open(int number) { return ::fcntl(number, F_GETFD) >= 0; }

TEST(Descriptor, ClosesOnceAndOnlyWhatItOwns) {
  int number = -1;
  {
    Descriptor first(::open("/dev/null", O_RDONLY));
    number = first.number();
    ASSERT_TRUE(is_open(number));
    const Descriptor second(std::move(first));
    EXPECT_EQ(first.number(), -1);
    EXPECT_EQ(second.number(), number);
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
  Descriptor third(::open("/dev/null", O_RDONLY));
  EXPECT_EQ(third.close(), 0);
  EXPECT_EQ(third.number(), -1);
}

TEST(OpenRegular, KnowsTheSizeAndRefusesOthers) {
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() / "a") << "12345";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const OpenedFile file, open_regular(folder.path() / "a"));
  EXPECT_EQ(file.size_bytes, 5);
  FRUGAL_EXPECT_ERROR(open_regular(folder.path()), absl::StatusCode::kInvalidArgument,
                      "it is a folder");
  ASSERT_EQ(mkfifo((folder.path() / "pipe").c_str(), 0600), 0);
  FRUGAL_EXPECT_ERROR(open_regular(folder.path() / "pipe"), absl::StatusCode::kInvalidArgument,
                      "not a regular file");  // and does not wait for a writer
}

TEST(ParentOf, OfABareNameIsHere) {
  EXPECT_EQ(parent_of("a"), fs::path("."));
  EXPECT_EQ(parent_of("a/b"), fs::path("a"));
  EXPECT_EQ(parent_of("/b"), fs::path("/"));
}

TEST(SyncFolder, IsOfFolders) {
  const test::TemporaryFolder folder;
  FRUGAL_EXPECT_OK(sync_folder(folder.path()));
  FRUGAL_EXPECT_ERROR(sync_folder(folder.path() / "none"), absl::StatusCode::kNotFound, "none");
}

TEST(WriteFully, SaysHowFarItCame) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "a";
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT, 0600));
  int64_t written = -1;
  EXPECT_EQ(write_fully(file.number(), "12345", &written), 0);
  EXPECT_EQ(written, 5);
  EXPECT_EQ(read_file(path).value(), "12345");
  const Descriptor full(::open("/dev/full", O_WRONLY));
  EXPECT_EQ(write_fully(full.number(), "12345", &written), ENOSPC);
  EXPECT_EQ(written, 0);
}

}  // namespace
}  // namespace frugal::base
