#include <sys/stat.h>

#include <charconv>
#include <limits>
#include <map>
#include <optional>

#include "base/file.h"
#include "base/file_kind.h"
#include "format/onnx.h"
#include "onnx/onnx-ml.pb.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;

struct ExternalReference {
  std::string location;
  int64_t offset = 0;
  std::optional<int64_t> length;  // absent: to the end of the file
};

absl::StatusOr<int64_t> parse_size(std::string_view text, std::string_view key) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) {
    return base::invalid_argument("external '", key, "' is '", text.substr(0, 40),
                                  "', expected a number of bytes");
  }
  return value;
}

absl::StatusOr<ExternalReference> parse_reference(const onnx::TensorProto& tensor) {
  ExternalReference reference;
  for (const onnx::StringStringEntryProto& entry : tensor.external_data()) {
    if (entry.key() == "location") {
      reference.location = entry.value();
    } else if (entry.key() == "offset") {
      FRUGAL_ASSIGN_OR_RETURN(reference.offset, parse_size(entry.value(), "offset"));
    } else if (entry.key() == "length") {
      FRUGAL_ASSIGN_OR_RETURN(reference.length, parse_size(entry.value(), "length"));
    }
  }
  const std::string& location = reference.location;
  // A zero byte would end the name for the system where we still read on.
  if (location.empty() || location == "." || location == ".." ||
      location.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
    return base::invalid_argument("external location '", location.substr(0, 80),
                                  "' is not the bare name of a file beside the model");
  }
  return reference;
}

// Size of a data file that may be trusted to be the model's own.
absl::StatusOr<int64_t> data_file_size(const fs::path& path) {
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0) return base::system_error("read", path.string(), errno);
  if (S_ISLNK(info.st_mode)) {
    return base::invalid_argument("'", path.string(),
                                  "' is a symbolic link; external data must lie beside the model");
  }
  if (!S_ISREG(info.st_mode))
    return base::invalid_argument("'", path.string(), "' is no regular file");
  if (info.st_nlink != 1) {
    return base::invalid_argument(
        "'", path.string(), "' has ", info.st_nlink,
        " hard links; external data must be the model's own: copy the file");
  }
  return static_cast<int64_t>(info.st_size);
}

// Sizes of the data files already checked.
class DataFiles {
 public:
  explicit DataFiles(fs::path folder) : folder_(std::move(folder)) {}
  absl::StatusOr<int64_t> size(const std::string& location) {
    if (const auto known = sizes_.find(location); known != sizes_.end()) return known->second;
    FRUGAL_ASSIGN_OR_RETURN(const int64_t size, data_file_size(folder_ / location));
    return sizes_[location] = size;
  }

 private:
  fs::path folder_;
  std::map<std::string, int64_t> sizes_;
};

absl::Status read_external(const onnx::TensorProto& tensor, OnnxTensorSummary& summary,
                           DataFiles& files) {
  FRUGAL_ASSIGN_OR_RETURN(ExternalReference reference, parse_reference(tensor));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t file_bytes, files.size(reference.location));
  if (reference.offset > file_bytes) {
    return base::data_loss("begins at byte ", reference.offset, " of '", reference.location,
                           "', which has ", file_bytes);
  }
  const int64_t length = reference.length.value_or(file_bytes - reference.offset);
  if (length > file_bytes - reference.offset) {
    return base::data_loss("needs ", length, " bytes from byte ", reference.offset, " of '",
                           reference.location, "', which has ", file_bytes, " (truncated?)");
  }
  if (length != summary.size_bytes) {
    return base::data_loss("has ", length, " bytes of external data, its dims and type need ",
                           summary.size_bytes);
  }
  summary.location = std::move(reference.location);
  summary.offset = reference.offset;
  return absl::OkStatus();
}

bool holds_weights(OnnxType type) {
  switch (type) {
    case OnnxType::kFloat:
    case OnnxType::kFloat16:
    case OnnxType::kBfloat16:
    case OnnxType::kUint8:
    case OnnxType::kInt8:
    case OnnxType::kUint4:
    case OnnxType::kInt4:
      return true;
    case OnnxType::kInt32:
    case OnnxType::kInt64:
    case OnnxType::kBool:
      return false;
  }
  return false;
}

absl::StatusOr<OnnxTensorSummary> read_initializer(const onnx::TensorProto& tensor,
                                                   DataFiles& files) {
  OnnxTensorSummary summary;
  summary.name = tensor.name();
  summary.type = static_cast<OnnxType>(tensor.data_type());
  summary.dims.assign(tensor.dims().begin(), tensor.dims().end());
  const absl::StatusOr<int64_t> expected = onnx_size_bytes(summary.type, summary.dims);
  // Types of other writers (strings, float8) still have their place in a listing.
  const bool known = expected.ok() || !absl::IsUnimplemented(expected.status());
  if (known) {
    FRUGAL_RETURN_IF_ERROR(expected.status());
    summary.size_bytes = *expected;
    if (holds_weights(summary.type)) {
      summary.weight_count = 1;
      for (const int64_t dimension : summary.dims)
        summary.weight_count *= dimension;  // in range: the bytes are
    }
  }
  if (tensor.data_location() == onnx::TensorProto::EXTERNAL) {
    if (!known) return expected.status();
    FRUGAL_RETURN_IF_ERROR(read_external(tensor, summary, files));
  } else if (tensor.has_raw_data()) {
    if (known && static_cast<int64_t>(tensor.raw_data().size()) != summary.size_bytes) {
      return base::data_loss("has ", tensor.raw_data().size(), " bytes, its dims and type need ",
                             summary.size_bytes);
    }
    summary.size_bytes = static_cast<int64_t>(tensor.raw_data().size());
  } else {
    summary.size_bytes = static_cast<int64_t>(tensor.ByteSizeLong());  // typed fields; as stored
  }
  return summary;
}

