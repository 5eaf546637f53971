// Tested by: tests/artifact/packed_importer_test.cpp
//
// GPTQ folders (AutoGPTQ, GPTQModel, auto-round), of each linear module [rows, columns]:
//
//   qweight  I32 [columns * bits / 32, rows]   codes, packed along the columns
//   qzeros   I32 [groups, rows * bits / 32]    zero points, packed along the rows
//   scales   F16 [groups, rows]
//   g_idx    I32 [columns]                     the group of each column
//
// Checkpoint format "gptq" (v1) holds zero points less one, "gptq_v2" as they are. Readers of v1
// add one to every field of a word at once, so that what was borrowed across fields comes back
// (GPTQModel, utils/model.py); with 3 bits, where fields lie across words, field by field.
#include <algorithm>
#include <array>

#include "artifact/packed/columns_layout.h"
#include "artifact/packed/layout.h"
#include "artifact/packed/words.h"
#include "base/text.h"

namespace frugal::artifact {
namespace {

using base::Json;
using base::str_cat;
using format::DType;

struct Scheme {
  int bits = 4;
  int64_t group = 128;  // -1: a whole row
  int64_t group_of(int64_t columns) const { return group < 0 ? columns : std::min(group, columns); }
  std::string text() const {
    return str_cat(bits, " bits, ", group < 0 ? "whole rows" : str_cat("groups of ", group));
  }
};

constexpr std::array<int, 4> kBits = {2, 3, 4, 8};

std::string part(const PackedModule& module, std::string_view tensor) {
  return str_cat(module.name, ".", tensor);
}

class GptqLayout final : public Layout {
 public:
  std::vector<Scheme> schemes;  // what the config says first, then what it says of some modules
  bool symmetric = false;       // what the config promises
  bool ordered = false;         // desc_act
  bool first_version = true;
  std::string where;

  absl::StatusOr<std::optional<PackedMatrix>> find(const StoredTensors& tensors,
                                                   const PackedModule& module) const override {
    FRUGAL_ASSIGN_OR_RETURN(const bool packed, has_columns_layout(tensors, module.name));
    if (!packed) return std::nullopt;
    FRUGAL_ASSIGN_OR_RETURN(const Scheme scheme, scheme_of(tensors, module));
    const int64_t group = scheme.group_of(module.columns);
    PackedMatrix matrix{
        .rows = module.rows, .columns = module.columns, .bits = scheme.bits, .group = group};
    const int64_t groups = matrix.groups();
    const std::string why = str_cat(scheme.text(), " (", where, ")");
    FRUGAL_ASSIGN_OR_RETURN(
        const StoredView weights,
        tensors.want(part(module, "qweight"), {DType::kI32},
                     {{words_for(module.columns, scheme.bits), module.rows}}, why));
    FRUGAL_ASSIGN_OR_RETURN(const StoredView zeros,
                            tensors.want(part(module, "qzeros"), {DType::kI32},
                                         {{groups, words_for(module.rows, scheme.bits)}}, why));
    FRUGAL_ASSIGN_OR_RETURN(
        const StoredView scales,
        tensors.want(part(module, "scales"), kScaleTypes, {{groups, module.rows}}, why));
    matrix.scales = by_row(StoredTensors::floats(scales), groups, module.rows);
    matrix.zeros = read_zeros(zeros, scheme.bits, groups, module.rows);
    FRUGAL_RETURN_IF_ERROR(check_symmetric(tensors, module, matrix));
    FRUGAL_RETURN_IF_ERROR(read_order(tensors, module, matrix));
    matrix.read_codes = [bytes = weights.bytes.data(), bits = scheme.bits, rows = module.rows,
                         columns = module.columns](int64_t first, int64_t count, uint8_t* codes) {
      for (int64_t row = first; row < first + count; ++row) {
        const WordStream stream{bytes + row * 4, rows};
        for (int64_t column = 0; column < columns; ++column)
          *codes++ = code_at(stream, column, bits);
      }
    };
    matrix.tensors = {part(module, "qweight"), part(module, "qzeros"), part(module, "scales"),
                      part(module, "g_idx")};
    return matrix;
  }

