// Speed of the CUDA sweep and of packing alone.
//
// flop: 2 for each weight and later column of its window. bytes: each weight is read and its error
// written once (fp32), each code once, and the upper half of the window's U once; what is read
// again by every thread block (U from L2) is not counted. A batch of calls is queued, then waited
// for: times hold the launches, as in a solve.
#include <ATen/core/Tensor.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "base/text.h"
#include "figures.h"
#include "grid/grid.h"
#include "kernels/sweep_cuda.h"
#include "parts.h"
#include "stopwatch.h"
#include "tensor/guard.h"

namespace frugal::bench {
namespace {

constexpr int kBatch = 16;

using namespace kernels;

const FrugalCudaModule& module() { return *cuda_module().table; }

template <typename T>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<T>& values) : memory_(module(), values.size() * sizeof(T)) {
    const size_t bytes = values.size() * sizeof(T);
    const FrugalCudaCopy copy{memory_.template as<void>(), bytes, values.data(), bytes, bytes, 1};
    check_cuda(module(), module().copy(&copy), "copying");
  }
  T* data() const { return memory_.template as<T>(); }

 private:
  CudaMemory memory_;
};

std::vector<float> random_weights(int64_t count) {
  base::RandomStream random(1, "bench/cuda");
  std::vector<float> weights(count);
  for (float& w : weights) w = static_cast<float>(random.normal() * 0.05);
  return weights;
}

std::vector<float> upper_factor(int64_t width) {
  std::vector<float> factor(width * width, 0.0f);
  for (int64_t i = 0; i < width; ++i) {
    for (int64_t j = i; j < width; ++j)
      factor[i * width + j] = i == j ? 1.0f : 0.1f * std::exp(-0.05f * static_cast<float>(j - i));
  }
  return factor;
}

std::vector<int32_t> natural(int64_t width) {
  std::vector<int32_t> columns(width);
  std::iota(columns.begin(), columns.end(), 0);
  return columns;
}

// Of `batch`, kBatch calls that are waited for.
void report(const std::string& name, const std::function<void()>& batch, double flop, double bytes,
            double weights) {
  const double seconds = median_seconds(at::kCPU, batch) / kBatch;
  std::string note = flop > 0 ? base::str_cat(digits(flop / seconds * 1e-9), " GFLOP/s, ") : "";
  note += base::str_cat(digits(bytes / seconds * 1e-9), " GB/s, ", digits(weights / seconds * 1e-9),
                        " billion weights/s");
  figure(name, seconds * 1e6, "us", note);
}

void run_sweep(const std::string& title, const char* name, int64_t rows, int64_t width, bool fit) {
  const auto grid = *grid::find_grid(name, width);
  const int64_t stride = width / grid->spec().block_columns * grid->spec().parameter_bytes;
  const std::vector<float> weights = random_weights(rows * width);
  const std::vector<int32_t> columns = natural(width);
  std::vector<std::byte> parameters(rows * stride);
  fit_blocks({.grid = grid.get(),
              .rows = rows,
              .width = width,
              .weights = weights.data(),
              .weights_stride = width,
              .parameters = parameters.data(),
              .parameters_stride = stride});
  const OnDevice<float> w(weights), u(upper_factor(width)), h(std::vector<float>(width, 1.0f)),
      errors(weights);
  const OnDevice<uint8_t> codes(std::vector<uint8_t>(rows * width));
  const OnDevice<std::byte> p(parameters);
  const SweepBlock block = {.grid = grid.get(),
                            .rows = rows,
                            .width = width,
                            .weights = w.data(),
                            .weights_stride = width,
                            .factor = u.data(),
                            .factor_stride = width,
                            .columns = columns.data(),
                            .fit = fit,
                            .importance = h.data(),
                            .codes = codes.data(),
                            .codes_stride = width,
                            .parameters = p.data(),
                            .parameters_stride = stride,
                            .errors = errors.data(),
                            .errors_stride = width};
  const auto batch = [&] {
    for (int i = 0; i < kBatch; ++i) sweep_cuda(block, module());
    check_cuda(module(), module().synchronize(), "the sweep");
  };
  const double count = static_cast<double>(rows) * static_cast<double>(width);
  report(title, batch, count * static_cast<double>(width - 1),
         9 * count + 2.0 * static_cast<double>(width * width) + static_cast<double>(rows * stride),
         count);
}

void run_pack(const std::string& title, const char* name, int64_t rows, int64_t columns) {
  const auto grid = *grid::find_grid(name, columns);
  const grid::QuantizedMatrix matrix = grid::empty_matrix(grid, rows, columns);
  const OnDevice<uint8_t> codes(matrix.codes);
  const OnDevice<std::byte> parameters(matrix.parameters),
      packed(std::vector<std::byte>(rows * matrix.row_bytes()));
  const auto batch = [&] {
    for (int i = 0; i < kBatch; ++i) {
      pack_cuda({.grid = grid.get(),
                 .rows = rows,
                 .columns = columns,
                 .codes = codes.data(),
                 .parameters = parameters.data(),
                 .packed = packed.data()},
                module());
    }
    check_cuda(module(), module().synchronize(), "packing");
  };
  const auto count = static_cast<double>(rows * columns);
  report(title, batch, 0,
         count + static_cast<double>(matrix.parameters.size()) +
             static_cast<double>(rows * matrix.row_bytes()),
         count);
}

void run_all() {
  for (const char* name : {"q4_0", "iq4_nl", "q8_0", "int4:g128", "int4:g32:asym", "q4_k"}) {
    for (const int64_t rows : {4096, 16384}) {
      const int64_t width = std::string_view(name) == "q4_k" ? 256 : 128;
      for (const bool fit : {false, true}) {
        run_sweep(base::str_cat("sweep kernel, ", name, " ", rows, " x ", width,
                                fit ? ", scale search" : ", scales given"),
                  name, rows, width, fit);
      }
    }
    run_pack(base::str_cat("packing, ", name, " 4096 x 4096"), name, 4096, 4096);
  }
}

}  // namespace

absl::Status time_sweeps() {
  const std::string problem = cuda_problem();
  if (!problem.empty()) return base::not_found(problem);
  return tensor::guarded("the sweep kernel", run_all);
}

}  // namespace frugal::bench
