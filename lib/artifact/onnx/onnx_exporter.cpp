// Tested by: tests/passes/export_pass_test.cpp
#include <map>
#include <utility>

#include "architecture/tensors.h"
#include "artifact/exporter.h"
#include "artifact/onnx/onnx_graph.h"
#include "artifact/onnx/onnx_model.h"
#include "format/onnx.h"

namespace frugal::artifact {
namespace {

OnnxOptions onnx_options(const ExportOptions& options) {
  return {.accuracy_level = options.accuracy_level,
          .eos = options.eos,
          .standard_operators = options.standard_operators};
}

absl::Status check(const format::ModelInfo& model, const ExportOptions& options,
                   std::vector<std::string>&) {
  return check_onnx(model, onnx_options(options));
}

// The codes of a weight count its weights, its scales and zero points take bytes alone.
bool holds_weights(OnnxContent content) {
  switch (content) {
    case OnnxContent::kValues:
    case OnnxContent::kGains:
    case OnnxContent::kTransposed:
    case OnnxContent::kNBitsValues:
    case OnnxContent::kBlockValues:
    case OnnxContent::kRowValues:
    case OnnxContent::kInt8Values:
      return true;
    default:
      return false;
  }
}

absl::Status add_parts(const OnnxGraph& graph, const format::ModelInfo& model, Forecast& forecast) {
  const auto places = architecture::places(model.config);
  std::map<std::string_view, const format::OnnxInitializer*> initializers;
  for (const format::OnnxInitializer& one : graph.model.initializers) initializers[one.name] = &one;
  std::map<std::string_view, int64_t> elements;
  for (const architecture::Tensor& tensor : architecture::tensors(model.config)) {
    int64_t& count = elements[places.find(tensor.name)->first] = 1;
    for (const int64_t size : tensor.shape) count *= size;
  }
  for (const OnnxSource& source : graph.sources) {
    const format::OnnxInitializer& stored = *initializers.at(source.initializer);
    FRUGAL_ASSIGN_OR_RETURN(const int64_t bytes, format::onnx_size_bytes(stored.type, stored.dims));
    const auto place = places.find(source.weight);
    if (place == places.end()) {
      forecast.add("rotary tables", "F32", 0, bytes);
      continue;
    }
    const auto grid = model.grids.find(source.weight);
    forecast.add(place->second.role, grid == model.grids.end() ? "F32" : grid->second,
                 holds_weights(source.content) ? std::exchange(elements[place->first], 0) : 0,
                 bytes);  // a copy for a tied head takes bytes alone
  }
  return absl::OkStatus();
}

// The graph is made from metadata, so its files are known to the byte; beside them the tokenizer.
absl::StatusOr<Forecast> forecast(const format::ModelInfo& model, const ExportOptions& options) {
  constexpr int64_t kRuntimeConfigBytes = 1800;  // genai_config.json
  FRUGAL_ASSIGN_OR_RETURN(const OnnxGraph graph, build_onnx_graph(model, onnx_options(options)));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t bytes, format::OnnxWriter::size_bytes(graph.model));
  Forecast forecast{.bytes = bytes + kRuntimeConfigBytes + model.side_bytes};
  FRUGAL_RETURN_IF_ERROR(add_parts(graph, model, forecast));
  return forecast;
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
    .takes_operators = true,
    .check = check,
    .forecast = forecast,
    .write = write,
    .read_back = read_back};

}  // namespace frugal::artifact
