// What the tasks of the storefront share: drawing from lists, and the split that a plan belongs to.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/random.h"
#include "text/dataset.h"

namespace frugal::text::storefront {

// An example and what decides its split.
struct Drawn {
  std::string plan;  // canonical: equal plans say the same
  Example example;
};

template <size_t N>
std::string_view draw(const std::string_view (&words)[N], base::RandomStream& random) {
  return words[random.below(N)];
}

// "a" or "an".
std::string with_article(std::string_view noun_phrase);

// The text with its first letter as a capital.
std::string capitalized(std::string text);

// A review; `positive` is its label.
Drawn draw_review(bool positive, base::RandomStream& random);

// A product description.
Drawn draw_description(base::RandomStream& random);

}  // namespace frugal::text::storefront
