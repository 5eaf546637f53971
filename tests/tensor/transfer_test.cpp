#include "tensor/transfer.h"

#include <filesystem>
#include <vector>

#include "architecture/tensors.h"
#include "base/json.h"
#include "base/random.h"
#include "grid/grid.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::tensor {
namespace {

constexpr const char* kConfig = R"({
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32, "intermediate_size": 64,
  "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 10,
  "max_position_embeddings": 16, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": true,
  "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2})";
constexpr const char* kDown = "model.layers.0.mlp.down_proj.weight";  // [32, 64]

at::Tensor random_values(at::IntArrayRef shape, std::string_view name) {
  base::RandomStream stream(1, name);
  at::Tensor values = at::empty(shape, at::kFloat);
  for (int64_t i = 0; i < values.numel(); ++i) {
    values.mutable_data_ptr<float>()[i] = static_cast<float>(stream.normal());
  }
  return values;
}

// A checkpoint with every tensor random, stored as `dtype`, the down projection on `grid` where one
// is named.
class TransferTest : public ::testing::Test {
 protected:
  void make(format::DType dtype, std::optional<std::string> grid_name = std::nullopt) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json json, base::parse_json(kConfig, "config"));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const architecture::ModelConfig config,
                                architecture::parse_model_config(json, "config"));
    std::vector<format::CheckpointWriter::Tensor> tensors;
    for (const auto& [name, shape, role, layer, slice, expert] : architecture::tensors(config)) {
      tensors.push_back({name, dtype, shape, name == kDown ? grid_name : std::nullopt});
    }
    FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer,
                                format::CheckpointWriter::create(folder_.path(), config, tensors));
    for (const auto& tensor : tensors) {
      values_[tensor.name] = random_values(tensor.shape, tensor.name);
      if (!tensor.grid) {
        FRUGAL_ASSERT_OK(write(writer, tensor.name, values_[tensor.name]));
        continue;
      }
      FRUGAL_ASSERT_OK_AND_ASSIGN(const auto grid, grid::find_grid(*tensor.grid, tensor.shape[1]));
      FRUGAL_ASSERT_OK_AND_ASSIGN(
          quantized_, grid::round_to_nearest(grid, values_[tensor.name].const_data_ptr<float>(),
                                             tensor.shape[0], tensor.shape[1], {}, true));
      FRUGAL_ASSERT_OK(writer.write_codes(tensor.name, quantized_));
    }
    FRUGAL_ASSERT_OK(writer.finish());
  }

  test::TemporaryFolder folder_;
  std::map<std::string, at::Tensor> values_;
  grid::QuantizedMatrix quantized_;
};

TEST_F(TransferTest, Fp32IsBitEqual) {
  make(format::DType::kF32);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, format::Checkpoint::open(folder_.path()));
  for (const auto& [name, value] : values_) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor loaded,
                                load(checkpoint, name, at::kFloat, at::kCPU));
    EXPECT_TRUE(loaded.equal(value)) << name;
  }
}

TEST_F(TransferTest, Bf16RoundsToNearestEvenAsLibTorchDoes) {
  make(format::DType::kBF16);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, format::Checkpoint::open(folder_.path()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor loaded,
                              load(checkpoint, kDown, at::kBFloat16, at::kCPU));
  EXPECT_EQ(loaded.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(loaded.equal(values_[kDown].to(at::kBFloat16)));
}

TEST_F(TransferTest, QuantizedTensorsAreDecoded) {
  make(format::DType::kF32, "q8_0");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, format::Checkpoint::open(folder_.path()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor loaded,
                              load(checkpoint, kDown, at::kFloat, at::kCPU));
  at::Tensor decoded = at::empty({32, 64}, at::kFloat);
  grid::decode_matrix(quantized_, decoded.mutable_data_ptr<float>());
  EXPECT_TRUE(loaded.equal(decoded));
  EXPECT_FALSE(loaded.equal(values_[kDown]));
}

TEST_F(TransferTest, NonContiguousTensorsAreWrittenInTheirOrder) {
  make(format::DType::kF32);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, format::Checkpoint::open(folder_.path()));
  test::TemporaryFolder other;
  std::vector<format::CheckpointWriter::Tensor> tensors;
  for (const auto& [name, shape, role, layer, slice, expert] :
       architecture::tensors(checkpoint.config())) {
    tensors.push_back({name, format::DType::kF32, shape, std::nullopt});
  }
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      auto writer, format::CheckpointWriter::create(other.path(), checkpoint.config(), tensors));
  for (const auto& tensor : tensors) {
    const at::Tensor value = values_[tensor.name];
    FRUGAL_ASSERT_OK(
        write(writer, tensor.name, value.dim() == 2 ? value.t().contiguous().t() : value));
  }
  FRUGAL_ASSERT_OK(writer.finish());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto copy, format::Checkpoint::open(other.path()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor loaded, load(copy, kDown, at::kFloat, at::kCPU));
  EXPECT_TRUE(loaded.equal(values_[kDown]));
}

TEST_F(TransferTest, UnknownTensorsAreErrors) {
  make(format::DType::kF32);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, format::Checkpoint::open(folder_.path()));
  const auto missing =
      load(checkpoint, "model.layers.9.mlp.down_proj.weight", at::kFloat, at::kCPU);
  EXPECT_FALSE(missing.ok());
}

TEST(Transfer, TypesGoBothWays) {
  using format::DType;
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64, DType::kI8,
                            DType::kU8, DType::kI16, DType::kU16, DType::kI32, DType::kU32,
                            DType::kI64, DType::kU64, DType::kBool, DType::kF8E4M3}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const DType back, dtype_of(scalar_type(dtype)));
    EXPECT_EQ(back, dtype);
    EXPECT_EQ(static_cast<int64_t>(at::elementSize(scalar_type(dtype))), format::size_bytes(dtype));
  }
  FRUGAL_EXPECT_ERROR(dtype_of(at::kComplexFloat), absl::StatusCode::kInvalidArgument,
                      "ComplexFloat");
}

}  // namespace
}  // namespace frugal::tensor
