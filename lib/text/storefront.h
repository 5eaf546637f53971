// `builtin: storefront`: seeded texts of a shop, so that every user has two tasks to teach, compress and measure without a
// file from outside. The same seed gives the same texts on every machine.
//
// Task "sentiment": a product review and whether its writer is content. The answer must be composed; single words mislead.
//   review  = [fact] statement [fact]; facts ("The weather was awful that day.") never count
//   statement = main clause M, with or without a side clause S:
//       "M."  "Although S, M."  "Even though S, M."  "M, although S."  "S, but M."  "S. Still, M."  → M decides
//   clause with polarity p, for a subject ("the handle", "this kettle", "it"):
//       plain            "is [very] <word of p>"
//       negated          "is not [really] <word of −p>", "is anything but …", "is far from …", "is hardly …"
//       compared         "is better/worse than <reference>"; "is no better than" is negative, "is no worse than" positive
//       reported         "my sister said <subject> was <word of q>, and she was right" (p = q) "/ wrong" (p = −q)
//       expected         "I expected <subject> to be <word of q>, and I was right / wrong"
//       acted            "I would buy it again", "I want my money back", …
//   The side clause contradicts the main clause three times out of four and agrees otherwise. Labels alternate.
//
// Task "description": a sentence or two that sell a product and mention its name, color, material and feature.
//
// Splits are disjoint by construction: what an example says (its plan, without wording, facts and intensifiers) is hashed,
// and the hash, not the seed, decides the split.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/dataset.h"

namespace frugal::text {

// Part of cache keys: to be raised with every change of the texts.
inline constexpr std::string_view kStorefrontVersion = "storefront-1";

struct StorefrontOptions {
  std::string split = "train";  // train, calibration, validation, test
  std::string task;             // sentiment, description; empty = both in turn
  int64_t limit = 0;            // 0: train 20000, calibration 512, validation 500, test 1000
  uint64_t seed = 1;
};

// The first `limit` examples of the split; fewer examples are a prefix of more. Errors: unknown split or task; a limit
// beyond what the split's plans can yield.
absl::StatusOr<std::vector<Example>> storefront_examples(const StorefrontOptions& options);

}  // namespace frugal::text
