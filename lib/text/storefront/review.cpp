// Tested by: tests/text/storefront_test.cpp
#include <cctype>

#include "base/text.h"
#include "text/storefront/plan.h"

namespace frugal::text::storefront {
namespace {

using base::RandomStream;
using base::str_cat;

constexpr std::string_view kProducts[] = {"kettle",  "lamp",    "camera",  "backpack", "jacket",
                                          "blender", "headset", "chair",   "watch",    "tent",
                                          "speaker", "heater",  "printer", "bike",     "desk",
                                          "fan",     "mirror",  "clock",   "toaster",  "keyboard"};
constexpr std::string_view kAspects[] = {"design", "handle", "finish", "size",   "weight", "price",
                                         "button", "cover",  "cable",  "color",  "manual", "smell",
                                         "shape",  "sound",  "box",    "surface"};
constexpr std::string_view kGood[] = {"great",    "excellent", "lovely",    "perfect",
                                      "pleasant", "good",      "superb",    "charming",
                                      "splendid", "fine",      "wonderful", "convincing"};
constexpr std::string_view kBad[] = {"bad",      "awful", "dreadful", "poor",
                                     "annoying", "weak",  "horrible", "terrible",
                                     "mediocre", "nasty", "dull",     "disappointing"};
constexpr std::string_view kIntensifiers[] = {"very",  "really", "quite",
                                              "truly", "rather", "simply"};
constexpr std::string_view kNegations[] = {"not", "anything but", "far from", "hardly"};
constexpr std::string_view kReferences[] = {"the old one",  "the last one", "the cheap one",
                                            "my first one", "I hoped",      "I feared"};
constexpr std::string_view kContentActs[] = {"I would buy it again", "I am glad that I bought it",
                                             "I recommend it to everyone",
                                             "I will never send it back"};
constexpr std::string_view kDiscontentActs[] = {"I would never buy it again",
                                                "I am sorry that I bought it",
                                                "I recommend it to no one", "I will send it back"};

struct Person {
  std::string_view name;
  std::string_view pronoun;
};
constexpr Person kPeople[] = {{"sister", "she"},  {"brother", "he"}, {"mother", "she"},
                              {"neighbor", "he"}, {"friend", "she"}, {"uncle", "he"}};

// Facts carry polar words too, of things that are not for sale.
constexpr std::string_view kFacts[] = {"I bought it in March.",
                                       "It came in a brown box.",
                                       "My sister uses it at work.",
                                       "We live in a small town.",
                                       "The weather was awful that day.",
                                       "The weather was lovely that day.",
                                       "My neighbor is a terrible cook.",
                                       "My uncle is a great singer.",
                                       "It was a present for my brother.",
                                       "I read a dull book that week.",
                                       "We had a perfect dinner first.",
                                       "I ordered it on Monday.",
                                       "My mother has a splendid garden.",
                                       "The train was horrible again.",
                                       "A friend told me about it.",
                                       "It stands in the kitchen now."};

enum class Form { kPlain, kNegated, kCompared, kNotCompared, kReported, kExpected, kActed };
// Plain clauses are the most frequent, so that words alone say something and a model that learns
// finds its first step; the rest must be composed.
constexpr double kFormWeights[] = {0.56, 0.18, 0.08, 0.04, 0.04, 0.02, 0.08};

// A clause: `text` as it stands, `plan` without intensifiers, and what it is about.
struct Clause {
  std::string text;
  std::string plan;
  std::string subject;
};

std::string_view draw_word(bool positive, RandomStream& random) {
  return positive ? draw(kGood, random) : draw(kBad, random);
}

std::string draw_subject(std::string_view product, RandomStream& random) {
  const uint64_t kind = random.below(8);
  if (kind == 0) return "it";
  if (kind == 1) return str_cat("the ", product);
  if (kind == 2) return str_cat("this ", product);
  return str_cat("the ", draw(kAspects, random));
}

std::string maybe_intensifier(RandomStream& random) {
  return random.bernoulli(0.3) ? str_cat(draw(kIntensifiers, random), " ") : std::string();
}

Clause reported(bool positive, const std::string& subject, RandomStream& random) {
  const Person& person = kPeople[random.below(std::size(kPeople))];
  const bool right = random.bernoulli(0.6);
  const std::string_view word = draw_word(positive == right, random);
  const std::string_view verdict = right ? "right" : "wrong";
  return {str_cat("my ", person.name, " said ", subject, " was ", word, " and ", person.pronoun,
                  " was ", verdict),
          str_cat("reported ", subject, " ", word, " ", verdict), subject};
}

Clause expected(bool positive, const std::string& subject, RandomStream& random) {
  const bool right = random.bernoulli(0.6);
  const std::string_view word = draw_word(positive == right, random);
  const std::string_view verdict = right ? "right" : "wrong";
  return {str_cat("I expected ", subject, " to be ", word, " and I was ", verdict),
          str_cat("expected ", subject, " ", word, " ", verdict), subject};
}

Clause negated(bool positive, const std::string& subject, RandomStream& random) {
  const std::string_view negation = draw(kNegations, random);
  const std::string_view word = draw_word(!positive, random);
  const std::string intensifier = negation == "not" ? maybe_intensifier(random) : std::string();
  return {str_cat(subject, " is ", negation, " ", intensifier, word),
          str_cat(subject, " is ", negation, " ", word), subject};
}

Clause draw_clause(bool positive, std::string_view product, RandomStream& random) {
  const std::string subject = draw_subject(product, random);
  switch (static_cast<Form>(random.weighted(kFormWeights))) {
    case Form::kPlain: {
      const std::string_view word = draw_word(positive, random);
      return {str_cat(subject, " is ", maybe_intensifier(random), word),
              str_cat(subject, " is ", word), subject};
    }
    case Form::kNegated:
      return negated(positive, subject, random);
    case Form::kCompared: {
      const std::string text = str_cat(subject, positive ? " is better than " : " is worse than ",
                                       draw(kReferences, random));
      return {text, text, subject};
    }
    case Form::kNotCompared: {
      const std::string text =
          str_cat(subject, positive ? " is no worse than " : " is no better than ",
                  draw(kReferences, random));
      return {text, text, subject};
    }
    case Form::kReported:
      return reported(positive, subject, random);
    case Form::kExpected:
      return expected(positive, subject, random);
    case Form::kActed:
      break;
  }
  const std::string text(positive ? draw(kContentActs, random) : draw(kDiscontentActs, random));
  return {text, text, "the purchase"};
}

// The statement of `main`, alone or with `side`.
std::string join_clauses(size_t pattern, const Clause& main, const Clause& side) {
  switch (pattern) {
    case 0:
      return str_cat(capitalized(main.text), ".");
    case 1:
      return str_cat("Although ", side.text, ", ", main.text, ".");
    case 2:
      return str_cat("Even though ", side.text, ", ", main.text, ".");
    case 3:
      return str_cat(capitalized(main.text), ", although ", side.text, ".");
    case 4:
      return str_cat(capitalized(side.text), ", but ", main.text, ".");
    default:
      return str_cat(capitalized(side.text), ". Still, ", main.text, ".");
  }
}

}  // namespace

std::string capitalized(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z')
    text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

Drawn draw_review(bool positive, RandomStream& random) {
  constexpr double kPatternWeights[] = {0.5, 0.1, 0.1, 0.1, 0.1, 0.1};
  const std::string_view product = draw(kProducts, random);
  const size_t pattern = random.weighted(kPatternWeights);
  const Clause main = draw_clause(positive, product, random);
  Clause side;
  if (pattern > 0) {
    const bool side_positive = random.bernoulli(0.75) != positive;
    // What contradicts itself about one and the same thing has no right answer.
    do side = draw_clause(side_positive, product, random);
    while (side.subject == main.subject);
  }
  std::string text = join_clauses(pattern, main, side);
  if (random.bernoulli(0.35)) {
    const std::string_view fact = draw(kFacts, random);
    text = random.bernoulli(0.5) ? str_cat(fact, " ", text) : str_cat(text, " ", fact);
  }
  Drawn drawn;
  drawn.plan = str_cat("sentiment|", pattern, "|", main.plan, "|", side.plan);
  drawn.example.prompt = str_cat("Review: ", text, "\nSentiment:");
  drawn.example.completion = positive ? " positive" : " negative";
  drawn.example.label = drawn.example.completion;
  drawn.example.label_texts = {" negative", " positive"};
  return drawn;
}

}  // namespace frugal::text::storefront
