// ONNX models: our own plain structs for graph construction, a writer that streams weights beside
// the model, and a reader for inspection. No protobuf in this header.
//
//   model.onnx        ModelProto (onnx-ml.proto of onnx 1.23.2): graph, small constants, external
//   references model.onnx.data   initializers, one after the other; 4096-aligned from 4096 bytes
//   on, 16-aligned below
//
// A reference is {location, offset, length}; the location is a bare file name beside the model
// (ONNX docs/ExternalData.md, docs/ExternalDataSecurity.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace frugal::format {

// TensorProto.DataType: the element types that frugal writes. Numbers are the format's.
enum class OnnxType : int32_t {
  kFloat = 1,
  kUint8 = 2,
  kInt8 = 3,
  kInt32 = 6,
  kInt64 = 7,
  kBool = 9,
  kFloat16 = 10,
  kBfloat16 = 16,
  kUint4 = 21,  // opset 21, IR 10
  kInt4 = 22,
};

// "float", "uint4"; "type 99" for numbers that are not in the enumeration.
std::string onnx_type_name(OnnxType type);

// Bytes of a packed tensor: 4-bit elements two per byte, low nibble first, odd counts rounded up.
// Errors: a negative dimension, overflow, a type whose size is not known.
absl::StatusOr<int64_t> onnx_size_bytes(OnnxType type, const std::vector<int64_t>& dims);

struct OnnxAttribute {
  using Value = std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>,
                             std::vector<std::string>>;
  std::string name;
  Value value;
};

struct OnnxNode {
  std::string op_type;              // "MatMulNBits"
  std::string domain;               // "" (ai.onnx) or "com.microsoft"
  std::vector<std::string> inputs;  // "" leaves an optional one out
  std::vector<std::string> outputs;
  std::vector<OnnxAttribute> attributes;
  std::string name;  // empty: the first output's name
};

using OnnxDimension =
    std::variant<int64_t, std::string>;  // a size, or the name of one ("batch_size")

struct OnnxValue {
  std::string name;
  OnnxType type = OnnxType::kFloat;
  std::vector<OnnxDimension> dims;
};

// A constant of the graph. With `content` it is stored inside the model (small things: shapes,
// axes, scalars); without, its bytes are streamed to the data file.
struct OnnxInitializer {
  std::string name;
  OnnxType type = OnnxType::kFloat;
  std::vector<int64_t> dims;
  std::optional<std::vector<std::byte>> content;
};
OnnxInitializer onnx_constant(std::string name, std::vector<int64_t> dims,
                              std::span<const int64_t> values);
OnnxInitializer onnx_constant(std::string name, std::vector<int64_t> dims,
                              std::span<const int32_t> values);
OnnxInitializer onnx_constant(std::string name, std::vector<int64_t> dims,
                              std::span<const float> values);

struct OnnxModel {
  int64_t ir_version = 10;
  std::vector<std::pair<std::string, int64_t>> opsets;  // {"", 21}, {"com.microsoft", 1}
  std::string producer_name = "frugal";
  std::string producer_version;
  std::string graph_name = "model";
  std::vector<OnnxValue> inputs;
  std::vector<OnnxValue> outputs;
  std::vector<OnnxValue> intermediates;  // optional type notes (value_info)
  std::vector<OnnxInitializer> initializers;
  std::vector<OnnxNode> nodes;                  // in topological order
  std::map<std::string, std::string> metadata;  // metadata_props
};

// Checks the graph, then streams the initializers without content in the order of
// `model.initializers`.
class OnnxWriter {
 public:
  // `path` ends in ".onnx"; the data go to "<file name>.data" beside it. Errors (Internal: the
  // exporter is wrong): a name defined twice or used before it is defined, a domain without opset,
  // content of the wrong size, an output that nothing computes.
  static absl::StatusOr<OnnxWriter> create(const std::filesystem::path& path, OnnxModel model);
  // Bytes of both files of a model called "model.onnx", without writing them.
  static absl::StatusOr<int64_t> size_bytes(const OnnxModel& model);
  // What stands in a file of that name.
  static absl::StatusOr<std::string> model_bytes(const OnnxModel& model);
  OnnxWriter(OnnxWriter&&) noexcept;
  ~OnnxWriter();
  // Bytes of the next streamed initializer, which must be called `name`; several calls may bring
  // its parts.
  absl::Status write(std::string_view name, std::span<const std::byte> bytes);
  // Publishes the data file, then the model; nothing stands under either name before, or after a
  // failure.
  absl::Status commit();

 private:
  struct State;
  explicit OnnxWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct OnnxTensorSummary {
  std::string name;
  OnnxType type = OnnxType::kFloat;
  std::vector<int64_t> dims;
  int64_t size_bytes = 0;
  // Weights of the model that this tensor holds: K*N for the packed B of MatMulNBits, 0 for scales,
  // zero points and integer constants, else its elements.
  int64_t weight_count = 0;
  std::string location;  // data file; empty: inside the model
  int64_t offset = 0;    // in the data file
};

struct OnnxSummary {
  int64_t ir_version = 0;
  std::vector<std::pair<std::string, int64_t>> opsets;
  std::string producer_name;
  std::string producer_version;
  std::string graph_name;
  std::vector<OnnxValue> inputs;
  std::vector<OnnxValue> outputs;
  std::map<std::string, int64_t>
      node_counts;  // "com.microsoft::MatMulNBits", "Add" -> how many, subgraphs included
  std::vector<OnnxTensorSummary> initializers;
  std::map<std::string, std::string> metadata;
};

// Reads a model without its weights. Every external reference is checked: a bare name beside the
// model, a regular file that is neither a symbolic link nor has other hard links, the range inside
// it, its length that of the tensor. Errors: InvalidArgument or DataLoss, with the file and the
// tensor.
absl::StatusOr<OnnxSummary> read_onnx(const std::filesystem::path& path);

}  // namespace frugal::format
