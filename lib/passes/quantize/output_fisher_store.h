// The Fisher information of each matrix's outputs (layerwise/walk/output_gradients.h), kept layer
// by layer in a folder until the solver gets there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "format/checkpoint.h"
#include "layerwise/rounding/two_sided_gptq.h"
#include "layerwise/walk/layer_store.h"
#include "layerwise/walk/output_gradients.h"
#include "text/dataset.h"

namespace frugal::passes {

// Matrices with more rows are rounded row by row: what is kept of a matrix grows with their square.
inline constexpr int64_t kLargestTwoSidedRows = 8192;

class OutputFisherStore {
 public:
  // `stamp` as LayerStore's.
  OutputFisherStore(std::filesystem::path folder, const std::string& stamp)
      : folder_(std::move(folder)), store_(folder_, stamp) {}

  // Of the matrices `names` from all of `windows`; nothing is done where a run before got through.
  // Errors: those of output_gradients, and of the files.
  absl::Status gather(const format::Checkpoint& checkpoint, const text::Windows& windows,
                      const std::set<std::string>& names,
                      const layerwise::OutputGradientOptions& options);

  // Of a stage's matrices in stacking order, without products where there are none, or nothing but
  // zeros.
  absl::StatusOr<std::vector<layerwise::OutputFisher>> of(
      int64_t layer, const std::vector<std::string>& names,
      const std::vector<int64_t>& row_counts) const;

 private:
  std::filesystem::path folder_;
  layerwise::LayerStore store_;
};

}  // namespace frugal::passes
