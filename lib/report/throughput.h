// What the measure steps of a run say of serving: a machine's tokens, watts and joules while it
// answers requests one behind the other, prompts included. Internal to the room.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "report/report.h"

namespace frugal::report {

struct Throughput {
  std::string name;                 // the model; of frugal's own forward, the architecture
  std::string engine;               // "llama.cpp b4000", "frugal's fp32 forward"
  std::vector<std::string> models;  // that it stands for
  std::string workload;             // "batch 1, 256 prompt and 64 generated tokens"
  // Numbers as in report.json; unknown ones are null, with a reason.
  base::Json joules;             // J for a million generated tokens
  base::Json tokens_per_second;  // generated, the time of reading the prompts included
  base::Json watts;              // mean, while it serves
};

// In order of appearance. Models of one architecture cost the same in frugal's own forward
// (architectures.h), so they are one row there: the mean, its bounds over all of theirs.
std::vector<Throughput> collect_throughput(const JournalView& journal, const base::Json& models);

}  // namespace frugal::report
