// Tested by: tests/passes/prune_options_test.cpp
#include "passes/prune/options.h"

#include "base/text.h"
#include "passes/common/calibration_options.h"

namespace frugal::passes {
namespace {

void visit_mask(pass::OptionVisitor& visitor, PruneOptions& o) {
  visitor.field(
      {.name = "pattern",
       .help = "Zeros among the decoder's weights: a share (50%), or how many of how many "
               "neighboring columns are kept (2:4), or a share of the whole rows or columns of "
               "every matrix (rows 25%, columns 25%); counts are exact. none leaves them."},
      o.pattern);
  visitor.field(
      {.name = "solver",
       .help = "pattern: mask_refit chooses the mask by score on weights corrected for the "
               "drift of the layers before and refits what is kept by least squares; "
               "sparsegpt sweeps column by column; wanda and magnitude only cut.",
       .choices = {"mask_refit", "sparsegpt", "wanda", "magnitude"},
       .former_choices = {{"s", "mask_refit"}}},
      o.solver);
  visitor.field(
      {.name = "mask_score",
       .help = "solver mask_refit: obs, the rise of the output error when all other weights make "
               "up for one; wanda, the weight times its input's size; magnitude.",
       .choices = {"obs", "wanda", "magnitude"}},
      o.mask_score);
  visitor.field({.name = "refit",
                 .help = "Refit the kept weights by least squares after the mask of wanda, "
                         "magnitude or sparsegpt, too (mask_refit always does)."},
                o.refit);
  visitor.field(
      {.name = "scope",
       .help = "Over what a share is counted: every row, the whole matrix, or blocks of "
               "128 columns over all rows (as published for SparseGPT). Whole rows and columns are "
               "counted over the matrix.",
       .choices = {"row", "matrix", "block"}},
      o.scope);
  visitor.field({.name = "overrides",
                 .help = "Patterns of single matrices: globs over weight names "
                         "(\"*down*\": 60%, \"*.layers.0.*\": none); the last that "
                         "matches counts, and one that matches nothing is an error.",
                 .former_names = {"layers"}},
                o.overrides);
  visitor.field({.name = "mask_block",
                 .help = "sparsegpt: columns whose mask is chosen at once; fewer are better and "
                         "slower.",
                 .minimum = 1},
                o.mask_block);
  visitor.field(
      {.name = "refit_steps",
       .help = "Most steps of conjugate gradients in a refit; rows stop when they are done.",
       .minimum = 1},
      o.refit_steps);
}

void visit_width(pass::OptionVisitor& visitor, PruneOptions& o) {
  visitor.field({.name = "ffn",
                 .help = "Share of the feed-forward neurons that every layer keeps; 0 leaves them "
                         "alone.",
                 .minimum = 0,
                 .maximum = 1},
                o.ffn);
  visitor.field({.name = "heads",
                 .help = "Share of the query heads that every layer keeps; 0 leaves them alone.",
                 .minimum = 0,
                 .maximum = 1},
                o.heads);
  visitor.field({.name = "heads_by",
                 .help = "query removes the same number of query heads from each key/value head; "
                         "group removes key/value heads with all of theirs; auto takes query where "
                         "they share, else group.",
                 .choices = {"auto", "query", "group"}},
                o.heads_by);
  visitor.field({.name = "channels",
                 .help = "Share of the residual stream's channels (the hidden size) that the whole "
                         "model keeps; 0 leaves them alone. Costs more than neurons do; after "
                         "rotate with kind pca they are the stream's principal directions.",
                 .minimum = 0,
                 .maximum = 1},
                o.channels);
  visitor.field({.name = "experts",
                 .help = "Share of the experts that every layer of a mixture keeps. The router "
                         "divides the tokens among those left; 0 leaves them alone.",
                 .minimum = 0,
                 .maximum = 1},
                o.experts);
  visitor.field({.name = "experts_by",
                 .help = "reap keeps those whose output, times the router's weight, is largest for "
                         "the tokens that come to them; enumerate tries every set of so many and "
                         "keeps the one with the least error of the layer's output, where there "
                         "are few enough; merge makes one of those that are alike, neuron by "
                         "neuron, weighted by their tokens.",
                 .choices = {"reap", "enumerate", "merge"}},
                o.experts_by);
  visitor.field(
      {.name = "multiple_of",
       .help = "The kept number of neurons or channels is rounded to a multiple of this, for "
               "grids and kernels (q4_k: 256).",
       .minimum = 1},
      o.multiple_of);
  visitor.field(
      {.name = "score",
       .help = "Which neurons, heads or channels go: obs, the least rise of the output error when "
               "the others make up for it (channels: of everything that reads them, "
               "before anything makes up for it); obs_greedy, the same one by one, not "
               "for channels; activation, the smallest mean activation (channels: summed "
               "over all norms); magnitude, the smallest weights. auto takes activation "
               "for channels, else obs.",
       .choices = {"auto", "obs", "obs_greedy", "activation", "magnitude"}},
      o.score);
  visitor.field(
      {.name = "compensate",
       .help = "Refit the matrix that reads them by least squares, so that those kept make "
               "up for those removed; for channels every matrix, one after the other, but not a "
               "head that is tied to the embedding; of merged experts the last matrix and the "
               "router's row. Experts that are kept as they are have nothing to refit."},
      o.compensate);
}

void visit_depth(pass::OptionVisitor& visitor, PruneOptions& o) {
  visitor.field({.name = "drop_layers",
                 .help = "How many layers go: those that turn the residual stream least.",
                 .minimum = 0},
                o.drop_layers);
  visitor.field({.name = "drop_layer_indices",
                 .help = "The very layers that go, counted from 0, in place of drop_layers.",
                 .former_names = {"dropped_layers"}},
                o.drop_layer_indices);
  visitor.field(
      {.name = "protect_first", .help = "drop_layers: this many first layers stay.", .minimum = 0},
      o.protect_first);
  visitor.field(
      {.name = "protect_last", .help = "drop_layers: this many last layers stay.", .minimum = 0},
      o.protect_last);
}

void visit_solving(pass::OptionVisitor& visitor, PruneOptions& o) {
  visitor.field({.name = "alpha",
                 .help = "Share of the input drift, caused by the layers pruned before, that "
                         "refits and sparsegpt make up for.",
                 .minimum = 0,
                 .maximum = 1},
                o.alpha);
  visitor.field({.name = "beta",
                 .help = "Share of the residual stream's drift that they make up for.",
                 .minimum = 0,
                 .maximum = 1},
                o.beta);
  visitor.field({.name = "damping",
                 .help = "Added to the diagonal of H, as a share of its mean; 0 chooses it by the "
                         "number of columns and tokens for masks and merged experts, 0.01 for "
                         "neurons, heads and channels.",
                 .minimum = 0,
                 .maximum = 1},
                o.damping);
}

void visit_calibration(pass::OptionVisitor& visitor, PruneOptions& o) {
  visitor.field({.name = "calibration",
                 .help = "Text whose activations are used; only magnitude without refit or "
                         "compensation and drop_layer_indices need none. Where none is given, what "
                         "needs it takes self, text that the model writes."},
                o.calibration);
  visit_windows(visitor, o.windows);
  visit_gate(visitor, o.gate);
}

}  // namespace

absl::StatusOr<PruneKind> PruneOptions::kind() const {
  const bool mask = pattern != "none" || !overrides.entries.empty();
  const bool width = ffn > 0 || heads > 0;
  const bool depth = drop_layers > 0 || !drop_layer_indices.empty();
  if (mask + width + depth + (channels > 0) + (experts > 0) > 1) {
    return base::invalid_argument(
        "prune: one step removes weights (pattern, overrides), or neurons and heads (ffn, heads), "
        "or channels, or experts, or layers (drop_layers, drop_layer_indices), not several of "
        "them: what is left "
        "after one is what the next must be fitted to; write a step for each, layers first, "
        "weights last");
  }
  if (drop_layers > 0 && !drop_layer_indices.empty())
    return base::invalid_argument("prune: give drop_layers or drop_layer_indices, not both");
  if (mask) return PruneKind::kMask;
  if (width) return PruneKind::kWidth;
  if (channels > 0) return PruneKind::kChannels;
  if (experts > 0) return PruneKind::kExperts;
  if (depth) return PruneKind::kDepth;
  return base::invalid_argument(
      "prune: nothing to remove; set pattern ('50%', '2:4', 'columns 25%'), ffn, heads, channels, "
      "experts, or drop_layers");
}

layerwise::StructureScore PruneOptions::structure_score(PruneKind kind) const {
  using layerwise::StructureScore;
  if (score == "auto")
    return kind == PruneKind::kChannels ? StructureScore::kActivation : StructureScore::kObs;
  if (score == "obs_greedy") return StructureScore::kObsGreedy;
  if (score == "activation") return StructureScore::kActivation;
  return score == "magnitude" ? StructureScore::kMagnitude : StructureScore::kObs;
}

layerwise::PatternScope PruneOptions::pattern_scope() const {
  if (scope == "matrix") return layerwise::PatternScope::kMatrix;
  return scope == "block" ? layerwise::PatternScope::kBlock : layerwise::PatternScope::kRow;
}

bool PruneOptions::whole_key_value_heads(const architecture::ModelConfig& config) const {
  return heads_by == "group" ||
         (heads_by == "auto" &&
          config.layers.front().attention.heads == config.layers.front().attention.key_value_heads);
}

void visit_prune_options(pass::OptionVisitor& visitor, PruneOptions& options) {
  visit_mask(visitor, options);
  visit_width(visitor, options);
  visit_depth(visitor, options);
  visit_solving(visitor, options);
  visit_calibration(visitor, options);
}

}  // namespace frugal::passes
