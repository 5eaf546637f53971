// The same integers in another format's layout: a matrix moves to a grid that can hold its very
// codes and scales, or not at all. Nothing is rounded.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "grid/grid.h"

namespace frugal::artifact {

// The grids that GGUF has a tensor type for, each without options.
std::vector<std::string> gguf_grid_names();
// Whether `name` is one of them, with options or without.
bool is_gguf_grid(std::string_view name);

// The refusal of a weight on a grid without one, naming those.
absl::Status no_gguf_layout(std::string_view weight, std::string_view grid_name);

// Name of the GGUF grid that holds `grid_name` exactly: itself where it has a ggml type; "q4_0" for
// symmetric int4 with groups of a multiple of 32; "q8_0" for symmetric int8 likewise. Absent: there
// is none.
absl::StatusOr<std::optional<std::string>> gguf_grid_for(std::string_view grid_name,
                                                         int64_t row_columns);

// `matrix` on `target`, whose levels must contain those used and whose groups must divide the
// matrix's. Errors: a value that `target` does not hold (names row and column).
absl::StatusOr<grid::QuantizedMatrix> move_exactly(const grid::QuantizedMatrix& matrix,
                                                   std::shared_ptr<const grid::Grid> target);

}  // namespace frugal::artifact
