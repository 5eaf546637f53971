#include "layerwise/pruning/assignment.h"

#include <limits>

#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

constexpr int64_t kNobody = -1;

// Rows are added one by one; each addition is a shortest path through the pairs made so far.
class Assignment {
 public:
  explicit Assignment(const at::Tensor& cost)
      : cost_(cost.const_data_ptr<double>()),
        n_(cost.size(0)),
        row_price_(static_cast<size_t>(n_)),
        column_price_(static_cast<size_t>(n_)),
        row_of_(static_cast<size_t>(n_), kNobody) {}

  std::vector<int64_t> run() {
    for (int64_t row = 0; row < n_; ++row) add(row);
    std::vector<int64_t> column_of(static_cast<size_t>(n_));
    for (int64_t column = 0; column < n_; ++column)
      column_of[static_cast<size_t>(row_of(column))] = column;
    return column_of;
  }

 private:
  int64_t& row_of(int64_t column) { return row_of_[static_cast<size_t>(column)]; }
  double& row_price(int64_t row) { return row_price_[static_cast<size_t>(row)]; }
  double& column_price(int64_t column) { return column_price_[static_cast<size_t>(column)]; }

  void add(int64_t first) {
    const auto n = static_cast<size_t>(n_);
    std::vector<double> distance(n, std::numeric_limits<double>::infinity());
    std::vector<int64_t> before(n, kNobody);  // the column ahead on the path
    std::vector<bool> reached(n, false);
    int64_t row = first, last = kNobody;
    double so_far = 0;
    do {
      int64_t next = kNobody;
      for (int64_t column = 0; column < n_; ++column) {
        const auto c = static_cast<size_t>(column);
        if (reached[c]) continue;
        const double way =
            so_far + cost_[row * n_ + column] - row_price(row) - column_price(column);
        if (way < distance[c]) {
          distance[c] = way;
          before[c] = last;
        }
        if (next == kNobody || distance[c] < distance[static_cast<size_t>(next)]) next = column;
      }
      so_far = distance[static_cast<size_t>(next)];
      reached[static_cast<size_t>(next)] = true;
      last = next;
      row = row_of(next);
    } while (row != kNobody);
    reprice(first, so_far, distance, reached, last);
    while (last != kNobody) {  // everyone on the path moves on by one
      const int64_t ahead = before[static_cast<size_t>(last)];
      row_of(last) = ahead == kNobody ? first : row_of(ahead);
      last = ahead;
    }
  }

  // Prices that make every pair of the path as cheap as it can be.
  void reprice(int64_t first, double length, const std::vector<double>& distance,
               const std::vector<bool>& reached, int64_t end) {
    row_price(first) += length;
    for (int64_t column = 0; column < n_; ++column) {
      const auto c = static_cast<size_t>(column);
      if (!reached[c] || column == end) continue;
      column_price(column) -= length - distance[c];
      row_price(row_of(column)) += length - distance[c];
    }
  }

  const double* cost_;
  int64_t n_;
  std::vector<double> row_price_, column_price_;
  std::vector<int64_t> row_of_;  // by column
};

}  // namespace

std::vector<int64_t> least_cost_assignment(const at::Tensor& cost) {
  TORCH_CHECK(cost.dim() == 2 && cost.size(0) == cost.size(1) && cost.scalar_type() == at::kDouble,
              "an assignment needs fp64 costs [n, n], found ", cost.sizes());
  const at::Tensor here = cost.contiguous();
  TORCH_CHECK(here.isfinite().all().item<bool>(), "costs of an assignment are not finite");
  return Assignment(here).run();
}

}  // namespace frugal::layerwise
