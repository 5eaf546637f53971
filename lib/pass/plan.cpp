#include "pass/plan.h"

#include <algorithm>

#include "energy/site.h"
#include "format/genai_folder.h"
#include "pass/inputs.h"
#include "pass/matrix.h"
#include "pass/pipeline_inputs.h"
#include "pass/unit_key.h"

namespace frugal::pass {
namespace fs = std::filesystem;
namespace {

// Reads what checks ask for from the plan as far as it is made.
class PlanCheckContext : public CheckContext {
 public:
  PlanCheckContext(const Plan& plan, Unit& unit, std::string device)
      : plan_(plan), unit_(unit), device_(std::move(device)) {}

  absl::StatusOr<ModelInfo> model(const ModelReference& reference) const override {
    if (const auto model = plan_.models.find(reference.name); model != plan_.models.end()) {
      return model->second.info;
    }
    const Unit* made = plan_.resolve(reference.name, unit_.variant);
    if (made != nullptr && made->checked) return made->model;
    return base::not_found("there is no model '", reference.name, "' before this step");
  }
  absl::StatusOr<text::DataSource> data(const DataReference& reference) const override {
    if (const DataEntry* entry = plan_.pipeline.find_data(reference.name)) return entry->source;
    return base::not_found("there is no data '", reference.name, "'");
  }
  std::string device() const override { return device_; }
  void estimate(const Estimate& estimate) override { unit_.estimate = estimate; }
  void warn(std::string_view text) override { unit_.warnings.emplace_back(text); }
  void note(std::string_view text) override { unit_.notes.emplace_back(text); }
  std::vector<Artifact> artifacts() const override {
    if (!unit_.pass->info().takes_artifacts) return {};
    return plan_.artifacts_of(unit_.from);
  }
  std::vector<Artifact> artifacts_of(const ModelReference& reference) const override {
    const Unit* made = plan_.resolve(reference.name, unit_.variant);
    return plan_.artifacts_of(made == nullptr ? reference.name : made->name());
  }
  void leaves(std::vector<Artifact> artifacts) override { unit_.artifacts = std::move(artifacts); }
  void computed_by(std::string_view program) override { unit_.computed_by = program; }
  std::optional<Claim> compares(const ModelReference& reference,
                                const std::vector<std::string>& metrics) override {
    unit_.compared = metrics;
    const ReportEntry& report = plan_.pipeline.report;
    const bool about = report.claim && std::find(metrics.begin(), metrics.end(),
                                                 report.claim->metric) != metrics.end();
    // A claim without a baseline is about whatever a step compares with; none is about a model and
    // itself.
    const std::string& baseline = report.baseline.name;
    if (about && (baseline.empty() || is_same(baseline, reference.name)) &&
        !is_same(unit_.from, reference.name))
      unit_.claim = report.claim;
    return unit_.claim;
  }

 private:
  bool is_same(const std::string& a, const std::string& b) const {
    if (a == b) return true;
    const Unit* made = plan_.resolve(a, unit_.variant);
    return made != nullptr && made == plan_.resolve(b, unit_.variant);
  }

  const Plan& plan_;
  Unit& unit_;
  std::string device_;
};

class Planner {
 public:
  Planner(Pipeline pipeline, const PlanOptions& options, Problems& problems)
      : options_(options),
        problems_(problems),
        resolver_(plan_, *options.registry, broken_, problems) {
    plan_.pipeline = std::move(pipeline);
  }

  Plan make() {
    for (const ModelEntry& entry : plan_.pipeline.models) {
      if (!open_model(entry, options_, plan_, problems_)) broken_.insert(entry.name);
    }
    for (const DataEntry& entry : plan_.pipeline.data) open_data(entry, options_, plan_, problems_);
    for (size_t i = 0; i < plan_.pipeline.steps.size(); ++i) {
      plan_step(i);
      if (plan_.pipeline.steps[i].id == options_.until) break;
    }
    check_until();
    check_baseline();
    check_claim();
    load_site();
    return std::move(plan_);
  }

 private:
  const StepEntry& step_at(size_t i) const { return plan_.pipeline.steps[i]; }

  static bool contains(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  }

  void plan_step(size_t index) {
    const StepEntry& step = step_at(index);
    const std::unique_ptr<Pass> pass = find_pass(*options_.registry, step.pass);
    if (pass == nullptr) {
      if (!step.pass.empty()) {
        problems_.add(step.pass_position, "there is no pass '", step.pass, "'",
                      base::suggestion(step.pass, pass_names(*options_.registry)));
      }
      broken_.insert(step.id);
      return;
    }
    const size_t before = problems_.size();
    check_options(step, *options_.registry, problems_);
    const auto inputs = resolver_.inputs_of(index, pass->info());
    if (inputs && problems_.size() == before) {
      for (const InputChoice& input : *inputs) {
        for (const Combination& combination : combinations(step, *options_.registry)) {
          add_unit(index, input, combination);
        }
      }
    }
    if (!inputs || problems_.size() > before) broken_.insert(step.id);
  }

