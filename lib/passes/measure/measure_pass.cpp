// Tested by: tests/passes/measure_test.cpp
#include "passes/measure/measure_pass.h"

#include <algorithm>
#include <list>
#include <optional>

#include "energy/paired_rounds.h"
#include "model/decoder.h"
#include "passes/common/serving.h"
#include "passes/measure/boundary.h"
#include "passes/measure/paired.h"
#include "passes/measure/reference.h"
#include "passes/measure/speed.h"
#include "passes/measure/summary.h"
#include "tensor/device.h"

namespace frugal::passes {
namespace {

struct MeasureOptions {
  int64_t prompt_tokens = 256;
  int64_t generated_tokens = 64;
  std::vector<int64_t> batch = {1};
  int64_t repeats = 10;
  double seconds_minimum = 5.0;
  double idle_seconds = 5.0;
  std::string runtime = "auto";
  pass::ModelReference reference;
  double outlier_deviations = 5.0;
};

void visit(MeasureOptions& options, pass::OptionVisitor& visitor) {
  visitor.field({.name = "prompt_tokens",
                 .help = "Ids that each request reads before it generates.",
                 .unit = "tokens",
                 .minimum = 1},
                options.prompt_tokens);
  visitor.field({.name = "generated_tokens",
                 .help = "Ids that each request generates; end-of-text is ignored.",
                 .unit = "tokens",
                 .minimum = 2},
                options.generated_tokens);
  visitor.field(
      {.name = "batch",
       .help = "Numbers of requests that run together; the first one gives the headline numbers.",
       .minimum = 1,
       .maximum = 65536},
      options.batch);
  visitor.field({.name = "repeats",
                 .help = "Rounds: windows of each phase and batch size; the intervals come from "
                         "them.",
                 .minimum = 1,
                 .maximum = 1000},
                options.repeats);
  visitor.field(
      {.name = "seconds_minimum",
       .help = "Shortest duration of a window; meters that move slowly need several seconds.",
       .unit = "seconds",
       .minimum = 0,
       .maximum = 3600},
      options.seconds_minimum);
  visitor.field({.name = "idle_seconds",
                 .help = "Duration of the idle window before and after; used where a meter counts "
                         "a whole device, 0 "
                         "leaves net energy unknown.",
                 .unit = "seconds",
                 .minimum = 0,
                 .maximum = 3600},
                options.idle_seconds);
  visit_runtime(options.runtime, visitor);
  visitor.field(
      {.name = "reference",
       .help =
           "Model or artifact to compare with, in the same runtime and on the same prompts: in "
           "each round the windows of both lie next to each other in an order drawn by lot, and "
           "ratios get an interval, a p value and a verdict; takes twice the time.",
       .takes_artifacts = true},
      options.reference);
  visitor.field(
      {.name = "outlier_deviations",
       .help = "With a reference: a round is left out, for both alike, where the seconds of both "
               "models' runs of a phase together lie further than so many scaled median absolute "
               "deviations from the median of the rounds; what is left out is recorded, 0 keeps "
               "all.",
       .minimum = 0},
      options.outlier_deviations);
}

absl::Status check_options(const MeasureOptions& options, int64_t context_length) {
  const int64_t length = options.prompt_tokens + options.generated_tokens;
  if (length > context_length) {
    return base::invalid_argument("measure: prompt_tokens ", options.prompt_tokens,
                                  " and generated_tokens ", options.generated_tokens,
                                  " need a context of ", length, " tokens, the model's holds ",
                                  context_length, "; lower one of them");
  }
  if (options.batch.empty()) {
    return base::invalid_argument("measure: batch is an empty list; give at least one size");
  }
  for (size_t i = 0; i < options.batch.size(); ++i) {
    if (std::count(options.batch.begin(), options.batch.end(), options.batch[i]) > 1) {
      return base::invalid_argument("measure: batch ", options.batch[i], " is listed twice");
    }
  }
  return absl::OkStatus();
}

// One workload of an artifact in its runtime.
class ServedProbe final : public SpeedProbe {
 public:
  ServedProbe(runtime::Session& session, const Workload& workload, base::RandomStream& random)
      : session_(session),
        workload_(workload),
        ids_(prompt_ids(workload, session.info().vocabulary, random)) {}

  const Workload& workload() const override { return workload_; }
  absl::Status prefill() override { return session_.prefill(workload_.batch, ids_).status(); }
  absl::Status decode(std::vector<double>* step_seconds) override {
    FRUGAL_ASSIGN_OR_RETURN(const auto steps, session_.decode(workload_.generated_tokens - 1));
    if (step_seconds != nullptr)
      step_seconds->insert(step_seconds->end(), steps.begin(), steps.end());
    return absl::OkStatus();
  }

 private:
  runtime::Session& session_;
  Workload workload_;
  std::vector<int32_t> ids_;
};

class MeasurePass final : public pass::Pass {
 public:
  const pass::PassInfo& info() const override {
    static const pass::PassInfo info{
        .name = "measure",
        .version = 2,
        .summary =
            "Measures speed, latency and energy of inference, prefill and decode apart, "
            "with intervals over rounds; in turns with a reference, where one is named.",
        .input = pass::Input::kCheckpoint,
        .output = pass::Output::kNone,
        .takes_artifacts = true};
    return info;
  }

