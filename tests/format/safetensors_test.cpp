#include "format/safetensors.h"

#include <gtest/gtest.h>

#include <numeric>

#include "format/tiny_model.h"

namespace frugal::format {
namespace {

using test::raw_safetensors;
using ::testing::HasSubstr;

std::span<const std::byte> as_bytes(const std::vector<float>& values) {
  return std::as_bytes(std::span(values));
}

class SafetensorsTest : public ::testing::Test {
 protected:
  absl::StatusOr<SafetensorsFile> open(std::string_view content) {
    test::write_text(path_, content);
    return SafetensorsFile::open(path_);
  }
  absl::StatusOr<SafetensorsFile> open(std::string_view header, std::string_view data) {
    return open(raw_safetensors(header, data));
  }
  frugal::test::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "a.safetensors";
};

TEST_F(SafetensorsTest, WhatIsWrittenIsRead) {
  const std::vector<float> first = {1, 2, 3, 4, 5, 6};
  const std::vector<float> second = {-1};
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      auto writer,
      SafetensorsWriter::create(
          path_,
          {{"a", DType::kF32, {2, 3}}, {"empty", DType::kF16, {0, 5}}, {"scalar", DType::kF32, {}}},
          {{"format", "pt"}}));
  FRUGAL_ASSERT_OK(writer.write("a", as_bytes(first)));
  FRUGAL_ASSERT_OK(writer.write("empty", {}));
  EXPECT_FALSE(std::filesystem::exists(path_));
  FRUGAL_ASSERT_OK(writer.write("scalar", as_bytes(second)));
  FRUGAL_ASSERT_OK(writer.commit());

  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto file, SafetensorsFile::open(path_));
  EXPECT_EQ(file.metadata().at("format"), "pt");
  ASSERT_EQ(file.tensors().size(), 3u);
  const TensorInfo& a = file.tensors().at("a");
  EXPECT_EQ(a.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(a.element_count(), 6);
  EXPECT_TRUE(std::ranges::equal(file.bytes(a), as_bytes(first)));
  EXPECT_EQ(file.tensors().at("scalar").element_count(), 1);
  EXPECT_EQ(file.bytes(file.tensors().at("empty")).size(), 0u);
}

TEST_F(SafetensorsTest, EveryTensorIsAlignedToItsElements) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer, SafetensorsWriter::create(path_,
                                                                     {{"odd", DType::kU8, {3}},
                                                                      {"half", DType::kF16, {3}},
                                                                      {"single", DType::kF32, {3}},
                                                                      {"even", DType::kF32, {4}}},
                                                                     {}));
  std::vector<std::string> order;
  for (const TensorInfo& info : writer.infos()) {
    order.push_back(info.name);
    EXPECT_EQ(info.offset % size_bytes(info.dtype), 0) << info.name;
  }
  EXPECT_THAT(order, ::testing::ElementsAre("even", "single", "half", "odd"));
}

TEST_F(SafetensorsTest, WriterRefusesDisorder) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      auto writer,
      SafetensorsWriter::create(path_, {{"a", DType::kF32, {2}}, {"b", DType::kF32, {2}}}, {}));
  const std::vector<float> values = {1, 2};
  FRUGAL_EXPECT_ERROR(writer.write("b", as_bytes(values)), absl::StatusCode::kInternal,
                      "where 'a' was declared");
  FRUGAL_EXPECT_ERROR(writer.write("a", as_bytes({1, 2, 3})), absl::StatusCode::kInvalidArgument,
                      "12 bytes");
  FRUGAL_ASSERT_OK(writer.write("a", as_bytes(values)));
  FRUGAL_EXPECT_ERROR(writer.commit(), absl::StatusCode::kInternal,
                      "'b' was declared but never written");
  EXPECT_FALSE(std::filesystem::exists(path_));
  FRUGAL_EXPECT_ERROR(
      SafetensorsWriter::create(path_, {{"a", DType::kF32, {2}}, {"a", DType::kF32, {2}}}, {}),
      absl::StatusCode::kInvalidArgument, "declared twice");
}

