// Tested by: tests/text/storefront_test.cpp
#include "base/text.h"
#include "text/storefront/plan.h"

namespace frugal::text::storefront {
namespace {

using base::RandomStream;
using base::str_cat;

struct Product {
  std::string_view name;
  std::string_view use;  // "for …"
};
constexpr Product kProducts[] = {{"kettle", "tea in the morning"},
                                 {"lamp", "long evenings"},
                                 {"camera", "days in the city"},
                                 {"backpack", "the way to work"},
                                 {"jacket", "cold mornings"},
                                 {"blender", "a quick breakfast"},
                                 {"headset", "music on the train"},
                                 {"chair", "long days at work"},
                                 {"watch", "every day"},
                                 {"tent", "nights by the lake"},
                                 {"speaker", "parties at home"},
                                 {"heater", "cold evenings"},
                                 {"printer", "a small office"},
                                 {"bike", "days in the country"},
                                 {"desk", "quiet work"},
                                 {"fan", "hot nights"},
                                 {"mirror", "a bright hall"},
                                 {"clock", "the kitchen wall"},
                                 {"basket", "the market"},
                                 {"bottle", "the way to school"}};

constexpr std::string_view kColors[] = {"red",    "blue",   "green", "black", "white",  "gray",
                                        "yellow", "orange", "pink",  "brown", "purple", "silver",
                                        "golden", "cream",  "navy",  "olive"};

struct Material {
  std::string_view name;
  std::string_view praise;
};
constexpr Material kMaterials[] = {
    {"steel", "never rusts"},      {"oak", "ages well"},           {"glass", "is easy to clean"},
    {"leather", "grows softer"},   {"cotton", "feels soft"},       {"bamboo", "grows back fast"},
    {"aluminum", "weighs little"}, {"wool", "keeps you warm"},     {"canvas", "stands the rain"},
    {"cork", "feels warm"},        {"copper", "shines for years"}, {"plastic", "never breaks"},
    {"linen", "dries fast"},       {"stone", "lasts for life"}};

struct Feature {
  std::string_view name;
  std::string_view benefit;
};
constexpr Feature kFeatures[] = {
    {"a quiet motor", "nobody wakes up"},         {"a timer", "you never wait"},
    {"a long battery life", "it runs all day"},   {"a soft grip", "it sits well in the hand"},
    {"a spare part", "it is quickly repaired"},   {"a night light", "you find it in the dark"},
    {"a child lock", "the children are safe"},    {"two pockets", "there is room for more"},
    {"a magnetic lid", "nothing is lost"},        {"solar cells", "it needs no cable"},
    {"a folding frame", "it fits in any corner"}, {"a hidden pocket", "your keys are safe"},
    {"three speeds", "you set the pace"},         {"a wide base", "it never falls over"},
    {"a water filter", "every glass is fresh"},   {"a carry strap", "it comes with you"},
    {"voice control", "your hands stay free"},    {"a dust cover", "it stays like new"}};

// What the sentences are made of.
struct Plan {
  const Product& product;
  std::string_view color;
  const Material& material;
  const Feature& feature;
};

std::string first_sentence(const Plan& plan, uint64_t wording) {
  const std::string thing = str_cat(plan.color, " ", plan.product.name);
  switch (wording) {
    case 0:
      return str_cat(capitalized(with_article(thing)), " made of ", plan.material.name, ", with ",
                     plan.feature.name, ".");
    case 1:
      return str_cat("This ", thing, " of ", plan.material.name, " has ", plan.feature.name, ".");
    case 2:
      return str_cat("Meet the ", thing, ": ", plan.material.name, " and ", plan.feature.name, ".");
    default:
      return str_cat("With ", plan.feature.name, ", this ", plan.material.name, " ",
                     plan.product.name, " in ", plan.color, " is made for ", plan.product.use, ".");
  }
}

std::string second_sentence(const Plan& plan, uint64_t wording) {
  switch (wording) {
    case 0:
      return str_cat(" Its ", plan.material.name, " ", plan.material.praise, ".");
    case 1:
      return str_cat(" Thanks to ", plan.feature.name, ", ", plan.feature.benefit, ".");
    case 2:
      return str_cat(" Made for ", plan.product.use, ".");
    default:
      return str_cat(" The ", plan.material.name, " ", plan.material.praise, ", and ",
                     plan.feature.benefit, ".");
  }
}

}  // namespace

std::string with_article(std::string_view noun_phrase) {
  const bool vowel = std::string_view("aeiou").find(noun_phrase.front()) != std::string_view::npos;
  return str_cat(vowel ? "an " : "a ", noun_phrase);
}

Drawn draw_description(RandomStream& random) {
  const Plan plan{kProducts[random.below(std::size(kProducts))], draw(kColors, random),
                  kMaterials[random.below(std::size(kMaterials))],
                  kFeatures[random.below(std::size(kFeatures))]};
  const uint64_t first = random.below(4);
  uint64_t second = random.below(4);
  if (first == 3 && second == 2) second = 3;  // both say what it is made for
  Drawn drawn;
  drawn.plan = str_cat("description|", plan.product.name, "|", plan.color, "|", plan.material.name,
                       "|", plan.feature.name);
  drawn.example.prompt = str_cat("Product: ", plan.product.name, "; color: ", plan.color,
                                 "; material: ", plan.material.name,
                                 "; feature: ", plan.feature.name, "\nDescription:");
  drawn.example.completion =
      str_cat(" ", first_sentence(plan, first), second_sentence(plan, second));
  drawn.example.attributes = {std::string(plan.product.name), std::string(plan.color),
                              std::string(plan.material.name), std::string(plan.feature.name)};
  return drawn;
}

}  // namespace frugal::text::storefront
