// What a pass over the layers reads from the mapped checkpoint, one layer at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "architecture/stages.h"
#include "base/status.h"
#include "format/checkpoint.h"
#include "model/decoder.h"
#include "model/products.h"
#include "tensor/copy_queue.h"

namespace frugal::layerwise {

// Matrices that share an input.
struct StageWeights {
  std::vector<std::string> names;
  std::vector<int64_t> row_counts;
  at::Tensor stacked;  // [R, in] fp32 on the CPU
  at::Tensor here;     // the same on the device that multiplies
};

// Errors: those of loading.
absl::StatusOr<StageWeights> load_matrices(const format::Checkpoint& checkpoint,
                                           std::vector<std::string> names);
absl::StatusOr<StageWeights> load_stage(const format::Checkpoint& checkpoint,
                                        const architecture::Stage& stage);

// Starts reading a stage's matrices from the disk, for a load_stage() to come.
void read_ahead(const format::Checkpoint& checkpoint, const architecture::Stage& stage);

// The stages of a model, one after the other, while the next one is on its way: read from the disk
// and, where a GPU multiplies, stacked by another thread and copied beside the GPU's computations.
class StageReader {
 public:
  // `checkpoint` and `stages` must outlive the reader.
  StageReader(const format::Checkpoint& checkpoint,
              const std::vector<std::vector<architecture::Stage>>& stages,
              const at::Device& device);
  ~StageReader();
  StageReader(const StageReader&) = delete;
  StageReader& operator=(const StageReader&) = delete;

  // Errors: those of loading.
  absl::StatusOr<StageWeights> take(const architecture::StageRef& at);

 private:
  struct Loading;
  absl::StatusOr<Loading> load(const architecture::StageRef& at) const;
  const architecture::Stage& stage_at(const architecture::StageRef& at) const;
  void prepare(const architecture::StageRef& at);

  const format::Checkpoint& checkpoint_;
  const std::vector<std::vector<architecture::Stage>>& stages_;  // by layer
  const at::Device device_;
  std::optional<tensor::CopyQueue> copies_;  // not on the CPU
  struct Next;
  std::unique_ptr<Next> next_;
};

// What the config expects of this layer beside the matrices of its stages: gains of norms, biases,
// a router. fp32.
absl::StatusOr<model::LayerParameters> load_small_parameters(const format::Checkpoint& checkpoint,
                                                             int64_t layer,
                                                             const at::Device& device);

// What stands outside of the layers, fp32.
absl::StatusOr<model::Embedding> load_embedding(const format::Checkpoint& checkpoint,
                                                const at::Device& device);
absl::StatusOr<model::NormWeights> load_final_norm(const format::Checkpoint& checkpoint,
                                                   const at::Device& device);

// For windows of `length` tokens that each start at place 0. Throws.
model::AttentionContexts window_contexts(const architecture::ModelConfig& config, int64_t length,
                                         const at::Device& device, model::Precision precision);

}  // namespace frugal::layerwise
