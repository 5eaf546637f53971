// Tested by: tests/passes/measure_test.cpp
#include "passes/measure/measure_pass.h"

#include <algorithm>
#include <optional>

#include "model/decoder.h"
#include "passes/common/serving.h"
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
                 .help = "Windows of each phase and batch size; the intervals come from them.",
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
        .version = 1,
        .summary =
            "Measures speed, latency and energy of inference, prefill and decode apart, "
            "with intervals over repeats.",
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
    const int64_t largest = *std::max_element(options_.batch.begin(), options_.batch.end());
    if (serving && serving->runtime->times_one_sequence && largest > 1) {
      return base::invalid_argument("measure: ", serving->runtime->name,
                                    " is timed with one sequence at a time, and batch names ",
                                    largest, "; set batch: 1, or another runtime");
    }
    if (!serving && !model.grids.empty()) {
      context.warn(
          base::str_cat("measure: ", kOwnForward,
                        " decodes quantized weights, so every grid takes the same time and "
                        "energy in it; what a grid saves shows in its runtime: measure "
                        "the export"));
    }
    const double windows =
        2.0 * static_cast<double>(options_.repeats) * static_cast<double>(options_.batch.size());
    pass::Estimate estimate{
        .seconds = windows * options_.seconds_minimum + 2.0 * options_.idle_seconds,
        .basis = "windows of seconds_minimum each"};
    if (!serving) {  // a runtime's memory is its own
      estimate.peak_memory_bytes = 4 * model.config.parameter_count();
      estimate.basis += "; fp32 weights";
    }
    context.estimate(estimate);
    return absl::OkStatus();
  }

  absl::Status run(pass::RunContext& context) const override {
    FRUGAL_ASSIGN_OR_RETURN(const auto serving,
                            run_serving(options_.runtime, Purpose::kTiming, context));
    return serving ? measure_served(*serving, context) : measure_own_forward(context);
  }

 private:
  std::vector<Workload> workloads() const {
    std::vector<Workload> result;
    for (const int64_t batch : options_.batch)
      result.push_back({options_.prompt_tokens, options_.generated_tokens, batch});
    return result;
  }

  SpeedSettings settings(const pass::RunContext& context) const {
    return {.repeats = options_.repeats,
            .seconds_minimum = options_.seconds_minimum,
            .idle_seconds = options_.idle_seconds,
            .title = base::str_cat("measure ", context.input_name())};
  }

  static base::RandomStream prompts(const pass::RunContext& context) {
    return base::RandomStream(context.seed(), "measure/prompt");
  }

  absl::Status measure_own_forward(pass::RunContext& context) const {
    FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(context.device()));
    FRUGAL_ASSIGN_OR_RETURN(
        const auto decoder,
        model::Decoder::load(*context.input(), {.type = at::kFloat, .device = device}));
    FRUGAL_ASSIGN_OR_RETURN(const auto speeds,
                            measure_speed(decoder, workloads(), settings(context), context.meters(),
                                          energy::system_clock(), prompts(context)));
    context.row("runtime", own_forward_row(context.device()));
    return report(speeds, kOwnForward, context);
  }

  absl::Status measure_served(const Serving& serving, pass::RunContext& context) const {
    FRUGAL_ASSIGN_OR_RETURN(const InputModel input, input_model(context));
    ServedModel served(serving, input.config.vocabulary_size);
    const int64_t largest = *std::max_element(options_.batch.begin(), options_.batch.end());
    FRUGAL_ASSIGN_OR_RETURN(
        runtime::Session* const session,
        served.open(options_.prompt_tokens + options_.generated_tokens, largest));
    base::RandomStream random = prompts(context);
    std::vector<std::unique_ptr<SpeedProbe>> probes;
    for (const Workload& workload : workloads())
      probes.push_back(std::make_unique<ServedProbe>(*session, workload, random));
    FRUGAL_ASSIGN_OR_RETURN(
        const auto speeds,
        measure_speed(probes, settings(context), context.meters(), energy::system_clock()));
    context.row("runtime", served.row());
    FRUGAL_RETURN_IF_ERROR(report(speeds, serving.engine(), context));
    if (const auto peak = session->peak_resident_bytes()) {
      context.statistic({.name = "runtime_peak_memory",
                         .value = static_cast<double>(*peak),
                         .unit = "bytes",
                         .help = base::str_cat("Most memory that the process of ", serving.engine(),
                                               " had resident, with the weights it maps.")});
    }
    return absl::OkStatus();
  }

  static absl::Status report(const std::vector<Speed>& speeds, std::string_view engine,
                             pass::RunContext& context) {
    const base::RandomStream random(context.seed(), "measure/bootstrap");
    for (pass::Statistic& statistic : speed_statistics(speeds, random)) {
      statistic.help += base::str_cat(" Timed in ", engine, ".");
      context.statistic(std::move(statistic));
    }
    for (base::Json& row : speed_rows(speeds)) context.row("speed", std::move(row));
    for (const std::string& warning : speed_warnings(speeds)) context.warn(warning);
    std::vector<base::Json> windows;
    for (const Speed& speed : speeds) {
      for (const SpeedRepeat& repeat : speed.repeats) {
        windows.push_back(energy::to_json(repeat.prefill.energy));
        windows.push_back(energy::to_json(repeat.decode.energy));
      }
    }
    return context.write_items("energy_windows", windows);
  }

  MeasureOptions options_;
};

}  // namespace

std::unique_ptr<pass::Pass> make_measure_pass() { return std::make_unique<MeasurePass>(); }

}  // namespace frugal::passes
