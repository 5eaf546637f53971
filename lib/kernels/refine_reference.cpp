// Tested by: tests/kernels/refine_test.cpp
#include <cmath>
#include <cstring>

#include "kernels/refine_kernels.h"

namespace frugal::kernels {
namespace {

// One row in work, in the same steps and the same order of additions as the tiled builds.
class Row {
 public:
  Row(const RefineProblem& problem, const RefinePlan& plan, int64_t row)
      : problem_(problem),
        plan_(plan),
        spec_(problem.grid->spec()),
        target_(problem.target + row * problem.target_stride),
        mask_(problem.mask == nullptr ? nullptr : problem.mask + row * problem.mask_stride),
        codes_(problem.codes + row * problem.codes_stride,
               problem.codes + row * problem.codes_stride + problem.columns),
        parameters_(parameter_row_bytes(problem)),
        scale_(plan.groups),
        offset_(plan.groups),
        weights_(problem.columns),
        gradient_(problem.columns, 0.0f) {
    std::memcpy(parameters_.data(), problem.parameters + row * problem.parameters_stride,
                parameters_.size());
    for (int64_t group = 0; group < plan.groups; group += spec_.groups_per_block()) {
      problem.grid->expand(block_parameters(group / spec_.groups_per_block()), &scale_[group],
                           &offset_[group]);
    }
    for (int64_t i = 0; i < problem.columns; ++i) weights_[i] = decoded(i);
    for (int64_t i = 0; i < problem.columns; ++i) add_to_gradient(i, weights_[i] - target_[i]);
  }

  double objective() const {
    double sum = 0;
    for (int64_t i = 0; i < problem_.columns; ++i) {
      sum += (static_cast<double>(weights_[i]) - target_[i]) * gradient_[i];
    }
    return sum;
  }

  void sweep_codes() {
    for (int64_t i = 0; i < problem_.columns; ++i) {
      if (pinned(i)) continue;
      const int64_t group = i / spec_.group_columns;
      const float diagonal = hessian(i)[i];
      const float wished = weights_[i] - gradient_[i] / diagonal;
      const uint8_t code = problem_.grid->nearest_code((wished - offset_[group]) *
                                                       grid::inverse_scale(scale_[group]));
      const float fresh = scale_[group] * spec_.levels[code] + offset_[group];
      const float step = fresh - weights_[i];
      if (!(step * std::fma(step, diagonal, gradient_[i] + gradient_[i]) < 0)) continue;
      codes_[i] = code;
      weights_[i] = fresh;
      add_to_gradient(i, step);
      ++codes_changed_;
    }
  }

  void refit() {
    const int64_t groups = spec_.groups_per_block();
    for (int64_t group = 0; group < plan_.groups; ++group) {
      refit_one_group(group);
      if (plan_.block_step && (group + 1) % groups == 0) refit_one_block(group / groups);
    }
  }

  void write(int64_t row, double before, RefineTotals& totals) const {
    const double after = objective();
    const bool better = after < before;
    totals.before[row] = before;
    totals.after[row] = better ? after : before;
    if (problem_.row_objective != nullptr) problem_.row_objective[row] = totals.after[row];
    if (!better) return;
    totals.codes_changed[row] = codes_changed_;
    totals.groups_refit[row] = groups_refit_;
    std::memcpy(problem_.parameters + row * problem_.parameters_stride, parameters_.data(),
                parameters_.size());
    std::memcpy(problem_.codes + row * problem_.codes_stride, codes_.data(), codes_.size());
  }

 private:
  bool pinned(int64_t i) const { return mask_ != nullptr && mask_[i] == 0; }
  const float* hessian(int64_t i) const { return problem_.hessian + i * problem_.hessian_stride; }
  std::byte* block_parameters(int64_t block) {
    return parameters_.data() + block * spec_.parameter_bytes;
  }
  float decoded(int64_t i) const {
    const int64_t group = i / spec_.group_columns;
    return scale_[group] * spec_.levels[codes_[i]] + offset_[group];
  }
  void add_to_gradient(int64_t i, float step) {
    for (int64_t j = 0; j < problem_.columns; ++j)
      gradient_[j] = std::fma(step, hessian(i)[j], gradient_[j]);
  }

  // H[start.., start..] * values.
  std::vector<float> times_hessian(int64_t start, const std::vector<float>& values) const {
    std::vector<float> product(values.size(), 0.0f);
    for (size_t j = 0; j < values.size(); ++j) {
      const float* const row = hessian(start + static_cast<int64_t>(j)) + start;
      for (size_t i = 0; i < values.size(); ++i)
        product[i] = std::fma(values[j], row[i], product[i]);
    }
    return product;
  }
  static float dot(const std::vector<float>& a, const float* b) {
    float sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum = std::fma(a[i], b[i], sum);
    return sum;
  }

