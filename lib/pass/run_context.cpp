#include "pass/run_context.h"

#include "base/file.h"
#include "base/log.h"
#include "pass/journal.h"

namespace frugal::pass {
namespace fs = std::filesystem;

absl::Status UnitContext::prepare() {
  if (setting_.unit.from.empty()) return absl::OkStatus();
  const auto model = setting_.plan.models.find(setting_.unit.from);
  if (model != setting_.plan.models.end() && !model->second.checkpoint) return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(input_, setting_.open(setting_.unit.from));
  return absl::OkStatus();
}

std::vector<Artifact> UnitContext::artifacts() const {
  if (!setting_.artifacts || !setting_.unit.pass->info().takes_artifacts) return {};
  return setting_.artifacts(setting_.unit.from);
}

std::vector<Artifact> UnitContext::artifacts_of(const ModelReference& reference) const {
  return setting_.artifacts ? setting_.artifacts(name_of(reference)) : std::vector<Artifact>{};
}

std::string UnitContext::name_of(const ModelReference& reference) const {
  const Unit* made = setting_.plan.resolve(reference.name, setting_.unit.variant);
  return made == nullptr ? reference.name : made->name();
}

absl::StatusOr<format::Checkpoint> UnitContext::model(const ModelReference& reference) const {
  const std::string name = name_of(reference);
  for (const Reference& known : setting_.unit.references) {
    // Only what the options name is part of the key of the step.
    if (known.kind == Reference::Kind::kModel && known.name == name) return setting_.open(name);
  }
  return base::internal("the pass asked for the model '", reference.name,
                        "', which its options do not name");
}

absl::StatusOr<text::DataSource> UnitContext::data(const DataReference& reference) const {
  for (const Reference& known : setting_.unit.references) {
    if (known.kind != Reference::Kind::kData || known.name != reference.name) continue;
    if (const DataEntry* entry = setting_.plan.pipeline.find_data(known.name)) return entry->source;
  }
  return base::internal("the pass asked for the data '", reference.name,
                        "', which its options do not name");
}

absl::StatusOr<fs::path> UnitContext::shared(
    std::string_view key, const std::function<absl::Status(const fs::path&)>& make) {
  // Results of another arithmetic are other results.
  const std::string& arithmetic = setting_.unit.arithmetic;
  return setting_.cache.shared(
      arithmetic.empty() ? std::string(key) : base::str_cat(key, " ", arithmetic), make);
}

absl::Status UnitContext::write_items(std::string_view name, const std::vector<base::Json>& items) {
  FRUGAL_ASSIGN_OR_RETURN(const fs::path path, base::resolve_inside(setting_.staging / "items",
                                                                    base::str_cat(name, ".jsonl")));
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) return base::system_error("create", path.parent_path().string(), error.value());
  FRUGAL_ASSIGN_OR_RETURN(base::AtomicFile file, base::AtomicFile::create(path));
  for (const base::Json& item : items) {
    FRUGAL_RETURN_IF_ERROR(
        file.write(item.dump(-1, ' ', false, base::Json::error_handler_t::replace) + "\n"));
  }
  return file.commit();
}

void UnitContext::row(std::string_view table, base::Json row) {
  base::Json& rows = tables_[std::string(table)];
  if (rows.is_null()) rows = base::Json::array();
  rows.push_back(std::move(row));
}

void UnitContext::warn(std::string_view text) {
  warnings_.emplace_back(text);
  base::warn(setting_.unit.name(), ": ", text);
}

base::Json UnitContext::statistics_json() const {
  base::Json out = base::Json::array();
  for (const Statistic& statistic : statistics_) out.push_back(to_json(statistic));
  return out;
}

}  // namespace frugal::pass
