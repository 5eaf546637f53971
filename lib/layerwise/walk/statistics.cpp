#include "layerwise/walk/statistics.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/column_moments.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

absl::Status check_finite(const at::Tensor& maximum, std::string_view where) {
  const at::Tensor bad = at::logical_not(at::isfinite(maximum));
  if (!bad.any().item<bool>()) return absl::OkStatus();
  const int64_t column = bad.nonzero()[0][0].item<int64_t>();
  return base::failed(
      where, ": the calibration activations hold a NaN or infinity (input column ", column,
      "); the model's weights or its activations overflow: check that the model runs in fp32");
}

// Squares, magnitudes and maxima of a chunk's columns, [3, in] fp64 on the CPU.
at::Tensor column_sums(const at::Tensor& x) {
  const at::Tensor values = x.to(at::kFloat).contiguous();
  if (!values.is_cpu()) {
    const at::Tensor magnitudes = values.abs();
    return at::stack({values.square().sum(0, false, at::kDouble),
                      magnitudes.sum(0, false, at::kDouble), magnitudes.amax(0).to(at::kDouble)})
        .cpu();
  }
  const at::Tensor sums = at::empty({3, x.size(1)}, at::kDouble);
  constexpr int64_t kColumns = 256;
  tensor::for_each_tile((x.size(1) + kColumns - 1) / kColumns, [&](int64_t tile) {
    const int64_t begin = tile * kColumns, count = std::min(kColumns, x.size(1) - begin);
    double* const out = sums.data_ptr<double>() + begin;
    kernels::column_moments(values.const_data_ptr<float>() + begin, values.stride(0),
                            values.size(0), count, out, out + x.size(1), out + 2 * x.size(1));
  });
  return sums;
}

}  // namespace

int64_t InputStatistics::worth() const {
  if (blend == 0) return tokens;
  const double own = 1.0 - blend;
  const double noise = (tokens > 0 ? own * own / static_cast<double>(tokens) : 0.0) +
                       blend * blend / static_cast<double>(all_tokens);
  return std::llround(1.0 / noise);
}

void StatisticsSum::add(const at::Tensor& x, const model::TokenFactor* factor) {
  if (x.size(0) == 0) return;
  tokens_ += x.size(0);
  if (needs_ == Needs::kNothing) return;
  const at::Tensor sums = column_sums(x);
  moments_.push_back(sums);
  if (needs_ != Needs::kHessian) return;
  TORCH_CHECK(factor != nullptr, "a second moment needs the chunk as a factor");
  products_.add(*factor, *factor);
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
  FRUGAL_RETURN_IF_ERROR(check_finite(result.mean_square, where));
  if (needs_ == Needs::kHessian) {
    result.hessian = products_.take().div_(tokens);
    FRUGAL_RETURN_IF_ERROR(check_finite(result.hessian.diagonal(), where));
  }
  return result;
}

absl::StatusOr<InputStatistics> gather_statistics(const std::vector<at::Tensor>& chunks,
                                                  Needs needs, std::string_view where,
                                                  model::Precision precision) {
  StatisticsSum sum(needs);
  for (const at::Tensor& chunk : chunks) {
    if (needs != Needs::kHessian) {
      sum.add(chunk, nullptr);
    } else {
      const model::TokenFactor factor(chunk, precision);
      sum.add(chunk, &factor);
    }
  }
  return sum.take(where);
}

at::Tensor gather_drift(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b,
                        const std::vector<at::Tensor>& x, model::Precision precision) {
  TORCH_CHECK(!x.empty() && a.size() == x.size() && b.size() == x.size(), "chunk lists differ");
  model::ProductSum sum(false);
  int64_t tokens = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sum.add(model::TokenFactor(a[i], precision, b[i]), model::TokenFactor(x[i], precision));
    tokens += x[i].size(0);
  }
  return sum.take().div_(static_cast<double>(tokens));
}

}  // namespace frugal::layerwise
