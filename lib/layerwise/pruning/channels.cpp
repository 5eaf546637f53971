#include "layerwise/pruning/channels.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

constexpr int64_t kRowsAtOnce = 8192;  // bounds fp64 copies

}  // namespace

at::Tensor channel_costs(const at::Tensor& weights, const at::Tensor& hessian) {
  TORCH_CHECK(weights.dim() == 2 && hessian.dim() == 2 && hessian.size(0) == weights.size(1) &&
                  hessian.size(1) == weights.size(1),
              "H of ", weights.size(1), " channels expected, found ", hessian.sizes());
  at::Tensor costs = at::zeros({weights.size(1)}, at::kDouble);
  double energy = 0;
  for (const at::Tensor& rows : weights.split(kRowsAtOnce, 0)) {  // a head has many
    costs += rows.to(at::kDouble).square().sum(0);
    // By rows first: the same bits at any number of threads.
    energy += tensor::row_products(rows, hessian, rows).sum().item<double>();
  }
  costs *= hessian.diagonal();
  return energy > 0 ? costs / energy : at::zeros_like(costs);
}

std::vector<int64_t> other_channels(const std::vector<int64_t>& kept, int64_t count) {
  std::vector<int64_t> others;
  for (int64_t channel = 0; channel < count; ++channel) {
    if (!std::binary_search(kept.begin(), kept.end(), channel)) others.push_back(channel);
  }
  return others;
}

double gain_factor(int64_t channels_before, int64_t channels) {
  return std::sqrt(static_cast<double>(channels_before) / static_cast<double>(channels));
}

architecture::ModelConfig with_channels(architecture::ModelConfig config, int64_t channels) {
  const double share = static_cast<double>(config.hidden_size) / static_cast<double>(channels);
  const auto adapt = [&](architecture::Norm& norm) { norm.epsilon *= share; };
  adapt(config.final_norm);
  for (architecture::Layer& layer : config.layers) {
    // config.json has one epsilon for all norms, those of query and key among them.
    for (std::optional<architecture::Norm>* norm :
         {&layer.before_attention, &layer.after_attention, &layer.before_feed_forward,
          &layer.after_feed_forward, &layer.attention.query_key_norm}) {
      if (*norm) adapt(**norm);
    }
  }
  if (config.embedding_scale != 1.0) config.embedding_scale /= std::sqrt(share);  // it is √C
  config.hidden_size = channels;
  return config;
}

}  // namespace frugal::layerwise
