#include "toy.h"

#include "architecture/tensors.h"
#include "base/file.h"
#include "format/checkpoint.h"
#include "pass/journal.h"
#include "pass/origin.h"

namespace frugal::pass::test {
namespace fs = std::filesystem;
namespace {

Hook& hook() {
  static Hook value;
  return value;
}

architecture::ModelConfig toy_config() {
  return architecture::parse_model_config(
             base::Json::parse(
                 R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8,
               "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
               "num_key_value_heads": 1, "vocab_size": 12, "max_position_embeddings": 32,
               "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "hidden_act": "silu",
               "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2})"),
             "toy")
      .value();
}

absl::Status write_model(
    const fs::path& folder,
    const std::function<std::vector<float>(const std::string&, int64_t)>& values) {
  std::vector<format::CheckpointWriter::Tensor> tensors;
  for (const architecture::Tensor& expected : architecture::tensors(toy_config())) {
    tensors.push_back({expected.name, format::DType::kF32, expected.shape, std::nullopt});
  }
  FRUGAL_ASSIGN_OR_RETURN(auto writer,
                          format::CheckpointWriter::create(folder, toy_config(), tensors));
  for (const auto& tensor : tensors) {
    int64_t count = 1;
    for (const int64_t size : tensor.shape) count *= size;
    FRUGAL_RETURN_IF_ERROR(writer.write_values(tensor.name, values(tensor.name, count)));
  }
  return writer.finish();
}

class MakePass : public Pass {
 public:
  const PassInfo& info() const override {
    static const PassInfo kInfo{
        .name = "make", .summary = "Makes a checkpoint of one value.", .input = Input::kNone};
    return kInfo;
  }
  void visit_options(OptionVisitor& visitor) override {
    visitor.field({.name = "value", .help = "The value of every weight."}, value_);
  }
  absl::Status check(CheckContext&, ModelInfo& model) const override {
    model.config = toy_config();
    model.size_bytes = 4 * model.config.parameter_count();
    return absl::OkStatus();
  }
  absl::Status run(RunContext& context) const override {
    return write_toy_model(context.output_folder(),
                           static_cast<float>(value_ + static_cast<double>(context.seed())));
  }

 private:
  double value_ = 1;
};

class ScalePass : public Pass {
 public:
  const PassInfo& info() const override {
    static const PassInfo kInfo{
        .name = "scale", .version = 3, .summary = "Multiplies every weight by a factor."};
    return kInfo;
  }
  void visit_options(OptionVisitor& visitor) override {
    visitor.field({.name = "factor",
                   .help = "What to multiply by.",
                   .minimum = 0,
                   .maximum = 10,
                   .minimum_exclusive = true,
                   .required = true},
                  factor_);
    visitor.field({.name = "mode", .help = "How to round.", .choices = {"nearest", "down", "up"}},
                  mode_);
    visitor.field({.name = "tokens",
                   .help = "How much to read; 0 reads all.",
                   .unit = "tokens",
                   .minimum = 10},
                  tokens_);
    visitor.field({.name = "memory", .help = "Memory to use at most.", .unit = "bytes"}, memory_);
    visitor.field({.name = "patience", .help = "Time to wait.", .unit = "seconds"}, patience_);
    visitor.field({.name = "compensate", .help = "Whether to correct the rest."}, compensate_);
    visitor.field({.name = "batch", .help = "Batch sizes.", .minimum = 1}, batch_);
    visitor.field({.name = "skip", .help = "Layers to leave alone."}, skip_);
    visitor.field({.name = "teacher", .help = "A model to follow."}, teacher_);
    visitor.field({.name = "calibration", .help = "Text to look at."}, calibration_);
    visitor.field({.name = "tasks", .help = "Data to score."}, tasks_);
    visitor.field({.name = "precision",
                   .help = "Of products over the text.",
                   .choices = {"rounded", "fp32"},
                   .is_precision = true},
                  precision_);
  }
  absl::Status check(CheckContext& context, ModelInfo& model) const override {
    if (factor_ == 7) return base::invalid_argument("a factor of 7 fits no grid; choose another");
    if (!teacher_.name.empty()) FRUGAL_RETURN_IF_ERROR(context.model(teacher_).status());
    if (!calibration_.name.empty()) FRUGAL_RETURN_IF_ERROR(context.data(calibration_).status());
    context.estimate({.seconds = 1.5,
                      .peak_memory_bytes = 1 << 20,
                      .output_bytes = model.size_bytes,
                      .basis = "toy"});
    if (factor_ > 5) context.warn("a factor above 5 is bold");
    return absl::OkStatus();
  }
  // In three steps, each remembered in the resume folder.
  absl::Status run(RunContext& context) const override {
    const fs::path state = context.resume_folder() / "steps";
    int64_t done = 0;
    if (const auto text = base::read_file(state); text.ok())
      done = static_cast<int64_t>(text->size());
    context.statistic({.name = "resumed_at",
                       .value = static_cast<double>(done),
                       .unit = "steps",
                       .help = "First step of this run."});
    for (; done < 3; ++done) {
      if (hook()) FRUGAL_RETURN_IF_ERROR(hook()(done));
      FRUGAL_RETURN_IF_ERROR(
          base::write_file_atomically(state, std::string(static_cast<size_t>(done + 1), 'x')));
    }
    context.row("training_curve", {{"step", 1}, {"loss", 0.5}});
    return write_model(context.output_folder(), [&](const std::string& name, int64_t) {
      std::vector<float> values = context.input()->values(name).value();
      for (float& value : values) value *= static_cast<float>(factor_);
      return values;
    });
  }

