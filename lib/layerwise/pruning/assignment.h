// Who goes to whom at the least cost, one to one (linear sum assignment).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace frugal::layerwise {

// By row the column it gets, so that the sum of cost[row, column] is least: shortest augmenting
// paths with potentials (Kuhn 1955; Jonker & Volgenant 1987), n³ steps at most. `cost` [n, n] fp64
// on the CPU, finite. Of equal sums the same one every time. Throws on other shapes.
std::vector<int64_t> least_cost_assignment(const at::Tensor& cost);

}  // namespace frugal::layerwise
