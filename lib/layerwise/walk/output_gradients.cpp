#include "layerwise/walk/output_gradients.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/interrupt.h"
#include "base/progress.h"
#include "base/random.h"
#include "base/text.h"
#include "layerwise/walk/activation_store.h"
#include "layerwise/walk/layer_gradients.h"
#include "layerwise/walk/layer_weights.h"
#include "model/decoder.h"
#include "tensor/aten.h"
#include "tensor/block_cache.h"
#include "tensor/guard.h"
#include "tensor/tiles.h"
#include "tensor/transfer.h"

namespace frugal::layerwise {
namespace {

at::Tensor flat(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}); }

at::Tensor leaf(const at::Tensor& x) { return x.detach().requires_grad_(); }

// Sums over windows of one matrix.
struct MatrixSum {
  std::string name;
  bool full = false;
  int64_t tokens = 0;  // whose gradients came: those that the stage multiplied
  at::Tensor squares;
  model::ProductSum products{true};
};

class ReverseWalk {
 public:
  using Take = std::function<absl::Status(int64_t, LayerGradients)>;

  ReverseWalk(const format::Checkpoint& checkpoint, const text::Windows& windows,
              const OutputGradientOptions& options)
      : checkpoint_(checkpoint),
        config_(checkpoint.config()),
        windows_(windows),
        options_(options),
        stages_(architecture::all_stages(config_)),
        runner_(config_),
        store_(options.spill_bytes, options.spill_folder, options.device),
        round_(gradient_round(windows.length)) {}

  absl::Status run(const Take& take) {
    base::Progress progress(options_.title, "layers", 2 * config_.layer_count());
    FRUGAL_RETURN_IF_ERROR(embed());
    for (int64_t layer = 0; layer < config_.layer_count(); ++layer) {
      FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
      FRUGAL_RETURN_IF_ERROR(base::annotate(forward(layer), base::str_cat("layer ", layer)));
      progress.advance();
    }
    FRUGAL_RETURN_IF_ERROR(score_gradients());
    for (int64_t layer = config_.layer_count() - 1; layer >= 0; --layer) {
      LayerGradients gradients;
      FRUGAL_RETURN_IF_ERROR(
          base::annotate(backward(layer, gradients), base::str_cat("layer ", layer)));
      FRUGAL_RETURN_IF_ERROR(take(layer, std::move(gradients)));
      progress.advance();
    }
    return absl::OkStatus();
  }

 private:
  const std::vector<architecture::Stage>& stages(int64_t layer) const {
    return stages_[static_cast<size_t>(layer)];
  }
  absl::StatusOr<at::Tensor> load_by_name(const std::string& name) const {
    return tensor::load(checkpoint_, name, at::kFloat, options_.device);
  }

  // Windows [begin, end) on threads of the CPU, or one after the other elsewhere.
  // `stored`: the body takes a window's activations from the store.
  void for_windows(int64_t begin, int64_t end, const std::function<void(size_t)>& body,
                   bool stored = true) const {
    if (options_.device.is_cpu()) {
      return tensor::for_each_tile(end - begin,
                                   [&](int64_t i) { body(static_cast<size_t>(begin + i)); });
    }
    const at::NoGradGuard no_grad;
    for (int64_t i = begin; i < end; ++i) {
      if (stored && i + 1 < end) prefetch(static_cast<size_t>(i + 1));
      body(static_cast<size_t>(i));
    }
  }
  // What a body will take of a window from the store.
  void prefetch(size_t window) const {
    store_.prefetch(inputs_.back()[window]);
    if (!gradients_.empty()) store_.prefetch(gradients_[window]);
  }

  // Round by round, with a look at the interrupt before each.
  absl::Status for_rounds(const std::function<void(int64_t begin, int64_t end)>& body) const {
    for (int64_t begin = 0; begin < windows_.count; begin += round_) {
      FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
      FRUGAL_RETURN_IF_ERROR(tensor::guarded(
          options_.title, [&] { body(begin, std::min(begin + round_, windows_.count)); }));
    }
    return absl::OkStatus();
  }

