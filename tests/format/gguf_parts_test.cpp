// Models in several files: found by the name of the first, each held to what it says of itself.
#include <gtest/gtest.h>

#include <algorithm>

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

TEST(GgufPartNames, AreThoseOfLlamaGgufSplit) {
  EXPECT_EQ(gguf_part("a/small.gguf", 1, 3), fs::path("a/small-00002-of-00003.gguf"));
  EXPECT_EQ(gguf_part("a/small.v2.gguf", 0, 12), fs::path("a/small.v2-00001-of-00012.gguf"));
  EXPECT_EQ(gguf_part("a/small.gguf", 0, 1), fs::path("a/small.gguf"));
  EXPECT_EQ(gguf_model_stem("small-00002-of-00003"), "small");
  EXPECT_EQ(gguf_model_stem("small"), "small");
  EXPECT_EQ(gguf_model_stem("small-00002-of-0000x"), "small-00002-of-0000x");
  EXPECT_EQ(gguf_model_stem("-00002-of-00003"), "-00002-of-00003");  // no name would be left
}

class GgufModelWriting : public ::testing::Test {
 protected:
  // Three tensors of 40 bytes, which take 64 in the file.
  absl::StatusOr<GgufModelWriter> create(int64_t max_part_bytes) const {
    std::vector<GgufWriter::Declaration> tensors;
    for (const char* name : {"a", "b", "c"})
      tensors.push_back({name, {10}, ggml_type("F32").value()});
    return GgufModelWriter::create(path(), metadata_, tensors, max_part_bytes);
  }
  static absl::Status write(GgufModelWriter& writer, const std::string& tensor) {
    const std::vector<float> values(10, static_cast<float>(tensor[0]));
    return writer.write(tensor, std::as_bytes(std::span(values)));
  }
  static absl::Status write_all(GgufModelWriter& writer) {
    for (const char* name : {"a", "b", "c"}) FRUGAL_RETURN_IF_ERROR(write(writer, name));
    return writer.commit();
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path()))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
  fs::path path() const { return folder_.path() / "toy.gguf"; }
  test::TemporaryFolder folder_;
  Metadata metadata_ = {{"general.architecture", std::string("llama")}};
};

TEST_F(GgufModelWriting, PartsHoldWhatTheirSizeAllows) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer, create(128));
  EXPECT_TRUE(files().empty());
  FRUGAL_ASSERT_OK(write_all(writer));
  EXPECT_EQ(files(),
            (std::vector<std::string>{"toy-00001-of-00002.gguf", "toy-00002-of-00002.gguf"}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto first, GgufFile::open(gguf_part(path(), 0, 2)));
  Metadata expected = metadata_;
  expected.emplace_back("split.no", uint16_t{0});
  expected.emplace_back("split.count", uint16_t{2});
  expected.emplace_back("split.tensors.count", int32_t{3});
  EXPECT_EQ(first.metadata(), expected);
  EXPECT_EQ(first.tensors().size(), 2u);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto second, GgufFile::open(gguf_part(path(), 1, 2)));
  EXPECT_EQ(second.metadata(), (Metadata{{"split.no", uint16_t{1}},
                                         {"split.count", uint16_t{2}},
                                         {"split.tensors.count", int32_t{3}}}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto model, GgufFile::open_model(gguf_part(path(), 0, 2)));
  ASSERT_EQ(model.tensors().size(), 3u);
  float value = 0;
  std::memcpy(&value, model.bytes(*model.find_tensor("c")).data(), sizeof value);
  EXPECT_EQ(value, static_cast<float>('c'));
}

TEST_F(GgufModelWriting, WhatFitsIsOneFileWithoutAWordOfParts) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer, create(192));
  FRUGAL_ASSERT_OK(write_all(writer));
  EXPECT_EQ(files(), std::vector<std::string>{"toy.gguf"});
  EXPECT_EQ(GgufFile::open(path())->metadata(), metadata_);
}

TEST_F(GgufModelWriting, WithoutAllOfThemNoneIsThere) {
  {
    FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer, create(1));
    FRUGAL_ASSERT_OK(write(writer, "a"));
    FRUGAL_ASSERT_OK(write(writer, "b"));
    FRUGAL_EXPECT_ERROR(write(writer, "a"), absl::StatusCode::kInternal, "where 'c' was declared");
    FRUGAL_EXPECT_ERROR(writer.commit(), absl::StatusCode::kInternal, "never written");
  }
  EXPECT_TRUE(files().empty());
  // The place of the first is taken: the others, which have their names by then, go again.
  fs::create_directories(gguf_part(path(), 0, 3) / "taken");
  EXPECT_FALSE(create(1).ok());
  fs::remove_all(gguf_part(path(), 0, 3));
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer, create(1));
  fs::create_directories(gguf_part(path(), 0, 3) / "taken");
  EXPECT_FALSE(write_all(writer).ok());
  EXPECT_EQ(files(), std::vector<std::string>{"toy-00001-of-00003.gguf"});
}

TEST(GgufPartSizes, MorePartsThanNamesAreRefused) {
  const std::vector<int64_t> sizes(10'000, 32);
  FRUGAL_EXPECT_ERROR(gguf_part_of_tensors(sizes, 32), absl::StatusCode::kInvalidArgument,
                      "comes to 10000 files; their names count up to 9999");
  FRUGAL_EXPECT_OK(gguf_part_of_tensors(sizes, 64));
}

}  // namespace
}  // namespace frugal::format
