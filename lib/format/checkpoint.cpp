#include "format/checkpoint.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <set>

#include "architecture/tensors.h"
#include "base/hash.h"
#include "base/process.h"
#include "format/checkpoint_files.h"
#include "format/generation_config.h"
#include "format/model_folder.h"
#include "format/quantized_entries.h"
#include "format/shards.h"
#include "format/slices.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;
using base::Json;

// The method under quantization_config where it is another tool's, else nothing.
absl::StatusOr<std::optional<std::string>> foreign_packing(const Json& config,
                                                           std::string_view where) {
  const auto found = config.find("quantization_config");
  if (found == config.end() || found->is_null()) return std::nullopt;
  const std::string place = base::str_cat(where, ": 'quantization_config'");
  FRUGAL_ASSIGN_OR_RETURN(std::string method,
                          base::json_get_or<std::string>(*found, "quant_method", "", place));
  if (method == kQuantMethod) return std::nullopt;
  if (method.empty())  // bitsandbytes did not name itself at first
    method = found->contains("load_in_4bit") || found->contains("load_in_8bit") ? "bitsandbytes"
                                                                                : "unknown";
  return method;
}

absl::Status check_quantized_tensor(const QuantizedEntry& entry, const TensorInfo& info,
                                    const architecture::Tensor& expected) {
  const std::vector<int64_t>& logical = expected.shape;
  if (std::vector<int64_t>{entry.rows, entry.columns} != logical) {
    return base::invalid_argument("its quantized shape is [", entry.rows, ", ", entry.columns,
                                  "], the config demands ", shape_text(logical));
  }
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(entry.grid, entry.columns));
  FRUGAL_RETURN_IF_ERROR(grid::check_columns(grid->spec(), entry.columns, info.name));
  FRUGAL_RETURN_IF_ERROR(
      check_activations(entry.activations, grid->spec(), info.name, expected.in_layer()));
  const int64_t row_bytes = entry.columns / grid->spec().block_columns * grid->spec().block_bytes;
  if (info.dtype != DType::kU8 || info.shape != std::vector<int64_t>{entry.rows, row_bytes}) {
    return base::data_loss("stored as ", name(info.dtype), " ", shape_text(info.shape), ", grid ",
                           entry.grid, " needs U8 [", entry.rows, ", ", row_bytes, "]");
  }
  return absl::OkStatus();
}

absl::Status check_plain_tensor(const TensorInfo& info, const std::vector<int64_t>& expected) {
  if (info.shape != expected) {
    return base::invalid_argument("its shape is ", shape_text(info.shape), ", the config demands ",
                                  shape_text(expected));
  }
  if (!is_floating(info.dtype)) {
    return base::unimplemented("its type is ", name(info.dtype), ", expected F32, F16 or BF16");
  }
  return absl::OkStatus();
}

}  // namespace

struct Checkpoint::HashCache {
  std::mutex mutex;
  std::string hex;
};

// A stored head that should be the embedding; the bytes live as long as the shards.
struct Checkpoint::TiedHead {
  std::string name, embedding_name;
  std::span<const std::byte> bytes, embedding;
  std::mutex mutex;
  std::optional<bool> equal;  // absent: not compared yet
};

absl::Status Checkpoint::check_expected() const {
  for (const architecture::Tensor& expected : architecture::tensors(config_)) {
    const auto found = stored_.find(expected.name);
    if (found == stored_.end()) return missing(expected);
    const TensorInfo& info = found->second.info;
    const auto entry = quantized_.find(expected.name);
    const absl::Status status = entry == quantized_.end()
                                    ? check_plain_tensor(info, expected.shape)
                                    : check_quantized_tensor(entry->second, info, expected);
    if (!status.ok()) {
      return base::annotate(status,
                            base::str_cat(folder_.string(), ": tensor '", expected.name, "'"));
    }
  }
  return absl::OkStatus();
}

