#include <algorithm>
#include <array>
#include <limits>

#include "base/file.h"
#include "format/onnx.h"
#include "format/onnx_check.h"
#include "onnx/onnx-ml.pb.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLargeBytes = 4096;
constexpr int64_t kLargeAlignment = 4096;
constexpr int64_t kSmallAlignment = 16;

int64_t aligned(int64_t offset, int64_t size_bytes) {
  const int64_t alignment = size_bytes >= kLargeBytes ? kLargeAlignment : kSmallAlignment;
  return (offset + alignment - 1) / alignment * alignment;
}

void set_value(onnx::ValueInfoProto* proto, const OnnxValue& value) {
  proto->set_name(value.name);
  onnx::TypeProto_Tensor* tensor = proto->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(static_cast<int32_t>(value.type));
  onnx::TensorShapeProto* shape =
      tensor->mutable_shape();  // present even without dimensions: a scalar
  for (const OnnxDimension& dimension : value.dims) {
    onnx::TensorShapeProto_Dimension* dim = shape->add_dim();
    if (const auto* size = std::get_if<int64_t>(&dimension)) {
      dim->set_dim_value(*size);
    } else {
      dim->set_dim_param(std::get<std::string>(dimension));
    }
  }
}

struct AttributeSetter {
  onnx::AttributeProto* proto;
  void operator()(int64_t value) const {
    proto->set_type(onnx::AttributeProto::INT);
    proto->set_i(value);
  }
  void operator()(float value) const {
    proto->set_type(onnx::AttributeProto::FLOAT);
    proto->set_f(value);
  }
  void operator()(const std::string& value) const {
    proto->set_type(onnx::AttributeProto::STRING);
    proto->set_s(value);
  }
  void operator()(const std::vector<int64_t>& values) const {
    proto->set_type(onnx::AttributeProto::INTS);
    for (const int64_t value : values) proto->add_ints(value);
  }
  void operator()(const std::vector<float>& values) const {
    proto->set_type(onnx::AttributeProto::FLOATS);
    for (const float value : values) proto->add_floats(value);
  }
  void operator()(const std::vector<std::string>& values) const {
    proto->set_type(onnx::AttributeProto::STRINGS);
    for (const std::string& value : values) proto->add_strings(value);
  }
};

void set_node(onnx::NodeProto* proto, const OnnxNode& node) {
  proto->set_name(node.name.empty() ? node.outputs.front() : node.name);
  proto->set_op_type(node.op_type);
  if (!node.domain.empty()) proto->set_domain(node.domain);
  for (const std::string& input : node.inputs) proto->add_input(input);
  for (const std::string& output : node.outputs) proto->add_output(output);
  for (const OnnxAttribute& attribute : node.attributes) {
    onnx::AttributeProto* added = proto->add_attribute();
    added->set_name(attribute.name);
    std::visit(AttributeSetter{added}, attribute.value);
  }
}

void add_external(onnx::TensorProto* proto, const char* key, std::string value) {
  onnx::StringStringEntryProto* entry = proto->add_external_data();
  entry->set_key(key);
  entry->set_value(std::move(value));
}

// One streamed initializer and its place in the data file.
struct Streamed {
  std::string name;
  int64_t offset = 0;
  int64_t size_bytes = 0;
};

absl::StatusOr<Streamed> set_initializer(onnx::TensorProto* proto,
                                         const OnnxInitializer& initializer, int64_t end,
                                         const std::string& location) {
  proto->set_name(initializer.name);
  proto->set_data_type(static_cast<int32_t>(initializer.type));
  for (const int64_t dimension : initializer.dims) proto->add_dims(dimension);
  if (initializer.content) {
    proto->set_raw_data(initializer.content->data(), initializer.content->size());
    return Streamed{};
  }
  Streamed streamed{initializer.name, 0, 0};
  FRUGAL_ASSIGN_OR_RETURN(streamed.size_bytes, onnx_size_bytes(initializer.type, initializer.dims));
  streamed.offset = aligned(end, streamed.size_bytes);
  proto->set_data_location(onnx::TensorProto::EXTERNAL);
  add_external(proto, "location", location);
  add_external(proto, "offset", std::to_string(streamed.offset));
  add_external(proto, "length", std::to_string(streamed.size_bytes));
  return streamed;
}

void set_header(onnx::ModelProto& proto, const OnnxModel& model) {
  proto.set_ir_version(model.ir_version);
  proto.set_producer_name(model.producer_name);
  if (!model.producer_version.empty()) proto.set_producer_version(model.producer_version);
  for (const auto& [domain, version] : model.opsets) {
    onnx::OperatorSetIdProto* opset = proto.add_opset_import();
    opset->set_domain(domain);
    opset->set_version(version);
  }
  for (const auto& [key, value] : model.metadata) {
    onnx::StringStringEntryProto* entry = proto.add_metadata_props();
    entry->set_key(key);
    entry->set_value(value);
  }
}

}  // namespace

struct OnnxWriter::State {
  fs::path path;
  fs::path data_path;
  std::string model_bytes;
  std::vector<Streamed> streamed;
  std::optional<base::AtomicFile> data;
  size_t next = 0;      // of streamed
  int64_t written = 0;  // bytes of it

  absl::Status serialize(const OnnxModel& model);
  absl::Status pad_to(int64_t offset);
  absl::Status publish();
};

