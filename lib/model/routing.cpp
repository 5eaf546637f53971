#include "model/routing.h"

#include "tensor/aten.h"

namespace frugal::model {

int64_t Routing::tokens_of(int64_t e) const {
  const auto at = static_cast<size_t>(e);
  return ends.at(at) - (at == 0 ? 0 : ends[at - 1]);
}

StageInput Routing::input_of(int64_t e) const {
  const int64_t count = tokens_of(e);
  const at::Tensor own = tokens.narrow(0, ends[static_cast<size_t>(e)] - count, count);
  return {normed.reshape({-1, normed.size(-1)}).index_select(0, own), own};
}

at::Tensor Routing::grouped_weights() const {
  // Entry j of the list is the (token, slot) that `places` sends there.
  const at::Tensor flat = weights.reshape({-1});
  return at::empty_like(flat).index_copy_(0, places, flat);
}

at::Tensor Routing::mixed() const {
  TORCH_CHECK(outputs.size() == ends.size(), outputs.size(), " of ", ends.size(),
              " experts are through");
  const at::Tensor all = tensor::concatenate(outputs);
  // Every token has k rows: gathered and added in a fixed order on every device.
  const at::Tensor by_token =
      all.index_select(0, places).view({weights.size(0), weights.size(1), -1});
  return (by_token * weights.to(all.scalar_type()).unsqueeze(-1)).sum(1).view(normed.sizes());
}

Routing route(const at::Tensor& normed, const at::Tensor& router,
              const architecture::Experts& experts) {
  Routing routing{.normed = normed};
  const at::Tensor rows = normed.reshape({-1, normed.size(-1)});
  routing.probabilities = at::linear(rows, router).to(at::kFloat).softmax(-1);
  auto [weights, chosen] = routing.probabilities.topk(experts.per_token, -1);
  routing.weights = experts.normalized ? weights / weights.sum(-1, /*keepdim=*/true) : weights;
  const at::Tensor flat = chosen.reshape({-1});  // token after token
  const at::Tensor order = flat.argsort(/*stable=*/true, /*dim=*/0, /*descending=*/false);
  routing.tokens = order.div(experts.per_token, "floor");
  routing.places =
      at::empty_like(order).index_copy_(0, order, at::arange(order.numel(), order.options()));
  const at::Tensor ends = at::searchsorted(flat.index_select(0, order),
                                           at::arange(1, experts.count + 1, flat.options()))
                              .to(at::kCPU);
  const int64_t* first = ends.const_data_ptr<int64_t>();
  routing.ends.assign(first, first + ends.numel());
  return routing;
}

at::Tensor balance_loss(const std::vector<Routing>& layers) {
  TORCH_CHECK(!layers.empty(), "no layer has experts");
  at::Tensor chosen, probabilities;
  int64_t tokens = 0;
  for (const Routing& layer : layers) {
    std::vector<double> counts;
    for (size_t e = 0; e < layer.ends.size(); ++e)
      counts.push_back(static_cast<double>(layer.tokens_of(static_cast<int64_t>(e))));
    const at::Tensor sum = layer.probabilities.sum(0);
    const at::Tensor count = at::tensor(counts, at::kDouble).to(sum.options());
    chosen = chosen.defined() ? chosen + count : count;
    probabilities = probabilities.defined() ? probabilities + sum : sum;
    tokens += layer.probabilities.size(0);
  }
  const double scale = static_cast<double>(chosen.numel()) /
                       (static_cast<double>(tokens) * static_cast<double>(tokens));
  return (chosen * probabilities).sum() * scale;
}

}  // namespace frugal::model
