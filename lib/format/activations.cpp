#include "format/activations.h"

#include "base/text.h"

namespace frugal::format {

std::string_view name(Activations activations) {
  return activations == Activations::kInt8 ? "int8" : "none";
}

absl::StatusOr<Activations> find_activations(std::string_view text) {
  for (const Activations known : {Activations::kFloat, Activations::kInt8}) {
    if (text == name(known)) return known;
  }
  return base::invalid_argument("activations '", text, "' are unknown; expected none or int8");
}

absl::Status check_activations(Activations activations, const grid::GridSpec& spec,
                               std::string_view tensor, bool in_layer) {
  if (activations == Activations::kFloat) return absl::OkStatus();
  if (spec.name != "int8:row") {
    return base::invalid_argument("tensor '", tensor, "': activations ", name(activations),
                                  " need weights on grid int8:row, found ", spec.name,
                                  "; integers are multiplied, with one scale per row");
  }
  if (!in_layer) {
    return base::invalid_argument("tensor '", tensor, "': activations ", name(activations),
                                  " are for the matrices of decoder layers");
  }
  return absl::OkStatus();
}

}  // namespace frugal::format
