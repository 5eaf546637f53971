// Items of an evaluation as JSON objects, one per line of a JSONL file, and back: what paired tests
// are made from.
#pragma once

#include <filesystem>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "evaluate/classification.h"
#include "evaluate/divergence.h"
#include "evaluate/generation.h"
#include "evaluate/perplexity.h"

namespace frugal::evaluate {

base::Json to_json(const ClassificationItem& item);
base::Json to_json(const GenerationItem& item);
absl::StatusOr<ClassificationItem> classification_item(const base::Json& json,
                                                       std::string_view where);
absl::StatusOr<GenerationItem> generation_item(const base::Json& json, std::string_view where);

// {"window", "document", "nll", "tokens"}; nll is the sum in nats.
std::vector<base::Json> window_items(const Perplexity& perplexity);
// {"window", "document", "tokens", "kl", "same_top", "nll", "reference_nll", "delta_p",
// "delta_p_squared", "expected_acceptance"}; means per token.
std::vector<base::Json> window_items(const Divergence& divergence);

template <typename Item>
std::vector<base::Json> to_json(const std::vector<Item>& items) {
  std::vector<base::Json> result;
  result.reserve(items.size());
  for (const Item& item : items) result.push_back(to_json(item));
  return result;
}

// One object per line, published when complete.
absl::Status write_jsonl(const std::filesystem::path& path, const std::vector<base::Json>& lines);
absl::StatusOr<std::vector<base::Json>> read_jsonl(const std::filesystem::path& path);

}  // namespace frugal::evaluate
