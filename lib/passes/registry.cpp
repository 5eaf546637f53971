// Tested by: tests/tools/command_line_test.cpp
#include "passes/registry.h"

#include "passes/distill/distill_pass.h"
#include "passes/evaluate/evaluate_pass.h"
#include "passes/export/export_pass.h"
#include "passes/finetune/finetune_pass.h"
#include "passes/measure/measure_pass.h"
#include "passes/prune/prune_pass.h"
#include "passes/quantize/quantize_pass.h"
#include "passes/rotate/rotate_pass.h"
#include "passes/smooth/smooth_pass.h"
#include "passes/train/train_pass.h"
#include "passes/tune/tune_pass.h"

namespace frugal::passes {

const pass::Registry& registry() {
  static const pass::Registry kPasses = {
      make_train_pass,    make_distill_pass, make_finetune_pass, make_prune_pass,
      make_rotate_pass,   make_smooth_pass,  make_quantize_pass, make_tune_pass,
      make_evaluate_pass, make_measure_pass, make_export_pass,
  };
  return kPasses;
}

}  // namespace frugal::passes
