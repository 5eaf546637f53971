// Tested by: tests/artifact/packed_importer_test.cpp
//
// compressed-tensors folders (llm-compressor), of each module [rows, columns]:
//
//   pack-quantized        weight_packed I32 [rows, columns * bits / 32], along the columns;
//                         weight_zero_point I32 [rows * bits / 32, groups], along the rows;
//                         weight_shape I64 [2]; codes and zero points hold value + 2^(bits - 1)
//   int-quantized         weight I8 [rows, columns], weight_zero_point I8 [rows, groups]
//   float-quantized       weight F8_E4M3 [rows, columns]
//   nvfp4-pack-quantized  weight_packed U8 [rows, columns / 2], the earlier column in the low half;
//                         weight_scale F8_E4M3 [rows, groups], over weight_global_scale F32 [1]
//   mxfp4-pack-quantized  weight_packed likewise; weight_scale U8 [rows, groups], 2^(byte - 127)
//
//   weight_scale of the others: F16, BF16 or F32, [rows, groups] of columns, [rows, 1], [1], or one
//   for each block; weight_g_idx I32 [columns] where columns are in groups of another order.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "artifact/packed/columns_layout.h"
#include "artifact/packed/compressed_scheme.h"
#include "artifact/packed/layout.h"
#include "artifact/packed/words.h"
#include "base/text.h"
#include "grid/float8.h"

namespace frugal::artifact {
namespace {

using base::str_cat;
using format::DType;

using namespace compressed;

// Of inputs whose rounding is not carried over.
constexpr std::array<std::string_view, 3> kInputs = {".input_scale", ".input_zero_point",
                                                     ".input_global_scale"};

std::string joined(const PackedModule& module, std::string_view tensor) {
  return str_cat(module.name, tensor);
}

// One matrix on its way in.
struct Reading {
  const StoredTensors& tensors;
  const PackedModule& module;
  const CompressedScheme& scheme;
  PackedMatrix matrix = {};

