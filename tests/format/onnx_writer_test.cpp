#include <gtest/gtest.h>

#include <cstdlib>

#include "format/onnx.h"
#include "format/tiny_model.h"
#include "format/tiny_onnx.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;

// The golden pair was checked by onnx.checker and run by onnxruntime (golden/make_golden.py). To
// renew it, set FRUGAL_KEEP_ONNX to the golden folder.
TEST(OnnxWriter, BytesAreTheGoldenOnes) {
  const frugal::test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK(test::write_tiny_onnx(folder.path() / "ours.onnx"));
  for (const char* name : {"ours.onnx", "ours.onnx.data"}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string written, base::read_file(folder.path() / name));
    if (const char* keep = std::getenv("FRUGAL_KEEP_ONNX"))
      test::write_text(fs::path(keep) / name, written);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string golden,
                                base::read_file(fs::path(GOLDEN_FOLDER) / name));
    EXPECT_TRUE(written == golden) << name;
  }
}

TEST(OnnxWriter, NothingAppearsBeforeCommit) {
  const frugal::test::TemporaryFolder folder;
  {
    FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer,
                                OnnxWriter::create(folder.path() / "m.onnx", test::tiny_onnx()));
    const std::vector<std::byte> bytes(32 * 64 * 4);
    FRUGAL_ASSERT_OK(writer.write("weight", bytes));
    EXPECT_FALSE(fs::exists(folder.path() / "m.onnx"));
    EXPECT_FALSE(fs::exists(folder.path() / "m.onnx.data"));
    FRUGAL_EXPECT_ERROR(writer.write("codes", bytes), absl::StatusCode::kInternal,
                        "where 'bias' was declared");
    FRUGAL_EXPECT_ERROR(writer.write("bias", bytes), absl::StatusCode::kInternal, "need 256");
    FRUGAL_EXPECT_ERROR(writer.commit(), absl::StatusCode::kInternal,
                        "'bias' was declared but not written whole");
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(OnnxWriter, ModelsWithoutStreamedWeightsHaveOneFile) {
  const frugal::test::TemporaryFolder folder;
  OnnxModel model;
  model.opsets = {{"", 21}};
  model.inputs = {{"x", OnnxType::kFloat, {}}};
  model.outputs = {{"y", OnnxType::kFloat, {}}};
  model.nodes = {{"Identity", "", {"x"}, {"y"}, {}, ""}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer, OnnxWriter::create(folder.path() / "m.onnx", model));
  FRUGAL_ASSERT_OK(writer.commit());
  EXPECT_FALSE(fs::exists(folder.path() / "m.onnx.data"));
  FRUGAL_EXPECT_OK(read_onnx(folder.path() / "m.onnx"));
  FRUGAL_EXPECT_ERROR(OnnxWriter::create(folder.path() / "m.bin", model),
                      absl::StatusCode::kInvalidArgument, ".onnx");
}

TEST(OnnxWriter, EmptyTensorsNeedNoBytes) {
  const frugal::test::TemporaryFolder folder;
  OnnxModel model;
  model.opsets = {{"", 21}};
  model.initializers = {{"a", OnnxType::kFloat, {0}, {}},
                        {"b", OnnxType::kFloat, {3}, {}},
                        {"c", OnnxType::kFloat, {0}, {}}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer, OnnxWriter::create(folder.path() / "m.onnx", model));
  FRUGAL_ASSERT_OK(writer.write("b", std::vector<std::byte>(12)));
  FRUGAL_ASSERT_OK(writer.commit());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto summary, read_onnx(folder.path() / "m.onnx"));
  EXPECT_EQ(summary.initializers[1].size_bytes, 12);
}

TEST(OnnxWriter, EveryAttributeTypeIsWritten) {
  const frugal::test::TemporaryFolder folder;
  OnnxModel model;
  model.opsets = {{"", 21}};
  model.nodes = {{"Op",
                  "",
                  {},
                  {"y"},
                  {{"i", int64_t{7}},
                   {"f", 0.5f},
                   {"s", std::string("text")},
                   {"is", std::vector<int64_t>{1, 2}},
                   {"fs", std::vector<float>{1.5f}},
                   {"ss", std::vector<std::string>{"a", "b"}}},
                  ""}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer, OnnxWriter::create(folder.path() / "m.onnx", model));
  FRUGAL_ASSERT_OK(writer.commit());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string bytes, base::read_file(folder.path() / "m.onnx"));
  // Wire form of AttributeProto (onnx-ml.proto): name = 1, f = 2, i = 3, s = 4, floats = 7, ints =
  // 8, strings = 9, type = 20.
  using namespace std::string_literals;
  for (const std::string& wire :
       {"\x0a\x01i\x18\x07\xa0\x01\x02"s,
        "\x0a\x01"
        "f\x15\x00\x00\x00\x3f\xa0\x01\x01"s,
        "\x0a\x01s\x22\x04text\xa0\x01\x03"s, "\x0a\x02is\x40\x01\x40\x02\xa0\x01\x07"s,
        "\x0a\x02"
        "fs\x3d\x00\x00\xc0\x3f\xa0\x01\x06"s,
        "\x0a\x02ss\x4a\x01"
        "a\x4a\x01"
        "b\xa0\x01\x08"s}) {
    EXPECT_NE(bytes.find(wire), std::string::npos) << wire;
  }
}

}  // namespace
}  // namespace frugal::format
