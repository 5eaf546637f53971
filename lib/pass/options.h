// Options of a pass: one aggregate, one visitor that lists each field's name, default, unit, range
// and sentence. Parsing, validation, help, documentation and the canonical text for cache keys all
// derive from it, so they cannot drift.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace frugal::pass {

// Names another model of the pipeline: a step id, "step/variant" or an entry of `models:`. Empty =
// none.
struct ModelReference {
  std::string name;
  bool operator==(const ModelReference&) const = default;
};
// Names an entry of `data:`. Empty = none.
struct DataReference {
  std::string name;
  bool operator==(const DataReference&) const = default;
};

// The name of text that the model writes itself, with the pipeline's seed.
inline constexpr std::string_view kSelfData = "self";

// Patterns and what they are set to, in the order given: in YAML a group of keys, on a command line
// "pattern=value,...".
struct Assignments {
  std::vector<std::pair<std::string, std::string>> entries;
  bool operator==(const Assignments&) const = default;
};

// What a name or a value of an option was called before; using it is an error that says the new
// one.
struct FormerChoice {
  std::string_view former;
  std::string_view now;
};

struct OptionInfo {
  std::string_view name;
  std::string_view help;  // one sentence
  std::string_view unit =
      "";  // "tokens", "bytes", "seconds": also makes "20M", "70GiB", "2h" readable
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  bool minimum_exclusive = false;
  std::vector<std::string> choices = {};  // strings: the allowed values; empty = any
  bool required = false;                  // no default: must be given
  std::string_view otherwise = "";        // std::optional values: what happens where none is given
  std::vector<std::string_view> former_names = {};
  std::vector<FormerChoice> former_choices = {};
  // Its value names the precision of products over data: what that means on the device at hand is
  // part of the step's key (PlanOptions::arithmetic).
  bool is_precision = false;
  bool takes_artifacts = false;  // models: may name what an export step leaves, too
};

class OptionVisitor {
 public:
  virtual ~OptionVisitor() = default;
  virtual void field(const OptionInfo& info, bool& value) = 0;
  virtual void field(const OptionInfo& info, int64_t& value) = 0;
  virtual void field(const OptionInfo& info, double& value) = 0;
  virtual void field(const OptionInfo& info, std::string& value) = 0;
  virtual void field(const OptionInfo& info, std::vector<std::string>& value) = 0;
  virtual void field(const OptionInfo& info, std::vector<int64_t>& value) = 0;
  virtual void field(const OptionInfo& info, ModelReference& value) = 0;
  virtual void field(const OptionInfo& info, DataReference& value) = 0;
  virtual void field(const OptionInfo& info, std::vector<DataReference>& value) = 0;
  virtual void field(const OptionInfo& info, Assignments& value) = 0;
  // Values that other options decide where none is given.
  virtual void field(const OptionInfo& info, std::optional<int64_t>& value) = 0;
  virtual void field(const OptionInfo& info, std::optional<double>& value) = 0;
  virtual void field(const OptionInfo& info, std::optional<std::string>& value) = 0;
};

}  // namespace frugal::pass
