// Tested by: tests/passes/evaluate_test.cpp
#include "passes/evaluate/evaluate_pass.h"

#include <algorithm>
#include <optional>

#include "base/hash.h"
#include "evaluate/items.h"
#include "evaluate/task_answers.h"
#include "evaluate/task_items.h"
#include "model/decoder.h"
#include "model/generate.h"
#include "passes/common/serving.h"
#include "passes/evaluate/comparison.h"
#include "passes/evaluate/inputs.h"
#include "passes/evaluate/options.h"
#include "passes/evaluate/results.h"
#include "passes/evaluate/task_files.h"
#include "tasks/inputs.h"
#include "tasks/results.h"
#include "tensor/device.h"
#include "text/dataset.h"
#include "text/tokenizer.h"

namespace frugal::passes {
namespace {

// Raised when the same options would give other items; part of the key of shared reference items.
constexpr int64_t kVersion = 2;

// One evaluation on its way: what all parts of it need.
class Evaluation {
 public:
  Evaluation(const EvaluateOptions& options, pass::RunContext& context)
      : options_(options), context_(context) {}

  absl::Status run() {
    FRUGAL_ASSIGN_OR_RETURN(device_, tensor::open_device(context_.device()));
    FRUGAL_ASSIGN_OR_RETURN(serving_, run_serving(options_.runtime, Purpose::kScoring, context_));
    FRUGAL_RETURN_IF_ERROR(open_model());
    FRUGAL_RETURN_IF_ERROR(open_reference());
    for (const pass::DataReference& reference : options_.tasks) {
      FRUGAL_ASSIGN_OR_RETURN(auto source, context_.data(reference));
      if (!source.task_file.empty()) {
        FRUGAL_RETURN_IF_ERROR(solve(reference.name, source));
        continue;
      }
      FRUGAL_ASSIGN_OR_RETURN(
          const ExampleTask task,
          load_example_task(reference.name, std::move(source), *model_->tokenizer, options_.limit));
      FRUGAL_RETURN_IF_ERROR(classify(task));
      FRUGAL_RETURN_IF_ERROR(generate(task));
    }
    FRUGAL_RETURN_IF_ERROR(score_texts());
    FRUGAL_RETURN_IF_ERROR(write_results());
    context_.row("runtime", serving_ ? model_->served->row() : own_forward_row(context_.device()));
    adjust_p_values(rows_);
    for (base::Json& row : rows_) context_.row("comparison", std::move(row));
    return absl::OkStatus();
  }

 private:
  base::RandomStream random(std::string_view purpose) const {
    return base::RandomStream(context_.seed(), base::str_cat("evaluate/", purpose));
  }
  std::string title(std::string_view what) const {
    return base::str_cat("evaluate ", context_.input_name(), ": ", what);
  }
  evaluate::ScoreOptions scoring(std::string_view what) const {
    return {.batch = options_.batch, .title = title(what)};
  }
  ComparisonContext comparison(std::string_view purpose) const {
    return {options_.reference.name, claims_of(options_, context_.claim()),
            random(base::str_cat("compare/", purpose))};
  }

  evaluate::Scorer scorer(const LoadedModel& loaded, std::string_view what) const {
    if (loaded.served) return loaded.served->scorer(title(what));
    return evaluate::scorer_of(*loaded.decoder, scoring(what));
  }

  absl::Status open_model() {
    if (!serving_) {
      FRUGAL_ASSIGN_OR_RETURN(model_, load_model(*context_.input(), device_));
      return absl::OkStatus();
    }
    FRUGAL_ASSIGN_OR_RETURN(const InputModel input, input_model(context_));
    FRUGAL_ASSIGN_OR_RETURN(model_, load_without_weights(input));
    model_->served = std::make_unique<ServedModel>(*serving_, input.config.vocabulary_size);
    return absl::OkStatus();
  }

  // Of the weights that frugal reads; empty where it reads none.
  absl::StatusOr<std::string> own_hash() const {
    if (context_.input() == nullptr) return "";
    return context_.input()->content_hash();
  }

