#include "layerwise/pruning/expert_merging.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "layerwise/pruning/assignment.h"
#include "layerwise/rounding/factor.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

// A group of experts and the mean of their outputs, by inner products alone.
struct Cluster {
  std::vector<int64_t> members;
  double weight = 0;
};

class Clustering {
 public:
  Clustering(const at::Tensor& products, const std::vector<int64_t>& usage)
      : products_(products.contiguous()), usage_(usage) {
    TORCH_CHECK(products.size(0) == static_cast<int64_t>(usage.size()), "products of ",
                products.size(0), " experts, usage of ", usage.size());
    for (size_t e = 0; e < usage.size(); ++e)
      clusters_.push_back({{static_cast<int64_t>(e)}, weight_of(static_cast<int64_t>(e))});
  }

  std::vector<Cluster> run(int64_t groups) {
    while (static_cast<int64_t>(clusters_.size()) > groups) join_nearest();
    return std::move(clusters_);
  }

 private:
  double weight_of(int64_t expert) const {
    return static_cast<double>(std::max<int64_t>(usage_[static_cast<size_t>(expert)], 1));
  }
  // Mean of a · mean of b.
  double product(const Cluster& a, const Cluster& b) const {
    const double* const values = products_.const_data_ptr<double>();
    double sum = 0;
    for (const int64_t i : a.members) {
      for (const int64_t j : b.members)
        sum += weight_of(i) * weight_of(j) * values[i * products_.size(0) + j];
    }
    return sum / (a.weight * b.weight);
  }
  // How much the squared error of outputs by means rises.
  double rise(const Cluster& a, const Cluster& b) const {
    const double distance = product(a, a) + product(b, b) - 2 * product(a, b);
    return a.weight * b.weight / (a.weight + b.weight) * distance;
  }

  void join_nearest() {
    size_t first = 0, second = 1;
    double least = std::numeric_limits<double>::infinity();
    for (size_t a = 0; a < clusters_.size(); ++a) {
      for (size_t b = a + 1; b < clusters_.size(); ++b) {
        const double now = rise(clusters_[a], clusters_[b]);
        if (!(now < least)) continue;
        least = now;
        first = a;
        second = b;
      }
    }
    Cluster& into = clusters_[first];
    const Cluster gone = std::move(clusters_[second]);
    into.members.insert(into.members.end(), gone.members.begin(), gone.members.end());
    into.weight += gone.weight;
    clusters_.erase(clusters_.begin() + static_cast<int64_t>(second));
  }

  at::Tensor products_;
  const std::vector<int64_t>& usage_;
  std::vector<Cluster> clusters_;
};

}  // namespace

std::vector<std::vector<int64_t>> group_experts(const at::Tensor& products,
                                                const std::vector<int64_t>& usage, int64_t groups) {
  std::vector<std::vector<int64_t>> result;
  for (Cluster& cluster : Clustering(products, usage).run(groups)) {
    std::sort(cluster.members.begin(), cluster.members.end());
    const auto leader =
        std::max_element(cluster.members.begin(), cluster.members.end(), [&](int64_t a, int64_t b) {
          return usage[static_cast<size_t>(a)] < usage[static_cast<size_t>(b)];
        });
    std::rotate(cluster.members.begin(), leader, leader + 1);
    result.push_back(std::move(cluster.members));
  }
  std::sort(result.begin(), result.end());
  return result;
}

ExpertMatrices aligned(const ExpertMatrices& expert, const ExpertMatrices& reference) {
  const auto alike = [](const at::Tensor& rows, const at::Tensor& others) {
    return tensor::matrix_product(rows.to(at::kDouble), others.to(at::kDouble).t().contiguous());
  };
  // A row for each neuron of the reference.
  const at::Tensor gates = alike(reference.gate, expert.gate);
  const at::Tensor signed_part =
      alike(reference.up, expert.up)
          .add_(alike(reference.down.t().contiguous(), expert.down.t().contiguous()));
  const std::vector<int64_t> chosen = least_cost_assignment((gates + signed_part.abs()).neg_());
  const at::Tensor order = at::tensor(chosen, at::kLong);
  const at::Tensor signs =
      at::where(signed_part.gather(1, order.unsqueeze(1)).lt(0), -1.0, 1.0).to(at::kFloat);
  return {.gate = expert.gate.index_select(0, order),
          .up = expert.up.index_select(0, order) * signs,
          .down = expert.down.index_select(1, order) * signs.t()};
}

ExpertMatrices average(const std::vector<ExpertMatrices>& experts,
                       const std::vector<double>& weights) {
  TORCH_CHECK(!experts.empty() && experts.size() == weights.size(), "an average of ",
              experts.size(), " experts with ", weights.size(), " weights");
  const auto mean = [&](at::Tensor ExpertMatrices::* matrix) {
    at::Tensor sum = at::zeros((experts.front().*matrix).sizes(), at::kDouble);
    for (size_t i = 0; i < experts.size(); ++i) sum.add_(experts[i].*matrix, weights[i]);
    return sum.to(at::kFloat);
  };
  return {mean(&ExpertMatrices::gate), mean(&ExpertMatrices::up), mean(&ExpertMatrices::down)};
}

void WeightedRefit::add(const at::Tensor& inputs, const at::Tensor& targets,
                        const at::Tensor& importance) {
  if (inputs.size(0) == 0) return;
  seen_ += inputs.size(0);
  const at::Tensor x = inputs.to(at::kDouble), y = targets.to(at::kDouble);
  const at::Tensor q = importance.to(at::kDouble).unsqueeze(1);
  const at::Tensor off = y - tensor::matrix_product(x, weights_.to(at::kDouble).t().contiguous());
  const at::Tensor weighted = (x * q).t().contiguous();  // [columns, n]
  const at::Tensor moment = tensor::matrix_product(weighted, x);
  const at::Tensor cross = tensor::matrix_product(weighted, off);
  moment_ = moment_.defined() ? moment_ + moment : moment;
  cross_ = cross_.defined() ? cross_ + cross : cross;
  squares_ += (y.square().sum(1, true) * q).sum().item<double>();
  errors_ += (off.square().sum(1, true) * q).sum().item<double>();
}

absl::StatusOr<WeightedRefit::Result> WeightedRefit::solve(double damping) {
  Result result{.weights = weights_};
  if (seen_ == 0 || squares_ <= 0) return result;
  const int64_t columns = weights_.size(1);
  const double share = damping > 0 ? damping : damping_for(columns, seen_);
  FRUGAL_ASSIGN_OR_RETURN(const Factor factor,
                          factorize(moment_, at::arange(columns, at::kLong), {.damping = share}));
  const at::Tensor cross = cross_.t().contiguous();  // [rows, columns]
  const at::Tensor change = multiply_inverse(cross, factor);
  result.weights = (weights_.to(at::kDouble) + change).to(at::kFloat);
  const double gain = 2 * (change * cross).sum().item<double>() -
                      tensor::row_products(change, moment_, change).sum().item<double>();
  result.error_before = errors_ / squares_;
  result.error_after = std::max(0.0, errors_ - gain) / squares_;
  result.damping = factor.damping;
  return result;
}

}  // namespace frugal::layerwise
