// The activations of a walk on their way through the layers.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "layerwise/walk/activation_store.h"
#include "model/layer_runner.h"
#include "model/products.h"

namespace frugal::layerwise {

// One stream of activations, cut into chunks of whole windows. What it holds lies where
// ActivationStore::keep() put it.
struct Stream {
  std::vector<at::Tensor> layer_inputs;   // [windows, T, C]
  std::vector<model::LayerState> states;  // inside a layer
};

// Takes streams through a layer, stage by stage: chunks on threads of the CPU, one after the other
// on a GPU, where the next one is copied meanwhile. Throws.
class StreamRunner {
 public:
  // `store` outlives the runner.
  StreamRunner(std::shared_ptr<const model::LayerRunner> runner, const ActivationStore& store,
               const at::Device& device)
      : runner_(std::move(runner)), store_(store), device_(device) {}

  const model::LayerRunner& layer_runner() const { return *runner_; }

  // From the layer's inputs to the state before its first stage; `small`: its norms and biases.
  void begin(Stream& stream, int64_t layer, const model::LayerParameters& small) const;
  // Every input of the coming stage as integers per token would give it.
  void round_inputs(Stream& stream) const;
  void advance(Stream& stream, const architecture::StageRef& at, const model::StageProduct& product,
               const model::LayerParameters& small, const model::AttentionContexts& contexts) const;
  // The layer's outputs become the next one's inputs.
  static void end(Stream& stream);

  void evict(const model::LayerState& state) const;
  void prefetch(const model::LayerState& state) const;

 private:
  // `prefetch` says what the body will fetch from the store.
  void for_each_chunk(size_t count, const std::function<void(size_t)>& body,
                      const std::function<void(size_t)>& prefetch) const;
  // Moves a chunk's activations to where they stay until the next stage.
  void keep(model::LayerState& state) const;

  std::shared_ptr<const model::LayerRunner> runner_;
  const ActivationStore& store_;
  const at::Device device_;
};

}  // namespace frugal::layerwise
