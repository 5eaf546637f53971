#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <stdexcept>

#include "emulated_cuda.h"
#include "grid/half.h"
#include "kernels/cuda/steps.h"
#include "kernels/sweep_cuda.h"
#include "kernels/sweep_kernels.h"
#include "layer_problem.h"

namespace frugal::kernels {
namespace {

constexpr const char* kGrids[] = {"q4_0",          "q8_0",     "iq4_nl",        "q4_k",
                                  "int4:g16",      "int4:g48", "int4:g64",      "int4:g128",
                                  "int4:g16:asym", "int8",     "int8:g32:asym", "int4:row:asym",
                                  "int4:g24",      "int3:g9",  "int8:g6:asym",  "int4:g2"};

// Columns of a test's matrix on this grid: 256, or a multiple of groups that do not divide it.
int64_t columns_for(std::string_view name) {
  for (const std::string_view group : {"g48", "g24", "g9", "g6:"}) {
    if (name.find(group) != std::string_view::npos) return 144;
  }
  return 256;
}

struct Out {
  std::vector<uint8_t> codes;
  std::vector<std::byte> parameters;
  std::vector<float> errors;
  std::vector<double> row_loss;
};

// One window of a random problem, on host memory.
struct Window {
  std::shared_ptr<const grid::Grid> grid;
  LayerProblem problem;
  std::vector<int32_t> order;
  std::vector<float> factor;

  Window(const char* name, int64_t rows, int64_t columns, uint64_t seed)
      : grid(grid_or_die(name, columns)),
        problem(random_problem(rows, columns, seed)),
        order(group_aware_order(problem, grid->spec().block_columns)),
        factor(inverse_factor(problem.hessian, order)) {}

  int64_t parameter_stride() const {
    return problem.columns / grid->spec().block_columns * grid->spec().parameter_bytes;
  }

  std::vector<std::byte> static_parameters() const {
    std::vector<std::byte> parameters(problem.rows * parameter_stride());
    fit_blocks({.grid = grid.get(),
                .rows = problem.rows,
                .width = problem.columns,
                .weights = problem.weights.data(),
                .weights_stride = problem.columns,
                .importance = problem.importance.data(),
                .parameters = parameters.data(),
                .parameters_stride = parameter_stride()});
    return parameters;
  }

  // The first `width` positions, by `run`.
  template <typename Run>
  Out solve(int64_t width, bool fit, bool weighted, const Run& run) const {
    const int64_t rows = problem.rows, columns = problem.columns;
    std::vector<float> current(rows * columns);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t p = 0; p < columns; ++p)
        current[r * columns + p] = problem.weights[r * columns + order[p]];
    }
    Out out{std::vector<uint8_t>(rows * columns, 0xee),
            fit ? std::vector<std::byte>(rows * parameter_stride()) : static_parameters(),
            std::vector<float>(rows * (width + 3), -1.0f), std::vector<double>(rows, 0.25)};
    run({.grid = grid.get(),
         .rows = rows,
         .width = width,
         .weights = current.data(),
         .weights_stride = columns,
         .factor = factor.data(),
         .factor_stride = columns,
         .columns = order.data(),
         .fit = fit,
         .importance = weighted ? problem.importance.data() : nullptr,
         .codes = out.codes.data(),
         .codes_stride = columns,
         .parameters = out.parameters.data(),
         .parameters_stride = parameter_stride(),
         .errors = out.errors.data(),
         .errors_stride = width + 3,
         .row_loss = out.row_loss.data()});
    return out;
  }
};

std::vector<uint32_t> bits(const std::vector<float>& values) {
  std::vector<uint32_t> result;
  for (const float value : values) result.push_back(std::bit_cast<uint32_t>(value));
  return result;
}

