// A journal in which two artifacts were served by llama.cpp, and the teacher by frugal's own
// forward.
#pragma once

#include "sample_journal.h"

namespace frugal::report {

// `pace`: how many times quicker, at as many watts, than 1000 tokens read and 200 written a second
// with 6 J a request.
inline base::Json served_step(const std::string& model, const std::string& runtime, double pace) {
  base::Json step = checkpoint_step("serve", model, "measure", 0);
  step["output"] = nullptr;
  step["from"] = {model};
  step["options"] = {{"prompt_tokens", 100}, {"generated_tokens", 21}, {"batch", {4, 1}}};
  const auto number = [](const std::string& name, double value, const char* unit) {
    base::Json out = statistic(name, value, unit);
    out["low"] = 0.9 * value;
    out["high"] = 1.1 * value;
    return out;
  };
  base::Json joules = number("joules_per_request/batch_4", 6 / pace, "J");
  joules["provenance"] = "modelled";
  joules["range"] = {{"low", 3 / pace}, {"high", 12 / pace}};
  step["statistics"] = {number("prefill_tokens_per_second/batch_4", 1000 * pace, "tokens/s"),
                        number("decode_tokens_per_second/batch_4", 200 * pace, "tokens/s"), joules,
                        number("joules_per_million_tokens", 300000 / pace, "J")};
  step["tables"]["runtime"] = {{{"runtime", runtime}}};
  if (runtime == "llama.cpp") step["tables"]["runtime"][0]["version"] = "b1";
  return step;
}

inline base::Json export_of(const std::string& model, const std::string& variant) {
  base::Json step = checkpoint_step("file", variant, "export", 7);
  step["from"] = {model};
  step["output"] = {{"kind", "artifact"}, {"artifacts", {"artifacts/" + variant + ".gguf"}}};
  step["statistics"] = {statistic("artifact_bytes", variant == "teacher" ? 8e6 : 1e6, "bytes")};
  return step;
}

inline JournalView serving_journal() {
  JournalView journal = sample_journal();
  journal.steps.resize(4);  // without what was measured
  journal.steps.push_back(export_of("teacher", "teacher"));
  journal.steps.push_back(export_of("small/q4_0", "small"));
  journal.steps.push_back(served_step("file/teacher", "llama.cpp", 0.5));
  journal.steps.push_back(served_step("file/small", "llama.cpp", 1));
  journal.steps.push_back(served_step("teacher", "frugal's fp32 forward", 0.5));
  return journal;
}

}  // namespace frugal::report
