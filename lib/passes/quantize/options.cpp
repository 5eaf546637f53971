// Tested by: tests/passes/quantize_test.cpp
#include "passes/quantize/options.h"

#include <string>
#include <vector>

#include "base/text.h"
#include "grid/grid.h"
#include "layerwise/rounding/gptaq.h"
#include "passes/common/calibration_options.h"
#include "passes/common/mix.h"

namespace frugal::passes {
namespace {

// Derived from the grids themselves: a new one shows up in the help at once.
const std::string& grid_sentence() {
  static const std::string sentence = [] {
    std::vector<std::string> names;
    for (const grid::GridHelp& help : grid::grid_help()) names.push_back(help.name);
    std::string text =
        base::str_cat("Number grid of the decoder's matrices: ", base::join(names, ", "),
                      "; or one of llama.cpp's mixes: ");
    for (const MixHelp& mix : mix_help())
      text += base::str_cat(&mix == &mix_help().front() ? "" : ", ", mix.name);
    return text + ". Required unless a target is given.";
  }();
  return sentence;
}

// Of the recipes that take longer. More text for the statistics, of inputs and of gradients, is
// worth more than more steps; scales of two and three bits go on gaining for longer than those of
// four (tests/bench/quality/README.md).
constexpr int64_t kTunedWindows = 448, kGradientWindows = 192;
constexpr int64_t kTuneSteps = 8, kLowbitTuneSteps = 100;
constexpr double kTuneRate = 2e-3;
constexpr int64_t kTunedHeldOut = 16;  // they choose the step to keep, too
constexpr int64_t kBlockIterations = 100;

void apply_recipe(QuantizeOptions& o) {
  const QuantizeOptions fresh;
  const bool tuned = o.recipe == "best" || o.recipe == "lowbit";
  o.method = o.recipe == "rtn" ? "rtn" : fresh.method;
  o.windows.windows = tuned ? kTunedWindows : fresh.windows.windows;
  o.held_out = tuned ? kTunedHeldOut : fresh.held_out;
  o.metric = tuned ? "both" : fresh.metric;
  o.gradient_windows = tuned ? kGradientWindows : fresh.gradient_windows;
  o.tune_steps = o.recipe == "best" ? kTuneSteps : tuned ? kLowbitTuneSteps : 0;
  o.tune_rate = tuned ? kTuneRate : fresh.tune_rate;
  o.block_iterations = o.recipe == "lowbit" ? kBlockIterations : 0;
}

void visit_recipe(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  const std::string before = o.recipe;
  visitor.field(
      {.name = "recipe",
       .help = "A set of defaults for the options below. fast: GPTQ on drift-corrected "
               "weights with activation-weighted scales, coordinate descent and scale "
               "refits; best: more text, rounding errors measured by what the model minds "
               "besides (metric), then all scales tuned end to end against the original "
               "model; lowbit: learned rounding of each layer between the two; rtn: rounding "
               "to nearest.",
       .choices = {"fast", "best", "lowbit", "rtn"}},
      o.recipe);
  if (o.recipe != before) apply_recipe(o);
}

void visit_rounding(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  visitor.field({.name = "grid", .help = grid_sentence()}, o.grid);
  visit_target_options(visitor, o.target);
  const std::string method = o.method;
  visitor.field({.name = "method",
                 .help = "rtn rounds every weight to the nearest level; gptq makes up for each "
                         "rounding error in the "
                         "weights not rounded yet, so that the layer's outputs stay close.",
                 .choices = {"gptq", "rtn"}},
                o.method);
  if (o.method != method && !o.gptq()) o.metric = "inputs";
  visitor.field(
      {.name = "activations",
       .help = "int8 also rounds the inputs of those matrices, per token by their largest; "
               "with grid int8:row, for runtimes that multiply integers (ONNX).",
       .choices = {"none", "int8"}},
      o.activations);
  visitor.field({.name = "overrides",
                 .help = "Grids of single matrices: globs over weight names "
                         "(\"*.layers.0.*\": q6_k), or keep; the last that matches counts, and one "
                         "that matches nothing is an error."},
                o.overrides);
  visitor.field({.name = "embeddings",
                 .help = "Grid of the token embedding (rounded to nearest), or keep; auto is what "
                         "the mix says, else keep."},
                o.embeddings);
  visitor.field(
      {.name = "head",
       .help = "Grid of the output head where it is a matrix of its own, or keep; auto is "
               "what the mix says, else keep."},
      o.head);
}

void visit_calibration(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  visitor.field({.name = "calibration",
                 .help = "Text whose activations say which columns matter; gptq needs it, rtn "
                         "weighs its scale search "
                         "by it where given."},
                o.calibration);
  visit_windows(visitor, o.windows);
  visitor.field({.name = "importance",
                 .help = "Weigh the search for scales by the mean square of each input column "
                         "(with calibration)."},
                o.importance);
}

// The published method takes its share as given.
void apply_asymmetric(QuantizeOptions& o) {
  const QuantizeOptions fresh;
  const bool fixed = o.asymmetric != fresh.asymmetric;
  o.strength = fixed ? "fixed" : fresh.strength;
  o.alpha = o.asymmetric == "gptaq" ? layerwise::kPublishedAlpha : fresh.alpha;
  if (o.asymmetric == "gptaq") o.metric = "inputs";
}

void visit_asymmetry(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  const std::string before = o.asymmetric;
  visitor.field({.name = "asymmetric",
                 .help = "gptq: how weights make up for the drift that the layers rounded before "
                         "cause. pre_correct moves them before rounding; gptaq corrects column by "
                         "column in the sweep, as published (strength: fixed, alpha 0.25 unless "
                         "given); none leaves the drift.",
                 .choices = {"pre_correct", "gptaq", "none"}},
                o.asymmetric);
  if (o.asymmetric != before) apply_asymmetric(o);
  visitor.field({.name = "strength",
                 .help = "gptq: fixed takes alpha and beta as given; held_out chooses both for "
                         "every stage on windows that its statistics have not seen.",
                 .choices = {"fixed", "held_out"}},
                o.strength);
  visitor.field(
      {.name = "held_out",
       .help = "Windows kept out of the statistics and of all training, for what is chosen or "
               "judged by them (strength: held_out, learned rounding, tuning, swaps, max_kl); "
               "taken from the same text besides `windows`.",
       .minimum = 1},
      o.held_out);
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
}

void visit_solver(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  visitor.field(
      {.name = "damping",
       .help = "gptq: added to the diagonal of H, as a share of its mean; 0 chooses it by "
               "the number of columns and tokens.",
       .minimum = 0,
       .maximum = 1},
      o.damping);
  visitor.field({.name = "metric",
                 .help = "gptq: what rounding errors are measured by. inputs: the second moment of "
                         "a matrix's inputs; both: besides, that of the model's gradients by its "
                         "outputs, so that rows make up for each other where the model minds "
                         "(lower divergence for a pass with gradients before).",
                 .choices = {"inputs", "both"}},
                o.metric);
  visitor.field({.name = "gradient_windows",
                 .help = "Calibration windows that the gradients of metric: both come from, at "
                         "most.",
                 .minimum = 1},
                o.gradient_windows);
  const std::string order = o.order;
  visitor.field({.name = "order",
                 .help = "gptq: group_aware rounds the columns with the strongest inputs first, "
                         "block by block; act does so over the whole row (GPTQ's act-order, with "
                         "scales: static, so that files are as without it); natural goes from left "
                         "to right.",
                 .choices = {"group_aware", "act", "natural"}},
                o.order);
  if (o.order != order) o.scales = o.order == "act" ? "static" : QuantizeOptions().scales;
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

void visit_sparsity(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  visitor.field(
      {
          .name = "pattern",
          .help =
              "Zeros chosen together with the rounding: a share (50%), or n of every m "
              "neighbors kept (2:4), or whole rows or columns of every matrix (rows 25%, columns "
              "25%); for grids that hold an exact zero.",
      },
      o.pattern);
  visitor.field({.name = "keep_zeros",
                 .help = "Weights that come as exact zeros (from prune) stay zero; the others make "
                         "up for it."},
                o.keep_zeros);
}

void visit_tuning(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  visitor.field({.name = "block_iterations",
                 .help = "Iterations of learned rounding for every layer, after its matrices are "
                         "rounded (worth it at 2 and 3 bits); 0 = none.",
                 .minimum = 0},
                o.block_iterations);
  visitor.field({.name = "tune_steps",
                 .help = "Steps of 2048 tokens that tune all scales by the divergence from the "
                         "original model, codes as they are; 0 = none.",
                 .minimum = 0},
                o.tune_steps);
  visitor.field(
      {.name = "tune_windows",
       .help = "Windows for tuning, taken from the same text besides `windows`: fresh text "
               "is what makes it hold.",
       .minimum = 1},
      o.tune_windows);
  visitor.field({.name = "tune_rate",
                 .help = "Peak rate of the tuning, of the relative change of a scale.",
                 .minimum = 0,
                 .minimum_exclusive = true},
                o.tune_rate);
}

void visit_gates(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  visit_gate(visitor, o.gate);
  visitor.field({.name = "max_kl",
                 .help = "Stop where the divergence KL(original || quantized) on held-out windows "
                         "exceeds this; 0 = no limit.",
                 .unit = "nats per token",
                 .minimum = 0},
                o.max_kl);
}

}  // namespace

void visit_quantize_options(pass::OptionVisitor& visitor, QuantizeOptions& options) {
  visit_recipe(visitor, options);
  visit_rounding(visitor, options);
  visit_calibration(visitor, options);
  visit_asymmetry(visitor, options);
  visit_solver(visitor, options);
  visit_sparsity(visitor, options);
  visit_tuning(visitor, options);
  visit_gates(visitor, options);
}

}  // namespace frugal::passes
