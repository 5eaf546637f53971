#include "format/inspect.h"

#include <algorithm>

#include "base/file_kind.h"
#include "format/checkpoint.h"
#include "format/checkpoint_files.h"
#include "format/gguf.h"
#include "format/inspect_text.h"
#include "format/onnx.h"
#include "format/safetensors.h"
#include "format/tensor_listing.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;
using base::Json;

// Members of `metadata` whose key begins with "frugal.", without that prefix.
Json provenance_of(const Json& metadata) {
  constexpr std::string_view kPrefix = "frugal.";
  Json provenance = Json::object();
  for (const auto& [key, value] : metadata.items()) {
    if (key.starts_with(kPrefix)) provenance[key.substr(kPrefix.size())] = value;
  }
  return provenance;
}

absl::StatusOr<Json> inspect_checkpoint(const fs::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::open(path));
  TensorListing listing;
  for (const std::string& tensor : checkpoint.tensor_names()) {
    FRUGAL_ASSIGN_OR_RETURN(const TensorInfo info, checkpoint.info(tensor));
    const auto entry = checkpoint.quantized().find(tensor);
    if (entry == checkpoint.quantized().end()) {
      listing.add(tensor, info.shape, std::string(name(info.dtype)), info.element_count(),
                  info.size_bytes);
    } else {
      const QuantizedEntry& quantized = entry->second;
      const bool rounds = quantized.activations != Activations::kFloat;
      listing.add(tensor, {quantized.rows, quantized.columns},
                  rounds ? base::str_cat(quantized.grid, " x ", name(quantized.activations))
                         : quantized.grid,
                  quantized.rows * quantized.columns, info.size_bytes);
    }
  }
  Json json = std::move(listing).describe("checkpoint", path, checkpoint.config().architecture);
  json["side_files"] = Json::array();
  for (const fs::path& file : checkpoint.side_files())
    json["side_files"].push_back(side_file_place(file).string());
  json["metadata"] = shortened(checkpoint.config().source);
  json["provenance"] = Json::object();
  if (json["metadata"].contains("frugal") && json["metadata"]["frugal"].is_object()) {
    json["provenance"] = json["metadata"]["frugal"];
    json["provenance"].erase("quantized");  // told by the tensors
    json["metadata"].erase("frugal");
  }
  return json;
}

absl::StatusOr<Json> inspect_safetensors(const fs::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::open(path));
  std::vector<const TensorInfo*> infos;
  for (const auto& [name, info] : file.tensors()) infos.push_back(&info);
  std::stable_sort(infos.begin(), infos.end(),
                   [](const TensorInfo* a, const TensorInfo* b) { return a->offset < b->offset; });
  TensorListing listing;
  for (const TensorInfo* info : infos) {
    listing.add(info->name, info->shape, std::string(name(info->dtype)), info->element_count(),
                info->size_bytes);
  }
  Json json = std::move(listing).describe("safetensors", path, nullptr);
  json["metadata"] = Json::object();
  for (const auto& [key, value] : file.metadata()) json["metadata"][key] = printable(value);
  json["provenance"] = provenance_of(json["metadata"]);
  return json;
}

Json gguf_value(const GgufValue& value) {
  return std::visit(
      [](const auto& held) -> Json {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_floating_point_v<T>) {
          return base::finite_or_null(held);
        } else if constexpr (std::is_same_v<T, std::string>) {
          return printable(held);
        } else if constexpr (std::is_arithmetic_v<T>) {
          return Json(held);
        } else {
          return shortened_list(held);
        }
      },
      value);
}

absl::StatusOr<Json> inspect_gguf(const fs::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
  TensorListing listing;
  for (const GgufTensor& tensor : file.tensors()) {
    const int64_t parameters =
        tensor.size_bytes / tensor.type.block_bytes * tensor.type.block_elements;
    listing.add(tensor.name, tensor.shape, std::string(tensor.type.name), parameters,
                tensor.size_bytes);
  }
  const auto* architecture_key = file.find("general.architecture");
  Json json = std::move(listing).describe(
      "gguf", path, architecture_key == nullptr ? Json(nullptr) : gguf_value(*architecture_key));
  json["gguf_version"] = file.version();
  json["metadata"] = Json::object();
  for (const auto& [key, value] : file.metadata()) json["metadata"][key] = gguf_value(value);
  json["provenance"] = provenance_of(json["metadata"]);
  return json;
}