  absl::Status embed() {
    FRUGAL_ASSIGN_OR_RETURN(const model::Embedding embedding,
                            load_embedding(checkpoint_, options_.device));
    return tensor::guarded("embedding the windows", [&] {
      const at::Tensor ids = at::tensor(windows_.ids, at::kInt)
                                 .to(at::kLong)
                                 .view({windows_.count, windows_.length})
                                 .to(options_.device);
      std::vector<at::Tensor> first;
      for (int64_t i = 0; i < windows_.count; ++i)
        first.push_back(store_.keep(runner_.embed(embedding, ids.narrow(0, i, 1))));
      inputs_.push_back(std::move(first));
      contexts_ = window_contexts(config_, windows_.length, options_.device, options_.precision);
    });
  }

  absl::StatusOr<LayerProducts> load(int64_t layer, bool gradients) const {
    LayerProducts products;
    FRUGAL_ASSIGN_OR_RETURN(products.small,
                            load_small_parameters(checkpoint_, layer, options_.device));
    const int64_t next = layer + (gradients ? -1 : 1);
    for (size_t i = 0; i < stages(layer).size(); ++i) {
      if (next >= 0 && next < config_.layer_count() && i < stages(next).size())
        read_ahead(checkpoint_, stages(next)[i]);
      FRUGAL_ASSIGN_OR_RETURN(StageWeights weights, load_stage(checkpoint_, stages(layer)[i]));
      FRUGAL_RETURN_IF_ERROR(tensor::guarded("a stage's weights", [&] {
        const at::Tensor here = weights.stacked.to(options_.device);
        products.forward.emplace_back(here, weights.row_counts, options_.precision);
        if (gradients) {
          const at::Tensor turned = here.t().contiguous();
          products.backward.emplace_back(turned, std::vector<int64_t>{turned.size(0)},
                                         options_.precision);
        }
      }));
      products.names.push_back(std::move(weights.names));
    }
    return products;
  }

  absl::Status forward(int64_t layer) {
    FRUGAL_ASSIGN_OR_RETURN(const LayerProducts products, load(layer, /*gradients=*/false));
    std::vector<at::Tensor> outputs(inputs_.back().size());
    FRUGAL_RETURN_IF_ERROR(for_rounds([&](int64_t begin, int64_t end) {
      for_windows(begin, end, [&](size_t i) {
        model::LayerState state =
            runner_.begin(layer, store_.fetch(inputs_.back()[i]), products.small);
        for (size_t stage = 0; stage < stages(layer).size(); ++stage) {
          runner_.advance(state, {layer, stage}, products.forward[stage].apply(state.input.rows),
                          products.small, contexts_);
        }
        outputs[i] = store_.keep(state.residual);
        store_.evict(inputs_.back()[i]);
      });
    }));
    inputs_.push_back(std::move(outputs));
    return absl::OkStatus();
  }

  // One label per place [T], drawn from the rows of `probabilities` [count, V].
  at::Tensor draw_labels(const at::Tensor& probabilities, const at::Tensor& draws) const {
    const at::Tensor cumulated = probabilities.cumsum(-1, at::kDouble);
    // The last sum is 1 up to rounding: a draw above it belongs to the last id.
    return at::searchsorted(cumulated, draws, false, true).clamp_max(probabilities.size(1) - 1);
  }

  at::Tensor draws(size_t window) const {
    base::RandomStream stream(options_.seed, base::str_cat("fisher/labels/", window));
    at::Tensor values = at::empty({windows_.length, 1}, at::kDouble);
    for (int64_t i = 0; i < values.size(0); ++i)
      values.mutable_data_ptr<double>()[i] = stream.uniform();
    return values.to(options_.device);
  }

