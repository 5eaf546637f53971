// Tested by: tests/passes/evaluate_test.cpp
#include "passes/evaluate/options.h"

#include <algorithm>

#include "base/text.h"
#include "format/genai_folder.h"
#include "passes/common/serving.h"
#include "passes/common/text_checks.h"
#include "passes/evaluate/power.h"
#include "passes/evaluate/task_files.h"

namespace frugal::passes {
namespace {

void visit_data(EvaluateOptions& options, pass::OptionVisitor& visitor) {
  visitor.field(
      {.name = "tasks",
       .help = "Data to solve: label classification where the examples have labels, generation "
               "with BLEU, chrF and ROUGE where they have a prompt and a completion and with "
               "attribute coverage where they have attributes, and task files of "
               "lm-evaluation-harness: a file, or the name of one that comes with frugal."},
      options.tasks);
  visitor.field({.name = "limit",
                 .help = "Examples or questions of each task at most, the first ones; 0 takes all.",
                 .unit = "examples",
                 .minimum = 0},
                options.limit);
  visitor.field({.name = "fewshot",
                 .help = "Task files: solved examples in front of each question.",
                 .unit = "examples",
                 .minimum = 0,
                 .maximum = 1000,
                 .otherwise = "as the task file says (num_fewshot)"},
                options.fewshot);
  visitor.field({.name = "max_new_tokens",
                 .help = "Length at which a generated text is cut.",
                 .unit = "tokens",
                 .minimum = 1},
                options.max_new_tokens);
  visitor.field(
      {.name = "perplexity",
       .help = "Texts whose perplexity is measured, and with a reference the divergence from it; "
               "of several also the averages over them, whatever their lengths."},
      options.perplexity);
  visitor.field(
      {.name = "protocol",
       .help =
           "How perplexity is counted: gptq-<L> scores every token but the first of disjoint "
           "windows of "
           "L; llamacpp-<L> the second half of each window, as llama.cpp does; documents-<L> every "
           "document by itself behind a BOS, in pieces of at most L; of examples with a prompt "
           "only the completion counts; lmeval-<L> does as lm-evaluation-harness with a context of "
           "L, and counts for words and bytes, too."},
      options.protocol);
  visitor.field(
      {.name = "bos",
       .help =
           "Protocol llamacpp: whether a BOS stands in front of the text and over the first id of "
           "each window; tokenizer does as the tokenizer does by itself.",
       .choices = {"tokenizer", "always", "never"}},
      options.bos);
  visitor.field({.name = "windows",
                 .help = "Windows of each text at most, the first ones (of lmeval: documents); 0 "
                         "takes all.",
                 .unit = "windows",
                 .minimum = 0},
                options.windows);
}

void visit_comparison(EvaluateOptions& options, pass::OptionVisitor& visitor) {
  visitor.field({.name = "reference",
                 .help = "Model to compare with on the same items: paired differences with "
                         "intervals, KL divergence."},
                options.reference);
  visitor.field(
      {.name = "margin",
       .help =
           "Loss against the reference that is declared acceptable: comparisons get a verdict; 0 "
           "declares none. A pipeline declares its claim once, under report: claim:.",
       .minimum = 0,
       .maximum = 1},
      options.margin);
  visitor.field(
      {.name = "margin_kind",
       .help =
           "Whether the margin is in the metric's own unit, or a share of the reference's value.",
       .choices = {"absolute", "relative"}},
      options.margin_kind);
  visitor.field({.name = "metric",
                 .help = "The one metric that the margin is about, for example sentiment/accuracy; "
                         "empty means every "
                         "accuracy and coverage."},
                options.metric);
}

std::vector<std::string> claimable(const EvaluateOptions& options,
                                   const pass::CheckContext& context) {
  std::vector<std::string> result;
  for (const pass::DataReference& task : options.tasks) {
    const auto source = context.data(task);
    if (source.ok() && !source->task_file.empty()) {
      for (std::string& name : claimable_metrics(*source, task.name))
        result.push_back(std::move(name));
      continue;
    }
    result.push_back(task.name + "/accuracy");
    result.push_back(task.name + "/coverage");
  }
  for (const pass::DataReference& text : options.perplexity)
    result.push_back(text_prefix(options, text) + "perplexity");
  return result;
}

// The claim of the options.
absl::Status check_own_claim(const EvaluateOptions& options,
                             const std::vector<std::string>& names) {
  if (options.margin == 0.0) {
    if (options.metric.empty()) return absl::OkStatus();
    return base::invalid_argument("evaluate: metric '", options.metric,
                                  "' is given without a margin; add margin, or leave metric out");
  }
  if (options.reference.name.empty()) {
    return base::invalid_argument(
        "evaluate: a margin needs a reference to compare with; set reference");
  }
  if (!options.metric.empty() &&
      std::find(names.begin(), names.end(), options.metric) == names.end()) {
    return base::invalid_argument("evaluate: no margin can be tested for metric '", options.metric,
                                  "'", base::suggestion(options.metric, names));
  }
  if (options.metric.ends_with("perplexity") && options.margin_kind != "relative") {
    return base::invalid_argument(
        "evaluate: a margin of perplexity is a ratio; set margin_kind: relative");
  }
  return absl::OkStatus();
}

// The claim of the pipeline's report, where this step tests it.
absl::Status check_declared_claim(const EvaluateOptions& options, const pass::Claim& claim) {
  if (claim.metric.ends_with("perplexity") && claim.kind != "relative") {
    return base::invalid_argument(
        "evaluate: a margin of perplexity is a ratio; set kind: relative under report: claim:");
  }
  const EvaluateClaim own = claims_of(options, std::nullopt).front();
  if (!own.covers(claim.metric) ||
      (options.margin == claim.margin && options.margin_kind == claim.kind))
    return absl::OkStatus();
  return base::invalid_argument("evaluate: the margin of ", claim.metric, " is ", options.margin,
                                " (", options.margin_kind, ") here and ", claim.margin, " (",
                                claim.kind,
                                ") under report: claim:; leave margin out here, the report's "
                                "claim is tested anyway");
}

absl::Status check_claim(const EvaluateOptions& options, pass::CheckContext& context,
                         const pass::ModelInfo& model) {
  const std::vector<std::string> names = claimable(options, context);
  FRUGAL_RETURN_IF_ERROR(check_own_claim(options, names));
  if (options.reference.name.empty()) return absl::OkStatus();
  const std::optional<pass::Claim> declared = context.compares(options.reference, names);
  if (declared) FRUGAL_RETURN_IF_ERROR(check_declared_claim(options, *declared));
  for (const EvaluateClaim& claim : claims_of(options, declared)) {
    if (claim.margin.value == 0.0 || claim.metric.empty()) continue;
    say_power(options, claim, context, model);
    break;
  }
  return absl::OkStatus();
}

// One window as the run will cut it; the beginning of the text is enough where it fills it.
absl::Status check_windows(const text::DataSource& source, const text::Tokenizer& tokenizer,
                           const evaluate::Protocol& protocol, evaluate::BosPolicy bos) {
  constexpr int64_t kBytesPerToken = 16;
  const evaluate::WindowLimits one{.windows = 1, .bos = bos};
  FRUGAL_ASSIGN_OR_RETURN(
      const text::ExampleHead head,
      text::first_examples(source, tokenizer, kBytesPerToken * protocol.window_length));
  absl::Status status = evaluate::scored_windows(head.examples, tokenizer, protocol, one).status();
  if (status.ok() || head.all) return base::annotate(status, "evaluate");
  FRUGAL_ASSIGN_OR_RETURN(const auto examples, text::load_examples(source, tokenizer));
  return base::annotate(evaluate::scored_windows(examples, tokenizer, protocol, one).status(),
                        "evaluate");
}

// Whether the data are prompts with completions to be compared with what a model writes.
absl::StatusOr<bool> is_written(const text::DataSource& source, const text::Tokenizer* tokenizer) {
  if (!source.builtin.empty() || !source.labels.empty() || !source.text.empty()) return false;
  if (source.chat && tokenizer == nullptr) return true;  // its template is not known yet
  text::DataSource first = source;
  first.limit = 1;
  FRUGAL_ASSIGN_OR_RETURN(const auto examples, source.chat ? text::load_examples(first, *tokenizer)
                                                           : text::load_examples(first));
  return !examples.empty() && can_be_generated(examples.front());
}

// A task is solved by labels, by attributes, which only built-in data has, or by writing.
absl::Status check_task(const EvaluateOptions& options, const pass::CheckContext& context,
                        const pass::ModelInfo& model, const pass::DataReference& task) {
  FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context.data(task));
  if (!source.task_file.empty()) return check_task_file(options, source, model, task.name);
  FRUGAL_RETURN_IF_ERROR(base::annotate(text::check_has_examples(source),
                                        base::str_cat("evaluate: task '", task.name, "'")));
  FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, planned_tokenizer(model, "evaluate"));
  FRUGAL_RETURN_IF_ERROR(
      check_examples(source, tokenizer.get(), base::str_cat("evaluate: task '", task.name, "'")));
  FRUGAL_ASSIGN_OR_RETURN(const bool written, is_written(source, tokenizer.get()));
  if (source.builtin.empty() && source.labels.size() < 2 && !written) {
    return base::invalid_argument(
        "evaluate: task '", task.name, "' has ", source.labels.empty() ? "no labels" : "one label",
        ", and without two of them there is nothing to choose between; give the data `labels` "
        "(raw: text for each), templates of a `prompt` and the `completion` that people wrote, or "
        "use it under `perplexity`");
  }
  const bool generates = written || (!source.builtin.empty() && source.task != "sentiment");
  if (generates && options.max_new_tokens >= model.config.context_length) {
    return base::invalid_argument("evaluate: max_new_tokens = ", options.max_new_tokens,
                                  " leaves no room for a prompt in the context of ",
                                  model.config.context_length, " tokens; lower it");
  }
  return absl::OkStatus();
}

