#include "passes/common/serving.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "base/interrupt.h"
#include "base/progress.h"
#include "base/text.h"
#include "format/genai_folder.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

constexpr std::string_view kAuto = "auto";
constexpr std::string_view kOwn = "frugal";
constexpr int64_t kLengthStep = 256;  // sequences grow, and a session is costly to open

std::vector<std::string> choices() {
  std::vector<std::string> names = {std::string(kAuto), std::string(kOwn)};
  for (const runtime::Runtime& one : runtime::runtimes()) names.emplace_back(one.name);
  return names;
}

bool serves(const runtime::Runtime& runtime, const pass::Artifact& artifact) {
  return std::find(runtime.formats.begin(), runtime.formats.end(), artifact.format) !=
         runtime.formats.end();
}

std::string formats_of(const runtime::Runtime& runtime) {
  const std::vector<std::string> formats(runtime.formats.begin(), runtime.formats.end());
  return base::join(formats, " and ");
}

absl::StatusOr<std::optional<Serving>> named_serving(const runtime::Runtime& runtime,
                                                     const std::vector<pass::Artifact>& artifacts) {
  for (const pass::Artifact& artifact : artifacts) {
    if (!serves(runtime, artifact)) continue;
    FRUGAL_ASSIGN_OR_RETURN(std::string version, runtime::installed_version(runtime));
    return Serving{&runtime, artifact, std::move(version)};
  }
  if (artifacts.empty()) {
    return base::invalid_argument("runtime = ", runtime.name, " reads ", formats_of(runtime),
                                  ", but the input is a checkpoint; take the step from an export "
                                  "step, or set runtime: frugal");
  }
  return base::invalid_argument("runtime = ", runtime.name, " reads ", formats_of(runtime),
                                ", but the input is ", artifacts.front().format,
                                "; export it in that format, or set runtime: frugal");
}

std::string in_place_of_runtime(std::string_view why) {
  return base::str_cat(kOwnForward, " of the artifact's weights computes, not its runtime: ", why);
}

absl::Status only_in_a_runtime(std::string_view why) {
  return base::invalid_argument(
      "the input is an ONNX folder, whose weights ", kOwnForward,
      " does not read; a runtime must compute it: ",
      why.empty() ? std::string_view("leave the option runtime out, or name ONNX Runtime's") : why);
}

runtime::Sequence converted(const evaluate::Sequence& sequence) {
  runtime::Sequence result{sequence.ids, {}};
  for (const evaluate::Query& query : sequence.queries)
    result.queries.push_back({query.position, query.target});
  return result;
}

// The last `scored` ids of a request are asked for, and its last one is not read.
std::vector<runtime::Sequence> sequences_of(const std::vector<tasks::EncodedRequest>& question) {
  std::vector<runtime::Sequence> result;
  for (const tasks::EncodedRequest& request : question) {
    runtime::Sequence& sequence = result.emplace_back();
    sequence.ids.assign(request.ids.begin(), request.ids.end() - 1);
    const auto read = static_cast<int64_t>(sequence.ids.size());
    for (int64_t position = read - request.scored; position < read; ++position)
      sequence.queries.push_back({position, request.ids[static_cast<size_t>(position) + 1]});
  }
  return result;
}

int64_t longest(std::span<const evaluate::Sequence> sequences) {
  size_t length = 0;
  for (const evaluate::Sequence& sequence : sequences)
    length = std::max(length, sequence.ids.size());
  return static_cast<int64_t>(length);
}

}  // namespace

std::string Serving::engine() const { return base::str_cat(runtime->name, " (", version, ")"); }

void visit_runtime(std::string& value, pass::OptionVisitor& visitor) {
  visitor.field(
      {.name = "runtime",
       .help = "What computes: auto takes the runtime that serves the input where that is an "
               "artifact (llama.cpp for a GGUF) and the runtime is installed, else frugal's own "
               "fp32 forward; frugal that forward; a runtime's name that one, or nothing.",
       .choices = choices()},
      value);
}