  std::string why() const { return scheme.text(); }
  absl::StatusOr<StoredView> want(std::string_view tensor, std::initializer_list<DType> types,
                                  const std::vector<std::vector<int64_t>>& shapes) {
    matrix.tensors.push_back(joined(module, tensor));
    return tensors.want(joined(module, tensor), types, shapes, why());
  }
};

absl::Status read_packed_codes(Reading& at) {
  const int64_t words = words_for(at.matrix.columns, at.matrix.bits);
  FRUGAL_ASSIGN_OR_RETURN(const StoredView view,
                          at.want(kPacked, {DType::kI32}, {{at.matrix.rows, words}}));
  FRUGAL_ASSIGN_OR_RETURN(const StoredView shape, at.want(kShape, {DType::kI64}, {{2}}));
  std::array<int64_t, 2> said = {};
  std::memcpy(said.data(), shape.bytes.data(), sizeof said);
  if (said[0] != at.matrix.rows || said[1] != at.matrix.columns) {
    return base::invalid_argument(at.tensors.where(), ": '", shape.info->name, "' says [", said[0],
                                  ", ", said[1], "], but the config demands [", at.matrix.rows,
                                  ", ", at.matrix.columns, "]");
  }
  at.matrix.read_codes = [bytes = view.bytes.data(), words, bits = at.matrix.bits,
                          columns = at.matrix.columns](int64_t first, int64_t count,
                                                       uint8_t* codes) {
    for (int64_t row = first; row < first + count; ++row) {
      const WordStream stream{bytes + row * words * 4};
      for (int64_t column = 0; column < columns; ++column) *codes++ = code_at(stream, column, bits);
    }
  };
  return absl::OkStatus();
}

// `flipped` is added to each byte without carry: kTop for int8.
absl::Status read_byte_codes(Reading& at, DType type, uint8_t flipped) {
  FRUGAL_ASSIGN_OR_RETURN(const StoredView view,
                          at.want(kPlain, {type}, {{at.matrix.rows, at.matrix.columns}}));
  at.matrix.read_codes = [bytes = view.bytes.data(), flipped, columns = at.matrix.columns](
                             int64_t first, int64_t count, uint8_t* codes) {
    for (int64_t i = first * columns; i < (first + count) * columns; ++i)
      *codes++ = static_cast<uint8_t>(bytes[i]) ^ flipped;
  };
  return absl::OkStatus();
}

absl::Status read_nibble_codes(Reading& at) {
  if (at.matrix.columns % 2 != 0)
    return base::invalid_argument(at.tensors.where(), ": the matrix of '", at.module.name, "' has ",
                                  at.matrix.columns, " columns, which fill no whole bytes");
  FRUGAL_ASSIGN_OR_RETURN(
      const StoredView view,
      at.want(kPacked, {DType::kU8}, {{at.matrix.rows, at.matrix.columns / 2}}));
  at.matrix.read_codes = [bytes = view.bytes.data(), columns = at.matrix.columns](
                             int64_t first, int64_t count, uint8_t* codes) {
    for (int64_t i = first * columns; i < (first + count) * columns; ++i)
      *codes++ = (static_cast<uint8_t>(bytes[i / 2]) >> (i % 2 * 4)) & 15u;
  };
  return absl::OkStatus();
}

absl::Status read_codes(Reading& at) {
  switch (at.scheme.format) {
    case CompressedFormat::kPacked:
      return read_packed_codes(at);
    case CompressedFormat::kInteger:
      return read_byte_codes(at, DType::kI8, kTop);
    case CompressedFormat::kFloat:
      at.matrix.levels = PackedLevels::kFloat8;
      return read_byte_codes(at, DType::kF8E4M3, 0);
    case CompressedFormat::kNvfp4:
    case CompressedFormat::kMxfp4:
      at.matrix.levels = PackedLevels::kFloat4;
      return read_nibble_codes(at);
  }
  return absl::OkStatus();
}

// [rows, groups] of scales that fewer than all rows or groups may have of their own.
absl::Status read_scales(Reading& at) {
  PackedMatrix& matrix = at.matrix;
  const int64_t groups = matrix.groups();
  std::vector<std::vector<int64_t>> shapes;
  int64_t rows_each = 1;
  switch (at.scheme.spread) {
    case ScaleSpread::kTensor:
      shapes = {{1}, {}, {1, 1}};
      rows_each = matrix.rows;
      break;
    case ScaleSpread::kChannel:
      shapes = {{matrix.rows, 1}, {matrix.rows}};
      break;
    case ScaleSpread::kGroup:
      shapes = {{matrix.rows, groups}};
      break;
    case ScaleSpread::kBlock:
      rows_each = at.scheme.block_rows;
      shapes = {{(matrix.rows + rows_each - 1) / rows_each, groups}};
      break;
  }
  FRUGAL_ASSIGN_OR_RETURN(const StoredView view, at.want(kScale, kScaleTypes, shapes));
  const std::vector<float> stored = StoredTensors::floats(view);
  matrix.scales.resize(static_cast<size_t>(matrix.rows * groups));
  for (int64_t row = 0; row < matrix.rows; ++row) {
    for (int64_t group = 0; group < groups; ++group)
      matrix.scales[static_cast<size_t>(row * groups + group)] =
          stored[static_cast<size_t>(row / rows_each * groups + group)];
  }
  return absl::OkStatus();
}

// FP8 scales of groups over one of the matrix.
absl::Status read_scales_of_scales(Reading& at) {
  PackedMatrix& matrix = at.matrix;
  FRUGAL_ASSIGN_OR_RETURN(const StoredView whole, at.want(kGlobal, {DType::kF32}, {{1}, {}}));
  const float global = StoredTensors::floats(whole).front();
  if (!(global > 0) || !std::isfinite(global)) {
    return base::data_loss(at.tensors.where(), ": '", whole.info->name, "' is ",
                           std::to_string(global), ", expected a positive, finite number");
  }
  FRUGAL_ASSIGN_OR_RETURN(const StoredView view,
                          at.want(kScale, {DType::kF8E4M3}, {{matrix.rows, matrix.groups()}}));
  for (const std::byte byte : view.bytes) {
    const int code = static_cast<int>(byte), magnitude = code & 0x7f;
    if (magnitude == 0x7f)
      return base::data_loss(at.tensors.where(), ": '", view.info->name, "' holds NaN");
    const float size = grid::float8_magnitude_value(magnitude) / global;
    matrix.scales.push_back((code & kTop) != 0 ? -size : size);
  }
  matrix.tensor_scale = 1 / global;
  return absl::OkStatus();
}

// Powers of two.
absl::Status read_exponents(Reading& at) {
  constexpr int kNone = 0xff, kBias = 127;
  PackedMatrix& matrix = at.matrix;
  FRUGAL_ASSIGN_OR_RETURN(const StoredView view,
                          at.want(kScale, {DType::kU8}, {{matrix.rows, matrix.groups()}}));
  for (const std::byte byte : view.bytes) {
    const int exponent = static_cast<int>(byte);
    if (exponent == kNone)
      return base::data_loss(at.tensors.where(), ": '", view.info->name, "' holds NaN");
    // 2^-127 is what zeros have: no product with it is seen in fp32.
    matrix.scales.push_back(exponent == 0 ? 0.0f : std::ldexp(1.0f, exponent - kBias));
  }
  return absl::OkStatus();
}

absl::Status read_any_scales(Reading& at) {
  if (at.scheme.format == CompressedFormat::kNvfp4) return read_scales_of_scales(at);
  return at.scheme.format == CompressedFormat::kMxfp4 ? read_exponents(at) : read_scales(at);
}

// Symmetric files of older writers have zero points all the same: zeros.
absl::Status refuse_stored_zeros(Reading& at) {
  const std::string name = joined(at.module, kZero);
  if (!at.tensors.has(name)) return absl::OkStatus();
  at.matrix.tensors.push_back(name);
  const StoredView view = at.tensors.view(name);
  const bool none = std::all_of(view.bytes.begin(), view.bytes.end(),
                                [](std::byte byte) { return byte == std::byte{0}; });
  if (none) return absl::OkStatus();
  return base::invalid_argument(at.tensors.where(), ": '", name,
                                "' holds zero points, but the config says ", at.why());
}

absl::Status read_zeros(Reading& at) {
  if (at.scheme.symmetric) return refuse_stored_zeros(at);
  PackedMatrix& matrix = at.matrix;
  const int64_t groups = matrix.groups(), rows = matrix.rows;
  matrix.zeros.resize(static_cast<size_t>(rows * groups));
  if (at.scheme.format == CompressedFormat::kInteger) {
    if (at.scheme.spread == ScaleSpread::kBlock || at.scheme.spread == ScaleSpread::kTensor)
      return base::unimplemented(at.tensors.where(), ": '", at.module.name, "' is ", at.why(),
                                 "; frugal reads zero points of rows and of groups");
    std::vector<std::vector<int64_t>> shapes = {{rows, groups}};
    if (groups == 1) shapes.push_back({rows});
    FRUGAL_ASSIGN_OR_RETURN(const StoredView view, at.want(kZero, {DType::kI8}, shapes));
    for (size_t i = 0; i < matrix.zeros.size(); ++i)
      matrix.zeros[i] = static_cast<uint8_t>(view.bytes[i]) ^ kTop;
    return absl::OkStatus();
  }
  FRUGAL_ASSIGN_OR_RETURN(const StoredView view,
                          at.want(kZero, {DType::kI32}, {{words_for(rows, matrix.bits), groups}}));
  for (int64_t group = 0; group < groups; ++group) {
    const WordStream stream{view.bytes.data() + group * 4, groups};
    for (int64_t row = 0; row < rows; ++row)
      matrix.zeros[static_cast<size_t>(row * groups + group)] = code_at(stream, row, matrix.bits);
  }
  return absl::OkStatus();
}

absl::Status read_order(Reading& at) {
  if (!at.scheme.ordered && !at.tensors.has(joined(at.module, kOrder))) return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(const StoredView view,
                          at.want(kOrder, {DType::kI32}, {{at.matrix.columns}}));
  // Minus one everywhere: an order that was never given.
  const bool unset = std::all_of(view.bytes.begin(), view.bytes.end(),
                                 [](std::byte byte) { return byte == std::byte{0xff}; });
  if (unset && !at.scheme.ordered) return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(at.matrix.group_of, read_group_indices(at.tensors, view, at.matrix));
  return absl::OkStatus();
}

class CompressedLayout final : public Layout {
 public:
  explicit CompressedLayout(CompressedSchemes schemes, std::string_view where)
      : schemes_(std::move(schemes)), where_(where) {}

