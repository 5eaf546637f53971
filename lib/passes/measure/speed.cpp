// Tested by: tests/passes/measure_test.cpp
#include "passes/measure/speed.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <memory>

#include "base/interrupt.h"
#include "base/progress.h"
#include "model/decoder.h"
#include "passes/measure/window_numbers.h"
#include "tensor/aten.h"
#include "tensor/guard.h"

namespace frugal::passes {
namespace {

// One workload with its prompt and the cache behind it, in our own forward.
class DecoderProbe final : public SpeedProbe {
 public:
  DecoderProbe(const model::Decoder& decoder, const Workload& workload, const energy::Clock& clock,
               base::RandomStream& random)
      : decoder_(decoder), workload_(workload), clock_(clock) {
    std::vector<int32_t> ids = prompt_ids(workload, decoder.config().vocabulary_size, random);
    prompt_ = at::from_blob(ids.data(), {workload.batch, workload.prompt_tokens}, at::kInt)
                  .to(at::kLong)
                  .to(decoder.device());
  }

  const Workload& workload() const override { return workload_; }

  // Reading the picked token on the host waits for the device.
  absl::Status prefill() override {
    return tensor::guarded("prefill", [&] {
      const c10::InferenceMode inference;
      cache_ = {};
      first_ = next(prompt_, cache_);
    });
  }

  absl::Status decode(std::vector<double>* step_seconds) override {
    return tensor::guarded("decode", [&] {
      const c10::InferenceMode inference;
      model::KeyValueCache cache = cache_;
      at::Tensor ids = first_;
      for (int64_t step = 1; step < workload_.generated_tokens; ++step) {
        const double begin = clock_.seconds();
        ids = next(ids, cache);
        if (step_seconds != nullptr) step_seconds->push_back(clock_.seconds() - begin);
      }
    });
  }

 private:
  // [B, 1] ids on the device, the greedy successors of `ids` [B, T].
  at::Tensor next(const at::Tensor& ids, model::KeyValueCache& cache) const {
    const at::Tensor hidden =
        decoder_.hidden({.ids = ids, .positions = {}, .segments = {}}, &cache);
    const at::Tensor last = hidden.select(1, hidden.size(1) - 1);
    const at::Tensor best = at::linear(last, decoder_.head().weight).argmax(-1, true);
    return best.to(at::kCPU).to(decoder_.device());
  }

