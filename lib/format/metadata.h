// The metadata of a checkpoint that is there.
#pragma once

#include "format/checkpoint.h"
#include "format/model_info.h"

namespace frugal::format {

// Called as its folder: config, grids, the type that holds most bytes of plain numbers, the size of
// the weights. Not its side files, and not where its zeros lie. Reads no weights.
ModelInfo metadata_of(const Checkpoint& checkpoint);

}  // namespace frugal::format
