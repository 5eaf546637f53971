#include "format/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "base/file_kind.h"
#include "base/json.h"

namespace frugal::format {
namespace {

static_assert(std::endian::native == std::endian::little, "file formats are read in place");

constexpr int64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference's bound
constexpr std::string_view kMetadataKey = "__metadata__";

// Elements times element size. Errors: overflow of int64.
absl::StatusOr<int64_t> byte_count(const std::vector<int64_t>& shape, DType dtype) {
  int64_t bytes = size_bytes(dtype);
  for (const int64_t dimension : shape) {
    if (dimension < 0) return base::invalid_argument("dimension ", dimension, " is negative");
    if (__builtin_mul_overflow(bytes, dimension, &bytes)) {
      return base::invalid_argument("the shape has too many elements");
    }
  }
  return bytes;
}

absl::StatusOr<std::vector<int64_t>> integers(const base::Json& entry, std::string_view key) {
  const auto found = entry.find(std::string(key));
  if (found == entry.end() || !found->is_array()) {
    return base::invalid_argument("'", key, "' is missing or no array");
  }
  std::vector<int64_t> values;
  values.reserve(found->size());
  for (const base::Json& element : *found) {
    if (!element.is_number_unsigned() ||
        element.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return base::invalid_argument("'", key, "' holds ",
                                    element.is_number() ? element.dump() : "no number",
                                    ", expected non-negative integers");
    }
    values.push_back(element.get<int64_t>());
  }
  return values;
}

absl::StatusOr<TensorInfo> parse_entry(std::string_view name, const base::Json& entry) {
  if (!entry.is_object()) return base::invalid_argument("the entry is no object");
  if (entry.size() != 3) {
    return base::invalid_argument("the entry has ", entry.size(),
                                  " members, expected dtype, shape and data_offsets");
  }
  TensorInfo info;
  info.name = std::string(name);
  FRUGAL_ASSIGN_OR_RETURN(const std::string dtype,
                          base::json_get<std::string>(entry, "dtype", "entry"));
  FRUGAL_ASSIGN_OR_RETURN(info.dtype, parse_dtype(dtype));
  FRUGAL_ASSIGN_OR_RETURN(info.shape, integers(entry, "shape"));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<int64_t> offsets, integers(entry, "data_offsets"));
  if (offsets.size() != 2 || offsets[1] < offsets[0]) {
    return base::invalid_argument("data_offsets must be [begin, end] with begin <= end");
  }
  info.offset = offsets[0];
  info.size_bytes = offsets[1] - offsets[0];
  FRUGAL_ASSIGN_OR_RETURN(const int64_t expected, byte_count(info.shape, info.dtype));
  if (expected != info.size_bytes) {
    return base::invalid_argument("data_offsets span ", info.size_bytes,
                                  " bytes, but its shape and dtype need ", expected);
  }
  return info;
}

absl::Status parse_metadata(const base::Json& json, std::map<std::string, std::string>& out) {
  if (!json.is_object()) return base::invalid_argument("'__metadata__' is no object");
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) {
      return base::invalid_argument("'__metadata__' entry '", key, "' is no string");
    }
    out[key] = value.get<std::string>();
  }
  return absl::OkStatus();
}

// The tensors' ranges tile [0, data_bytes) without gap or overlap.
absl::Status check_tiling(const std::map<std::string, TensorInfo, std::less<>>& tensors,
                          int64_t data_bytes) {
  std::vector<const TensorInfo*> sorted;
  sorted.reserve(tensors.size());
  for (const auto& [name, info] : tensors) sorted.push_back(&info);
  std::sort(sorted.begin(), sorted.end(), [](const TensorInfo* a, const TensorInfo* b) {
    return std::pair(a->offset, a->size_bytes) < std::pair(b->offset, b->size_bytes);
  });
  int64_t expected = 0;
  for (const TensorInfo* info : sorted) {
    if (info->offset != expected) {
      return base::data_loss("tensor '", info->name, "' begins at byte ", info->offset,
                             " of the data, expected ", expected, " (gap or overlap)");
    }
    expected += info->size_bytes;  // no overflow: each end was read as an int64
  }
  if (expected > data_bytes) {
    return base::data_loss("truncated: the tensors need ", expected,
                           " bytes of data, the file holds ", data_bytes,
                           "; copy or download it again");
  }
  if (expected < data_bytes) {
    return base::data_loss("the file has ", data_bytes - expected, " bytes behind the last tensor");
  }
  return absl::OkStatus();
}