  // d(-sum log p(label)) by the last layer's output; G does not mind the sign.
  absl::Status score_gradients() {
    FRUGAL_ASSIGN_OR_RETURN(const at::Tensor head, load_by_name(architecture::head_name(config_)));
    FRUGAL_ASSIGN_OR_RETURN(const model::NormWeights norm,
                            load_final_norm(checkpoint_, options_.device));
    gradients_.resize(inputs_.back().size());
    model::StageProduct forward, backward;
    FRUGAL_RETURN_IF_ERROR(tensor::guarded("the head", [&] {
      forward = model::StageProduct(head, {head.size(0)}, options_.precision);
      backward = model::StageProduct(head.t().contiguous(), {head.size(1)}, options_.precision);
    }));
    FRUGAL_RETURN_IF_ERROR(for_rounds([&](int64_t begin, int64_t end) {
      for_windows(begin, end, [&](size_t i) {
        const at::Tensor x = leaf(store_.fetch(inputs_.back()[i]));
        at::Tensor hidden;
        {
          const at::AutoGradMode with_gradients(true);
          hidden = runner_.final_norm(x, norm);
        }
        const at::Tensor by_hidden = hidden_gradient(flat(hidden.detach()), forward, backward, i);
        gradients_[i] = store_.keep(
            torch::autograd::grad({hidden}, {x}, {by_hidden.view(hidden.sizes())}).at(0));
      });
    }));
    inputs_.pop_back();
    return absl::OkStatus();
  }

  // d(-log p(label)) by the normed hidden states [T, C]: (p − onehot(label)) times the head.
  at::Tensor hidden_gradient(const at::Tensor& hidden, const model::StageProduct& forward,
                             const model::StageProduct& backward, size_t window) const {
    const at::Tensor uniform = draws(window);
    std::vector<at::Tensor> parts;
    for (int64_t begin = 0; begin < hidden.size(0); begin += options_.logit_tokens) {
      const int64_t count = std::min(options_.logit_tokens, hidden.size(0) - begin);
      const at::Tensor logits = model::ruled_logits(
          forward.apply(hidden.narrow(0, begin, count)).at(0), config_.logit_rule);
      at::Tensor p = logits.softmax(-1);
      const at::Tensor label = draw_labels(p, uniform.narrow(0, begin, count));
      p.scatter_add_(1, label, at::full_like(label, -1, p.options()));
      parts.push_back(
          backward.apply(model::gradient_by_products(p, logits, config_.logit_rule)).at(0));
    }
    return tensor::concatenate(parts);
  }

  absl::Status backward(int64_t layer, LayerGradients& gradients) {
    FRUGAL_ASSIGN_OR_RETURN(const LayerProducts products, load(layer, /*gradients=*/true));
    std::vector<at::Tensor>& inputs = inputs_.back();
    std::vector<MatrixSum> sums;
    for (const std::vector<std::string>& stage : products.names) {
      for (const std::string& name : stage) sums.push_back({.name = name});
    }
    FRUGAL_RETURN_IF_ERROR(for_rounds([&](int64_t begin, int64_t end) {
      std::vector<std::vector<at::Tensor>> found(static_cast<size_t>(end - begin));
      for_windows(begin, end, [&](size_t i) {
        WindowGradients window =
            window_gradients(runner_, layer, products, contexts_, store_.fetch(inputs[i]),
                             store_.fetch(gradients_[i]));
        gradients_[i] = store_.keep(window.input);
        inputs[i] = at::Tensor();
        for (std::vector<at::Tensor>& stage : window.outputs) {
          auto& list = found[i - static_cast<size_t>(begin)];
          list.insert(list.end(), stage.begin(), stage.end());
        }
      });
      add(found, sums);
    }));
    inputs_.pop_back();
    return finish(sums, gradients);
  }

  void add(const std::vector<std::vector<at::Tensor>>& found, std::vector<MatrixSum>& sums) const {
    for (size_t m = 0; m < sums.size(); ++m) {
      MatrixSum& sum = sums[m];
      std::vector<at::Tensor> windows;
      for (const std::vector<at::Tensor>& window : found) windows.push_back(window[m]);
      std::vector<at::Tensor> squares(windows.size());
      const auto count = static_cast<int64_t>(windows.size());
      const auto square = [&](size_t i) {
        squares[i] = windows[i].to(at::kDouble).square_().sum(0).cpu();
      };
      for_windows(0, count, square, /*stored=*/false);
      for (const at::Tensor& window : windows) sum.tokens += window.size(0);
      for (const at::Tensor& square : squares)
        sum.squares = sum.squares.defined() ? sum.squares.add_(square) : square;
      sum.full = windows.front().size(1) <= options_.largest_rows;
      const at::Tensor all = sum.full ? tensor::concatenate(windows) : at::Tensor();
      if (!sum.full || all.size(0) == 0) continue;
      const model::TokenFactor factor(all, options_.precision);
      sum.products.add(factor, factor);
    }
  }