// Both tokenizers must cut the text alike, or the two models would be asked different questions.
absl::Status check_same_cut(const EvaluateOptions& options, const pass::CheckContext& context,
                            const pass::ModelInfo& model, const pass::ModelInfo& reference) {
  FRUGAL_ASSIGN_OR_RETURN(const auto own, planned_tokenizer(model, "evaluate"));
  FRUGAL_ASSIGN_OR_RETURN(const auto other, planned_tokenizer(reference, "evaluate"));
  if (own == nullptr || other == nullptr || own == other) return absl::OkStatus();
  constexpr int64_t kBytes = 1 << 14;
  for (const pass::DataReference& text : options.perplexity) {
    FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context.data(text));
    FRUGAL_ASSIGN_OR_RETURN(const text::ExampleHead head,
                            text::first_examples(source, *own, kBytes));
    for (const text::Example& example : head.examples) {
      const std::string start = (example.prompt + example.completion).substr(0, kBytes);
      if (own->encode(start, false) == other->encode(start, false)) continue;
      return base::invalid_argument(
          "evaluate: '", model.name, "' and the reference '", options.reference.name,
          "' tokenize the text differently, so their distributions cannot be compared; evaluate "
          "perplexity without a reference");
    }
  }
  return absl::OkStatus();
}

