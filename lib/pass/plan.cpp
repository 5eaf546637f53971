#include "pass/plan.h"

#include <algorithm>
#include <span>

#include "architecture/tensors.h"
#include "base/hash.h"
#include "energy/site.h"
#include "pass/inputs.h"
#include "pass/matrix.h"
#include "text/dataset.h"

namespace frugal::pass {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kHashAtOnceBytes = int64_t{64} << 20;  // in a plan: hashed in well under 0.1 s

std::string weight_dtype(const format::Checkpoint& checkpoint) {
  std::map<std::string, int64_t> bytes;
  for (const std::string& name : checkpoint.tensor_names()) {
    if (checkpoint.quantized().contains(name)) continue;
    const auto info = checkpoint.info(name);
    if (info.ok()) bytes[std::string(format::name(info->dtype))] += info->size_bytes;
  }
  const auto most = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? "F32" : most->first;
}

bool is_zero(std::span<const std::byte> value) {
  return std::all_of(value.begin(), value.end() - 1,
                     [](std::byte byte) { return byte == std::byte{0}; }) &&
         (value.back() & std::byte{0x7f}) == std::byte{0};  // little endian: the sign is last
}

// The pattern of zeros that prune left, as far as the first weights of some matrices show it: a
// peek at a few kilobytes, not a count.
void peek_zeros(const format::Checkpoint& checkpoint, ModelInfo& info) {
  constexpr size_t kWeights = 2048;
  constexpr size_t kFewestInTen = 1;  // weights as trained have next to none
  std::vector<architecture::Tensor> some = architecture::layer_tensors(info.config, 0);
  for (auto& tensor : architecture::layer_tensors(info.config, info.config.layer_count() / 2))
    some.push_back(std::move(tensor));
  for (const auto& [name, shape, role, layer] : some) {
    const auto tensor = checkpoint.info(name);
    const auto bytes = checkpoint.bytes(name);
    if (!tensor.ok() || !bytes.ok() || tensor->shape.size() != 2 || info.grids.contains(name))
      continue;
    const size_t size = tensor->dtype == format::DType::kF32 ? 4 : 2;
    const size_t count = std::min(kWeights, bytes->size() / size);
    size_t zeros = 0;
    for (size_t i = 0; i < count; ++i) zeros += is_zero(bytes->subspan(i * size, size)) ? 1 : 0;
    if (count > 0 && 10 * zeros >= kFewestInTen * count)
      info.zeros[name] = base::str_cat("about ", (100 * zeros + count / 2) / count, "%");
  }
}

// Reads what checks ask for from the plan as far as it is made.
class PlanCheckContext : public CheckContext {
 public:
  PlanCheckContext(const Plan& plan, Unit& unit) : plan_(plan), unit_(unit) {}

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
  void estimate(const Estimate& estimate) override { unit_.estimate = estimate; }
  void warn(std::string_view text) override { unit_.warnings.emplace_back(text); }

 private:
  const Plan& plan_;
  Unit& unit_;
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
    for (const ModelEntry& entry : plan_.pipeline.models) open_model(entry);
    for (const DataEntry& entry : plan_.pipeline.data) hash_data(entry);
    for (size_t i = 0; i < plan_.pipeline.steps.size(); ++i) {
      plan_step(i);
      if (plan_.pipeline.steps[i].id == options_.until) break;
    }
    check_until();
    check_baseline();
    load_site();
    return std::move(plan_);
  }

 private:
  const StepEntry& step_at(size_t i) const { return plan_.pipeline.steps[i]; }

  void open_model(const ModelEntry& entry) {
    auto checkpoint = format::Checkpoint::open(entry.folder);
    if (!checkpoint.ok()) {
      problems_.add(entry.position, "model '", entry.name, "': ", checkpoint.status().message(),
                    fs::exists(entry.folder) || plan_.pipeline.file.empty()
                        ? ""
                        : "; paths are relative to the pipeline file");
      broken_.insert(entry.name);
      return;
    }
    ModelInput& input = plan_.models[entry.name];
    if (auto info = model_info(entry.name, *checkpoint); info.ok()) {
      input.info = *std::move(info);
    } else {
      problems_.add(entry.position, "model '", entry.name, "': ", info.status().message());
    }
    hash_model(entry, *checkpoint, input);
    input.checkpoint = *std::move(checkpoint);
  }