absl::Status Checkpoint::missing(const architecture::Tensor& expected) const {
  const std::string& name = expected.slice ? expected.slice->name : expected.name;
  if (const auto whole = stored_.find(name); whole != stored_.end()) {
    return base::annotate(cut(whole->second.info, expected).status(),
                          base::str_cat(folder_.string(), ": tensor '", name, "'"));
  }
  return base::data_loss(folder_.string(), ": tensor '", name, "' ",
                         shape_text(expected.slice ? expected.slice->shape : expected.shape),
                         " is missing",
                         expected.role == architecture::Role::kHead
                             ? "; if the model ties it to the embedding, config.json needs "
                               "\"tie_word_embeddings\": true"
                             : "");
}

TensorInfo Checkpoint::Stored::range() const {
  TensorInfo range = info;
  if (stride > 0)
    range.size_bytes =
        ((info.shape[1] - 1) * stride + info.shape[0]) * format::size_bytes(info.dtype);
  return range;
}

TensorBytes Checkpoint::bytes_of(const Stored& stored) const {
  const std::span<const std::byte> mapped = shards_[stored.shard].bytes(stored.range());
  if (stored.stride == 0) return TensorBytes(mapped);
  std::vector<std::byte> copy(static_cast<size_t>(stored.info.size_bytes));
  const int64_t rows = stored.info.shape[0], columns = stored.info.shape[1];
  copy_transposed({mapped.data(), stored.stride}, columns, rows, size_bytes(stored.info.dtype),
                  {copy.data(), columns});
  base::release_pages(mapped);
  return TensorBytes(std::move(copy));
}

// Experts lie in stacks where one is there, or where the config says that they did before they came
// on grids.
void Checkpoint::find_stacks(const base::Json& json) {
  const auto ours = json.find("frugal");
  config_.stacked_experts = ours != json.end() && ours->is_object() &&
                            ours->value("stacked_experts", Json(false)) == Json(true);
  if (config_.stacked_experts) return;
  architecture::ModelConfig stacked = config_;
  stacked.stacked_experts = true;
  for (const architecture::Tensor& tensor : architecture::tensors(stacked)) {
    if (tensor.expert == architecture::kNoExpert || !stored_.contains(tensor.slice->name)) continue;
    config_.stacked_experts = true;
    return;
  }
}

// Gives the parts of fused tensors the names that the config gives them. A fused tensor of another
// shape stays as it is, for check_expected().
absl::Status Checkpoint::cut_fused() {
  std::set<std::string> whole;
  for (const architecture::Tensor& expected : architecture::tensors(config_)) {
    if (!expected.slice) continue;
    const auto found = stored_.find(expected.slice->name);
    if (found == stored_.end() || found->second.info.shape != expected.slice->shape) continue;
    const absl::StatusOr<TensorInfo> part = cut(found->second.info, expected);
    if (!part.ok()) {
      return base::annotate(
          part.status(), base::str_cat(folder_.string(), ": tensor '", expected.slice->name, "'"));
    }
    const int64_t stride = expected.slice->transposed ? expected.slice->shape.back() : 0;
    if (!stored_.emplace(expected.name, Stored{found->second.shard, *part, stride}).second) {
      return base::invalid_argument(folder_.string(), ": both '", expected.slice->name,
                                    "' and its part '", expected.name,
                                    "' are stored; remove the one that is out of date");
    }
    whole.insert(expected.slice->name);
  }
  for (const std::string& name : whole) stored_.erase(name);
  return absl::OkStatus();
}

