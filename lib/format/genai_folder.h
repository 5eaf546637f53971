// ONNX folders for onnxruntime-genai: a graph, genai_config.json and tokenizer files. frugal writes
// them (lib/artifact) and runtimes compute them (lib/runtime); their weights are not read back, so
// what is known of such a model is what genai_config.json says.
#pragma once

#include <filesystem>

#include "architecture/model_config.h"
#include "base/status.h"
#include "format/model_info.h"

namespace frugal::format {

// Has genai_config.json, and no weights of a Hugging Face folder.
bool is_genai_folder(const std::filesystem::path& folder);

// Vocabulary, context, kind of model, and the ids that begin, end and pad texts; no layers. Errors
// name file and key: a missing, impossible or contradictory one.
absl::StatusOr<architecture::ModelConfig> genai_model_config(const std::filesystem::path& folder);

// The same with sizes of files; `dtype` is empty.
absl::StatusOr<ModelInfo> genai_model_info(const std::filesystem::path& folder);

// Whether frugal reads the weights of a model that its metadata describe.
inline bool has_weights(const ModelInfo& model) { return !model.config.layers.empty(); }

}  // namespace frugal::format
