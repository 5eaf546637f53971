#include "layerwise/rounding/block_rounding.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

#include "base/interrupt.h"
#include "base/random.h"
#include "base/text.h"
#include "layerwise/rounding/gptq.h"
#include "tensor/aten.h"
#include "tensor/guard.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

constexpr float kFarthest = 0.49f;  // from the start code: V = 0 must round to it

using GroupValues = std::array<float, grid::kMaxGroupsPerBlock>;

// Where `y` lies between codes, at most kFarthest from `code`.
float place(const std::vector<float>& levels, uint8_t code, float y) {
  const float off = y - levels[code];
  const size_t last = levels.size() - 1;
  if (!std::isfinite(off) || (off > 0 && code == last) || (off < 0 && code == 0)) {
    return static_cast<float>(code) + (off > 0 ? kFarthest : off < 0 ? -kFarthest : 0.0f);
  }
  const float gap = off > 0   ? levels[code + 1] - levels[code]
                    : off < 0 ? levels[code] - levels[code - 1]
                              : 1.0f;
  return static_cast<float>(code) + std::clamp(off / gap, -kFarthest, kFarthest);
}

uint8_t code_of(float place, float last) {
  return static_cast<uint8_t>(static_cast<int>(std::clamp(place, 0.0f, last) + 0.5f));
}

// The offsets V of one matrix and what they stand for.
class Offsets {
 public:
  explicit Offsets(BlockMatrix& own) : own_(own) {
    if (!learns()) {
      weights_ = own.target.contiguous();
      return;
    }
    const grid::QuantizedMatrix& m = own.matrix;
    TORCH_CHECK(own.target.sizes() == at::IntArrayRef({m.rows, m.columns}),
                "round_block: a target of ", own.target.sizes(), " for a matrix of ", m.rows, " x ",
                m.columns);
    offsets_.assign(m.codes.size(), 0.0f);
    places_.resize(m.codes.size());
    best_ = m.codes;
    const at::Tensor target = own.target.to(at::kFloat).contiguous();
    for_each_group([&](int64_t begin, float scale, float offset) {
      for (int64_t i = begin; i < begin + m.grid->spec().group_columns; ++i) {
        const float y = (target.const_data_ptr<float>()[i] - offset) * grid::inverse_scale(scale);
        places_[i] = place(m.grid->spec().levels, m.codes[i], y);
      }
    });
    weights_ = decode(m);
  }

  bool learns() const { return own_.matrix.grid != nullptr; }
  const at::Tensor& weights() const { return weights_; }  // [R, in] fp32 CPU

  // V -= rate sign(gradient by V); then the codes and weights. `gradient` [R, in] by the weights:
  // dW/dV has the sign of the scale.
  void step(const at::Tensor& gradient, float rate) {
    grid::QuantizedMatrix& m = own_.matrix;
    const std::vector<float>& levels = m.grid->spec().levels;
    const float last = static_cast<float>(levels.size() - 1);
    const float* const g = gradient.const_data_ptr<float>();
    float* const w = weights_.mutable_data_ptr<float>();
    const bool affine = m.grid->spec().affine;
    for_each_group([&](int64_t begin, float scale, float offset) {
      for (int64_t i = begin; i < begin + m.grid->spec().group_columns; ++i) {
        const float slope = g[i] * scale;
        const float sign = static_cast<float>((slope > 0) - (slope < 0));
        offsets_[i] = std::clamp(offsets_[i] - rate * sign, -0.5f, 0.5f);
        m.codes[i] = code_of(places_[i] + offsets_[i], last);
        const float product = scale * levels[m.codes[i]];
        w[i] = affine ? product + offset : product;
      }
    });
  }

  void keep() {
    if (learns()) best_ = own_.matrix.codes;
  }
  void restore() {
    if (learns()) own_.matrix.codes = best_;
  }

 private:
  // body(index of the first weight, scale, offset), rows across threads.
  template <typename Body>
  void for_each_group(const Body& body) {
    const grid::QuantizedMatrix& m = own_.matrix;
    const grid::GridSpec& spec = m.grid->spec();
    at::parallel_for(0, m.rows, 16, [&](int64_t first, int64_t end) {
      GroupValues scale, offset;
      for (int64_t row = first; row < end; ++row) {
        for (int64_t block = 0; block < m.blocks_per_row(); ++block) {
          m.grid->expand(m.block_parameters(row, block), scale.data(), offset.data());
          const int64_t begin = row * m.columns + block * spec.block_columns;
          for (int64_t j = 0; j < spec.groups_per_block(); ++j) {
            body(begin + j * spec.group_columns, scale[j], offset[j]);
          }
        }
      }
    });
  }

  BlockMatrix& own_;
  std::vector<float> places_, offsets_;
  std::vector<uint8_t> best_;
  at::Tensor weights_;
};

