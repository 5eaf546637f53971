#include "layerwise/walk/layer_store.h"

#include <cstdio>
#include <cstring>
#include <map>
#include <utility>

#include "base/file.h"
#include "tensor/aten.h"
#include "tensor/guard.h"
#include "tensor/transfer.h"

namespace frugal::layerwise {

absl::StatusOr<std::span<const std::byte>> LayerStore::Layer::bytes(
    std::string_view name, format::DType dtype, const std::vector<int64_t>& shape) const {
  const auto found = file_.tensors().find(name);
  if (found == file_.tensors().end() || found->second.dtype != dtype ||
      found->second.shape != shape) {
    return base::data_loss(
        path_.string(), ": tensor ", name,
        " is absent or has another shape than this step stores; remove the file");
  }
  return file_.bytes(found->second);
}

absl::StatusOr<at::Tensor> LayerStore::Layer::tensor(std::string_view name,
                                                     const std::vector<int64_t>& shape,
                                                     at::ScalarType type) const {
  FRUGAL_ASSIGN_OR_RETURN(const format::DType dtype, tensor::dtype_of(type));
  FRUGAL_ASSIGN_OR_RETURN(const std::span<const std::byte> stored, bytes(name, dtype, shape));
  return tensor::guarded(name, [&] {
    const at::Tensor result = at::empty(shape, type);
    std::memcpy(result.mutable_data_ptr(), stored.data(), stored.size());
    return result;
  });
}

LayerStore::LayerStore(std::filesystem::path folder, std::string stamp)
    : folder_(std::move(folder)), stamp_(std::move(stamp)) {}

std::filesystem::path LayerStore::path(int64_t layer) const {
  char name[40];
  std::snprintf(name, sizeof(name), "layer-%05lld.safetensors", static_cast<long long>(layer));
  return folder_ / name;
}

absl::Status LayerStore::write(int64_t layer, const StoredTensors& tensors,
                               const base::Json& record) const {
  std::vector<format::SafetensorsWriter::Declaration> declarations;
  for (const auto& [name, value] : tensors) {
    FRUGAL_ASSIGN_OR_RETURN(const format::DType dtype, tensor::dtype_of(value.scalar_type()));
    declarations.push_back({name, dtype, value.sizes().vec()});
  }
  const std::map<std::string, std::string> metadata{{"stamp", stamp_}, {"record", record.dump()}};
  FRUGAL_ASSIGN_OR_RETURN(
      format::SafetensorsWriter writer,
      format::SafetensorsWriter::create(path(layer), std::move(declarations), metadata));
  const std::vector<format::TensorInfo> infos = writer.infos();
  for (const format::TensorInfo& info : infos) {  // the writer's order
    const at::Tensor& value = tensors.find(info.name)->second;
    FRUGAL_RETURN_IF_ERROR(tensor::guarded(info.name, [&] {
      const at::Tensor plain = value.cpu().contiguous();
      return writer.write(info.name, {static_cast<const std::byte*>(plain.const_data_ptr()),
                                      static_cast<size_t>(plain.nbytes())});
    }));
  }
  return writer.commit();
}

absl::StatusOr<std::optional<LayerStore::Layer>> LayerStore::read(int64_t layer) const {
  const std::filesystem::path file = path(layer);
  FRUGAL_ASSIGN_OR_RETURN(const bool exists, base::exists(file));
  if (!exists) return std::nullopt;
  Layer result;
  result.path_ = file;
  FRUGAL_ASSIGN_OR_RETURN(result.file_, format::SafetensorsFile::open(file));
  const auto& metadata = result.file_.metadata();
  const auto stamp = metadata.find("stamp"), record = metadata.find("record");
  if (stamp == metadata.end() || record == metadata.end()) {
    return base::data_loss(file.string(), ": metadata is missing; remove the file");
  }
  if (stamp->second != stamp_) return std::nullopt;
  FRUGAL_ASSIGN_OR_RETURN(result.record_, base::parse_json(record->second, file.string()));
  return result;
}

absl::StatusOr<LayerStore::Layer> LayerStore::require(int64_t layer) const {
  FRUGAL_ASSIGN_OR_RETURN(std::optional<Layer> stored, read(layer));
  if (!stored) return base::internal(path(layer).string(), ": layer ", layer, " was not stored");
  return *std::move(stored);
}

}  // namespace frugal::layerwise
