#include <gtest/gtest.h>

#include <cstring>

#include "format/gguf.h"
#include "format/gguf_golden.h"
#include "format/tiny_model.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kGolden = fs::path(GOLDEN_FOLDER) / "python.gguf";

// Pieces of a hand-written file.
template <typename T>
std::string le(T value) {
  std::string out(sizeof(T), '\0');
  std::memcpy(out.data(), &value, sizeof(T));
  return out;
}
std::string text(std::string_view content) { return le<uint64_t>(content.size()).append(content); }
std::string header(uint64_t tensors, uint64_t keys) {
  return "GGUF" + le<uint32_t>(3) + le(tensors) + le(keys);
}
std::string key(std::string_view name, uint32_t type, std::string_view value) {
  return (text(name) + le(type)).append(value);
}
std::string tensor(std::string_view name, std::vector<uint64_t> dims, uint32_t type,
                   uint64_t offset) {
  std::string out = text(name) + le(static_cast<uint32_t>(dims.size()));
  for (const uint64_t dim : dims) out += le(dim);
  return out + le(type) + le(offset);
}
std::string padded(std::string content, size_t data_bytes) {
  content.resize((content.size() + 31) / 32 * 32 + data_bytes);
  return content;
}

class GgufReaderTest : public ::testing::Test {
 protected:
  absl::StatusOr<GgufFile> open(std::string_view content) {
    const fs::path path = folder_.path() / "a.gguf";
    test::write_text(path, content);
    return GgufFile::open(path);
  }
  frugal::test::TemporaryFolder folder_;
};

TEST_F(GgufReaderTest, ReadsEveryTypeThatPythonWrites) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto file, GgufFile::open(kGolden));
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.metadata(), test::golden_metadata());
  ASSERT_NE(file.find("k.i16"), nullptr);
  EXPECT_EQ(std::get<int16_t>(*file.find("k.i16")), -30000);
  EXPECT_EQ(file.find("k.nothing"), nullptr);
  const GgufTensor* half = file.find_tensor("half");
  ASSERT_NE(half, nullptr);
  EXPECT_EQ(half->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(half->type.name, "F16");
  std::vector<float> values(6);
  convert_to_f32(DType::kF16, file.bytes(*half), values.data());
  EXPECT_EQ(values, (std::vector<float>{0, 0.25f, 0.5f, 0.75f, 1, 1.25f}));
  EXPECT_EQ(file.find_tensor("q4")->size_bytes, 4 * 2 * 18);
  EXPECT_EQ(file.find_tensor("none"), nullptr);
}

TEST_F(GgufReaderTest, EveryTruncationIsAnError) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string golden, base::read_file(kGolden));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto file, GgufFile::open(kGolden));
  // Behind the last tensor there is only padding.
  const GgufTensor& last = file.tensors().back();
  const size_t padding = static_cast<size_t>((32 - last.size_bytes % 32) % 32);
  for (size_t size = 0; size < golden.size() - padding; size += 7) {
    EXPECT_FALSE(open(std::string_view(golden).substr(0, size)).ok()) << size;
  }
  FRUGAL_EXPECT_ERROR(open(std::string_view(golden).substr(0, golden.size() - padding - 1)),
                      absl::StatusCode::kDataLoss, "a.gguf: truncated: tensor 'bf'");
}

TEST_F(GgufReaderTest, MinimalFilesRead) {
  FRUGAL_EXPECT_OK(open(header(0, 0)));
  FRUGAL_EXPECT_OK(open(padded(header(1, 0) + tensor("t", {4}, 0, 0), 16)));
  FRUGAL_EXPECT_OK(open("GGUF" + le<uint32_t>(2) + header(0, 0).substr(8)));
}

