#include "pass/inputs.h"

#include <algorithm>

#include "pass/matrix.h"

namespace frugal::pass {
namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::optional<std::vector<InputChoice>> InputResolver::inputs_of(size_t index,
                                                                 const PassInfo& info) {
  const StepEntry& step = step_at(index);
  if (info.input == Input::kNone) {
    if (step.from.empty()) return std::vector<InputChoice>{{}};
    problems_.add(step.from[0].position, "pass '", step.pass,
                  "' takes no checkpoint; remove from:");
    return std::nullopt;
  }
  if (step.from.empty()) return default_input(index);
  std::vector<InputChoice> out;
  bool good = true;
  for (const NamedAt& from : step.from) good = add_inputs(index, from, info, out) && good;
  return good ? std::optional(out) : std::nullopt;
}

std::optional<std::vector<InputChoice>> InputResolver::default_input(size_t index) {
  for (size_t i = index; i-- > 0;) {
    const std::unique_ptr<Pass> pass = find_pass(registry_, step_at(i).pass);
    if (pass != nullptr && pass->info().output != Output::kCheckpoint) continue;
    if (pass == nullptr || broken_.contains(step_at(i).id)) return std::nullopt;
    std::vector<InputChoice> out;
    add_units(step_at(i).id, false, out);
    return out;
  }
  const auto& models = plan_.pipeline.models;
  if (models.size() == 1) {
    if (broken_.contains(models[0].name)) return std::nullopt;
    return std::vector<InputChoice>{{models[0].name, ""}};
  }
  const StepEntry& step = step_at(index);
  problems_.add(step.position, "the step '", step.id,
                "' has no input: no step before it yields a checkpoint",
                models.empty() ? "" : " and there are several models", "; add from:");
  return std::nullopt;
}

void InputResolver::add_units(const std::string& id, bool full,
                              std::vector<InputChoice>& out) const {
  for (const Unit& unit : plan_.units) {
    if (unit.id == id) out.push_back({unit.name(), full ? unit.name() : unit.variant});
  }
}

bool InputResolver::add_inputs(size_t index, const NamedAt& from, const PassInfo& info,
                               std::vector<InputChoice>& out) {
  const bool full = step_at(index).from_is_list;
  if (broken_.contains(from.name)) return false;
  if (plan_.models.contains(from.name)) {
    out.push_back({from.name, full ? from.name : ""});
    return true;
  }
  const std::string id = from.name.substr(0, from.name.find('/'));
  if (broken_.contains(id)) return false;
  const Unit* exact = plan_.find(from.name);
  const size_t before = out.size();
  if (exact != nullptr) {
    out.push_back({exact->name(), full ? exact->name() : exact->variant});
  } else {
    add_units(from.name, full, out);
  }
  if (out.size() == before) {
    explain_unknown(index, from);
    return false;
  }
  const PassInfo& maker = plan_.find(out.back().name)->pass->info();
  if (maker.output == Output::kCheckpoint) return true;
  if (maker.output == Output::kArtifact && info.takes_artifacts) return true;
  problems_.add(from.position, "'", from.name, "' yields no checkpoint (its pass is '", maker.name,
                "')");
  return false;
}

void InputResolver::explain_unknown(size_t index, const NamedAt& from) {
  const std::string id = from.name.substr(0, from.name.find('/'));
  for (size_t later = index; later < plan_.pipeline.steps.size(); ++later) {
    if (step_at(later).id != id) continue;
    const std::string path = cycle_through(later, step_at(index).id);
    if (!path.empty()) {
      problems_.add(from.position, "a cycle: ", step_at(index).id, " takes from ", path);
    } else {
      problems_.add(from.position, "the step '", id, "' comes later in the file; move it above '",
                    step_at(index).id, "'");
    }
    return;
  }
  std::vector<std::string> names;
  for (const auto& [name, model] : plan_.models) names.push_back(name);
  for (const Unit& unit : plan_.units) {
    if (unit.pass->info().output != Output::kCheckpoint) continue;
    if (!contains(names, unit.id)) names.push_back(unit.id);
    if (unit.id == id) names.push_back(unit.name());
  }
  problems_.add(from.position, "there is no model or earlier step '", from.name, "'",
                base::suggestion(from.name, names));
}

// "b, which takes from a" when the explicit inputs of step `at` lead to `target`; else empty.
std::string InputResolver::cycle_through(size_t at, const std::string& target) {
  std::set<std::string> seen;
  std::vector<std::pair<std::string, std::string>> open = {{step_at(at).id, step_at(at).id}};
  while (!open.empty()) {
    const auto [id, path] = open.back();
    open.pop_back();
    if (id == target) {
      broken_.insert(seen.begin(), seen.end());  // reported once, not for each of its steps
      return path;
    }
    if (!seen.insert(id).second) continue;
    for (const StepEntry& step : plan_.pipeline.steps) {
      if (step.id != id) continue;
      for (const NamedAt& from : step.from) {
        open.emplace_back(from.name, base::str_cat(path, ", which takes from ", from.name));
      }
    }
  }
  return "";
}

}  // namespace frugal::pass