struct Header {
  int64_t data_begin = 0;
  std::map<std::string, TensorInfo, std::less<>> tensors;
  std::map<std::string, std::string> metadata;
};

absl::StatusOr<Header> parse_header(std::span<const std::byte> file) {
  if (file.size() < kLengthBytes) {
    return base::data_loss("truncated: ", file.size(), " bytes, a safetensors file has at least 8");
  }
  uint64_t header_bytes;
  std::memcpy(&header_bytes, file.data(), sizeof(header_bytes));
  if (header_bytes > kMaxHeaderBytes) {
    return base::invalid_argument("no safetensors file: its header would have ", header_bytes,
                                  " bytes, at most 100,000,000 are allowed");
  }
  if (header_bytes > file.size() - kLengthBytes) {
    return base::data_loss("truncated: the header has ", header_bytes, " bytes, the file ",
                           file.size());
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes,
                              header_bytes);
  FRUGAL_ASSIGN_OR_RETURN(const base::Json json, base::parse_json(text, "header"));
  if (!json.is_object()) return base::invalid_argument("the header is no JSON object");
  Header header;
  header.data_begin = kLengthBytes + static_cast<int64_t>(header_bytes);
  for (const auto& [name, entry] : json.items()) {
    if (name == kMetadataKey) {
      FRUGAL_RETURN_IF_ERROR(parse_metadata(entry, header.metadata));
      continue;
    }
    absl::StatusOr<TensorInfo> info = parse_entry(name, entry);
    if (!info.ok()) return base::annotate(info.status(), base::str_cat("tensor '", name, "'"));
    header.tensors.emplace(name, *std::move(info));
  }
  FRUGAL_RETURN_IF_ERROR(
      check_tiling(header.tensors, static_cast<int64_t>(file.size()) - header.data_begin));
  return header;
}

std::string header_text(const std::vector<TensorInfo>& infos,
                        const std::map<std::string, std::string>& metadata) {
  base::Json header = base::Json::object();
  if (!metadata.empty()) header[std::string(kMetadataKey)] = metadata;
  base::Json::object_t& members = header.get_ref<base::Json::object_t&>();
  for (const TensorInfo& info : infos) {
    base::Json entry;
    entry["dtype"] = std::string(name(info.dtype));
    entry["shape"] = info.shape;
    entry["data_offsets"] = {info.offset, info.offset + info.size_bytes};
    members.Container::emplace_back(info.name, std::move(entry));  // names are unique
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

// Keeps every tensor aligned to its element size without gaps: sizes that are no multiple of 8 go
// last, widest first.
void order_for_alignment(std::vector<TensorInfo>& infos) {
  const auto odd = std::stable_partition(
      infos.begin(), infos.end(), [](const TensorInfo& info) { return info.size_bytes % 8 == 0; });
  std::stable_sort(odd, infos.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return size_bytes(a.dtype) > size_bytes(b.dtype);
  });
}

absl::Status check_names(const std::vector<TensorInfo>& infos) {
  std::vector<std::string_view> names;
  for (const TensorInfo& info : infos) {
    if (info.name == kMetadataKey || !base::is_valid_utf8(info.name)) {
      return base::invalid_argument("'", info.name,
                                    "' cannot be the name of a tensor in a safetensors file");
    }
    names.push_back(info.name);
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return absl::OkStatus();
  return base::invalid_argument("tensor '", *twice, "' is declared twice");
}

}  // namespace

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += base::str_cat(i == 0 ? "" : ", ", shape[i]);
  return text + "]";
}