  // A reference with the very same content is the model itself: there is nothing to compare, unless
  // a runtime computes the model.
  absl::Status open_reference() {
    if (options_.reference.name.empty()) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(auto checkpoint, context_.model(options_.reference));
    FRUGAL_ASSIGN_OR_RETURN(const std::string own, own_hash());
    FRUGAL_ASSIGN_OR_RETURN(reference_hash_, checkpoint.content_hash());
    if (own != reference_hash_ || serving_) reference_checkpoint_ = std::move(checkpoint);
    return absl::OkStatus();
  }

  // The reference's weights are read only where its items are not known yet.
  absl::StatusOr<const LoadedModel*> reference() {
    if (!reference_) {
      FRUGAL_ASSIGN_OR_RETURN(reference_, load_model(*reference_checkpoint_, device_));
    }
    return &*reference_;
  }

  // Items of the reference on what is `asked` (a hash of it): made once, then read by every step
  // that compares with it.
  absl::StatusOr<std::vector<base::Json>> reference_items(
      std::string_view kind, std::string_view asked,
      const std::function<absl::StatusOr<std::vector<base::Json>>(const LoadedModel&)>& make) {
    base::KeyHasher hasher;
    hasher.add("evaluate items").add(base::str_cat(kVersion)).add(kind).add(reference_hash_);
    hasher.add(context_.device()).add(base::str_cat(options_.max_new_tokens)).add(asked);
    FRUGAL_ASSIGN_OR_RETURN(
        const auto folder,
        context_.shared(hasher.hex(), [&](const std::filesystem::path& staging) -> absl::Status {
          FRUGAL_ASSIGN_OR_RETURN(const LoadedModel* loaded, reference());
          FRUGAL_ASSIGN_OR_RETURN(const auto items, make(*loaded));
          return evaluate::write_jsonl(staging / "items.jsonl", items);
        }));
    return evaluate::read_jsonl(folder / "items.jsonl");
  }

  void add_rows(std::vector<base::Json> rows) {
    rows_.insert(rows_.end(), std::make_move_iterator(rows.begin()),
                 std::make_move_iterator(rows.end()));
  }

  absl::StatusOr<evaluate::Classification> classify_with(const LoadedModel& loaded,
                                                         const ExampleTask& task,
                                                         std::string_view who) {
    return evaluate::classify(scorer(loaded, base::str_cat(task.name, who)),
                              loaded.config.context_length, *loaded.tokenizer, task.classification,
                              random(task.name));
  }

  absl::Status classify(const ExampleTask& task) {
    if (task.classification.empty()) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(const auto result, classify_with(*model_, task, ""));
    const tasks::TaskData questions = questions_of(result.items);
    std::vector<pass::Statistic> statistics = statistics_of(task.name, result);
    mark_floors(task.name, questions, statistics);
    report(std::move(statistics));
    for (const std::string& warning : warnings_of(task.name, questions, accuracy_of(result.items)))
      context_.warn(warning);
    FRUGAL_RETURN_IF_ERROR(context_.write_items(task.name, evaluate::to_json(result.items)));
    if (!reference_checkpoint_) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(
        const auto lines,
        reference_items("classification", hash_of_questions(task.classification),
                        [&](const LoadedModel& loaded) -> absl::StatusOr<std::vector<base::Json>> {
                          FRUGAL_ASSIGN_OR_RETURN(const auto made,
                                                  classify_with(loaded, task, " (reference)"));
                          return evaluate::to_json(made.items);
                        }));
    std::vector<evaluate::ClassificationItem> items;
    for (const base::Json& line : lines) {
      FRUGAL_ASSIGN_OR_RETURN(auto item, evaluate::classification_item(line, "reference items"));
      items.push_back(std::move(item));
    }
    FRUGAL_ASSIGN_OR_RETURN(auto rows,
                            compare(task.name, result.items, items, comparison(task.name)));
    doubt_floors(task.name, questions, rows);
    add_rows(std::move(rows));
    return absl::OkStatus();
  }

