#include <algorithm>
#include <array>

#include "format/onnx.h"
#include "format/onnx_check.h"

namespace frugal::format {
namespace {

struct Row {
  OnnxType type;
  std::string_view name;
  int64_t bits;
};
constexpr std::array<Row, 10> kRows = {{{OnnxType::kFloat, "float", 32},
                                        {OnnxType::kUint8, "uint8", 8},
                                        {OnnxType::kInt8, "int8", 8},
                                        {OnnxType::kInt32, "int32", 32},
                                        {OnnxType::kInt64, "int64", 64},
                                        {OnnxType::kBool, "bool", 8},
                                        {OnnxType::kFloat16, "float16", 16},
                                        {OnnxType::kBfloat16, "bfloat16", 16},
                                        {OnnxType::kUint4, "uint4", 4},
                                        {OnnxType::kInt4, "int4", 4}}};

const Row* row(OnnxType type) {
  const auto* found = std::find_if(kRows.begin(), kRows.end(),
                                   [&](const Row& candidate) { return candidate.type == type; });
  return found == kRows.end() ? nullptr : found;
}

template <typename T>
OnnxInitializer constant(std::string name, OnnxType type, std::vector<int64_t> dims,
                         std::span<const T> values) {
  const std::span<const std::byte> bytes = std::as_bytes(values);
  return {std::move(name), type, std::move(dims),
          std::vector<std::byte>(bytes.begin(), bytes.end())};
}

using Names = base::string_map<bool>;

absl::Status define(Names& names, const std::string& name, std::string_view what) {
  if (name.empty()) return base::internal("onnx graph: ", what, " without a name");
  if (!names.emplace(name, true).second) {
    return base::internal("onnx graph: ", what, " '", name, "' has the name of an earlier value");
  }
  return absl::OkStatus();
}

absl::Status check_initializer(const OnnxInitializer& initializer) {
  absl::StatusOr<int64_t> expected = onnx_size_bytes(initializer.type, initializer.dims);
  if (!expected.ok()) {
    return base::annotate(expected.status(), base::str_cat("initializer '", initializer.name, "'"));
  }
  if (initializer.content && static_cast<int64_t>(initializer.content->size()) != *expected) {
    return base::internal("onnx graph: initializer '", initializer.name, "' has ",
                          initializer.content->size(), " bytes, its dims and type need ",
                          *expected);
  }
  return absl::OkStatus();
}

absl::Status check_node(const OnnxModel& model, const OnnxNode& node, Names& names) {
  const auto has_domain = [&](const auto& opset) { return opset.first == node.domain; };
  if (std::none_of(model.opsets.begin(), model.opsets.end(), has_domain)) {
    return base::internal("onnx graph: node '", node.op_type, "' is of domain '", node.domain,
                          "', which the model does not import");
  }
  for (const std::string& input : node.inputs) {
    if (input.empty() || names.contains(std::string_view(input))) continue;
    return base::internal("onnx graph: node '", node.op_type, "' reads '", input,
                          "', which nothing before it defines");
  }
  if (node.outputs.empty())
    return base::internal("onnx graph: node '", node.op_type, "' has no output");
  for (const std::string& output : node.outputs) {
    if (!output.empty()) FRUGAL_RETURN_IF_ERROR(define(names, output, "output"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string onnx_type_name(OnnxType type) {
  if (const Row* found = row(type)) return std::string(found->name);
  return base::str_cat("type ", static_cast<int32_t>(type));
}

absl::StatusOr<int64_t> onnx_size_bytes(OnnxType type, const std::vector<int64_t>& dims) {
  const Row* found = row(type);
  if (found == nullptr) {
    return base::unimplemented("ONNX element ", onnx_type_name(type),
                               " has no size that frugal knows");
  }
  int64_t bits = found->bits;
  for (const int64_t dimension : dims) {
    if (dimension < 0 || __builtin_mul_overflow(bits, dimension, &bits)) {
      return base::invalid_argument("dimension ", dimension,
                                    " is negative, or the shape has too many elements");
    }
  }
  return bits / 8 + (bits % 8 != 0 ? 1 : 0);
}

OnnxInitializer onnx_constant(std::string name, std::vector<int64_t> dims,
                              std::span<const int64_t> values) {
  return constant(std::move(name), OnnxType::kInt64, std::move(dims), values);
}
OnnxInitializer onnx_constant(std::string name, std::vector<int64_t> dims,
                              std::span<const int32_t> values) {
  return constant(std::move(name), OnnxType::kInt32, std::move(dims), values);
}
OnnxInitializer onnx_constant(std::string name, std::vector<int64_t> dims,
                              std::span<const float> values) {
  return constant(std::move(name), OnnxType::kFloat, std::move(dims), values);
}

absl::Status check_onnx_graph(const OnnxModel& model) {
  Names names;
  for (const OnnxValue& input : model.inputs)
    FRUGAL_RETURN_IF_ERROR(define(names, input.name, "input"));
  for (const OnnxInitializer& initializer : model.initializers) {
    FRUGAL_RETURN_IF_ERROR(define(names, initializer.name, "initializer"));
    FRUGAL_RETURN_IF_ERROR(check_initializer(initializer));
  }
  for (const OnnxNode& node : model.nodes) FRUGAL_RETURN_IF_ERROR(check_node(model, node, names));
  for (const OnnxValue& output : model.outputs) {
    if (names.contains(std::string_view(output.name))) continue;
    return base::internal("onnx graph: nothing computes the output '", output.name, "'");
  }
  return absl::OkStatus();
}

}  // namespace frugal::format
