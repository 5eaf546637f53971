// Which part of a layer's experts one token runs through, for forecasts.
#pragma once

#include <cstdint>

#include "architecture/model_config.h"

namespace frugal::layerwise {

// How many experts a token runs through, and of how many; 1 of 1 in a dense layer.
struct TokenShare {
  int64_t part = 1, of = 1;
  // Of `count` for every token, spread evenly, rounded up.
  int64_t times(int64_t count) const { return (count * part + of - 1) / of; }
  double times(double count) const {
    return count * static_cast<double>(part) / static_cast<double>(of);
  }
};

inline TokenShare share_of(const architecture::Layer& layer) {
  return layer.experts ? TokenShare{layer.experts->per_token, layer.experts->count} : TokenShare{};
}

}  // namespace frugal::layerwise