// A window of the walk's chunks.
struct Window {
  size_t chunk = 0;
  int64_t row = 0;
};

class BlockRounder {
 public:
  BlockRounder(const LayerProblem& problem, const BlockRoundingOptions& options, BlockLayer& layer)
      : problem_(problem),
        options_(options),
        random_(options.seed, base::str_cat("block/", problem.layer)) {
    TORCH_CHECK(layer.size() == problem.stages.size(), "round_block: ", layer.size(),
                " stages, the layer has ", problem.stages.size());
    for (std::vector<BlockMatrix>& stage : layer) {
      offsets_.emplace_back();
      for (BlockMatrix& matrix : stage) offsets_.back().emplace_back(matrix);
    }
    deal_windows();
  }

  absl::StatusOr<BlockRoundingResult> run() {
    const auto begin = std::chrono::steady_clock::now();
    if (guard_.empty() || training_.empty()) {
      return base::invalid_argument(
          problem_.where, ": learned rounding needs windows to learn from and held-out ones to ",
          "choose by, found ", training_.size(), " and ", guard_.size(),
          "; give it more calibration text");
    }
    BlockRoundingResult result;
    result.before = result.after = guard_loss();
    FRUGAL_RETURN_IF_ERROR(check_loss(result.before));
    for (int64_t i = 0; i < options_.iterations; ++i) {
      FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
      iterate(i);
      if (!guard_due(i + 1)) continue;
      const double now = guard_loss();
      FRUGAL_RETURN_IF_ERROR(check_loss(now));
      if (!(now < result.after)) continue;
      result.after = now;
      result.best_iteration = i + 1;
      for_each_matrix([](Offsets& matrix) { matrix.keep(); });
    }
    for_each_matrix([](Offsets& matrix) { matrix.restore(); });
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return result;
  }

 private:
  template <typename Body>
  void for_each_matrix(const Body& body) {
    for (auto& stage : offsets_) {
      for (Offsets& matrix : stage) body(matrix);
    }
  }

  void deal_windows() {
    for (size_t chunk = 0; chunk < problem_.inputs.size(); ++chunk) {
      std::vector<Window>& windows = chunk < problem_.seen_chunks ? training_ : guard_;
      for (int64_t row = 0; row < problem_.inputs[chunk].size(0); ++row)
        windows.push_back({chunk, row});
    }
  }

  bool guard_due(int64_t done) const {
    const int64_t n = options_.iterations, g = options_.guards;
    return done == n || done * g / n != (done - 1) * g / n;
  }

  absl::Status check_loss(double loss) const {
    if (std::isfinite(loss)) return absl::OkStatus();
    return base::failed(problem_.where, ": the layer's output error is ", loss,
                        " while its rounding is learned");
  }

  using StageWeights = std::vector<std::vector<at::Tensor>>;  // [stage][matrix], on the device

  StageWeights device_weights() const {
    StageWeights result;
    for (const auto& stage : offsets_) {
      result.emplace_back();
      for (const Offsets& matrix : stage)
        result.back().push_back(matrix.weights().to(problem_.device));
    }
    return result;
  }

  // Mean squared error of the layer's output on one window; differentiable by `weights`.
  at::Tensor loss(const Window& window, const StageWeights& weights) const {
    const at::Tensor x = problem_.inputs[window.chunk].narrow(0, window.row, 1).to(problem_.device);
    model::LayerState state = problem_.runner.begin(problem_.layer, x, problem_.small);
    for (size_t stage = 0; stage < weights.size(); ++stage) {
      std::vector<at::Tensor> outputs;
      for (const at::Tensor& matrix : weights[stage])
        outputs.push_back(at::linear(state.input.rows, matrix));
      problem_.runner.advance(state, {problem_.layer, stage}, outputs, problem_.small,
                              problem_.contexts);
    }
    return at::mse_loss(
        state.residual,
        problem_.targets[window.chunk].narrow(0, window.row, 1).to(problem_.device));
  }

  // Windows one per tile on the CPU, one after the other elsewhere.
  void for_each_window(size_t count, const std::function<void(int64_t)>& body) const {
    if (problem_.device.is_cpu()) return tensor::for_each_tile(static_cast<int64_t>(count), body);
    for (size_t i = 0; i < count; ++i) body(static_cast<int64_t>(i));
  }

  double guard_loss() const {
    const at::NoGradGuard no_grad;
    const StageWeights weights = device_weights();
    std::vector<double> losses(guard_.size());
    for_each_window(guard_.size(), [&](int64_t i) {
      losses[static_cast<size_t>(i)] = loss(guard_[static_cast<size_t>(i)], weights).item<double>();
    });
    return std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
  }

