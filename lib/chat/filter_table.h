// The filters of each source: a new one is a function and a row there.
#pragma once

#include <span>
#include <string_view>

#include "base/status.h"
#include "chat/value.h"

namespace frugal::chat {

struct Filter {
  std::string_view name;
  absl::StatusOr<Value> (*function)(Workspace&, const Value&, const Arguments&);
};

std::span<const Filter> text_filters();
std::span<const Filter> number_filters();
std::span<const Filter> sequence_filters();

}  // namespace frugal::chat