  absl::StatusOr<evaluate::Generation> generate_with(const LoadedModel& loaded,
                                                     const ExampleTask& task,
                                                     std::string_view who) {
    const evaluate::GenerationOptions options{.max_new_tokens = options_.max_new_tokens,
                                              .batch = options_.batch,
                                              .title = title(base::str_cat(task.name, who))};
    if (!loaded.served) {
      return evaluate::generate_and_judge(*loaded.decoder, *loaded.tokenizer, task.generation,
                                          random(task.name), options);
    }
    return evaluate::generate_and_judge(
        loaded.served->completer(options_.max_new_tokens,
                                 model::stop_ids(loaded.config, *loaded.tokenizer)),
        loaded.config.context_length, *loaded.tokenizer, task.generation, random(task.name),
        options);
  }

  absl::Status generate(const ExampleTask& task) {
    if (task.generation.empty()) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(const auto result, generate_with(*model_, task, ""));
    report(statistics_of(task.name, result));
    const bool both = !task.classification.empty();
    FRUGAL_RETURN_IF_ERROR(context_.write_items(both ? task.name + "-generation" : task.name,
                                                evaluate::to_json(result.items)));
    if (!reference_checkpoint_) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(
        const auto lines,
        reference_items("generation", hash_of_questions(task.generation),
                        [&](const LoadedModel& loaded) -> absl::StatusOr<std::vector<base::Json>> {
                          FRUGAL_ASSIGN_OR_RETURN(const auto made,
                                                  generate_with(loaded, task, " (reference)"));
                          return evaluate::to_json(made.items);
                        }));
    std::vector<evaluate::GenerationItem> items;
    for (const base::Json& line : lines) {
      FRUGAL_ASSIGN_OR_RETURN(auto item, evaluate::generation_item(line, "reference items"));
      items.push_back(std::move(item));
    }
    FRUGAL_ASSIGN_OR_RETURN(auto rows,
                            compare(task.name, result.items, items, comparison(task.name)));
    add_rows(std::move(rows));
    return absl::OkStatus();
  }

  // Questions of a task file.
  absl::Status solve(const std::string& name, const text::DataSource& source) {
    FRUGAL_ASSIGN_OR_RETURN(const tasks::TaskData task,
                            tasks::load_task(source, options_.limit, options_.fewshot));
    FRUGAL_ASSIGN_OR_RETURN(const Solved solved, solve_with(*model_, task, name));
    report(statistics_of(name, task, solved.answers, solved.result, random(name)));
    for (const std::string& warning : warnings_of(name, task, solved.result))
      context_.warn(warning);
    FRUGAL_RETURN_IF_ERROR(context_.write_items(name, solved.items));
    const tasks::EvaluatedTask evaluated{&task.config, task.questions, solved.answers,
                                         &solved.result, task.shots};
    FRUGAL_RETURN_IF_ERROR(context_.write_items("samples_" + name, tasks::sample_lines(evaluated)));
    results_.update(tasks::results_json(std::span(&evaluated, 1)), /*merge_objects=*/true);
    if (!reference_checkpoint_) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(
        const auto lines,
        reference_items("task", hash_of_questions(task),
                        [&](const LoadedModel& loaded) -> absl::StatusOr<std::vector<base::Json>> {
                          FRUGAL_ASSIGN_OR_RETURN(Solved made,
                                                  solve_with(loaded, task, name + " (reference)"));
                          return std::move(made.items);
                        }));
    FRUGAL_ASSIGN_OR_RETURN(const auto own, evaluate::task_scores(solved.items, name));
    FRUGAL_ASSIGN_OR_RETURN(const auto other, evaluate::task_scores(lines, "reference items"));
    FRUGAL_ASSIGN_OR_RETURN(auto rows, compare(name, own, other, comparison(name)));
    doubt_floors(name, task, rows);
    add_rows(std::move(rows));
    return absl::OkStatus();
  }

  struct Solved {
    std::vector<tasks::Answer> answers;
    tasks::TaskResult result;
    std::vector<base::Json> items;
  };
  absl::StatusOr<Solved> solve_with(const LoadedModel& loaded, const tasks::TaskData& task,
                                    std::string_view who) {
    Solved solved;
    const evaluate::Answerer answerer =
        loaded.served
            ? loaded.served->answerer(loaded.config.context_length,
                                      model::stop_ids(loaded.config, *loaded.tokenizer), title(who))
            : evaluate::answerer_of(*loaded.decoder, *loaded.tokenizer, scoring(who));
    FRUGAL_ASSIGN_OR_RETURN(
        solved.answers,
        evaluate::answer(answerer, *loaded.tokenizer, task.config, task.questions, scoring(who)));
    FRUGAL_ASSIGN_OR_RETURN(solved.result,
                            tasks::score_answers(task.config, task.questions, solved.answers));
    solved.items = evaluate::task_items(task.config, task.questions, solved.answers, solved.result);
    return solved;
  }

