// The CUDA module on a real device against the reference, bit for bit. Label `gpu`.
#include <gmock/gmock.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "kernels/sweep_cuda.h"
#include "kernels/sweep_kernels.h"
#include "layer_problem.h"

namespace frugal::kernels {
namespace {

// Skips where no CUDA device is usable, fails there with FRUGAL_REQUIRE_GPU=1.
class Gpu : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = cuda_problem();
    if (reason.empty()) return;
    const char* const required = std::getenv("FRUGAL_REQUIRE_GPU");
    if (required != nullptr && std::string_view(required) == "1")
      FAIL() << "FRUGAL_REQUIRE_GPU=1, but " << reason;
    GTEST_SKIP() << "no CUDA device: " << reason;
  }
  static const FrugalCudaModule& module() { return *cuda_module().table; }
};

// Host values on the device for one scope.
template <typename T>
class OnDevice {
 public:
  OnDevice(const FrugalCudaModule& module, std::vector<T>& values)
      : module_(module), values_(values), memory_(module, bytes()) {
    move(memory_.template as<void>(), values_.data());
  }
  T* data() const { return memory_.template as<T>(); }
  void read() { move(values_.data(), memory_.template as<void>()); }

 private:
  size_t bytes() const { return values_.size() * sizeof(T); }
  void move(void* to, const void* from) {
    const FrugalCudaCopy copy{to, bytes(), from, bytes(), bytes(), 1};
    check_cuda(module_, module_.copy(&copy), "copying");
  }
  const FrugalCudaModule& module_;
  std::vector<T>& values_;
  CudaMemory memory_;
};

struct Out {
  std::vector<uint8_t> codes;
  std::vector<std::byte> parameters;
  std::vector<float> errors;
  std::vector<double> row_loss;
  bool operator==(const Out& other) const {
    return codes == other.codes && parameters == other.parameters &&
           std::memcmp(errors.data(), other.errors.data(), errors.size() * sizeof(float)) == 0 &&
           row_loss == other.row_loss;
  }
};

struct Window {
  std::shared_ptr<const grid::Grid> grid;
  LayerProblem problem;
  std::vector<int32_t> order;
  std::vector<float> factor, current;
  int64_t parameter_stride;

  Window(const char* name, int64_t rows, int64_t columns)
      : grid(grid_or_die(name, columns)),
        problem(random_problem(rows, columns, 51)),
        order(group_aware_order(problem, grid->spec().block_columns)),
        factor(inverse_factor(problem.hessian, order)),
        current(rows * columns),
        parameter_stride(columns / grid->spec().block_columns * grid->spec().parameter_bytes) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t p = 0; p < columns; ++p)
        current[r * columns + p] = problem.weights[r * columns + order[p]];
    }
  }

  Out empty() const {
    return {std::vector<uint8_t>(current.size()),
            std::vector<std::byte>(problem.rows * parameter_stride),
            std::vector<float>(current.size()), std::vector<double>(problem.rows)};
  }

  SweepBlock block(bool fit) const {
    const int64_t columns = problem.columns;
    return {.grid = grid.get(),
            .rows = problem.rows,
            .width = columns,
            .weights_stride = columns,
            .factor_stride = columns,
            .columns = order.data(),
            .fit = fit,
            .codes_stride = columns,
            .parameters_stride = parameter_stride,
            .errors_stride = columns};
  }

  Out on_host(bool fit, Out out) const {
    SweepBlock b = block(fit);
    b.weights = current.data();
    b.factor = factor.data();
    b.importance = problem.importance.data();
    b.codes = out.codes.data();
    b.parameters = out.parameters.data();
    b.errors = out.errors.data();
    b.row_loss = out.row_loss.data();
    sweep_reference(b);
    return out;
  }

  Out on_device(bool fit, Out out, const FrugalCudaModule& module) {
    OnDevice<float> w(module, current), u(module, factor), h(module, problem.importance),
        errors(module, out.errors);
    OnDevice<uint8_t> codes(module, out.codes);
    OnDevice<std::byte> parameters(module, out.parameters);
    OnDevice<double> losses(module, out.row_loss);
    SweepBlock b = block(fit);
    b.weights = w.data();
    b.factor = u.data();
    b.importance = h.data();
    b.codes = codes.data();
    b.parameters = parameters.data();
    b.errors = errors.data();
    b.row_loss = losses.data();
    sweep_cuda(b, module);
    check_cuda(module, module.synchronize(), "the sweep");
    errors.read();
    codes.read();
    parameters.read();
    losses.read();
    return out;
  }
};

TEST_F(Gpu, SweepsGiveTheBitsOfTheReference) {
  for (const char* name : {"q4_0", "q8_0", "iq4_nl", "q4_k", "int4:g16", "int4:g64", "int8:g128",
                           "int4:g32:asym", "int8:g64:asym"}) {
    Window window(name, 203, 256);
    const Out fitted = window.on_host(true, window.empty());
    EXPECT_TRUE(window.on_device(true, window.empty(), module()) == fitted) << name << " fit";
    Out start = window.empty();
    start.parameters = fitted.parameters;
    EXPECT_TRUE(window.on_device(false, start, module()) == window.on_host(false, start))
        << name << " static";
  }
}

TEST_F(Gpu, BlocksArePackedAsOnTheHost) {
  for (const char* name : {"q4_0", "q8_0", "iq4_nl", "q4_k", "int4:g64", "int8:g32:asym"}) {
    const auto grid = grid_or_die(name);
    grid::QuantizedMatrix matrix = grid::empty_matrix(grid, 33, 1024);
    base::RandomStream random(52, name);
    for (uint8_t& code : matrix.codes)
      code = static_cast<uint8_t>(random.below(grid->spec().levels.size()));
    for (std::byte& value : matrix.parameters) value = static_cast<std::byte>(random.below(256));
    std::vector<std::byte> packed(33 * matrix.row_bytes());
    {
      OnDevice<uint8_t> codes(module(), matrix.codes);
      OnDevice<std::byte> parameters(module(), matrix.parameters), out(module(), packed);
      pack_cuda({.grid = grid.get(),
                 .rows = 33,
                 .columns = 1024,
                 .codes = codes.data(),
                 .parameters = parameters.data(),
                 .packed = out.data()},
                module());
      out.read();
    }
    EXPECT_EQ(packed, grid::pack_matrix(matrix)) << name;
  }
}

TEST_F(Gpu, HostMemoryIsRefused) {
  Window window("q4_0", 4, 64);
  Out out = window.empty();
  SweepBlock b = window.block(true);
  b.weights = window.current.data();
  b.factor = window.factor.data();
  b.codes = out.codes.data();
  b.parameters = out.parameters.data();
  b.errors = out.errors.data();
  EXPECT_THROW(sweep_cuda(b, module()), std::runtime_error);
}

}  // namespace
}  // namespace frugal::kernels