  void hash_model(const ModelEntry& entry, const format::Checkpoint& checkpoint,
                  ModelInput& input) {
    std::function<absl::StatusOr<std::string>()> compute;
    if (options_.read_weights || checkpoint.weight_bytes() <= kHashAtOnceBytes) {
      compute = [&] { return checkpoint.content_hash(); };
    }
    const auto hash = options_.hashes->get(entry.folder, compute);
    if (!hash.ok()) {
      problems_.add(entry.position, "model '", entry.name, "': ", hash.status().message());
      return;
    }
    input.hash = hash->value_or("");
    expect_hash("model", entry.name, entry.position, entry.expected_hash, input.hash);
  }

  void expect_hash(std::string_view kind, const std::string& name, const Position& position,
                   const std::string& expected, const std::string& found) {
    if (expected.empty() || found.empty() || expected == found) return;
    problems_.add(position, kind, " '", name,
                  "' has changed since this pipeline was resolved: its hash is ", found,
                  ", expected ", expected, "; remove it from inputs: to take it as it is");
  }

  void hash_data(const DataEntry& entry) {
    const auto content = hash_of(entry.source);
    if (!content.ok()) {
      problems_.add(entry.position, "data '", entry.name, "': ", content.status().message());
      return;
    }
    if (const absl::Status status = text::check_data(entry.source); !status.ok()) {
      problems_.add(entry.position, "data '", entry.name, "': ", status.message());
      return;
    }
    plan_.data[entry.name] = {};
    if (!*content) return;  // large, and seen for the first time
    expect_hash("data", entry.name, entry.position, entry.expected_hash, **content);
    const text::DataSource& source = entry.source;
    base::KeyHasher key;
    key.add("data").add(**content).add(source.prompt).add(source.completion).add(source.split);
    key.add(source.task)
        .add(base::str_cat(source.limit, " ", source.tokens, " ", source.sequence_length));
    if (!source.builtin.empty()) key.add(base::str_cat(source.builtin, " ", source.seed));
    for (const auto& [label, text] : source.labels) key.add(label).add(text);
    plan_.data[entry.name] = {**content, key.hex()};
  }

