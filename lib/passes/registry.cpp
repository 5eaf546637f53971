#include "passes/registry.h"

// One include and one line below for each pass.

namespace frugal::passes {

const pass::Registry& registry() {
  static const pass::Registry kPasses = {
      // train, distill, finetune, prune, quantize, evaluate, measure, export
  };
  return kPasses;
}

}  // namespace frugal::passes
