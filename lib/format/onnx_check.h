// What the ONNX writer demands of a graph; internal to this room.
#pragma once

#include "base/status.h"
#include "format/onnx.h"

namespace frugal::format {

// Names defined once and before use, domains imported, constants of the right size, outputs
// computed.
absl::Status check_onnx_graph(const OnnxModel& model);

}  // namespace frugal::format