absl::StatusOr<std::optional<Serving>> choose_serving(std::string_view option,
                                                      const std::vector<pass::Artifact>& artifacts,
                                                      Purpose purpose, std::string& why) {
  if (option == kOwn) return std::nullopt;
  if (option != kAuto) {
    const runtime::Runtime* const named = runtime::find_runtime(option);
    if (named == nullptr) return base::internal("no runtime is called '", option, "'");
    return named_serving(*named, artifacts);
  }
  for (const pass::Artifact& artifact : artifacts) {
    for (const runtime::Runtime& one : runtime::runtimes()) {
      if (!serves(one, artifact) || (purpose == Purpose::kScoring && one.scores_slowly)) continue;
      auto version = runtime::installed_version(one);
      if (base::is_interrupted(version.status())) return version.status();
      if (version.ok()) return Serving{&one, artifact, *std::move(version)};
      why += base::str_cat(why.empty() ? "" : "; ", base::as_std(version.status().message()));
    }
  }
  return std::nullopt;
}

absl::StatusOr<std::optional<Serving>> check_serving(std::string_view option, std::string_view pass,
                                                     const pass::ModelInfo& model, Purpose purpose,
                                                     pass::CheckContext& context) {
  std::string why;
  auto serving = choose_serving(option, context.artifacts(), purpose, why);
  if (serving.ok() && !*serving && !format::has_weights(model)) serving = only_in_a_runtime(why);
  if (!serving.ok()) return base::annotate(serving.status(), pass);
  if (*serving) {
    context.computed_by((*serving)->engine());
    context.note(base::str_cat("computed by ", (*serving)->engine()));
    if (context.device() != "cpu") {
      context.warn(base::str_cat(pass, ": ", (*serving)->engine(),
                                 " computes where its build does, not on the run's device ",
                                 context.device(), ", which is for frugal's own forward"));
    }
  } else if (!why.empty()) {
    context.warn(base::str_cat(pass, ": ", in_place_of_runtime(why)));
  }
  return serving;
}

absl::StatusOr<std::optional<Serving>> run_serving(std::string_view option, Purpose purpose,
                                                   pass::RunContext& context) {
  std::string why;
  auto serving = choose_serving(option, context.artifacts(), purpose, why);
  if (serving.ok() && !*serving && context.input() == nullptr) return only_in_a_runtime(why);
  if (serving.ok() && !*serving && !why.empty()) context.warn(in_place_of_runtime(why));
  return serving;
}

absl::StatusOr<InputModel> input_model(const pass::RunContext& context) {
  if (const format::Checkpoint* input = context.input())
    return InputModel{input->config(), input->folder()};
  const std::vector<pass::Artifact> artifacts = context.artifacts();
  if (artifacts.empty()) return base::internal("the step has no input");
  InputModel result{{}, artifacts.front().path};
  FRUGAL_ASSIGN_OR_RETURN(result.config, format::genai_model_config(result.folder));
  return result;
}

absl::StatusOr<runtime::Session*> ServedModel::open(int64_t length, int64_t sequences) {
  if (session_ && length <= length_ && sequences <= sequences_) return &*session_;
  length_ = std::max(length_, (length + kLengthStep - 1) / kLengthStep * kLengthStep);
  sequences_ = std::max(sequences_, sequences);
  session_.reset();  // both at once may take more memory than there is
  FRUGAL_ASSIGN_OR_RETURN(session_,
                          runtime::Session::open(*serving_.runtime, serving_.artifact.path,
                                                 {.context = length_, .sequences = sequences_}));
  if (session_->info().vocabulary == vocabulary_) return &*session_;
  const int64_t found = session_->info().vocabulary;
  session_.reset();
  return base::failed(serving_.artifact.path.string(), ": ", serving_.runtime->name, " finds ",
                      found, " ids in it, expected ", vocabulary_);
}

evaluate::Scorer ServedModel::scorer(std::string title) {
  return [this, title = std::move(title)](std::span<const evaluate::Sequence> sequences)
             -> absl::StatusOr<std::vector<std::vector<double>>> {
    FRUGAL_ASSIGN_OR_RETURN(runtime::Session* const session, open(longest(sequences)));
    std::unique_ptr<base::Progress> progress;
    if (!title.empty()) {
      progress = std::make_unique<base::Progress>(title, "sequences",
                                                  static_cast<int64_t>(sequences.size()));
    }
    std::vector<std::vector<double>> result;
    for (const evaluate::Sequence& sequence : sequences) {
      const runtime::Sequence one = converted(sequence);
      FRUGAL_ASSIGN_OR_RETURN(auto scores, session->score(std::span(&one, 1)));
      result.push_back(std::move(scores.front().log_probabilities));
      if (progress) progress->advance(1);
    }
    return result;
  };
}

