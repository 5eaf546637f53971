#include "evaluate/generation.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <set>

#include "base/interrupt.h"
#include "base/progress.h"
#include "model/generate.h"
#include "tasks/text_metrics.h"

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
  if (example.attributes.empty() && example.completion.empty()) {
    return base::invalid_argument("example '", example.id,
                                  "' has neither attributes to look for in a generated text nor a "
                                  "completion to compare it with");
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

// An answer without what a chat template ends it with.
std::string reference_of(const std::string& completion, bool chat,
                         const text::Tokenizer& tokenizer) {
  if (!chat) return completion;
  const auto ids = tokenizer.encode(completion, /*add_special=*/false);
  return std::string(base::trim(tokenizer.decode(ids)));
}

// The sum of what `indices` name.
template <typename Counts>
Counts sum_of(const std::vector<Counts>& all, std::span<const int64_t> indices) {
  Counts sum;
  for (const int64_t i : indices) sum += all[static_cast<size_t>(i)];
  return sum;
}

IndexStatistic mean_statistic(std::vector<double> values) {
  return [values = std::move(values)](std::span<const int64_t> indices) {
    double sum = 0.0;
    for (const int64_t i : indices) sum += values[static_cast<size_t>(i)];
    return sum / static_cast<double>(indices.size());
  };
}

double count_of_words(const std::string& text) { return static_cast<double>(words(text).size()); }

double mean_words(const std::vector<std::string>& texts) {
  double sum = 0.0;
  for (const std::string& text : texts) sum += count_of_words(text);
  return texts.empty() ? 0.0 : sum / static_cast<double>(texts.size());
}

double mean_repetition(const std::vector<GenerationItem>& items) {
  std::vector<double> values;
  for (const GenerationItem& item : items) {
    const double value = tasks::repetition(words(item.generated), 4);
    if (std::isfinite(value)) values.push_back(value);
  }
  return mean(values);
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
  GenerationItem item{.id = example.id,
                      .prompt = example.prompt,
                      .generated = std::move(generated),
                      .references = {},
                      .attributes = example.attributes,
                      .mentioned = {}};
  if (!example.completion.empty()) item.references = {example.completion};
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

std::vector<TextMetric> text_metrics(const std::vector<GenerationItem>& items) {
  std::vector<tasks::BleuCounts> bleu;
  std::vector<tasks::ChrfCounts> chrf;
  std::vector<double> rouge_l, rouge_lsum;
  std::vector<int64_t> counts;
  for (const GenerationItem& item : items) {
    if (item.references.empty()) return {};
    counts.push_back(static_cast<int64_t>(item.references.size()));
    bleu.push_back(tasks::bleu_counts(item.generated, item.references));
    chrf.push_back(tasks::chrf_counts(item.generated, item.references));
    rouge_l.push_back(tasks::rouge_l(item.generated, item.references));
    rouge_lsum.push_back(tasks::rouge_lsum(item.generated, item.references));
  }
  if (items.empty()) return {};
  const std::string rouge = "case:lower|stem:no|score:f1|best of references";
  return {{"bleu", tasks::signature_of(tasks::kBleuSignature, counts),
           [bleu = std::move(bleu)](std::span<const int64_t> indices) {
             return tasks::bleu(sum_of(bleu, indices));
           }},
          {"chrf", tasks::signature_of(tasks::kChrfSignature, counts),
           [chrf = std::move(chrf)](std::span<const int64_t> indices) {
             return tasks::chrf(sum_of(chrf, indices));
           }},
          {"rouge_l", rouge, mean_statistic(std::move(rouge_l))},
          {"rouge_lsum", rouge, mean_statistic(std::move(rouge_lsum))}};
}

std::vector<PromptedExample> by_prompt(const std::vector<text::Example>& examples) {
  std::vector<PromptedExample> result;
  std::map<std::string, size_t, std::less<>> places;
  for (const text::Example& example : examples) {
    const auto [place, added] = places.try_emplace(example.prompt, result.size());
    if (!added && example.attributes.empty()) {
      result[place->second].references.push_back(example.completion);
      continue;
    }
    result.push_back({example, {}});
    if (!example.completion.empty()) result.back().references = {example.completion};
  }
  return result;
}

Generation summarize_generation(std::vector<GenerationItem> items, base::RandomStream random) {
  Generation result;
  std::vector<double> coverage;
  std::vector<std::string> texts;
  double generated_words = 0.0, reference_words = 0.0;
  for (const GenerationItem& item : items) {
    coverage.push_back(item.coverage);
    texts.push_back(item.generated);
    generated_words += count_of_words(item.generated);
    reference_words += mean_words(item.references);
  }
  std::vector<int64_t> all(items.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  for (const TextMetric& metric : text_metrics(items)) {
    result.scores.push_back(
        {metric.name, metric.signature, metric.of(all),
         bootstrap_interval(static_cast<int64_t>(items.size()), metric.of, random)});
  }
  result.repetition_4 = mean_repetition(items);
  result.coverage = mean(coverage);
  if (std::isfinite(result.coverage))
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
  const std::vector<PromptedExample> asked = by_prompt(examples);
  std::vector<std::vector<text::TokenId>> prompts;
  for (const PromptedExample& one : asked) {
    FRUGAL_ASSIGN_OR_RETURN(
        auto ids, prompt_ids(one.example, tokenizer, options.max_new_tokens, context_length));
    prompts.push_back(std::move(ids));
  }
  std::unique_ptr<base::Progress> progress;
  if (!options.title.empty()) {
    progress = std::make_unique<base::Progress>(options.title, "texts",
                                                static_cast<int64_t>(asked.size()));
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
      const text::Example& example = asked[i].example;
      GenerationItem item = judge_generation(example, tokenizer.decode(generated[i - begin]));
      item.references.clear();
      for (const std::string& reference : asked[i].references)
        item.references.push_back(reference_of(reference, example.chat, tokenizer));
      items.push_back(std::move(item));
    }
    if (progress) progress->advance(static_cast<int64_t>(batch.size()));
  }
  return summarize_generation(std::move(items), random);
}

}  // namespace frugal::evaluate
