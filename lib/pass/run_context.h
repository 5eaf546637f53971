// What a pass sees while it runs, and the collector of what it says.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "energy/window.h"
#include "pass/cache.h"
#include "pass/origin.h"
#include "pass/pass.h"
#include "pass/plan.h"

namespace frugal::pass {

class UnitContext : public RunContext, public OriginSource {
 public:
  struct Setting {
    const Plan& plan;
    const Unit& unit;
    const Cache& cache;
    energy::MeterSet& meters;
    std::string device;
    std::filesystem::path staging;  // of the cache entry
    std::filesystem::path resume;
    // The finished checkpoint of a model or unit.
    std::function<absl::StatusOr<format::Checkpoint>(const std::string&)> open;
    // What a model or unit is besides a checkpoint, with absolute paths; null: nothing.
    std::function<std::vector<Artifact>(const std::string&)> artifacts = {};
    // Where a model or unit comes from; null: nothing is known.
    std::function<Origin(const std::string&)> origin = {};
  };
  explicit UnitContext(Setting setting)
      : setting_(std::move(setting)), output_(setting_.staging / "output") {}

  // Opens the input; call before run.
  absl::Status prepare();

  const format::Checkpoint* input() const override { return input_ ? &*input_ : nullptr; }
  std::string input_name() const override { return setting_.unit.from; }
  std::vector<Artifact> artifacts() const override;
  Origin origin() const override {
    return setting_.origin ? setting_.origin(setting_.unit.from) : Origin{};
  }
  absl::StatusOr<format::Checkpoint> model(const ModelReference& reference) const override;
  std::vector<Artifact> artifacts_of(const ModelReference& reference) const override;
  std::string name_of(const ModelReference& reference) const override;
  absl::StatusOr<text::DataSource> data(const DataReference& reference) const override;
  const std::filesystem::path& output_folder() const override { return output_; }
  const std::filesystem::path& resume_folder() const override { return setting_.resume; }
  absl::StatusOr<std::filesystem::path> shared(
      std::string_view key,
      const std::function<absl::Status(const std::filesystem::path&)>& make) override;
  absl::Status write_items(std::string_view name, const std::vector<base::Json>& items) override;
  std::optional<Claim> claim() const override { return setting_.unit.claim; }
  std::string device() const override { return setting_.device; }
  uint64_t seed() const override { return setting_.plan.pipeline.seed; }
  energy::MeterSet& meters() override { return setting_.meters; }
  void statistic(Statistic statistic) override { statistics_.push_back(std::move(statistic)); }
  void row(std::string_view table, base::Json row) override;
  void warn(std::string_view text) override;

  const std::vector<Statistic>& statistics() const { return statistics_; }
  base::Json statistics_json() const;
  const base::Json& tables() const { return tables_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  Setting setting_;
  std::filesystem::path output_;
  std::optional<format::Checkpoint> input_;
  std::vector<Statistic> statistics_;
  base::Json tables_ = base::Json::object();
  std::vector<std::string> warnings_;
};

}  // namespace frugal::pass
