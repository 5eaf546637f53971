#include "layerwise/rounding/factor.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "tensor/aten.h"
#include "tensor/guard.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

constexpr int64_t kTile = 128;
constexpr int kFloorSteps = 6;
constexpr double kLeastDamping = 0.01, kMostDamping = 0.2;  // chosen by the number of tokens

at::Tensor block(const at::Tensor& matrix, int64_t row, int64_t rows, int64_t column,
                 int64_t columns) {
  return matrix.narrow(0, row, rows).narrow(1, column, columns);
}

int64_t tile_count(int64_t size) { return (size + kTile - 1) / kTile; }
int64_t tile_size(int64_t size, int64_t tile) { return std::min(kTile, size - tile * kTile); }

// The diagonal tile, updated by all columns before it, factorized. False where it is not positive
// definite.
bool factor_diagonal(const at::Tensor& a, int64_t begin, int64_t size) {
  const at::Tensor diagonal = block(a, begin, size, begin, size);
  const at::Tensor left = block(a, begin, size, 0, begin);
  if (begin > 0) diagonal.addmm_(left, left.t(), 1, -1);
  const auto [lower, info] = at::linalg_cholesky_ex(diagonal);
  if (info.item<int>() != 0 || !at::isfinite(lower).all().item<bool>()) return false;
  diagonal.copy_(lower);
  return true;
}

void factor_below(const at::Tensor& a, int64_t row, int64_t rows, int64_t begin, int64_t size) {
  const at::Tensor target = block(a, row, rows, begin, size);
  if (begin > 0) {
    target.addmm_(block(a, row, rows, 0, begin), block(a, begin, size, 0, begin).t(), 1, -1);
  }
  const at::Tensor upper = block(a, begin, size, begin, size).t();
  target.copy_(at::linalg_solve_triangular(upper, target, /*upper=*/true, /*left=*/false));
}

struct Damping {
  at::Tensor matrix;
  std::vector<int64_t> dead;
};

// H + λI, λ = `share` of the mean live diagonal; dead columns become independent with that mean as
// their diagonal.
Damping damp(const at::Tensor& hessian, double share, double floor_share) {
  Damping result{hessian.clone(), {}};
  at::Tensor diagonal = result.matrix.diagonal();
  const at::Tensor live = diagonal > 0;
  const bool any_live = live.any().item<bool>();
  const double mean = any_live ? diagonal.masked_select(live).mean().item<double>() : 1.0;
  const double largest = any_live ? diagonal.max().item<double>() : 1.0;
  const at::Tensor dead = at::logical_not(live).nonzero().flatten();
  diagonal.add_(share * mean + floor_share * largest);
  if (dead.numel() > 0) {
    result.matrix.index_fill_(0, dead, 0).index_fill_(1, dead, 0);
    diagonal.index_fill_(0, dead, mean);
    const at::Tensor list = dead.cpu().contiguous();
    result.dead.assign(list.const_data_ptr<int64_t>(),
                       list.const_data_ptr<int64_t>() + list.numel());
  }
  return result;
}

at::Tensor upper_factor(const at::Tensor& damped, const at::Tensor& order) {
  const at::Tensor reversed = order.flip(0);
  const at::Tensor flipped = damped.index_select(0, reversed).index_select(1, reversed);
  const bool tiled = damped.is_cpu();
  const at::Tensor lower = tiled ? lower_cholesky(flipped) : lower_cholesky_whole(flipped);
  if (!lower.defined()) return {};
  const at::Tensor inverse = tiled ? invert_lower(lower) : invert_lower_whole(lower);
  return inverse.flip({0, 1}).contiguous();  // (J L J)⁻¹ = J L⁻¹ J
}

}  // namespace

at::Tensor lower_cholesky(const at::Tensor& matrix) {
  const at::Tensor a = matrix.clone(at::MemoryFormat::Contiguous);
  const int64_t size = a.size(0), tiles = tile_count(size);
  bool definite = true;
  for (int64_t k = 0; k < tiles && definite; ++k) {
    const int64_t begin = k * kTile, width = tile_size(size, k);
    tensor::for_each_tile(1, [&](int64_t) { definite = factor_diagonal(a, begin, width); });
    if (!definite) return {};
    tensor::for_each_tile(tiles - k - 1, [&](int64_t i) {
      const int64_t tile = k + 1 + i;
      factor_below(a, tile * kTile, tile_size(size, tile), begin, width);
    });
  }
  return a.tril_();
}

at::Tensor invert_lower(const at::Tensor& lower) {
  const int64_t size = lower.size(0), tiles = tile_count(size);
  const at::Tensor inverse = at::zeros_like(lower);
  tensor::for_each_tile(
      tiles, [&](int64_t j) {  // block columns are independent; the first has most work
        const int64_t begin = j * kTile, width = tile_size(size, j);
        at::Tensor identity = at::eye(width, lower.options());
        for (int64_t i = j; i < tiles; ++i) {
          const int64_t row = i * kTile, rows = tile_size(size, i);
          const at::Tensor right = i == j ? identity
                                          : at::mm(block(lower, row, rows, begin, row - begin),
                                                   block(inverse, begin, row - begin, begin, width))
                                                .neg_();
          block(inverse, row, rows, begin, width)
              .copy_(at::linalg_solve_triangular(block(lower, row, rows, row, rows), right,
                                                 /*upper=*/false));
        }
      });
  return inverse;
}