  // The hash of the data's content: remembered, or computed where that is soon done or asked for.
  absl::StatusOr<std::optional<std::string>> hash_of(const text::DataSource& source) const {
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<fs::path> files, text::data_files(source));
    const auto compute = [&] { return text::content_hash(source); };
    if (files.empty()) return compute();  // builtin
    int64_t bytes = 0;
    for (const fs::path& file : files) {
      std::error_code error;
      bytes += static_cast<int64_t>(fs::file_size(file, error));
      if (error) return base::system_error("inspect", file.string(), error.value());
    }
    base::KeyHasher name;
    name.add("data").add(source.prompt).add(source.completion).add(base::str_cat(source.limit));
    for (const auto& [label, text] : source.labels) name.add(label).add(text);
    for (const fs::path& file : files) name.add(file.string());
    const bool now = options_.read_weights || bytes <= kHashAtOnceBytes;
    return options_.hashes->get(name.hex(), files,
                                now ? compute : std::function<absl::StatusOr<std::string>()>());
  }

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
    unit.arithmetic = arithmetic_of(unit);
    unit.key = key_of(unit);
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
    problems_.add(
        position, "option '", reference.option, "': there is no data '", reference.name, "'",
        names.empty() ? "; the pipeline has no data:" : base::suggestion(reference.name, names));
    return false;
  }

  bool resolve_model(const Unit& unit, const Position& position, Reference& reference) {
    if (plan_.models.contains(reference.name)) return true;
    const std::string id = reference.name.substr(0, reference.name.find('/'));
    if (broken_.contains(id)) return false;
    if (const Unit* made = plan_.resolve(reference.name, unit.variant)) {
      if (made->pass->info().output == Output::kCheckpoint) {
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

  void check(const StepEntry& step, Unit& unit) {
    if (!unit.from.empty()) {
      if (const auto model = plan_.models.find(unit.from); model != plan_.models.end()) {
        unit.model = model->second.info;
      } else {
        const Unit* made = plan_.find(unit.from);
        if (made == nullptr || !made->checked) return;
        unit.model = made->model;
      }
    }
    PlanCheckContext context(plan_, unit);
    const absl::Status status = unit.pass->check(context, unit.model);
    unit.model.name = unit.name();
    unit.checked = status.ok();
    if (status.ok()) return;
    std::string_view message = base::as_std(status.message());
    const std::string own = unit.pass->info().name + ": ";
    if (message.starts_with(own)) message.remove_prefix(own.size());  // the unit's name says it
    problems_.add(step.position, unit.name(), ": ", message);
  }

  std::string content_key(const std::string& name) const {
    if (const auto model = plan_.models.find(name); model != plan_.models.end()) {
      return model->second.hash.empty() ? "" : "model:" + model->second.hash;
    }
    const Unit* made = plan_.find(name);
    return made == nullptr || made->key.empty() ? "" : "step:" + made->key;
  }

  // An artifact is a copy of a checkpoint's integers; everything else computes. Precisions are of
  // products over data: without data nothing depends on them.
  std::string arithmetic_of(const Unit& unit) const {
    if (unit.pass->info().output == Output::kArtifact) return "";
    std::string out = options_.device.substr(0, options_.device.find(':'));
    const bool reads_data = std::any_of(
        unit.references.begin(), unit.references.end(),
        [](const Reference& reference) { return reference.kind == Reference::Kind::kData; });
    if (!reads_data) return out;
    for (const std::string& option : precision_options(*unit.pass)) {
      const auto value = unit.options.find(option);
      if (value == unit.options.end() || !value->is_string()) continue;
      const auto& name = value->get_ref<const std::string&>();
      out += base::str_cat(", ", options_.arithmetic ? options_.arithmetic(name) : name);
    }
    return out;
  }

  std::string key_of(const Unit& unit) const {
    const PassInfo& info = unit.pass->info();
    base::KeyHasher key;
    key.add("frugal step 1")
        .add(info.name)
        .add(base::str_cat(info.version))
        .add(unit.options.dump());
    key.add(base::str_cat(plan_.pipeline.seed));
    if (!unit.arithmetic.empty()) key.add("arithmetic").add(unit.arithmetic);
    // An artifact may carry the name of the model it was made from.
    if (info.output == Output::kArtifact) key.add("name").add(unit.from);
    std::vector<std::string> parts;
    if (!unit.from.empty()) parts.push_back(content_key(unit.from));
    for (const Reference& reference : unit.references) {
      if (reference.kind == Reference::Kind::kModel) {
        parts.push_back(content_key(reference.name));
      } else {
        const auto found = plan_.data.find(reference.name);
        const bool hashed = found != plan_.data.end() && !found->second.key.empty();
        parts.push_back(hashed ? "data:" + found->second.key : "");
      }
    }
    for (const std::string& part : parts) {
      if (part.empty()) return "";
      key.add(part);
    }
    return key.hex();
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

  void load_site() {
    const fs::path& file = plan_.pipeline.report.site;
    std::error_code error;
    if (file.empty() || !fs::is_regular_file(file, error)) return;  // the reader has reported it
    const auto site = energy::load_site(file);
    if (site.ok()) {
      plan_.site = energy::to_json(*site);
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

std::string architecture_text(const architecture::ModelConfig& config) {
  const architecture::Layer& first = config.layers.front();
  return base::str_cat(config.model_type, " ", config.layer_count(), "L ", config.hidden_size, "C ",
                       first.feed_forward.width, "F ", first.attention.heads, "/",
                       first.attention.key_value_heads, "H ", config.vocabulary_size, "V");
}

std::optional<int64_t> output_bytes(const Unit& unit) {
  if (unit.estimate.output_bytes) return unit.estimate.output_bytes;
  const bool yields_model = unit.checked && unit.pass->info().output == Output::kCheckpoint;
  return yields_model ? std::optional(unit.model.size_bytes) : std::nullopt;
}

absl::StatusOr<ModelInfo> model_info(std::string name, const format::Checkpoint& checkpoint) {
  ModelInfo info;
  info.name = std::move(name);
  info.config = checkpoint.config();
  for (const auto& [tensor, entry] : checkpoint.quantized()) {
    info.grids[tensor] = entry.grid;
    if (entry.activations != format::Activations::kFloat)
      info.activations[tensor] = entry.activations;
  }
  info.dtype = weight_dtype(checkpoint);
  info.size_bytes = checkpoint.weight_bytes();
  peek_zeros(checkpoint, info);
  for (const fs::path& file : checkpoint.side_files()) {
    std::error_code error;
    const auto size = fs::file_size(file, error);
    if (error) return base::system_error("inspect", file.string(), error.value());
    info.side_bytes += static_cast<int64_t>(size);
    const std::string base = file.filename().string();
    if (base == "tokenizer.json" || base == "tokenizer.model" || base == "vocab.json" ||
        base == "tokenizer.bin") {
      info.has_tokenizer = true;
      info.tokenizer_folder = checkpoint.folder();
    }
  }
  return info;
}

Plan make_plan(Pipeline pipeline, const PlanOptions& options, Problems& problems) {
  return Planner(std::move(pipeline), options, problems).make();
}

}  // namespace frugal::pass
