#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/file_kind.h"
#include "format/gguf.h"
#include "format/gguf_check.h"

namespace frugal::format {
namespace {

static_assert(std::endian::native == std::endian::little, "file formats are read in place");

constexpr uint64_t kMaxArrayBytes = uint64_t{1} << 30;  // ggml's bound on strings and arrays
constexpr uint64_t kMaxStrings =
    uint64_t{1} << 26;  // a std::string takes four times its least size in the file
constexpr uint64_t kLeastValueBytes = 8 + 1 + 4 + 1;       // key length, key, type, value
constexpr uint64_t kLeastTensorBytes = 8 + 1 + 4 + 4 + 8;  // name length, name, dims, type, offset

// Walks over the header. Nothing is allocated before the file is known to hold it.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}
  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }

  template <typename T>
  absl::StatusOr<T> scalar() {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    if (remaining() < sizeof(T)) return truncated();
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  absl::StatusOr<bool> boolean() {
    FRUGAL_ASSIGN_OR_RETURN(const uint8_t value, scalar<uint8_t>());
    if (value > 1)
      return base::invalid_argument("a BOOL is ", static_cast<int>(value), ", expected 0 or 1");
    return value == 1;
  }

  absl::StatusOr<std::string> string() {
    FRUGAL_ASSIGN_OR_RETURN(const uint64_t length, scalar<uint64_t>());
    if (length > remaining()) return truncated();
    if (length > kMaxArrayBytes)
      return base::invalid_argument("a string of ", length, " bytes; at most 1 GiB is allowed");
    std::string text(reinterpret_cast<const char*>(bytes_.data()) + position_, length);
    if (!base::is_valid_utf8(text))
      return base::invalid_argument("a string at byte ", position_, " is no UTF-8");
    position_ += length;
    return text;
  }

  template <typename T>
  absl::StatusOr<std::vector<T>> scalars(uint64_t count) {
    if (count > remaining() / sizeof(T)) return truncated();
    if (count > kMaxArrayBytes / sizeof(T))
      return base::invalid_argument("an array of ", count, " elements; at most 1 GiB is allowed");
    std::vector<T> values(count);
    if (count > 0) std::memcpy(values.data(), bytes_.data() + position_, count * sizeof(T));
    position_ += count * sizeof(T);
    return values;
  }

  absl::Status truncated() const {
    return base::data_loss("truncated: the header runs past the end of the file at byte ",
                           position_);
  }

 private:
  std::span<const std::byte> bytes_;
  uint64_t position_ = 0;
};

template <typename T>
absl::StatusOr<GgufValue> read_scalar(Cursor& cursor) {
  FRUGAL_ASSIGN_OR_RETURN(const T value, cursor.scalar<T>());
  return GgufValue(value);
}

template <typename T>
absl::StatusOr<GgufValue> read_scalars(Cursor& cursor, uint64_t count) {
  FRUGAL_ASSIGN_OR_RETURN(std::vector<T> values, cursor.scalars<T>(count));
  return GgufValue(std::move(values));
}

absl::StatusOr<GgufValue> read_strings(Cursor& cursor, uint64_t count) {
  if (count > cursor.remaining() / sizeof(uint64_t)) return cursor.truncated();
  if (count > kMaxStrings)
    return base::invalid_argument("an array of ", count, " strings; at most ", kMaxStrings);
  std::vector<std::string> values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    FRUGAL_ASSIGN_OR_RETURN(std::string text, cursor.string());
    values.push_back(std::move(text));
  }
  return GgufValue(std::move(values));
}

absl::StatusOr<GgufValue> read_booleans(Cursor& cursor, uint64_t count) {
  if (count > cursor.remaining()) return cursor.truncated();
  std::vector<bool> values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    FRUGAL_ASSIGN_OR_RETURN(const bool value, cursor.boolean());
    values.push_back(value);
  }
  return GgufValue(std::move(values));
}

