// What the evaluate pass is told, and what of it can be refused before any weight is read.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "evaluate/paired.h"
#include "evaluate/perplexity.h"
#include "pass/pass.h"
#include "passes/common/serving.h"

namespace frugal::passes {

struct EvaluateOptions {
  std::vector<pass::DataReference> tasks;
  std::vector<pass::DataReference> perplexity;
  std::string protocol = "gptq-2048";
  std::string bos = "tokenizer";
  int64_t windows = 0;
  pass::ModelReference reference;
  double margin = 0.0;
  std::string margin_kind = "absolute";
  std::string metric;
  int64_t limit = 0;
  int64_t max_new_tokens = 64;
  int64_t batch = 16;
  std::string runtime = "auto";
  int64_t forward_windows = 8;
  std::optional<int64_t> fewshot;
};

void visit(EvaluateOptions& options, pass::OptionVisitor& visitor);

// Errors: nothing to evaluate, a margin without a reference, a metric that none of the tasks
// yields, a protocol that is unknown or longer than the context, a model without tokenizer, a
// reference with another vocabulary.
absl::Status check(const EvaluateOptions& options, pass::CheckContext& context,
                   const pass::ModelInfo& model);

// What the numbers of one of several texts begin with: "web/"; empty where there is one.
std::string text_prefix(const EvaluateOptions& options, const pass::DataReference& text);

// Whether a text can be written for the example and judged.
bool can_be_generated(const text::Example& example);

// A claim to test: "`metric` loses no more than `margin`".
struct EvaluateClaim {
  evaluate::Margin margin;  // value 0: none
  std::string metric;       // empty: every accuracy, coverage and exact match
  bool covers(std::string_view name) const;
};
// Those of the pipeline's report, as far as this step tests it, and of the options.
std::vector<EvaluateClaim> claims_of(const EvaluateOptions& options,
                                     const std::optional<pass::Claim>& declared);

}  // namespace frugal::passes