 private:
  double factor_ = 1;
  std::string mode_ = "nearest";
  int64_t tokens_ = 0;
  int64_t memory_ = 0;
  double patience_ = 0;
  std::string precision_ = "rounded";
  bool compensate_ = false;
  std::vector<int64_t> batch_ = {1, 8};
  std::vector<std::string> skip_;
  ModelReference teacher_;
  DataReference calibration_;
  std::vector<DataReference> tasks_;
};

class JudgePass : public Pass {
 public:
  const PassInfo& info() const override {
    static const PassInfo kInfo{
        .name = "judge", .summary = "Says how large the weights are.", .output = Output::kNone};
    return kInfo;
  }
  void visit_options(OptionVisitor& visitor) override {
    visitor.field({.name = "reference", .help = "The model to compare with."}, reference_);
  }
  absl::Status check(CheckContext& context, ModelInfo&) const override {
    if (!reference_.name.empty()) context.compares(reference_, {"toy/size", "toy/other"});
    return absl::OkStatus();
  }
  absl::Status run(RunContext& context) const override {
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> values,
                            context.input()->values("model.norm.weight"));
    const double value = values[0];
    context.statistic({.name = "first_weight",
                       .value = value,
                       .help = "The first weight.",
                       .low = value - 1,
                       .high = value + 1,
                       .n = 8,
                       .method = "toy"});
    context.statistic(
        {.name = "unknowable", .value = std::nullopt, .unit = "J", .help = "Never known."});
    if (!reference_.name.empty()) {
      FRUGAL_ASSIGN_OR_RETURN(const auto reference, context.model(reference_));
      FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> other,
                              reference.values("model.norm.weight"));
      context.row("comparison", {{"metric", "toy/size"},
                                 {"verdict", values[0] >= other[0] ? "claimed" : "not claimed"}});
    }
    return context.write_items("weights", {{{"id", 0}, {"value", value}}});
  }

 private:
  ModelReference reference_;
};

