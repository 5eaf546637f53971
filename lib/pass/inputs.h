// What a step takes: the models and units that its `from` names.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "pass/pass.h"
#include "pass/plan.h"

namespace frugal::pass {

struct InputChoice {
  std::string name;   // model or unit; empty for Input::kNone
  std::string label;  // what it adds to the variant: for a list of inputs their full names, else
                      // the variant of the input
};

// Steps and models that an error was reported for: what depends on them is left out silently.
using Broken = std::set<std::string, std::less<>>;

class InputResolver {
 public:
  InputResolver(const Plan& plan, const Registry& registry, Broken& broken, Problems& problems)
      : plan_(plan), registry_(registry), broken_(broken), problems_(problems) {}

  // The inputs of step `index`; all steps before it are planned. nullopt: an error was reported
  // here or further up.
  std::optional<std::vector<InputChoice>> inputs_of(size_t index, const PassInfo& info);

  // Says why step `index` cannot take `from`: unknown (with the nearest name), later in the file,
  // or a cycle.
  void explain_unknown(size_t index, const NamedAt& from);

 private:
  const StepEntry& step_at(size_t i) const { return plan_.pipeline.steps[i]; }
  std::optional<std::vector<InputChoice>> default_input(size_t index);
  void add_units(const std::string& id, bool full, std::vector<InputChoice>& out) const;
  bool add_inputs(size_t index, const NamedAt& from, const PassInfo& info,
                  std::vector<InputChoice>& out);
  std::string cycle_through(size_t at, const std::string& target);

  const Plan& plan_;
  const Registry& registry_;
  Broken& broken_;
  Problems& problems_;
};

}  // namespace frugal::pass