OnnxValue read_value(const onnx::ValueInfoProto& proto) {
  OnnxValue value;
  value.name = proto.name();
  value.type = static_cast<OnnxType>(proto.type().tensor_type().elem_type());
  for (const onnx::TensorShapeProto_Dimension& dim : proto.type().tensor_type().shape().dim()) {
    if (dim.has_dim_value()) {
      value.dims.emplace_back(static_cast<int64_t>(dim.dim_value()));
    } else {
      value.dims.emplace_back(dim.has_dim_param() ? dim.dim_param() : std::string("?"));
    }
  }
  return value;
}

int64_t integer_attribute(const onnx::NodeProto& node, std::string_view name) {
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.name() == name) return attribute.i();
  }
  return 0;
}

// How many weights the packed inputs of quantized operators stand for, by initializer name.
std::map<std::string, int64_t> packed_weight_counts(const onnx::GraphProto& graph) {
  std::map<std::string, int64_t> counts;
  const auto set = [&](const onnx::NodeProto& node, int input, int64_t count) {
    if (input < node.input_size() && !node.input(input).empty()) counts[node.input(input)] = count;
  };
  for (const onnx::NodeProto& node : graph.node()) {
    if (node.op_type() == "MatMulNBits") {
      int64_t count = 0;
      if (__builtin_mul_overflow(integer_attribute(node, "K"), integer_attribute(node, "N"),
                                 &count) ||
          count < 0) {
        count = 0;
      }
      set(node, 1, count);
      set(node, 2, 0);
      set(node, 3, 0);
    } else if (node.op_type() == "DequantizeLinear") {
      set(node, 1, 0);
      set(node, 2, 0);
    }
  }
  return counts;
}

// protobuf bounds the nesting of what it parses (100 levels), and with it this recursion.
void count_nodes(const onnx::GraphProto& graph, std::map<std::string, int64_t>& counts) {
  for (const onnx::NodeProto& node : graph.node()) {
    const bool standard = node.domain().empty() || node.domain() == "ai.onnx";
    ++counts[standard ? node.op_type() : base::str_cat(node.domain(), "::", node.op_type())];
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      if (attribute.has_g()) count_nodes(attribute.g(), counts);
      for (const onnx::GraphProto& nested : attribute.graphs()) count_nodes(nested, counts);
    }
  }
}

absl::Status read_graph(const onnx::GraphProto& graph, DataFiles& files, OnnxSummary& summary) {
  summary.graph_name = graph.name();
  for (const onnx::ValueInfoProto& value : graph.input())
    summary.inputs.push_back(read_value(value));
  for (const onnx::ValueInfoProto& value : graph.output())
    summary.outputs.push_back(read_value(value));
  count_nodes(graph, summary.node_counts);
  const std::map<std::string, int64_t> packed = packed_weight_counts(graph);
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    absl::StatusOr<OnnxTensorSummary> initializer = read_initializer(tensor, files);
    if (!initializer.ok()) {
      return base::annotate(initializer.status(),
                            base::str_cat("initializer '", tensor.name().substr(0, 200), "'"));
    }
    if (const auto count = packed.find(initializer->name); count != packed.end()) {
      initializer->weight_count = count->second;
    }
    summary.initializers.push_back(*std::move(initializer));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<OnnxSummary> read_onnx(const fs::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const base::MappedFile file, base::MappedFile::open(path));
  const std::span<const std::byte> bytes = file.bytes();
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return base::invalid_argument(
        path.string(), ": ", bytes.size(),
        " bytes; a protobuf message has at most 2 GiB (is this the data file?)");
  }
  onnx::ModelProto proto;
  if (!proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    FRUGAL_RETURN_IF_ERROR(base::refuse_foreign(bytes, path));
    return base::data_loss(path.string(),
                           ": no ONNX model, or a truncated one (protobuf cannot parse it)");
  }
  if (!proto.has_graph() || proto.ir_version() < 1) {
    FRUGAL_RETURN_IF_ERROR(base::refuse_foreign(bytes, path));
    return base::invalid_argument(path.string(), ": no ONNX model: IR version or graph is missing");
  }
  OnnxSummary summary;
  summary.ir_version = proto.ir_version();
  summary.producer_name = proto.producer_name();
  summary.producer_version = proto.producer_version();
  for (const onnx::OperatorSetIdProto& opset : proto.opset_import()) {
    summary.opsets.emplace_back(opset.domain(), opset.version());
  }
  for (const onnx::StringStringEntryProto& entry : proto.metadata_props()) {
    summary.metadata[entry.key()] = entry.value();
  }
  DataFiles files(path.parent_path());
  const absl::Status status = read_graph(proto.graph(), files, summary);
  if (!status.ok()) return base::annotate(status, path.string());
  return summary;
}

}  // namespace frugal::format