  absl::StatusOr<std::optional<PackedMatrix>> find(const StoredTensors& tensors,
                                                   const PackedModule& module) const override {
    FRUGAL_ASSIGN_OR_RETURN(const CompressedScheme* scheme, scheme_of(module));
    FRUGAL_ASSIGN_OR_RETURN(const bool packed, is_packed(tensors, module, scheme));
    if (!packed) return std::nullopt;
    Reading at{tensors, module, *scheme};
    at.matrix.rows = module.rows;
    at.matrix.columns = module.columns;
    at.matrix.bits = scheme->bits;
    const bool grouped =
        scheme->spread == ScaleSpread::kGroup || scheme->spread == ScaleSpread::kBlock;
    at.matrix.group = grouped ? std::min(scheme->group, module.columns) : module.columns;
    at.matrix.int8_inputs = scheme->int8_inputs;
    FRUGAL_RETURN_IF_ERROR(read_codes(at));
    FRUGAL_RETURN_IF_ERROR(read_any_scales(at));
    FRUGAL_RETURN_IF_ERROR(read_zeros(at));
    FRUGAL_RETURN_IF_ERROR(read_order(at));
    for (const std::string_view input : kInputs) at.matrix.tensors.push_back(joined(module, input));
    return std::move(at.matrix);
  }

