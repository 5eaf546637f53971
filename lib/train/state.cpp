#include "train/state.h"

#include <ATen/core/grad_mode.h>

#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/text.h"
#include "format/safetensors.h"
#include "tensor/aten.h"
#include "tensor/guard.h"

namespace frugal::train {
namespace {

constexpr const char* kRecordKey = "frugal.train";

// Every tensor of the file under its name there.
std::vector<std::pair<std::string, at::Tensor>> named_tensors(const TrainState& state) {
  std::vector<std::pair<std::string, at::Tensor>> result;
  for (const auto& [name, value] : state.weights) result.emplace_back("weight/" + name, value);
  for (const auto& [name, moments] : state.optimizer->moments()) {
    result.emplace_back("first/" + name, moments.first);
    result.emplace_back("second/" + name, moments.second);
  }
  for (const auto& [name, value] : state.best) result.emplace_back("best/" + name, value);
  return result;
}

absl::Status write_tensor(format::SafetensorsWriter& writer, const std::string& name,
                          const at::Tensor& value) {
  return tensor::guarded(base::str_cat("saving ", name), [&] {
    const at::Tensor plain = value.detach().to(at::kCPU).contiguous();
    return writer.write(name,
                        {static_cast<const std::byte*>(plain.const_data_ptr()), plain.nbytes()});
  });
}

// The stored tensor `name`, which must be F32 of `shape`.
absl::StatusOr<at::Tensor> read_tensor(const format::SafetensorsFile& file, const std::string& name,
                                       at::IntArrayRef shape) {
  const auto found = file.tensors().find(name);
  if (found == file.tensors().end()) return base::data_loss("no tensor ", name);
  const format::TensorInfo& info = found->second;
  if (info.dtype != format::DType::kF32 || at::IntArrayRef(info.shape) != shape) {
    return base::data_loss("tensor ", name, " has another type or shape than the model's");
  }
  return tensor::guarded(base::str_cat("reading ", name), [&] {
    at::Tensor value = at::empty(shape, at::kFloat);
    const std::span<const std::byte> bytes = file.bytes(info);  // may be unaligned
    std::memcpy(value.mutable_data_ptr(), bytes.data(), bytes.size());
    return value;
  });
}

absl::StatusOr<base::Json> read_record(const format::SafetensorsFile& file,
                                       std::string_view fingerprint) {
  const auto text = file.metadata().find(kRecordKey);
  if (text == file.metadata().end()) return base::data_loss("no training record in its metadata");
  FRUGAL_ASSIGN_OR_RETURN(base::Json record, base::parse_json(text->second, "training record"));
  FRUGAL_ASSIGN_OR_RETURN(const std::string found,
                          base::json_get<std::string>(record, "fingerprint", "training record"));
  if (found != fingerprint) {
    return base::failed("it belongs to another run (fingerprint ", found, ", this run has ",
                        fingerprint, "); remove the file to start anew");
  }
  return record;
}

// All tensors that `state` expects, read before any is replaced.
absl::StatusOr<std::vector<at::Tensor>> read_all(const format::SafetensorsFile& file,
                                                 const TrainState& state) {
  std::vector<at::Tensor> values;
  for (const auto& [name, target] : named_tensors(state)) {
    FRUGAL_ASSIGN_OR_RETURN(at::Tensor value, read_tensor(file, name, target.sizes()));
    values.push_back(std::move(value));
  }
  return values;
}

absl::StatusOr<base::Json> load_from(const format::SafetensorsFile& file, TrainState& state,
                                     std::string_view fingerprint) {
  FRUGAL_ASSIGN_OR_RETURN(base::Json record, read_record(file, fingerprint));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t step,
                          base::json_get<int64_t>(record, "step", "training record"));
  TensorMap best;
  for (const auto& [name, info] : file.tensors()) {
    if (!name.starts_with("best/")) continue;
    const auto weight = state.weights.find(name.substr(5));
    if (weight == state.weights.end()) return base::data_loss("unknown tensor ", name);
    FRUGAL_ASSIGN_OR_RETURN(best[weight->first], read_tensor(file, name, weight->second.sizes()));
  }
  state.best.clear();
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<at::Tensor> values, read_all(file, state));
  FRUGAL_RETURN_IF_ERROR(tensor::guarded("restoring the training state", [&] {
    const at::NoGradGuard no_grad;
    const auto targets = named_tensors(state);
    for (size_t i = 0; i < targets.size(); ++i) targets[i].second.copy_(values[i]);
    for (auto& [name, value] : best) value = value.to(state.weights.find(name)->second.device());
    state.optimizer->resume_at(step);
  }));
  state.best = std::move(best);
  return record;
}

}  // namespace

absl::Status save_state(const std::filesystem::path& path, const TrainState& state,
                        std::string_view fingerprint) {
  base::Json record = state.record;
  record["fingerprint"] = std::string(fingerprint);
  const auto tensors = named_tensors(state);
  std::vector<format::SafetensorsWriter::Declaration> declared;
  for (const auto& [name, value] : tensors)
    declared.push_back({name, format::DType::kF32, value.sizes().vec()});
  FRUGAL_ASSIGN_OR_RETURN(
      format::SafetensorsWriter writer,
      format::SafetensorsWriter::create(path, declared, {{kRecordKey, record.dump()}}));
  for (const auto& [name, value] : tensors)
    FRUGAL_RETURN_IF_ERROR(write_tensor(writer, name, value));
  return writer.commit();
}

absl::StatusOr<std::optional<base::Json>> load_state(const std::filesystem::path& path,
                                                     TrainState& state,
                                                     std::string_view fingerprint) {
  FRUGAL_ASSIGN_OR_RETURN(const bool exists, base::exists(path));
  if (!exists) return std::optional<base::Json>();
  FRUGAL_ASSIGN_OR_RETURN(const format::SafetensorsFile file, format::SafetensorsFile::open(path));
  absl::StatusOr<base::Json> record = load_from(file, state, fingerprint);
  if (!record.ok()) {
    return base::annotate(record.status(), base::str_cat("cannot resume from ", path.string()));
  }
  return std::optional<base::Json>(*std::move(record));
}

}  // namespace frugal::train