 private:
  // Where some modules have settings of their own, their shapes say which.
  absl::StatusOr<Scheme> scheme_of(const StoredTensors& tensors, const PackedModule& module) const {
    const auto* weights = tensors.find(part(module, "qweight"));
    const auto* scales = tensors.find(part(module, "scales"));
    for (const Scheme& scheme : schemes) {
      const int64_t group = scheme.group_of(module.columns);
      const std::vector<int64_t> packed = {words_for(module.columns, scheme.bits), module.rows};
      const bool fits =
          weights->shape == packed &&
          (scales == nullptr || scales->shape.empty() ||
           scales->shape.front() == (module.columns + group - 1) / group || schemes.size() == 1);
      if (!fits) continue;
      if (module.columns * scheme.bits % 32 == 0 && module.rows * scheme.bits % 32 == 0)
        return scheme;
      return base::unimplemented(tensors.where(), ": the matrix of '", module.name, "' is [",
                                 module.rows, ", ", module.columns, "], and codes of ", scheme.bits,
                                 " bits of such rows or columns fill no whole words");
    }
    return refuse_width(tensors, module, *weights);
  }

  absl::Status refuse_width(const StoredTensors& tensors, const PackedModule& module,
                            const format::TensorInfo& found) const {
    std::string instead;
    for (const int bits : kBits) {
      if (found.shape == std::vector<int64_t>{words_for(module.columns, bits), module.rows})
        instead = str_cat(", which would be ", bits, " bits");
    }
    std::vector<std::string> known;
    for (const Scheme& scheme : schemes) known.push_back(scheme.text());
    return base::invalid_argument(
        tensors.where(), ": the tensor '", found.name, "' is ", format::shape_text(found.shape),
        instead, "; the config's [", module.rows, ", ", module.columns, "] with ",
        base::join(known, " or "), " (", where, ") needs ",
        format::shape_text({words_for(module.columns, schemes.front().bits), module.rows}));
  }

  std::vector<uint8_t> read_zeros(const StoredView& view, int bits, int64_t groups,
                                  int64_t rows) const {
    std::vector<std::byte> words(view.bytes.begin(), view.bytes.end());
    if (first_version && bits != 3) add_to_fields(words, bits);
    const int added = first_version && bits == 3 ? 1 : 0;
    const int64_t row_words = words_for(rows, bits);
    std::vector<uint8_t> zeros(static_cast<size_t>(groups * rows));
    for (int64_t group = 0; group < groups; ++group) {
      const WordStream stream{words.data() + group * row_words * 4, 1};
      for (int64_t row = 0; row < rows; ++row) {
        zeros[static_cast<size_t>(row * groups + group)] =
            static_cast<uint8_t>((code_at(stream, row, bits) + added) & ((1 << bits) - 1));
      }
    }
    return zeros;
  }

  static void add_to_fields(std::vector<std::byte>& words, int bits) {
    uint32_t ones = 0;
    for (int bit = 0; bit < 32; bit += bits) ones |= uint32_t{1} << bit;
    for (size_t at = 0; at < words.size(); at += 4) {
      uint32_t word;
      std::memcpy(&word, &words[at], sizeof word);
      word += ones;
      std::memcpy(&words[at], &word, sizeof word);
    }
  }

  absl::Status check_symmetric(const StoredTensors& tensors, const PackedModule& module,
                               const PackedMatrix& matrix) const {
    const int middle = 1 << (matrix.bits - 1);
    if (!symmetric) return absl::OkStatus();
    for (const uint8_t zero : matrix.zeros) {
      if (zero == middle) continue;
      return base::invalid_argument(
          tensors.where(), ": '", part(module, "qzeros"), "' holds the zero point ",
          static_cast<int>(zero), ", but 'sym' is true (", where, "), which means ", middle,
          "; is 'checkpoint_format' right (", first_version ? "gptq" : "gptq_v2", " was taken)?");
    }
    return absl::OkStatus();
  }

