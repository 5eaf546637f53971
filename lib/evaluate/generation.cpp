#include "evaluate/generation.h"

#include <algorithm>
#include <memory>
#include <set>

#include "base/interrupt.h"
#include "base/progress.h"
#include "model/generate.h"

namespace frugal::evaluate {
namespace {

bool is_word_byte(unsigned char byte) {
  return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
         (byte >= 'A' && byte <= 'Z');
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

absl::StatusOr<std::vector<text::TokenId>> prompt_ids(const text::Example& example,
                                                      const text::Tokenizer& tokenizer,
                                                      int64_t max_new_tokens,
                                                      int64_t context_length) {
  if (example.attributes.empty()) {
    return base::invalid_argument("example '", example.id,
                                  "' has no attributes to look for in a generated text");
  }
  std::vector<text::TokenId> ids = tokenizer.encode(example.prompt, /*add_special=*/false);
  if (!example.chat && tokenizer.vocabulary().bos)
    ids.insert(ids.begin(), *tokenizer.vocabulary().bos);
  if (ids.empty()) {
    return base::invalid_argument("example '", example.id,
                                  "' has an empty prompt, nothing to continue");
  }
  const int64_t length = static_cast<int64_t>(ids.size());
  if (length + max_new_tokens > context_length) {
    return base::invalid_argument("example '", example.id, "': a prompt of ", length,
                                  " tokens and ", max_new_tokens,
                                  " new ones do not fit the context of ", context_length,
                                  "; lower max_new_tokens or shorten the prompts");
  }
  return ids;
}

// The answer without what a chat template ends it with.
std::string reference_of(const text::Example& example, const text::Tokenizer& tokenizer) {
  if (!example.chat) return example.completion;
  const auto ids = tokenizer.encode(example.completion, /*add_special=*/false);
  return std::string(base::trim(tokenizer.decode(ids)));
}

}  // namespace

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> result;
  bool inside = false;
  for (const char c : text) {
    if (!is_word_byte(static_cast<unsigned char>(c))) {
      inside = false;
      continue;
    }
    if (!inside) result.emplace_back();
    inside = true;
    result.back() += lower(c);
  }
  return result;
}

bool mentions(std::string_view text, std::string_view phrase) {
  const std::vector<std::string> all = words(text);
  const std::vector<std::string> wanted = words(phrase);
  return !wanted.empty() &&
         std::search(all.begin(), all.end(), wanted.begin(), wanted.end()) != all.end();
}

double distinct_n(const std::vector<std::string>& texts, int64_t n) {
  std::set<std::vector<std::string>> different;
  int64_t count = 0;
  for (const std::string& text : texts) {
    const std::vector<std::string> list = words(text);
    for (int64_t i = 0; i + n <= static_cast<int64_t>(list.size()); ++i, ++count) {
      different.emplace(list.begin() + i, list.begin() + i + n);
    }
  }
  return count == 0 ? kNaN : static_cast<double>(different.size()) / static_cast<double>(count);
}

GenerationItem judge_generation(const text::Example& example, std::string generated) {
  GenerationItem item{
      example.id, example.prompt, std::move(generated), example.completion, example.attributes, {},
      0.0};
  int64_t found = 0;
  for (const std::string& attribute : item.attributes) {
    item.mentioned.push_back(mentions(item.generated, attribute));
    found += item.mentioned.back() ? 1 : 0;
  }
  if (!item.attributes.empty()) {
    item.coverage = static_cast<double>(found) / static_cast<double>(item.attributes.size());
  }
  return item;
}

Generation summarize_generation(std::vector<GenerationItem> items, base::RandomStream random) {
  Generation result;
  std::vector<double> coverage;
  std::vector<std::string> texts;
  double generated_words = 0.0, reference_words = 0.0;
  for (const GenerationItem& item : items) {
    coverage.push_back(item.coverage);
    texts.push_back(item.generated);
    generated_words += static_cast<double>(words(item.generated).size());
    reference_words += static_cast<double>(words(item.reference).size());
  }
  result.coverage = mean(coverage);
  result.coverage_interval = bootstrap_mean_interval(coverage, random);
  result.distinct_1 = distinct_n(texts, 1);
  result.distinct_2 = distinct_n(texts, 2);
  result.length_ratio = reference_words > 0.0 ? generated_words / reference_words : kNaN;
  result.items = std::move(items);
  return result;
}

absl::StatusOr<Generation> generate_and_judge(const model::Decoder& decoder,
                                              const text::Tokenizer& tokenizer,
                                              const std::vector<text::Example>& examples,
                                              base::RandomStream random,
                                              const GenerationOptions& options) {
  const model::GenerateOptions greedy{.max_new_tokens = options.max_new_tokens,
                                      .stop = model::stop_ids(decoder.config(), tokenizer)};
  return generate_and_judge(
      [&](const std::vector<std::vector<text::TokenId>>& prompts) {
        return model::generate(decoder, prompts, greedy, random);
      },
      decoder.config().context_length, tokenizer, examples, random, options);
}

absl::StatusOr<Generation> generate_and_judge(const Completer& complete, int64_t context_length,
                                              const text::Tokenizer& tokenizer,
                                              const std::vector<text::Example>& examples,
                                              base::RandomStream random,
                                              const GenerationOptions& options) {
  if (examples.empty()) return base::invalid_argument("generation: no examples");
  std::vector<std::vector<text::TokenId>> prompts;
  for (const text::Example& example : examples) {
    FRUGAL_ASSIGN_OR_RETURN(auto ids,
                            prompt_ids(example, tokenizer, options.max_new_tokens, context_length));
    prompts.push_back(std::move(ids));
  }
  std::unique_ptr<base::Progress> progress;
  if (!options.title.empty()) {
    progress = std::make_unique<base::Progress>(options.title, "texts",
                                                static_cast<int64_t>(examples.size()));
  }
  std::vector<GenerationItem> items;
  const size_t step = static_cast<size_t>(std::max<int64_t>(1, options.batch));
  for (size_t begin = 0; begin < prompts.size(); begin += step) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    const size_t end = std::min(prompts.size(), begin + step);
    const std::vector<std::vector<text::TokenId>> batch(
        prompts.begin() + static_cast<int64_t>(begin), prompts.begin() + static_cast<int64_t>(end));
    FRUGAL_ASSIGN_OR_RETURN(const auto generated, complete(batch));
    for (size_t i = begin; i < end; ++i) {
      text::Example example = examples[i];
      example.completion = reference_of(example, tokenizer);
      items.push_back(judge_generation(example, tokenizer.decode(generated[i - begin])));
    }
    if (progress) progress->advance(static_cast<int64_t>(batch.size()));
  }
  return summarize_generation(std::move(items), random);
}

}  // namespace frugal::evaluate
