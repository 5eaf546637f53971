// Which tokens of a batch go through which experts (Shazeer et al. 2017), grouped by expert, so
// that each expert multiplies all of its tokens at once.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "architecture/model_config.h"
#include "model/stage_input.h"

namespace frugal::model {

struct Routing {
  at::Tensor normed;         // [B, T, C], what the experts read
  at::Tensor probabilities;  // [N, E] fp32, the router's softmax
  at::Tensor weights;        // [N, k] fp32, of each token's experts
  at::Tensor tokens;  // int64 [N k], numbers of tokens, expert after expert, ascending in each
  at::Tensor places;  // int64 [N k], where in that list each token's k entries stand
  std::vector<int64_t> ends;        // of each expert's part of the list, [E]
  std::vector<at::Tensor> outputs;  // [n, C] of the experts so far, as many rows as their tokens

  bool is_there() const { return tokens.defined(); }
  // Rows of the normed input that expert `e` gets; there may be none.
  StageInput input_of(int64_t e) const;
  int64_t tokens_of(int64_t e) const;
  // The weights in the order of `tokens`: [N k].
  at::Tensor grouped_weights() const;
  // The outputs of all experts, weighted and added by token: [B, T, C].
  at::Tensor mixed() const;
};

// `normed` [B, T, C] by the router [E, C]: softmax in fp32, the largest k, as transformers has it.
// Differentiable by both through the weights.
Routing route(const at::Tensor& normed, const at::Tensor& router,
              const architecture::Experts& experts);

// How unevenly experts are chosen (Fedus et al. 2022, equations 4 to 6, over the layers together as
// transformers does): E * sum over experts of their share of the choices (times k) and the mean of
// their probability. 1 times k where all are chosen alike. Differentiable through the
// probabilities.
at::Tensor balance_loss(const std::vector<Routing>& layers);

}  // namespace frugal::model