TEST_F(SafetensorsTest, ReferenceFileOfPythonReads) {
  // Written by safetensors 0.8.0 (golden/make_golden.py): values 0.5*i, int8, bf16.
  const auto path = std::filesystem::path(GOLDEN_FOLDER) / "python.safetensors";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto file, SafetensorsFile::open(path));
  const TensorInfo& matrix = file.tensors().at("matrix");
  EXPECT_EQ(matrix.dtype, DType::kF32);
  EXPECT_EQ(matrix.shape, (std::vector<int64_t>{3, 4}));
  std::vector<float> values(12);
  convert_to_f32(matrix.dtype, file.bytes(matrix), values.data());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], 0.5f * static_cast<float>(i));
  EXPECT_EQ(file.tensors().at("bytes").dtype, DType::kI8);
  const TensorInfo& half = file.tensors().at("half");
  std::vector<float> halves(3);
  convert_to_f32(half.dtype, file.bytes(half), halves.data());
  EXPECT_EQ(halves, (std::vector<float>{1.0f, -0.333251953125f, 6.103515625e-05f}));
  EXPECT_EQ(file.metadata().at("note"), "grüße");
}

TEST_F(SafetensorsTest, OurBytesAreTheGoldenOnes) {
  // golden/ours.safetensors was read back and compared by safetensors 0.8.0
  // (golden/make_golden.py).
  std::vector<float> values(12);
  std::iota(values.begin(), values.end(), 1.0f);
  const std::vector<std::byte> odd = {std::byte{1}, std::byte{2}, std::byte{255}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      auto writer, SafetensorsWriter::create(
                       path_, {{"codes", DType::kU8, {1, 3}}, {"weight", DType::kF32, {3, 4}}},
                       {{"format", "pt"}}));
  FRUGAL_ASSERT_OK(writer.write("weight", as_bytes(values)));
  FRUGAL_ASSERT_OK(writer.write("codes", odd));
  FRUGAL_ASSERT_OK(writer.commit());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string ours, base::read_file(path_));
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const std::string golden,
      base::read_file(std::filesystem::path(GOLDEN_FOLDER) / "ours.safetensors"));
  EXPECT_EQ(ours, golden);
}

TEST_F(SafetensorsTest, ToleratesSpaceAroundTheHeader) {
  FRUGAL_EXPECT_OK(open(R"( {"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}   )", "xy"));
  FRUGAL_EXPECT_OK(open("{}", ""));
}

TEST_F(SafetensorsTest, TruncationIsNamed) {
  FRUGAL_EXPECT_ERROR(open("short"), absl::StatusCode::kDataLoss, "truncated: 5 bytes");
  const std::string file =
      raw_safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "12345678");
  FRUGAL_EXPECT_ERROR(open(""), absl::StatusCode::kInvalidArgument, "an empty file");
  for (size_t size = 1; size < file.size(); ++size) {
    const absl::Status status = open(std::string_view(file).substr(0, size)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << size << " " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("a.safetensors"));
  }
  FRUGAL_EXPECT_ERROR(open(file + "x"), absl::StatusCode::kDataLoss,
                      "1 bytes behind the last tensor");
}

TEST_F(SafetensorsTest, HostileHeadersAreRefused) {
  struct Case {
    const char* header;
    const char* message;
  };
  const std::vector<Case> cases = {
      {R"([])", "no JSON object"},
      {R"({"a":1})", "the entry is no object"},
      {R"({"a":{"dtype":"F32","shape":[1]}})", "2 members"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":0}})", "4 members"},
      {R"({"a":{"dtype":"Q3","shape":[1],"data_offsets":[0,4]}})", "unknown element type 'Q3'"},
      {R"({"a":{"dtype":"F8_E5M2","shape":[4],"data_offsets":[0,4]}})", "not supported"},
      {R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", "holds -1"},
      {R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", "holds 1.5"},
      {R"({"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}})", "no number"},
      {R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})",
       "non-negative integers"},
      {R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}})",
       "too many elements"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", "begin <= end"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", "begin <= end"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", "need 8"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})", "gap or overlap"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}})",
       "gap or overlap"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
       "twice"},
      {R"({"__metadata__":{"format":1}})", "no string"},
      {R"({"__metadata__":[]})", "no object"},
      {"{\"\xff\":{}}", "header"},
  };
  for (const Case& c : cases) {
    const absl::Status status = open(c.header, "1234").status();
    EXPECT_FALSE(status.ok()) << c.header;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message)) << c.header;
  }
}

TEST_F(SafetensorsTest, AbsurdHeaderLengthAllocatesNothing) {
  std::string file(16, '\x7f');
  FRUGAL_EXPECT_ERROR(open(file), absl::StatusCode::kInvalidArgument, "no safetensors file");
}

}  // namespace
}  // namespace frugal::format
