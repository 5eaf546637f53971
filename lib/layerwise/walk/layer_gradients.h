// Gradients through one layer of a decoder: a graph between its matrices, products through them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "architecture/stages.h"
#include "model/decoder.h"
#include "model/products.h"

namespace frugal::layerwise {

// One layer's matrices, ready for forwards and for gradients.
struct LayerProducts {
  std::vector<model::StageProduct> forward;   // x Wᵀ of each matrix, by stage
  std::vector<model::StageProduct> backward;  // g W over all matrices of the stage
  std::vector<std::vector<std::string>> names;
  model::LayerParameters small;
};

// Gradients of one window by the outputs of a layer's matrices, [n, rows] each, in stacking order
// by stage: of an expert the rows of the tokens that came to it, there may be none.
struct WindowGradients {
  at::Tensor input;  // by the layer's input [1, T, C]
  std::vector<std::vector<at::Tensor>> outputs;
};

// Runs the layer on `input` [1, T, C] once more; `gradient` is that by its output. Throws.
WindowGradients window_gradients(const model::LayerRunner& runner, int64_t layer,
                                 const LayerProducts& products,
                                 const model::AttentionContexts& contexts, const at::Tensor& input,
                                 const at::Tensor& gradient);

}  // namespace frugal::layerwise