absl::StatusOr<GgufValue> read_array(Cursor& cursor) {
  FRUGAL_ASSIGN_OR_RETURN(const uint32_t type, cursor.scalar<uint32_t>());
  FRUGAL_ASSIGN_OR_RETURN(const uint64_t count, cursor.scalar<uint64_t>());
  switch (static_cast<GgufType>(type)) {
    case GgufType::kU8:
      return read_scalars<uint8_t>(cursor, count);
    case GgufType::kI8:
      return read_scalars<int8_t>(cursor, count);
    case GgufType::kU16:
      return read_scalars<uint16_t>(cursor, count);
    case GgufType::kI16:
      return read_scalars<int16_t>(cursor, count);
    case GgufType::kU32:
      return read_scalars<uint32_t>(cursor, count);
    case GgufType::kI32:
      return read_scalars<int32_t>(cursor, count);
    case GgufType::kF32:
      return read_scalars<float>(cursor, count);
    case GgufType::kBool:
      return read_booleans(cursor, count);
    case GgufType::kString:
      return read_strings(cursor, count);
    case GgufType::kU64:
      return read_scalars<uint64_t>(cursor, count);
    case GgufType::kI64:
      return read_scalars<int64_t>(cursor, count);
    case GgufType::kF64:
      return read_scalars<double>(cursor, count);
    case GgufType::kArray:
      return base::unimplemented("arrays of arrays are not supported");
  }
  return base::invalid_argument("array element type ", type, " is unknown");
}

absl::StatusOr<GgufValue> read_value(Cursor& cursor) {
  FRUGAL_ASSIGN_OR_RETURN(const uint32_t type, cursor.scalar<uint32_t>());
  switch (static_cast<GgufType>(type)) {
    case GgufType::kU8:
      return read_scalar<uint8_t>(cursor);
    case GgufType::kI8:
      return read_scalar<int8_t>(cursor);
    case GgufType::kU16:
      return read_scalar<uint16_t>(cursor);
    case GgufType::kI16:
      return read_scalar<int16_t>(cursor);
    case GgufType::kU32:
      return read_scalar<uint32_t>(cursor);
    case GgufType::kI32:
      return read_scalar<int32_t>(cursor);
    case GgufType::kF32:
      return read_scalar<float>(cursor);
    case GgufType::kU64:
      return read_scalar<uint64_t>(cursor);
    case GgufType::kI64:
      return read_scalar<int64_t>(cursor);
    case GgufType::kF64:
      return read_scalar<double>(cursor);
    case GgufType::kArray:
      return read_array(cursor);
    case GgufType::kBool: {
      FRUGAL_ASSIGN_OR_RETURN(const bool value, cursor.boolean());
      return GgufValue(value);
    }
    case GgufType::kString: {
      FRUGAL_ASSIGN_OR_RETURN(std::string value, cursor.string());
      return GgufValue(std::move(value));
    }
  }
  return base::invalid_argument("value type ", type, " is unknown");
}

absl::StatusOr<GgufTensor> read_tensor(Cursor& cursor) {
  GgufTensor tensor;
  FRUGAL_ASSIGN_OR_RETURN(tensor.name, cursor.string());
  FRUGAL_ASSIGN_OR_RETURN(const uint32_t dims, cursor.scalar<uint32_t>());
  if (dims > kGgufMaxDims) {
    return base::invalid_argument("tensor '", tensor.name.substr(0, 80), "' has ", dims,
                                  " dimensions; at most 4");
  }
  tensor.shape.resize(dims);
  for (uint32_t i = 0; i < dims; ++i) {
    FRUGAL_ASSIGN_OR_RETURN(const uint64_t size, cursor.scalar<uint64_t>());
    // Above the range of int64 it turns negative, which the size check below refuses.
    tensor.shape[dims - 1 - i] = static_cast<int64_t>(size);
  }
  FRUGAL_ASSIGN_OR_RETURN(const uint32_t type, cursor.scalar<uint32_t>());
  FRUGAL_ASSIGN_OR_RETURN(const uint64_t offset, cursor.scalar<uint64_t>());
  tensor.offset = static_cast<int64_t>(offset);
  const absl::StatusOr<GgmlType> known = ggml_type(type);
  absl::Status status = known.status();
  if (status.ok()) {
    tensor.type = *known;
    const absl::StatusOr<int64_t> bytes = gguf_size_bytes(tensor.type, tensor.shape);
    status = bytes.status();
    if (status.ok()) tensor.size_bytes = *bytes;
  }
  if (!status.ok())
    return base::annotate(status, base::str_cat("tensor '", tensor.name.substr(0, 80), "'"));
  return tensor;
}

// Tensors lie in the order of their infos, each at the next aligned place, and end inside the file.
absl::Status check_layout(const std::vector<GgufTensor>& tensors, int64_t alignment,
                          int64_t data_bytes) {
  int64_t expected = 0;
  for (const GgufTensor& tensor : tensors) {
    if (tensor.offset != expected) {
      return base::data_loss("tensor '", tensor.name, "' is at offset ", tensor.offset,
                             ", expected ", expected);
    }
    if (tensor.size_bytes > data_bytes - tensor.offset) {
      return base::data_loss("truncated: tensor '", tensor.name, "' needs ", tensor.size_bytes,
                             " bytes from offset ", tensor.offset, ", the file holds ", data_bytes,
                             " bytes of data; copy or download it again");
    }
    expected = gguf_aligned(tensor.offset + tensor.size_bytes, alignment);
  }
  return absl::OkStatus();
}

