// A pass's surroundings without pipeline, cache and journal: folders in a temporary place,
// everything said is collected.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "energy/window.h"
#include "format/checkpoint.h"
#include "pass/option_reader.h"
#include "pass/pass.h"
#include "support/shared_data.h"

namespace frugal::passes {

class OptionSetter final : public pass::OptionVisitor {
 public:
  explicit OptionSetter(const base::Json& values) : left_(values) {}
  void field(const pass::OptionInfo& info, bool& value) override { assign(info, value); }
  void field(const pass::OptionInfo& info, int64_t& value) override { assign(info, value); }
  void field(const pass::OptionInfo& info, double& value) override { assign(info, value); }
  void field(const pass::OptionInfo& info, std::string& value) override { assign(info, value); }
  void field(const pass::OptionInfo& info, std::vector<std::string>& value) override {
    assign(info, value);
  }
  void field(const pass::OptionInfo& info, std::vector<int64_t>& value) override {
    assign(info, value);
  }
  void field(const pass::OptionInfo& info, pass::ModelReference& value) override {
    assign(info, value.name);
  }
  void field(const pass::OptionInfo& info, pass::DataReference& value) override {
    assign(info, value.name);
  }
  void field(const pass::OptionInfo& info, std::vector<pass::DataReference>& value) override {
    const auto found = left_.find(std::string(info.name));
    if (found != left_.end() && found->is_string()) *found = {*found};  // one, without a list
    std::vector<std::string> names;
    assign(info, names);
    for (const std::string& name : names) value.push_back({name});
  }
  void field(const pass::OptionInfo& info, pass::Assignments& value) override {
    base::Json entries = base::Json::object();  // in alphabetical order: enough for tests
    assign(info, entries);
    for (const auto& [pattern, text] : entries.items()) value.entries.emplace_back(pattern, text);
  }
  void field(const pass::OptionInfo& info, std::optional<int64_t>& value) override {
    assign_open(info, value);
  }
  void field(const pass::OptionInfo& info, std::optional<double>& value) override {
    assign_open(info, value);
  }
  void field(const pass::OptionInfo& info, std::optional<std::string>& value) override {
    assign_open(info, value);
  }
  const base::Json& left() const { return left_; }

 private:
  template <typename T>
  void assign(const pass::OptionInfo& info, T& value) {
    const auto found = left_.find(std::string(info.name));
    if (found == left_.end()) return;
    value = found->template get<T>();
    left_.erase(found);
  }
  template <typename T>
  void assign_open(const pass::OptionInfo& info, std::optional<T>& value) {
    if (left_.contains(std::string(info.name))) assign(info, value.emplace());
  }
  base::Json left_;
};

// Sets a pass's options from {"name": value}; an unknown name or a wrong type is the test's
// mistake.
inline void set_options(pass::Pass& pass, const base::Json& values) {
  OptionSetter setter(values);
  pass.visit_options(setter);
  EXPECT_TRUE(setter.left().empty()) << "unknown options: " << setter.left().dump();
}

using DataSources = std::map<std::string, text::DataSource, std::less<>>;

inline absl::StatusOr<text::DataSource> find_source(const DataSources& sources,
                                                    const pass::DataReference& reference) {
  const auto found = sources.find(reference.name);
  if (found != sources.end()) return found->second;
  if (reference.name == pass::kSelfData) return text::DataSource{.self = true};
  return base::not_found("no data ", reference.name);
}

class FakeCheckContext final : public pass::CheckContext {
 public:
  absl::StatusOr<pass::ModelInfo> model(const pass::ModelReference& reference) const override {
    const auto found = models.find(reference.name);
    if (found == models.end()) return base::not_found("no model ", reference.name);
    return found->second;
  }
  absl::StatusOr<text::DataSource> data(const pass::DataReference& reference) const override {
    return find_source(sources, reference);
  }
  std::string device() const override { return place; }
  void estimate(const pass::Estimate& estimate) override { estimated = estimate; }
  void warn(std::string_view text) override { warnings.emplace_back(text); }
  void note(std::string_view text) override { notes.emplace_back(text); }
  std::vector<pass::Artifact> artifacts() const override { return served; }
  std::vector<pass::Artifact> artifacts_of(const pass::ModelReference& reference) const override {
    const auto found = named.find(reference.name);
    return found == named.end() ? std::vector<pass::Artifact>() : found->second;
  }
  void leaves(std::vector<pass::Artifact> artifacts) override { left = std::move(artifacts); }
  void computed_by(std::string_view program) override { computer = program; }
  std::optional<pass::Claim> compares(const pass::ModelReference&,
                                      const std::vector<std::string>& metrics) override {
    const bool about =
        claim && std::find(metrics.begin(), metrics.end(), claim->metric) != metrics.end();
    return about ? claim : std::nullopt;
  }

