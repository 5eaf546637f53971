#include "train/output_gradients.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/interrupt.h"
#include "base/progress.h"
#include "base/random.h"
#include "base/text.h"
#include "layerwise/tiles.h"
#include "tensor/guard.h"
#include "train/losses.h"

namespace frugal::train {
namespace {

using torch::autograd::variable_list;

constexpr int64_t kRound = 8;  // windows between two looks at the interrupt

// Sums over a window's places of g² [rows] fp64 on the CPU, in the order of layers and stages.
using Squares = std::vector<at::Tensor>;

class WindowGradients {
 public:
  WindowGradients(const model::Decoder& decoder, const text::Windows& windows,
                  const OutputGradientOptions& options)
      : decoder_(decoder), windows_(windows), options_(options) {}

  Squares run(int64_t window) const {
    const at::Tensor ids = window_ids(window);
    const model::AttentionContext context =
        decoder_.attention_context({.ids = ids, .positions = {}});
    std::vector<at::Tensor> inputs{decoder_.embed(ids)};
    for (int64_t layer = 0; layer < layers(); ++layer)
      inputs.push_back(decoder_.run_layer(layer, inputs.back(), context));
    at::Tensor gradient = score_gradient(window, inputs.back());
    std::vector<Squares> by_layer;
    for (int64_t layer = layers() - 1; layer >= 0; --layer) {
      inputs.pop_back();
      by_layer.push_back(layer_gradients(layer, inputs.back(), context, gradient));
    }
    Squares result;
    for (auto layer = by_layer.rbegin(); layer != by_layer.rend(); ++layer)
      result.insert(result.end(), layer->begin(), layer->end());
    return result;
  }

 private:
  int64_t layers() const { return decoder_.config().layer_count; }

  at::Tensor window_ids(int64_t window) const {
    const auto begin = windows_.ids.begin() + window * windows_.length;
    const std::vector<int64_t> ids(begin, begin + windows_.length);
    return at::tensor(ids, at::kLong).unsqueeze(0).to(decoder_.device());
  }

  // One label per place, drawn from the model's own distribution.
  at::Tensor draw_labels(int64_t window, const at::Tensor& hidden) const {
    base::RandomStream stream(options_.seed, base::str_cat("fisher/labels/", window));
    at::Tensor draws = at::empty({hidden.size(0), 1}, at::kDouble);
    for (int64_t i = 0; i < draws.size(0); ++i)
      draws.mutable_data_ptr<double>()[i] = stream.uniform();
    draws = draws.to(hidden.device());
    std::vector<at::Tensor> labels;
    for (int64_t begin = 0; begin < hidden.size(0); begin += options_.chunk_tokens) {
      const int64_t count = std::min(options_.chunk_tokens, hidden.size(0) - begin);
      const at::Tensor logits = at::linear(hidden.narrow(0, begin, count), decoder_.head_weight());
      const at::Tensor cumulated = logits.softmax(-1, at::kDouble).cumsum(-1);
      // The last sum is 1 up to rounding: a draw above it belongs to the last id.
      labels.push_back(at::searchsorted(cumulated, draws.narrow(0, begin, count), false, true)
                           .clamp_max(logits.size(1) - 1));
    }
    return at::cat(labels).flatten();
  }

  // d(-sum log p(label)) by the last layer's output; the sign does not matter to squares.
  at::Tensor score_gradient(int64_t window, const at::Tensor& output) const {
    const at::AutoGradMode with_gradients(true);
    const at::Tensor leaf = output.detach().requires_grad_();
    const at::Tensor hidden = decoder_.final_norm(leaf).squeeze(0);
    LossInput input;
    input.hidden = hidden;
    input.head = decoder_.head_weight();
    {
      const at::NoGradGuard no_grad;
      input.targets = draw_labels(window, hidden.detach());
    }
    const LossValue value = head_loss(input, {.chunk_tokens = options_.chunk_tokens}, 1.0);
    return torch::autograd::grad({value.loss}, {leaf}).at(0);
  }

