// Tested by: tests/artifact/gguf_model_test.cpp
#include "artifact/gguf/gguf_tensors.h"

#include <map>
#include <utility>

#include "architecture/gguf_names.h"
#include "artifact/gguf/hyperparameters.h"

namespace frugal::artifact {

namespace {

void add_rope_tensors(const architecture::ModelConfig& config, std::vector<GgufSource>& to) {
  using Kind = architecture::RopeScaling::Kind;
  const architecture::Attention& attention = config.layers.front().attention;
  const architecture::Rope& rope = attention.rope;
  if (!rope.scaling) return;
  const int64_t channels =
      rope.channels == 0 ? attention.head_size : rope.turned(attention.head_size);
  const std::vector<int64_t> shape = {channels / 2};
  if (rope.scaling->kind == Kind::kLlama3)
    to.push_back({std::string(kGgufRopeFrequencies), {}, shape, 0});
  if (rope.scaling->kind != Kind::kLongRope) return;
  for (const std::string_view name : {kGgufLongFactors, kGgufShortFactors})
    to.push_back({std::string(name), {}, shape, 0});
}

}  // namespace

std::vector<GgufSource> gguf_tensors(const architecture::ModelConfig& config) {
  std::vector<GgufSource> ends, layers;  // what stands outside of layers comes first
  const double query_factor = query_gain_factor(config).value_or(1.0);  // refused by check_gguf
  std::map<std::string, size_t> known;                                  // of the layers
  for (const architecture::Tensor& tensor : architecture::tensors(config)) {
    std::string name = architecture::gguf_stored_name(config, tensor.role, tensor.layer);
    if (const auto found = known.find(name); found != known.end()) {
      GgufSource& source = layers[found->second];
      source.parts.push_back(tensor);
      source.shape.front() += tensor.expert == architecture::kNoExpert ? tensor.shape.front() : 1;
      continue;
    }
    GgufSource source{
        .name = std::move(name),
        .parts = {tensor},
        .shape = tensor.shape,
        .permuted_heads = architecture::gguf_interleaved_heads(config, tensor.role, tensor.layer),
        .offset = architecture::stored_offset(config, tensor.role, tensor.layer)};
    if (tensor.expert != architecture::kNoExpert) source.shape.insert(source.shape.begin(), 1);
    if (tensor.role == architecture::Role::kQueryNorm) source.factor = query_factor;
    if (tensor.in_layer()) known.emplace(source.name, layers.size());
    (tensor.in_layer() ? layers : ends).push_back(std::move(source));
  }
  add_rope_tensors(config, ends);
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
