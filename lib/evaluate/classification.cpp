#include "evaluate/classification.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace frugal::evaluate {
namespace {

using Ids = std::vector<text::TokenId>;

// The sequences of one example and where each label's log-probabilities lie in them. Labels that
// differ only in their last token share one sequence: single-token labels cost one forward.
struct Plan {
  struct Part {
    size_t sequence;  // in the common list
    size_t begin, count;
  };
  std::vector<Part> labels;
};

size_t common_prefix(const Ids& a, const Ids& b) {
  const size_t limit = std::min(a.size(), b.size());
  size_t length = 0;
  while (length < limit && a[length] == b[length]) ++length;
  return length;
}

// A chat template has put its own BOS.
Ids encode(const text::Tokenizer& tokenizer, const std::string& text, bool chat) {
  Ids ids = tokenizer.encode(text, /*add_special=*/false);
  if (!chat && tokenizer.vocabulary().bos) ids.insert(ids.begin(), *tokenizer.vocabulary().bos);
  return ids;
}

absl::Status check_example(const text::Example& example) {
  if (example.label_texts.size() < 2 || example.label.empty()) {
    return base::invalid_argument(
        "example '", example.id, "' has ", example.label_texts.size(),
        " candidate labels; classification needs at least two and the right one");
  }
  const auto& candidates = example.label_texts;
  if (std::find(candidates.begin(), candidates.end(), example.label) == candidates.end()) {
    return base::invalid_argument("example '", example.id, "': its label '", example.label,
                                  "' is none of its candidates: ", base::join(candidates, ", "));
  }
  return absl::OkStatus();
}

// Adds the sequences of one example to `sequences`.
absl::StatusOr<Plan> plan_example(const text::Example& example, const text::Tokenizer& tokenizer,
                                  int64_t context_length, std::vector<Sequence>& sequences) {
  FRUGAL_RETURN_IF_ERROR(check_example(example));
  const Ids prompt = encode(tokenizer, example.prompt, example.chat);
  std::vector<Ids> texts;
  size_t shared = prompt.size();
  for (const std::string& label : example.label_texts) {
    texts.push_back(encode(tokenizer, example.prompt + label, example.chat));
    shared = std::min(shared, common_prefix(prompt, texts.back()));
  }
  if (shared == 0) {
    return base::invalid_argument("example '", example.id,
                                  "': nothing stands before the labels, and the ",
                                  "tokenizer has no BOS; give the data a prompt");
  }
  Plan plan;
  const size_t first = sequences.size();
  for (size_t i = 0; i < texts.size(); ++i) {
    const Ids& ids = texts[i];
    if (ids.size() <= shared) {
      return base::invalid_argument("example '", example.id, "': the label '",
                                    example.label_texts[i],
                                    "' has no token of its own behind the prompt");
    }
    if (static_cast<int64_t>(ids.size()) - 1 > context_length) {
      return base::invalid_argument("example '", example.id, "' has ", ids.size(),
                                    " tokens with its label, ", "the model's context holds ",
                                    context_length, "; shorten the prompts");
    }
    const Ids input(ids.begin(), ids.end() - 1);
    size_t at = first;
    while (at < sequences.size() && sequences[at].ids != input) ++at;
    if (at == sequences.size()) sequences.push_back({input, {}});
    plan.labels.push_back({at, sequences[at].queries.size(), ids.size() - shared});
    for (size_t t = shared; t < ids.size(); ++t) {
      sequences[at].queries.push_back({static_cast<int64_t>(t) - 1, ids[t]});
    }
  }
  return plan;
}

ClassificationItem make_item(const text::Example& example, const Plan& plan,
                             const std::vector<std::vector<double>>& log_probabilities) {
  ClassificationItem item{example.id, example.label, "", false, example.label_texts, {}, {}};
  for (const Plan::Part& part : plan.labels) {
    const auto begin = log_probabilities[part.sequence].begin() + static_cast<int64_t>(part.begin);
    item.scores.push_back(std::accumulate(begin, begin + static_cast<int64_t>(part.count), 0.0));
    item.tokens.push_back(static_cast<int64_t>(part.count));
  }
  const auto best = std::max_element(item.scores.begin(), item.scores.end());
  item.predicted = item.labels[static_cast<size_t>(best - item.scores.begin())];
  item.right = item.predicted == item.label;
  return item;
}

// Probability of the predicted label among the candidates: softmax of the scores.
double confidence(const ClassificationItem& item) {
  const double largest = *std::max_element(item.scores.begin(), item.scores.end());
  double sum = 0.0;
  for (const double score : item.scores) sum += std::exp(score - largest);
  return 1.0 / sum;
}

}  // namespace

