#include "train/group_scales.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "tensor/aten.h"

namespace frugal::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr double kSmallestFactor = -0.5, kLargestFactor = 1.0;
constexpr int64_t kLanes = 8;

using GroupValues = std::array<float, grid::kMaxGroupsPerBlock>;

// Sums of g and g * w over one group; fixed lanes, so that the bits do not depend on the compiler's
// choice.
struct GroupSums {
  double gradient = 0, product = 0;
};
GroupSums sum_group(const float* g, const float* w, int64_t count) {
  std::array<float, kLanes> plain{}, product{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t k = 0; k < kLanes; ++k) {
      plain[k] += g[i + k];
      product[k] += g[i + k] * w[i + k];
    }
  }
  GroupSums sums;
  for (int64_t k = 0; k < kLanes; ++k) {
    sums.gradient += plain[k];
    sums.product += product[k];
  }
  for (; i < count; ++i) {
    sums.gradient += g[i];
    sums.product += static_cast<double>(g[i]) * w[i];
  }
  return sums;
}

// The reduction of attach() on the CPU; `offsets` may be undefined. Writes [R, groups] each.
void reduce_groups(const at::Tensor& gradient, const at::Tensor& weights, const at::Tensor& offsets,
                   bool tied, const GroupGradients& out) {
  const int64_t groups = out.scale.size(1), columns = weights.size(1), width = columns / groups;
  const float* const g = gradient.const_data_ptr<float>();
  const float* const w = weights.const_data_ptr<float>();
  const float* const c = offsets.defined() ? offsets.const_data_ptr<float>() : nullptr;
  float* const scale = out.scale.mutable_data_ptr<float>();
  float* const offset = out.offset.defined() ? out.offset.mutable_data_ptr<float>() : nullptr;
  at::parallel_for(0, weights.size(0), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * groups; i < end * groups; ++i) {
      const int64_t start = i / groups * columns + i % groups * width;
      const GroupSums sums = sum_group(g + start, w + start, width);
      const double shift = c == nullptr ? 0.0 : c[i] * sums.gradient;
      scale[i] = static_cast<float>(tied ? sums.product : sums.product - shift);
      if (offset != nullptr) offset[i] = static_cast<float>(shift);
    }
  });
}

// The same where LibTorch computes.
GroupGradients reduce_on_device(const at::Tensor& gradient, const at::Tensor& weights,
                                const at::Tensor& offsets, bool tied, int64_t groups) {
  const auto group_sum = [&](const at::Tensor& x) { return x.unflatten(1, {groups, -1}).sum(-1); };
  const at::Tensor product = group_sum(gradient * weights);
  if (!offsets.defined()) return {product, {}};
  const at::Tensor shift = group_sum(gradient) * offsets.to(gradient.device());
  return {tied ? product : product - shift, shift};
}

class AttachedWeight : public torch::autograd::Function<AttachedWeight> {
 public:
  // Tensors that may be undefined come as optional: others must be defined.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& scale,
                            const std::optional<at::Tensor>& offset, const at::Tensor& weights,
                            const std::optional<at::Tensor>& offsets, bool tied) {
    context->save_for_backward({weights, offsets.value_or(at::Tensor())});
    context->saved_data["tied"] = tied;
    context->saved_data["wants_offset"] = offset.has_value();
    context->saved_data["groups"] = scale.size(1);
    return weights.detach();
  }

  static variable_list backward(AutogradContext* context, variable_list upstream) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &weights = saved[0], &offsets = saved[1];
    const at::Tensor gradient = upstream.at(0).contiguous();
    const bool tied = context->saved_data["tied"].toBool();
    const bool wants_offset = context->saved_data["wants_offset"].toBool();
    const int64_t groups = context->saved_data["groups"].toInt();
    if (!gradient.is_cpu()) {
      const GroupGradients sums = reduce_on_device(gradient, weights, offsets, tied, groups);
      return {sums.scale, wants_offset ? sums.offset : at::Tensor(), {}, {}, {}};
    }
    GroupGradients out{at::empty({weights.size(0), groups}, at::kFloat), {}};
    if (wants_offset) out.offset = at::empty_like(out.scale);
    reduce_groups(gradient, weights, offsets, tied, out);
    return {out.scale, out.offset, {}, {}, {}};
  }
};

// Whether some block has an offset, and whether offsets have a factor of their own (else the
// scale's moves them: multiply() leaves a zero point alone).
struct OffsetKind {
  bool present = false, free = false;
};
OffsetKind offset_kind(const grid::QuantizedMatrix& matrix) {
  const grid::GridSpec& spec = matrix.grid->spec();
  if (!spec.affine) return {};
  std::vector<std::byte> probe(static_cast<size_t>(spec.parameter_bytes));
  GroupValues scale{}, before{}, after{};
  for (int64_t row = 0; row < matrix.rows; ++row) {
    for (int64_t block = 0; block < matrix.blocks_per_row(); ++block) {
      std::copy_n(matrix.block_parameters(row, block), probe.size(), probe.begin());
      matrix.grid->expand(probe.data(), scale.data(), before.data());
      if (std::all_of(before.begin(), before.end(), [](float value) { return value == 0; }))
        continue;
      matrix.grid->multiply(1.0f, 0.5f, probe.data());
      matrix.grid->expand(probe.data(), scale.data(), after.data());
      return {true, before != after};
    }
  }
  return {};
}