  // Runs the layer once more with a graph; `gradient` by its output becomes that by its input.
  Squares layer_gradients(int64_t layer, const at::Tensor& input,
                          const model::AttentionContext& context, at::Tensor& gradient) const {
    const at::AutoGradMode with_gradients(true);
    const model::LayerParameters small = decoder_.layer_parameters(layer);
    variable_list leaves{input.detach().requires_grad_()};
    model::LayerState state = decoder_.runner().begin(leaves.front(), small);
    for (size_t stage = 0; stage < decoder_.stages().size(); ++stage) {
      std::vector<at::Tensor> outputs;
      for (const std::string& matrix : decoder_.stages()[stage].matrices) {
        const std::string name = model::weight_name(layer, matrix);
        outputs.push_back(at::linear(state.input, decoder_.parameters().find(name)->second));
      }
      leaves.insert(leaves.end(), outputs.begin(), outputs.end());
      decoder_.runner().advance(state, stage, outputs, small, context);
    }
    variable_list gradients = torch::autograd::grad({state.residual}, leaves, {gradient});
    gradient = gradients.front();
    Squares squares;
    for (size_t i = 1; i < gradients.size(); ++i)
      squares.push_back(gradients[i].squeeze(0).to(at::kDouble).square_().sum(0).cpu());
    return squares;
  }

  const model::Decoder& decoder_;
  const text::Windows& windows_;
  const OutputGradientOptions& options_;
};

absl::Status check(const model::Decoder& decoder, const text::Windows& windows,
                   const OutputGradientOptions& options) {
  if (windows.count < 1 || windows.length < 1 || options.chunk_tokens < 1 ||
      windows.ids.size() != static_cast<size_t>(windows.count * windows.length)) {
    return base::invalid_argument("output gradients: ", windows.count, " windows of ",
                                  windows.length, " tokens with ", windows.ids.size(),
                                  " ids, in chunks of ", options.chunk_tokens,
                                  "; at least one of each is needed");
  }
  const auto [least, largest] = std::minmax_element(windows.ids.begin(), windows.ids.end());
  if (*least < 0 || *largest >= decoder.config().vocabulary_size) {
    return base::invalid_argument("output gradients: ids from ", *least, " to ", *largest,
                                  ", the vocabulary has ", decoder.config().vocabulary_size);
  }
  if (decoder.type() == at::kFloat) return absl::OkStatus();
  return base::invalid_argument("output gradients: the model's weights are ",
                                at::toString(decoder.type()), "; load it in fp32");
}

// `count` windows from `begin`, on threads of the CPU or one after the other elsewhere.
std::vector<Squares> run_windows(const WindowGradients& gradients, const at::Device& device,
                                 int64_t begin, int64_t count) {
  std::vector<Squares> results(static_cast<size_t>(count));
  const auto body = [&](int64_t i) { results[static_cast<size_t>(i)] = gradients.run(begin + i); };
  if (device.is_cpu()) {
    layerwise::for_each_tile(count, body);
    return results;
  }
  const at::NoGradGuard no_grad;
  for (int64_t i = 0; i < count; ++i) body(i);
  return results;
}

absl::StatusOr<OutputGradients> name_them(const model::Decoder& decoder, const Squares& sums,
                                          int64_t tokens) {
  OutputGradients result;
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                          model::decoder_matrices(decoder.config()));
  for (size_t i = 0; i < names.size(); ++i) {
    const at::Tensor mean = sums.at(i) / static_cast<double>(tokens);
    if (!mean.isfinite().all().item<bool>()) {
      return base::failed(names[i], ": the gradient of the log-likelihood by its outputs is not ",
                          "finite; does the model itself give finite logits on this text?");
    }
    result.emplace(names[i], mean);
  }
  return result;
}

}  // namespace

absl::StatusOr<OutputGradients> output_gradients(const model::Decoder& decoder,
                                                 const text::Windows& windows,
                                                 const OutputGradientOptions& options) {
  FRUGAL_RETURN_IF_ERROR(check(decoder, windows, options));
  const WindowGradients gradients(decoder, windows, options);
  base::Progress progress("gradients of outputs", "windows", windows.count);
  Squares sums;
  for (int64_t begin = 0; begin < windows.count; begin += kRound) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    const int64_t count = std::min(kRound, windows.count - begin);
    FRUGAL_RETURN_IF_ERROR(tensor::guarded("gradients of outputs", [&] {
      for (const Squares& squares : run_windows(gradients, decoder.device(), begin, count)) {
        if (sums.empty()) {
          sums = squares;
          continue;
        }
        for (size_t i = 0; i < sums.size(); ++i) sums[i].add_(squares[i]);
      }
    }));
    progress.advance(count);
  }
  return tensor::guarded("gradients of outputs",
                         [&] { return name_them(decoder, sums, windows.count * windows.length); });
}

}  // namespace frugal::train
