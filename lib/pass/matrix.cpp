#include "pass/matrix.h"

#include <algorithm>
#include <cmath>

#include "pass/option_reader.h"

namespace frugal::pass {
namespace {

// What a value of a matrix is called in paths.
std::string label_of(const base::Json& value) {
  std::string out;
  if (value.is_array()) {
    for (const base::Json& item : value) out += (out.empty() ? "" : "+") + label_of(item);
  } else if (value.is_string()) {
    out = value.get<std::string>();
  } else if (value.is_number_float() && value.get<double>() == std::floor(value.get<double>()) &&
             std::abs(value.get<double>()) < 1e15) {
    out = base::str_cat(static_cast<int64_t>(value.get<double>()));
  } else {
    out = value.dump();
  }
  for (char& c : out) {
    if (c == '/' || c == ' ' || static_cast<unsigned char>(c) < 0x20) c = '_';
  }
  return out.empty() || out[0] == '.' ? "_" + out : out;
}

Node single_option(const MatrixEntry& entry, const Node& value) {
  Node map;
  map.kind = Node::Kind::kMap;
  map.position = entry.position;
  map.members.push_back({entry.option, entry.position, value});
  return map;
}

// The value as the option stores it.
base::Json stored_value(const StepEntry& step, const Registry& registry, const MatrixEntry& entry,
                        const Node& value) {
  const std::unique_ptr<Pass> pass = find_pass(registry, step.pass);
  Problems ignored_problems("");
  Positions ignored;
  read_options(*pass, single_option(entry, value), {}, ignored_problems, ignored);
  const base::Json options = options_json(*pass);
  const auto found = options.find(entry.option);
  return found == options.end() ? json_of(value) : *found;
}

}  // namespace

std::unique_ptr<Pass> find_pass(const Registry& registry, std::string_view name) {
  for (const PassFactory factory : registry) {
    if (std::unique_ptr<Pass> pass = factory(); pass->info().name == name) return pass;
  }
  return nullptr;
}

std::vector<std::string> pass_names(const Registry& registry) {
  std::vector<std::string> names;
  for (const PassFactory factory : registry) names.push_back(factory()->info().name);
  return names;
}

void check_options(const StepEntry& step, const Registry& registry, Problems& problems) {
  const std::unique_ptr<Pass> pass = find_pass(registry, step.pass);
  std::vector<std::string> matrix_names, all_names;
  for (const MatrixEntry& entry : step.matrix) matrix_names.push_back(entry.option);
  for (const OptionDescription& option : describe_options(*pass)) all_names.push_back(option.name);
  Positions ignored;
  read_options(*pass, step.with, matrix_names, problems, ignored);
  for (const MatrixEntry& entry : step.matrix) {
    const bool known =
        std::find(all_names.begin(), all_names.end(), entry.option) != all_names.end();
    for (const Node& value : entry.values) {
      read_options(*find_pass(registry, step.pass), single_option(entry, value), all_names,
                   problems, ignored);
      if (!known) break;  // reported once
    }
  }
}

std::vector<Combination> combinations(const StepEntry& step, const Registry& registry) {
  Combination first;
  first.with = step.with;
  first.with.kind = Node::Kind::kMap;
  std::vector<Combination> out = {first};
  for (const MatrixEntry& entry : step.matrix) {
    std::vector<Combination> next;
    for (const Combination& base : out) {
      for (const Node& value : entry.values) {
        Combination with = base;
        with.with.members.push_back({entry.option, value.position, value});
        with.label +=
            (with.label.empty() ? "" : "-") + label_of(stored_value(step, registry, entry, value));
        next.push_back(std::move(with));
      }
    }
    out = std::move(next);
  }
  return out;
}

}  // namespace frugal::pass
