#include <algorithm>

#include "layerwise/walk.h"

namespace frugal::layerwise {
namespace {

int64_t layer_parameters(const format::ModelConfig& config) {
  const int64_t heads = config.head_count + config.key_value_head_count;
  return 2 * config.hidden_size * heads * config.head_size +
         3 * config.hidden_size * config.intermediate_size;
}

}  // namespace

int64_t estimate_walk_bytes(const format::ModelConfig& config, int64_t tokens, bool drift) {
  const int64_t streams = drift ? 2 : 1;
  const int64_t widest = std::max(
      {config.hidden_size, config.intermediate_size, config.head_count * config.head_size});
  // Per token: residual stream, stage input and the outputs it came from, fp32.
  const int64_t activations = streams * tokens * 4 * (2 * config.hidden_size + 2 * widest);
  // H, the drift moments, the damped matrix and the factor in fp64; their fp32 copies.
  const int64_t matrices = widest * widest * (8 * (drift ? 5 : 4) + 8);
  return activations + matrices + 3 * 4 * layer_parameters(config);
}

double estimate_walk_operations(const format::ModelConfig& config, int64_t tokens, bool drift) {
  const auto t = static_cast<double>(tokens);
  const double streams = drift ? 2 : 1;
  double operations = streams * 2 * t * static_cast<double>(layer_parameters(config));
  const int64_t attention = config.head_count * config.head_size;
  for (const int64_t width :
       {config.hidden_size, attention, config.hidden_size, config.intermediate_size}) {
    const auto d = static_cast<double>(width);
    operations += t * d * d * (drift ? 3 : 1) + d * d * d;
  }
  return operations * static_cast<double>(config.layer_count);
}

}  // namespace frugal::layerwise
