// A toy whose matrices lie on chosen grids, for exporters.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "architecture/tensors.h"
#include "format/checkpoint.h"
#include "support/quantized_matrix.h"
#include "support/shared_data.h"

namespace frugal::artifact {

struct OnGrid {
  std::string grid;  // empty: plain
  format::Activations activations = format::Activations::kFloat;
};

// `source` again in `folder`: matrices on what `choose` says of them, others as `dtype`.
template <typename Choose>
format::Checkpoint on_grids(const format::Checkpoint& source, const std::filesystem::path& folder,
                            format::DType dtype, Choose choose) {
  std::filesystem::create_directories(folder);
  std::vector<format::CheckpointWriter::Tensor> tensors;
  std::map<std::string, grid::QuantizedMatrix> matrices;
  for (const architecture::Tensor& tensor : architecture::tensors(source.config())) {
    tensors.push_back({.name = tensor.name, .dtype = dtype, .shape = tensor.shape, .grid = {}});
    const OnGrid chosen = tensor.is_matrix() ? choose(tensor) : OnGrid{};
    if (chosen.grid.empty()) continue;
    tensors.back().grid = chosen.grid;
    tensors.back().activations = chosen.activations;
    matrices.emplace(tensor.name,
                     test::random_matrix(chosen.grid, tensor.shape[0], tensor.shape[1]));
  }
  auto writer = format::CheckpointWriter::create(folder, source.config(), tensors).value();
  for (const auto& tensor : tensors) {
    FRUGAL_EXPECT_OK(tensor.grid ? writer.write_codes(tensor.name, matrices.at(tensor.name))
                                 : writer.write_values(tensor.name, *source.values(tensor.name)));
  }
  FRUGAL_EXPECT_OK(writer.copy_side_files(source));
  FRUGAL_EXPECT_OK(writer.finish());
  return format::Checkpoint::open(folder).value();
}

// Matrices of the layers on one grid.
inline format::Checkpoint layers_on(const format::Checkpoint& source,
                                    const std::filesystem::path& folder, const OnGrid& chosen,
                                    format::DType dtype = format::DType::kF32) {
  return on_grids(source, folder, dtype, [&](const architecture::Tensor& tensor) {
    return tensor.is_stage_matrix() ? chosen : OnGrid{};
  });
}

}  // namespace frugal::artifact
