#include "format/dtype.h"

#include <algorithm>
#include <array>

namespace frugal::format {
namespace {

struct Row {
  DType dtype;
  std::string_view name;
  int64_t size_bytes;
};

constexpr std::array<Row, 14> kRows = {{{DType::kF32, "F32", 4},
                                        {DType::kF16, "F16", 2},
                                        {DType::kBF16, "BF16", 2},
                                        {DType::kF64, "F64", 8},
                                        {DType::kI8, "I8", 1},
                                        {DType::kU8, "U8", 1},
                                        {DType::kI16, "I16", 2},
                                        {DType::kU16, "U16", 2},
                                        {DType::kI32, "I32", 4},
                                        {DType::kU32, "U32", 4},
                                        {DType::kI64, "I64", 8},
                                        {DType::kU64, "U64", 8},
                                        {DType::kBool, "BOOL", 1},
                                        {DType::kF8E4M3, "F8_E4M3", 1}}};

// Types of the safetensors format that frugal has no use for yet.
constexpr std::array<std::string_view, 8> kForeign = {
    "F4", "F6_E2M3", "F6_E3M2", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64"};

const Row& row(DType dtype) { return kRows[static_cast<size_t>(dtype)]; }

}  // namespace

int64_t size_bytes(DType dtype) { return row(dtype).size_bytes; }

std::string_view name(DType dtype) { return row(dtype).name; }

bool is_floating(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

absl::StatusOr<DType> parse_dtype(std::string_view name) {
  const auto* found = std::find_if(kRows.begin(), kRows.end(),
                                   [&](const Row& candidate) { return candidate.name == name; });
  if (found != kRows.end()) return found->dtype;
  if (std::find(kForeign.begin(), kForeign.end(), name) != kForeign.end()) {
    return base::unimplemented("element type '", name,
                               "' is not supported; store the tensor as F32, F16 or BF16");
  }
  return base::invalid_argument("unknown element type '", name.substr(0, 40),
                                "', expected a safetensors name such as F32, BF16 or U8");
}

}  // namespace frugal::format
