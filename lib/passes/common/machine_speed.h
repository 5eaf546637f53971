// How fast this machine computes, measured: for estimates. What else runs on the machine slows the
// measurement as it will slow the work.
#pragma once

#include <c10/core/Device.h>

#include <optional>
#include <string>

#include "grid/grid.h"
#include "model/products.h"

namespace frugal::passes {

// Of the factors of a product of matrices. kRounded: as model::Precision::kRounded has them.
enum class Arithmetic { kRounded, kFloat32, kFloat64, kBfloat16 };

// Floating-point operations per second of products of matrices that caches hold, on all threads of
// the device together. Measured at the first call of a process, in less than a tenth of a second;
// the same number afterwards.
// Nothing where the device cannot be used.
std::optional<double> product_speed(Arithmetic arithmetic, const at::Device& device);

// What a walk over calibration text reaches of it; a solver's sweeps over rows; text that the model
// writes, counted with products of few rows (self_text_operations).
std::optional<double> walk_speed(model::Precision precision, const at::Device& device);
std::optional<double> sweep_speed(const at::Device& device);
std::optional<double> writing_speed(const at::Device& device);
// What training reaches of it, with bf16 products or without.
std::optional<double> training_speed(bool bf16, const at::Device& device);

// Seconds that rounding one weight to nearest on a grid takes with a search for the scales, all
// threads at work; measured at the first call for a grid and a search, on rows of `columns`
// weights. 0 where the grid is unknown, or does not fit such rows or the weights it is measured on.
double rounding_seconds(const std::string& grid, int64_t columns, grid::ScaleSearch search);

// Of so many operations; nothing where the speed is unknown.
std::optional<double> seconds_of(double operations, std::optional<double> speed);

// "at 93 GFLOP/s, measured just now"; "at an unknown speed".
std::string speed_text(std::optional<double> operations_per_second);

}  // namespace frugal::passes
