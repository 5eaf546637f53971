// Tested by: tests/passes/quantize_test.cpp
#include "passes/quantize/options.h"

#include <string>
#include <vector>

#include "artifact/gguf/mix.h"
#include "base/text.h"
#include "grid/grid.h"
#include "layerwise/rounding/gptaq.h"
#include "passes/common/calibration_options.h"

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
    for (const artifact::MixHelp& mix : artifact::mix_help())
      text += base::str_cat(&mix == &artifact::mix_help().front() ? "" : ", ", mix.name);
    return text + ". Required unless a target is given.";
  }();
  return sentence;
}

// Of the recipes that take longer. More text for the statistics, of inputs and of gradients, is
// worth more than more steps; scales of two and three bits go on gaining for longer than those of
// four (tests/bench/quality/README.md). Other numbers are another version of the pass: a cache key
// holds the recipe's name.
constexpr int64_t kTunedWindows = 448, kGradientWindows = 192;
constexpr int64_t kTuneSteps = 8, kLowbitTuneSteps = 100;
constexpr double kTuneRate = 2e-3;
constexpr int64_t kTunedHeldOut = 16;  // they choose the step to keep, too
constexpr int64_t kRoundingIterations = 100;

void visit_recipe(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  visitor.field(
      {.name = "recipe",
       .help = "A set of defaults for the options below. fast: GPTQ on drift-corrected "
               "weights with activation-weighted scales, coordinate descent and scale "
               "refits; best: more text, the two-sided Hessian (hessian), then all scales tuned "
               "end to end against the original "
               "model; lowbit: learned rounding of each layer between the two; rtn: rounding "
               "to nearest.",
       .choices = {"fast", "best", "lowbit", "rtn"}},
      o.recipe);
}

void visit_rounding(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  visitor.field({.name = "grid", .help = grid_sentence()}, o.given.grid);
  visit_target_options(visitor, o.given.target);
  visitor.field({.name = "method",
                 .help = "rtn rounds every weight to the nearest level; gptq makes up for each "
                         "rounding error in the "
                         "weights not rounded yet, so that the layer's outputs stay close.",
                 .choices = {"gptq", "rtn"},
                 .otherwise = "gptq, rtn with recipe: rtn"},
                o.method);
  visitor.field(
      {.name = "activations",
       .help = "int8 also rounds the inputs of those matrices, per token by their largest; "
               "with grid int8:row, for runtimes that multiply integers (ONNX).",
       .choices = {"none", "int8"}},
      o.given.activations);
  visitor.field({.name = "overrides",
                 .help = "Grids of single matrices: globs over weight names "
                         "(\"*.layers.0.*\": q6_k), or keep; the last that matches counts, and one "
                         "that matches nothing is an error."},
                o.given.overrides);
  visitor.field({.name = "embeddings",
                 .help = "Grid of the token embedding (rounded to nearest), or keep; auto is what "
                         "llama.cpp's type of that name has there (q6_k or q8_0 where it is the "
                         "head, too), int8 beside integers in groups, and keep beside other grids "
                         "and target_bits."},
                o.given.embeddings);
  visitor.field(
      {.name = "head",
       .help = "Grid of the output head where it is a matrix of its own, or keep; auto is "
               "what llama.cpp's type has there (q6_k or q8_0), int8 beside integers in groups, "
               "and keep "
               "beside other grids and target_bits."},
      o.given.head);
  visitor.field(
      {.name = "strict",
       .help = "Refuse a grid in blocks of 256 (K types, iq4_xs, tq2_0) or 64 (q2_0, nvfp4) and a "
               "mix where rows are no multiple of that, instead of taking "
               "the types that llama-quantize takes for such rows (iq4_nl, q4_0, q5_0, q5_1, "
               "q8_0)."},
      o.given.strict);
}

void visit_calibration(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  visitor.field(
      {.name = "calibration",
       .help = "Text whose activations say which columns matter. Where none is given, what "
               "needs it (gptq, a target, tuning, max_kl) takes self, text that the model "
               "writes; rtn weighs its scale search by it where given."},
      o.given.calibration);
  visit_windows(visitor, o.windows, "as the recipe says (best, lowbit: 448)", o.given.windows);
  visitor.field({.name = "importance",
                 .help = "Weigh the search for scales by the mean square of each input column "
                         "(with calibration)."},
                o.given.importance);
}

