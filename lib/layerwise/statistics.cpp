#include "layerwise/statistics.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "layerwise/tiles.h"
#include "tensor/precision.h"

namespace frugal::layerwise {
namespace {

// Edge of the square tiles of H: large enough for the GEMM to run at speed, small enough to feed
// all threads.
int64_t tile_edge(int64_t columns) {
  return columns <= 128 ? 64 : columns <= 1024 ? 128 : columns <= 4096 ? 256 : 512;
}

struct Span {
  int64_t begin, size;
};
std::vector<Span> spans(int64_t total, int64_t edge) {
  std::vector<Span> result;
  for (int64_t begin = 0; begin < total; begin += edge) {
    result.push_back({begin, std::min(edge, total - begin)});
  }
  return result;
}

// The products of such values are exact in TF32 (algorithms.md §0.2).
bool exact_in_tf32(const at::Tensor& chunk) {
  return chunk.scalar_type() == at::kBFloat16 || chunk.scalar_type() == at::kHalf;
}

at::Tensor tile_product(const at::Tensor& left, Span rows, const at::Tensor& right, Span columns) {
  const at::Tensor a = left.narrow(1, rows.begin, rows.size).to(at::kFloat);
  const at::Tensor b = right.narrow(1, columns.begin, columns.size).to(at::kFloat);
  return at::mm(a.t(), b);
}

// A BLAS does not promise XᵀX to be symmetric to the last bit.
at::Tensor mirrored(const at::Tensor& sum) { return sum.triu().add_(sum.triu(1).t()); }

absl::Status check_finite(const at::Tensor& maximum, std::string_view where) {
  const at::Tensor bad = at::logical_not(at::isfinite(maximum));
  if (!bad.any().item<bool>()) return absl::OkStatus();
  const int64_t column = bad.nonzero()[0][0].item<int64_t>();
  return base::failed(
      where, ": the calibration activations hold a NaN or infinity (input column ", column,
      "); the model's weights or its activations overflow: check that the model runs in fp32");
}

}  // namespace

void ProductSum::add(const at::Tensor& left, const at::Tensor& right) {
  const int64_t m = left.size(1), n = right.size(1);
  if (!sum_.defined()) sum_ = at::zeros({m, n}, left.options().dtype(at::kDouble));
  if (!left.is_cpu()) {  // whole products, one chunk after the other
    const tensor::Float32MatmulScope precision(exact_in_tf32(left) && exact_in_tf32(right));
    sum_.add_(tile_product(left, {0, m}, right, {0, n}));
    return;
  }
  const int64_t rows = (m + tile_edge(m) - 1) / tile_edge(m);
  const int64_t columns = (n + tile_edge(n) - 1) / tile_edge(n);
  for_each_tile(rows * columns, [&](int64_t tile) { add_tile(left, right, tile); });
}

void ProductSum::add_tile(const at::Tensor& left, const at::Tensor& right, int64_t tile) {
  const std::vector<Span> rows = spans(left.size(1), tile_edge(left.size(1)));
  const std::vector<Span> columns = spans(right.size(1), tile_edge(right.size(1)));
  const auto across = static_cast<int64_t>(columns.size());
  const Span r = rows[static_cast<size_t>(tile / across)];
  const Span c = columns[static_cast<size_t>(tile % across)];
  if (symmetric_ && c.begin < r.begin) return;
  sum_.narrow(0, r.begin, r.size).narrow(1, c.begin, c.size).add_(tile_product(left, r, right, c));
}

at::Tensor ProductSum::take() {
  const at::Tensor sum = std::exchange(sum_, {});
  if (!symmetric_ || !sum.defined()) return sum.defined() ? sum.cpu() : sum;
  if (!sum.is_cpu()) return mirrored(sum).cpu();
  // Tile by tile in place, so that a wide H is not there twice.
  const std::vector<Span> edges = spans(sum.size(0), tile_edge(sum.size(0)));
  for_each_tile(static_cast<int64_t>(edges.size()), [&](int64_t tile) {
    const Span r = edges[static_cast<size_t>(tile)];
    const at::Tensor own = sum.narrow(0, r.begin, r.size).narrow(1, r.begin, r.size);
    own.copy_(mirrored(own));
    for (const Span& c : edges) {
      if (c.begin <= r.begin) continue;
      sum.narrow(0, c.begin, c.size)
          .narrow(1, r.begin, r.size)
          .copy_(sum.narrow(0, r.begin, r.size).narrow(1, c.begin, c.size).t());
    }
  });
  return sum;
}

void StatisticsSum::add(const at::Tensor& x) {
  tokens_ += x.size(0);
  if (needs_ == Needs::kNothing) return;
  const at::Tensor sums = at::empty({3, x.size(1)}, at::kDouble);
  for_each_tile(3, [&](int64_t kind) {
    const at::Tensor values = x.to(at::kFloat);
    if (kind == 0) sums[0].copy_(values.square().sum(0, false, at::kDouble));
    if (kind == 1) sums[1].copy_(values.abs().sum(0, false, at::kDouble));
    if (kind == 2) sums[2].copy_(values.abs().amax(0));
  });
  moments_.push_back(sums);
  if (needs_ == Needs::kHessian) products_.add(x, x);
}

absl::StatusOr<InputStatistics> StatisticsSum::take(std::string_view where) {
  InputStatistics result;
  result.tokens = std::exchange(tokens_, 0);
  if (needs_ == Needs::kNothing) return result;
  TORCH_CHECK(!moments_.empty(), "no calibration activations");
  const at::Tensor sums = at::stack(std::exchange(moments_, {}), 1);  // [3, chunks, in]
  const auto tokens = static_cast<double>(result.tokens);
  result.mean_square = sums[0].sum(0).div_(tokens);
  result.mean_absolute = sums[1].sum(0).div_(tokens);
  result.maximum_absolute = sums[2].amax(0);
  FRUGAL_RETURN_IF_ERROR(check_finite(result.maximum_absolute, where));
  FRUGAL_RETURN_IF_ERROR(check_finite(result.mean_square, where));
  if (needs_ == Needs::kHessian) {
    result.hessian = products_.take().div_(tokens);
    FRUGAL_RETURN_IF_ERROR(check_finite(result.hessian.diagonal(), where));
  }
  return result;
}

absl::StatusOr<InputStatistics> gather_statistics(const std::vector<at::Tensor>& chunks,
                                                  Needs needs, std::string_view where) {
  StatisticsSum sum(needs);
  for (const at::Tensor& chunk : chunks) sum.add(chunk);
  return sum.take(where);
}

at::Tensor gather_drift(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b,
                        const std::vector<at::Tensor>& x) {
  TORCH_CHECK(!x.empty() && a.size() == x.size() && b.size() == x.size(), "chunk lists differ");
  ProductSum sum(false);
  int64_t tokens = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sum.add(a[i] - b[i], x[i]);
    tokens += x[i].size(0);
  }
  return sum.take().div_(static_cast<double>(tokens));
}

}  // namespace frugal::layerwise