void expect_same(const Out& a, const Out& b, const std::string& what) {
  EXPECT_EQ(a.codes, b.codes) << what;
  EXPECT_EQ(a.parameters, b.parameters) << what;
  EXPECT_EQ(bits(a.errors), bits(b.errors)) << what;
  EXPECT_EQ(a.row_loss, b.row_loss) << what;
}

void expect_emulation_equals_reference(const Window& window, int64_t width, bool fit,
                                       bool weighted) {
  const std::string what = window.grid->spec().name + " " + std::to_string(width) +
                           (fit ? " fit" : " static") + (weighted ? " weighted" : "");
  const Out reference = window.solve(width, fit, weighted, sweep_reference);
  for (const LaneOrder order : {LaneOrder::kAscending, LaneOrder::kDescending}) {
    const Out emulated = window.solve(width, fit, weighted, [order](const SweepBlock& block) {
      sweep_cuda(block, emulated_cuda(order));
    });
    expect_same(emulated, reference,
                what + (order == LaneOrder::kAscending ? "" : ", lanes backward"));
  }
}

TEST(CudaSweep, StepsGiveTheBitsOfTheReference) {
  for (const char* name : kGrids) {
    const int64_t columns = columns_for(name);
    const Window window(name, 11, columns, 31);
    const int64_t block = window.grid->spec().block_columns;
    for (const bool fit : {true, false}) {
      for (const int64_t width : {columns / 2, columns}) {
        if (width > 256 || (fit && width % block != 0)) continue;
        if (fit && cuda_fit(window.grid->spec()) == CudaFit::kHost && width != block) continue;
        for (const bool weighted : {true, false})
          expect_emulation_equals_reference(window, width, fit, weighted);
      }
    }
  }
}

TEST(CudaSweep, OddWidthsAndScatteredStaticGroups) {
  for (const char* name : {"q4_0", "iq4_nl", "int8:g16:asym", "q4_k"}) {
    Window window(name, 3, 256, 32);
    base::RandomStream random(32, "cuda/order");
    random.shuffle(std::span<int32_t>(window.order));
    window.factor = inverse_factor(window.problem.hessian, window.order);
    for (const int64_t width : {1, 31, 33, 77})
      expect_emulation_equals_reference(window, width, false, true);
  }
}

// Rows where the search has nothing to do, overflows, or meets what is not finite.
TEST(CudaSweep, UnusualRows) {
  for (const char* name : {"q4_0", "q8_0", "iq4_nl", "int4:g32:asym"}) {
    Window window(name, 9, 64, 33);
    float* const w = window.problem.weights.data();
    for (int i = 0; i < 64; ++i) {
      w[i] = 0;
      w[64 + i] *= 1e-12f;
      w[128 + i] *= 1e9f;
      w[192 + i] = i == 5 ? 3.0f : 0.0f;
      w[256 + i] = -std::fabs(w[256 + i]);
      w[320 + i] = 0.125f;
      w[384 + i] *= 1e30f;
      w[448 + i] = i % 2 == 0 ? 1e-7f : -1e-7f;
    }
    expect_emulation_equals_reference(window, 64, true, true);
    expect_emulation_equals_reference(window, 64, true, false);
    std::fill(window.problem.importance.begin(), window.problem.importance.begin() + 40, 0.0f);
    expect_emulation_equals_reference(window, 64, true, true);
    w[70] = std::numeric_limits<float>::infinity();
    const auto run = [&](const SweepBlock& block) {
      sweep_cuda(block, emulated_cuda(LaneOrder::kAscending));
    };
    EXPECT_EQ(window.solve(64, true, true, run).codes,
              window.solve(64, true, true, sweep_reference).codes);
  }
}

