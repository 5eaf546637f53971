// What derives from the visitor of a pass's options: reading, printing, documentation, references.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "pass/document.h"
#include "pass/pass.h"

namespace frugal::pass {

using Positions = std::map<std::string, Position, std::less<>>;

// Reads the keys of `map` into the pass's options. Every mistake goes to `problems`: unknown keys
// (with the nearest valid name), wrong types, values outside their range or choices, missing
// required options (those not in `elsewhere`); a name or value of former times is told its present
// one. `positions` receives the place of each option that was given. Text with a unit is accepted
// as OptionInfo::unit says; a single value stands for a list of one.
void read_options(Pass& pass, const Node& map, const std::vector<std::string>& elsewhere,
                  Problems& problems, Positions& positions);

// Every option with its present value, in the order of the visitor, without those that other
// options decide; read_options of it changes nothing.
base::Json options_json(Pass& pass);

struct OptionDescription {
  std::string name;
  std::string help;
  std::string unit;
  std::string type;   // "number", "integer", "true|false", "text", "list of …", "model", "data"
  std::string range;  // "0 to 1", "above 0", ""
  std::vector<std::string> choices;
  bool required = false;
  base::Json default_value;  // of a fresh pass; meaningless when required
  std::vector<std::string> former_names;
  std::string default_text() const;
};
std::vector<OptionDescription> describe_options(Pass& pass);

// Names of the options that choose a precision (OptionInfo::is_precision).
std::vector<std::string> precision_options(Pass& pass);

// The names that options of the pass refer to, and what it implies; empty ones are left out.
struct Reference {
  std::string option;
  std::string name;
  enum class Kind { kModel, kData } kind;
  bool takes_artifacts = false;
};
std::vector<Reference> references(Pass& pass);

// Help of a pass: its sentence and its options, each with type, unit, range and default.
// `command_line`: options are spelled --like-this.
std::string pass_help(Pass& pass, bool command_line);

}  // namespace frugal::pass
