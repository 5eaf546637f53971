#include "layerwise/rounding/gptq_device.h"

#include "kernels/cuda_module.h"
#include "layerwise/rounding/gptq.h"
#include "layerwise/rounding/order.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

// Everything but the GPU: tensors on the CPU, the module's kernels emulated there. The columns
// behind a window are then updated by the same products as on the CPU, and where the windows agree,
// all bits must.
TEST(SweepOnDevice, WithTheEmulatedModuleItIsTheCpusSweep) {
  const kernels::CudaModule module = kernels::open_cuda_module(FRUGAL_EMULATED_MODULE);
  ASSERT_NE(module.table, nullptr) << module.problem;
  struct Shape {
    const char* grid;
    int64_t columns;
  };
  for (const Shape& shape :
       {Shape{"q4_0", 320}, Shape{"iq4_nl", 192}, Shape{"q4_k", 768}, Shape{"int4:g48", 288},
        Shape{"int8:g32:asym", 160}, Shape{"int4:row", 640}, Shape{"int4:row:asym", 640}}) {
    const auto grid = grid::find_grid(shape.grid, shape.columns).value();
    const at::Tensor weights = random_matrix(21, "weights", 13, shape.columns);
    const at::Tensor hessian = second_moment(random_inputs(21, 2 * shape.columns, shape.columns));
    const at::Tensor order =
        column_order(hessian.diagonal(), grid->spec().block_columns, ColumnOrder::kGroupAware);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Factor factor, factorize(hessian, order, {}));
    for (const bool dynamic : {true, false}) {
      const GptqResult cpu = gptq(weights, hessian.diagonal(), factor, grid,
                                  {.dynamic_scales = dynamic, .sweeps = 0, .refits = 0});
      EXPECT_TRUE(cpu.fallback.empty());
      EXPECT_NE(cpu.sweep_kernel, "cuda");
      grid::QuantizedMatrix matrix = grid::empty_matrix(grid, 13, shape.columns);
      if (!dynamic) matrix.parameters = cpu.matrix.parameters;
      const double objective =
          sweep_on_device(weights, hessian.diagonal(), factor, matrix, dynamic, *module.table);
      EXPECT_EQ(matrix.codes, cpu.matrix.codes) << shape.grid << " " << dynamic;
      EXPECT_EQ(matrix.parameters, cpu.matrix.parameters) << shape.grid << " " << dynamic;
      EXPECT_EQ(objective, cpu.sweep_objective) << shape.grid << " " << dynamic;
    }
  }
}

TEST(FactorWhole, IsTheTiledOne) {
  const at::Tensor h = second_moment(random_inputs(22, 600, 300)) + at::eye(300, at::kDouble);
  const at::Tensor lower = lower_cholesky_whole(h);
  // fp64 sums of up to 300 products in another order; condition some 1e5.
  const double tolerance = 300 * 0x1p-53 * 1e5;
  EXPECT_LT(((lower - lower_cholesky(h)).abs().max() / lower.abs().max()).item<double>(),
            tolerance);
  const at::Tensor inverse = invert_lower_whole(lower), tiled = invert_lower(lower);
  EXPECT_LT(((inverse - tiled).abs().max() / tiled.abs().max()).item<double>(), tolerance);
  EXPECT_FALSE(lower_cholesky_whole(-h).defined());
}

}  // namespace
}  // namespace frugal::layerwise
