#include <array>
#include <cstring>
#include <type_traits>

#include "format/gguf.h"
#include "format/gguf_check.h"

namespace frugal::format {
namespace {

template <typename T>
constexpr GgufType type_of() {
  if constexpr (std::is_same_v<T, uint8_t>)
    return GgufType::kU8;
  else if constexpr (std::is_same_v<T, int8_t>)
    return GgufType::kI8;
  else if constexpr (std::is_same_v<T, uint16_t>)
    return GgufType::kU16;
  else if constexpr (std::is_same_v<T, int16_t>)
    return GgufType::kI16;
  else if constexpr (std::is_same_v<T, uint32_t>)
    return GgufType::kU32;
  else if constexpr (std::is_same_v<T, int32_t>)
    return GgufType::kI32;
  else if constexpr (std::is_same_v<T, float>)
    return GgufType::kF32;
  else if constexpr (std::is_same_v<T, bool>)
    return GgufType::kBool;
  else if constexpr (std::is_same_v<T, std::string>)
    return GgufType::kString;
  else if constexpr (std::is_same_v<T, uint64_t>)
    return GgufType::kU64;
  else if constexpr (std::is_same_v<T, int64_t>)
    return GgufType::kI64;
  else
    return GgufType::kF64;
}

template <typename T>
void append(std::string& out, T value) {
  static_assert(std::is_arithmetic_v<T>);
  if constexpr (std::is_same_v<T, bool>) {
    out.push_back(value ? '\1' : '\0');
  } else {
    const size_t at = out.size();
    out.resize(at + sizeof(T));
    std::memcpy(out.data() + at, &value, sizeof(T));
  }
}
void append(std::string& out, GgufType type) { append(out, static_cast<uint32_t>(type)); }
void append(std::string& out, const std::string& text) {
  append(out, static_cast<uint64_t>(text.size()));
  out += text;
}

struct ValueWriter {
  std::string& out;

  template <typename T>
  void operator()(const std::vector<T>& values) const {
    append(out, GgufType::kArray);
    append(out, type_of<T>());
    append(out, static_cast<uint64_t>(values.size()));
    for (const auto& value : values) append(out, static_cast<const T&>(value));
  }
  template <typename T>
  void operator()(const T& value) const {
    append(out, type_of<T>());
    append(out, value);
  }
};

absl::Status check_text(const std::string& key, const std::string& text) {
  if (base::is_valid_utf8(text)) return absl::OkStatus();
  return base::invalid_argument("metadata key '", key, "' holds text that is no UTF-8");
}

absl::Status check_texts(const GgufMetadata& metadata) {
  for (const auto& [key, value] : metadata) {
    if (const auto* text = std::get_if<std::string>(&value))
      FRUGAL_RETURN_IF_ERROR(check_text(key, *text));
    if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
      for (const std::string& text : *list) FRUGAL_RETURN_IF_ERROR(check_text(key, text));
    }
  }
  return absl::OkStatus();
}

// Sizes and offsets of the declared tensors, with the reader's checks.
absl::StatusOr<std::vector<GgufTensor>> place(
    const std::vector<GgufWriter::Declaration>& declarations, int64_t alignment) {
  std::vector<GgufTensor> tensors;
  int64_t offset = 0;
  for (const GgufWriter::Declaration& declared : declarations) {
    GgufTensor tensor{declared.name, declared.shape, declared.type, offset, 0};
    if (declared.shape.size() > kGgufMaxDims) {
      return base::invalid_argument("tensor '", declared.name, "' has ", declared.shape.size(),
                                    " dimensions; GGUF allows 4");
    }
    const absl::StatusOr<int64_t> bytes = gguf_size_bytes(declared.type, declared.shape);
    if (!bytes.ok())
      return base::annotate(bytes.status(), base::str_cat("tensor '", declared.name, "'"));
    tensor.size_bytes = *bytes;
    int64_t end = 0;
    if (__builtin_add_overflow(offset, *bytes, &end))
      return base::invalid_argument("the tensors are too large");
    offset = gguf_aligned(end, alignment);
    tensors.push_back(std::move(tensor));
  }
  FRUGAL_RETURN_IF_ERROR(check_gguf_tensor_names(tensors));
  return tensors;
}

std::string header_bytes(const GgufMetadata& metadata, const std::vector<GgufTensor>& tensors,
                         int64_t alignment) {
  std::string out;
  append(out, kGgufMagic);
  append(out, kGgufVersion);
  append(out, static_cast<uint64_t>(tensors.size()));
  append(out, static_cast<uint64_t>(metadata.size()));
  for (const auto& [key, value] : metadata) {
    append(out, key);
    std::visit(ValueWriter{out}, value);
  }
  for (const GgufTensor& tensor : tensors) {
    append(out, tensor.name);
    append(out, static_cast<uint32_t>(tensor.shape.size()));
    for (auto dimension = tensor.shape.rbegin(); dimension != tensor.shape.rend(); ++dimension) {
      append(out, static_cast<uint64_t>(*dimension));
    }
    append(out, tensor.type.id);
    append(out, static_cast<uint64_t>(tensor.offset));
  }
  out.resize(static_cast<size_t>(gguf_aligned(static_cast<int64_t>(out.size()), alignment)), '\0');
  return out;
}

}  // namespace

