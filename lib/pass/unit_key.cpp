#include "pass/unit_key.h"

#include <algorithm>
#include <vector>

#include "base/hash.h"
#include "base/text.h"

namespace frugal::pass {
namespace {

std::string content_key(const std::string& name, const Plan& plan) {
  if (const auto model = plan.models.find(name); model != plan.models.end()) {
    return model->second.hash.empty() ? "" : "model:" + model->second.hash;
  }
  const Unit* made = plan.find(name);
  return made == nullptr || made->key.empty() ? "" : "step:" + made->key;
}

}  // namespace

// An artifact is a copy of a checkpoint's integers; everything else computes. Precisions are of
// products over data: without data nothing depends on them.
std::string arithmetic_of(const Unit& unit, const PlanOptions& options) {
  if (unit.pass->info().output == Output::kArtifact) return "";
  std::string out = options.device.substr(0, options.device.find(':'));
  if (!unit.computed_by.empty()) out += ", " + unit.computed_by;
  const bool reads_data = std::any_of(
      unit.references.begin(), unit.references.end(),
      [](const Reference& reference) { return reference.kind == Reference::Kind::kData; });
  if (!reads_data) return out;
  for (const std::string& option : precision_options(*unit.pass)) {
    const auto value = unit.options.find(option);
    if (value == unit.options.end() || !value->is_string()) continue;
    const auto& name = value->get_ref<const std::string&>();
    out += base::str_cat(", ", options.arithmetic ? options.arithmetic(name) : name);
  }
  return out;
}

std::string key_of(const Unit& unit, const Plan& plan) {
  const PassInfo& info = unit.pass->info();
  base::KeyHasher key;
  key.add("frugal step 1").add(info.name).add(base::str_cat(info.version)).add(unit.options.dump());
  key.add(base::str_cat(plan.pipeline.seed));
  if (!unit.arithmetic.empty()) key.add("arithmetic").add(unit.arithmetic);
  if (unit.claim) {
    const Claim& claim = *unit.claim;
    key.add("claim").add(claim.metric).add(base::str_cat(claim.margin)).add(claim.kind);
  }
  // An artifact may carry the name of the model it was made from.
  if (info.output == Output::kArtifact) key.add("name").add(unit.from);
  std::vector<std::string> parts;
  if (!unit.from.empty()) parts.push_back(content_key(unit.from, plan));
  for (const Reference& reference : unit.references) {
    if (reference.kind == Reference::Kind::kModel) {
      parts.push_back(content_key(reference.name, plan));
    } else {
      const auto found = plan.data.find(reference.name);
      const bool hashed = found != plan.data.end() && !found->second.key.empty();
      parts.push_back(hashed ? "data:" + found->second.key : "");
    }
  }
  for (const std::string& part : parts) {
    if (part.empty()) return "";
    key.add(part);
  }
  return key.hex();
}

}  // namespace frugal::pass
