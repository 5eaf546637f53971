#include "layerwise/rounding/gptq_device.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cstring>

#include "kernels/sweep_cuda.h"
#include "tensor/aten.h"
#include "tensor/precision.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

// Our module queues its work on the default stream; LibTorch's must be in order with it.
void check_stream(const at::Device& device) {
  if (device.is_cpu()) return;
  const c10::Stream stream = c10::impl::VirtualGuardImpl(device.type()).getStream(device);
  TORCH_CHECK(stream.id() == 0, "the CUDA sweep runs on the default stream, found ", stream);
}

at::Tensor host_bytes(void* data, int64_t rows, int64_t row_bytes) {
  return at::from_blob(data, {rows, row_bytes}, at::TensorOptions().dtype(at::kByte));
}

class DeviceSweep {
 public:
  DeviceSweep(const at::Tensor& target, const at::Tensor& importance, const Factor& factor,
              grid::QuantizedMatrix& matrix, bool dynamic, const FrugalCudaModule& module)
      : matrix_(matrix),
        dynamic_(dynamic),
        module_(module),
        block_(matrix.grid->spec().block_columns),
        window_(kernels::cuda_window(matrix.grid->spec(), dynamic)),
        importance_(importance.to(target.device(), at::kFloat).contiguous()),
        upper_(factor.upper.to(target.device(), at::kFloat).contiguous()),
        columns_(factor.order.to(at::kCPU, at::kInt).contiguous()),
        current_(target.index_select(1, factor.order.to(target.device()))),
        codes_(at::empty({matrix.rows, matrix.columns}, target.options().dtype(at::kByte))),
        parameters_(stored_parameters().to(target.device(), at::kByte, /*non_blocking=*/false,
                                           /*copy=*/true)),
        losses_(at::zeros({matrix.rows}, target.options().dtype(at::kDouble))) {
    check_stream(target.device());
  }

  double run() {
    const tensor::Float32MatmulScope exact(/*tf32=*/false);
    const bool fit_before = dynamic_ && window_ == 0;
    const int64_t width =
        window_ > 0 ? window_ : kernels::cuda_window(matrix_.grid->spec(), /*fit=*/false);
    for (int64_t begin = 0; begin < matrix_.columns;) {
      int64_t end = std::min(begin + width, matrix_.columns);
      if (block_ > width) end = std::min(end, (begin / block_ + 1) * block_);
      if (fit_before && begin % block_ == 0) fit(begin);
      window(begin, end - begin, dynamic_ && !fit_before);
      begin = end;
    }
    return collect();
  }

 private:
  at::Tensor stored_parameters() const {
    return host_bytes(matrix_.parameters.data(), matrix_.rows, parameter_stride());
  }
  int64_t parameter_stride() const {
    return matrix_.blocks_per_row() * matrix_.grid->spec().parameter_bytes;
  }

  void window(int64_t begin, int64_t width, bool fit_inside) {
    const at::Tensor errors = at::empty({matrix_.rows, width}, current_.options());
    kernels::SweepBlock sweep;
    sweep.grid = matrix_.grid.get();
    sweep.rows = matrix_.rows;
    sweep.width = width;
    sweep.weights = current_.const_data_ptr<float>() + begin;
    sweep.weights_stride = current_.stride(0);
    sweep.factor = upper_.const_data_ptr<float>() + begin * upper_.stride(0) + begin;
    sweep.factor_stride = upper_.stride(0);
    sweep.columns = columns_.const_data_ptr<int32_t>() + begin;
    sweep.fit = fit_inside;
    sweep.importance = importance_.const_data_ptr<float>();
    sweep.codes = codes_.data_ptr<uint8_t>();
    sweep.codes_stride = matrix_.columns;
    sweep.parameters = reinterpret_cast<std::byte*>(parameters_.data_ptr<uint8_t>());
    sweep.parameters_stride = parameter_stride();
    sweep.errors = errors.data_ptr<float>();
    sweep.errors_stride = width;
    sweep.row_loss = losses_.data_ptr<double>();
    kernels::sweep_cuda(sweep, module_);
    const int64_t end = begin + width, behind = matrix_.columns - end;
    if (behind == 0) return;
    tensor::subtract_product(current_.narrow(1, end, behind), errors,
                             upper_.narrow(0, begin, width).narrow(1, end, behind));
  }

  // A block wider than any window, on the host: its parameters come from the weights as they are.
  void fit(int64_t begin) {
    const int64_t bytes = matrix_.grid->spec().parameter_bytes;
    const int32_t* const columns = columns_.const_data_ptr<int32_t>() + begin;
    const at::Tensor weights = current_.narrow(1, begin, block_).cpu().contiguous();
    const at::Tensor importance = importance_.cpu();
    kernels::fit_blocks({.grid = matrix_.grid.get(),
                         .rows = matrix_.rows,
                         .width = block_,
                         .weights = weights.const_data_ptr<float>(),
                         .weights_stride = block_,
                         .columns = columns,
                         .importance = importance.const_data_ptr<float>(),
                         .parameters = matrix_.parameters.data(),
                         .parameters_stride = parameter_stride()});
    const int64_t at = columns[0] / block_ * bytes;
    parameters_.narrow(1, at, bytes).copy_(stored_parameters().narrow(1, at, bytes));
  }

  double collect() {
    host_bytes(matrix_.codes.data(), matrix_.rows, matrix_.columns).copy_(codes_);
    stored_parameters().copy_(parameters_);
    const at::Tensor losses = losses_.cpu();
    const double* const loss = losses.const_data_ptr<double>();
    double total = 0;
    for (int64_t r = 0; r < matrix_.rows; ++r) total += loss[r];
    return total;
  }

  grid::QuantizedMatrix& matrix_;
  bool dynamic_;
  const FrugalCudaModule& module_;
  int64_t block_, window_;
  at::Tensor importance_, upper_, columns_, current_, codes_, parameters_, losses_;
};

}  // namespace

double sweep_on_device(const at::Tensor& target, const at::Tensor& importance, const Factor& factor,
                       grid::QuantizedMatrix& matrix, bool dynamic,
                       const FrugalCudaModule& module) {
  // The module allocates and waits on the current device, which need not be the target's.
  const c10::DeviceGuard guard(target.device());
  return DeviceSweep(target, importance, factor, matrix, dynamic, module).run();
}

}  // namespace frugal::layerwise
