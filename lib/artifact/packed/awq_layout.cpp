// Tested by: tests/artifact/packed_importer_test.cpp
//
// AWQ folders (AutoAWQ's GEMM version), of each linear module [rows, columns]:
//
//   qweight  I32 [columns, rows / 8]   4-bit codes of eight rows in a word, in the order 0, 2, 4,
//   6, qzeros   I32 [groups, rows / 8]    1, 3, 5, 7 from the low bits on; zero points likewise
//   scales   F16 [groups, rows]
#include <algorithm>

#include "artifact/packed/columns_layout.h"
#include "artifact/packed/layout.h"
#include "artifact/packed/words.h"
#include "base/text.h"

namespace frugal::artifact {
namespace {

using base::Json;
using base::str_cat;
using format::DType;

constexpr int kAwqBits = 4;
constexpr int64_t kCodesPerWord = 8;

class AwqLayout final : public Layout {
 public:
  int64_t group = 128;  // -1: a whole row
  bool zero_points = true;
  std::vector<std::string> plain;  // parts of the names of modules that stay plain
  std::string where;

  absl::StatusOr<std::optional<PackedMatrix>> find(const StoredTensors& tensors,
                                                   const PackedModule& module) const override {
    FRUGAL_ASSIGN_OR_RETURN(const bool packed, has_columns_layout(tensors, module.name));
    if (!packed) return std::nullopt;
    for (const std::string& name : plain) {
      if (module.name.find(name) == std::string::npos) continue;
      return base::invalid_argument(tensors.where(), ": '", module.name,
                                    "' is stored packed, but 'modules_to_not_convert' (", where,
                                    ") names it by '", name, "'");
    }
    PackedMatrix matrix{.rows = module.rows,
                        .columns = module.columns,
                        .bits = kAwqBits,
                        .group = group < 0 ? module.columns : std::min(group, module.columns)};
    if (module.rows % kCodesPerWord != 0) {
      return base::unimplemented(tensors.where(), ": the matrix of '", module.name, "' has ",
                                 module.rows, " rows, which fill no whole words of ", kCodesPerWord,
                                 " codes");
    }
    const int64_t words = module.rows / kCodesPerWord, groups = matrix.groups();
    const std::string name = module.name + ".";
    const std::string why =
        str_cat(group < 0 ? "whole rows" : str_cat("groups of ", group), " (", where, ")");
    FRUGAL_ASSIGN_OR_RETURN(const StoredView weights, tensors.want(name + "qweight", {DType::kI32},
                                                                   {{module.columns, words}}, why));
    FRUGAL_ASSIGN_OR_RETURN(const StoredView zeros,
                            tensors.want(name + "qzeros", {DType::kI32}, {{groups, words}}, why));
    FRUGAL_ASSIGN_OR_RETURN(const StoredView scales, tensors.want(name + "scales", kScaleTypes,
                                                                  {{groups, module.rows}}, why));
    matrix.scales = by_row(StoredTensors::floats(scales), groups, module.rows);
    matrix.zeros.resize(static_cast<size_t>(groups * module.rows));
    for (int64_t at = 0; at < groups; ++at) {
      const WordStream stream{zeros.bytes.data() + at * words * 4};
      for (int64_t row = 0; row < module.rows; ++row)
        matrix.zeros[static_cast<size_t>(row * groups + at)] = awq_code_at(stream, row);
    }
    FRUGAL_RETURN_IF_ERROR(check_zero_points(tensors, name, matrix));
    matrix.read_codes = [bytes = weights.bytes.data(), words, columns = module.columns](
                            int64_t first, int64_t count, uint8_t* codes) {
      for (int64_t row = first; row < first + count; ++row) {
        for (int64_t column = 0; column < columns; ++column)
          *codes++ = awq_code_at({bytes + column * words * 4}, row);
      }
    };
    matrix.tensors = {name + "qweight", name + "qzeros", name + "scales"};
    return matrix;
  }

 private:
  absl::Status check_zero_points(const StoredTensors& tensors, const std::string& name,
                                 const PackedMatrix& matrix) const {
    const int middle = 1 << (kAwqBits - 1);
    const auto other = std::find_if(matrix.zeros.begin(), matrix.zeros.end(),
                                    [](uint8_t zero) { return zero != middle; });
    if (zero_points || other == matrix.zeros.end()) return absl::OkStatus();
    return base::invalid_argument(tensors.where(), ": '", name, "qzeros' holds the zero point ",
                                  static_cast<int>(*other), ", but 'zero_point' is false (", where,
                                  "), which means ", middle);
  }
};

// Of two names of an option, the newer first.
template <typename T>
absl::StatusOr<T> either(const Json& config, std::string_view name, std::string_view older,
                         T fallback, std::string_view where) {
  FRUGAL_ASSIGN_OR_RETURN(const T value, base::json_get_or<T>(config, older, fallback, where));
  return base::json_get_or<T>(config, name, value, where);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Layout>> awq_layout(const Json& config, std::string_view where) {
  auto layout = std::make_unique<AwqLayout>();
  layout->where = where;
  FRUGAL_ASSIGN_OR_RETURN(const int64_t bits, either<int64_t>(config, "bits", "w_bit", 4, where));
  if (bits != kAwqBits)
    return base::unimplemented(where, ": 'bits' is ", bits, "; frugal reads AWQ of 4 bits");
  FRUGAL_ASSIGN_OR_RETURN(layout->group,
                          either<int64_t>(config, "group_size", "q_group_size", 128, where));
  if (layout->group != -1 && layout->group < 1) {
    return base::invalid_argument(where, ": 'group_size' is ", layout->group,
                                  ", expected -1 (whole rows) or a number of columns");
  }
  FRUGAL_ASSIGN_OR_RETURN(layout->zero_points,
                          base::json_get_or<bool>(config, "zero_point", true, where));
  FRUGAL_ASSIGN_OR_RETURN(
      const Json plain,
      base::json_get_or<Json>(config, "modules_to_not_convert", Json::array(), where));
  for (const Json& name : plain) {
    if (!name.is_string())
      return base::invalid_argument(where, ": 'modules_to_not_convert' is no list of names");
    layout->plain.push_back(name.get<std::string>());
  }
  FRUGAL_ASSIGN_OR_RETURN(auto version,
                          either<std::string>(config, "version", "format", "gemm", where));
  std::transform(version.begin(), version.end(), version.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (version == "gemm") return layout;
  return base::unimplemented(where, ": the version is '", version.substr(0, 40),
                             "', packed for another kernel; frugal reads 'gemm': quantize to it, "
                             "or start from the unquantized model");
}

}  // namespace frugal::artifact