  void visit_options(pass::OptionVisitor& visitor) override { visit(options_, visitor); }

  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override {
    FRUGAL_RETURN_IF_ERROR(check_options(options_, model.config.context_length));
    FRUGAL_ASSIGN_OR_RETURN(const auto serving, check_serving(options_.runtime, "measure", model,
                                                              Purpose::kTiming, context));
    if (serving && serving->runtime->times_one_sequence && largest_batch() > 1) {
      return base::invalid_argument("measure: ", serving->runtime->name,
                                    " is timed with one sequence at a time, and batch names ",
                                    largest_batch(), "; set batch: 1, or another runtime");
    }
    FRUGAL_ASSIGN_OR_RETURN(const pass::ModelInfo reference,
                            check_reference(serving, context, model));
    if (!serving && !(model.grids.empty() && reference.grids.empty())) {
      context.warn(
          base::str_cat(kOwnForward,
                        " decodes quantized weights, so every grid takes the same time and "
                        "energy in it; what a grid saves shows in its runtime: measure "
                        "the export"));
    }
    const double windows = (compares() ? 4.0 : 2.0) * static_cast<double>(options_.repeats) *
                           static_cast<double>(options_.batch.size());
    pass::Estimate estimate{
        .seconds = windows * options_.seconds_minimum + 2.0 * options_.idle_seconds,
        .basis = "windows of seconds_minimum each"};
    if (!serving) {  // a runtime's memory is its own
      const int64_t other = compares() ? reference.config.parameter_count() : 0;
      estimate.peak_memory_bytes = 4 * (model.config.parameter_count() + other);
      estimate.basis += "; fp32 weights";
    }
    context.estimate(estimate);
    return absl::OkStatus();
  }

  absl::Status run(pass::RunContext& context) const override {
    FRUGAL_ASSIGN_OR_RETURN(const auto serving,
                            run_serving(options_.runtime, Purpose::kTiming, context));
    std::optional<Serving> reference;
    if (compares()) {
      FRUGAL_ASSIGN_OR_RETURN(
          reference,
          reference_serving(options_.runtime, serving,
                            {context.name_of(options_.reference),
                             context.artifacts_of(options_.reference), context.artifacts()}));
    }
    return serving ? measure_served(*serving, reference, context) : measure_own_forward(context);
  }

 private:
  bool compares() const { return !options_.reference.name.empty(); }

  int64_t largest_batch() const {
    return *std::max_element(options_.batch.begin(), options_.batch.end());
  }

  // Nothing is known of it where there is none.
  absl::StatusOr<pass::ModelInfo> check_reference(const std::optional<Serving>& serving,
                                                  pass::CheckContext& context,
                                                  const pass::ModelInfo& model) const {
    if (!compares()) return pass::ModelInfo{};
    FRUGAL_ASSIGN_OR_RETURN(pass::ModelInfo reference, context.model(options_.reference));
    FRUGAL_RETURN_IF_ERROR(
        check_same_work(model, reference, options_.prompt_tokens + options_.generated_tokens));
    FRUGAL_RETURN_IF_ERROR(
        reference_serving(
            options_.runtime, serving,
            {reference.name, context.artifacts_of(options_.reference), context.artifacts()})
            .status());
    if (reference.name == model.name) {
      context.note("compared with itself: what differs is the error of measuring here");
    }
    if (options_.repeats < energy::rounds_needed()) {
      context.warn(base::str_cat("repeats = ", options_.repeats, ", and no difference to '",
                                 reference.name, "' can be shown below ", energy::rounds_needed()));
    }
    return reference;
  }

  std::vector<Workload> workloads() const {
    std::vector<Workload> result;
    for (const int64_t batch : options_.batch)
      result.push_back({options_.prompt_tokens, options_.generated_tokens, batch});
    return result;
  }

  absl::StatusOr<Measured> measure(const std::vector<Probes>& models,
                                   pass::RunContext& context) const {
    const SpeedSettings settings{.repeats = options_.repeats,
                                 .seconds_minimum = options_.seconds_minimum,
                                 .idle_seconds = options_.idle_seconds,
                                 .title = base::str_cat("measure ", context.input_name())};
    return measure_rounds(models, settings, context.meters(), energy::system_clock(),
                          base::RandomStream(context.seed(), "measure/order"));
  }

  // The same for every model.
  static base::RandomStream prompts(const pass::RunContext& context) {
    return base::RandomStream(context.seed(), "measure/prompt");
  }