absl::Status OnnxWriter::State::serialize(const OnnxModel& model) {
  onnx::ModelProto proto;
  set_header(proto, model);
  onnx::GraphProto* graph = proto.mutable_graph();
  graph->set_name(model.graph_name);
  for (const OnnxValue& value : model.inputs) set_value(graph->add_input(), value);
  for (const OnnxValue& value : model.outputs) set_value(graph->add_output(), value);
  for (const OnnxValue& value : model.intermediates) set_value(graph->add_value_info(), value);
  for (const OnnxNode& node : model.nodes) set_node(graph->add_node(), node);
  int64_t end = 0;
  for (const OnnxInitializer& initializer : model.initializers) {
    FRUGAL_ASSIGN_OR_RETURN(Streamed placed, set_initializer(graph->add_initializer(), initializer,
                                                             end, data_path.filename().string()));
    if (initializer.content) continue;
    end = placed.offset + placed.size_bytes;
    streamed.push_back(std::move(placed));
  }
  if (proto.ByteSizeLong() > static_cast<size_t>(std::numeric_limits<int32_t>::max()) ||
      !proto.SerializeToString(&model_bytes)) {
    return base::internal(path.string(), ": the graph takes ", proto.ByteSizeLong(),
                          " bytes without its weights; protobuf allows 2 GiB");
  }
  return absl::OkStatus();
}

absl::Status OnnxWriter::State::pad_to(int64_t offset) {
  static constexpr std::array<std::byte, kLargeAlignment> kZeros{};
  return data->write(std::span(kZeros).first(static_cast<size_t>(offset - data->size())));
}

absl::Status OnnxWriter::State::publish() {
  FRUGAL_ASSIGN_OR_RETURN(base::AtomicFile model, base::AtomicFile::create(path));
  FRUGAL_RETURN_IF_ERROR(model.write(model_bytes));
  if (data) FRUGAL_RETURN_IF_ERROR(data->commit());
  absl::Status status = model.commit();
  if (!status.ok() && data) {
    std::error_code ignored;
    fs::remove(data_path, ignored);
  }
  return status;
}

OnnxWriter::OnnxWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
OnnxWriter::OnnxWriter(OnnxWriter&&) noexcept = default;
OnnxWriter::~OnnxWriter() = default;

absl::StatusOr<OnnxWriter> OnnxWriter::create(const fs::path& path, OnnxModel model) {
  if (path.extension() != ".onnx") {
    return base::invalid_argument(path.string(), ": the name of an ONNX model must end in .onnx");
  }
  FRUGAL_RETURN_IF_ERROR(check_onnx_graph(model));
  auto state = std::make_unique<State>();
  state->path = path;
  state->data_path = fs::path(path).concat(".data");
  FRUGAL_RETURN_IF_ERROR(state->serialize(model));
  if (!state->streamed.empty()) {
    FRUGAL_ASSIGN_OR_RETURN(state->data, base::AtomicFile::create(state->data_path));
  }
  return OnnxWriter(std::move(state));
}

absl::StatusOr<std::string> OnnxWriter::model_bytes(const OnnxModel& model) {
  State state;
  state.path = "model.onnx";
  state.data_path = "model.onnx.data";
  FRUGAL_RETURN_IF_ERROR(state.serialize(model));
  return std::move(state.model_bytes);
}

absl::StatusOr<int64_t> OnnxWriter::size_bytes(const OnnxModel& model) {
  State state;
  state.path = "model.onnx";
  state.data_path = "model.onnx.data";
  FRUGAL_RETURN_IF_ERROR(state.serialize(model));
  const int64_t data =
      state.streamed.empty() ? 0 : state.streamed.back().offset + state.streamed.back().size_bytes;
  return static_cast<int64_t>(state.model_bytes.size()) + data;
}

absl::Status OnnxWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  State& state = *state_;
  // Initializers without a single element need no call.
  while (state.next < state.streamed.size() && state.streamed[state.next].size_bytes == 0 &&
         state.streamed[state.next].name != name) {
    ++state.next;
  }
  if (state.next == state.streamed.size()) {
    return base::internal("initializer '", name, "' came after the last one to be streamed");
  }
  const Streamed& current = state.streamed[state.next];
  if (current.name != name) {
    return base::internal("initializer '", name, "' came where '", current.name, "' was declared (",
                          current.size_bytes - state.written, " bytes missing)");
  }
  if (static_cast<int64_t>(bytes.size()) > current.size_bytes - state.written) {
    return base::internal("initializer '", name, "' got ",
                          state.written + static_cast<int64_t>(bytes.size()),
                          " bytes, its dims and type need ", current.size_bytes);
  }
  if (state.written == 0) FRUGAL_RETURN_IF_ERROR(state.pad_to(current.offset));
  FRUGAL_RETURN_IF_ERROR(state.data->write(bytes));
  state.written += static_cast<int64_t>(bytes.size());
  if (state.written == current.size_bytes) {
    ++state.next;
    state.written = 0;
  }
  return absl::OkStatus();
}

absl::Status OnnxWriter::commit() {
  State& state = *state_;
  while (state.next < state.streamed.size() && state.streamed[state.next].size_bytes == 0)
    ++state.next;
  if (state.next < state.streamed.size()) {
    return base::internal("initializer '", state.streamed[state.next].name,
                          "' was declared but not written whole");
  }
  // The last offset may lie behind the last byte when only empty tensors follow.
  if (state.data && state.data->size() < state.streamed.back().offset) {
    FRUGAL_RETURN_IF_ERROR(state.pad_to(state.streamed.back().offset));
  }
  return state.publish();
}

}  // namespace frugal::format
