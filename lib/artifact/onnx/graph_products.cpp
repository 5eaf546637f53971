#include "artifact/onnx/graph_products.h"

#include <limits>
#include <utility>
#include <vector>

#include "architecture/tensors.h"
#include "base/text.h"

namespace frugal::artifact {

using architecture::Role;
using base::str_cat;
using format::OnnxType;

absl::StatusOr<NBitsLayout> GraphProducts::layout_of(const std::string& grid_name,
                                                     int64_t columns) const {
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(grid_name, columns));
  return options_.standard_operators ? dequantize_layout(grid->spec()) : nbits_layout(grid->spec());
}

absl::Status GraphProducts::linear(const std::string& input, Role matrix, int64_t layer,
                                   const std::string& output) {
  const std::string bias = to_.name_of(architecture::bias_of(matrix), layer);
  if (!to_.has(bias) || architecture::bias_of(matrix) == matrix)
    return multiply(input, to_.name_of(matrix, layer), output);
  FRUGAL_RETURN_IF_ERROR(multiply(input, to_.name_of(matrix, layer), output + ".product"));
  to_.weight(bias, OnnxContent::kValues);
  to_.node("Add", "", {output + ".product", bias}, {output});
  return absl::OkStatus();
}

// output = input · Wᵀ: MatMulNBits, or DequantizeLinear and MatMul, with the checkpoint's own
// integers; MatMul for float weights.
absl::Status GraphProducts::multiply(const std::string& input, const std::string& weight,
                                     const std::string& output) {
  const int64_t rows = to_.shape(weight)[0], columns = to_.shape(weight)[1];
  const auto entry = to_.info.grids.find(weight);
  if (entry == to_.info.grids.end()) {
    to_.initializer(weight, OnnxType::kFloat, {columns, rows}, weight, OnnxContent::kTransposed);
    to_.node("MatMul", "", {input, weight}, {output});
    return absl::OkStatus();
  }
  if (to_.info.activations.contains(weight)) {
    multiply_integers(input, weight, output);
    return absl::OkStatus();
  }
  const absl::StatusOr<NBitsLayout> layout = layout_of(entry->second, columns);
  if (!layout.ok())
    return base::annotate(layout.status(), str_cat("cannot write ", weight, " to ONNX"));
  if (options_.standard_operators) {
    multiply_blocks(input, weight, *layout, output);
    return absl::OkStatus();
  }
  std::vector<std::string> inputs = nbits_inputs(weight, *layout);
  inputs.insert(inputs.begin(), input);
  to_.node("MatMulNBits", kContribDomain, std::move(inputs), {output},
           {{"K", columns},
            {"N", rows},
            {"bits", layout->bits},
            {"block_size", layout->block_size},
            {"accuracy_level", options_.accuracy_level}});
  return absl::OkStatus();
}

// Columns of blocks straight before the product: the form that ONNX Runtime turns into MatMulNBits
// when it loads the model.
void GraphProducts::multiply_blocks(const std::string& input, const std::string& weight,
                                    const NBitsLayout& layout, const std::string& output) {
  const int64_t rows = to_.shape(weight)[0], columns = to_.shape(weight)[1];
  const int64_t blocks = columns / layout.block_size;
  const bool nibbles = layout.bits == 4;
  const OnnxType type = layout.zero_points ? (nibbles ? OnnxType::kUint4 : OnnxType::kUint8)
                                           : (nibbles ? OnnxType::kInt4 : OnnxType::kInt8);
  std::vector<std::string> inputs = {weight + ".q", weight + ".scales"};
  to_.initializer(inputs[0], type, {columns, rows}, weight, OnnxContent::kBlockValues);
  to_.initializer(inputs[1], OnnxType::kFloat, {blocks, rows}, weight, OnnxContent::kBlockScales);
  if (layout.zero_points) {
    inputs.push_back(weight + ".zero_points");
    to_.initializer(inputs[2], type, {blocks, rows}, weight, OnnxContent::kBlockZeroPoints);
  }
  to_.node("DequantizeLinear", "", std::move(inputs), {weight + ".decoded"},
           {{"axis", int64_t{0}}, {"block_size", layout.block_size}});
  to_.node("MatMul", "", {input, weight + ".decoded"}, {output});
}

void GraphProducts::gather_blocks(const std::string& ids, const std::string& weight,
                                  const NBitsLayout& layout, const std::string& output) {
  const int64_t rows = to_.shape(weight)[0], columns = to_.shape(weight)[1];
  const int64_t blocks = columns / layout.block_size;
  const OnnxType type = layout.zero_points ? OnnxType::kUint8 : OnnxType::kInt8;
  std::vector<std::string> inputs;
  const auto gathered = [&](const std::string& part, OnnxType of, int64_t width,
                            OnnxContent content) {
    const std::string name = str_cat(weight, ".rows.", part);
    to_.initializer(name, of, {rows, width}, weight, content);
    to_.node("Gather", "", {name, ids}, {str_cat(output, ".", part)});
    inputs.push_back(str_cat(output, ".", part));
  };
  gathered("q", type, columns, OnnxContent::kRowValues);
  gathered("scales", OnnxType::kFloat, blocks, OnnxContent::kRowScales);
  if (layout.zero_points) gathered("zero_points", type, blocks, OnnxContent::kRowZeroPoints);
  to_.node("DequantizeLinear", "", std::move(inputs), {output},
           {{"axis", int64_t{2}}, {"block_size", layout.block_size}});
}

