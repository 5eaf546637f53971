// What config.json says of tensors on grids ("frugal": {"quantized": ...}). Internal.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "format/checkpoint.h"

namespace frugal::format {

using QuantizedEntries = std::map<std::string, QuantizedEntry, std::less<>>;

// None where `config` has no such key. Errors name `where`, the tensor and the key.
absl::StatusOr<QuantizedEntries> parse_quantized_entries(const base::Json& config,
                                                         std::string_view where);

}  // namespace frugal::format