  void add_unit(size_t index, const InputChoice& input, const Combination& combination) {
    const StepEntry& step = step_at(index);
    Unit unit;
    unit.step = index;
    unit.id = step.id;
    unit.variant = input.label;
    if (!combination.label.empty())
      unit.variant += (input.label.empty() ? "" : "-") + combination.label;
    unit.from = input.name;
    unit.pass = find_pass(*options_.registry, step.pass);
    Problems reported_before("");
    read_options(*unit.pass, combination.with, {}, reported_before, unit.positions);
    unit.options = options_json(*unit.pass);
    if (plan_.find(unit.name()) != nullptr) {
      problems_.add(step.position, "the step '", step.id, "' has two units called '", unit.name(),
                    "'; give each matrix value and each input once");
      return;
    }
    if (!resolve_references(step, unit)) return;
    check(step, unit);
    unit.arithmetic = arithmetic_of(unit, options_);
    unit.key = key_of(unit, plan_);
    plan_.units.push_back(std::move(unit));
  }

  bool resolve_references(const StepEntry& step, Unit& unit) {
    bool good = true;
    for (Reference& reference : unit.references = references(*unit.pass)) {
      const auto given = unit.positions.find(reference.option);
      const Position position = given == unit.positions.end() ? step.position : given->second;
      good =
          (reference.kind == Reference::Kind::kData ? resolve_data(position, reference)
                                                    : resolve_model(unit, position, reference)) &&
          good;
    }
    return good;
  }

  bool resolve_data(const Position& position, const Reference& reference) {
    std::vector<std::string> names;
    for (const DataEntry& entry : plan_.pipeline.data) names.push_back(entry.name);
    if (contains(names, reference.name)) return true;
    if (reference.name == kSelfData) {
      plan_.pipeline.data.push_back({reference.name, self_data(plan_.pipeline.seed), "", position});
      open_data(plan_.pipeline.data.back(), options_, plan_, problems_);
      return true;
    }
    problems_.add(
        position, "option '", reference.option, "': there is no data '", reference.name, "'",
        names.empty() ? "; the pipeline has no data:" : base::suggestion(reference.name, names));
    return false;
  }

  bool resolve_model(const Unit& unit, const Position& position, Reference& reference) {
    if (const auto given = plan_.models.find(reference.name); given != plan_.models.end()) {
      if (format::has_weights(given->second.info)) return true;
      problems_.add(position, "option '", reference.option, "': ", unread(reference.name));
      return false;
    }
    const std::string id = reference.name.substr(0, reference.name.find('/'));
    if (broken_.contains(id)) return false;
    if (const Unit* made = plan_.resolve(reference.name, unit.variant)) {
      const Output output = made->pass->info().output;
      if (output == Output::kCheckpoint ||
          (output == Output::kArtifact && reference.takes_artifacts)) {
        reference.name = made->name();
        return true;
      }
      problems_.add(position, "option '", reference.option, "': '", reference.name,
                    "' yields no checkpoint");
      return false;
    }
    std::vector<std::string> variants;
    for (const Unit& other : plan_.units) {
      if (other.id == reference.name) variants.push_back(other.name());
    }
    if (variants.empty()) {
      resolver_.explain_unknown(unit.step, {reference.name, position});
    } else {
      problems_.add(position, "option '", reference.option, "': '", reference.name, "' has ",
                    variants.size(), " models; choose one of ", base::join(variants, ", "));
    }
    return false;
  }

  static std::string unread(const std::string& model) {
    return base::str_cat("'", model,
                         "' is an ONNX folder, whose weights frugal does not read: evaluate and "
                         "measure take it, in ONNX Runtime; give the Hugging Face folder that it "
                         "was made from");
  }

  void check(const StepEntry& step, Unit& unit) {
    if (!unit.from.empty()) {
      if (const auto model = plan_.models.find(unit.from); model != plan_.models.end()) {
        unit.model = model->second.info;
        if (!format::has_weights(unit.model) && !unit.pass->info().takes_artifacts) {
          problems_.add(step.position, unit.name(), ": ", unread(unit.from));
          return;
        }
      } else {
        const Unit* made = plan_.find(unit.from);
        if (made == nullptr || !made->checked) return;
        unit.model = made->model;
      }
    }
    PlanCheckContext context(plan_, unit, options_.device);
    const absl::Status status = unit.pass->check(context, unit.model);
    unit.model.name = unit.name();
    unit.checked = status.ok();
    if (status.ok()) return;
    std::string_view message = base::as_std(status.message());
    const std::string own = unit.pass->info().name + ": ";
    if (message.starts_with(own)) message.remove_prefix(own.size());  // the unit's name says it
    problems_.add(step.position, unit.name(), ": ", message);
  }