float factor_at(const at::Tensor& factors, int64_t index) {
  return factors.defined() ? factors.const_data_ptr<float>()[index] : 0.0f;
}

// Gradient by x of a quantity known by log(1 + x).
at::Tensor by_factor(const at::Tensor& logarithmic, const at::Tensor& factor) {
  return logarithmic / (factor + 1.0);
}

}  // namespace

GroupScales::GroupScales(grid::QuantizedMatrix start, const ScaleParts& parts)
    : start_(std::move(start)), snapped_(start_) {
  const grid::GridSpec& spec = start_.grid->spec();
  const OffsetKind kind = offset_kind(start_);
  tied_offsets_ = kind.present && !kind.free;
  trains_offsets_ = kind.free && parts.offsets;
  const bool shared = spec.groups_per_block() > 1;
  const auto zeros = [&](int64_t columns) { return at::zeros({start_.rows, columns}, at::kFloat); };
  if (!shared || parts.sub_scales) {
    factors_.scale = zeros(groups_per_row());
    if (trains_offsets_) factors_.offset = zeros(groups_per_row());
  }
  if (shared) {
    factors_.block_scale = zeros(start_.blocks_per_row());
    if (trains_offsets_) factors_.block_offset = zeros(start_.blocks_per_row());
  }
  if (kind.present) offsets_ = zeros(groups_per_row());
  snap();
}

int64_t GroupScales::groups_per_row() const {
  return start_.columns / start_.grid->spec().group_columns;
}

void GroupScales::clamp() {
  for (at::Tensor* factor :
       {&factors_.scale, &factors_.offset, &factors_.block_scale, &factors_.block_offset}) {
    if (factor->defined()) factor->clamp_(kSmallestFactor, kLargestFactor);
  }
}

void GroupScales::snap_block(int64_t row, int64_t block) {
  const grid::Grid& grid = *start_.grid;
  const int64_t groups = grid.spec().groups_per_block(), blocks = start_.blocks_per_row();
  const int64_t at_block = row * blocks + block;
  std::byte* const out = snapped_.block_parameters(row, block);
  std::copy_n(start_.block_parameters(row, block), grid.spec().parameter_bytes, out);
  GroupValues scale, offset;
  grid.expand(out, scale.data(), offset.data());
  const float super = 1.0f + factor_at(factors_.block_scale, at_block);
  const float super_offset = 1.0f + factor_at(factors_.block_offset, at_block);
  if (super != 1.0f || super_offset != 1.0f) grid.multiply(super, super_offset, out);
  for (int64_t j = 0; j < groups; ++j) {
    const float s = factor_at(factors_.scale, at_block * groups + j);
    const float z = factor_at(factors_.offset, at_block * groups + j);
    if (s == 0.0f && z == 0.0f) continue;
    const float wished = scale[j] * super * (1.0f + s);
    const float shift = tied_offsets_ ? wished / scale[j] : super_offset * (1.0f + z);
    grid.set_group(j, wished, scale[j] == 0.0f && tied_offsets_ ? offset[j] : offset[j] * shift,
                   out);
  }
  if (!offsets_.defined()) return;
  grid.expand(out, scale.data(), offset.data());
  std::copy_n(offset.data(), groups, offsets_.mutable_data_ptr<float>() + at_block * groups);
}

const grid::QuantizedMatrix& GroupScales::snap() {
  at::parallel_for(0, start_.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t block = 0; block < start_.blocks_per_row(); ++block) snap_block(row, block);
    }
  });
  return snapped_;
}

void GroupScales::decode(const at::Tensor& weights) const {
  TORCH_CHECK(weights.is_cpu() && weights.is_contiguous() && weights.scalar_type() == at::kFloat &&
                  weights.sizes() == at::IntArrayRef({start_.rows, start_.columns}),
              "GroupScales::decode: weights are [", start_.rows, ", ", start_.columns,
              "] fp32 on the CPU, got ", weights.sizes());
  grid::decode_matrix(snapped_, weights.mutable_data_ptr<float>());
}

at::Tensor GroupScales::attach(const GroupGradients& leaves, const at::Tensor& weights) const {
  const auto where_defined = [](const at::Tensor& x) {
    return x.defined() ? std::optional<at::Tensor>(x) : std::nullopt;
  };
  return AttachedWeight::apply(leaves.scale, where_defined(leaves.offset), weights,
                               where_defined(offsets_), tied_offsets_);
}

GroupGradients GroupScales::leaves(const at::Device& device) const {
  GroupGradients result;
  result.scale =
      at::zeros({start_.rows, groups_per_row()}, at::device(device)).requires_grad_(true);
  if (trains_offsets_) result.offset = at::zeros_like(result.scale).requires_grad_(true);
  return result;
}

void GroupScales::set_gradients(const GroupGradients& sums) {
  const int64_t groups = start_.grid->spec().groups_per_block();
  const auto set = [&](at::Tensor& own, at::Tensor& shared, const at::Tensor& sum) {
    if (own.defined()) own.mutable_grad() = by_factor(sum, own);
    if (shared.defined())
      shared.mutable_grad() = by_factor(sum.unflatten(1, {-1, groups}).sum(-1), shared);
  };
  set(factors_.scale, factors_.block_scale, sums.scale);
  if (sums.offset.defined()) set(factors_.offset, factors_.block_offset, sums.offset);
}

}  // namespace frugal::train