class PackPass : public Pass {
 public:
  const PassInfo& info() const override {
    static const PassInfo kInfo{.name = "pack",
                                .summary = "Packs a checkpoint into one file.",
                                .output = Output::kArtifact};
    return kInfo;
  }
  void visit_options(OptionVisitor&) override {}
  absl::Status check(CheckContext& context, ModelInfo& model) const override {
    context.leaves({{"box", file_name(model.name)}});
    return absl::OkStatus();
  }
  absl::Status run(RunContext& context) const override {
    FRUGAL_ASSIGN_OR_RETURN(const auto bytes, context.input()->bytes("model.norm.weight"));
    if (const auto* source = dynamic_cast<const OriginSource*>(&context)) {
      const Origin origin = source->origin();
      context.row("origin", {{"version", origin.version}, {"steps", origin.steps}});
    }
    return base::write_file_atomically(context.output_folder() / file_name(context.input_name()),
                                       {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }

 private:
  static std::string file_name(std::string name) {
    std::replace(name.begin(), name.end(), '/', '-');
    return name + ".bin";
  }
};

class ServePass : public Pass {
 public:
  const PassInfo& info() const override {
    static const PassInfo kInfo{.name = "serve",
                                .summary = "Says what file it was given.",
                                .output = Output::kNone,
                                .takes_artifacts = true};
    return kInfo;
  }
  void visit_options(OptionVisitor& visitor) override {
    visitor.field({.name = "beside", .help = "Served beside.", .takes_artifacts = true}, beside_);
  }
  absl::Status check(CheckContext& context, ModelInfo&) const override {
    for (const Artifact& artifact : context.artifacts_of(beside_))
      context.note(base::str_cat("beside ", artifact.path.string()));
    for (const Artifact& artifact : context.artifacts()) {
      context.note(base::str_cat(artifact.format, " ", artifact.path.string()));
      context.computed_by("box server 2");
    }
    return absl::OkStatus();
  }
  absl::Status run(RunContext& context) const override {
    for (const Artifact& artifact : context.artifacts()) {
      if (context.input() == nullptr) {
        context.row("served", {{"format", artifact.format}, {"unread", true}});
        return absl::OkStatus();
      }
      FRUGAL_ASSIGN_OR_RETURN(const std::string content, base::read_file(artifact.path));
      context.row("served", {{"format", artifact.format}, {"bytes", content.size()}});
    }
    for (const Artifact& artifact : context.artifacts_of(beside_)) {
      FRUGAL_ASSIGN_OR_RETURN(const std::string content, base::read_file(artifact.path));
      context.row("beside", {{"name", context.name_of(beside_)}, {"bytes", content.size()}});
    }
    FRUGAL_ASSIGN_OR_RETURN(const auto values, context.input()->values("model.norm.weight"));
    context.statistic({.name = "first_weight", .value = values[0], .help = "Of the checkpoint."});
    return absl::OkStatus();
  }

 private:
  ModelReference beside_;
};

// Every reading finds 5 J more.
class ToyMeter : public energy::Meter {
 public:
  const energy::MeterInfo& info() const override { return info_; }
  absl::StatusOr<energy::Reading> read() override {
    raw_ += 5000;
    return energy::Reading{raw_, energy::system_clock().seconds()};
  }

 private:
  energy::MeterInfo info_{.name = "toy",
                          .scope = "toy",
                          .method = "counts readings",
                          .unit = "mJ",
                          .joules_per_unit = 1e-3};
  uint64_t raw_ = 0;
};

template <typename T>
std::unique_ptr<Pass> make_pass() {
  return std::make_unique<T>();
}

}  // namespace

const Registry& toy_registry() {
  static const Registry kPasses = {make_pass<MakePass>, make_pass<ScalePass>, make_pass<JudgePass>,
                                   make_pass<PackPass>, make_pass<ServePass>};
  return kPasses;
}

void set_hook(Hook value) { hook() = std::move(value); }

absl::Status write_toy_model(const fs::path& folder, float value) {
  return write_model(folder, [&](const std::string&, int64_t count) {
    return std::vector<float>(static_cast<size_t>(count), value);
  });
}

energy::MeterSet toy_meters() {
  std::vector<std::unique_ptr<energy::Meter>> meters;
  meters.push_back(std::make_unique<ToyMeter>());
  return energy::MeterSet(std::move(meters), {{"nvml", "no driver"}},
                          {.clock = nullptr, .sample_seconds = 0});
}

Workshop::Workshop() {
  fs::create_directories(path() / "teacher");
  if (!write_toy_model(path() / "teacher", 2).ok())
    throw std::runtime_error("the toy model was not written");
  for (const char* name : {"a.txt", "b.txt"}) {
    if (!base::write_file_atomically(path() / name, base::str_cat("Text of ", name, ".\n")).ok())
      throw std::runtime_error(name);
  }
  set_hook({});
}

Plan Workshop::plan(const std::string& text, const Settings& settings) {
  Problems problems("toy.yaml");
  HashStore hashes(path() / "cache" / "hashes");
  Plan plan =
      make_plan(parse_pipeline(text, path(), settings, problems),
                {.registry = &toy_registry(), .hashes = &hashes, .read_weights = true, .until = ""},
                problems);
  EXPECT_EQ(problems.text(), "");
  return plan;
}

std::string Workshop::problems(const std::string& text, const Settings& settings) {
  Problems problems("toy.yaml");
  HashStore hashes(path() / "cache" / "hashes");
  make_plan(parse_pipeline(text, path(), settings, problems),
            {.registry = &toy_registry(), .hashes = &hashes, .read_weights = true, .until = ""},
            problems);
  return problems.text();
}

absl::StatusOr<RunResult> Workshop::run(const std::string& text) {
  return run_plan(plan(text), run_folder());
}

absl::StatusOr<RunResult> Workshop::run_plan(const Plan& plan, const fs::path& run_folder) {
  energy::MeterSet meters = toy_meters();
  RunOptions options;
  options.run_folder = run_folder;
  options.device_description = "toy device";
  options.idle_seconds = 0.001;
  options.style = OutputStyle::kQuiet;
  options.command = "frugal run toy.yaml";
  options.version = "0";
  return pass::run_plan(plan, cache(), meters, options);
}

std::vector<base::Json> Workshop::events(const std::string& kind) const {
  const auto all = read_latest_run(run_folder() / "journal.jsonl");
  std::vector<base::Json> out;
  if (!all.ok()) return out;
  for (const base::Json& event : *all) {
    if (kind.empty() || event.value("event", "") == kind) out.push_back(event);
  }
  return out;
}

}  // namespace frugal::pass::test
