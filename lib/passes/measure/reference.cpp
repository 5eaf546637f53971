// Tested by: tests/passes/paired_test.cpp
#include "passes/measure/reference.h"

#include <algorithm>

namespace frugal::passes {

absl::StatusOr<std::optional<Serving>> reference_serving(std::string_view option,
                                                         const std::optional<Serving>& serving,
                                                         const ReferenceInput& reference) {
  const auto& [name, artifacts, of_model] = reference;
  if (!serving) {
    if (option == "frugal" || artifacts.empty() || !of_model.empty())
      return std::optional<Serving>();
    return base::invalid_argument(
        "measure: the reference '", name, "' is an artifact (", artifacts.front().format,
        "), and the model would be computed by ", kOwnForward,
        "; what differs would be the program. Measure an export of the model in that format, or "
        "set runtime: frugal for both");
  }
  for (const pass::Artifact& artifact : artifacts) {
    const auto& formats = serving->runtime->formats;
    if (std::find(formats.begin(), formats.end(), artifact.format) == formats.end()) continue;
    return Serving{serving->runtime, artifact, serving->version};
  }
  const std::string found =
      artifacts.empty() ? "a checkpoint" : base::str_cat("there as ", artifacts.front().format);
  return base::invalid_argument("measure: the model is computed by ", serving->engine(),
                                ", and the reference '", name, "' is ", found,
                                ", which that does not read; name an export of it as ",
                                serving->artifact.format, ", or set runtime: frugal for both");
}

absl::Status check_same_work(const pass::ModelInfo& model, const pass::ModelInfo& reference,
                             int64_t length) {
  if (model.config.vocabulary_size != reference.config.vocabulary_size) {
    return base::invalid_argument(
        "measure: '", model.name, "' has ", model.config.vocabulary_size, " ids, the reference '",
        reference.name, "' ", reference.config.vocabulary_size,
        "; the two cannot be given the same prompts, and a token is not the same amount of text. "
        "Choose a reference with the same tokenizer, or measure them apart");
  }
  if (length > reference.config.context_length) {
    return base::invalid_argument("measure: the reference '", reference.name,
                                  "' holds a context of ", reference.config.context_length,
                                  " tokens, and prompt_tokens and generated_tokens need ", length,
                                  "; lower one of them");
  }
  return absl::OkStatus();
}

}  // namespace frugal::passes