  absl::Status measure_own_forward(pass::RunContext& context) const {
    FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(context.device()));
    std::vector<format::Checkpoint> checkpoints = {*context.input()};
    if (compares()) {
      FRUGAL_ASSIGN_OR_RETURN(auto reference, context.model(options_.reference));
      checkpoints.push_back(std::move(reference));
    }
    std::list<model::Decoder> decoders;  // probes refer to them
    std::vector<Probes> probes;
    for (const format::Checkpoint& checkpoint : checkpoints) {
      FRUGAL_ASSIGN_OR_RETURN(
          model::Decoder decoder,
          model::Decoder::load(checkpoint, {.type = at::kFloat, .device = device}));
      decoders.push_back(std::move(decoder));
      FRUGAL_ASSIGN_OR_RETURN(Probes own, decoder_probes(decoders.back(), workloads(),
                                                         energy::system_clock(), prompts(context)));
      probes.push_back(std::move(own));
    }
    FRUGAL_ASSIGN_OR_RETURN(const Measured measured, measure(probes, context));
    context.row("runtime", own_forward_row(context.device()));
    return report(measured, kOwnForward, context);
  }

  absl::StatusOr<Probes> served_probes(ServedModel& model, const pass::RunContext& context) const {
    FRUGAL_ASSIGN_OR_RETURN(
        runtime::Session* const session,
        model.open(options_.prompt_tokens + options_.generated_tokens, largest_batch()));
    base::RandomStream random = prompts(context);
    Probes probes;
    for (const Workload& workload : workloads())
      probes.push_back(std::make_unique<ServedProbe>(*session, workload, random));
    return probes;
  }

  absl::Status measure_served(const Serving& serving, const std::optional<Serving>& reference,
                              pass::RunContext& context) const {
    FRUGAL_ASSIGN_OR_RETURN(const InputModel input, input_model(context));
    const int64_t vocabulary = input.config.vocabulary_size;
    std::list<ServedModel> models;  // probes refer to them
    std::vector<Probes> probes;
    models.emplace_back(serving, vocabulary);
    if (reference) models.emplace_back(*reference, vocabulary);
    for (ServedModel& model : models) {
      FRUGAL_ASSIGN_OR_RETURN(Probes own, served_probes(model, context));
      probes.push_back(std::move(own));
    }
    FRUGAL_ASSIGN_OR_RETURN(const Measured measured, measure(probes, context));
    for (const ServedModel& model : models) {
      base::Json row = model.row();
      if (&model != &models.front()) row["reference"] = context.name_of(options_.reference);
      context.row("runtime", std::move(row));
    }
    FRUGAL_RETURN_IF_ERROR(report(measured, serving.engine(), context));
    FRUGAL_ASSIGN_OR_RETURN(runtime::Session* const session, models.front().open(1));
    if (const auto peak = session->peak_resident_bytes()) {
      context.statistic({.name = "runtime_peak_memory",
                         .value = static_cast<double>(*peak),
                         .unit = "bytes",
                         .help = base::str_cat("Most memory that the process of ", serving.engine(),
                                               " had resident, with the weights it maps.")});
    }
    return absl::OkStatus();
  }

  void report_comparison(const Measured& measured, pass::RunContext& context) const {
    const PairedOptions options{context.name_of(options_.reference), options_.outlier_deviations};
    const std::vector<base::Json> rows = comparison_rows(measured, options);
    for (pass::Statistic& statistic : comparison_statistics(rows))
      context.statistic(std::move(statistic));
    for (const std::string& warning : comparison_warnings(rows)) context.warn(warning);
    for (const base::Json& row : rows) context.row("energy_comparison", row);
    for (base::Json& row : round_rows(measured, options))
      context.row("energy_rounds", std::move(row));
  }

  absl::Status report(const Measured& measured, std::string_view engine,
                      pass::RunContext& context) const {
    if (compares()) report_comparison(measured, context);
    const std::vector<Speed>& speeds = measured.models.front();
    const base::RandomStream random(context.seed(), "measure/bootstrap");
    for (pass::Statistic& statistic : speed_statistics(speeds, random)) {
      statistic.help += base::str_cat(" Timed in ", engine, ".");
      context.statistic(std::move(statistic));
    }
    for (base::Json& row : speed_rows(speeds)) context.row("speed", std::move(row));
    context.row("boundary", boundary_row(measured));
    for (base::Json& row : idle_rows(measured)) context.row("idle", std::move(row));
    for (base::Json& row : condition_rows(measured)) context.row("conditions", std::move(row));
    for (const std::string& warning : speed_warnings(measured)) context.warn(warning);
    return context.write_items("energy_windows", windows_of(measured));
  }

  // Every window with its raw readings, those of the reference and of idle devices, too.
  static std::vector<base::Json> windows_of(const Measured& measured) {
    std::vector<base::Json> windows;
    for (const energy::WindowResult& idle : measured.idle) windows.push_back(energy::to_json(idle));
    for (const std::vector<Speed>& speeds : measured.models) {
      for (const Speed& speed : speeds) {
        for (const SpeedRepeat& repeat : speed.repeats) {
          windows.push_back(energy::to_json(repeat.prefill.energy));
          windows.push_back(energy::to_json(repeat.decode.energy));
        }
      }
    }
    return windows;
  }

  MeasureOptions options_;
};

}  // namespace

std::unique_ptr<pass::Pass> make_measure_pass() { return std::make_unique<MeasurePass>(); }

}  // namespace frugal::passes
