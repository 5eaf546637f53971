// AdamW (Loshchilov & Hutter 2019) over a set of named tensors, fused, and clipping by the global
// norm.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace frugal::train {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
  double weight_decay =
      0.1;  // decoupled; on tensors of two dimensions and more only (not on norms)
};

class AdamW {
 public:
  // Parameters are fp32 leaves; they are updated in place. First and second moments start at zero.
  AdamW(const std::map<std::string, at::Tensor, std::less<>>& parameters,
        const AdamWOptions& options);

  // One update from the parameters' gradients, which must all be there.
  void step(double learning_rate);
  void clear_gradients();

  // Global 2-norm of all gradients, fp32 scalar; afterwards it is `largest` at most (0: only
  // measured).
  at::Tensor clip_gradients(double largest);

  int64_t steps_done() const { return steps_done_; }

  // Moments by parameter name, for checkpoints: shared, not copied.
  struct Moments {
    at::Tensor first, second;
  };
  std::map<std::string, Moments, std::less<>> moments() const;
  // Continues after `steps` updates; the moments' values are set by the caller through moments().
  void resume_at(int64_t steps);

 private:
  struct Group {
    std::vector<at::Tensor> parameters, first, second, steps;
    double weight_decay = 0;
  };
  std::vector<at::Tensor> gradients() const;

  AdamWOptions options_;
  std::vector<std::string> names_[2];  // of the groups below
  Group groups_[2];                    // with decay, without
  int64_t steps_done_ = 0;
};

}  // namespace frugal::train
