#include <gtest/gtest.h>

#include "format/onnx.h"
#include "format/tiny_model.h"
#include "format/tiny_onnx.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;

class OnnxReaderTest : public ::testing::Test {
 protected:
  void SetUp() override { FRUGAL_ASSERT_OK(test::write_tiny_onnx(model())); }
  fs::path model() const { return folder_.path() / "model.onnx"; }
  fs::path data() const { return folder_.path() / "model.onnx.data"; }

  // Replaces one text of the model by another of the same length.
  void patch(std::string_view from, std::string_view to) const {
    ASSERT_EQ(from.size(), to.size());
    std::string bytes = base::read_file(model()).value();
    const size_t at = bytes.find(from);
    ASSERT_NE(at, std::string::npos);
    bytes.replace(at, from.size(), to);
    test::write_text(model(), bytes);
  }
  frugal::test::TemporaryFolder folder_;
};

TEST_F(OnnxReaderTest, TellsWhatWasWritten) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto summary, read_onnx(model()));
  EXPECT_EQ(summary.ir_version, 10);
  EXPECT_EQ(summary.opsets,
            (std::vector<std::pair<std::string, int64_t>>{{"", 21}, {"com.microsoft", 1}}));
  EXPECT_EQ(summary.producer_name, "frugal");
  EXPECT_EQ(summary.metadata.at("note"), "grüße");
  EXPECT_EQ(summary.node_counts,
            (std::map<std::string, int64_t>{
                {"Add", 2}, {"DequantizeLinear", 1}, {"MatMul", 1}, {"Reshape", 2}}));
  ASSERT_EQ(summary.inputs.size(), 1u);
  EXPECT_EQ(std::get<std::string>(summary.inputs[0].dims[1]), "sequence_length");
  EXPECT_EQ(std::get<int64_t>(summary.inputs[0].dims[2]), 32);
  ASSERT_EQ(summary.initializers.size(), 6u);
  EXPECT_EQ(summary.initializers[0].location, "model.onnx.data");
  EXPECT_EQ(summary.initializers[0].offset, 0);
  EXPECT_EQ(summary.initializers[1].offset, 32 * 64 * 4);
  EXPECT_EQ(summary.initializers[2].type, OnnxType::kUint4);
  EXPECT_EQ(summary.initializers[2].size_bytes, 32);
  EXPECT_EQ(summary.initializers[2].weight_count, 64);
  EXPECT_EQ(summary.initializers[3].location, "");
  EXPECT_EQ(summary.initializers[3].weight_count, 0);  // a shape
  EXPECT_EQ(summary.initializers[5].weight_count, 0);  // a scale
}

TEST_F(OnnxReaderTest, LargeTensorsAreAlignedToPages) {
  OnnxModel wide;
  wide.opsets = {{"", 21}};
  wide.initializers = {{"a", OnnxType::kUint8, {5}, {}},
                       {"b", OnnxType::kUint8, {4096}, {}},
                       {"c", OnnxType::kUint8, {3}, {}}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer, OnnxWriter::create(model(), wide));
  FRUGAL_ASSERT_OK(writer.write("a", std::vector<std::byte>(5, std::byte{1})));
  FRUGAL_ASSERT_OK(writer.write("b", std::vector<std::byte>(4096, std::byte{2})));
  FRUGAL_ASSERT_OK(writer.write("c", std::vector<std::byte>(3, std::byte{3})));
  FRUGAL_ASSERT_OK(writer.commit());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto summary, read_onnx(model()));
  EXPECT_EQ(summary.initializers[1].offset, 4096);
  EXPECT_EQ(summary.initializers[2].offset, 8192);
  const std::string bytes = base::read_file(data()).value();
  EXPECT_EQ(bytes.substr(0, 6), std::string("\1\1\1\1\1\0", 6));
  EXPECT_EQ(bytes.substr(4095, 2), std::string("\0\2", 2));
  EXPECT_EQ(bytes.substr(8192), "\3\3\3");
}