void visit_drift_correction(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  visitor.field({.name = "drift_correction",
                 .help = "gptq: how weights make up for the drift of the activations that the "
                         "layers quantized before cause. pre_correct moves the weights before "
                         "rounding; gptaq corrects column by column in the sweep, as published "
                         "(drift_strength: fixed, alpha 0.25 unless given); none leaves the drift.",
                 .choices = {"pre_correct", "gptaq", "none"},
                 .former_names = {"asymmetric"}},
                o.given.drift_correction);
  visitor.field({.name = "drift_strength",
                 .help = "gptq: fixed takes alpha and beta as given; held_out chooses both for "
                         "every stage on windows that its statistics have not seen.",
                 .choices = {"fixed", "held_out"},
                 .otherwise = "held_out with drift_correction: pre_correct, else fixed",
                 .former_names = {"strength"}},
                o.drift_strength);
  visitor.field(
      {.name = "held_out_windows",
       .help = "Windows kept out of the statistics and of all training, for what is chosen or "
               "judged by them (drift_strength: held_out, learned rounding, tuning, swaps, "
               "max_kl); taken from the same text besides `windows`.",
       .minimum = 1,
       .otherwise = "8, with recipe: best or lowbit 16",
       .former_names = {"held_out"}},
      o.held_out_windows);
  visitor.field({.name = "alpha",
                 .help = "gptq: share of the input drift, caused by the layers rounded before, "
                         "that weights are corrected "
                         "for before rounding.",
                 .minimum = 0,
                 .maximum = 1,
                 .otherwise = "0.5, with drift_correction: gptaq 0.25"},
                o.alpha);
  visitor.field({.name = "beta",
                 .help = "gptq: share of the residual stream's drift that matrices writing into it "
                         "are corrected for.",
                 .minimum = 0,
                 .maximum = 1},
                o.given.beta);
}

void visit_solver(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  visitor.field(
      {.name = "damping",
       .help = "gptq: added to the diagonal of H, as a share of its mean; 0 chooses it by "
               "the number of columns and tokens.",
       .minimum = 0,
       .maximum = 1},
      o.given.damping);
  visitor.field({.name = "hessian",
                 .help = "gptq: what rounding errors are measured by. one_sided: the second moment "
                         "H of a matrix's inputs, as GPTQ does; two_sided: besides, the Fisher "
                         "information G of its outputs (K-FAC, as YAQA does), so that rows make up "
                         "for each other, too: lower divergence for a pass with gradients before.",
                 .choices = {"one_sided", "two_sided"},
                 .otherwise = "one_sided, with recipe: best or lowbit two_sided",
                 .former_names = {"metric"},
                 .former_choices = {{"inputs", "one_sided"}, {"both", "two_sided"}}},
                o.hessian);
  visitor.field({.name = "gradient_windows",
                 .help = "Calibration windows that the gradients of hessian: two_sided come from, "
                         "at most.",
                 .minimum = 1,
                 .otherwise = "64, with recipe: best or lowbit 192"},
                o.gradient_windows);
  visitor.field({.name = "order",
                 .help = "gptq: group_aware rounds the columns with the strongest inputs first, "
                         "block by block; act does so over the whole row (GPTQ's act-order, with "
                         "scales: static, so that files are as without it); natural goes from left "
                         "to right.",
                 .choices = {"group_aware", "act", "natural"}},
                o.given.order);
  visitor.field({.name = "scales",
                 .help = "gptq: dynamic chooses a block's scales when the sweep first touches it, "
                         "on the weights as "
                         "corrected by then; static chooses all of them before.",
                 .choices = {"dynamic", "static"},
                 .otherwise = "dynamic, with order: act static"},
                o.scales);
  visitor.field(
      {.name = "scale_search",
       .help = "rtn: how scales are searched. fast tries few candidates and improves them by least "
               "squares, for sixteen groups at a time; full tries many for every group: up to 5% "
               "less weighted error, in four to eight times as long. gptq always searches in full.",
       .choices = {"fast", "full"},
       .otherwise = "fast with method: rtn, else full"},
      o.scale_search);
  visitor.field(
      {.name = "descent_passes",
       .help = "gptq: passes of coordinate descent over the codes after the column sweep.",
       .minimum = 0,
       .maximum = 100,
       .former_names = {"sweeps"}},
      o.given.descent_passes);
  visitor.field({.name = "scale_refits",
                 .help = "gptq: how often scales are refitted to the codes, each before a pass of "
                         "coordinate descent.",
                 .minimum = 0,
                 .maximum = 100,
                 .former_names = {"refits"}},
                o.given.scale_refits);
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
      o.given.pattern);
  visitor.field({.name = "keep_zeros",
                 .help = "Weights that come as exact zeros (from prune) stay zero; the others make "
                         "up for it."},
                o.given.keep_zeros);
}