absl::Status check_reference(const EvaluateOptions& options, const pass::CheckContext& context,
                             const pass::ModelInfo& model) {
  if (options.reference.name.empty()) return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(const pass::ModelInfo reference, context.model(options.reference));
  if (!reference.has_tokenizer) {
    return base::invalid_argument("evaluate: the reference '", options.reference.name,
                                  "' has no tokenizer beside its weights");
  }
  if (options.perplexity.empty()) return absl::OkStatus();
  if (reference.config.vocabulary_size != model.config.vocabulary_size) {
    return base::invalid_argument(
        "evaluate: '", model.name, "' has ", model.config.vocabulary_size, " ids, the reference '",
        options.reference.name, "' ", reference.config.vocabulary_size,
        "; a divergence needs one vocabulary. Evaluate tasks only, or choose another reference");
  }
  return check_same_cut(options, context, model, reference);
}

absl::Status check_perplexity(const EvaluateOptions& options, const pass::CheckContext& context,
                              const pass::ModelInfo& model) {
  if (options.perplexity.empty()) return absl::OkStatus();
  for (const pass::DataReference& text : options.perplexity) {
    FRUGAL_RETURN_IF_ERROR(context.data(text).status());
    if (std::count(options.perplexity.begin(), options.perplexity.end(), text) > 1)
      return base::invalid_argument("evaluate: perplexity names the text '", text.name,
                                    "' twice; name each once");
  }
  FRUGAL_ASSIGN_OR_RETURN(const evaluate::Protocol protocol,
                          evaluate::parse_protocol(options.protocol));
  FRUGAL_RETURN_IF_ERROR(evaluate::check_context(protocol, model.config.context_length));
  FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, planned_tokenizer(model, "evaluate"));
  FRUGAL_ASSIGN_OR_RETURN(const auto bos, evaluate::parse_bos_policy(options.bos));
  for (const pass::DataReference& text : options.perplexity) {
    FRUGAL_ASSIGN_OR_RETURN(const auto source, context.data(text));
    FRUGAL_RETURN_IF_ERROR(check_examples(source, tokenizer.get(), "evaluate: perplexity"));
    if (tokenizer == nullptr) continue;
    FRUGAL_RETURN_IF_ERROR(check_windows(source, *tokenizer, protocol, bos));
  }
  return absl::OkStatus();
}

}  // namespace

