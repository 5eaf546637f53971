// Where the input of a step comes from, for passes that write it down.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace frugal::pass {

struct Origin {
  std::string version = {};  // of frugal; empty: unknown
  // The steps that led to the input from a model that was given, first to last: of their records in
  // the journal (README.md) what `step_start` has, `statistics` and `tables`. Empty where the input
  // was given.
  std::vector<base::Json> steps = {};
};

// A RunContext that knows is one of these, too.
class OriginSource {
 public:
  virtual ~OriginSource() = default;
  virtual Origin origin() const = 0;
};

}  // namespace frugal::pass
