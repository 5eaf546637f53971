// Tested by: tests/kernels/cuda_sweep_test.cpp
#include "kernels/sweep_cuda.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/cuda/pack_steps.h"
#include "kernels/sweep_plan.h"

namespace frugal::kernels {
namespace {

constexpr int64_t kWindow = 128;
constexpr int64_t kLargest = FRUGAL_CUDA_LARGEST_WINDOW;

// The plain rules of grids with one fp16 scale: the largest weight (its magnitude where `absolute`)
// over the divisor.
struct ScaleRule {
  std::string_view family;
  bool absolute;
  float divisor;
};
constexpr ScaleRule kScaleRules[] = {{"q4_0", false, -8},
                                     {"iq4_nl", false, -127},
                                     {"q8_0", true, 127},
                                     {"int4", false, -8},
                                     {"int8", true, 127}};

std::string_view family_of(std::string_view name) { return name.substr(0, name.find(':')); }

const ScaleRule* rule_of(const grid::GridSpec& spec) {
  const auto at = std::find_if(std::begin(kScaleRules), std::end(kScaleRules),
                               [&](const auto& r) { return r.family == family_of(spec.name); });
  return at == std::end(kScaleRules) ? nullptr : at;
}

FrugalCudaStore store_of(const grid::GridSpec& spec) {
  if (rule_of(spec) == nullptr) return FRUGAL_CUDA_STORE_EXPANDED;
  return spec.affine ? FRUGAL_CUDA_STORE_ZERO : FRUGAL_CUDA_STORE_SCALE;
}

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument("CUDA sweep: " + what);
}

void copy(const FrugalCudaModule& module, const FrugalCudaCopy& copy, const char* what) {
  check_cuda(module, module.copy(&copy), what);
}

// Everything of the window but its scales.
FrugalCudaSweep describe(const SweepBlock& block, const SweepPlan& plan) {
  const grid::GridSpec& spec = block.grid->spec();
  FrugalCudaSweep s = {};
  s.rows = block.rows;
  s.width = static_cast<int32_t>(block.width);
  s.block_columns = static_cast<int32_t>(spec.block_columns);
  s.parameter_bytes = static_cast<int32_t>(spec.parameter_bytes);
  s.store = store_of(spec);
  s.uniform = spec.uniform;
  s.level_count = static_cast<int32_t>(spec.levels.size());
  s.levels = spec.levels.data();
  s.columns = block.columns;
  s.groups = plan.group.data();
  s.weights = block.weights;
  s.weights_stride = block.weights_stride;
  s.factor = block.factor;
  s.factor_stride = block.factor_stride;
  s.importance = block.importance;
  s.codes = block.codes;
  s.codes_stride = block.codes_stride;
  s.parameters = reinterpret_cast<uint8_t*>(block.parameters);
  s.parameters_stride = block.parameters_stride;
  s.errors = block.errors;
  s.errors_stride = block.errors_stride;
  s.row_loss = block.row_loss;
  return s;
}

// Parameters of the blocks that a window touches, on the host: [rows][slots][parameter_bytes].
class HostParameters {
 public:
  HostParameters(const SweepBlock& block, const SweepPlan& plan, const FrugalCudaModule& module)
      : block_(block), plan_(plan), module_(module), bytes_(block.grid->spec().parameter_bytes) {
    values_.resize(static_cast<size_t>(block.rows * slots() * bytes_));
  }

  void read() {
    for (int64_t slot = 0; slot < slots(); ++slot) {
      copy(module_,
           {values_.data() + slot * bytes_, static_cast<size_t>(slots() * bytes_), on_device(slot),
            static_cast<size_t>(block_.parameters_stride), static_cast<size_t>(bytes_),
            static_cast<size_t>(block_.rows)},
           "reading grid parameters");
    }
  }

