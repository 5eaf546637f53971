// Tested by: tests/passes/export_pass_test.cpp
#include "artifact/exporter.h"
#include "artifact/onnx/onnx_graph.h"
#include "artifact/onnx/onnx_model.h"
#include "format/onnx.h"

namespace frugal::artifact {
namespace {

OnnxOptions onnx_options(const ExportOptions& options) {
  return {.accuracy_level = options.accuracy_level, .eos = options.eos};
}

absl::Status check(const format::ModelInfo& model, const ExportOptions& options,
                   std::vector<std::string>&) {
  return check_onnx(model, onnx_options(options));
}

// The graph is made from metadata, so its files are known to the byte; beside them the tokenizer.
absl::StatusOr<int64_t> estimate_bytes(const format::ModelInfo& model,
                                       const ExportOptions& options) {
  constexpr int64_t kRuntimeConfigBytes = 1800;  // genai_config.json
  FRUGAL_ASSIGN_OR_RETURN(const OnnxGraph graph, build_onnx_graph(model, onnx_options(options)));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t bytes, format::OnnxWriter::size_bytes(graph.model));
  return bytes + kRuntimeConfigBytes + model.side_bytes;
}

absl::Status write(const format::Checkpoint& checkpoint, const ExportOptions& options,
                   const std::filesystem::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::shared_tokenizer(checkpoint.folder()));
  return write_onnx_folder(checkpoint, *tokenizer, onnx_options(options), path);
}

absl::Status read_back(const format::Checkpoint& checkpoint, const ExportOptions& options,
                       const std::filesystem::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::shared_tokenizer(checkpoint.folder()));
  return read_back_onnx_folder(checkpoint, *tokenizer, onnx_options(options), path);
}

}  // namespace

constinit const Exporter kOnnxExporter{
    .name = "onnx",
    .suffix = "-onnx",
    .summary = "onnx is a folder for ONNX Runtime and onnxruntime-genai",
    .is_folder = true,
    .chosen_by_suffix = true,
    .takes_eos = true,
    .check = check,
    .estimate_bytes = estimate_bytes,
    .write = write,
    .read_back = read_back};

}  // namespace frugal::artifact