  // Results of all task files as lm-evaluation-harness writes them: one JSON object.
  absl::Status write_results() {
    if (results_.empty()) return absl::OkStatus();
    return context_.write_items("lm-eval-results", {results_});
  }

  void report(std::vector<pass::Statistic> statistics) {
    for (pass::Statistic& statistic : statistics) context_.statistic(std::move(statistic));
  }

  // Both tokenizers must cut this text alike, or the two models would be asked different questions.
  absl::Status check_same_ids(const evaluate::ScoredWindows& windows,
                              const evaluate::ScoredWindows& other) const {
    if (other.ids == windows.ids) return absl::OkStatus();
    return base::invalid_argument(
        "evaluate: '", context_.input_name(), "' and the reference '", options_.reference.name,
        "' tokenize the text differently, so their distributions cannot be "
        "compared; evaluate perplexity without a reference");
  }

  // The data's own limit in tokens counts too, rounded down to whole windows.
  absl::StatusOr<evaluate::ScoredWindows> windows_of(
      const text::DataSource& source, const text::Tokenizer& tokenizer,
      const std::vector<text::Example>& examples) const {
    FRUGAL_ASSIGN_OR_RETURN(const auto protocol, evaluate::parse_protocol(options_.protocol));
    FRUGAL_ASSIGN_OR_RETURN(const auto bos, evaluate::parse_bos_policy(options_.bos));
    int64_t limit = options_.windows;
    if (source.tokens > 0) {
      const int64_t fit = std::max<int64_t>(1, source.tokens / protocol.window_length);
      limit = limit > 0 ? std::min(limit, fit) : fit;
    }
    return evaluate::scored_windows(examples, tokenizer, protocol, {.windows = limit, .bos = bos});
  }

  absl::Status score_texts() {
    std::vector<TextResult> results;
    for (const pass::DataReference& text : options_.perplexity) {
      FRUGAL_ASSIGN_OR_RETURN(TextResult result, score_text(text));
      results.push_back(std::move(result));
    }
    if (results.size() < 2) return absl::OkStatus();
    report(macro_averages(results));
    for (const TextResult& result : results) context_.row("texts", text_row(result));
    return absl::OkStatus();
  }

  absl::StatusOr<TextResult> score_text(const pass::DataReference& text) {
    FRUGAL_ASSIGN_OR_RETURN(const auto source, context_.data(text));
    FRUGAL_ASSIGN_OR_RETURN(const auto examples, text::load_examples(source, *model_->tokenizer));
    FRUGAL_ASSIGN_OR_RETURN(const auto windows, windows_of(source, *model_->tokenizer, examples));
    TextResult result{.name = text.name, .perplexity = {}, .divergence = {}};
    const std::string prefix = text_prefix(options_, text);
    if (reference_checkpoint_) {
      FRUGAL_ASSIGN_OR_RETURN(const LoadedModel* other, reference());
      FRUGAL_ASSIGN_OR_RETURN(const auto others, windows_of(source, *other->tokenizer, examples));
      FRUGAL_RETURN_IF_ERROR(check_same_ids(windows, others));
      FRUGAL_RETURN_IF_ERROR(score_against_reference(windows, *other, prefix, result));
    } else {
      FRUGAL_RETURN_IF_ERROR(score_alone(windows, prefix, result));
    }
    if (&text == &options_.perplexity.front())
      FRUGAL_RETURN_IF_ERROR(compare_with_own_forward(windows));
    return result;
  }

  // "perplexity", or of one of several texts "perplexity-web".
  static std::string items_name(std::string_view what, std::string_view prefix) {
    return prefix.empty() ? std::string(what)
                          : base::str_cat(what, "-", prefix.substr(0, prefix.size() - 1));
  }