// Weights packed by other tools have other names and layouts: say so before "missing tensor" does.
// A leftover of the key over plain weights is another matter.
absl::Status Checkpoint::check_packing() const {
  const std::string file = (folder_ / kConfigFile).string();
  FRUGAL_ASSIGN_OR_RETURN(const auto method, foreign_packing(config_.source, file));
  const std::vector<std::string> names = tensor_names();
  if (!method.has_value()) {
    // Names of weights in wrappers hide the true ones, which would be called missing.
    const std::string cause = check_expected().ok() ? "" : explain_tensor_names(names);
    return cause.empty() ? absl::OkStatus() : base::invalid_argument(folder_.string(), ": ", cause);
  }
  if (check_expected().ok()) {
    return base::invalid_argument(
        file, ": 'quantization_config' says ", *method, ", but all weights are plain numbers (",
        "the model was probably saved after it was unpacked): delete the key "
        "'quantization_config' from config.json");
  }
  constexpr std::array<std::string_view, 3> kImported = {"gptq", "awq", "compressed-tensors"};
  if (std::find(kImported.begin(), kImported.end(), *method) != kImported.end()) {
    return base::unimplemented(file, ": the weights are packed as '", *method,
                               "', which is imported first: frugal import ", folder_.string(),
                               " -o FOLDER");
  }
  return base::unimplemented(
      file, ": the weights are packed as '", method->substr(0, 80),
      "'; frugal reads plain F32, F16 or BF16 weights, its own grids, and folders of ",
      base::join(std::vector<std::string>(kImported.begin(), kImported.end()), ", "),
      ": start from the unquantized model");
}

absl::Status Checkpoint::hide_tied_head() {
  const std::string head_name = architecture::tensor_name(config_, architecture::Role::kHead);
  const std::string embedding_name =
      architecture::tensor_name(config_, architecture::Role::kEmbedding);
  if (!config_.tied_embeddings || !has(head_name) || !has(embedding_name)) return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(const TensorInfo head, info(head_name));
  FRUGAL_ASSIGN_OR_RETURN(const TensorInfo embedding, info(embedding_name));
  tied_head_ = std::make_shared<TiedHead>();
  tied_head_->name = head_name;
  tied_head_->embedding_name = embedding_name;
  if (head.dtype != embedding.dtype || head.shape != embedding.shape) return tied_heads_differ();
  tied_head_->bytes = shards_[stored_.find(head_name)->second.shard].bytes(head);
  tied_head_->embedding = shards_[stored_.find(embedding_name)->second.shard].bytes(embedding);
  stored_.erase(stored_.find(head_name));
  if (const auto entry = quantized_.find(head_name); entry != quantized_.end())
    quantized_.erase(entry);
  return absl::OkStatus();
}

absl::Status Checkpoint::tied_heads_differ() const {
  return base::invalid_argument(folder_.string(), ": config.json ties the embeddings, but '",
                                tied_head_->name, "' differs from '", tied_head_->embedding_name,
                                "'; set \"tie_word_embeddings\" to false, or remove '",
                                tied_head_->name, "'");
}

// Hundreds of megabytes of a large model, so not before somebody reads them anyway, and once.
absl::Status Checkpoint::check_tied_head() const {
  if (tied_head_ == nullptr) return absl::OkStatus();
  const std::lock_guard lock(tied_head_->mutex);
  if (!tied_head_->equal.has_value()) {
    tied_head_->equal = std::memcmp(tied_head_->bytes.data(), tied_head_->embedding.data(),
                                    tied_head_->bytes.size()) == 0;
    base::release_pages(tied_head_->bytes);
  }
  return *tied_head_->equal ? absl::OkStatus() : tied_heads_differ();
}