  void check_until() {
    if (options_.until.empty()) return;
    std::vector<std::string> ids;
    for (const StepEntry& step : plan_.pipeline.steps) ids.push_back(step.id);
    if (contains(ids, options_.until)) return;
    problems_.add({0, 0, "--until"}, "there is no step '", options_.until, "'",
                  base::suggestion(options_.until, ids));
  }

  void check_baseline() {
    const NamedAt& baseline = plan_.pipeline.report.baseline;
    if (baseline.name.empty() || plan_.models.contains(baseline.name) || !options_.until.empty())
      return;
    if (broken_.contains(baseline.name.substr(0, baseline.name.find('/')))) return;
    if (plan_.resolve(baseline.name, "") != nullptr) return;
    std::vector<std::string> names;
    for (const auto& [name, model] : plan_.models) names.push_back(name);
    for (const Unit& unit : plan_.units) names.push_back(unit.name());
    problems_.add(baseline.position, "the baseline '", baseline.name, "' is no model and no step",
                  base::suggestion(baseline.name, names));
  }

  // A claim that no step tests would be found out when everything has run.
  void check_claim() {
    const ReportEntry& report = plan_.pipeline.report;
    if (!report.claim || !problems_.empty() || !options_.until.empty()) return;
    std::vector<std::string> compared;
    for (const Unit& unit : plan_.units) {
      if (unit.claim) return;
      compared.insert(compared.end(), unit.compared.begin(), unit.compared.end());
    }
    std::sort(compared.begin(), compared.end());
    compared.erase(std::unique(compared.begin(), compared.end()), compared.end());
    const std::string baseline = report.baseline.name.empty()
                                     ? std::string("another one")
                                     : base::str_cat("the baseline '", report.baseline.name, "'");
    const bool named = contains(compared, report.claim->metric);
    problems_.add(report.claim_position, "no step tests the claim about '", report.claim->metric,
                  "': none compares a model with ", baseline, " on it",
                  compared.empty() ? "; give a step of evaluate this `reference`"
                  : named          ? "; compared on it are models with another `reference`"
                                   : base::suggestion(report.claim->metric, compared));
  }

  void load_site() {
    const fs::path& file = plan_.pipeline.report.site;
    std::error_code error;
    if (file.empty() || !fs::is_regular_file(file, error)) return;  // the reader has reported it
    const auto site = energy::load_site(file);
    if (site.ok()) {
      plan_.site = energy::to_json(*site);
      plan_.factor_files.push_back({"site", file});
      if (!site->hardware_file.empty())
        plan_.factor_files.push_back({"hardware", file.parent_path() / site->hardware_file});
    } else {
      problems_.add({}, "report.site: ", site.status().message());
    }
  }

  Plan plan_;
  const PlanOptions& options_;
  Problems& problems_;
  Broken broken_;
  InputResolver resolver_;
};

}  // namespace

const Unit* Plan::find(std::string_view name) const {
  for (const Unit& unit : units) {
    if (unit.name() == name) return &unit;
  }
  return nullptr;
}

const Unit* Plan::resolve(std::string_view name, std::string_view variant) const {
  if (const Unit* exact = find(name)) return exact;
  const Unit* found = nullptr;
  int64_t count = 0;
  for (const Unit& unit : units) {
    if (unit.id != name) continue;
    if (!variant.empty() && unit.variant == variant) return &unit;
    found = &unit;
    ++count;
  }
  return count == 1 ? found : nullptr;
}

const std::vector<Artifact>& Plan::artifacts_of(std::string_view name) const {
  static const std::vector<Artifact> kNone;
  if (const auto model = models.find(name); model != models.end()) return model->second.artifacts;
  const Unit* unit = find(name);
  return unit == nullptr ? kNone : unit->artifacts;
}

std::string architecture_text(const architecture::ModelConfig& config) {
  const architecture::Layer& first = config.layers.front();
  const std::string experts =
      first.experts ? base::str_cat(first.experts->per_token, "/", first.experts->count, "E ")
                    : std::string();
  return base::str_cat(config.model_type, " ", config.layer_count(), "L ", config.hidden_size, "C ",
                       experts, first.feed_forward.width, "F ", first.attention.heads, "/",
                       first.attention.key_value_heads, "H ", config.vocabulary_size, "V");
}

std::optional<int64_t> output_bytes(const Unit& unit) {
  if (unit.estimate.output_bytes) return unit.estimate.output_bytes;
  const bool yields_model = unit.checked && unit.pass->info().output == Output::kCheckpoint;
  return yields_model ? std::optional(unit.model.size_bytes) : std::nullopt;
}

Plan make_plan(Pipeline pipeline, const PlanOptions& options, Problems& problems) {
  return Planner(std::move(pipeline), options, problems).make();
}

}  // namespace frugal::pass
