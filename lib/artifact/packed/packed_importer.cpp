#include <algorithm>
#include <map>

#include "artifact/importer.h"
#include "artifact/packed/layout.h"
#include "artifact/packed/packed_weights.h"
#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/text.h"
#include "format/checkpoint_files.h"
#include "format/inspect_text.h"
#include "format/model_folder.h"
#include "format/tensor_listing.h"

namespace frugal::artifact {
namespace {

namespace fs = std::filesystem;
using architecture::ModelConfig;
using base::Json;
using base::str_cat;

// A folder that cannot be read is whoever's that opens it next, and says so.
bool detects(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return false;
  const auto found = packed_folder(path);
  return found.ok() && found->has_value();
}

absl::StatusOr<std::vector<fs::path>> files(const fs::path& path) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, error)) {
    if (entry.is_regular_file(error)) found.push_back(entry.path());
  }
  for (const fs::path& file : format::side_files_of(path)) {
    if (file.parent_path() != path) found.push_back(file);  // further chat templates
  }
  if (error) return base::system_error("list", path.string(), error.value());
  std::sort(found.begin(), found.end());
  return found;
}

std::string counted(const std::map<std::string, int64_t>& counts) {
  std::string text;
  for (const auto& [kind, count] : counts)
    text += str_cat(text.empty() ? "" : ", ", count, " ", kind);
  return text;
}

// A folder and what becomes of it.
struct Opened {
  PackedFolder folder;
  std::unique_ptr<Layout> layout;
  ModelConfig config;
  StoredTensors tensors;
  PackedPlan plan;
};

absl::StatusOr<Opened> open(const fs::path& path) {
  FRUGAL_RETURN_IF_ERROR(format::refuse_adapter(path));
  FRUGAL_ASSIGN_OR_RETURN(auto packed, packed_folder(path));
  if (!packed) return base::invalid_argument(path.string(), ": its weights are not packed");
  FRUGAL_RETURN_IF_ERROR(check_own_files(path, *packed));
  FRUGAL_ASSIGN_OR_RETURN(auto layout, layout_of(*packed));
  const fs::path config_file = path / format::kConfigFile;
  FRUGAL_ASSIGN_OR_RETURN(Json json, base::read_json(config_file, format::kMaxJsonBytes));
  json.erase("compression_config");  // the other key is the writer's to replace
  FRUGAL_ASSIGN_OR_RETURN(ModelConfig config,
                          architecture::parse_model_config(json, config_file.string()));
  FRUGAL_ASSIGN_OR_RETURN(format::Weights weights, format::open_weights(path));
  StoredTensors tensors(std::move(weights), path.string());
  FRUGAL_ASSIGN_OR_RETURN(PackedPlan plan, plan_packed_weights(tensors, *layout, config));
  return Opened{*std::move(packed), std::move(layout), std::move(config), std::move(tensors),
                std::move(plan)};
}

std::vector<std::string> summary(const Opened& opened) {
  const auto& [folder, layout, config, tensors, plan] = opened;
  std::map<std::string, int64_t> plain, kept;
  std::map<std::string, int64_t> decoded;  // by reason
  int64_t rounded = 0;
  for (const PackedImport& import : plan.imports) {
    for (const auto& part : import.declared) {
      if (!import.packed) ++plain[std::string(format::name(part.dtype))];
      if (import.packed && part.grid) ++kept[*part.grid];
      if (import.packed && !part.grid) ++decoded[import.choice.reason];
      rounded += part.activations == format::Activations::kInt8 ? 1 : 0;
    }
  }
  std::vector<std::string> lines = {
      str_cat(config.architecture, ", ", config.layer_count(), " layers, ",
              base::format_count(config.parameter_count()), " parameters, packed as ",
              folder.method),
      str_cat("codes as they are: ", kept.empty() ? "none" : counted(kept))};
  for (const auto& [reason, count] : decoded)
    lines.push_back(str_cat("decoded to F32: ", count, ", as ", reason));
  lines.push_back(str_cat("plain as they were: ", plain.empty() ? "none" : counted(plain)));
  if (rounded > 0)
    lines.push_back(str_cat("inputs of ", rounded, " matrices are rounded to int8 per token"));
  if (plan.zero_biases > 0)
    lines.push_back(str_cat(plan.zero_biases, " biases of zeros that the model does not have"));
  return lines;
}

absl::Status write_weights(const Opened& opened, const fs::path& path, const fs::path& folder) {
  std::vector<format::CheckpointWriter::Tensor> declared;
  for (const PackedImport& import : opened.plan.imports)
    declared.insert(declared.end(), import.declared.begin(), import.declared.end());
  base::Progress progress(str_cat("import ", path.filename().string()), "tensors",
                          static_cast<int64_t>(declared.size()));
  FRUGAL_ASSIGN_OR_RETURN(
      auto writer, format::CheckpointWriter::create(folder, opened.config, std::move(declared)));
  FRUGAL_RETURN_IF_ERROR(write_packed_weights(opened.tensors, *opened.layout, opened.plan, writer,
                                              [&] { progress.advance(1); }));
  return writer.finish();
}

absl::StatusOr<std::vector<std::string>> write(const fs::path& path, const fs::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(const Opened opened, open(path));
  FRUGAL_RETURN_IF_ERROR(format::copy_side_files(path, folder));
  FRUGAL_RETURN_IF_ERROR(write_weights(opened, path, folder));
  if (opened.plan.inputs_left > 0) {
    base::warn(path.string(), ": inputs of ", opened.plan.inputs_left,
               " decoded matrices stay as they are, though the folder rounds them");
  }
  if (const std::string lost = opened.layout->not_carried(); !lost.empty())
    base::warn(path.string(), ": ", lost);
  return summary(opened);
}

// As format::inspect() shows a checkpoint, with one entry for a matrix whatever it is stored in.
absl::StatusOr<Json> inspect_folder(const fs::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const Opened opened, open(path));
  format::TensorListing listing;
  for (const PackedImport& import : opened.plan.imports) {
    int64_t parameters = 0, bytes = 0;
    for (const architecture::Tensor& part : import.parts) {
      int64_t elements = 1;
      for (const int64_t dimension : part.shape) elements *= dimension;
      parameters += elements;
    }
    for (const std::string& name : import.tensors) bytes += opened.tensors.find(name)->size_bytes;
    listing.add(stored_name(import), stored_shape(import), import.type, parameters, bytes);
  }
  Json json = std::move(listing).describe("packed", path, opened.config.architecture);
  json["import"] = summary(opened);
  json["side_files"] = Json::array();
  for (const fs::path& file : format::side_files_of(path))
    json["side_files"].push_back(format::side_file_place(file).string());
  json["quantization"] = format::shortened(opened.folder.config);
  json["metadata"] = format::shortened(opened.config.source);
  json["metadata"].erase("quantization_config");
  json["provenance"] = Json::object();
  return json;
}

}  // namespace

constinit const Importer kPackedImporter{
    .name = "packed",
    .summary = "packed is a Hugging Face folder of GPTQ, AWQ or compressed-tensors",
    .version = 1,
    .detects = detects,
    .files = files,
    .write = write,
    .inspect = inspect_folder};

}  // namespace frugal::artifact
