// Tested by: tests/passes/quantize_test.cpp
#include "passes/quantize/output_fisher_store.h"

#include <optional>

#include "base/file.h"
#include "base/text.h"
#include "tensor/aten.h"

namespace frugal::passes {

using layerwise::LayerStore;

namespace {

// What gathering leaves on the disk until the step is through.
absl::Status check_room(const format::Checkpoint& checkpoint, const std::set<std::string>& names,
                        int64_t largest_rows, const std::filesystem::path& folder) {
  int64_t needed = 0;
  for (const std::string& name : names) {
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, checkpoint.info(name));
    const int64_t rows = info.shape.front();
    if (rows <= largest_rows) needed += 4 * rows * rows;
  }
  FRUGAL_ASSIGN_OR_RETURN(const int64_t available, base::free_bytes(folder));
  if (needed <= available) return absl::OkStatus();
  return base::resource_exhausted(
      folder.string(), ": the Fisher information of hessian: two_sided needs ",
      base::format_bytes(static_cast<double>(needed)), " while the step runs, the disk has ",
      base::format_bytes(static_cast<double>(available)),
      " left; make room, give --cache a folder on another disk, or take hessian: one_sided");
}

}  // namespace

absl::Status OutputFisherStore::gather(const format::Checkpoint& checkpoint,
                                       const text::Windows& windows,
                                       const std::set<std::string>& names,
                                       const layerwise::OutputGradientOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) return base::failed(folder_.string(), ": cannot be created: ", error.message());
  FRUGAL_ASSIGN_OR_RETURN(const auto first, store_.read(0));
  if (first) return absl::OkStatus();  // the last one to be written
  FRUGAL_RETURN_IF_ERROR(check_room(checkpoint, names, options.largest_rows, folder_));
  return layerwise::output_gradients(checkpoint, windows, options,
                                     [&](int64_t layer, layerwise::LayerGradients gradients) {
                                       layerwise::StoredTensors tensors;
                                       base::Json tokens = base::Json::object();
                                       for (const auto& [name, found] : gradients) {
                                         if (!found.products.defined() || !names.contains(name))
                                           continue;
                                         tensors.emplace(name, found.products.to(at::kFloat));
                                         tokens[name] = found.tokens;
                                       }
                                       return store_.write(layer, tensors, tokens);
                                     });
}

absl::StatusOr<std::vector<layerwise::OutputFisher>> OutputFisherStore::of(
    int64_t layer, const std::vector<std::string>& names,
    const std::vector<int64_t>& row_counts) const {
  std::vector<layerwise::OutputFisher> result;
  FRUGAL_ASSIGN_OR_RETURN(const std::optional<LayerStore::Layer> stored, store_.read(layer));
  for (size_t i = 0; i < names.size(); ++i) {
    layerwise::OutputFisher& fisher = result.emplace_back();
    fisher.rows = row_counts[i];
    if (!stored || !stored->has(names[i])) continue;
    FRUGAL_ASSIGN_OR_RETURN(const at::Tensor values,
                            stored->tensor(names[i], {fisher.rows, fisher.rows}));
    FRUGAL_ASSIGN_OR_RETURN(
        fisher.tokens, base::json_get<int64_t>(stored->record(), names[i], "stored gradients"));
    // All zeros where the model is so sure of every label that no score moves.
    if (values.ne(0).any().item<bool>()) fisher.products = values.to(at::kDouble);
  }
  return result;
}

}  // namespace frugal::passes
