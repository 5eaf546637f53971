// The resolved pipeline: every default written out, so that it can be run again on its own.
#include <algorithm>

#include "pass/plan.h"

namespace frugal::pass {
namespace {

base::Json data_json(const text::DataSource& source) {
  base::Json out = base::Json::object();
  if (!source.text.empty()) out["text"] = source.text;
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) out[key] = value;
  };
  add("jsonl", source.jsonl);
  add("table", source.table);
  add("builtin", source.builtin);
  add("task_file", source.task_file);
  add("folder", source.folder);
  add("split", source.split);
  add("task", source.task);
  if (source.self) out["self"] = true;
  for (const text::MixPart& part : source.mix) out["mix"][part.name] = part.weight;
  if (!source.builtin.empty() || source.self) out["seed"] = source.seed;
  add("prompt", source.prompt);
  add("completion", source.completion);
  if (source.chat) out["chat"] = true;
  add("system", source.system);
  if (!source.labels.empty()) {
    base::Json labels = base::Json::object();
    for (const auto& [label, text] : source.labels) labels[label] = text;
    out["labels"] = labels;
  }
  out["limit"] = source.limit;
  out["tokens"] = source.tokens;
  out["sequence_length"] = source.sequence_length;
  return out;
}

// The values of a matrix as the option stores them, in the order of the file.
base::Json matrix_values(const Plan& plan, size_t step, const std::string& option) {
  base::Json out = base::Json::array();
  for (const Unit& unit : plan.units) {
    if (unit.step != step) continue;
    const base::Json& value = unit.options.at(option);
    if (std::find(out.begin(), out.end(), value) == out.end()) out.push_back(value);
  }
  return out;
}

base::Json from_json(const Plan& plan, const StepEntry& step, const Unit& first) {
  if (first.pass->info().input == Input::kNone) return nullptr;
  if (step.from.empty()) {
    const Unit* made = plan.find(first.from);
    return made == nullptr ? first.from : made->id;
  }
  if (!step.from_is_list) return step.from[0].name;
  base::Json out = base::Json::array();
  for (const NamedAt& from : step.from) out.push_back(from.name);
  return out;
}

base::Json step_json(const Plan& plan, size_t index) {
  const StepEntry& step = plan.pipeline.steps[index];
  const auto first = std::find_if(plan.units.begin(), plan.units.end(),
                                  [&](const Unit& unit) { return unit.step == index; });
  base::Json out = {{"id", step.id}, {"pass", step.pass}};
  if (first == plan.units.end()) return out;
  const base::Json from = from_json(plan, step, *first);
  if (!from.is_null()) out["from"] = from;
  base::Json with = first->options, matrix = base::Json::object();
  for (const MatrixEntry& entry : step.matrix) {
    matrix[entry.option] = matrix_values(plan, index, entry.option);
    with.erase(entry.option);
  }
  if (!with.empty()) out["with"] = with;
  if (!matrix.empty()) out["matrix"] = matrix;
  return out;
}

base::Json report_json(const ReportEntry& report) {
  base::Json out = base::Json::object();
  if (!report.baseline.name.empty()) out["baseline"] = report.baseline.name;
  if (report.claim) {
    out["claim"] = {{"metric", report.claim->metric},
                    {"margin", report.claim->margin},
                    {"kind", report.claim->kind},
                    {"gate", report.claim->gate}};
  }
  if (!report.site.empty()) out["site"] = report.site.string();
  return out;
}

base::Json inputs_json(const Plan& plan) {
  base::Json models = base::Json::object(), data = base::Json::object();
  for (const ModelEntry& entry : plan.pipeline.models) {
    const auto input = plan.models.find(entry.name);
    if (input != plan.models.end() && !input->second.hash.empty()) {
      models[entry.name] = input->second.hash;
    }
  }
  for (const DataEntry& entry : plan.pipeline.data) {
    const auto input = plan.data.find(entry.name);
    if (input != plan.data.end() && !input->second.hash.empty()) {
      data[entry.name] = input->second.hash;
    }
  }
  base::Json out = base::Json::object();
  if (!models.empty()) out["models"] = models;
  if (!data.empty()) out["data"] = data;
  return out;
}

}  // namespace

base::Json resolved_pipeline(const Plan& plan) {
  const Pipeline& pipeline = plan.pipeline;
  base::Json out = {{"frugal", 1}, {"name", pipeline.name}};
  if (!pipeline.description.empty()) out["description"] = pipeline.description;
  out["seed"] = pipeline.seed;
  base::Json models = base::Json::object(), data = base::Json::object();
  for (const ModelEntry& entry : pipeline.models) models[entry.name] = entry.folder.string();
  for (const DataEntry& entry : pipeline.data) data[entry.name] = data_json(entry.source);
  if (!models.empty()) out["models"] = models;
  if (!data.empty()) out["data"] = data;
  out["steps"] = base::Json::array();
  for (size_t i = 0; i < pipeline.steps.size(); ++i) {
    const bool planned = std::any_of(plan.units.begin(), plan.units.end(),
                                     [&](const Unit& unit) { return unit.step == i; });
    if (planned) out["steps"].push_back(step_json(plan, i));  // not those behind --until
  }
  if (const base::Json report = report_json(pipeline.report); !report.empty())
    out["report"] = report;
  if (const base::Json inputs = inputs_json(plan); !inputs.empty()) out["inputs"] = inputs;
  return out;
}

}  // namespace frugal::pass