// A grid that the table does not know is fitted on the host; every grid of the registry is swept.
TEST(CudaSweep, EveryGridOfTheRegistryIsCovered) {
  for (const grid::GridHelp& help : grid::grid_help()) {
    const std::string family = help.name.substr(0, help.name.find_first_of("[:"));
    const Window window(family.c_str(), 4, 256, 34);
    const grid::GridSpec& spec = window.grid->spec();
    const int64_t width = cuda_window(spec, true);
    ASSERT_GT(width, 0) << family;
    EXPECT_EQ(width % spec.block_columns, 0) << family;
    expect_emulation_equals_reference(window, width, true, true);
    expect_emulation_equals_reference(window, cuda_window(spec, false), false, true);
  }
  EXPECT_EQ(cuda_fit(grid_or_die("q4_k")->spec()), CudaFit::kHost);
  EXPECT_EQ(cuda_fit(grid_or_die("q4_0")->spec()), CudaFit::kDevice);
  EXPECT_EQ(cuda_fit(grid_or_die("int4:row", 4096)->spec()), CudaFit::kHost);
  EXPECT_EQ(cuda_window(grid_or_die("int4:row", 4096)->spec(), true), 0);
  EXPECT_EQ(cuda_window(grid_or_die("int4:row", 4096)->spec(), false), 128);
}

void expect_refused(const SweepBlock& block, const std::string& text) {
  try {
    sweep_cuda(block, emulated_cuda(LaneOrder::kAscending));
    FAIL() << "accepted: " << text;
  } catch (const std::invalid_argument& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr(text));
  }
}

TEST(CudaSweep, ContradictionsAreRefused) {
  const Window wide("q4_0", 1, 512, 35);
  wide.solve(512, true, true, [](const SweepBlock& b) { expect_refused(b, "at most 256"); });
  const Window narrow("q4_0", 1, 64, 35);
  narrow.solve(64, true, true, [](SweepBlock b) {
    b.width = 40;
    expect_refused(b, "must be a multiple of the grid's block of 32");
    b.width = 64;
    b.errors = nullptr;
    expect_refused(b, "pointer is null");
  });
}

TEST(CudaSweep, HalvesAreThoseOfTheGrids) {
  for (uint32_t half = 0; half < 65536; ++half) {
    const float value = grid::half_to_float(static_cast<uint16_t>(half));
    ASSERT_EQ(std::bit_cast<uint32_t>(cuda::half_to_float(half)), std::bit_cast<uint32_t>(value));
  }
  base::RandomStream random(36, "cuda/half");
  for (int i = 0; i < 200000; ++i) {
    const auto exponent = static_cast<float>(random.uniform() * 60 - 35);
    const float value = static_cast<float>(random.normal()) * std::exp2(exponent);
    ASSERT_EQ(cuda::float_to_half(value), grid::float_to_half_saturated(value)) << value;
  }
}

TEST(CudaPack, BlocksAreThoseOfTheHost) {
  for (const char* name :
       {"q4_0", "q8_0", "iq4_nl", "q4_k", "int4:g32", "int4:row", "int8:g64", "int4:g48:asym",
        "int8:g32:asym", "int4:g24", "int4:g9", "int8:g6:asym"}) {
    const int64_t columns = std::string_view(name) == "int4:row" ? 259 : 2 * columns_for(name);
    const auto grid = grid_or_die(name, columns);
    ASSERT_TRUE(cuda_packs(*grid)) << name;
    grid::QuantizedMatrix matrix = grid::empty_matrix(grid, 5, columns);
    base::RandomStream random(37, name);
    for (uint8_t& code : matrix.codes)
      code = static_cast<uint8_t>(random.below(grid->spec().levels.size()));
    for (std::byte& value : matrix.parameters) value = static_cast<std::byte>(random.below(256));
    std::vector<std::byte> packed(5 * matrix.row_bytes());
    pack_cuda({.grid = grid.get(),
               .rows = 5,
               .columns = columns,
               .codes = matrix.codes.data(),
               .parameters = matrix.parameters.data(),
               .packed = packed.data()},
              emulated_cuda(LaneOrder::kAscending));
    EXPECT_EQ(packed, grid::pack_matrix(matrix)) << name;
  }
}

}  // namespace
}  // namespace frugal::kernels