void visit(EvaluateOptions& options, pass::OptionVisitor& visitor) {
  visit_data(options, visitor);
  visit_comparison(options, visitor);
  visitor.field(
      {.name = "batch",
       .help = "Texts or windows that run together; changes speed and memory, not results.",
       .minimum = 1,
       .maximum = 4096},
      options.batch);
  visit_runtime(options.runtime, visitor);
  visitor.field(
      {.name = "forward_windows",
       .help = "Of an artifact in its runtime: windows of the text, the first ones, on which "
               "the runtime is compared with frugal's own fp32 forward of the same "
               "weights; 0 compares none.",
       .unit = "windows",
       .minimum = 0},
      options.forward_windows);
}

std::string text_prefix(const EvaluateOptions& options, const pass::DataReference& text) {
  return options.perplexity.size() > 1 ? text.name + "/" : std::string();
}

absl::Status check(const EvaluateOptions& options, pass::CheckContext& context,
                   const pass::ModelInfo& model) {
  if (options.tasks.empty() && options.perplexity.empty()) {
    return base::invalid_argument("evaluate: nothing to evaluate; set tasks, perplexity or both");
  }
  if (!model.has_tokenizer) {
    return base::invalid_argument(
        "evaluate: '", model.name,
        "' has no tokenizer beside its weights, so text cannot be scored");
  }
  for (const pass::DataReference& task : options.tasks) {
    FRUGAL_RETURN_IF_ERROR(check_task(options, context, model, task));
  }
  FRUGAL_RETURN_IF_ERROR(planned_tokenizer(model, "evaluate").status());
  FRUGAL_RETURN_IF_ERROR(check_perplexity(options, context, model));
  FRUGAL_RETURN_IF_ERROR(check_claim(options, context, model));
  FRUGAL_RETURN_IF_ERROR(check_reference(options, context, model));
  FRUGAL_ASSIGN_OR_RETURN(const auto serving, check_serving(options.runtime, "evaluate", model,
                                                            Purpose::kScoring, context));
  // Of what a runtime computes, our own forward is loaded beside it for comparison alone.
  const bool loaded = !serving || (options.forward_windows > 0 && !options.perplexity.empty());
  pass::Estimate estimate{.basis = "fp32 weights of the model and its reference"};
  if (format::has_weights(model)) {
    const int64_t models = (loaded ? 1 : 0) + (options.reference.name.empty() ? 0 : 1);
    estimate.peak_memory_bytes = 4 * models * model.config.parameter_count();
  } else if (!options.perplexity.empty() && options.forward_windows > 0) {
    context.note(base::str_cat("not compared with ", kOwnForward,
                               ", which does not read the weights of ONNX folders",
                               options.reference.name.empty()
                                   ? "; give the model that it was made of as reference to see how "
                                     "far they are apart"
                                   : ""));
  }
  context.estimate(estimate);
  return absl::OkStatus();
}

bool can_be_generated(const text::Example& example) {
  return !example.attributes.empty() || (!example.prompt.empty() && !example.completion.empty());
}

bool EvaluateClaim::covers(std::string_view name) const {
  if (margin.value == 0.0) return false;
  if (!metric.empty()) return metric == name;
  const std::string_view last = name.substr(name.rfind('/') + 1);
  return last == "accuracy" || last == "coverage" || last.starts_with("acc") ||
         last.starts_with("exact_match");
}

std::vector<EvaluateClaim> claims_of(const EvaluateOptions& options,
                                     const std::optional<pass::Claim>& declared) {
  const auto kind_of = [](std::string_view text) {
    return text == "relative" ? evaluate::MarginKind::kRelative : evaluate::MarginKind::kAbsolute;
  };
  std::vector<EvaluateClaim> claims;
  if (declared) claims.push_back({{declared->margin, kind_of(declared->kind)}, declared->metric});
  claims.push_back({{options.margin, kind_of(options.margin_kind)}, options.metric});
  return claims;
}

}  // namespace frugal::passes
