// How a tool packs its matrices: one layout for each `quant_method`, made from what the folder says
// of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "architecture/tensors.h"
#include "artifact/packed/packed_matrix.h"
#include "artifact/packed/stored_tensors.h"
#include "base/json.h"
#include "base/status.h"

namespace frugal::artifact {

// A stored matrix of the model, as its family has it: fused ones are one.
struct PackedModule {
  std::string name;  // as stored, without ".weight"
  int64_t rows = 0, columns = 0;
  architecture::Role role = architecture::Role::kQuery;  // of the first part
};

class Layout {
 public:
  virtual ~Layout() = default;
  // The module's matrix; absent where it is stored as plain numbers. Sizes are checked before
  // anything is allocated. Errors: tensors that are missing or contradict each other, the model's
  // sizes or the folder's config.
  virtual absl::StatusOr<std::optional<PackedMatrix>> find(const StoredTensors& tensors,
                                                           const PackedModule& module) const = 0;
  // What the folder says of running the model and the checkpoint does not; empty: nothing.
  virtual std::string not_carried() const { return ""; }
};

// From the quantization config, `where` naming file and key. Errors: a format, a width or an option
// that is not read, each by name; contradictions.
absl::StatusOr<std::unique_ptr<Layout>> gptq_layout(const base::Json& config,
                                                    std::string_view where);
absl::StatusOr<std::unique_ptr<Layout>> awq_layout(const base::Json& config,
                                                   std::string_view where);
absl::StatusOr<std::unique_ptr<Layout>> compressed_tensors_layout(const base::Json& config,
                                                                  std::string_view where);

// What the folder says of how it is packed: under 'quantization_config' of config.json, or in a
// file of its own that older tools wrote. Absent: by none of the methods that are read.
struct PackedFolder {
  std::string method;  // "gptq", "awq", "compressed-tensors"
  base::Json config;
  std::string where;  // file and key
};
// Errors: a config that is no JSON, weights that cannot be opened.
absl::StatusOr<std::optional<PackedFolder>> packed_folder(const std::filesystem::path& folder);

// Refuses a folder whose file of its own says something else than config.json.
absl::Status check_own_files(const std::filesystem::path& folder, const PackedFolder& found);

absl::StatusOr<std::unique_ptr<Layout>> layout_of(const PackedFolder& folder);

}  // namespace frugal::artifact
