#include "base/file_reader.h"

#include <fstream>
#include <string>

#include "support/shared_data.h"

namespace frugal::base {
namespace {

TEST(FileReader, ReadsInPieces) {
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() / "a") << "12345";
  FRUGAL_ASSERT_OK_AND_ASSIGN(FileReader file, FileReader::open(folder.path() / "a"));
  std::string piece(3, ' ');
  EXPECT_EQ(file.read(piece).value(), 3u);
  EXPECT_EQ(piece, "123");
  EXPECT_EQ(file.read(piece).value(), 2u);
  EXPECT_EQ(piece.substr(0, 2), "45");
  EXPECT_EQ(file.read(piece).value(), 0u);
}

TEST(FileReader, RefusesWhatIsNoFile) {
  const test::TemporaryFolder folder;
  FRUGAL_EXPECT_ERROR(FileReader::open(folder.path() / "none"), absl::StatusCode::kNotFound,
                      "none");
  FRUGAL_EXPECT_ERROR(FileReader::open(folder.path()), absl::StatusCode::kInvalidArgument,
                      "it is a folder");
}

}  // namespace
}  // namespace frugal::base