double macro_f1(const std::vector<ClassificationItem>& items, std::span<const int64_t> indices) {
  struct Counts {
    double right = 0.0, truth = 0.0, predicted = 0.0;
  };
  std::map<std::string_view, Counts> labels;
  for (const int64_t i : indices) {
    const ClassificationItem& item = items[static_cast<size_t>(i)];
    labels[item.label].truth += 1.0;
    labels[item.predicted].predicted += 1.0;
    if (item.right) labels[item.label].right += 1.0;
  }
  double sum = 0.0;
  for (const auto& [label, counts] : labels) {
    sum += 2.0 * counts.right / (counts.truth + counts.predicted);
  }
  return sum / static_cast<double>(labels.size());
}

double expected_calibration_error(const std::vector<ClassificationItem>& items, int64_t bins) {
  struct Bin {
    double count = 0.0, right = 0.0, confidence = 0.0;
  };
  std::vector<Bin> table(static_cast<size_t>(bins));
  for (const ClassificationItem& item : items) {
    const double p = confidence(item);
    const int64_t index = std::min(bins - 1, static_cast<int64_t>(p * static_cast<double>(bins)));
    Bin& bin = table[static_cast<size_t>(index)];
    bin.count += 1.0;
    bin.right += item.right ? 1.0 : 0.0;
    bin.confidence += p;
  }
  double error = 0.0;
  for (const Bin& bin : table) error += std::abs(bin.right - bin.confidence);
  return error / static_cast<double>(items.size());
}

Classification summarize_classification(std::vector<ClassificationItem> items,
                                        base::RandomStream random) {
  Classification result;
  const int64_t n = static_cast<int64_t>(items.size());
  const int64_t right =
      std::count_if(items.begin(), items.end(), [](const auto& i) { return i.right; });
  result.accuracy = static_cast<double>(right) / static_cast<double>(n);
  result.accuracy_interval = wilson_interval(right, n);
  std::vector<int64_t> all(items.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  result.macro_f1 = macro_f1(items, all);
  result.macro_f1_interval = bootstrap_interval(
      n, [&](std::span<const int64_t> indices) { return macro_f1(items, indices); }, random);
  result.calibration_error = expected_calibration_error(items);
  result.items = std::move(items);
  return result;
}

absl::StatusOr<Classification> classify(const model::Decoder& decoder,
                                        const text::Tokenizer& tokenizer,
                                        const std::vector<text::Example>& examples,
                                        base::RandomStream random, const ScoreOptions& options) {
  return classify(scorer_of(decoder, options), decoder.config().context_length, tokenizer, examples,
                  random);
}

absl::StatusOr<Classification> classify(const Scorer& scorer, int64_t context_length,
                                        const text::Tokenizer& tokenizer,
                                        const std::vector<text::Example>& examples,
                                        base::RandomStream random) {
  if (examples.empty()) return base::invalid_argument("classification: no examples");
  std::vector<Sequence> sequences;
  std::vector<Plan> plans;
  for (const text::Example& example : examples) {
    FRUGAL_ASSIGN_OR_RETURN(Plan plan, plan_example(example, tokenizer, context_length, sequences));
    plans.push_back(std::move(plan));
  }
  FRUGAL_ASSIGN_OR_RETURN(const auto log_probabilities, scorer(sequences));
  std::vector<ClassificationItem> items;
  for (size_t i = 0; i < examples.size(); ++i) {
    items.push_back(make_item(examples[i], plans[i], log_probabilities));
  }
  return summarize_classification(std::move(items), random);
}

}  // namespace frugal::evaluate