absl::Status Checkpoint::check_nothing_else() const {
  std::set<std::string, std::less<>> known;
  for (const architecture::Tensor& expected : architecture::tensors(config_))
    known.insert(expected.name);
  std::vector<std::string> unknown;
  for (const auto& [name, stored] : stored_) {
    if (!known.contains(name)) unknown.push_back(name);
  }
  if (!unknown.empty()) {
    const size_t count = unknown.size();
    if (const std::string cause = explain_tensor_names(unknown); !cause.empty())
      return base::invalid_argument(folder_.string(), ": ", cause);
    unknown.resize(std::min<size_t>(count, 8));
    return base::invalid_argument(folder_.string(), ": ", count, " tensor(s) that a ",
                                  config_.architecture, " of ", config_.layer_count(),
                                  " layers does not have: ", base::join(unknown, ", "),
                                  count > unknown.size() ? ", …" : "",
                                  "; check the architecture and the sizes in config.json");
  }
  for (const auto& [name, entry] : quantized_) {
    if (known.contains(name)) continue;
    return base::invalid_argument(folder_.string(), ": config.json lists '", name,
                                  "' as quantized, which this architecture does not have");
  }
  return absl::OkStatus();
}

absl::StatusOr<Checkpoint> Checkpoint::open(const fs::path& folder) {
  std::error_code ignored;
  const fs::path config_file = folder / kConfigFile;
  if (!fs::exists(config_file, ignored)) return explain_no_model(folder);
  FRUGAL_RETURN_IF_ERROR(refuse_adapter(folder));
  FRUGAL_ASSIGN_OR_RETURN(const Json json, base::read_json(config_file, kMaxJsonBytes));
  Checkpoint result;
  result.folder_ = folder;
  FRUGAL_ASSIGN_OR_RETURN(result.config_,
                          architecture::parse_model_config(json, config_file.string()));
  FRUGAL_RETURN_IF_ERROR(apply_generation_config(folder, result.config_));
  FRUGAL_ASSIGN_OR_RETURN(result.quantized_, parse_quantized_entries(json, config_file.string()));
  FRUGAL_ASSIGN_OR_RETURN(Weights weights, open_weights(folder));
  for (const auto& [name, shard] : weights.shard_of) {
    if (is_computed_buffer(name) || architecture::is_buffer(result.config_, name)) continue;
    const std::string whole = architecture::whole_name(result.config_, name);
    const Stored stored{shard, weights.shards[shard].tensors().find(name)->second};
    if (!result.stored_.emplace(whole, stored).second) {
      return base::invalid_argument(folder.string(), ": both '", whole, "' and '", name,
                                    "' are stored, two names of one tensor; remove the one that is "
                                    "out of date");
    }
  }
  result.find_stacks(json);
  result.shards_ = std::move(weights.shards);
  result.hash_cache_ = std::make_shared<HashCache>();
  FRUGAL_RETURN_IF_ERROR(result.cut_fused());
  FRUGAL_RETURN_IF_ERROR(result.check_packing());
  FRUGAL_RETURN_IF_ERROR(result.hide_tied_head());
  FRUGAL_RETURN_IF_ERROR(result.check_expected());
  FRUGAL_RETURN_IF_ERROR(result.check_nothing_else());
  return result;
}

bool Checkpoint::has(std::string_view tensor) const {
  return stored_.find(tensor) != stored_.end();
}

absl::StatusOr<TensorInfo> Checkpoint::info(std::string_view tensor) const {
  const auto found = stored_.find(tensor);
  if (found == stored_.end()) {
    return base::not_found(folder_.string(), ": no tensor '", tensor, "'",
                           base::suggestion(tensor, tensor_names()));
  }
  return found->second.info;
}

std::vector<std::string> Checkpoint::tensor_names() const {
  std::vector<std::string> names;
  names.reserve(stored_.size());
  for (const auto& [name, stored] : stored_) names.push_back(name);
  return names;
}

absl::StatusOr<TensorBytes> Checkpoint::bytes(std::string_view tensor) const {
  FRUGAL_RETURN_IF_ERROR(info(tensor).status());
  if (tied_head_ != nullptr && tensor == tied_head_->embedding_name)
    FRUGAL_RETURN_IF_ERROR(check_tied_head());
  return bytes_of(stored_.find(tensor)->second);
}

