// Python's two ways to format: "%s" % values and "{}".format(values).
// Errors: what Python refuses; conversions that frugal lacks, by name.
#pragma once

#include "base/status.h"
#include "chat/value.h"

namespace frugal::chat {

absl::StatusOr<Value> format_percent(Workspace& workspace, const Value& format,
                                     const Value& values);
absl::StatusOr<Value> format_braces(Workspace& workspace, const Value& format,
                                    const Arguments& arguments);

}  // namespace frugal::chat