struct Header {
  uint32_t version = 0;
  int64_t data_begin = 0;
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;
};

absl::StatusOr<uint32_t> read_version(Cursor& cursor) {
  FRUGAL_ASSIGN_OR_RETURN(const uint32_t magic, cursor.scalar<uint32_t>());
  if (magic != kGgufMagic)
    return base::invalid_argument("no GGUF file: it does not begin with 'GGUF'");
  FRUGAL_ASSIGN_OR_RETURN(const uint32_t version, cursor.scalar<uint32_t>());
  if ((version & 0xffffu) == 0 && version != 0) {
    return base::unimplemented("a big-endian GGUF file; only little-endian ones are read");
  }
  if (version != 2 && version != kGgufVersion) {
    return base::unimplemented("GGUF version ", version, "; versions 2 and 3 are read");
  }
  return version;
}

absl::StatusOr<Header> read_header(std::span<const std::byte> file) {
  Cursor cursor(file);
  Header header;
  FRUGAL_ASSIGN_OR_RETURN(header.version, read_version(cursor));
  FRUGAL_ASSIGN_OR_RETURN(const uint64_t tensor_count, cursor.scalar<uint64_t>());
  FRUGAL_ASSIGN_OR_RETURN(const uint64_t key_count, cursor.scalar<uint64_t>());
  if (tensor_count > cursor.remaining() / kLeastTensorBytes ||
      key_count > cursor.remaining() / kLeastValueBytes) {
    return base::data_loss("the header counts ", tensor_count, " tensors and ", key_count,
                           " keys, more than the file can hold");
  }
  for (uint64_t i = 0; i < key_count; ++i) {
    FRUGAL_ASSIGN_OR_RETURN(std::string key, cursor.string());
    absl::StatusOr<GgufValue> value = read_value(cursor);
    if (!value.ok())
      return base::annotate(value.status(), base::str_cat("key '", key.substr(0, 80), "'"));
    header.metadata.emplace_back(std::move(key), *std::move(value));
  }
  FRUGAL_RETURN_IF_ERROR(check_gguf_keys(header.metadata));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t alignment, gguf_alignment(header.metadata));
  FRUGAL_RETURN_IF_ERROR(check_gguf_tokenizer(header.metadata));
  for (uint64_t i = 0; i < tensor_count; ++i) {
    FRUGAL_ASSIGN_OR_RETURN(GgufTensor tensor, read_tensor(cursor));
    header.tensors.push_back(std::move(tensor));
  }
  FRUGAL_RETURN_IF_ERROR(check_gguf_tensor_names(header.tensors));
  header.data_begin = gguf_aligned(static_cast<int64_t>(cursor.position()), alignment);
  FRUGAL_RETURN_IF_ERROR(check_layout(header.tensors, alignment,
                                      static_cast<int64_t>(file.size()) - header.data_begin));
  return header;
}

}  // namespace

absl::StatusOr<GgufFile> GgufFile::open(const std::filesystem::path& path) {
  GgufFile result;
  FRUGAL_ASSIGN_OR_RETURN(base::MappedFile file, base::MappedFile::open(path));
  absl::StatusOr<Header> header = read_header(file.bytes());
  if (!header.ok()) {
    if (base::recognize(file.bytes()) != base::FileKind::kGguf)
      FRUGAL_RETURN_IF_ERROR(base::refuse_foreign(file.bytes(), path));
    return base::annotate(header.status(), path.string());
  }
  result.version_ = header->version;
  result.parts_.push_back({std::move(file), header->data_begin});
  result.metadata_ = std::move(header->metadata);
  result.tensors_ = std::move(header->tensors);
  for (size_t i = 0; i < result.metadata_.size(); ++i)
    result.key_index_.emplace(result.metadata_[i].first, i);
  for (size_t i = 0; i < result.tensors_.size(); ++i)
    result.tensor_index_.emplace(result.tensors_[i].name, i);
  return result;
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = key_index_.find(key);
  return found == key_index_.end() ? nullptr : &metadata_[found->second].second;
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

std::span<const std::byte> GgufFile::bytes(const GgufTensor& tensor) const {
  if (tensor.size_bytes == 0) return {};
  const Part& part = parts_[tensor.part];
  return part.file.bytes().subspan(static_cast<size_t>(part.data_begin + tensor.offset),
                                   static_cast<size_t>(tensor.size_bytes));
}

}  // namespace frugal::format
