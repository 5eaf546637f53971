#include "passes/common/zeros.h"

#include "base/text.h"

namespace frugal::passes {

void lose_zeros(pass::CheckContext& context, std::string_view pass, pass::ModelInfo& model,
                const std::function<bool(const std::string& weight)>& fills, std::string_view why) {
  std::string first;
  std::erase_if(model.zeros, [&](const auto& entry) {
    if (!fills(entry.first)) return false;
    if (first.empty()) first = base::str_cat(entry.first, ": ", entry.second);
    return true;
  });
  if (first.empty()) return;
  context.warn(base::str_cat(pass, ": '", model.name, "' has zeros (", first, ", ...); ", why));
}

}  // namespace frugal::passes
