// Other formats as checkpoints: one table, beside that of the exporters. What is imported is a
// folder that every pass takes; codes on grids of ours stay the codes they are.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace frugal::artifact {

// A file, or a folder of one model.
struct Importer {
  std::string_view name;     // "gguf"
  std::string_view summary;  // one clause for help: "gguf is llama.cpp's file of a model"
  int version;               // raised where it writes something else than before
  // By content, whatever the name says.
  bool (*detects)(const std::filesystem::path& path);
  // The files that `write` reads, sorted: what an import depends on.
  absl::StatusOr<std::vector<std::filesystem::path>> (*files)(const std::filesystem::path& path);
  // Writes the checkpoint into the existing empty folder `folder`, config.json last, and says what
  // it did in a few lines for people. Contradictions and types that are not read are refused before
  // any weight is written; what an error leaves in the folder is no checkpoint, and the caller's to
  // remove. Memory holds one tensor, and before that the tokenizer. Errors name file and place.
  absl::StatusOr<std::vector<std::string>> (*write)(const std::filesystem::path& path,
                                                    const std::filesystem::path& folder);
  // What is there, as format/inspect.h describes it. Null: format::inspect() does.
  absl::StatusOr<base::Json> (*inspect)(const std::filesystem::path& path) = nullptr;
};

std::span<const Importer> importers();
// The one that reads `path`; null where none does.
const Importer* importer_of(const std::filesystem::path& path);

// Whatever any reader of ours knows, as JSON for people: format::inspect() and the importers' own.
absl::StatusOr<base::Json> inspect(const std::filesystem::path& path);

// Why `path` cannot be imported, and what to do: it is not there, is a checkpoint already, holds
// PyTorch files, ...
absl::Status explain_no_importer(const std::filesystem::path& path);

// Each in the folder of its format.
extern const Importer kGgufImporter;
extern const Importer kPackedImporter;

}  // namespace frugal::artifact