GgufWriter::GgufWriter(base::AtomicFile file, std::vector<GgufTensor> tensors, int64_t alignment)
    : file_(std::move(file)), tensors_(std::move(tensors)), alignment_(alignment) {}

absl::StatusOr<GgufWriter> GgufWriter::create(const std::filesystem::path& path,
                                              const GgufMetadata& metadata,
                                              const std::vector<Declaration>& tensors) {
  const auto check = [&]() -> absl::Status {
    FRUGAL_RETURN_IF_ERROR(check_gguf_keys(metadata));
    FRUGAL_RETURN_IF_ERROR(check_texts(metadata));
    return check_gguf_tokenizer(metadata);
  };
  if (const absl::Status status = check(); !status.ok())
    return base::annotate(status, path.string());
  FRUGAL_ASSIGN_OR_RETURN(const int64_t alignment, gguf_alignment(metadata));
  absl::StatusOr<std::vector<GgufTensor>> placed = place(tensors, alignment);
  if (!placed.ok()) return base::annotate(placed.status(), path.string());
  FRUGAL_ASSIGN_OR_RETURN(base::AtomicFile file, base::AtomicFile::create(path));
  FRUGAL_RETURN_IF_ERROR(file.write(header_bytes(metadata, *placed, alignment)));
  return GgufWriter(std::move(file), *std::move(placed), alignment);
}

absl::Status GgufWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  if (next_ == tensors_.size()) {
    return base::internal("tensor '", name, "' was not declared: all ", tensors_.size(),
                          " are written");
  }
  const GgufTensor& expected = tensors_[next_];
  if (expected.name != name) {
    return base::internal("tensor '", name, "' came where '", expected.name, "' was declared");
  }
  if (static_cast<int64_t>(bytes.size()) != expected.size_bytes) {
    return base::invalid_argument("tensor '", name, "' has ", bytes.size(),
                                  " bytes, its declaration needs ", expected.size_bytes);
  }
  FRUGAL_RETURN_IF_ERROR(file_.write(bytes));
  ++next_;
  const int64_t padding = gguf_aligned(expected.size_bytes, alignment_) - expected.size_bytes;
  return file_.write(std::string(static_cast<size_t>(padding), '\0'));
}

absl::Status GgufWriter::commit() {
  if (next_ != tensors_.size()) {
    return base::internal("tensor '", tensors_[next_].name, "' was declared but never written");
  }
  return file_.commit();
}

}  // namespace frugal::format
