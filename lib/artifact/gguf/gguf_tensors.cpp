// Tested by: tests/artifact/gguf_model_test.cpp
#include "artifact/gguf/gguf_tensors.h"

#include "architecture/gguf_names.h"
#include "artifact/gguf/hyperparameters.h"

namespace frugal::artifact {

std::vector<GgufSource> gguf_tensors(const architecture::ModelConfig& config) {
  std::vector<GgufSource> ends, layers;  // what stands outside of layers comes first
  const double query_factor = query_gain_factor(config).value_or(1.0);  // refused by check_gguf
  for (const architecture::Tensor& tensor : architecture::tensors(config)) {
    std::string name = architecture::gguf_stored_name(config, tensor.role, tensor.layer);
    if (tensor.in_layer() && !layers.empty() && layers.back().name == name) {
      layers.back().parts.push_back(tensor);
      layers.back().shape.front() += tensor.shape.front();
      continue;
    }
    GgufSource source{
        .name = std::move(name),
        .parts = {tensor},
        .shape = tensor.shape,
        .permuted_heads = architecture::gguf_interleaved_heads(config, tensor.role, tensor.layer),
        .offset = architecture::stored_offset(config, tensor.role, tensor.layer)};
    if (tensor.role == architecture::Role::kQueryNorm) source.factor = query_factor;
    (tensor.in_layer() ? layers : ends).push_back(std::move(source));
  }
  const architecture::Attention& attention = config.layers.front().attention;
  if (attention.rope.scaling &&
      attention.rope.scaling->kind == architecture::RopeScaling::Kind::kLlama3)
    ends.push_back({std::string(kGgufRopeFrequencies), {}, {attention.head_size / 2}, 0});
  ends.insert(ends.end(), layers.begin(), layers.end());
  return ends;
}

std::vector<int64_t> interleaved_row_order(int64_t rows, int64_t heads) {
  const int64_t head_rows = rows / heads;
  std::vector<int64_t> order(static_cast<size_t>(rows));
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t i = 0; i < head_rows; ++i) {
      order[head * head_rows + i] = head * head_rows + (i % 2) * (head_rows / 2) + i / 2;
    }
  }
  return order;
}

}  // namespace frugal::artifact