  void decode_again(int64_t start, int64_t count) {
    std::vector<float> change(count);
    for (int64_t i = start; i < start + count; ++i) {  // zero lies where the zero point is now
      const int64_t group = i / spec_.group_columns;
      if (pinned(i))
        codes_[i] = problem_.grid->nearest_code((0.0f - offset_[group]) *
                                                grid::inverse_scale(scale_[group]));
    }
    for (int64_t i = 0; i < count; ++i) {
      change[i] = decoded(start + i) - weights_[start + i];
      weights_[start + i] = decoded(start + i);
    }
    for (int64_t i = 0; i < count; ++i) add_to_gradient(start + i, change[i]);
    ++groups_refit_;
  }

  void refit_one_group(int64_t index) {
    const int64_t count = spec_.group_columns;
    const int64_t start = index * count;
    std::vector<float> t(count);
    for (int64_t i = 0; i < count; ++i)
      t[i] = pinned(start + i) ? 0.0f : spec_.levels[codes_[start + i]];
    GroupSums sums{.t_gradient = dot(t, &gradient_[start]),
                   .gradient = 0,
                   .tt = dot(t, times_hessian(start, t).data()),
                   .t1 = 0,
                   .ones = 0};
    add_ones(start, t, sums);
    const int64_t groups = spec_.groups_per_block();
    const int64_t first = index / groups * groups;
    if (refit_group(*problem_.grid, index - first, sums, block_parameters(index / groups),
                    &scale_[first], &offset_[first])) {
      decode_again(start, count);
    }
  }

  // The sums over the kept weights that an offset needs.
  void add_ones(int64_t start, const std::vector<float>& t, GroupSums& sums) const {
    const auto count = static_cast<int64_t>(t.size());
    for (int64_t i = start; i < start + count; ++i) {
      if (pinned(i)) continue;
      sums.gradient += gradient_[i];
      float row_sum = 0;
      for (int64_t j = start; spec_.affine && j < start + count; ++j) {
        if (!pinned(j)) row_sum += hessian(i)[j];
      }
      sums.t1 = std::fma(t[i - start], row_sum, sums.t1);
      sums.ones += row_sum;
    }
  }

  void refit_one_block(int64_t block) {
    const int64_t count = spec_.block_columns;
    const int64_t start = block * count;
    std::vector<float> scaled(count), offsets(count);
    for (int64_t i = 0; i < count; ++i) {
      if (pinned(start + i)) continue;
      scaled[i] = scale_[(start + i) / spec_.group_columns] * spec_.levels[codes_[start + i]];
      offsets[i] = offset_[(start + i) / spec_.group_columns];
    }
    const std::vector<float> product = times_hessian(start, scaled);
    const std::vector<float> product_offsets = times_hessian(start, offsets);
    const BlockSums sums{.a_gradient = dot(scaled, &gradient_[start]),
                         .c_gradient = dot(offsets, &gradient_[start]),
                         .aa = dot(scaled, product.data()),
                         .ac = dot(scaled, product_offsets.data()),
                         .cc = dot(offsets, product_offsets.data())};
    const int64_t first = block * spec_.groups_per_block();
    if (refit_block(*problem_.grid, sums, block_parameters(block), &scale_[first],
                    &offset_[first])) {
      decode_again(start, count);
    }
  }

  const RefineProblem& problem_;
  const RefinePlan& plan_;
  const grid::GridSpec& spec_;
  const float* target_;
  const uint8_t* mask_;
  std::vector<uint8_t> codes_;
  std::vector<std::byte> parameters_;
  std::vector<float> scale_;
  std::vector<float> offset_;
  std::vector<float> weights_;
  std::vector<float> gradient_;
  int64_t codes_changed_ = 0;
  int64_t groups_refit_ = 0;
};

}  // namespace

RefineReport refine_reference(const RefineProblem& problem, const RefineOptions& options) {
  const RefinePlan plan = plan_refine(problem);
  RefineTotals totals(problem.rows);
#pragma omp parallel for schedule(dynamic)
  for (int64_t r = 0; r < problem.rows; ++r) {
    Row row(problem, plan, r);
    const double before = row.objective();
    for (int round = 0; round < options.sweeps || round < options.refits; ++round) {
      if (round < options.refits) row.refit();
      if (round < options.sweeps) row.sweep_codes();
    }
    row.write(r, before, totals);
  }
  return totals.report();
}

}  // namespace frugal::kernels
