#include "layerwise/pruning/depth.h"

#include <algorithm>
#include <numeric>

#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {

double block_influence(const std::vector<at::Tensor>& before,
                       const std::vector<at::Tensor>& after) {
  TORCH_CHECK(!before.empty() && before.size() == after.size(), "chunk lists differ");
  std::vector<double> sums(before.size());
  tensor::for_each_tile(static_cast<int64_t>(before.size()), [&](int64_t i) {
    const auto k = static_cast<size_t>(i);
    const at::Tensor x = before[k].to(at::kDouble), y = after[k].to(at::kDouble);
    const at::Tensor lengths = (x.square().sum(-1) * y.square().sum(-1)).sqrt();
    const at::Tensor cosine = (x * y).sum(-1) / lengths;
    sums[k] = cosine.masked_fill(lengths == 0, 0).sum().item<double>();
  });
  int64_t tokens = 0;
  for (const at::Tensor& chunk : before) tokens += chunk.numel() / chunk.size(-1);
  return 1 - std::accumulate(sums.begin(), sums.end(), 0.0) / static_cast<double>(tokens);
}

absl::StatusOr<std::vector<int64_t>> layers_to_keep(const std::vector<double>& influence,
                                                    const DepthOptions& options) {
  const auto layers = static_cast<int64_t>(influence.size());
  const int64_t free = std::max<int64_t>(0, layers - options.protect_first - options.protect_last);
  if (options.drop > free) {
    return base::invalid_argument("cannot drop ", options.drop, " of ", layers, " layers: ", free,
                                  " are left besides the first ", options.protect_first,
                                  " and the last ", options.protect_last,
                                  ", which are protected; drop fewer or protect fewer");
  }
  std::vector<int64_t> order(static_cast<size_t>(free));
  std::iota(order.begin(), order.end(), options.protect_first);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    const double x = influence[static_cast<size_t>(a)], y = influence[static_cast<size_t>(b)];
    return x < y || (x == y && a > b);
  });
  std::vector<int64_t> kept;
  for (int64_t layer = 0; layer < layers; ++layer) {
    if (std::find(order.begin(), order.begin() + options.drop, layer) ==
        order.begin() + options.drop)
      kept.push_back(layer);
  }
  return kept;
}

}  // namespace frugal::layerwise
