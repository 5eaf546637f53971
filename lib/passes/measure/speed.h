// Runs a fixed inference workload inside energy windows.
//
// A request reads prompt_tokens ids and yields generated_tokens: the first comes with the prompt
// (prefill), each further one takes a step (decode). End-of-text is ignored, ids are random: every
// model does the same work. A window repeats one phase until it has lasted long enough for the
// meters; before each window one uncounted run warms caches.
//
// In every round each batch size and phase has its window. Where two models are compared, their
// windows lie next to each other, and the lot says for each round which of the two comes first
// (energy/paired_rounds.h): a drift of the machine meets both alike.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "energy/window.h"

namespace frugal::model {
class Decoder;
}

namespace frugal::passes {

struct Workload {
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;  // at least 2
  int64_t batch = 1;             // requests that run together
};

// One metered window: `runs` repetitions of a phase.
struct PhaseWindow {
  int64_t runs = 0;
  std::vector<double> run_seconds;   // one per run
  std::vector<double> step_seconds;  // decode: one per step of every run
  energy::WindowResult energy;
};

struct SpeedRepeat {
  PhaseWindow prefill, decode;
};

struct Speed {
  Workload workload;
  std::vector<SpeedRepeat> repeats;
};

struct SpeedSettings {
  int64_t repeats = 10;          // rounds
  double seconds_minimum = 5.0;  // of every window
  double idle_seconds =
      5.0;  // of an idle window before and after; only where a meter counts a whole device
  std::string title;  // of the progress line; empty: no progress
};

// What is timed: one workload in some engine.
class SpeedProbe {
 public:
  virtual ~SpeedProbe() = default;
  virtual const Workload& workload() const = 0;
  // Reads the prompts into a fresh cache and picks the first new token of each.
  virtual absl::Status prefill() = 0;
  // The further tokens, from the cache that prefill left; that cache stays usable. Appends the
  // seconds of each step to `step_seconds`, where it is not null.
  virtual absl::Status decode(std::vector<double>* step_seconds) = 0;
};

// The ids of the prompts, [batch * prompt_tokens], the same for every engine.
std::vector<int32_t> prompt_ids(const Workload& workload, int64_t vocabulary,
                                base::RandomStream& random);

// What one model was timed with: a probe for each workload.
using Probes = std::vector<std::unique_ptr<SpeedProbe>>;

struct Measured {
  std::vector<std::vector<Speed>> models;  // of each model, its workloads
  std::vector<size_t> first;               // of each round, the model whose windows came first
  std::vector<energy::WindowResult> idle;  // before and after, where a meter counts a whole device
};

// One model, or two that take turns. Idle power is already applied to the energy windows. `clock`
// is the meters' clock, `lots` decides on the order. Errors: those of the probes, interrupted.
absl::StatusOr<Measured> measure_rounds(const std::vector<Probes>& models,
                                        const SpeedSettings& settings, energy::MeterSet& meters,
                                        const energy::Clock& clock, base::RandomStream lots);

// Probes of frugal's own forward; they refer to `decoder` and `clock`. Errors: a workload longer
// than the context, out of memory.
absl::StatusOr<Probes> decoder_probes(const model::Decoder& decoder,
                                      const std::vector<Workload>& workloads,
                                      const energy::Clock& clock, base::RandomStream random);

}  // namespace frugal::passes
