// Tested by: tests/layerwise/sparse_test.cpp
// Masked conjugate gradients, tile by tile of rows.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "layerwise/pruning/sparse.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

constexpr int64_t kRowTile = 64;
constexpr int64_t kDelay = 4;  // steps whose gain estimates what is left

// Σ a_i b_i in sixteen interleaved sums: a fixed order that compilers can vectorize.
float dot(const float* a, const float* b, int64_t count) {
  constexpr int64_t kSums = 16;
  float sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (int64_t k = 0; k < kSums; ++k) sums[k] += a[i + k] * b[i + k];
  }
  for (; i < count; ++i) sums[i % kSums] += a[i] * b[i];
  for (int64_t half = kSums / 2; half > 0; half /= 2) {
    for (int64_t k = 0; k < half; ++k) sums[k] += sums[k + half];
  }
  return sums[0];
}

// A row that is still being refitted.
struct Row {
  int64_t index = 0;  // in the tile
  float rz = 0;       // residual · preconditioned residual
  double objective = 0;
  std::array<double, kDelay> gains{};
};

class TileRefit {
 public:
  TileRefit(const at::Tensor& target, const at::Tensor& mask, const at::Tensor& hessian,
            const at::Tensor& inverse_diagonal, const RefitOptions& options, const at::Tensor& out)
      : columns_(target.size(1)),
        hessian_(hessian),
        inverse_(inverse_diagonal.const_data_ptr<float>()),
        options_(options),
        mask_(mask.to(at::kFloat)),
        out_(out) {
    at::mul_out(out_, target, mask_);
    const at::Tensor cut = target - out_;
    product_ = at::mm(cut, hessian_);
    residual_ = product_ * mask_;
    direction_ = at::empty_like(residual_);
    for (int64_t i = 0; i < target.size(0); ++i) start(i, cut);
  }

  void run() {
    const double before = objective_before;
    double gained = 0;
    while (!rows_.empty() && steps < options_.steps) {
      const auto active = static_cast<int64_t>(rows_.size());
      at::Tensor product = product_.narrow(0, 0, active);
      at::mm_out(product, direction_.narrow(0, 0, active), hessian_);
      gained += step();
      ++steps;
    }
    rows_unfinished = static_cast<int64_t>(rows_.size());
    objective = std::max(0.0, before - gained);
  }

  double objective_before = 0, objective = 0;
  int64_t steps = 0, rows_unfinished = 0;

 private:
  float* at_row(const at::Tensor& matrix, int64_t row) const {
    return matrix.data_ptr<float>() + row * matrix.stride(0);
  }

  void start(int64_t i, const at::Tensor& cut) {
    Row row{.index = i};
    row.objective = dot(at_row(cut, i), at_row(product_, i), columns_);
    objective_before += row.objective;
    const float* const r = at_row(residual_, i);
    float* const p = at_row(direction_, i);
    for (int64_t k = 0; k < columns_; ++k) p[k] = r[k] * inverse_[k];
    row.rz = dot(r, p, columns_);
    if (row.rz > 0) keep(row, i);
  }

  // Takes the row at place `from` into the rows of the next step.
  void keep(const Row& row, int64_t from) {
    const auto to = static_cast<int64_t>(rows_.size());
    for (const at::Tensor& matrix : {residual_, direction_, mask_}) {
      if (to != from)
        std::memcpy(at_row(matrix, to), at_row(matrix, from), sizeof(float) * columns_);
    }
    rows_.push_back(row);
  }