evaluate::LogitSource ServedModel::logits() {
  return [this](
             const evaluate::Sequence& sequence,
             const std::function<absl::Status(int64_t, const at::Tensor&)>& use) -> absl::Status {
    FRUGAL_ASSIGN_OR_RETURN(runtime::Session* const session,
                            open(static_cast<int64_t>(sequence.ids.size())));
    std::vector<int64_t> positions;
    for (const evaluate::Query& query : sequence.queries) positions.push_back(query.position);
    return session->rows(sequence.ids, positions, [&](int64_t begin, std::span<const float> rows) {
      const auto count = static_cast<int64_t>(rows.size()) / session->info().vocabulary;
      return use(begin, at::from_blob(const_cast<float*>(rows.data()),
                                      {count, session->info().vocabulary}, at::kFloat));
    });
  };
}

evaluate::Completer ServedModel::completer(int64_t max_new_tokens,
                                           std::vector<text::TokenId> stop) {
  return [this, max_new_tokens,
          stop = std::move(stop)](const std::vector<std::vector<text::TokenId>>& prompts)
             -> absl::StatusOr<std::vector<std::vector<text::TokenId>>> {
    size_t length = 0;
    for (const auto& prompt : prompts) length = std::max(length, prompt.size());
    FRUGAL_ASSIGN_OR_RETURN(runtime::Session* const session,
                            open(static_cast<int64_t>(length) + max_new_tokens));
    return session->generate(prompts, {.max_new_tokens = max_new_tokens, .stop = stop});
  };
}

evaluate::Answerer ServedModel::answerer(int64_t context_length, std::vector<text::TokenId> stop,
                                         std::string title) {
  return {.context_length = context_length,
          .likelihoods =
              [this, title = std::move(title)](
                  std::span<const std::vector<tasks::EncodedRequest>> questions) {
                return likelihoods(questions, title);
              },
          .complete = [this, stop = std::move(stop)](
                          const std::vector<std::vector<text::TokenId>>& prompts,
                          int64_t max_new_tokens,
                          const std::function<bool(std::span<const text::TokenId>)>& ends)
              -> absl::StatusOr<std::vector<std::vector<text::TokenId>>> {
            size_t length = 0;
            for (const auto& prompt : prompts) length = std::max(length, prompt.size());
            FRUGAL_ASSIGN_OR_RETURN(runtime::Session* const session,
                                    open(static_cast<int64_t>(length) + max_new_tokens));
            return session->generate(
                prompts, {.max_new_tokens = max_new_tokens, .stop = stop, .ends = ends});
          }};
}

// In their order: choices follow each other behind one context, and questions behind their
// examples, which the session then computes once.
absl::StatusOr<std::vector<std::vector<evaluate::Likelihood>>> ServedModel::likelihoods(
    std::span<const std::vector<tasks::EncodedRequest>> questions, const std::string& title) {
  size_t length = 1;
  for (const auto& question : questions) {
    for (const tasks::EncodedRequest& request : question)
      length = std::max(length, request.ids.size());
  }
  FRUGAL_ASSIGN_OR_RETURN(runtime::Session* const session, open(static_cast<int64_t>(length)));
  base::Progress progress(title, "questions", static_cast<int64_t>(questions.size()));
  std::vector<std::vector<evaluate::Likelihood>> result;
  for (const auto& question : questions) {
    FRUGAL_ASSIGN_OR_RETURN(const auto scores, session->score(sequences_of(question)));
    auto& answers = result.emplace_back();
    for (const runtime::Scores& one : scores) {
      evaluate::Likelihood& answer = answers.emplace_back();
      for (const double value : one.log_probabilities) answer.log_likelihood += value;
      answer.greedy = std::find(one.greedy.begin(), one.greedy.end(), false) == one.greedy.end();
      answer.tokens = static_cast<int64_t>(one.greedy.size());
    }
    progress.advance(1);
  }
  return result;
}

base::Json ServedModel::row() const {
  base::Json row = {{"runtime", serving_.runtime->name}, {"version", serving_.version}};
  if (session_) row = runtime::to_json(session_->info());
  row["artifact"] = serving_.artifact.path.filename().string();
  row["format"] = serving_.artifact.format;
  row["arithmetic"] = serving_.runtime->arithmetic;
  if (session_) {
    if (const auto peak = session_->peak_resident_bytes()) row["peak_memory_bytes"] = *peak;
  }
  return row;
}

base::Json own_forward_row(std::string_view device) {
  return {{"runtime", kOwnForward},
          {"threads", at::get_num_threads()},
          {"settings", {{"device", device}}},
          {"arithmetic", "weights decoded to fp32: every grid costs the same"}};
}

}  // namespace frugal::passes
