// Visits the options of a pass, whatever their types, and prints their values. Internal to this
// room.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "pass/pass.h"

namespace frugal::pass {

// Visits every option once and hands the value on under one name, whatever its type.
template <typename Action>
class Visitor : public OptionVisitor {
 public:
  explicit Visitor(Action action) : action_(std::move(action)) {}
  void field(const OptionInfo& info, bool& value) override { action_(info, value); }
  void field(const OptionInfo& info, int64_t& value) override { action_(info, value); }
  void field(const OptionInfo& info, double& value) override { action_(info, value); }
  void field(const OptionInfo& info, std::string& value) override { action_(info, value); }
  void field(const OptionInfo& info, std::vector<std::string>& value) override {
    action_(info, value);
  }
  void field(const OptionInfo& info, std::vector<int64_t>& value) override { action_(info, value); }
  void field(const OptionInfo& info, ModelReference& value) override { action_(info, value); }
  void field(const OptionInfo& info, DataReference& value) override { action_(info, value); }
  void field(const OptionInfo& info, std::vector<DataReference>& value) override {
    action_(info, value);
  }
  void field(const OptionInfo& info, Assignments& value) override { action_(info, value); }
  void field(const OptionInfo& info, std::optional<int64_t>& value) override {
    action_(info, value);
  }
  void field(const OptionInfo& info, std::optional<double>& value) override {
    action_(info, value);
  }
  void field(const OptionInfo& info, std::optional<std::string>& value) override {
    action_(info, value);
  }

 private:
  Action action_;
};

template <typename Action>
void visit(Pass& pass, Action action) {
  Visitor<Action> visitor(std::move(action));
  pass.visit_options(visitor);
}

inline base::Json to_json(bool value) { return value; }
inline base::Json to_json(int64_t value) { return value; }
inline base::Json to_json(double value) { return base::finite_or_null(value); }
inline base::Json to_json(const std::string& value) { return value; }
inline base::Json to_json(const ModelReference& value) { return value.name; }
inline base::Json to_json(const DataReference& value) { return value.name; }
inline base::Json to_json(const Assignments& value) {  // a list: an object would lose the order
  base::Json out = base::Json::array();
  for (const auto& [pattern, text] : value.entries)
    out.push_back(base::str_cat(pattern, "=", text));
  return out;
}
template <typename T>
base::Json to_json(const std::vector<T>& values) {
  base::Json out = base::Json::array();
  for (const T& value : values) out.push_back(to_json(value));
  return out;
}

// Nothing where other options decide.
template <typename T>
base::Json to_json(const std::optional<T>& value) {
  return value ? to_json(*value) : base::Json();
}

template <typename T>
inline constexpr bool kIsOpen = false;
template <typename T>
inline constexpr bool kIsOpen<std::optional<T>> = true;

}  // namespace frugal::pass