  absl::Status finish(std::vector<MatrixSum>& sums, LayerGradients& result) const {
    const auto tokens = static_cast<double>(windows_.count * windows_.length);
    for (MatrixSum& sum : sums) {
      OutputGradients gradients;
      gradients.tokens = sum.tokens;
      gradients.squares = sum.squares.div_(tokens);
      if (!gradients.squares.isfinite().all().item<bool>()) {
        return base::failed(sum.name, ": the gradient of the log-likelihood by its outputs is not ",
                            "finite; does the model itself give finite logits on this text?");
      }
      if (sum.full && sum.tokens > 0) gradients.products = sum.products.take().div_(tokens);
      result.emplace(sum.name, std::move(gradients));
    }
    return absl::OkStatus();
  }

  const format::Checkpoint& checkpoint_;
  const architecture::ModelConfig& config_;
  const text::Windows& windows_;
  const OutputGradientOptions& options_;
  std::vector<std::vector<architecture::Stage>> stages_;  // by layer
  model::LayerRunner runner_;
  model::AttentionContexts contexts_;
  ActivationStore store_;
  int64_t round_;
  std::vector<std::vector<at::Tensor>> inputs_;  // by layer and window [1, T, C]
  std::vector<at::Tensor> gradients_;            // by window, by the output of the layer in work
};

absl::Status check(const format::Checkpoint& checkpoint, const text::Windows& windows,
                   const OutputGradientOptions& options) {
  if (windows.count < 1 || windows.length < 1 || options.logit_tokens < 1 ||
      windows.ids.size() != static_cast<size_t>(windows.count * windows.length)) {
    return base::invalid_argument("output gradients: ", windows.count, " windows of ",
                                  windows.length, " tokens with ", windows.ids.size(),
                                  " ids, in chunks of ", options.logit_tokens,
                                  "; at least one of each is needed");
  }
  const auto [least, largest] = std::minmax_element(windows.ids.begin(), windows.ids.end());
  if (*least >= 0 && *largest < checkpoint.config().vocabulary_size) return absl::OkStatus();
  return base::invalid_argument("output gradients: ids from ", *least, " to ", *largest,
                                ", the vocabulary has ", checkpoint.config().vocabulary_size);
}

}  // namespace

int64_t gradient_round(int64_t window_tokens) {
  constexpr int64_t kTokens = 8192, kWindows = 8;  // enough windows for the threads
  return std::clamp(kTokens / window_tokens, kWindows, 4 * kWindows);
}

absl::Status output_gradients(
    const format::Checkpoint& checkpoint, const text::Windows& windows,
    const OutputGradientOptions& options,
    const std::function<absl::Status(int64_t layer, LayerGradients gradients)>& take) {
  FRUGAL_RETURN_IF_ERROR(check(checkpoint, windows, options));
  const absl::Status status = ReverseWalk(checkpoint, windows, options).run(take);
  tensor::release_waiting_blocks();  // what comes next has blocks of other sizes
  return status;
}

absl::StatusOr<std::map<std::string, at::Tensor, std::less<>>> output_squares(
    const format::Checkpoint& checkpoint, const text::Windows& windows,
    OutputGradientOptions options) {
  options.largest_rows = 0;
  std::map<std::string, at::Tensor, std::less<>> result;
  FRUGAL_RETURN_IF_ERROR(
      output_gradients(checkpoint, windows, options, [&](int64_t, const LayerGradients& gradients) {
        for (const auto& [name, found] : gradients) result.emplace(name, found.squares);
        return absl::OkStatus();
      }));
  return result;
}

}  // namespace frugal::layerwise