std::vector<std::string> GraphProducts::nbits_inputs(const std::string& weight,
                                                     const NBitsLayout& layout) {
  const int64_t rows = to_.shape(weight)[0], blocks = to_.shape(weight)[1] / layout.block_size;
  std::vector<std::string> inputs = {weight + ".q", weight + ".scales"};
  if (layout.zero_points) inputs.push_back(weight + ".zero_points");
  if (!packed_.insert(weight).second) return inputs;
  to_.initializer(weight + ".q", OnnxType::kUint8,
                  {rows, blocks, layout.block_size * layout.bits / 8}, weight,
                  OnnxContent::kNBitsValues);
  to_.initializer(weight + ".scales", OnnxType::kFloat, {rows, blocks}, weight,
                  OnnxContent::kNBitsScales);
  if (layout.zero_points) {
    to_.initializer(weight + ".zero_points", OnnxType::kUint8,
                    {rows, (blocks * layout.bits + 7) / 8}, weight, OnnxContent::kNBitsZeroPoints);
  }
  return inputs;
}

bool GraphProducts::gathers_integers(const std::string& weight) const {
  const auto entry = to_.info.grids.find(weight);
  if (entry == to_.info.grids.end()) return false;
  const auto layout = layout_of(entry->second, to_.shape(weight)[1]);
  return layout.ok() && layout->bits >= 4;  // fewer is not for GatherBlockQuantized
}

absl::Status GraphProducts::gather(const std::string& ids, const std::string& weight,
                                   const std::string& output) {
  if (!gathers_integers(weight)) {
    to_.weight(weight, OnnxContent::kValues);
    to_.node("Gather", "", {weight, ids}, {output});
    return absl::OkStatus();
  }
  const int64_t columns = to_.shape(weight)[1];
  FRUGAL_ASSIGN_OR_RETURN(const NBitsLayout layout,
                          layout_of(to_.info.grids.find(weight)->second, columns));
  if (options_.standard_operators) {
    gather_blocks(ids, weight, layout, output);
    return absl::OkStatus();
  }
  std::vector<std::string> inputs = nbits_inputs(weight, layout);
  const std::string rows = weight + ".rows";  // the codes of a row in one piece
  to_.constant<int64_t>(rows + ".shape", {2}, {to_.shape(weight)[0], columns * layout.bits / 8});
  to_.node("Reshape", "", {inputs.front(), rows + ".shape"}, {rows});
  inputs.front() = rows;
  inputs.insert(inputs.begin() + 1, ids);
  to_.node("GatherBlockQuantized", kContribDomain, std::move(inputs), {output},
           {{"bits", layout.bits},
            {"block_size", layout.block_size},
            {"gather_axis", int64_t{0}},
            {"quantize_axis", int64_t{1}}});
  return absl::OkStatus();
}

// output = float(sum of integers) * token scale * row scale: the order of model/integer_linear.h.
// Weights and inputs have zero points of 0, the operator's default.
void GraphProducts::multiply_integers(const std::string& input, const std::string& weight,
                                      const std::string& output) {
  const int64_t rows = to_.shape(weight)[0], columns = to_.shape(weight)[1];
  round_tokens(input);
  to_.initializer(weight + ".int8", OnnxType::kInt8, {columns, rows}, weight,
                  OnnxContent::kInt8Values);
  to_.initializer(weight + ".scales", OnnxType::kFloat, {rows}, weight, OnnxContent::kInt8Scales);
  to_.node("MatMulInteger", "", {input + ".int8", weight + ".int8"}, {output + ".sum"});
  to_.node("Cast", "", {output + ".sum"}, {output + ".float"},
           {{"to", static_cast<int64_t>(OnnxType::kFloat)}});
  to_.node("Mul", "", {output + ".float", input + ".scale"}, {output + ".by_token"});
  to_.node("Mul", "", {output + ".by_token", weight + ".scales"}, {output});
}

// input.scale = max(max|x| / 127, 2^-126) per token, input.int8 = round(x / scale), once for all
// matrices that share the input.
void GraphProducts::round_tokens(const std::string& input) {
  if (!rounded_.insert(input).second) return;
  if (rounded_.size() == 1) {
    to_.constant<float>("largest_code", {}, {127.0F});
    to_.constant<float>("least_scale", {}, {std::numeric_limits<float>::min()});
  }
  to_.node("Abs", "", {input}, {input + ".absolute"});
  to_.node("ReduceMax", "", {input + ".absolute", "last_axis"}, {input + ".largest"},
           {{"keepdims", int64_t{1}}});
  to_.node("Div", "", {input + ".largest", "largest_code"}, {input + ".step"});
  to_.node("Max", "", {input + ".step", "least_scale"}, {input + ".scale"});
  to_.node("Div", "", {input, input + ".scale"}, {input + ".quotient"});
  to_.node("Round", "", {input + ".quotient"},
           {input + ".rounded"});  // halves to even; never beyond +-127
  to_.node("Cast", "", {input + ".rounded"}, {input + ".int8"},
           {{"to", static_cast<int64_t>(OnnxType::kInt8)}});
}

}  // namespace frugal::artifact