at::Tensor lower_cholesky_whole(const at::Tensor& matrix) {
  const auto [lower, info] = at::linalg_cholesky_ex(matrix);
  if (info.item<int>() != 0 || !at::isfinite(lower).all().item<bool>()) return {};
  return lower;
}

at::Tensor invert_lower_whole(const at::Tensor& lower) {
  return at::linalg_solve_triangular(lower, at::eye(lower.size(0), lower.options()),
                                     /*upper=*/false);
}

double damping_for(int64_t columns, int64_t tokens) {
  if (tokens <= 0) return kMostDamping;
  const double share = 0.75 * std::sqrt(static_cast<double>(columns) / static_cast<double>(tokens));
  return std::clamp(share, kLeastDamping, kMostDamping);
}

namespace {

// On the device of `hessian`, where `order` lies, too.
absl::StatusOr<Factor> factorize_there(const at::Tensor& hessian, const at::Tensor& order,
                                       const FactorOptions& options) {
  Factor factor;
  factor.order = order;
  if (!at::isfinite(hessian).all().item<bool>()) {
    return base::failed("the input second moment H holds a NaN or infinity");
  }
  double share = options.damping, floor_share = 0;
  for (int floor_step = 0;;) {
    Damping damping = damp(hessian, share, floor_share);
    factor.upper = upper_factor(damping.matrix, order);
    if (factor.upper.defined()) {
      factor.damped = std::move(damping.matrix);
      factor.dead = std::move(damping.dead);
      factor.damping = share;
      return factor;
    }
    ++factor.recoveries;
    if (share < 1) {
      share = std::min(1.0, std::max(2 * share, 1e-3));
    } else if (floor_step < kFloorSteps) {
      floor_share = floor_step++ == 0 ? 1e-6 : 10 * floor_share;
    } else {
      return base::failed(
          "the input second moment H is not positive definite, even with a damping of 100% and a "
          "floor of ",
          floor_share, " of its largest diagonal element");
    }
  }
}

}  // namespace

absl::StatusOr<Factor> factorize(const at::Tensor& hessian, const at::Tensor& order,
                                 const FactorOptions& options) {
  TORCH_CHECK(hessian.dim() == 2 && hessian.size(0) == hessian.size(1) &&
                  hessian.scalar_type() == at::kDouble,
              "H must be square and fp64, found ", hessian.sizes(), " ", hessian.scalar_type());
  TORCH_CHECK(order.numel() == hessian.size(0), "order has ", order.numel(), " columns, H ",
              hessian.size(0));
  if (hessian.is_cpu()) return factorize_there(hessian, order, options);
  absl::StatusOr<Factor> factor = tensor::guarded(
      base::str_cat("factorizing H [", hessian.size(0), "] on the device"),
      [&] { return factorize_there(hessian, order.to(hessian.device()), options); });
  if (factor.status().code() != absl::StatusCode::kResourceExhausted) return factor;
  base::warn(base::str_cat(factor.status().message(), "; the CPU factorizes it"));
  return factorize_there(hessian.cpu(), order.cpu(), options);
}

namespace {

// M Uᵀ U for upper triangular U, where M lies; on the CPU without the zeros' half of both products.
at::Tensor multiply_gram(const at::Tensor& m, const at::Tensor& upper) {
  if (!m.is_cpu()) return at::mm(at::mm(m, upper.t()), upper);
  const int64_t size = upper.size(0), tiles = tile_count(size), row_tiles = tile_count(m.size(0));
  const at::Tensor projected = at::empty_like(m), product = at::empty_like(m);
  tensor::for_each_tile(row_tiles, [&](int64_t r) {
    const int64_t row = r * kTile, rows = tile_size(m.size(0), r);
    for (int64_t j = 0; j < tiles; ++j) {
      const int64_t begin = j * kTile, width = tile_size(size, j);
      at::Tensor out = block(projected, row, rows, begin, width);
      at::mm_out(out, block(m, row, rows, begin, size - begin),
                 block(upper, begin, width, begin, size - begin).t());
    }
    for (int64_t j = 0; j < tiles; ++j) {
      const int64_t begin = j * kTile, width = tile_size(size, j), end = begin + width;
      at::Tensor out = block(product, row, rows, begin, width);
      at::mm_out(out, block(projected, row, rows, 0, end), block(upper, 0, end, begin, width));
    }
  });
  return product;
}

}  // namespace

at::Tensor multiply_inverse(const at::Tensor& m, const Factor& factor) {
  const at::Tensor ordered = m.to(factor.upper.device(), at::kDouble).index_select(1, factor.order);
  const at::Tensor product = multiply_gram(ordered, factor.upper);
  return at::empty_like(product).index_copy_(1, factor.order, product);
}

at::Tensor inverse_diagonal(const Factor& factor) {
  const at::Tensor diagonal = factor.upper.square().sum(0);  // (UᵀU)_jj
  return at::empty_like(diagonal).index_copy_(0, factor.order, diagonal);
}

}  // namespace frugal::layerwise
