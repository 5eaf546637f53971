// A pass: options, a check on metadata, the work. Everything else (metering, caching, journal,
// staging folders, fan-out over several inputs, resume folders) is the runner's.
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
#include "base/status.h"
#include "energy/window.h"
#include "format/checkpoint.h"
#include "format/model_info.h"
#include "pass/options.h"
#include "text/dataset.h"

namespace frugal::pass {

// What a pass needs and leaves behind.
enum class Input { kNone, kCheckpoint };
enum class Output { kCheckpoint, kArtifact, kNone };  // kNone: statistics and items only

struct PassInfo {
  std::string name;  // "quantize"
  int64_t version =
      1;  // raised when the same options would now give other bytes; part of the cache key
  std::string summary;  // one sentence
  Input input = Input::kCheckpoint;
  Output output = Output::kCheckpoint;
  // Its input may also be an artifact: what an export left, or a file that a user gave. input() is
  // then the checkpoint that it was made from or imported to; null where frugal reads no weights.
  bool takes_artifacts = false;
};

using format::ModelInfo;

// What a runtime serves.
struct Artifact {
  std::string format;          // as exporters call it: "gguf"
  std::filesystem::path path;  // of the file (the first of several) or folder
  bool operator==(const Artifact&) const = default;
};

// What a step will cost, as far as `check` can tell; absent where it cannot.
struct Estimate {
  std::optional<double> seconds = {};
  std::optional<int64_t> peak_memory_bytes = {};
  std::optional<int64_t> output_bytes = {};
  std::string basis = {};  // how it was obtained
};

// What a pipeline declares before it runs: "`metric` loses no more than `margin` against the
// baseline".
struct Claim {
  std::string metric;  // "reviews_dev/acc"
  double margin = 0;
  std::string kind = "absolute";  // or "relative": a share of the baseline's value
  std::string gate = "none";  // exit code 3 unless "any" or "all" compared models meet the claim
};

class CheckContext {
 public:
  virtual ~CheckContext() = default;
  // Metadata of a model named in the options. Errors: unknown name, or a step that runs later.
  virtual absl::StatusOr<ModelInfo> model(const ModelReference& reference) const = 0;
  virtual absl::StatusOr<text::DataSource> data(const DataReference& reference) const = 0;
  virtual std::string device() const = 0;  // that the step will compute on: "cpu", "cuda:0"
  virtual void estimate(const Estimate& estimate) = 0;
  virtual void warn(std::string_view text) = 0;
  // What the step decided by itself and a user would want to know.
  virtual void note(std::string_view text) = 0;
  // The input where it is an artifact, in every format it comes in; empty for a checkpoint. Their
  // paths may not exist yet.
  virtual std::vector<Artifact> artifacts() const { return {}; }
  // Said by a pass that yields artifacts: what it will leave, below its output folder.
  virtual void leaves(std::vector<Artifact> artifacts) { (void)artifacts; }
  // Said by a step that another program computes, with its version: part of the step's key.
  virtual void computed_by(std::string_view program) { (void)program; }
  // The same as artifacts() of a model that an option names.
  virtual std::vector<Artifact> artifacts_of(const ModelReference& reference) const {
    (void)reference;
    return {};
  }
  // Said by a step that compares its model with `reference`: the metrics that a claim can be about.
  // Gives the pipeline's claim where it is about one of them and this reference; it is then part of
  // the step's key, and given to its run.
  virtual std::optional<Claim> compares(const ModelReference& reference,
                                        const std::vector<std::string>& metrics) {
    (void)reference, (void)metrics;
    return {};
  }
};

// A named number of a step (lib/pass/README.md).
struct Statistic {
  std::string name;
  std::optional<double> value = {};  // absent: unknown
  std::string unit = {};
  std::string help = {};
  std::string provenance = "measured";        // measured, modelled, assumed
  std::optional<double> low = {}, high = {};  // interval
  double confidence = 0.95;
  int64_t n = 0;
  std::string method = {};  // of the interval: "wilson", "bootstrap"
  // What a model behind the number may make of it; no chance is in it (energy::Figure::range).
  std::optional<energy::Range> range = {};
  std::vector<std::string> marks = {};  // what makes it less sure (energy::Figure::marks)
};

class RunContext {
 public:
  virtual ~RunContext() = default;
  // The step's input (absent for Input::kNone passes).
  virtual const format::Checkpoint* input() const = 0;
  virtual std::string input_name() const = 0;  // "student", "small/q4_k"
  // The input where it is an artifact, in every format it comes in, as the check saw them; with
  // absolute paths.
  virtual std::vector<Artifact> artifacts() const { return {}; }
  virtual absl::StatusOr<format::Checkpoint> model(const ModelReference& reference) const = 0;
  virtual absl::StatusOr<text::DataSource> data(const DataReference& reference) const = 0;

  // Empty staging folder for the checkpoint or artifact; the runner renames it when run returns OK.
  virtual const std::filesystem::path& output_folder() const = 0;
  // Survives a kill of this very step (same key): resume state goes here; removed after success.
  virtual const std::filesystem::path& resume_folder() const = 0;
  // Folder for results that several steps share (reference log-probabilities, reference items), by
  // content key. Returns the folder of `key`, filled by `make` into a staging folder when it does
  // not exist yet.
  virtual absl::StatusOr<std::filesystem::path> shared(
      std::string_view key,
      const std::function<absl::Status(const std::filesystem::path&)>& make) = 0;
  // Where per-item records (JSONL) go: items/<step>/<variant>/<name>.jsonl of the run; one object
  // per item.
  virtual absl::Status write_items(std::string_view name, const std::vector<base::Json>& items) = 0;

  virtual std::string device() const = 0;  // "cpu", "cuda:0"
  virtual uint64_t seed() const = 0;
  virtual energy::MeterSet&
  meters() = 0;  // for the measure pass; the runner meters the whole step anyway

  virtual void statistic(Statistic statistic) = 0;  // in the order of printing
  virtual void row(std::string_view table, base::Json row) = 0;
  virtual void warn(std::string_view text) = 0;

  // The same as artifacts() of a model that an option names.
  virtual std::vector<Artifact> artifacts_of(const ModelReference& reference) const {
    (void)reference;
    return {};
  }
  // The model or unit that an option names: of a step with variants the one that it comes to.
  virtual std::string name_of(const ModelReference& reference) const { return reference.name; }
  // The pipeline's claim, where the check was told that this step tests it.
  virtual std::optional<Claim> claim() const { return {}; }
};

class Pass {
 public:
  virtual ~Pass() = default;
  virtual const PassInfo& info() const = 0;
  virtual void visit_options(OptionVisitor& visitor) = 0;
  // Data that the pass takes although no option names it, by the option that would: to be asked
  // when the options are read. Part of the step as if it were named.
  struct ImpliedData {
    std::string_view option;
    std::string_view data;
  };
  virtual std::vector<ImpliedData> implied_data() const { return {}; }
  // Metadata only, under a millisecond or so (the first forecast of a process times the machine for
  // some tens of them): refuses what cannot work and updates `model` to what
  // the next pass will see (for Input::kNone: fills it). Errors say what to change.
  virtual absl::Status check(CheckContext& context, ModelInfo& model) const = 0;
  virtual absl::Status run(RunContext& context) const = 0;
};

using PassFactory = std::unique_ptr<Pass> (*)();
// Every pass, in the order of `frugal passes`; the one table is lib/passes/registry.cpp.
using Registry = std::vector<PassFactory>;

}  // namespace frugal::pass