void visit_tuning(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  visitor.field({.name = "rounding_iterations",
                 .help = "Iterations of learned rounding (SignRound) for every layer, after its "
                         "matrices are rounded (worth it at 2 and 3 bits); 0 = none.",
                 .minimum = 0,
                 .otherwise = "0, with recipe: lowbit 100",
                 .former_names = {"block_iterations"}},
                o.rounding_iterations);
  visitor.field({.name = "tune_steps",
                 .help = "Steps of 2048 tokens that tune all scales by the divergence from the "
                         "original model, codes as they are; 0 = none.",
                 .minimum = 0,
                 .otherwise = "0, with recipe: best 8, lowbit 100"},
                o.tune_steps);
  visitor.field(
      {.name = "tune_windows",
       .help = "Windows for tuning, taken from the same text besides `windows`: fresh text "
               "is what makes it hold.",
       .minimum = 1},
      o.given.tune_windows);
  visitor.field({.name = "tune_learning_rate",
                 .help = "Peak rate of the tuning, of the relative change of a scale.",
                 .minimum = 0,
                 .maximum = 1,
                 .minimum_exclusive = true,
                 .otherwise = "0.0015, with recipe: best or lowbit 0.002",
                 .former_names = {"tune_rate"}},
                o.tune_learning_rate);
}

void visit_gates(pass::OptionVisitor& visitor, QuantizeOptions& o) {
  visit_gate(visitor, o.given.gate);
  visitor.field({.name = "max_kl",
                 .help = "Stop where the divergence KL(original || quantized) on held-out windows "
                         "exceeds this; 0 = no limit.",
                 .unit = "nats per token",
                 .minimum = 0,
                 .maximum = 12},  // of a uniform guess among 160,000 pieces
                o.given.max_kl);
}

}  // namespace

QuantizeSettings resolve(const QuantizeOptions& o) {
  const QuantizeSettings plain;
  const bool tuned = o.recipe == "best" || o.recipe == "lowbit";
  QuantizeSettings s = o.given;
  s.method = o.method.value_or(o.recipe == "rtn" ? "rtn" : plain.method);
  const bool as_published =
      s.drift_correction == "gptaq";  // its share is given, and rows are apart
  s.windows.windows = o.windows.value_or(tuned ? kTunedWindows : plain.windows.windows);
  s.held_out_windows = o.held_out_windows.value_or(tuned ? kTunedHeldOut : plain.held_out_windows);
  s.drift_strength = o.drift_strength.value_or(
      s.drift_correction == plain.drift_correction ? plain.drift_strength : "fixed");
  s.alpha = o.alpha.value_or(as_published ? layerwise::kPublishedAlpha : plain.alpha);
  s.hessian = o.hessian.value_or(tuned && s.gptq() && !as_published ? "two_sided" : plain.hessian);
  s.gradient_windows =
      o.gradient_windows.value_or(tuned ? kGradientWindows : plain.gradient_windows);
  s.scales = o.scales.value_or(s.order == "act" ? "static" : plain.scales);
  s.scale_search = o.scale_search.value_or(s.gptq() ? plain.scale_search : "fast");
  s.rounding_iterations =
      o.rounding_iterations.value_or(o.recipe == "lowbit" ? kRoundingIterations : 0);
  const int64_t steps = o.recipe == "best" ? kTuneSteps : tuned ? kLowbitTuneSteps : 0;
  s.tune_steps = o.tune_steps.value_or(steps);
  s.tune_learning_rate =
      o.tune_learning_rate.value_or(tuned ? kTuneRate : plain.tune_learning_rate);
  if (s.calibration.name.empty() && s.needs_text()) s.calibration.name = pass::kSelfData;
  return s;
}

void visit_quantize_options(pass::OptionVisitor& visitor, QuantizeOptions& options) {
  visit_recipe(visitor, options);
  visit_rounding(visitor, options);
  visit_calibration(visitor, options);
  visit_drift_correction(visitor, options);
  visit_solver(visitor, options);
  visit_sparsity(visitor, options);
  visit_tuning(visitor, options);
  visit_gates(visitor, options);
}

}  // namespace frugal::passes
