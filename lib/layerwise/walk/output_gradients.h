// The output side of a Kronecker-factored Fisher matrix (K-FAC): how much a change of each matrix's
// outputs moves the model's distribution.
//
// For a window of T tokens with scores log p(y_t | tokens before) and one matrix W, y = W x at each
// place t, let g_t = d(sum_s log p(label_s)) / dy_t with labels drawn from the model itself. Labels
// of different places are independent and their scores have mean zero, so to second order
//   sum_t KL(p_t || p'_t) = 1/2 E[(sum_t g_tᵀ ΔW x_t)²]                          (the true Fisher)
// Dropping the products of different places and of g with x (Martens & Grosse 2015; for weights
// that are shared between places: Grosse & Martens 2016, "spatially uncorrelated derivatives")
// leaves, per token,
//   KL = 1/2 tr(G ΔW H ΔWᵀ),   G = E[g gᵀ],   H = E[x xᵀ]                (two_sided_gptq.h)
// and, where rows err independently,
//   KL = 1/2 sum_r F_r ΔW_r H ΔW_rᵀ,   F = diag G                              (sensitivity.h)
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "base/status.h"
#include "format/checkpoint.h"
#include "model/products.h"
#include "text/dataset.h"

namespace frugal::layerwise {

// Of one matrix with `rows` outputs, on the CPU; nats² per output². Means over all tokens of the
// text: of an expert, one that did not come to it counts with no gradient.
struct OutputGradients {
  at::Tensor squares;   // F [rows] fp64
  at::Tensor products;  // G [rows, rows] fp64; undefined for matrices with more than `largest_rows`
                        // and where no token came
  int64_t tokens = 0;   // that came
};
using LayerGradients = std::map<std::string, OutputGradients, std::less<>>;  // by weight name

struct OutputGradientOptions {
  at::Device device = at::kCPU;
  model::Precision precision =
      model::Precision::kFloat32;  // of forwards and gradients through matrices, and G
  uint64_t seed = 1;               // of the labels
  int64_t largest_rows = 0;
  int64_t logit_tokens = 256;  // tokens of a window whose logits exist at a time
  // Bytes of layers' inputs that stay in memory, as WalkOptions.
  int64_t spill_bytes = 0;
  std::filesystem::path spill_folder = {};
  std::string title = "gradients of outputs";  // of the progress line
};

// Of the original model over all places of `windows`: forward with the inputs of all layers kept,
// then from the last layer to the first, each run once more with its gradients; one layer's weights
// in memory at a time. `take` gets each layer once. On the CPU each window runs on one thread and
// results are added in the order of windows: the same bits at any number of threads. Errors: those
// of loading and of `take`, no windows, ids outside the vocabulary, gradients that are not finite
// (names the matrix), interruption, out of memory.
absl::Status output_gradients(
    const format::Checkpoint& checkpoint, const text::Windows& windows,
    const OutputGradientOptions& options,
    const std::function<absl::Status(int64_t layer, LayerGradients gradients)>& take);

// F of all matrices, by weight name; `options.largest_rows` is not looked at.
absl::StatusOr<std::map<std::string, at::Tensor, std::less<>>> output_squares(
    const format::Checkpoint& checkpoint, const text::Windows& windows,
    OutputGradientOptions options = {});

// Windows of so many tokens whose gradients are in memory at a time.
int64_t gradient_round(int64_t window_tokens);

}  // namespace frugal::layerwise
