// `builtin: storefront`: seeded texts of a shop, so that every user has two tasks to teach,
// compress and measure without a file from outside. The same seed gives the same texts on every
// machine.
//
// Task "sentiment": a product review and whether its writer is content. The answer must be
// composed; single words mislead.
//
//   review    = [fact] statement | statement [fact]; facts ("The weather was awful that day.")
//               never count
//   statement = a main clause M, which decides, with or without a side clause S:
//                 "M."  "Although S, M."  "Even though S, M."  "M, although S."
//                 "S, but M."  "S. Still, M."
//   clause of polarity p, about "the handle", "this kettle", "it":
//     plain     is [very] <word of p>
//     negated   is not [really] / anything but / far from / hardly <word of −p>
//     compared  is better / worse than <reference>; "no better than" is negative, "no worse
//               than" positive
//     reported  my sister said … was <word of p> and she was right; <word of −p> … wrong
//     expected  I expected … to be <word of p> and I was right; <word of −p> … wrong
//     acted     I would buy it again; I will send it back; …
//
// Half of the statements have no side clause, and plain clauses are the most frequent: words alone
// say something, and a model that learns finds its first step; the rest must be composed. A side
// clause contradicts the main clause three times out of four, agrees otherwise, and is about
// something else. Labels alternate.
//
// Task "description": a sentence or two that sell a product and mention its name, color, material
// and feature.
//
// Mixed, there are three reviews to a description: a review teaches by one word, a description by
// thirty.
//
// Splits are disjoint by construction: what an example says (its plan, without wording, facts and
// intensifiers) is hashed, and the hash, not the seed, decides the split.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/dataset.h"

namespace frugal::text {

// Part of cache keys: to be raised with every change of the texts.
inline constexpr std::string_view kStorefrontVersion = "storefront-2";

struct StorefrontOptions {
  std::string split = "train";  // train, calibration, validation, test
  std::string task;   // sentiment, description; empty = both, three reviews to a description
  int64_t limit = 0;  // 0: train 20000, calibration 512, validation 500, test 1000
  uint64_t seed = 1;
};

// The first `limit` examples of the split; fewer examples are a prefix of more. Errors: unknown
// split or task; a limit beyond what the split's plans can yield.
absl::StatusOr<std::vector<Example>> storefront_examples(const StorefrontOptions& options);

}  // namespace frugal::text