  const model::Decoder& decoder_;
  Workload workload_;
  const energy::Clock& clock_;
  at::Tensor prompt_, first_;
  model::KeyValueCache cache_;
};

struct Bench {
  energy::MeterSet& meters;
  const energy::Clock& clock;
  double seconds_minimum;
};

// Repeats `run` in one energy window until it has lasted long enough.
template <typename Run>
absl::StatusOr<PhaseWindow> metered(const Bench& bench, std::string_view name, const Run& run) {
  FRUGAL_RETURN_IF_ERROR(run(nullptr));  // warms up, not counted
  PhaseWindow result;
  energy::Window window = bench.meters.begin(name);
  const double begin = bench.clock.seconds();
  double now = begin;
  do {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    FRUGAL_RETURN_IF_ERROR(run(&result.step_seconds));
    const double end = bench.clock.seconds();
    result.run_seconds.push_back(end - now);
    now = end;
    ++result.runs;
  } while (now - begin < bench.seconds_minimum);
  result.energy = window.end();
  return result;
}

// The windows of one round and workload: phase by phase, so that those of one phase lie next to
// each other. A model's decode follows its prefill, whose cache it goes on from.
absl::Status measure_round(const std::vector<Probes>& models, size_t workload, size_t first,
                           const Bench& bench, base::Progress* progress, Measured& out) {
  for (std::vector<Speed>& speeds : out.models) speeds[workload].repeats.emplace_back();
  for (const Phase phase : {Phase::kPrefill, Phase::kDecode}) {
    for (size_t turn = 0; turn < models.size(); ++turn) {
      const size_t model = (first + turn) % models.size();
      SpeedProbe& probe = *models[model][workload];
      const std::string name = base::str_cat(model == 0 ? "" : "reference ", "batch ",
                                             probe.workload().batch, " ", to_string(phase));
      const auto run = [&](std::vector<double>* steps) {
        return phase == Phase::kPrefill ? probe.prefill() : probe.decode(steps);
      };
      FRUGAL_ASSIGN_OR_RETURN(PhaseWindow window, metered(bench, name, run));
      SpeedRepeat& repeat = out.models[model][workload].repeats.back();
      (phase == Phase::kPrefill ? repeat.prefill : repeat.decode) = std::move(window);
      if (progress != nullptr) progress->advance(1);
    }
  }
  return absl::OkStatus();
}

absl::Status check(const Workload& workload, int64_t context_length) {
  const int64_t length = workload.prompt_tokens + workload.generated_tokens;
  if (length > context_length) {
    return base::invalid_argument("measure: ", workload.prompt_tokens, " prompt tokens and ",
                                  workload.generated_tokens, " generated ones need a context of ",
                                  length, ", the model's holds ", context_length,
                                  "; lower one of them");
  }
  return absl::OkStatus();
}

void apply_idle(Measured& measured, const std::vector<energy::IdlePower>& idle) {
  for (std::vector<Speed>& speeds : measured.models) {
    for (Speed& speed : speeds) {
      for (SpeedRepeat& repeat : speed.repeats) {
        energy::apply_idle(repeat.prefill.energy, idle);
        energy::apply_idle(repeat.decode.energy, idle);
      }
    }
  }
}

bool counts_whole_device(const energy::MeterSet& meters) {
  const auto infos = meters.meters();
  return std::any_of(infos.begin(), infos.end(),
                     [](const auto& info) { return info.whole_device; });
}

}  // namespace

absl::StatusOr<Probes> decoder_probes(const model::Decoder& decoder,
                                      const std::vector<Workload>& workloads,
                                      const energy::Clock& clock, base::RandomStream random) {
  const c10::InferenceMode inference;
  Probes probes;
  for (const Workload& workload : workloads) {
    FRUGAL_RETURN_IF_ERROR(check(workload, decoder.config().context_length));
    FRUGAL_RETURN_IF_ERROR(tensor::guarded("preparing a prompt", [&] {
      probes.push_back(std::make_unique<DecoderProbe>(decoder, workload, clock, random));
    }));
  }
  return probes;
}

std::vector<int32_t> prompt_ids(const Workload& workload, int64_t vocabulary,
                                base::RandomStream& random) {
  std::vector<int32_t> ids(static_cast<size_t>(workload.batch * workload.prompt_tokens));
  for (int32_t& id : ids)
    id = static_cast<int32_t>(random.below(static_cast<uint64_t>(vocabulary)));
  return ids;
}

absl::StatusOr<Measured> measure_rounds(const std::vector<Probes>& models,
                                        const SpeedSettings& settings, energy::MeterSet& meters,
                                        const energy::Clock& clock, base::RandomStream lots) {
  Measured out;
  int64_t workloads = 0;
  for (const Probes& probes : models) {
    std::vector<Speed>& speeds = out.models.emplace_back();
    for (const auto& probe : probes) speeds.push_back({probe->workload(), {}});
    workloads = static_cast<int64_t>(probes.size());
  }
  const bool idle = settings.idle_seconds > 0 && counts_whole_device(meters);
  if (idle) out.idle.push_back(meters.measure_idle(settings.idle_seconds));
  std::unique_ptr<base::Progress> progress;
  if (!settings.title.empty()) {
    progress = std::make_unique<base::Progress>(
        settings.title, "windows",
        2 * settings.repeats * workloads * static_cast<int64_t>(models.size()));
  }
  const Bench bench{meters, clock, settings.seconds_minimum};
  for (int64_t round = 0; round < settings.repeats; ++round) {
    out.first.push_back(models.size() > 1 ? lots.below(models.size()) : 0);
    for (int64_t workload = 0; workload < workloads; ++workload) {
      FRUGAL_RETURN_IF_ERROR(measure_round(models, static_cast<size_t>(workload), out.first.back(),
                                           bench, progress.get(), out));
    }
  }
  // Without an idle window a whole device's net energy stays unknown; what counts only this process
  // is net by itself.
  std::vector<energy::IdlePower> idle_power;
  if (idle) {
    out.idle.push_back(meters.measure_idle(settings.idle_seconds));
    idle_power = energy::idle_power(out.idle.front(), &out.idle.back());
  }
  apply_idle(out, idle_power);
  return out;
}

}  // namespace frugal::passes
