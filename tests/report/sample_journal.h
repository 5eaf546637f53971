// A small journal with everything a report draws: two models, a claim, energy, layer errors, a
// training curve.
#pragma once

#include <string>

#include "base/json.h"
#include "energy/window.h"
#include "report/report.h"

namespace frugal::report {

inline base::Json sample_window(double joules) {
  energy::WindowResult window;
  window.name = "step";
  window.begin_time = "2026-01-01T00:00:00Z";
  window.end_time = "2026-01-01T00:00:10Z";
  window.seconds = 10;
  energy::MeterWindow meter;
  meter.info.name = "cpu-model";
  meter.info.scope = "CPU (model)";
  meter.info.provenance = energy::Provenance::kModelled;
  meter.info.unit = "CPU ns";
  meter.info.joules_per_unit = 1e-9;
  meter.info.joules_per_unit_range = energy::Range{0.5e-9, 3e-9};
  meter.begin = energy::Reading{.raw = 0, .seconds = 0};
  meter.end = energy::Reading{.raw = static_cast<uint64_t>(joules * 1e9), .seconds = 10};
  meter.seconds = 10;
  meter.joules = joules;
  meter.mean_watts = joules / 10;
  window.meters.push_back(meter);
  return energy::to_json(window);
}

inline base::Json statistic(std::string name, base::Json value, std::string unit = "") {
  return {{"name", std::move(name)},
          {"value", std::move(value)},
          {"unit", std::move(unit)},
          {"help", "A number."},
          {"provenance", "measured"}};
}

inline base::Json checkpoint_step(std::string id, std::string variant, std::string pass,
                                  double bytes) {
  return {{"event", "step_end"},
          {"id", std::move(id)},
          {"variant", std::move(variant)},
          {"pass", std::move(pass)},
          {"version", 1},
          {"key", "k1"},
          {"from", base::Json::array()},
          {"options", {{"grid", "q4_0"}}},
          {"cached", false},
          {"seconds", 4.0},
          {"energy", sample_window(50)},
          {"peak_memory_bytes", 1 << 20},
          {"statistics", base::Json::array()},
          {"tables", base::Json::object()},
          {"output",
           {{"kind", "checkpoint"},
            {"path", "x"},
            {"bytes", bytes},
            {"weight_bytes", bytes},
            {"architecture", "Llama 2L"},
            {"hash", "h"}}},
          {"warnings", base::Json::array()}};
}

inline base::Json evaluation_step(std::string model, double accuracy, std::string verdict) {
  base::Json step = checkpoint_step("quality", "", "evaluate", 0);
  step["variant"] = model;
  step["output"] = nullptr;
  step["from"] = {model};
  base::Json number = statistic("sentiment/accuracy", accuracy, "fraction");
  number["low"] = accuracy - 0.02;
  number["high"] = accuracy + 0.02;
  number["n"] = 1000;
  step["statistics"] = {number, statistic("perplexity", 5.0)};
  if (!verdict.empty()) {
    step["tables"] = {{"comparison",
                       {{{"metric", "sentiment/accuracy"},
                         {"reference", "teacher"},
                         {"value", accuracy},
                         {"reference_value", 0.95},
                         {"difference", accuracy - 0.95},
                         {"low", accuracy - 0.96},
                         {"high", accuracy - 0.94},
                         {"confidence", 0.95},
                         {"n", 1000},
                         {"method", "paired"},
                         {"discordant", 0.03},
                         {"margin", 0.02},
                         {"verdict", verdict}}}}};
  }
  return step;
}

// What the measure pass says of a model: `joules` for a million tokens, two less and more at the
// ends.
inline base::Json measure_step(std::string model, double joules) {
  base::Json step = checkpoint_step("speed", "", "measure", 0);
  step["variant"] = model;
  step["output"] = nullptr;
  step["from"] = {model};
  base::Json number = statistic("joules_per_million_tokens", joules, "J");
  number["low"] = joules - 2;
  number["high"] = joules + 2;
  number["n"] = 10;
  step["statistics"] = {number, statistic("joules_per_request", joules / 1000, "J"),
                        statistic("tokens_per_second", 1e6 / joules, "tokens/s")};
  return step;
}

// The step again, over an artifact in llama.cpp, or in another runtime.
inline base::Json in_runtime(base::Json step, std::string artifact,
                             std::string runtime = "llama.cpp") {
  step["variant"] = artifact;
  step["from"] = {artifact};
  std::string file = artifact.substr(artifact.rfind('/') + 1) + ".gguf";
  step["tables"]["runtime"] = {{{"runtime", std::move(runtime)},
                                {"version", "xllamacpp 1.0"},
                                {"artifact", std::move(file)},
                                {"format", "gguf"},
                                {"threads", 2}}};
  return step;
}

inline base::Json export_of(std::string model, std::string id, std::string variant, double bytes) {
  base::Json step = checkpoint_step(std::move(id), std::move(variant), "export", 0);
  step["from"] = {std::move(model)};
  step["output"] = {{"kind", "artifact"}};
  step["statistics"] = {statistic("artifact_bytes", bytes, "bytes")};
  return step;
}

// What measure says besides of a batch of one, 64 ids read and 33 generated: a request takes
// `joules`, a fifth of them to read, and half of all were drawn by devices that do nothing.
inline base::Json with_parts(base::Json step, double joules) {
  for (const auto& [name, value] : {std::pair{"prefill_joules_per_token/batch_1", joules / 5 / 64},
                                    {"decode_joules_per_token/batch_1", joules * 4 / 5 / 32},
                                    {"joules_per_request/batch_1", joules},
                                    {"net_joules_per_request/batch_1", joules / 2}})
    step["statistics"].push_back(statistic(name, value, "J"));
  base::Json first = statistic("time_to_first_token_p50/batch_1", 0.02, "seconds");
  step["statistics"].push_back(first);
  step["tables"]["speed"] = {{{"batch", 1}, {"prompt_tokens", 64}, {"generated_tokens", 33}}};
  return step;
}

inline JournalView sample_journal(const std::string& verdict = "claimed") {
  JournalView journal;
  journal.sha256 = std::string(64, 'a');
  journal.run_start = {
      {"event", "run_start"},
      {"schema", 1},
      {"frugal", "0.1.0"},
      {"time", "2026-01-01T00:00:00Z"},
      {"name", "sample </script><b>"},
      {"description", "A sample."},
      {"seed", 1},
      {"machine", {{"cpu", "a CPU"}, {"cores", 2}}},
      {"meters",
       {{{"name", "cpu-model"},
         {"scope", "CPU (model)"},
         {"provenance", "modelled"},
         {"method", "CPU time × TDP"}},
        {{"name", "nvml"}, {"unavailable", "no NVIDIA driver"}}}},
      {"site",
       {{"name", "Somewhere"},
        {"intensity", {{"grams_per_kwh", 400}, {"year", 2023}, {"source", "a table"}}},
        {"pue", {{"value", 1.2}, {"year", 2023}, {"source", "a table"}}}}},
      {"report",
       {{"baseline", "teacher"},
        {"claim", {{"metric", "sentiment/accuracy"}, {"margin", 0.02}, {"kind", "absolute"}}}}},
      {"command", "frugal run sample.yaml"}};
  base::Json teacher = checkpoint_step("teacher", "", "train", 8e6);
  teacher["tables"] = {
      {"training_curve",
       {{{"step", 0}, {"tokens", 0}, {"loss", 6.0}, {"validation_loss", 6.1}},
        {{"step", 100}, {"tokens", 4096}, {"loss", 2.0}, {"validation_loss", 2.1}}}}};
  base::Json small = checkpoint_step("small", "q4_0", "quantize", 1e6);
  small["from"] = {"teacher"};
  small["tables"] = {{"layer_error",
                      {{{"layer", 0}, {"matrix", "self_attn.q_proj"}, {"error_after", 0.01}},
                       {{"layer", 0}, {"matrix", "mlp.down_proj"}, {"error_after", 0.03}}}}};
  journal.steps = {teacher,
                   small,
                   evaluation_step("teacher", 0.95, ""),
                   evaluation_step("small/q4_0", 0.945, verdict),
                   measure_step("teacher", 100),
                   measure_step("small/q4_0", 141)};
  journal.run_end = {{"event", "run_end"}, {"status", "done"}, {"seconds", 20}};
  return journal;
}

// The sample with GGUF files of both models, scored and metered in llama.cpp: the teacher's takes
// 100 J for a million tokens and 0.1 J for a response, with 2% of it to either side, the student's
// `joules`.
inline JournalView served_journal(double joules, const std::string& verdict = "claimed") {
  JournalView journal = sample_journal(verdict);
  const auto measured = [](const char* artifact, double each) {
    base::Json step = with_parts(in_runtime(measure_step("", each), artifact), each / 1000);
    base::Json& response = step["statistics"][1];
    response["low"] = each / 1000 * 0.98;
    response["high"] = each / 1000 * 1.02;
    return step;
  };
  journal.steps.push_back(export_of("teacher", "gguf", "teacher", 7e6));
  journal.steps.push_back(export_of("small/q4_0", "gguf", "small-q4_0", 9e5));
  journal.steps.push_back(in_runtime(evaluation_step("", 0.95, ""), "gguf/teacher"));
  journal.steps.push_back(in_runtime(evaluation_step("", 0.94, verdict), "gguf/small-q4_0"));
  journal.steps.push_back(measured("gguf/teacher", 100));
  journal.steps.push_back(measured("gguf/small-q4_0", joules));
  return journal;
}

}  // namespace frugal::report
