// How a runtime rounds the inputs of a matrix before it multiplies them: part of what a quantized
// weight means.
#pragma once

#include <string_view>

#include "base/status.h"
#include "grid/grid.h"

namespace frugal::format {

enum class Activations {
  kFloat,  // "none": not at all
  kInt8,   // "int8": per token, symmetric, s = max|x| / 127; products of integers
           // (model/integer_linear.h)
};

std::string_view name(Activations activations);
// Errors: an unknown name.
absl::StatusOr<Activations> find_activations(std::string_view name);

// Rounded inputs need integer weights with one scale per row, and a matrix that a decoder layer
// multiplies: not the embedding, not the head. Errors: anything else, naming `tensor`.
absl::Status check_activations(Activations activations, const grid::GridSpec& spec,
                               std::string_view tensor, bool in_layer);

}  // namespace frugal::format
