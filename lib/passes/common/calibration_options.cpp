#include "passes/common/calibration_options.h"

namespace frugal::passes {

void visit_windows(pass::OptionVisitor& visitor, layerwise::CalibrationOptions& options) {
  visitor.field(
      {.name = "windows",
       .help = "Calibration windows, spread evenly over the text; 0 takes what the data's "
               "`tokens` fill, else 128.",
       .minimum = 0},
      options.windows);
  visitor.field({.name = "sequence_length",
                 .help = "Length of a calibration window; 0 takes the data's, else 2048 or the "
                         "model's context.",
                 .unit = "tokens",
                 .minimum = 0},
                options.sequence_length);
  visitor.field(
      {.name = "calibration_precision",
       .help = "Of products over calibration tokens. rounded: factors in bfloat16 on CPUs "
               "that multiply them twice as fast (AVX512-BF16), in TF32 on CUDA, sums in "
               "fp32; fp32 elsewhere.",
       .choices = {"rounded", "fp32"}},
      options.precision);
}

}  // namespace frugal::passes
