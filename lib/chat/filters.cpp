// Tested by: tests/chat/template_test.cpp
#include "chat/filters.h"

#include <algorithm>

#include "chat/filter_table.h"

namespace frugal::chat {
namespace {

// Jinja has them, frugal has not: no chat template has a use for them.
constexpr std::string_view kMissing[] = {"attr",      "filesizeformat", "forceescape", "groupby",
                                         "pprint",    "random",         "slice",       "striptags",
                                         "urlencode", "urlize",         "wordwrap",    "xmlattr"};

const Filter* find_filter(std::string_view name) {
  for (const auto filters : {text_filters(), number_filters(), sequence_filters()}) {
    const auto found = std::find_if(filters.begin(), filters.end(),
                                    [&](const Filter& filter) { return filter.name == name; });
    if (found != filters.end()) return &*found;
  }
  return nullptr;
}

}  // namespace

Support filter_support(std::string_view name) {
  if (find_filter(name) != nullptr) return Support::kSupported;
  const bool missing =
      std::find(std::begin(kMissing), std::end(kMissing), name) != std::end(kMissing);
  return missing ? Support::kMissing : Support::kUnknown;
}

absl::StatusOr<Value> call_filter(Workspace& workspace, std::string_view name, const Value& value,
                                  const Arguments& arguments) {
  const Filter* found = find_filter(name);
  if (found == nullptr) return base::invalid_argument("there is no filter '", name, "'");
  absl::StatusOr<Value> result = found->function(workspace, value, arguments);
  if (!result.ok()) return base::annotate(result.status(), base::str_cat("filter '", name, "'"));
  return result;
}

}  // namespace frugal::chat
