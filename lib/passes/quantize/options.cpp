#include "passes/quantize/options.h"

#include <string>
#include <vector>

#include "base/text.h"
#include "grid/grid.h"

namespace frugal::passes {
namespace {

// Derived from the grids themselves: a new one shows up in the help at once.
const std::string& grid_sentence() {
  static const std::string sentence = [] {
    std::vector<std::string> names;
    for (const grid::GridHelp& help : grid::grid_help()) names.push_back(help.name);
    return base::str_cat("Number grid of the decoder's matrices: ", base::join(names, ", "), ".");
  }();
  return sentence;
}

void visit_rounding(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  visitor.field({.name = "grid", .help = grid_sentence(), .required = true}, o.grid);
  visitor.field({.name = "method",
                 .help = "rtn rounds every weight to the nearest level; gptq makes up for each "
                         "rounding error in the "
                         "weights not rounded yet, so that the layer's outputs stay close.",
                 .choices = {"gptq", "rtn"}},
                o.method);
  visitor.field(
      {.name = "activations",
       .help = "int8 also rounds the inputs of those matrices, per token by their largest; "
               "with grid int8:row, for runtimes that multiply integers (ONNX).",
       .choices = {"none", "int8"}},
      o.activations);
  visitor.field(
      {.name = "embeddings", .help = "Grid of the token embedding (rounded to nearest), or keep."},
      o.embeddings);
  visitor.field(
      {.name = "head", .help = "Grid of the output head where it is a matrix of its own, or keep."},
      o.head);
}

void visit_calibration(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  visitor.field({.name = "calibration",
                 .help = "Text whose activations say which columns matter; gptq needs it, rtn "
                         "weighs its scale search "
                         "by it where given."},
                o.calibration);
  visitor.field({.name = "windows",
                 .help = "Calibration windows, spread evenly over the text; 0 takes what the "
                         "data's `tokens` fill, else "
                         "128.",
                 .minimum = 0},
                o.windows.windows);
  visitor.field(
      {.name = "sequence_length",
       .help =
           "Length of a calibration window; 0 takes the data's, else 2048 or the model's context.",
       .unit = "tokens",
       .minimum = 0},
      o.windows.sequence_length);
  visitor.field({.name = "importance",
                 .help = "Weigh the search for scales by the mean square of each input column "
                         "(with calibration)."},
                o.importance);
}

void visit_solver(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  visitor.field({.name = "alpha",
                 .help = "gptq: share of the input drift, caused by the layers rounded before, "
                         "that weights are corrected "
                         "for before rounding.",
                 .minimum = 0,
                 .maximum = 1},
                o.alpha);
  visitor.field({.name = "beta",
                 .help = "gptq: share of the residual stream's drift that matrices writing into it "
                         "are corrected for.",
                 .minimum = 0,
                 .maximum = 1},
                o.beta);
  visitor.field({.name = "damping",
                 .help = "gptq: added to the diagonal of H, as a share of its mean.",
                 .minimum = 0,
                 .maximum = 1},
                o.damping);
  visitor.field({.name = "order",
                 .help = "gptq: group_aware rounds the columns with the strongest inputs first, "
                         "block by block; natural "
                         "goes from left to right.",
                 .choices = {"group_aware", "natural"}},
                o.order);
  visitor.field({.name = "scales",
                 .help = "gptq: dynamic chooses a block's scales when the sweep first touches it, "
                         "on the weights as "
                         "corrected by then; static chooses all of them before.",
                 .choices = {"dynamic", "static"}},
                o.scales);
  visitor.field({.name = "sweeps",
                 .help = "gptq: passes of coordinate descent over the codes after the sweep.",
                 .minimum = 0,
                 .maximum = 100},
                o.sweeps);
  visitor.field({.name = "refits",
                 .help = "gptq: how often scales are refitted to the codes, each before a pass of "
                         "coordinate descent.",
                 .minimum = 0,
                 .maximum = 100},
                o.refits);
}

}  // namespace

void visit_quantize_options(pass::OptionVisitor& visitor, QuantizeOptions& options) {
  visit_rounding(visitor, options);
  visit_calibration(visitor, options);
  visit_solver(visitor, options);
}

}  // namespace frugal::passes
