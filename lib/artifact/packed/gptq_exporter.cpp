// Tested by: tests/artifact/packed_export_test.cpp
//
// A checkpoint as gptq_layout.cpp reads it, in checkpoint format gptq (v1) or gptq_v2.
#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "artifact/packed/packed_export.h"
#include "artifact/packed/words.h"
#include "base/text.h"
#include "grid/half.h"

namespace frugal::artifact {
namespace {

using base::Json;
using base::str_cat;
using format::DType;

absl::Status check_module(const ExportModule& module) {
  const PackedForm& form = *module.form;
  constexpr std::string_view kInstead = "export to compressed_tensors";
  if (form.levels != PackedLevels::kInteger)
    return base::invalid_argument("GPTQ holds integers alone; ", kInstead);
  if (module.int8_inputs) {
    return base::invalid_argument("its inputs are rounded to int8 per token, which GPTQ has no ",
                                  "words for; ", kInstead, ", or quantize with activations: none");
  }
  if (form.bits != 2 && form.bits != 3 && form.bits != 4 && form.bits != 8)
    return base::invalid_argument("GPTQ has 2, 3, 4 and 8 bits, not ", form.bits, "; ", kInstead);
  if (module.columns() * form.bits % 32 == 0 && module.rows() * form.bits % 32 == 0)
    return absl::OkStatus();
  return base::invalid_argument("GPTQ packs whole 32-bit words of rows and of columns, and codes ",
                                "of ", form.bits, " bits of a [", module.rows(), ", ",
                                module.columns(), "] fill none; ", kInstead);
}

std::vector<TensorDeclaration> declare(const PackedExportPlan&, const ExportModule& module) {
  const int64_t rows = module.rows(), columns = module.columns();
  const int64_t groups = module.form->groups_of(columns);
  const int bits = module.form->bits;
  const std::string name = module.name() + ".";
  return {{name + "qweight", DType::kI32, {words_for(columns, bits), rows}},
          {name + "qzeros", DType::kI32, {groups, words_for(rows, bits)}},
          {name + "scales", DType::kF16, {groups, rows}},
          {name + "g_idx", DType::kI32, {columns}}};
}

TensorData packed_codes(const PackedMatrix& matrix) {
  std::vector<uint8_t> codes(static_cast<size_t>(matrix.columns));
  TensorData data(static_cast<size_t>(words_for(matrix.columns, matrix.bits) * matrix.rows * 4));
  for (int64_t row = 0; row < matrix.rows; ++row) {
    matrix.read_codes(row, 1, codes.data());
    pack_words(codes.data(), 1, matrix.columns, matrix.bits, data.data() + row * 4, matrix.rows);
  }
  return data;
}

// One less in every field of a word at once, as readers of v1 add one: fields of zero points of 0
// borrow from their neighbors. Fields of 3 bits lie across words and wrap one by one.
void subtract_from_fields(TensorData& words, int bits) {
  uint32_t ones = 0;
  for (int bit = 0; bit < 32; bit += bits) ones |= uint32_t{1} << bit;
  for (size_t at = 0; at < words.size(); at += 4) {
    uint32_t word;
    std::memcpy(&word, &words[at], sizeof word);
    word -= ones;
    std::memcpy(&words[at], &word, sizeof word);
  }
}

TensorData packed_zeros(const PackedMatrix& matrix, bool first_version) {
  const int64_t groups = matrix.groups(), row_words = words_for(matrix.rows, matrix.bits);
  const auto middle = static_cast<uint8_t>(1 << (matrix.bits - 1));
  std::vector<uint8_t> zeros = matrix.zeros;
  if (zeros.empty()) zeros.assign(matrix.scales.size(), middle);
  if (first_version && matrix.bits == 3) {
    for (uint8_t& zero : zeros) zero = static_cast<uint8_t>((zero - 1) & 7);
  }
  TensorData data(static_cast<size_t>(groups * row_words * 4));
  for (int64_t group = 0; group < groups; ++group) {
    pack_words(&zeros[static_cast<size_t>(group)], groups, matrix.rows, matrix.bits,
               data.data() + group * row_words * 4, 1);
  }
  if (first_version && matrix.bits != 3) subtract_from_fields(data, matrix.bits);
  return data;
}

TensorData scales_by_group(const PackedMatrix& matrix) {
  const int64_t groups = matrix.groups();
  TensorData data(matrix.scales.size() * 2);
  for (int64_t row = 0; row < matrix.rows; ++row) {
    for (int64_t group = 0; group < groups; ++group) {
      grid::store_half(matrix.scales[static_cast<size_t>(row * groups + group)],
                       &data[static_cast<size_t>(group * matrix.rows + row) * 2]);
    }
  }
  return data;
}

TensorData group_indices(const PackedMatrix& matrix) {
  TensorData data(static_cast<size_t>(matrix.columns) * 4);
  for (int64_t column = 0; column < matrix.columns; ++column) {
    const auto group = static_cast<int32_t>(column / matrix.group);
    std::memcpy(&data[static_cast<size_t>(column) * 4], &group, sizeof group);
  }
  return data;
}

std::vector<TensorData> pack(const PackedExportPlan&, const ExportModule&,
                             const PackedMatrix& matrix, const ExportOptions& options) {
  return {packed_codes(matrix), packed_zeros(matrix, options.gptq_version == 1),
          scales_by_group(matrix), group_indices(matrix)};
}

int64_t group_size(const PackedForm& form) { return form.group == 0 ? -1 : form.group; }

std::string pattern(std::string_view sign, const std::string& module) {
  std::string text = str_cat(sign, ":^");
  for (const char c : module) text += c == '.' ? "\\." : std::string(1, c);
  return text + "$";
}

// Bits and groups of most modules; others have settings of their own.
Json settings(const PackedExportPlan& plan, const ExportOptions& options) {
  using Widths = std::pair<int, int64_t>;
  std::map<Widths, int64_t> counts;
  bool symmetric = true, head_is_packed = false;
  for (const ExportModule& module : plan.modules) {
    if (!module.form) continue;
    ++counts[{module.form->bits, group_size(*module.form)}];
    symmetric = symmetric && !module.form->zero_points;
    head_is_packed = head_is_packed || module.stored.module.role == architecture::Role::kHead;
  }
  const auto most =
      std::max_element(counts.begin(), counts.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  const auto [bits, group] = most->first;
  const std::string head = architecture::tensor_name(plan.config, architecture::Role::kHead);
  Json result = {{"quant_method", "gptq"},
                 {"bits", bits},
                 {"group_size", group},
                 {"desc_act", false},
                 {"sym", symmetric},
                 {head.substr(0, head.rfind('.')), head_is_packed},
                 {"checkpoint_format", options.gptq_version == 1 ? "gptq" : "gptq_v2"},
                 {"pack_dtype", "int32"}};
  Json dynamic = Json::object();
  for (const ExportModule& module : plan.modules) {
    if (!module.form) continue;
    const Widths own = {module.form->bits, group_size(*module.form)};
    if (own != most->first)
      dynamic[pattern("+", module.name())] = {{"bits", own.first}, {"group_size", own.second}};
  }
  for (const std::string& name : plan.plain_modules()) {
    if (!head.starts_with(name)) dynamic[pattern("-", name)] = Json::object();
  }
  if (!dynamic.empty()) result["dynamic"] = std::move(dynamic);
  return result;
}

// Zero points of 0 borrow across fields in v1 (subtract_from_fields).
void warn_of_borrowing(const format::ModelInfo& model, const ExportOptions& options,
                       std::vector<std::string>& warnings) {
  const bool asymmetric =
      std::any_of(model.grids.begin(), model.grids.end(),
                  [](const auto& entry) { return base::glob_match("*:asym", entry.second); });
  if (!asymmetric || options.gptq_version != 1) return;
  warnings.push_back(
      "GPTQ's first version stores zero points less one, and those of 0 borrow from their "
      "neighbors: GPTQModel reads them as they are, older readers do not; gptq_version: 2 has no "
      "such rule");
}

absl::Status check(const format::ModelInfo& model, const ExportOptions& options,
                   std::vector<std::string>& warnings) {
  FRUGAL_RETURN_IF_ERROR(check_packed(kGptqMethod, model, warnings));
  warn_of_borrowing(model, options, warnings);
  return absl::OkStatus();
}
absl::StatusOr<Forecast> forecast(const format::ModelInfo& model, const ExportOptions& options) {
  return packed_forecast(kGptqMethod, model, options);
}
absl::Status write(const format::Checkpoint& checkpoint, const ExportOptions& options,
                   const std::filesystem::path& path) {
  return write_packed_folder(kGptqMethod, checkpoint, options, path);
}
absl::Status read_back(const format::Checkpoint& checkpoint, const ExportOptions& options,
                       const std::filesystem::path& path) {
  return read_back_packed(kGptqMethod, checkpoint, options, path);
}

}  // namespace

constinit const PackedMethod kGptqMethod{.exporter = &kGptqExporter,
                                         .own_file = "quantize_config.json",
                                         .check = check_module,
                                         .declare = declare,
                                         .pack = pack,
                                         .settings = settings};

constinit const Exporter kGptqExporter{
    .name = "gptq",
    .suffix = "-gptq",
    .summary = "gptq is a Hugging Face folder as GPTQModel and AutoGPTQ pack it",
    .is_folder = true,
    .chosen_by_suffix = false,  // what was quantized by GPTQ is often called so
    .takes_gptq_version = true,
    .takes_shard_size = true,
    .check = check,
    .forecast = forecast,
    .write = write,
    .read_back = read_back};

}  // namespace frugal::artifact
