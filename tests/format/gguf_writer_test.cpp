#include <gtest/gtest.h>

#include "format/gguf.h"
#include "format/gguf_golden.h"
#include "format/tiny_model.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;

const GgmlType kF32 = ggml_type(0u).value();

TEST(GgufWriter, BytesEqualThoseOfTheReferenceWriter) {
  const fs::path golden = fs::path(GOLDEN_FOLDER) / "python.gguf";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto reference, GgufFile::open(golden));
  std::vector<GgufWriter::Declaration> declarations;
  for (const GgufTensor& tensor : reference.tensors())
    declarations.push_back({tensor.name, tensor.shape, tensor.type});
  const frugal::test::TemporaryFolder folder;
  const fs::path path = folder.path() / "ours.gguf";
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer,
                              GgufWriter::create(path, test::golden_metadata(), declarations));
  for (const GgufTensor& tensor : reference.tensors()) {
    FRUGAL_ASSERT_OK(writer.write(tensor.name, reference.bytes(tensor)));
  }
  EXPECT_FALSE(fs::exists(path));
  FRUGAL_ASSERT_OK(writer.commit());
  EXPECT_EQ(base::read_file(path).value(), base::read_file(golden).value());
}

TEST(GgufWriter, RemainingArrayTypesAndAlignmentRoundTrip) {
  const std::vector<std::pair<std::string, GgufValue>> metadata = {
      {"general.alignment", uint32_t{128}}, {"a", std::vector<uint8_t>{1, 255}},
      {"b", std::vector<int8_t>{-1, 2}},    {"c", std::vector<uint16_t>{65535}},
      {"d", std::vector<int16_t>{-7}},      {"e", std::vector<uint64_t>{uint64_t{1} << 40}},
      {"f", std::vector<int64_t>{-1}},      {"g", std::vector<double>{1e300}},
      {"h", std::vector<uint32_t>{}},       {"i", std::vector<std::string>{}}};
  const frugal::test::TemporaryFolder folder;
  const fs::path path = folder.path() / "a.gguf";
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      auto writer, GgufWriter::create(path, metadata, {{"x", {1}, kF32}, {"y", {2}, kF32}}));
  EXPECT_EQ(writer.tensors()[1].offset, 128);
  const std::vector<float> values = {1, 2};
  FRUGAL_ASSERT_OK(writer.write("x", std::as_bytes(std::span(values).first(1))));
  FRUGAL_ASSERT_OK(writer.write("y", std::as_bytes(std::span(values))));
  FRUGAL_ASSERT_OK(writer.commit());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto file, GgufFile::open(path));
  EXPECT_EQ(file.metadata(), metadata);
  EXPECT_TRUE(
      std::ranges::equal(file.bytes(*file.find_tensor("y")), std::as_bytes(std::span(values))));
}

TEST(GgufWriter, RefusesWhatReadersWouldRefuse) {
  const frugal::test::TemporaryFolder folder;
  const fs::path path = folder.path() / "a.gguf";
  const auto with = [&](const std::vector<std::pair<std::string, GgufValue>>& metadata,
                        const std::vector<GgufWriter::Declaration>& tensors) {
    return GgufWriter::create(path, metadata, tensors).status();
  };
  const auto invalid = absl::StatusCode::kInvalidArgument;
  const GgmlType q4_k = ggml_type(std::string_view("Q4_K")).value();
  FRUGAL_EXPECT_ERROR(with({{"k", true}, {"k", true}}, {}), invalid, "stands twice");
  FRUGAL_EXPECT_ERROR(with({{"k", std::string("\xff")}}, {}), invalid, "no UTF-8");
  FRUGAL_EXPECT_ERROR(with({{"k", std::vector<std::string>{"\xff"}}}, {}), invalid, "no UTF-8");
  FRUGAL_EXPECT_ERROR(with({{"general.alignment", uint32_t{3}}}, {}), invalid, "power of two");
  FRUGAL_EXPECT_ERROR(with({}, {{std::string(64, 'n'), {1}, kF32}}), invalid, "64 bytes");
  FRUGAL_EXPECT_ERROR(with({}, {{"t", {1}, kF32}, {"t", {1}, kF32}}), invalid, "stands twice");
  FRUGAL_EXPECT_ERROR(with({}, {{"t", {1, 1, 1, 1, 1}, kF32}}), invalid, "5 dimensions");
  FRUGAL_EXPECT_ERROR(with({}, {{"t", {2, 100}, q4_k}}), invalid,
                      "no multiple of the block of 256");
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer,
                              GgufWriter::create(path, {}, {{"t", {1}, kF32}, {"u", {1}, kF32}}));
  const std::vector<std::byte> bytes(4);
  FRUGAL_EXPECT_ERROR(writer.write("u", bytes), absl::StatusCode::kInternal,
                      "where 't' was declared");
  FRUGAL_EXPECT_ERROR(writer.write("t", std::span(bytes).first(3)), invalid, "3 bytes");
  FRUGAL_ASSERT_OK(writer.write("t", bytes));
  FRUGAL_EXPECT_ERROR(writer.commit(), absl::StatusCode::kInternal,
                      "'u' was declared but never written");
  EXPECT_FALSE(fs::exists(path));
}

}  // namespace
}  // namespace frugal::format
