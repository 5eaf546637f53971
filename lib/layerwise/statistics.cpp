#include "layerwise/statistics.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "layerwise/tiles.h"
#include "tensor/precision.h"

namespace frugal::layerwise {
namespace {

// Edge of the square tiles of H: large enough for the GEMM to run at speed, small enough to feed
// all threads.
int64_t tile_edge(int64_t columns) {
  return columns <= 128 ? 64 : columns <= 1024 ? 128 : columns <= 4096 ? 256 : 512;
}

int64_t count_tokens(const std::vector<at::Tensor>& chunks) {
  int64_t tokens = 0;
  for (const at::Tensor& chunk : chunks) tokens += chunk.size(0);
  return tokens;
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

// sum over chunks of leftᵀ right for one tile, fp64.
at::Tensor tile_product(const std::vector<at::Tensor>& left, Span rows,
                        const std::vector<at::Tensor>& right, Span columns) {
  at::Tensor sum = at::zeros({rows.size, columns.size}, left[0].options().dtype(at::kDouble));
  for (size_t i = 0; i < left.size(); ++i) {
    const at::Tensor a = left[i].narrow(1, rows.begin, rows.size).to(at::kFloat);
    const at::Tensor b = right[i].narrow(1, columns.begin, columns.size).to(at::kFloat);
    sum.add_(at::mm(a.t(), b));
  }
  return sum;
}

// The products of such values are exact in TF32 (algorithms.md §0.2).
bool exact_in_tf32(const std::vector<at::Tensor>& chunks) {
  return std::all_of(chunks.begin(), chunks.end(), [](const at::Tensor& chunk) {
    return chunk.scalar_type() == at::kBFloat16 || chunk.scalar_type() == at::kHalf;
  });
}

// On a device: whole products, one chunk after the other.
at::Tensor product_on_device(const std::vector<at::Tensor>& left,
                             const std::vector<at::Tensor>& right, bool symmetric) {
  const tensor::Float32MatmulScope precision(exact_in_tf32(left) && exact_in_tf32(right));
  const at::Tensor sum = tile_product(left, {0, left[0].size(1)}, right, {0, right[0].size(1)});
  return symmetric ? sum.triu().add_(sum.triu(1).t()) : sum;  // a BLAS does not promise symmetry
}

// sum of leftᵀ right over chunks, fp64 on the CPU. `symmetric`: left is right, and the lower half
// is mirrored.
at::Tensor product_of_chunks(const std::vector<at::Tensor>& left,
                             const std::vector<at::Tensor>& right, bool symmetric) {
  const int64_t m = left[0].size(1), n = right[0].size(1);
  if (!left[0].is_cpu()) return product_on_device(left, right, symmetric).cpu();
  const std::vector<Span> row_spans = spans(m, tile_edge(m)), column_spans = spans(n, tile_edge(n));
  at::Tensor out = at::empty({m, n}, at::kDouble);
  const auto columns = static_cast<int64_t>(column_spans.size());
  for_each_tile(static_cast<int64_t>(row_spans.size()) * columns, [&](int64_t tile) {
    const Span r = row_spans[static_cast<size_t>(tile / columns)];
    const Span c = column_spans[static_cast<size_t>(tile % columns)];
    if (symmetric && c.begin < r.begin) return;
    at::Tensor product = tile_product(left, r, right, c);
    // A BLAS does not promise XᵀX to be symmetric to the last bit.
    if (symmetric && c.begin == r.begin) product = product.triu() + product.triu(1).t();
    out.narrow(0, r.begin, r.size).narrow(1, c.begin, c.size).copy_(product);
    if (symmetric && c.begin > r.begin) {
      out.narrow(0, c.begin, c.size).narrow(1, r.begin, r.size).copy_(product.t());
    }
  });
  return out;
}

absl::Status check_finite(const at::Tensor& maximum, std::string_view where) {
  const at::Tensor bad = at::logical_not(at::isfinite(maximum));
  if (!bad.any().item<bool>()) return absl::OkStatus();
  const int64_t column = bad.nonzero()[0][0].item<int64_t>();
  return base::failed(
      where, ": the calibration activations hold a NaN or infinity (input column ", column,
      "); the model's weights or its activations overflow: check that the model runs in fp32");
}

}  // namespace

absl::StatusOr<InputStatistics> gather_statistics(const std::vector<at::Tensor>& chunks,
                                                  Needs needs, std::string_view where) {
  TORCH_CHECK(!chunks.empty(), "no calibration activations");
  InputStatistics result;
  result.tokens = count_tokens(chunks);
  if (needs == Needs::kNothing) return result;
  const int64_t columns = chunks[0].size(1);
  const auto count = static_cast<int64_t>(chunks.size());
  at::Tensor sums = at::empty({3, count, columns}, at::kDouble);  // squares, magnitudes, maxima
  for_each_tile(count, [&](int64_t i) {
    const at::Tensor x = chunks[static_cast<size_t>(i)].to(at::kFloat);
    sums[0][i].copy_(x.square().sum(0, false, at::kDouble));
    sums[1][i].copy_(x.abs().sum(0, false, at::kDouble));
    sums[2][i].copy_(x.abs().amax(0));
  });
  const auto tokens = static_cast<double>(result.tokens);
  result.mean_square = sums[0].sum(0).div_(tokens);
  result.mean_absolute = sums[1].sum(0).div_(tokens);
  result.maximum_absolute = sums[2].amax(0);
  FRUGAL_RETURN_IF_ERROR(check_finite(result.maximum_absolute, where));
  FRUGAL_RETURN_IF_ERROR(check_finite(result.mean_square, where));
  if (needs == Needs::kHessian) {
    result.hessian = product_of_chunks(chunks, chunks, true).div_(tokens);
    FRUGAL_RETURN_IF_ERROR(check_finite(result.hessian.diagonal(), where));
  }
  return result;
}

at::Tensor gather_drift(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b,
                        const std::vector<at::Tensor>& x) {
  TORCH_CHECK(!x.empty() && a.size() == x.size() && b.size() == x.size(), "chunk lists differ");
  std::vector<at::Tensor> difference(a.size());
  for_each_tile(static_cast<int64_t>(a.size()), [&](int64_t i) {
    const auto k = static_cast<size_t>(i);
    difference[k] = a[k] - b[k];
  });
  return product_of_chunks(difference, x, false).div_(static_cast<double>(count_tokens(x)));
}

}  // namespace frugal::layerwise
