// What computes a step that may take an artifact: the runtime that serves it, or frugal's own
// forward. And the artifact in its runtime, in the forms that lib/evaluate asks for.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "evaluate/divergence.h"
#include "evaluate/generation.h"
#include "evaluate/scoring.h"
#include "evaluate/task_answers.h"
#include "pass/pass.h"
#include "runtime/session.h"

namespace frugal::passes {

// How frugal's own forward is called wherever it is what was scored or timed.
inline constexpr std::string_view kOwnForward = "frugal's fp32 forward";

struct Serving {
  const runtime::Runtime* runtime = nullptr;
  pass::Artifact artifact;
  std::string version;  // "xllamacpp 2026.10.11549"

  std::string engine() const;  // "llama.cpp (xllamacpp 2026.10.11549)"
};

// The option `runtime` of a pass that takes artifacts: auto, frugal, or a runtime's name.
void visit_runtime(std::string& value, pass::OptionVisitor& visitor);

// What the runtime is for: one that scores an id at a time is good enough for timing alone.
enum class Purpose { kScoring, kTiming };

// Which runtime the option asks for, of an input that is `artifacts`; absent: frugal's own forward.
// auto takes the first one that is installed, and where none is, the reason goes to `why`. Errors:
// a runtime that does not read the input, or is not installed, with the remedy.
absl::StatusOr<std::optional<Serving>> choose_serving(std::string_view option,
                                                      const std::vector<pass::Artifact>& artifacts,
                                                      Purpose purpose, std::string& why);

// The same for a check of an input `model`, which hands what it found on to the plan. Errors
// besides: frugal's own forward would have to read weights that frugal does not.
absl::StatusOr<std::optional<Serving>> check_serving(std::string_view option, std::string_view pass,
                                                     const pass::ModelInfo& model, Purpose purpose,
                                                     pass::CheckContext& context);

// What is known of a run's input without its weights.
struct InputModel {
  architecture::ModelConfig config;  // without layers where frugal does not read the weights
  std::filesystem::path folder;      // with the tokenizer
};
absl::StatusOr<InputModel> input_model(const pass::RunContext& context);

// The same for a run; a warning where auto found no runtime.
absl::StatusOr<std::optional<Serving>> run_serving(std::string_view option, Purpose purpose,
                                                   pass::RunContext& context);

// An artifact in its runtime, opened when it is first asked, and anew for longer sequences.
class ServedModel {
 public:
  // `vocabulary`: of the model the artifact holds.
  ServedModel(Serving serving, int64_t vocabulary)
      : serving_(std::move(serving)), vocabulary_(vocabulary) {}

  // With room for `sequences` of `length` ids together. Errors: as Session::open; another
  // vocabulary.
  absl::StatusOr<runtime::Session*> open(int64_t length, int64_t sequences = 1);
  const Serving& serving() const { return serving_; }

  // These refer to this object. `title` is of the progress line.
  evaluate::Scorer scorer(std::string title);
  evaluate::LogitSource logits();
  evaluate::Completer completer(int64_t max_new_tokens, std::vector<text::TokenId> stop);
  // Questions of task files, for a model of `context_length`. `stop`: ids that end a text.
  evaluate::Answerer answerer(int64_t context_length, std::vector<text::TokenId> stop,
                              std::string title);

  // A row of the journal's table `runtime`.
  base::Json row() const;

 private:
  Serving serving_;
  absl::StatusOr<std::vector<std::vector<evaluate::Likelihood>>> likelihoods(
      std::span<const std::vector<tasks::EncodedRequest>> questions, const std::string& title);

  int64_t vocabulary_;
  int64_t length_ = 0, sequences_ = 0;
  std::optional<runtime::Session> session_;
};

// The same row for frugal's own forward.
base::Json own_forward_row(std::string_view device);

}  // namespace frugal::passes