  // The window is one block: fits it on the weights as they are now.
  void fit() {
    const grid::GridSpec& spec = block_.grid->spec();
    const int64_t width = block_.width, start = plan_.blocks[0] * spec.block_columns;
    const size_t row_bytes = static_cast<size_t>(width) * sizeof(float);
    std::vector<float> weights(static_cast<size_t>(block_.rows * width)), importance;
    copy(module_,
         {weights.data(), row_bytes, block_.weights,
          static_cast<size_t>(block_.weights_stride) * sizeof(float), row_bytes,
          static_cast<size_t>(block_.rows)},
         "reading weights to fit scales");
    if (block_.importance != nullptr) {
      importance.resize(static_cast<size_t>(width));
      copy(module_,
           {importance.data(), row_bytes, block_.importance + start, row_bytes, row_bytes, 1},
           "reading importance");
    }
    std::vector<int32_t> columns(block_.columns, block_.columns + width);
    for (int32_t& column : columns) column -= static_cast<int32_t>(start);
    fit_blocks({.grid = block_.grid,
                .rows = block_.rows,
                .width = width,
                .weights = weights.data(),
                .weights_stride = width,
                .columns = columns.data(),
                .importance = importance.empty() ? nullptr : importance.data(),
                .parameters = values_.data(),
                .parameters_stride = bytes_});
    copy(module_,
         {on_device(0), static_cast<size_t>(block_.parameters_stride), values_.data(),
          static_cast<size_t>(bytes_), static_cast<size_t>(bytes_),
          static_cast<size_t>(block_.rows)},
         "writing grid parameters");
  }

  // [2][rows][groups]: scales, then offsets.
  std::vector<float> expand() const {
    const int64_t groups = plan_.groups();
    std::vector<float> result(static_cast<size_t>(2 * block_.rows * groups));
    float* const offsets = result.data() + block_.rows * groups;
    for (int64_t i = 0; i < block_.rows * slots(); ++i) {
      block_.grid->expand(values_.data() + i * bytes_, result.data() + i * plan_.groups_per_block,
                          offsets + i * plan_.groups_per_block);
    }
    return result;
  }

 private:
  int64_t slots() const { return static_cast<int64_t>(plan_.blocks.size()); }
  std::byte* on_device(int64_t slot) const {
    return block_.parameters + plan_.blocks[slot] * bytes_;
  }

  const SweepBlock& block_;
  const SweepPlan& plan_;
  const FrugalCudaModule& module_;
  int64_t bytes_;
  std::vector<std::byte> values_;
};

void sweep_expanded(const SweepBlock& block, const SweepPlan& plan, FrugalCudaSweep s,
                    const FrugalCudaModule& module) {
  HostParameters parameters(block, plan, module);
  block.fit ? parameters.fit() : parameters.read();
  const std::vector<float> expanded = parameters.expand();
  const size_t bytes = expanded.size() * sizeof(float);
  const CudaMemory memory(module, bytes);
  copy(module, {memory.as<void>(), bytes, expanded.data(), bytes, bytes, 1}, "writing scales");
  s.scales = memory.as<float>();
  s.offsets = s.scales + block.rows * plan.groups();
  s.groups_stride = plan.groups();
  check_cuda(module, module.sweep(&s), "CUDA sweep");
  check_cuda(module, module.synchronize(), "CUDA sweep");  // before the scales are released
}

struct Layout {
  FrugalCudaLayout layout;
  int32_t span;
};
constexpr Layout kLayouts[] = {{FRUGAL_CUDA_NIBBLE_HALVES, 32},
                               {FRUGAL_CUDA_NIBBLE_HALVES, 64},
                               {FRUGAL_CUDA_NIBBLE_PAIRS, 0},
                               {FRUGAL_CUDA_SIGNED_BYTES, 0},
                               {FRUGAL_CUDA_BYTES, 0}};

bool possible(const grid::GridSpec& spec, const Layout& layout) {
  const int64_t code_bytes = spec.block_bytes - spec.parameter_bytes;
  switch (layout.layout) {
    case FRUGAL_CUDA_NIBBLE_HALVES:
      return spec.block_columns % layout.span == 0 && code_bytes == spec.block_columns / 2;
    case FRUGAL_CUDA_NIBBLE_PAIRS:
      return code_bytes == (spec.block_columns + 1) / 2;
    default:
      return code_bytes == spec.block_columns;
  }
}

// The layout that packs a probe as the grid does.
std::optional<Layout> layout_of(const grid::Grid& grid) {
  const grid::GridSpec& spec = grid.spec();
  std::vector<uint8_t> codes(static_cast<size_t>(spec.block_columns));
  for (size_t i = 0; i < codes.size(); ++i)  // no two spans alike
    codes[i] = static_cast<uint8_t>((i * 7 + i / 16 * 5 + i / 64 * 3) % spec.levels.size());
  std::vector<std::byte> parameters(static_cast<size_t>(spec.parameter_bytes));
  for (size_t i = 0; i < parameters.size(); ++i) parameters[i] = static_cast<std::byte>(i * 11 + 1);
  std::vector<std::byte> packed(static_cast<size_t>(spec.block_bytes));
  grid.pack(parameters.data(), codes.data(), packed.data());
  for (const Layout& layout : kLayouts) {
    if (!possible(spec, layout)) continue;
    FrugalCudaPack pack = {.rows = 1,
                           .blocks = 1,
                           .block_columns = static_cast<int32_t>(spec.block_columns),
                           .parameter_bytes = static_cast<int32_t>(spec.parameter_bytes),
                           .block_bytes = static_cast<int32_t>(spec.block_bytes),
                           .layout = layout.layout,
                           .span = layout.span,
                           .codes = codes.data(),
                           .parameters = reinterpret_cast<const uint8_t*>(parameters.data())};
    int64_t same = 0;
    while (same < spec.block_bytes &&
           cuda::packed_byte(pack, same) == static_cast<uint8_t>(packed[same]))
      ++same;
    if (same == spec.block_bytes) return layout;
  }
  return std::nullopt;
}

}  // namespace

