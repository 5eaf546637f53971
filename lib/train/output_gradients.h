// How much a model's distribution minds a change of each matrix's outputs: the output side of a
// Kronecker-factored Fisher matrix.
//
// For a window of T tokens with scores log p(y_t | tokens before) and one matrix W, y = W x at each
// place t, let g_t = d(sum_s log p(label_s)) / dy_t with labels drawn from the model itself. Labels
// of different places are independent and their scores have mean zero, so to second order
//   sum_t KL(p_t || p'_t) = 1/2 E[(sum_t g_tᵀ ΔW x_t)²]                          (the true Fisher)
// Dropping the products of different places and of g with x (Martens & Grosse 2015; for weights
// that are shared between places: Grosse & Martens 2016, "spatially uncorrelated derivatives"), and
// those of different rows, whose rounding errors are unrelated, leaves, per token,
//   KL = 1/2 sum_r F_r ΔW_r H ΔW_rᵀ,   F_r = E[g_r²],   H = E[x xᵀ]              (sensitivity.h)
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

#include "base/status.h"
#include "model/decoder.h"
#include "text/dataset.h"

namespace frugal::train {

// F [rows] fp64 on the CPU, nats² per output², by weight name.
using OutputGradients = std::map<std::string, at::Tensor, std::less<>>;

struct OutputGradientOptions {
  uint64_t seed = 1;           // of the labels
  int64_t chunk_tokens = 256;  // tokens of a window whose logits exist at a time
};

// F of every decoder matrix, over all places of `windows`. One forward and, layer by layer from the
// last, one more with its backward: beside the model a window costs the inputs of its layers and
// the graph of a single layer. On the CPU each window runs on one thread and results are added in
// the order of windows: the same bits at any number of threads. `decoder` is fp32 and none of its
// weights requires a gradient. Errors: no windows, ids outside the vocabulary, gradients that are
// not finite (names the matrix), interruption, out of memory.
absl::StatusOr<OutputGradients> output_gradients(const model::Decoder& decoder,
                                                 const text::Windows& windows,
                                                 const OutputGradientOptions& options = {});

}  // namespace frugal::train
