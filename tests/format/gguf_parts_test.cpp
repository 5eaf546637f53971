// Models in several files: found by the name of the first, each held to what it says of itself.
#include <gtest/gtest.h>

#include "format/gguf.h"
#include "support/shared_data.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;
using Metadata = std::vector<std::pair<std::string, GgufValue>>;

class GgufParts : public ::testing::Test {
 protected:
  fs::path part(int number, int of = 3) const {
    char name[40];
    std::snprintf(name, sizeof name, "toy-%05d-of-%05d.gguf", number, of);
    return folder_.path() / name;
  }
  // A file with one tensor [1] of this number.
  void write(const fs::path& path, int number, int count, const std::string& tensor, float value,
             int tensors = 3) const {
    Metadata metadata = {{"split.no", static_cast<uint16_t>(number)},
                         {"split.count", static_cast<uint16_t>(count)},
                         {"split.tensors.count", int32_t{tensors}}};
    if (number == 0) metadata.emplace_back("general.architecture", std::string("llama"));
    auto writer = GgufWriter::create(path, metadata, {{tensor, {1}, ggml_type("F32").value()}});
    FRUGAL_ASSERT_OK(writer);
    FRUGAL_ASSERT_OK(writer->write(tensor, std::as_bytes(std::span(&value, 1))));
    FRUGAL_ASSERT_OK(writer->commit());
  }
  void SetUp() override {
    for (int number = 0; number < 3; ++number) {
      write(part(number + 1), number, 3, std::string(1, static_cast<char>('a' + number)),
            static_cast<float>(number + 1));
    }
  }
  test::TemporaryFolder folder_;
};

TEST_F(GgufParts, AreOneModel) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto files, gguf_parts(part(1)));
  EXPECT_EQ(files, (std::vector<fs::path>{part(1), part(2), part(3)}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const GgufFile model, GgufFile::open_model(part(1)));
  ASSERT_EQ(model.tensors().size(), 3u);
  EXPECT_NE(model.find("general.architecture"), nullptr);
  for (const auto& [name, wanted] :
       {std::pair{"a", 1.0f}, std::pair{"b", 2.0f}, std::pair{"c", 3.0f}}) {
    const GgufTensor* tensor = model.find_tensor(name);
    ASSERT_NE(tensor, nullptr);
    float value = 0;
    std::memcpy(&value, model.bytes(*tensor).data(), sizeof value);
    EXPECT_EQ(value, wanted);
  }
}

TEST_F(GgufParts, AFileAloneIsItsOnlyPart) {
  write(folder_.path() / "whole.gguf", 0, 1, "a", 1, 1);
  EXPECT_EQ(gguf_parts(folder_.path() / "whole.gguf").value().size(), 1u);
  EXPECT_EQ(GgufFile::open_model(folder_.path() / "whole.gguf")->tensors().size(), 1u);
}

TEST_F(GgufParts, OtherThanTheFirstSaysTheFirst) {
  FRUGAL_EXPECT_ERROR(GgufFile::open_model(part(2)), absl::StatusCode::kInvalidArgument,
                      "part 2 of 3 of a model; give the first: ");
  FRUGAL_EXPECT_ERROR(gguf_parts(part(3)), absl::StatusCode::kInvalidArgument,
                      "toy-00001-of-00003.gguf");
}

TEST_F(GgufParts, NamesWhatIsMissingOrRenamed) {
  fs::remove(part(2));
  FRUGAL_EXPECT_ERROR(GgufFile::open_model(part(1)), absl::StatusCode::kNotFound,
                      "of its 3 parts 1 is not there: toy-00002-of-00003.gguf");
  fs::rename(part(1), folder_.path() / "renamed.gguf");
  FRUGAL_EXPECT_ERROR(GgufFile::open_model(folder_.path() / "renamed.gguf"),
                      absl::StatusCode::kInvalidArgument, "does not end in '-00001-of-00003.gguf'");
}

TEST_F(GgufParts, PartsOfOtherModelsAreRefused) {
  write(part(2), 2, 3, "b", 2);
  FRUGAL_EXPECT_ERROR(GgufFile::open_model(part(1)), absl::StatusCode::kDataLoss,
                      "it says that it is part 3 of 3, expected 2 of 3");
  write(part(2), 1, 3, "a", 2);
  FRUGAL_EXPECT_ERROR(GgufFile::open_model(part(1)), absl::StatusCode::kDataLoss,
                      "the tensor 'a' is in a part before it, too");
  write(part(2), 1, 3, "b", 2);
  write(part(1), 0, 3, "a", 1, 4);
  FRUGAL_EXPECT_ERROR(GgufFile::open_model(part(1)), absl::StatusCode::kDataLoss,
                      "'split.tensors.count' is 4, but its 3 parts hold 3");
  write(part(1), 9, 3, "a", 1);
  FRUGAL_EXPECT_ERROR(GgufFile::open_model(part(1)), absl::StatusCode::kInvalidArgument,
                      "part 10 of 3");
}

}  // namespace
}  // namespace frugal::format