CudaFit cuda_fit(const grid::GridSpec& spec) {
  return rule_of(spec) != nullptr && spec.block_columns <= kLargest ? CudaFit::kDevice
                                                                    : CudaFit::kHost;
}

int64_t cuda_window(const grid::GridSpec& spec, bool fit) {
  if (spec.block_columns > kLargest) return fit ? 0 : kWindow;
  if (fit && cuda_fit(spec) == CudaFit::kHost) return spec.block_columns;
  return std::max(spec.block_columns, kWindow / spec.block_columns * spec.block_columns);
}

void sweep_cuda(const SweepBlock& block, const FrugalCudaModule& module) {
  const SweepPlan plan = plan_sweep(block);
  if (block.rows == 0 || block.width == 0) return;
  const grid::GridSpec& spec = block.grid->spec();
  if (block.width > kLargest) {
    refuse("a window of " + std::to_string(block.width) + " columns; at most " +
           std::to_string(kLargest));
  }
  if (static_cast<int64_t>(spec.levels.size()) > FRUGAL_CUDA_LARGEST_LEVELS)
    refuse("grid " + spec.name + " has more than 256 levels");
  FrugalCudaSweep s = describe(block, plan);
  if (s.store == FRUGAL_CUDA_STORE_EXPANDED) {
    if (block.fit && plan.blocks.size() != 1) {
      refuse("scales of grid " + spec.name + " are fitted on the host, one block of " +
             std::to_string(spec.block_columns) + " columns in a window; found " +
             std::to_string(block.width));
    }
    sweep_expanded(block, plan, s, module);
    return;
  }
  if (block.fit) {
    const ScaleRule& rule = *rule_of(spec);
    s.fit = spec.affine ? FRUGAL_CUDA_FIT_ZERO : FRUGAL_CUDA_FIT_SCALE;
    s.plain_absolute = rule.absolute;
    s.plain_divisor = rule.divisor;
  }
  check_cuda(module, module.sweep(&s), "CUDA sweep");
}

void sweep_cuda(const SweepBlock& block) {
  const CudaModule& module = cuda_module();
  if (module.table == nullptr) throw std::runtime_error(module.problem);
  sweep_cuda(block, *module.table);
}

bool cuda_packs(const grid::Grid& grid) { return layout_of(grid).has_value(); }

void pack_cuda(const CudaPackProblem& problem, const FrugalCudaModule& module) {
  const grid::GridSpec& spec = problem.grid->spec();
  const std::optional<Layout> layout = layout_of(*problem.grid);
  if (!layout) refuse("blocks of grid " + spec.name + " are packed on the host only");
  if (problem.columns % spec.block_columns != 0) {
    refuse("rows of " + std::to_string(problem.columns) +
           " columns are no multiple of the block of " + std::to_string(spec.block_columns));
  }
  const FrugalCudaPack pack = {.rows = problem.rows,
                               .blocks = problem.columns / spec.block_columns,
                               .block_columns = static_cast<int32_t>(spec.block_columns),
                               .parameter_bytes = static_cast<int32_t>(spec.parameter_bytes),
                               .block_bytes = static_cast<int32_t>(spec.block_bytes),
                               .layout = layout->layout,
                               .span = layout->span,
                               .codes = problem.codes,
                               .parameters = reinterpret_cast<const uint8_t*>(problem.parameters),
                               .packed = reinterpret_cast<uint8_t*>(problem.packed)};
  check_cuda(module, module.pack(&pack), "packing on the CUDA device");
}

CudaMemory::CudaMemory(const FrugalCudaModule& module, size_t bytes) : module_(module) {
  check_cuda(module, module.allocate(&pointer_, std::max<size_t>(bytes, 1)),
             "allocating CUDA memory");
}
CudaMemory::~CudaMemory() { module_.release(pointer_); }

}  // namespace frugal::kernels