TEST_F(OnnxReaderTest, PackedWeightsAreCountedUnpacked) {
  OnnxModel packed;
  packed.opsets = {{"", 21}, {"com.microsoft", 1}};
  packed.inputs = {{"x", OnnxType::kFloat, {"n", int64_t{64}}}};
  packed.initializers = {{"b", OnnxType::kUint8, {8, 2, 16}, {}},
                         {"s", OnnxType::kFloat, {8, 2}, {}}};
  packed.nodes = {
      {"MatMulNBits",
       "com.microsoft",
       {"x", "b", "s"},
       {"y"},
       {{"K", int64_t{64}}, {"N", int64_t{8}}, {"bits", int64_t{4}}, {"block_size", int64_t{32}}},
       ""}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer, OnnxWriter::create(model(), packed));
  FRUGAL_ASSERT_OK(writer.write("b", std::vector<std::byte>(256)));
  FRUGAL_ASSERT_OK(writer.write("s", std::vector<std::byte>(64)));
  FRUGAL_ASSERT_OK(writer.commit());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto summary, read_onnx(model()));
  EXPECT_EQ(summary.node_counts.at("com.microsoft::MatMulNBits"), 1);
  EXPECT_EQ(summary.initializers[0].weight_count, 512);
  EXPECT_EQ(summary.initializers[1].weight_count, 0);
}

TEST_F(OnnxReaderTest, ReferencesMayNotLeaveTheFolder) {
  const auto invalid = absl::StatusCode::kInvalidArgument;
  patch("model.onnx.data", "../../etc/passw");
  FRUGAL_EXPECT_ERROR(read_onnx(model()), invalid,
                      "initializer 'weight': external location '../../etc/passw'");
  patch("../../etc/passw", "/etc/passwd/etc");
  FRUGAL_EXPECT_ERROR(read_onnx(model()), invalid, "not the bare name");
  patch("/etc/passwd/etc", std::string_view("model.onnx.da\0x", 15));
  FRUGAL_EXPECT_ERROR(read_onnx(model()), invalid, "not the bare name");
}

TEST_F(OnnxReaderTest, LinksAreRefused) {
  const frugal::test::TemporaryFolder elsewhere;
  fs::rename(data(), elsewhere.path() / "secret");
  fs::create_symlink(elsewhere.path() / "secret", data());
  FRUGAL_EXPECT_ERROR(read_onnx(model()), absl::StatusCode::kInvalidArgument, "is a symbolic link");
  fs::remove(data());
  fs::create_hard_link(elsewhere.path() / "secret", data());
  FRUGAL_EXPECT_ERROR(read_onnx(model()), absl::StatusCode::kInvalidArgument, "2 hard links");
  fs::remove(data());
  fs::create_directory(data());
  FRUGAL_EXPECT_ERROR(read_onnx(model()), absl::StatusCode::kInvalidArgument, "no regular file");
}

TEST_F(OnnxReaderTest, TruncationAndLiesAreNamed) {
  const auto loss = absl::StatusCode::kDataLoss;
  patch("8192", "8191");  // the length of 'weight', which comes first
  EXPECT_FALSE(read_onnx(model()).ok());
  patch("8191", "8192");
  fs::resize_file(data(), fs::file_size(data()) - 1);
  FRUGAL_EXPECT_ERROR(read_onnx(model()), loss, "initializer 'codes': needs 32 bytes");
  fs::resize_file(data(), 100);
  FRUGAL_EXPECT_ERROR(read_onnx(model()), loss, "(truncated?)");
  fs::remove(data());
  EXPECT_FALSE(read_onnx(model()).ok());
  fs::resize_file(model(), fs::file_size(model()) - 1);
  FRUGAL_EXPECT_ERROR(read_onnx(model()), loss, "protobuf cannot parse it");
  test::write_text(model(), "");
  EXPECT_FALSE(read_onnx(model()).ok());
}

}  // namespace
}  // namespace frugal::format