int64_t TensorInfo::element_count() const { return size_bytes / format::size_bytes(dtype); }

absl::StatusOr<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  SafetensorsFile result;
  FRUGAL_ASSIGN_OR_RETURN(result.file_, base::MappedFile::open(path));
  absl::StatusOr<Header> header = parse_header(result.file_.bytes());
  if (!header.ok()) {
    if (base::recognize(result.file_.bytes()) != base::FileKind::kSafetensors)
      FRUGAL_RETURN_IF_ERROR(base::refuse_foreign(result.file_.bytes(), path));
    return base::annotate(header.status(), path.string());
  }
  result.data_begin_ = header->data_begin;
  result.tensors_ = std::move(header->tensors);
  result.metadata_ = std::move(header->metadata);
  return result;
}

std::span<const std::byte> SafetensorsFile::bytes(const TensorInfo& tensor) const {
  return file_.bytes().subspan(static_cast<size_t>(data_begin_ + tensor.offset),
                               static_cast<size_t>(tensor.size_bytes));
}

SafetensorsWriter::SafetensorsWriter(base::AtomicFile file, std::vector<TensorInfo> infos)
    : file_(std::move(file)), infos_(std::move(infos)) {}

absl::StatusOr<SafetensorsWriter> SafetensorsWriter::create(
    const std::filesystem::path& path, std::vector<Declaration> tensors,
    const std::map<std::string, std::string>& metadata) {
  std::vector<TensorInfo> infos;
  infos.reserve(tensors.size());
  for (Declaration& declared : tensors) {
    absl::StatusOr<int64_t> bytes = byte_count(declared.shape, declared.dtype);
    if (!bytes.ok())
      return base::annotate(bytes.status(), base::str_cat("tensor '", declared.name, "'"));
    infos.push_back(
        {std::move(declared.name), declared.dtype, std::move(declared.shape), 0, *bytes});
  }
  FRUGAL_RETURN_IF_ERROR(check_names(infos));
  order_for_alignment(infos);
  int64_t offset = 0;
  for (TensorInfo& info : infos) {
    info.offset = offset;
    if (__builtin_add_overflow(offset, info.size_bytes, &offset)) {
      return base::invalid_argument(path.string(), ": the tensors are too large for one file");
    }
  }
  const std::string header = header_text(infos, metadata);
  if (header.size() > kMaxHeaderBytes) {
    return base::invalid_argument(path.string(), ": a header of ", header.size(),
                                  " bytes exceeds the format's bound");
  }
  FRUGAL_ASSIGN_OR_RETURN(base::AtomicFile file, base::AtomicFile::create(path));
  const uint64_t length = header.size();
  FRUGAL_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(&length, 1))));
  FRUGAL_RETURN_IF_ERROR(file.write(header));
  return SafetensorsWriter(std::move(file), std::move(infos));
}

absl::Status SafetensorsWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  if (next_ == infos_.size()) {
    return base::internal("tensor '", name, "' was not declared: all ", infos_.size(),
                          " are written");
  }
  const TensorInfo& expected = infos_[next_];
  if (expected.name != name) {
    return base::internal("tensor '", name, "' came where '", expected.name, "' was declared");
  }
  if (static_cast<int64_t>(bytes.size()) != expected.size_bytes) {
    return base::invalid_argument("tensor '", name, "' has ", bytes.size(),
                                  " bytes, its declaration needs ", expected.size_bytes);
  }
  FRUGAL_RETURN_IF_ERROR(file_.write(bytes));
  ++next_;
  return absl::OkStatus();
}

absl::Status SafetensorsWriter::commit() {
  if (next_ != infos_.size()) {
    return base::internal("tensor '", infos_[next_].name, "' was declared but never written");
  }
  return file_.commit();
}

}  // namespace frugal::format
