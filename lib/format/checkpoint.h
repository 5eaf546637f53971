// The checkpoint: a Hugging Face folder on disk, the only currency between passes.
//
//   config.json          + "frugal": {"version": 1, "quantized": {"<tensor>":
//                            {"grid": "q4_k", "shape": [R, C]}}}
//                          version 2: such an entry may say "activations": "int8" (activations.h)
//   model.safetensors    or shards with model.safetensors.index.json
//   tokenizer.json, tokenizer.model, tokenizer_config.json, special_tokens_map.json, ...
//
// Families that store several matrices as one (query, key and value; gate and up; the experts of a
// layer) or turned round (Conv1D) are read as if each was there by itself, and written as the
// family has them: parts of one tensor are fused where all of them are plain numbers, and lie
// apart, under their own names, where one is on a grid. Experts are written as they were read, in
// stacks or one by one; "frugal": {"stacked_experts": true} says so where the files cannot.
//
// A quantized weight keeps its Hugging Face name; its tensor is U8 [R, row_bytes]: the grid's
// packed blocks, exact codes and scales (never rounded floats). `quantization_config.quant_method`
// = "frugal" warns other tools.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "architecture/tensors.h"
#include "base/file.h"
#include "base/status.h"
#include "format/activations.h"
#include "format/convert.h"
#include "format/safetensors.h"
#include "grid/grid.h"

namespace frugal::format {

struct QuantizedEntry {
  std::string grid;  // canonical grid name
  int64_t rows = 0;
  int64_t columns = 0;
  Activations activations = Activations::kFloat;
};

// The bytes of a tensor: those of the mapped file, or a copy where they lie otherwise there.
class TensorBytes {
 public:
  TensorBytes() = default;
  explicit TensorBytes(std::span<const std::byte> mapped) : bytes_(mapped) {}
  explicit TensorBytes(std::vector<std::byte> copy)
      : copy_(std::make_shared<const std::vector<std::byte>>(std::move(copy))), bytes_(*copy_) {}

  const std::byte* data() const { return bytes_.data(); }
  size_t size() const { return bytes_.size(); }
  auto begin() const { return bytes_.begin(); }
  auto end() const { return bytes_.end(); }
  bool is_mapped() const { return copy_ == nullptr; }

 private:
  std::shared_ptr<const std::vector<std::byte>> copy_;
  std::span<const std::byte> bytes_;
};

class Checkpoint {
 public:
  // Opens and cross-checks: config, index against shards both ways, every expected tensor present
  // with its shape (or its quantized form), nothing unknown beside them (rotary buffers are
  // skipped). Reads no weight data. With tied embeddings a stored lm_head is hidden; that it equals
  // the embedding is checked when the embedding is first read. Errors name folder, file, tensor,
  // found and expected.
  static absl::StatusOr<Checkpoint> open(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  const architecture::ModelConfig& config() const { return config_; }
  const std::map<std::string, QuantizedEntry, std::less<>>& quantized() const { return quantized_; }

  bool has(std::string_view tensor) const;
  absl::StatusOr<TensorInfo> info(std::string_view tensor) const;
  std::vector<std::string> tensor_names() const;  // sorted, parts of fused tensors one by one
  // In its own shape, in the type that is stored. Errors: no such tensor; an embedding that a
  // stored head contradicts (open).
  absl::StatusOr<TensorBytes> bytes(std::string_view tensor) const;
  // Starts reading a tensor from the disk while other work goes on. Names that are not there:
  // nothing.
  void read_ahead(std::string_view tensor) const;

  // fp32 values [shape] of a stored tensor: F32/F16/BF16 converted, quantized ones decoded. Errors:
  // NaN or infinity (with tensor and index), other dtypes.
  absl::StatusOr<std::vector<float>> values(std::string_view tensor) const;
  // The exact codes of a quantized tensor.
  absl::StatusOr<grid::QuantizedMatrix> codes(std::string_view tensor) const;

  int64_t weight_bytes() const;  // of all stored tensors
  // Non-weight files that travel with the model (tokenizer files, generation_config.json, chat
  // template).
  std::vector<std::filesystem::path> side_files() const;
  // XXH3-128 over config, names, shapes and bytes of the weights, and side files; the same for any
  // sharding of the same tensors. Reads everything; computed once per opened checkpoint and its
  // copies.
  absl::StatusOr<std::string> content_hash() const;

 private:
  // A tensor of the model: all of a stored one, some of its rows, or some of its columns.
  struct Stored {
    size_t shard = 0;
    TensorInfo info;
    int64_t stride = 0;        // of columns: elements from one to the next along the tensor's rows
    TensorInfo range() const;  // from the first byte to the last in the file
  };
  TensorBytes bytes_of(const Stored& stored) const;
  void find_stacks(const base::Json& json);
  absl::Status cut_fused();
  absl::Status check_expected() const;
  absl::Status missing(const architecture::Tensor& expected) const;
  absl::Status check_nothing_else() const;
  absl::Status check_packing() const;
  absl::Status hide_tied_head();
  absl::Status check_tied_head() const;
  absl::Status tied_heads_differ() const;

  std::filesystem::path folder_;
  architecture::ModelConfig config_;
  std::map<std::string, QuantizedEntry, std::less<>> quantized_;
  std::vector<SafetensorsFile> shards_;
  std::map<std::string, Stored, std::less<>> stored_;

  struct HashCache;
  std::shared_ptr<HashCache> hash_cache_;
  struct TiedHead;
  std::shared_ptr<TiedHead> tied_head_;  // null: none is stored
};

// Writes a checkpoint folder tensor by tensor. Shards above `max_shard_bytes`. The folder must
// exist (the runner's staging folder). Everything is written under temporary names; `finish` gives
// the final ones, config.json last. A writer that is destroyed before that leaves nothing behind.
// `config.source` travels on; its `torch_dtype`, `frugal.quantized` and `quantization_config`
// follow what is declared here.
class CheckpointWriter {
 public:
  struct Tensor {
    std::string name;
    DType dtype = DType::kF32;             // of float tensors
    std::vector<int64_t> shape;            // logical shape
    std::optional<std::string> grid = {};  // set: quantized, stored as U8 blocks
    Activations activations = Activations::kFloat;
  };
  // Declares everything that will be written, in writing order; sizes are known from here on.
  // Errors: the tensors are not the ones `config` demands; an unknown grid or a row that does not
  // fit it; too little room on the disk; a folder whose weight files under other names would
  // contradict the new ones.
  static absl::StatusOr<CheckpointWriter> create(const std::filesystem::path& folder,
                                                 const architecture::ModelConfig& config,
                                                 std::vector<Tensor> tensors,
                                                 int64_t max_shard_bytes = int64_t{5} << 30);
  CheckpointWriter(CheckpointWriter&&) noexcept;
  ~CheckpointWriter();
  // Bytes of the next declared tensor in its dtype.
  absl::Status write(std::string_view name, std::span<const std::byte> bytes);
  // fp32 values, converted to the declared dtype (round to nearest even); NaN and overflow are
  // errors.
  absl::Status write_values(std::string_view name, std::span<const float> values);
  absl::Status write_codes(std::string_view name, const grid::QuantizedMatrix& matrix);
  // Copies tokenizer and other side files of `source`.
  absl::Status copy_side_files(const Checkpoint& source);
  // Writes index and config; the folder is a checkpoint from here on.
  absl::Status finish();

 private:
  struct State;
  explicit CheckpointWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace frugal::format
