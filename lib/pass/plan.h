// A pipeline with every pass checked on metadata: what would run, in which order, on what, at what
// cost.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "pass/cache.h"
#include "pass/option_reader.h"
#include "pass/pass.h"
#include "pass/pipeline.h"

namespace frugal::pass {

// One execution of a step: a step that fans out (over its matrix, or over several inputs) has
// several.
struct Unit {
  size_t step = 0;                    // index into Pipeline::steps
  std::string id;                     // of the step
  std::string variant;                // "" when the step has one unit without a matrix
  std::unique_ptr<Pass> pass;         // its options are set
  std::string from;                   // model or unit; empty for Input::kNone
  std::vector<Reference> references;  // model references resolved to models or units
  Positions positions;                // of the options that were given
  base::Json options;                 // canonical
  ModelInfo model;                    // after the step; for Output::kCheckpoint
  Estimate estimate;
  std::vector<std::string> warnings, notes;
  std::vector<Artifact> artifacts;  // that it leaves, below its output folder
  std::string computed_by;          // another program with its version; empty: frugal
  // The kind of device and what the options' precisions come to on it ("cpu, bf16 products of …");
  // empty where the result does not depend on it.
  std::string arithmetic;
  std::vector<std::string> compared;  // metrics that it compares with another model
  std::optional<Claim> claim;         // that it tests
  std::string key;                    // of the cache; empty while an input is not hashed
  bool checked = false;

  std::string name() const { return variant.empty() ? id : base::str_cat(id, "/", variant); }
};

// An entry of `models:`: a Hugging Face folder, what was imported of a file, or an artifact whose
// weights frugal does not read: then there is no checkpoint, and `info` has no layers.
struct ModelInput {
  ModelInfo info;
  std::optional<format::Checkpoint> checkpoint;
  std::string hash;                      // of the content; empty = unknown
  std::vector<Artifact> artifacts = {};  // the file or folder itself, where a runtime reads it
};

// An entry of `data:`.
struct DataInput {
  std::string hash;  // of the content; empty = unknown
  std::string key;   // of content, templates and limits; empty while the content is unknown
};

// A file of factors (lib/energy) that numbers of a run rest on.
struct FactorFile {
  std::string kind;  // "site", "hardware", "cpu"
  std::filesystem::path file;
};

struct Plan {
  Pipeline pipeline;
  std::map<std::string, ModelInput, std::less<>> models;
  std::map<std::string, DataInput, std::less<>> data;
  std::vector<Unit> units;  // in running order
  base::Json site;          // of report.site, as lib/energy reads it; null without one
  std::vector<FactorFile> factor_files = {};  // of the site

  const Unit* find(std::string_view name) const;
  // Unit of `id`, or of `id/variant`; for a step of several units the one whose variant is
  // `variant`. Null otherwise.
  const Unit* resolve(std::string_view name, std::string_view variant) const;
  // Of a model or unit: those of a model with the paths as given, those of a unit below its output
  // folder.
  const std::vector<Artifact>& artifacts_of(std::string_view name) const;
};

struct PlanOptions {
  const Registry* registry = nullptr;
  HashStore* hashes = nullptr;
  // Hash models and data of any size (a run); false: only small or known ones, so that a plan takes
  // no longer for large inputs.
  bool read_weights = false;
  std::string until = {};      // the last step; empty = all
  std::string device = "cpu";  // of the run: "cpu", "cuda:0"
  // What a precision that an option names comes to on the device; null: that name itself.
  std::function<std::string(std::string_view precision)> arithmetic = {};
  // A checkpoint folder of a model that is a file or folder of another format; `model` itself where
  // it is of none that is known. Null: models are checkpoints.
  std::function<absl::StatusOr<std::filesystem::path>(const std::filesystem::path& model)>
      import_model = {};
  // The format of a model that is an artifact, "gguf"; empty for a checkpoint. Null: none is.
  std::function<std::string(const std::filesystem::path& model)> artifact_format = {};
};

// Checks everything; what is wrong goes to `problems`. The plan is fit to run when there are none.
Plan make_plan(Pipeline pipeline, const PlanOptions& options, Problems& problems);

// The whole pipeline with every default written out and the hashes of its inputs: parse_pipeline of
// its YAML gives the same plan with the same keys.
base::Json resolved_pipeline(const Plan& plan);

// The table of `frugal plan`.
std::string plan_table(const Plan& plan, const Cache& cache);
base::Json plan_json(const Plan& plan, const Cache& cache);

// The shape of a model in one line, which decides what its forward costs: "llama 6L 256C 768F 4/4H
// 105V" (layers, channels, feed-forward width, heads/groups, vocabulary).
std::string architecture_text(const architecture::ModelConfig& config);

// Bytes that the unit will write: its estimate, else the weights of the model it makes; absent
// where neither is known.
std::optional<int64_t> output_bytes(const Unit& unit);

// Metadata of a checkpoint, and whether it looks pruned.
absl::StatusOr<ModelInfo> model_info(std::string name, const format::Checkpoint& checkpoint);

}  // namespace frugal::pass
