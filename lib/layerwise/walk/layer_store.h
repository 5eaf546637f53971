// What a walk has finished, one safetensors file per layer: it survives a kill, and the result is
// assembled from it.
//
// A file appears atomically when its layer is done. Its metadata holds the stamp of the walk (what
// must be equal for a resume, such as the calibration text) and a record for the journal. A later
// walk goes through stored layers with their weights instead of solving them; activations are
// computed again, to the same bits (tiles.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "format/safetensors.h"

namespace frugal::layerwise {

// By name; of any type that a safetensors file holds.
using StoredTensors = std::map<std::string, at::Tensor, std::less<>>;

class LayerStore {
 public:
  class Layer {
   public:
    // Bytes of a tensor of the expected type and shape. Errors: DataLoss naming file and tensor.
    absl::StatusOr<std::span<const std::byte>> bytes(std::string_view name, format::DType dtype,
                                                     const std::vector<int64_t>& shape) const;
    // The same as a tensor on the CPU, copied.
    absl::StatusOr<at::Tensor> tensor(std::string_view name, const std::vector<int64_t>& shape,
                                      at::ScalarType type = at::kFloat) const;
    bool has(std::string_view name) const { return file_.tensors().contains(name); }
    const format::TensorInfo& info(std::string_view name) const {
      return file_.tensors().find(name)->second;
    }
    const base::Json& record() const { return record_; }

   private:
    friend class LayerStore;
    format::SafetensorsFile file_;
    base::Json record_;
    std::filesystem::path path_;
  };

  // `folder` exists. `stamp`: any text; files of another stamp are taken for absent and
  // overwritten.
  LayerStore(std::filesystem::path folder, std::string stamp);

  absl::Status write(int64_t layer, const StoredTensors& tensors, const base::Json& record) const;
  // The stored layer, or nothing where it was never finished. Errors: a damaged file.
  absl::StatusOr<std::optional<Layer>> read(int64_t layer) const;
  // The stored layer. Errors: it was never finished; a damaged file.
  absl::StatusOr<Layer> require(int64_t layer) const;

 private:
  std::filesystem::path path(int64_t layer) const;
  std::filesystem::path folder_;
  std::string stamp_;
};

}  // namespace frugal::layerwise