  absl::Status read_order(const StoredTensors& tensors, const PackedModule& module,
                          PackedMatrix& matrix) const {
    const std::string name = part(module, "g_idx");
    if (!tensors.has(name) && !ordered) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(
        const StoredView view,
        tensors.want(name, {DType::kI32}, {{matrix.columns}}, str_cat("'desc_act' (", where, ")")));
    FRUGAL_ASSIGN_OR_RETURN(matrix.group_of, read_group_indices(tensors, view, matrix));
    if (matrix.group_of.empty() || ordered) return absl::OkStatus();
    return base::invalid_argument(tensors.where(), ": '", name,
                                  "' gives columns to other groups than their neighbors', but "
                                  "'desc_act' is false (",
                                  where, "); set it to what the quantizer was told");
  }
};

absl::StatusOr<Scheme> parse_scheme(const Json& json, const Scheme& fallback,
                                    std::string_view where) {
  FRUGAL_ASSIGN_OR_RETURN(const int64_t bits,
                          base::json_get_or<int64_t>(json, "bits", fallback.bits, where));
  if (std::find(kBits.begin(), kBits.end(), bits) == kBits.end())
    return base::unimplemented(where, ": 'bits' is ", bits, "; frugal reads GPTQ of 2, 3, 4, 8");
  FRUGAL_ASSIGN_OR_RETURN(const int64_t group,
                          base::json_get_or<int64_t>(json, "group_size", fallback.group, where));
  if (group != -1 && group < 1)
    return base::invalid_argument(where, ": 'group_size' is ", group,
                                  ", expected -1 (whole rows) or a number of columns");
  return Scheme{static_cast<int>(bits), group};
}

// Settings of some modules by patterns of their names; "-:" leaves modules as they are.
absl::Status parse_dynamic(const Json& config, std::string_view where, GptqLayout& layout) {
  FRUGAL_ASSIGN_OR_RETURN(const Json dynamic,
                          base::json_get_or<Json>(config, "dynamic", Json::object(), where));
  const std::string place = str_cat(where, ": 'dynamic'");
  if (!dynamic.is_object()) return base::invalid_argument(place, " is no object");
  for (const auto& [pattern, settings] : dynamic.items()) {
    if (pattern.starts_with("-:")) continue;
    if (!settings.is_object())
      return base::invalid_argument(place, ": '", pattern, "' is no object");
    FRUGAL_ASSIGN_OR_RETURN(const Scheme scheme,
                            parse_scheme(settings, layout.schemes.front(), place));
    layout.schemes.push_back(scheme);
    FRUGAL_ASSIGN_OR_RETURN(const bool symmetric,
                            base::json_get_or<bool>(settings, "sym", layout.symmetric, place));
    FRUGAL_ASSIGN_OR_RETURN(const bool ordered,
                            base::json_get_or<bool>(settings, "desc_act", layout.ordered, place));
    if (symmetric != layout.symmetric || ordered != layout.ordered) {
      return base::unimplemented(place, ": '", pattern,
                                 "' has 'sym' or 'desc_act' of its own; frugal reads one of each "
                                 "for all modules");
    }
  }
  return absl::OkStatus();
}

absl::Status parse_version(const Json& config, std::string_view where, GptqLayout& layout) {
  FRUGAL_ASSIGN_OR_RETURN(const auto older,
                          base::json_get_or<std::string>(config, "format", "gptq", where));
  FRUGAL_ASSIGN_OR_RETURN(const auto version, base::json_get_or<std::string>(
                                                  config, "checkpoint_format", older, where));
  FRUGAL_ASSIGN_OR_RETURN(const bool marlin,
                          base::json_get_or<bool>(config, "is_marlin_format", false, where));
  FRUGAL_ASSIGN_OR_RETURN(const auto words,
                          base::json_get_or<std::string>(config, "pack_dtype", "int32", where));
  layout.first_version = version == "gptq";
  if (marlin || (version != "gptq" && version != "gptq_v2")) {
    return base::unimplemented(where, ": the checkpoint format is '",
                               marlin ? "marlin" : version.substr(0, 40),
                               "', laid out for one kind of GPU; frugal reads gptq and gptq_v2: "
                               "save the model in one of them with the tool that made it");
  }
  if (words == "int32") return absl::OkStatus();
  return base::unimplemented(where, ": 'pack_dtype' is '", words.substr(0, 40),
                             "'; frugal reads int32 words");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Layout>> gptq_layout(const Json& config, std::string_view where) {
  auto layout = std::make_unique<GptqLayout>();
  layout->where = where;
  FRUGAL_RETURN_IF_ERROR(base::json_get<int64_t>(config, "bits", where).status());
  FRUGAL_ASSIGN_OR_RETURN(const Scheme scheme, parse_scheme(config, {}, where));
  layout->schemes.push_back(scheme);
  FRUGAL_ASSIGN_OR_RETURN(layout->symmetric, base::json_get_or<bool>(config, "sym", false, where));
  FRUGAL_ASSIGN_OR_RETURN(layout->ordered,
                          base::json_get_or<bool>(config, "desc_act", false, where));
  FRUGAL_RETURN_IF_ERROR(parse_version(config, where, *layout));
  FRUGAL_RETURN_IF_ERROR(parse_dynamic(config, where, *layout));
  return layout;
}

}  // namespace frugal::artifact
