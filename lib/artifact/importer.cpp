#include "artifact/importer.h"

#include <array>

#include "base/file_kind.h"
#include "base/text.h"
#include "format/checkpoint.h"
#include "format/inspect.h"
#include "format/model_folder.h"

namespace frugal::artifact {

std::span<const Importer> importers() {
  static const std::array kImporters = {kGgufImporter, kPackedImporter};
  return kImporters;
}

const Importer* importer_of(const std::filesystem::path& path) {
  for (const Importer& importer : importers()) {
    if (importer.detects(path)) return &importer;
  }
  return nullptr;
}

absl::StatusOr<base::Json> inspect(const std::filesystem::path& path) {
  const Importer* const importer = importer_of(path);
  const bool own = importer != nullptr && importer->inspect != nullptr;
  return own ? importer->inspect(path) : format::inspect(path);
}

absl::Status explain_no_importer(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    const auto checkpoint = format::Checkpoint::open(path);
    if (!checkpoint.ok()) return checkpoint.status();
    return base::invalid_argument(path.string(),
                                  ": a Hugging Face folder, which needs no import: give it as "
                                  "MODEL to any command");
  }
  if (!std::filesystem::exists(path, ignored))
    return base::not_found("no file '", path.string(), "'");
  FRUGAL_ASSIGN_OR_RETURN(const base::FileKind kind, base::recognize_file(path));
  std::vector<std::string> names;
  for (const Importer& importer : importers()) names.emplace_back(importer.summary);
  return base::invalid_argument(path.string(), ": it is ",
                                kind == base::FileKind::kOther ? "no file of a kind that is known"
                                                               : base::describe(kind, path),
                                "; frugal imports these: ", base::join(names, "; "));
}

}  // namespace frugal::artifact