  absl::Status score_alone(const evaluate::ScoredWindows& windows, const std::string& prefix,
                           TextResult& result) {
    FRUGAL_ASSIGN_OR_RETURN(result.perplexity,
                            evaluate::perplexity(scorer(*model_, prefix + "perplexity"), windows,
                                                 random("perplexity")));
    report(statistics_of(result.perplexity, prefix));
    return context_.write_items(items_name("perplexity", prefix),
                                evaluate::window_items(result.perplexity));
  }

  absl::StatusOr<evaluate::Divergence> divergence_from(const model::Decoder& reference,
                                                       const evaluate::ScoredWindows& windows,
                                                       std::string_view what) {
    if (model_->served) {
      return evaluate::divergence(model_->served->logits(), reference, windows,
                                  random("perplexity"), scoring(what));
    }
    return evaluate::divergence(*model_->decoder, reference, windows, random("perplexity"),
                                scoring(what));
  }

  // What the runtime's arithmetic does to the numbers is part of what a user gets; this says how
  // much.
  absl::Status compare_with_own_forward(const evaluate::ScoredWindows& windows) {
    if (!serving_ || options_.forward_windows == 0) return absl::OkStatus();
    if (difference_known_) return absl::OkStatus();            // the reference was that forward
    if (context_.input() == nullptr) return absl::OkStatus();  // ... does not read these weights
    FRUGAL_ASSIGN_OR_RETURN(const auto own, load_decoder(*context_.input(), device_));
    FRUGAL_ASSIGN_OR_RETURN(
        const auto result,
        divergence_from(own, evaluate::first_windows(windows, options_.forward_windows),
                        "frugal's own forward"));
    report(runtime_difference(result, serving_->engine()));
    return absl::OkStatus();
  }

  absl::Status score_against_reference(const evaluate::ScoredWindows& windows,
                                       const LoadedModel& other, const std::string& prefix,
                                       TextResult& text) {
    FRUGAL_ASSIGN_OR_RETURN(const auto result,
                            divergence_from(*other.decoder, windows, prefix + "divergence"));
    report(statistics_of(result.model, prefix));
    report(statistics_of(result, options_.reference.name, prefix));
    FRUGAL_ASSIGN_OR_RETURN(const std::string own, own_hash());
    if (serving_ && own == reference_hash_ && !difference_known_) {
      report(runtime_difference(result, serving_->engine()));
      difference_known_ = true;
    }
    const std::string metric = prefix + "perplexity";
    FRUGAL_ASSIGN_OR_RETURN(base::Json row, compare(metric, result, comparison(metric)));
    rows_.push_back(std::move(row));
    FRUGAL_RETURN_IF_ERROR(context_.write_items(items_name("perplexity", prefix),
                                                evaluate::window_items(result.model)));
    FRUGAL_RETURN_IF_ERROR(
        context_.write_items(items_name("divergence", prefix), evaluate::window_items(result)));
    text.perplexity = result.model;
    text.divergence = result;
    return absl::OkStatus();
  }

  const EvaluateOptions& options_;
  pass::RunContext& context_;
  at::Device device_ = at::kCPU;
  std::optional<Serving> serving_;
  bool difference_known_ = false;
  std::optional<LoadedModel> model_, reference_;
  std::optional<format::Checkpoint> reference_checkpoint_;
  std::string reference_hash_;
  std::vector<base::Json> rows_;
  base::Json results_ = base::Json::object();
};

class EvaluatePass final : public pass::Pass {
 public:
  const pass::PassInfo& info() const override {
    static const pass::PassInfo info{
        .name = "evaluate",
        .version = kVersion,
        .summary =
            "Measures quality with intervals: label classification, generated text, task files of "
            "lm-evaluation-harness, perplexity, and paired comparisons with a reference.",
        .input = pass::Input::kCheckpoint,
        .output = pass::Output::kNone,
        .takes_artifacts = true};
    return info;
  }
  void visit_options(pass::OptionVisitor& visitor) override { visit(options_, visitor); }
  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override {
    return passes::check(options_, context, model);
  }
  absl::Status run(pass::RunContext& context) const override {
    return Evaluation(options_, context).run();
  }

 private:
  EvaluateOptions options_;
};

}  // namespace

std::unique_ptr<pass::Pass> make_evaluate_pass() { return std::make_unique<EvaluatePass>(); }

}  // namespace frugal::passes