void Checkpoint::read_ahead(std::string_view tensor) const {
  const auto stored = stored_.find(tensor);
  if (stored == stored_.end()) return;
  base::read_ahead(shards_[stored->second.shard].bytes(stored->second.range()));
}

absl::StatusOr<std::vector<float>> Checkpoint::values(std::string_view tensor) const {
  std::vector<float> out;
  if (quantized_.find(tensor) != quantized_.end()) {
    FRUGAL_ASSIGN_OR_RETURN(const grid::QuantizedMatrix matrix, codes(tensor));
    out.resize(static_cast<size_t>(matrix.rows) * static_cast<size_t>(matrix.columns));
    grid::decode_matrix(matrix, out.data());
  } else {
    FRUGAL_ASSIGN_OR_RETURN(const TensorInfo found, info(tensor));
    if (!is_floating(found.dtype)) {
      return base::unimplemented(folder_.string(), ": tensor '", tensor, "' is ", name(found.dtype),
                                 ", expected F32, F16 or BF16");
    }
    FRUGAL_ASSIGN_OR_RETURN(const auto stored, bytes(tensor));
    out.resize(static_cast<size_t>(found.element_count()));
    convert_to_f32(found.dtype, stored, out.data());
    if (stored.is_mapped()) base::release_pages(stored);
  }
  if (const std::optional<size_t> bad = first_not_finite(out)) {
    return base::data_loss(folder_.string(), ": tensor '", tensor, "' holds ",
                           std::to_string(out[*bad]), " at element ", *bad,
                           "; the weights are damaged");
  }
  return out;
}

absl::StatusOr<grid::QuantizedMatrix> Checkpoint::codes(std::string_view tensor) const {
  const auto entry = quantized_.find(tensor);
  if (entry == quantized_.end()) {
    return base::invalid_argument(folder_.string(), ": tensor '", tensor, "' is not quantized");
  }
  FRUGAL_ASSIGN_OR_RETURN(const auto stored, bytes(tensor));
  FRUGAL_ASSIGN_OR_RETURN(auto grid, grid::find_grid(entry->second.grid, entry->second.columns));
  auto matrix =
      grid::unpack_matrix(std::move(grid), entry->second.rows, entry->second.columns, stored);
  if (!matrix.ok()) {
    return base::annotate(matrix.status(),
                          base::str_cat(folder_.string(), ": tensor '", tensor, "'"));
  }
  return matrix;
}

int64_t Checkpoint::weight_bytes() const {
  int64_t total = 0;
  for (const auto& [name, stored] : stored_) total += stored.info.size_bytes;
  return total;
}

std::vector<fs::path> Checkpoint::side_files() const { return side_files_of(folder_); }

absl::StatusOr<std::string> Checkpoint::content_hash() const {
  const std::lock_guard lock(hash_cache_->mutex);
  if (!hash_cache_->hex.empty()) return hash_cache_->hex;
  FRUGAL_RETURN_IF_ERROR(check_tied_head());
  base::KeyHasher hasher;
  hasher.add(kConfigFile).add(config_.source.dump(-1, ' ', true));
  for (auto at = stored_.begin(); at != stored_.end(); ++at) {
    const auto& [tensor, stored] = *at;
    if (const auto next = std::next(at); next != stored_.end()) read_ahead(next->first);
    const TensorInfo& found = stored.info;
    hasher.add(tensor).add(name(found.dtype)).add(shape_text(found.shape));
    const TensorBytes bytes = bytes_of(stored);
    hasher.add(base::xxh3_128(bytes));
    if (bytes.is_mapped()) base::release_pages(bytes);
  }
  for (const fs::path& file : side_files()) {
    FRUGAL_ASSIGN_OR_RETURN(const base::MappedFile mapped, base::MappedFile::open(file));
    hasher.add(side_file_place(file).string()).add(base::xxh3_128(mapped.bytes()));
  }
  hash_cache_->hex = hasher.hex();
  return hash_cache_->hex;
}

}  // namespace frugal::format
