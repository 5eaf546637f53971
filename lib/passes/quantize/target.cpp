#include "passes/quantize/target.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "architecture/tensors.h"
#include "artifact/exact_layout.h"
#include "artifact/gguf/mix.h"
#include "base/text.h"
#include "grid/grid.h"

namespace frugal::passes {
namespace {

using Place = PlannedTensor::Place;

std::vector<std::string> default_candidates(int64_t columns) {
  if (columns % 256 == 0) return {"q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "q8_0"};
  if (columns % 32 == 0) return {"iq4_nl", "q5_0", "q5_1", "q8_0"};
  if (columns % 16 == 0) return {"int2:g16", "int3:g16", "int4:g16", "int8:g16"};
  return {"int2:row", "int3:row", "int4:row", "int8:row"};
}

// Candidates as given: each must be a grid that fits every free matrix, as `grid` must.
absl::Status check_candidates(const architecture::ModelConfig& config, const GridChoice& choice,
                              const std::vector<std::string>& candidates) {
  if (candidates.size() == 1) {
    return base::invalid_argument("candidates: ", candidates.front(),
                                  " alone leaves nothing to choose; give two or more, or `grid`");
  }
  for (const std::string& candidate : candidates) {
    if (artifact::is_mix(candidate) || candidate == kKeep || candidate == kAuto) {
      return base::invalid_argument("candidates: '", candidate,
                                    "' is not a grid; give grids such as q3_k, q4_k, q6_k");
    }
    GridChoice alone = choice;
    alone.grid = candidate;
    FRUGAL_RETURN_IF_ERROR(base::annotate(plan_grids(config, alone).status(), "candidates"));
  }
  return absl::OkStatus();
}

// A target for all weights speaks of embedding and head, too: beside types of llama.cpp's they get
// what its types have for a head.
void fill_outer_grids(const architecture::ModelConfig& config, const TargetOptions& target,
                      GridChoice& choice) {
  const std::vector<std::string> candidates =
      target.candidates.empty() ? default_candidates(config.hidden_size) : target.candidates;
  if (!std::all_of(candidates.begin(), candidates.end(), artifact::is_gguf_grid)) return;
  const std::string grid =
      artifact::fitting_grid(artifact::head_grid(candidates.front()), config.hidden_size);
  if (choice.embeddings == kAuto) choice.embeddings = grid;
  if (choice.head == kAuto && !config.tied_embeddings) choice.head = grid;
}

absl::StatusOr<FreeMatrix> free_matrix(const PlannedTensor& tensor, size_t index,
                                       const std::vector<std::string>& given) {
  const int64_t columns = tensor.shape.back(), rows = tensor.shape.front();
  std::vector<std::pair<int64_t, std::string>> sized;
  for (const std::string& name : given.empty() ? default_candidates(columns) : given) {
    FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(name, columns));
    const grid::GridSpec& spec = grid->spec();
    FRUGAL_RETURN_IF_ERROR(grid::check_columns(spec, columns, tensor.name));
    for (const auto& [bytes, other] : sized) {
      if (other == spec.name)
        return base::invalid_argument("candidates: ", name, " is given twice");
    }
    sized.emplace_back(rows * (columns / spec.block_columns) * spec.block_bytes, spec.name);
  }
  std::stable_sort(sized.begin(), sized.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  FreeMatrix result{.tensors = {index}, .weights = rows * columns};
  for (auto& [bytes, name] : sized) {
    result.bytes.push_back(bytes);
    result.grids.push_back(std::move(name));
  }
  return result;
}

void add_to_stack(const FreeMatrix& matrix, FreeMatrix& stack) {
  stack.tensors.insert(stack.tensors.end(), matrix.tensors.begin(), matrix.tensors.end());
  stack.weights += matrix.weights;
  for (size_t i = 0; i < stack.bytes.size(); ++i) stack.bytes[i] += matrix.bytes[i];
}

bool is_free(const PlannedTensor& tensor, const GridChoice& choice, int64_t layer_count) {
  return tensor.layer >= 0 && tensor.layer < layer_count &&
         std::none_of(
             choice.overrides.begin(), choice.overrides.end(),
             [&](const auto& entry) { return base::glob_match(entry.first, tensor.name); });
}

// What the target speaks of, beside the free matrices.
struct Fixed {
  int64_t bytes = 0;    // on a grid that is given
  int64_t weights = 0;  // that go to any grid, free ones included
};

Fixed fixed_part(const TargetPlan& plan) {
  Fixed fixed;
  for (const PlannedTensor& tensor : plan.tensors) {
    if (tensor.grid.empty()) continue;
    fixed.bytes += tensor.size_bytes;
    fixed.weights += tensor.shape[0] * tensor.shape[1];
  }
  for (const FreeMatrix& matrix : plan.free) fixed.weights += matrix.weights;
  return fixed;
}

}  // namespace

void visit_target_options(pass::OptionVisitor& visitor, TargetOptions& o) {
  visitor.field({.name = "target_bits",
                 .help = "Instead of grid: bits per weight, scales included, that all weights on "
                         "a grid may take together; each decoder matrix gets the candidate that "
                         "its share of the divergence asks for. 0: no target.",
                 .unit = "bits",
                 .minimum = 0},
                o.target_bits);
  visitor.field({.name = "target_size",
                 .help = "The same, as bytes of all weights of the model. 0: no target.",
                 .unit = "bytes",
                 .minimum = 0},
                o.target_size);
  visitor.field({.name = "candidates",
                 .help = "Grids to choose from for a target; none: q2_k, q3_k, q4_k, q5_k, q6_k "
                         "and q8_0 where rows fill blocks of 256, else smaller types that fit."},
                o.candidates);
  visitor.field({.name = "swaps",
                 .help = "With a target: exchanges between matrices that are tried out by "
                         "measuring the divergence on held-out windows.",
                 .minimum = 0,
                 .maximum = 10000},
                o.swaps);
}

absl::Status check_target(const TargetOptions& target, const std::string& grid) {
  if (!target.active()) {
    if (grid.empty()) {
      return base::invalid_argument(
          "quantize: `grid` is required, unless target_bits or target_size is given");
    }
    if (target.candidates.empty()) return absl::OkStatus();
    return base::invalid_argument(
        "quantize: `candidates` are chosen from to meet target_bits or target_size; give one of "
        "them, or leave `candidates` out");
  }
  if (target.target_bits > 0 && target.target_size > 0) {
    return base::invalid_argument("quantize: target_bits = ", target.target_bits,
                                  " and target_size = ", target.target_size,
                                  " are both given; give one of them");
  }
  if (!grid.empty()) {
    return base::invalid_argument("quantize: grid = '", grid,
                                  "' and a target are both given; a target chooses the grids "
                                  "itself (`candidates` says from which, `overrides` pins some)");
  }
  return absl::OkStatus();
}

absl::StatusOr<TargetPlan> plan_target(const architecture::ModelConfig& config,
                                       const GridChoice& choice, const TargetOptions& target) {
  if (!target.candidates.empty())
    FRUGAL_RETURN_IF_ERROR(check_candidates(config, choice, target.candidates));
  GridChoice others = choice;
  others.grid = kKeep;
  if (target.target_size > 0) fill_outer_grids(config, target, others);
  TargetPlan plan;
  FRUGAL_ASSIGN_OR_RETURN(plan.tensors, plan_grids(config, others));
  const auto places = architecture::places(config);
  std::map<std::pair<int64_t, architecture::Role>, size_t> stacks;  // of experts
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    PlannedTensor& tensor = plan.tensors[i];
    if (!is_free(tensor, choice, config.layer_count())) continue;
    FRUGAL_ASSIGN_OR_RETURN(FreeMatrix matrix, free_matrix(tensor, i, target.candidates));
    const architecture::Place& place = places.find(tensor.name)->second;
    if (place.expert == architecture::kNoExpert) {
      plan.free.push_back(std::move(matrix));
      continue;
    }
    const auto [at, first] = stacks.emplace(std::pair(place.layer, place.role), plan.free.size());
    if (first) {
      plan.free.push_back(std::move(matrix));
    } else {
      add_to_stack(matrix, plan.free[at->second]);
    }
  }
  if (!plan.free.empty()) return plan;
  return base::invalid_argument(
      "quantize: the overrides pin every decoder matrix, so that there is nothing to choose for "
      "the target; leave some of them out, or the target");
}

namespace {

// "; it is in bytes: 4 MiB are 4194304" where another unit would have made it possible.
std::string likely_unit(int64_t size, int64_t least, int64_t most) {
  constexpr std::pair<const char*, int64_t> kUnits[] = {
      {"KiB", int64_t{1} << 10}, {"MiB", int64_t{1} << 20}, {"GiB", int64_t{1} << 30}, {"kB", 1000},
      {"MB", 1000 * 1000},       {"GB", 1000 * 1000 * 1000}};
  for (const auto& [unit, bytes] : kUnits) {
    if (size <= 0 || size > most / bytes || size * bytes < least) continue;
    return base::str_cat("; it is in bytes: ", size, " ", unit, " are ", size * bytes);
  }
  return "";
}

}  // namespace

absl::StatusOr<int64_t> target_budget(const TargetPlan& plan, const TargetOptions& target,
                                      int64_t kept_bytes) {
  const Fixed fixed = fixed_part(plan);
  int64_t smallest = 0, largest = 0;
  for (const FreeMatrix& matrix : plan.free) {
    smallest += matrix.bytes.front();
    largest += matrix.bytes.back();
  }
  if (target.target_bits > 0) {
    const auto weights = static_cast<double>(fixed.weights);
    const auto bits = [&](int64_t bytes) {
      return 8.0 * static_cast<double>(fixed.bytes + bytes) / weights;
    };
    if (target.target_bits < bits(smallest) || target.target_bits > bits(largest)) {
      return base::invalid_argument("target_bits = ", target.target_bits,
                                    " is out of reach: with these candidates and overrides the "
                                    "model takes from ",
                                    bits(smallest), " to ", bits(largest), " bits per weight");
    }
    const int64_t bytes = std::llround(std::floor(target.target_bits * weights / 8.0));
    return std::clamp(bytes - fixed.bytes, smallest, largest);
  }
  const int64_t others = fixed.bytes + kept_bytes;
  if (target.target_size < others + smallest || target.target_size > others + largest) {
    return base::invalid_argument(
        "target_size = ", target.target_size,
        " bytes is out of reach: with these candidates and overrides the model's weights take "
        "from ",
        others + smallest, " to ", others + largest, " bytes, of which ", kept_bytes,
        " are of tensors that stay as they are",
        likely_unit(target.target_size, others + smallest, others + largest));
  }
  return target.target_size - others;
}

std::vector<PlannedTensor> planned_tensors(const TargetPlan& plan,
                                           const std::vector<size_t>& choice) {
  std::vector<PlannedTensor> tensors = plan.tensors;
  for (size_t i = 0; i < plan.free.size(); ++i) {
    const FreeMatrix& matrix = plan.free[i];
    for (const size_t index : matrix.tensors) {
      PlannedTensor& tensor = tensors[index];
      tensor.place = Place::kLayer;
      tensor.grid = matrix.grids[choice[i]];
      tensor.size_bytes = matrix.bytes[choice[i]] / static_cast<int64_t>(matrix.tensors.size());
    }
  }
  return tensors;
}

std::vector<size_t> representative_choice(const TargetPlan& plan) {
  std::map<std::vector<std::string>, size_t> next;  // by the candidates a matrix has
  std::vector<size_t> choice;
  for (const FreeMatrix& matrix : plan.free)
    choice.push_back(next[matrix.grids]++ % matrix.grids.size());
  return choice;
}

}  // namespace frugal::passes