  std::optional<pass::Claim> claim;
  DataSources sources;
  std::map<std::string, pass::ModelInfo, std::less<>> models;
  std::string place = "cpu";
  std::vector<pass::Artifact> served, left;  // that the input is; that the step will leave
  std::map<std::string, std::vector<pass::Artifact>, std::less<>> named;  // that a model is
  std::string computer;
  pass::Estimate estimated;
  std::vector<std::string> warnings, notes;
};

class FakeRunContext final : public pass::RunContext {
 public:
  // `root` holds "output" and "resume".
  FakeRunContext(const std::filesystem::path& root, std::optional<format::Checkpoint> input)
      : output_(root / "output"),
        resume_(root / "resume"),
        shared_(root / "shared"),
        input_(std::move(input)),
        meters_({}, {}, {}) {
    std::filesystem::create_directories(output_);
    std::filesystem::create_directories(resume_);
  }

  const format::Checkpoint* input() const override { return input_ ? &*input_ : nullptr; }
  std::string input_name() const override { return "toy"; }
  std::vector<pass::Artifact> artifacts() const override { return served; }
  std::vector<pass::Artifact> artifacts_of(const pass::ModelReference& reference) const override {
    const auto found = named.find(reference.name);
    return found == named.end() ? std::vector<pass::Artifact>() : found->second;
  }
  absl::StatusOr<format::Checkpoint> model(const pass::ModelReference& reference) const override {
    const auto found = models.find(reference.name);
    if (found == models.end()) return base::not_found("no model ", reference.name);
    return format::Checkpoint::open(found->second);
  }
  absl::StatusOr<text::DataSource> data(const pass::DataReference& reference) const override {
    return find_source(sources, reference);
  }
  const std::filesystem::path& output_folder() const override { return output_; }
  const std::filesystem::path& resume_folder() const override { return resume_; }
  absl::StatusOr<std::filesystem::path> shared(
      std::string_view key,
      const std::function<absl::Status(const std::filesystem::path&)>& make) override {
    std::filesystem::path folder = shared_ / key;
    if (!std::filesystem::exists(folder)) {
      std::filesystem::create_directories(folder);
      FRUGAL_RETURN_IF_ERROR(make(folder));
    }
    return folder;
  }
  absl::Status write_items(std::string_view name, const std::vector<base::Json>& items) override {
    written_items[std::string(name)] = items;
    return absl::OkStatus();
  }
  std::optional<pass::Claim> claim() const override { return declared; }
  std::string device() const override { return "cpu"; }
  uint64_t seed() const override { return 1; }
  energy::MeterSet& meters() override { return meters_; }
  void statistic(pass::Statistic statistic) override { statistics.push_back(std::move(statistic)); }
  void row(std::string_view table, base::Json row) override {
    tables[std::string(table)].push_back(std::move(row));
  }
  void warn(std::string_view text) override { warnings.emplace_back(text); }

  // The value of a statistic; absent where it was not given or is unknown.
  std::optional<double> value(std::string_view name) const {
    for (const pass::Statistic& statistic : statistics) {
      if (statistic.name == name) return statistic.value;
    }
    return std::nullopt;
  }

  // Meters of the test's own instead of none.
  void use_meters(energy::MeterSet meters) { meters_ = std::move(meters); }

  std::optional<pass::Claim> declared;
  DataSources sources;
  std::map<std::string, std::filesystem::path, std::less<>> models;       // folders
  std::vector<pass::Artifact> served;                                     // that the input is
  std::map<std::string, std::vector<pass::Artifact>, std::less<>> named;  // that a model is
  std::vector<pass::Statistic> statistics;
  std::map<std::string, std::vector<base::Json>> tables;
  std::map<std::string, std::vector<base::Json>> written_items;
  std::vector<std::string> warnings;

 private:
  std::filesystem::path output_, resume_, shared_;
  std::optional<format::Checkpoint> input_;
  energy::MeterSet meters_;
};

}  // namespace frugal::passes