  // Gradients by the learning matrices, in order, of one window.
  std::vector<at::Tensor> gradients(const Window& window, const StageWeights& weights) const {
    const at::AutoGradMode with_gradients(true);
    StageWeights own = weights;
    std::vector<at::Tensor> leaves;
    for (size_t stage = 0; stage < own.size(); ++stage) {
      for (size_t i = 0; i < own[stage].size(); ++i) {
        if (!offsets_[stage][i].learns()) continue;
        own[stage][i] = own[stage][i].detach().requires_grad_(true);
        leaves.push_back(own[stage][i]);
      }
    }
    return torch::autograd::grad({loss(window, own)}, leaves);
  }

  // One step on a random batch. Gradients are added in the order of windows, as many of them at a
  // time as threads can make.
  void iterate(int64_t iteration) {
    const std::vector<Window> batch = next_batch();
    const StageWeights weights = device_weights();
    const size_t wave =
        problem_.device.is_cpu() ? static_cast<size_t>(std::max(1, at::get_num_threads())) : 1;
    std::vector<at::Tensor> sums;
    for (size_t begin = 0; begin < batch.size(); begin += wave) {
      std::vector<std::vector<at::Tensor>> parts(std::min(wave, batch.size() - begin));
      for_each_window(parts.size(), [&](int64_t i) {
        parts[static_cast<size_t>(i)] = gradients(batch[begin + static_cast<size_t>(i)], weights);
      });
      const at::NoGradGuard no_grad;
      for (std::vector<at::Tensor>& part : parts) {
        if (sums.empty()) {
          sums = std::move(part);
        } else {
          for (size_t k = 0; k < sums.size(); ++k) sums[k].add_(part[k]);
        }
      }
    }
    const double n = static_cast<double>(options_.iterations);
    const double rate =
        (options_.rate > 0 ? options_.rate : 1.0 / n) * (1.0 - static_cast<double>(iteration) / n);
    auto next = sums.begin();
    for_each_matrix([&](Offsets& matrix) {
      if (matrix.learns())
        matrix.step((next++)->to(at::kCPU).contiguous(), static_cast<float>(rate));
    });
  }

  // The next windows of an endless shuffled order.
  std::vector<Window> next_batch() {
    std::vector<Window> batch;
    const size_t count = std::min(static_cast<size_t>(options_.batch_windows), training_.size());
    while (batch.size() < count) {
      if (at_ == 0) random_.shuffle(std::span(training_));
      batch.push_back(training_[at_]);
      at_ = (at_ + 1) % training_.size();
    }
    return batch;
  }

  const LayerProblem& problem_;
  const BlockRoundingOptions& options_;
  base::RandomStream random_;
  std::vector<std::vector<Offsets>> offsets_;  // [stage][matrix]
  std::vector<Window> training_, guard_;
  size_t at_ = 0;
};

absl::Status check_options(const BlockRoundingOptions& o) {
  if (o.iterations >= 0 && o.batch_windows >= 1 && o.guards >= 1 && std::isfinite(o.rate) &&
      o.rate >= 0) {
    return absl::OkStatus();
  }
  return base::invalid_argument("learned rounding: iterations ", o.iterations, ", batch_windows ",
                                o.batch_windows, ", rate ", o.rate, ", guards ", o.guards,
                                "; expected counts from 0, windows and guards from 1");
}

}  // namespace

absl::StatusOr<BlockRoundingResult> round_block(const LayerProblem& problem,
                                                const BlockRoundingOptions& options,
                                                BlockLayer& layer) {
  FRUGAL_RETURN_IF_ERROR(check_options(options));
  std::vector<std::vector<uint8_t>> start;
  for (const auto& stage : layer) {
    for (const BlockMatrix& matrix : stage) start.push_back(matrix.matrix.codes);
  }
  return tensor::guarded(problem.where, [&]() -> absl::StatusOr<BlockRoundingResult> {
    FRUGAL_ASSIGN_OR_RETURN(BlockRoundingResult result,
                            BlockRounder(problem, options, layer).run());
    auto old = start.begin();
    for (const auto& stage : layer) {
      for (const BlockMatrix& matrix : stage) {
        const std::vector<uint8_t>& now = matrix.matrix.codes;
        for (size_t i = 0; i < now.size(); ++i) result.changed_codes += now[i] != (*old)[i];
        ++old;
      }
    }
    return result;
  });
}

std::vector<at::Tensor> stacked_weights(const BlockLayer& layer) {
  std::vector<at::Tensor> result;
  for (const std::vector<BlockMatrix>& stage : layer) {
    std::vector<at::Tensor> parts;
    for (const BlockMatrix& matrix : stage) {
      parts.push_back(matrix.matrix.grid == nullptr ? matrix.target : decode(matrix.matrix));
    }
    result.push_back(tensor::concatenate(parts));
  }
  return result;
}

}  // namespace frugal::layerwise
