// Tested by: tests/artifact/packed_export_test.cpp
//
// A checkpoint as compressed_layout.cpp reads it: integers in pack-quantized, with inputs that are
// rounded to int8 in int-quantized, FP8 in float-quantized, FP4 in nvfp4- or mxfp4-pack-quantized.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "artifact/packed/compressed_scheme.h"
#include "artifact/packed/packed_export.h"
#include "artifact/packed/words.h"
#include "base/text.h"
#include "grid/float8.h"
#include "grid/half.h"

namespace frugal::artifact {
namespace {

using namespace compressed;
using base::Json;
using base::str_cat;
using format::DType;

CompressedScheme scheme_of(const PackedForm& form, bool int8_inputs) {
  CompressedScheme scheme{.bits = form.bits,
                          .is_float = form.levels != PackedLevels::kInteger,
                          .symmetric = !form.zero_points,
                          .spread = form.group == 0 ? ScaleSpread::kChannel : ScaleSpread::kGroup,
                          .group = form.group,
                          .int8_inputs = int8_inputs};
  if (form.levels == PackedLevels::kFloat8) scheme.format = CompressedFormat::kFloat;
  if (form.levels == PackedLevels::kFloat4)
    scheme.format = form.group == 16 ? CompressedFormat::kNvfp4 : CompressedFormat::kMxfp4;
  if (int8_inputs) scheme.format = CompressedFormat::kInteger;  // of rows, without zero points
  return scheme;
}

// All forms have a scheme.
absl::Status check_module(const ExportModule&) { return absl::OkStatus(); }

std::vector<TensorDeclaration> declare(const PackedExportPlan& plan, const ExportModule& module) {
  const int64_t rows = module.rows(), columns = module.columns();
  const int64_t groups = module.form->groups_of(columns);
  const auto called = [&](std::string_view tensor) { return str_cat(module.name(), tensor); };
  const CompressedScheme scheme = scheme_of(*module.form, module.int8_inputs);
  const TensorDeclaration scales{called(kScale), plan.scale_type(), {rows, groups}};
  if (scheme.format == CompressedFormat::kInteger)
    return {{called(kPlain), DType::kI8, {rows, columns}}, scales};
  if (scheme.format == CompressedFormat::kFloat)
    return {{called(kPlain), DType::kF8E4M3, {rows, columns}}, scales};
  const TensorDeclaration nibbles{called(kPacked), DType::kU8, {rows, columns / 2}};
  if (scheme.format == CompressedFormat::kNvfp4)
    return {nibbles,
            {called(kScale), DType::kF8E4M3, {rows, groups}},
            {called(kGlobal), DType::kF32, {1}}};
  if (scheme.format == CompressedFormat::kMxfp4)
    return {nibbles, {called(kScale), DType::kU8, {rows, groups}}};
  std::vector<TensorDeclaration> result = {
      {called(kPacked), DType::kI32, {rows, words_for(columns, scheme.bits)}},
      scales,
      {called(kShape), DType::kI64, {2}}};
  if (!scheme.symmetric)
    result.push_back({called(kZero), DType::kI32, {words_for(rows, scheme.bits), groups}});
  return result;
}

template <typename T>
TensorData bytes_of(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

TensorData scale_bytes(const PackedExportPlan& plan, const PackedMatrix& matrix) {
  if (plan.scale_type() == DType::kF32) return bytes_of(matrix.scales);
  TensorData data(matrix.scales.size() * 2);
  for (size_t i = 0; i < matrix.scales.size(); ++i)
    grid::store_half(matrix.scales[i], &data[2 * i]);
  return data;
}

std::vector<uint8_t> all_codes(const PackedMatrix& matrix) {
  std::vector<uint8_t> codes(static_cast<size_t>(matrix.rows * matrix.columns));
  matrix.read_codes(0, matrix.rows, codes.data());
  return codes;
}

TensorData packed_codes(const PackedMatrix& matrix) {
  const std::vector<uint8_t> codes = all_codes(matrix);
  const int64_t words = words_for(matrix.columns, matrix.bits);
  TensorData data(static_cast<size_t>(matrix.rows * words * 4));
  for (int64_t row = 0; row < matrix.rows; ++row) {
    pack_words(&codes[static_cast<size_t>(row * matrix.columns)], 1, matrix.columns, matrix.bits,
               data.data() + row * words * 4, 1);
  }
  return data;
}

TensorData packed_zeros(const PackedMatrix& matrix) {
  const int64_t groups = matrix.groups();
  TensorData data(static_cast<size_t>(words_for(matrix.rows, matrix.bits) * groups * 4));
  for (int64_t group = 0; group < groups; ++group) {
    pack_words(&matrix.zeros[static_cast<size_t>(group)], groups, matrix.rows, matrix.bits,
               data.data() + group * 4, groups);
  }
  return data;
}

// The earlier column in the low half.
TensorData packed_nibbles(const PackedMatrix& matrix) {
  const std::vector<uint8_t> codes = all_codes(matrix);
  TensorData data(codes.size() / 2);
  for (size_t i = 0; i < data.size(); ++i)
    data[i] = static_cast<std::byte>(codes[2 * i] | codes[2 * i + 1] << 4);
  return data;
}

// FP8 numbers times the tensor scale: E4M3's bytes.
TensorData float8_scales(const PackedMatrix& matrix) {
  TensorData data;
  for (const float scale : matrix.scales)
    data.push_back(static_cast<std::byte>(grid::float8_magnitude(scale / matrix.tensor_scale)));
  return data;
}

// Powers of two: E8M0's bytes, 0 where all is zero.
TensorData exponent_scales(const PackedMatrix& matrix) {
  TensorData data;
  for (const float scale : matrix.scales)
    data.push_back(static_cast<std::byte>(scale == 0 ? 0 : std::ilogb(scale) + 127));
  return data;
}

std::vector<TensorData> pack(const PackedExportPlan& plan, const ExportModule& module,
                             const PackedMatrix& matrix, const ExportOptions&) {
  const CompressedScheme scheme = scheme_of(*module.form, module.int8_inputs);
  if (scheme.format == CompressedFormat::kNvfp4)
    return {packed_nibbles(matrix), float8_scales(matrix),
            bytes_of(std::vector{1 / matrix.tensor_scale})};
  if (scheme.format == CompressedFormat::kMxfp4)
    return {packed_nibbles(matrix), exponent_scales(matrix)};
  TensorData scales = scale_bytes(plan, matrix);
  if (scheme.format != CompressedFormat::kPacked) {
    std::vector<uint8_t> codes = all_codes(matrix);
    if (scheme.format == CompressedFormat::kInteger) {
      for (uint8_t& code : codes) code ^= kTop;
    }
    return {bytes_of(codes), std::move(scales)};
  }
  std::vector<TensorData> result = {packed_codes(matrix), std::move(scales),
                                    bytes_of(std::vector{matrix.rows, matrix.columns})};
  if (!scheme.symmetric) result.push_back(packed_zeros(matrix));
  return result;
}

// Modules that are packed alike.
struct Group {
  CompressedScheme scheme;
  std::vector<std::string> modules;
};

std::vector<Group> groups_of(const PackedExportPlan& plan) {
  std::vector<Group> groups;
  for (const ExportModule& module : plan.modules) {
    if (!module.form) continue;
    CompressedScheme scheme = scheme_of(*module.form, module.int8_inputs);
    const auto known = std::find_if(groups.begin(), groups.end(), [&](const Group& group) {
      return group.scheme.text() == scheme.text() && group.scheme.int8_inputs == scheme.int8_inputs;
    });
    if (known != groups.end()) {
      known->modules.push_back(module.name());
    } else {
      groups.push_back({std::move(scheme), {module.name()}});
    }
  }
  return groups;
}

// One group is all linear modules but the ignored ones; of several each names its own.
Json settings(const PackedExportPlan& plan, const ExportOptions&) {
  const std::vector<Group> groups = groups_of(plan);
  Json config_groups = Json::object();
  bool one_format = true;
  for (size_t i = 0; i < groups.size(); ++i) {
    const std::vector<std::string> all = {"Linear"};
    config_groups[str_cat("group_", i)] =
        to_json(groups[i].scheme, groups.size() == 1 ? all : groups[i].modules);
    one_format = one_format && groups[i].scheme.format == groups[0].scheme.format;
  }
  return {{"quant_method", "compressed-tensors"},
          {"format", one_format ? name(groups[0].scheme.format) : "mixed-precision"},
          {"quantization_status", "compressed"},
          {"ignore", plan.plain_modules()},
          {"config_groups", std::move(config_groups)},
          {"kv_cache_scheme", nullptr}};
}

absl::Status check(const format::ModelInfo& model, const ExportOptions&,
                   std::vector<std::string>& warnings) {
  return check_packed(kCompressedTensorsMethod, model, warnings);
}
absl::StatusOr<Forecast> forecast(const format::ModelInfo& model, const ExportOptions& options) {
  return packed_forecast(kCompressedTensorsMethod, model, options);
}
absl::Status write(const format::Checkpoint& checkpoint, const ExportOptions& options,
                   const std::filesystem::path& path) {
  return write_packed_folder(kCompressedTensorsMethod, checkpoint, options, path);
}
absl::Status read_back(const format::Checkpoint& checkpoint, const ExportOptions& options,
                       const std::filesystem::path& path) {
  return read_back_packed(kCompressedTensorsMethod, checkpoint, options, path);
}

}  // namespace

constinit const PackedMethod kCompressedTensorsMethod{.exporter = &kCompressedTensorsExporter,
                                                      .check = check_module,
                                                      .declare = declare,
                                                      .pack = pack,
                                                      .settings = settings};

constinit const Exporter kCompressedTensorsExporter{
    .name = "compressed_tensors",
    .suffix = "-compressed-tensors",
    .summary =
        "compressed_tensors is a Hugging Face folder with packed codes for vLLM and "
        "transformers",
    .is_folder = true,
    .chosen_by_suffix = true,
    .takes_shard_size = true,
    .check = check,
    .forecast = forecast,
    .write = write,
    .read_back = read_back};

}  // namespace frugal::artifact