Json onnx_values(const std::vector<OnnxValue>& values) {
  Json list = Json::array();
  for (const OnnxValue& value : values) {
    Json dims = Json::array();
    for (const OnnxDimension& dimension : value.dims) {
      const auto* size = std::get_if<int64_t>(&dimension);
      dims.push_back(size != nullptr ? Json(*size)
                                     : Json(printable(std::get<std::string>(dimension))));
    }
    list.push_back({{"name", printable(value.name)},
                    {"type", onnx_type_name(value.type)},
                    {"shape", std::move(dims)}});
  }
  return list;
}

absl::StatusOr<Json> inspect_onnx(const fs::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const OnnxSummary summary, read_onnx(path));
  TensorListing listing;
  for (const OnnxTensorSummary& tensor : summary.initializers) {
    listing.add(tensor.name, tensor.dims, onnx_type_name(tensor.type), tensor.weight_count,
                tensor.size_bytes);
  }
  const auto architecture = summary.metadata.find("frugal.architecture");
  Json json = std::move(listing).describe("onnx", path,
                                          architecture == summary.metadata.end()
                                              ? Json(nullptr)
                                              : Json(printable(architecture->second)));
  json["ir_version"] = summary.ir_version;
  json["producer"] =
      printable(base::str_cat(summary.producer_name, summary.producer_version.empty() ? "" : " ",
                              summary.producer_version));
  json["opsets"] = Json::object();
  for (const auto& [domain, version] : summary.opsets) {
    json["opsets"][domain.empty() ? "ai.onnx" : printable(domain)] = version;
  }
  json["operators"] = Json::object();
  for (const auto& [op, count] : summary.node_counts) json["operators"][printable(op)] = count;
  json["inputs"] = onnx_values(summary.inputs);
  json["outputs"] = onnx_values(summary.outputs);
  json["metadata"] = Json::object();
  for (const auto& [key, value] : summary.metadata)
    json["metadata"][printable(key)] = printable(value);
  json["provenance"] = provenance_of(json["metadata"]);
  return json;
}

absl::StatusOr<Json> inspect_folder(const fs::path& path) {
  std::error_code ignored;
  if (fs::exists(path / kConfigFile, ignored)) return inspect_checkpoint(path);
  if (fs::exists(path / "model.onnx", ignored)) return inspect_onnx(path / "model.onnx");
  return base::invalid_argument(
      path.string(),
      ": a folder without config.json or model.onnx; expected a Hugging Face model folder or "
      "an ONNX folder");
}

}  // namespace

absl::StatusOr<Json> inspect(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return base::not_found(path.string(), ": no such file or folder");
  if (fs::is_directory(path, ignored)) return inspect_folder(path);
  const std::string suffix = base::suffix_of(path);
  FRUGAL_ASSIGN_OR_RETURN(const base::FileKind kind, base::recognize_file(path));
  // The content says what a file is; a name that promises one of these makes errors speak of it.
  if (kind == base::FileKind::kGguf) return inspect_gguf(path);
  if (kind == base::FileKind::kSafetensors) return inspect_safetensors(path);
  if (suffix == ".safetensors") return inspect_safetensors(path);
  if (suffix == ".gguf") return inspect_gguf(path);
  if (suffix == ".onnx") return inspect_onnx(path);
  if (kind != base::FileKind::kOther)
    return base::invalid_argument(path.string(), ": it is ", base::describe(kind, path));
  return base::invalid_argument(path.string(),
                                ": neither its name nor its content is that of a model; expected a "
                                "model folder or a .safetensors, .gguf or .onnx file");
}

}  // namespace frugal::format