  // One step of every row; those that are done leave. Returns what was gained.
  double step() {
    std::vector<Row> rows;
    rows.swap(rows_);
    double gained = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      const double gain = step_row(rows[i], static_cast<int64_t>(i));
      gained += gain;
      if (!done(rows[i], gain)) keep(rows[i], static_cast<int64_t>(i));
    }
    return gained;
  }

  double step_row(Row& row, int64_t place) {
    float* const p = at_row(direction_, place);
    float* const r = at_row(residual_, place);
    const float* const product = at_row(product_, place);
    const float* const mask = at_row(mask_, place);
    float* const v = at_row(out_, row.index);
    const float curvature = dot(p, product, columns_);
    if (!(curvature > 0)) {  // the residual is rounding noise
      row.rz = 0;
      return 0;
    }
    const float length = row.rz / curvature;
    const double gain = static_cast<double>(length) * row.rz;
    for (int64_t k = 0; k < columns_; ++k) v[k] += length * p[k];
    for (int64_t k = 0; k < columns_; ++k) r[k] = (r[k] - length * product[k]) * mask[k];
    float* const z = at_row(product_, place);  // no longer needed
    for (int64_t k = 0; k < columns_; ++k) z[k] = r[k] * inverse_[k];
    const float rz = dot(r, z, columns_);
    const float turn = rz / row.rz;
    for (int64_t k = 0; k < columns_; ++k) p[k] = z[k] + turn * p[k];
    row.rz = rz;
    return gain;
  }

  bool done(Row& row, double gain) const {
    row.objective -= gain;
    row.gains[static_cast<size_t>(steps % kDelay)] = gain;
    if (!(row.rz > 0)) return true;
    if (steps + 1 < kDelay) return false;
    double recent = 0;
    for (const double value : row.gains) recent += value;
    return recent <= options_.tolerance * row.objective;
  }

  int64_t columns_;
  at::Tensor hessian_;
  const float* inverse_;
  const RefitOptions& options_;
  at::Tensor mask_;  // fp32 1 or 0; this and the following: rows still in work first
  at::Tensor out_;   // [n, in] in the tile's order
  at::Tensor product_, residual_, direction_;
  std::vector<Row> rows_;
};

}  // namespace

RefitResult refit(const at::Tensor& target, const at::Tensor& mask, const Factor& factor,
                  const RefitOptions& options) {
  TORCH_CHECK(target.dim() == 2 && target.scalar_type() == at::kFloat && target.is_cpu() &&
                  factor.damped.size(0) == target.size(1),
              "the target must be fp32 [rows, ", factor.damped.size(0), "] on the CPU, found ",
              target.sizes());
  TORCH_CHECK(mask.sizes() == target.sizes() && mask.scalar_type() == at::kByte,
              "the mask must be uint8 ", target.sizes(), ", found ", mask.sizes());
  TORCH_CHECK_VALUE(at::isfinite(target).all().item<bool>(), "the weights hold a NaN or infinity");
  const at::Tensor hessian = factor.damped.to(at::kCPU, at::kFloat).contiguous();
  const at::Tensor inverse = hessian.diagonal().reciprocal().contiguous();
  RefitResult result;
  result.weights = at::empty_like(target, at::MemoryFormat::Contiguous);
  struct Part {
    double before = 0, after = 0;
    int64_t steps = 0, unfinished = 0;
  };
  const int64_t rows = target.size(0);
  std::vector<Part> parts(static_cast<size_t>((rows + kRowTile - 1) / kRowTile));
  tensor::for_each_tile(static_cast<int64_t>(parts.size()), [&](int64_t tile) {
    const int64_t begin = tile * kRowTile, count = std::min(kRowTile, rows - begin);
    TileRefit work(target.narrow(0, begin, count), mask.narrow(0, begin, count), hessian, inverse,
                   options, result.weights.narrow(0, begin, count));
    work.run();
    parts[static_cast<size_t>(tile)] = {work.objective_before, work.objective, work.steps,
                                        work.rows_unfinished};
  });
  for (const Part& part : parts) {
    result.objective_before += part.before;
    result.objective += part.after;
    result.steps = std::max(result.steps, part.steps);
    result.rows_unfinished += part.unfinished;
  }
  return result;
}

}  // namespace frugal::layerwise