TEST_F(GgufReaderTest, HostileFilesAreRefused) {
  const uint64_t huge = uint64_t{1} << 62;
  struct Case {
    std::string content;
    const char* message;
  };
  const std::vector<Case> cases = {
      {"GGML" + header(0, 0).substr(4), "does not begin with 'GGUF'"},
      {"GGUF" + le<uint32_t>(1) + header(0, 0).substr(8), "version 1"},
      {"GGUF" + le<uint32_t>(0) + header(0, 0).substr(8), "version 0"},
      {"GGUF" + le<uint32_t>(4) + header(0, 0).substr(8), "version 4"},
      {"GGUF" + le<uint32_t>(0x03000000) + header(0, 0).substr(8), "big-endian"},
      {header(huge, 0), "more than the file can hold"},
      {header(0, huge), "more than the file can hold"},
      {header(0, 1) + key("k", 13, le<uint64_t>(0)), "value type 13 is unknown"},
      {header(0, 1) + key("k", 7, "\2"), "a BOOL is 2"},
      {header(0, 1) + key("k", 8, le(huge)), "truncated"},
      {header(0, 1) + key("k", 8, text("\xff\xfe")), "no UTF-8"},
      {header(0, 1) + key("", 7, std::string("\1\0\0\0\0\0\0\0", 8)), "empty"},
      {header(0, 2) + key("k", 7, "\1") + key("k", 7, "\1"), "stands twice"},
      {header(0, 1) + key("k", 9, le<uint32_t>(4) + le(huge)), "truncated"},
      {header(0, 1) + key("k", 9, le<uint32_t>(8) + le(huge)), "truncated"},
      {header(0, 1) + key("k", 9, le<uint32_t>(9) + le<uint64_t>(1)), "arrays of arrays"},
      {header(0, 1) + key("k", 9, le<uint32_t>(99) + le<uint64_t>(0)), "array element type 99"},
      {header(0, 1) + key("general.alignment", 4, le<uint32_t>(24)), "expected a power of two"},
      {header(0, 1) + key("general.alignment", 10, le<uint64_t>(32)), "must be of type U32"},
      {padded(header(1, 0) + tensor(std::string(64, 'n'), {4}, 0, 0), 64), "64 bytes"},
      {padded(header(2, 0) + tensor("t", {4}, 0, 0) + tensor("t", {4}, 0, 32), 64),
       "'t' stands twice"},
      {padded(header(1, 0) + tensor("t", {1, 1, 1, 1, 1}, 0, 0), 64), "5 dimensions"},
      {padded(header(1, 0) + tensor("t", {huge, 4}, 0, 0), 64), "too many elements"},
      {padded(header(1, 0) + tensor("t", {~uint64_t{0}}, 0, 0), 64), "negative"},
      {padded(header(1, 0) + tensor("t", {4}, 4, 0), 64), "tensor type 4"},
      {padded(header(1, 0) + tensor("t", {4}, 77, 0), 64), "tensor type 77"},
      {padded(header(1, 0) + tensor("t", {33}, 2, 0), 64), "no multiple of the block of 32"},
      {padded(header(1, 0) + tensor("t", {4}, 0, 32), 64), "is at offset 32, expected 0"},
      {padded(header(2, 0) + tensor("t", {4}, 0, 0) + tensor("u", {4}, 0, 16), 64),
       "is at offset 16, expected 32"},
      {padded(header(1, 0) + tensor("t", {5}, 0, 0), 16), "needs 20 bytes"},
  };
  for (const Case& c : cases) {
    const absl::Status status = open(c.content).status();
    EXPECT_FALSE(status.ok()) << c.message;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message));
    EXPECT_THAT(std::string(status.message()), HasSubstr("a.gguf"));
  }
}

TEST(GgufReader, RealVocabulariesRead) {
  FRUGAL_SHARED_DATA_OR_SKIP(folder, "llamacpp-vocabs");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto spm, GgufFile::open(folder / "ggml-vocab-llama-spm.gguf"));
  EXPECT_EQ(std::get<std::vector<std::string>>(*spm.find("tokenizer.ggml.tokens")).size(), 32000u);
  EXPECT_EQ(std::get<std::string>(*spm.find("tokenizer.ggml.model")), "llama");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto gpt2, GgufFile::open(folder / "ggml-vocab-gpt-2.gguf"));
  EXPECT_EQ(std::get<std::vector<std::string>>(*gpt2.find("tokenizer.ggml.tokens")).size(), 50257u);
  EXPECT_TRUE(gpt2.tensors().empty());
}

}  // namespace
}  // namespace frugal::format