  std::string not_carried() const override {
    std::vector<std::string> kinds;
    for (const CompressedScheme& scheme : schemes_.groups) {
      if (!scheme.inputs.empty()) kinds.push_back(scheme.inputs);
    }
    return kinds.empty() ? ""
                         : str_cat("inputs stay as they are, though the folder rounds them (",
                                   base::join(kinds, ", "), ")");
  }

 private:
  // Null: no group names the module, or it is ignored.
  absl::StatusOr<const CompressedScheme*> scheme_of(const PackedModule& module) const {
    const std::string_view module_class =
        module.role == architecture::Role::kEmbedding ? "Embedding" : "Linear";
    const auto names = [&](const ModuleTargets& targets) -> absl::StatusOr<bool> {
      auto found = targets.names(module.name, module_class);
      if (!found.ok()) return base::annotate(found.status(), where_);
      return found;
    };
    FRUGAL_ASSIGN_OR_RETURN(const bool ignored, names(schemes_.ignored));
    if (ignored) return nullptr;
    for (const CompressedScheme& scheme : schemes_.groups) {
      FRUGAL_ASSIGN_OR_RETURN(const bool targeted, names(scheme.targets));
      if (targeted) return &scheme;
    }
    return nullptr;
  }

  // Whether the files have the module packed, which the config must say, too.
  absl::StatusOr<bool> is_packed(const StoredTensors& tensors, const PackedModule& module,
                                 const CompressedScheme* scheme) const {
    const std::string packed = joined(module, kPacked), plain = joined(module, kPlain);
    const format::TensorInfo* weight = tensors.find(plain);
    if (tensors.has(packed) && weight != nullptr) {
      return base::invalid_argument(tensors.where(), ": both '", packed, "' and '", plain,
                                    "' are stored; remove the one that is out of date");
    }
    const bool found = tensors.has(packed) || tensors.has(joined(module, kScale)) ||
                       (weight != nullptr && !format::is_floating(weight->dtype));
    if (found && scheme == nullptr) {
      return base::invalid_argument(tensors.where(), ": '", module.name, "' is stored packed, but ",
                                    where_,
                                    " ignores it or has no group with a target that names it");
    }
    // A router is no module of the class in newer files, whatever its name.
    const bool strict = module.role != architecture::Role::kRouter;
    if (!found && scheme != nullptr && weight != nullptr && strict) {
      return base::invalid_argument(tensors.where(), ": '", plain, "' is plain ",
                                    format::name(weight->dtype), ", but ", where_, " has it in '",
                                    scheme->name, "'; name it under 'ignore' if it is meant so");
    }
    return found;
  }

  CompressedSchemes schemes_;
  std::string where_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Layout>> compressed_tensors_layout(const base::Json& config,
                                                                  std::string_view where) {
  FRUGAL_ASSIGN_OR_RETURN(CompressedSchemes schemes, parse_compressed_schemes(config, where));
  return std::make_unique<CompressedLayout>(std::move(schemes), where);
}

}  // namespace frugal::artifact
