#include "format/gguf_check.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/text.h"

namespace frugal::format {
namespace {

// ggml.h (llama.cpp v0.5.0): types that occur in files. Block sizes as in gguf 0.19's
// GGML_QUANT_SIZES, of Q2_0 as ggml's type traits have them.
constexpr std::array<GgmlType, 32> kTypes = {{
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},
    {3, "Q4_1", 32, 20},      {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},
    {8, "Q8_0", 32, 34},      {10, "Q2_K", 256, 84},    {11, "Q3_K", 256, 110},
    {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},   {14, "Q6_K", 256, 210},
    {16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74},  {18, "IQ3_XXS", 256, 98},
    {19, "IQ1_S", 256, 50},   {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},
    {22, "IQ2_S", 256, 82},   {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},
    {25, "I16", 1, 2},        {26, "I32", 1, 4},        {27, "I64", 1, 8},
    {28, "F64", 1, 8},        {29, "IQ1_M", 256, 56},   {30, "BF16", 1, 2},
    {34, "TQ1_0", 256, 54},   {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},
    {40, "NVFP4", 64, 36},    {42, "Q2_0", 64, 18},
}};

const GgufValue* find_key(const GgufMetadata& metadata, std::string_view key) {
  const auto found = std::find_if(metadata.begin(), metadata.end(),
                                  [&](const auto& item) { return item.first == key; });
  return found == metadata.end() ? nullptr : &found->second;
}

int64_t length_of(const auto&) { return -1; }
template <typename T>
int64_t length_of(const std::vector<T>& values) {
  return static_cast<int64_t>(values.size());
}

// Number of elements of an array value; -1 for scalars.
int64_t array_length(const GgufValue& value) {
  return std::visit([](const auto& held) { return length_of(held); }, value);
}

}  // namespace

absl::StatusOr<GgmlType> ggml_type(uint32_t id) {
  for (const GgmlType& type : kTypes) {
    if (type.id == id) return type;
  }
  return base::invalid_argument("tensor type ", id, " is unknown or no longer in use");
}

absl::StatusOr<GgmlType> ggml_type(std::string_view name) {
  std::vector<std::string> names;
  for (const GgmlType& type : kTypes) {
    if (type.name == name) return type;
    names.emplace_back(type.name);
  }
  return base::invalid_argument("'", name, "' is no GGUF tensor type",
                                base::suggestion(name, names));
}

absl::StatusOr<int64_t> gguf_size_bytes(const GgmlType& type, const std::vector<int64_t>& shape) {
  int64_t elements = 1;
  for (const int64_t dimension : shape) {
    if (dimension < 0 || __builtin_mul_overflow(elements, dimension, &elements)) {
      return base::invalid_argument("dimension ", dimension,
                                    " is negative, or the shape has too many elements");
    }
  }
  const int64_t columns = shape.empty() ? 1 : shape.back();
  if (columns % type.block_elements != 0) {
    return base::invalid_argument("its rows have ", columns,
                                  " elements, no multiple of the block of ", type.block_elements,
                                  " of ", type.name);
  }
  int64_t bytes = 0;
  if (__builtin_mul_overflow(elements / type.block_elements, type.block_bytes, &bytes)) {
    return base::invalid_argument("the shape has too many elements");
  }
  return bytes;
}

absl::StatusOr<int64_t> gguf_alignment(const GgufMetadata& metadata) {
  const GgufValue* value = find_key(metadata, "general.alignment");
  if (value == nullptr) return kGgufDefaultAlignment;
  const auto* alignment = std::get_if<uint32_t>(value);
  if (alignment == nullptr)
    return base::invalid_argument("'general.alignment' must be of type U32");
  if (*alignment == 0 || (*alignment & (*alignment - 1)) != 0) {
    return base::invalid_argument("'general.alignment' is ", *alignment,
                                  ", expected a power of two");
  }
  return static_cast<int64_t>(*alignment);
}

absl::Status check_gguf_keys(const GgufMetadata& metadata) {
  base::string_map<bool> seen;
  seen.reserve(metadata.size());
  for (const auto& [key, value] : metadata) {
    if (key.empty() || !base::is_valid_utf8(key))
      return base::invalid_argument("a metadata key is empty or no UTF-8");
    if (!seen.emplace(key, true).second)
      return base::invalid_argument("metadata key '", key, "' stands twice");
  }
  return absl::OkStatus();
}

absl::Status check_gguf_tensor_names(const std::vector<GgufTensor>& tensors) {
  base::string_map<bool> seen;
  seen.reserve(tensors.size());
  for (const GgufTensor& tensor : tensors) {
    if (tensor.name.empty() || tensor.name.size() > kGgufMaxNameBytes ||
        !base::is_valid_utf8(tensor.name)) {
      return base::invalid_argument("tensor name '", tensor.name.substr(0, 80), "' has ",
                                    tensor.name.size(), " bytes; expected 1 to 63 bytes of UTF-8");
    }
    if (!seen.emplace(tensor.name, true).second) {
      return base::invalid_argument("tensor '", tensor.name, "' stands twice");
    }
  }
  return absl::OkStatus();
}

absl::Status check_gguf_tokenizer(const GgufMetadata& metadata) {
  const GgufValue* tokens = find_key(metadata, "tokenizer.ggml.tokens");
  if (tokens == nullptr) return absl::OkStatus();
  const auto* pieces = std::get_if<std::vector<std::string>>(tokens);
  if (pieces == nullptr)
    return base::invalid_argument("'tokenizer.ggml.tokens' must be an array of strings");
  const auto count = static_cast<int64_t>(pieces->size());
  for (const std::string_view key : {"tokenizer.ggml.scores", "tokenizer.ggml.token_type"}) {
    const GgufValue* value = find_key(metadata, key);
    if (value == nullptr || array_length(*value) == count) continue;
    if (array_length(*value) < 0) return base::invalid_argument("'", key, "' must be an array");
    return base::invalid_argument("'", key, "' has ", array_length(*value),
                                  " entries, 'tokenizer.ggml.tokens' has ", count);
  }
  for (const auto& [key, value] : metadata) {
    if (!key.starts_with("tokenizer.ggml.") || !key.ends_with("_token_id")) continue;
    const auto* id = std::get_if<uint32_t>(&value);
    if (id == nullptr) return base::invalid_argument("'", key, "' must be of type U32");
    if (static_cast<int64_t>(*id) >= count) {
      return base::invalid_argument("'", key, "' is ", *id, ", but there are ", count, " tokens");
    }
  }
  return absl::OkStatus();
}

}  // namespace frugal::format
