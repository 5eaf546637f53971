#include "pass/pipeline_inputs.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <span>

#include "architecture/tensors.h"
#include "base/hash.h"
#include "base/text.h"
#include "format/genai_folder.h"
#include "format/metadata.h"
#include "text/dataset.h"

namespace frugal::pass {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kHashAtOnceBytes = int64_t{64} << 20;  // in a plan: hashed in well under 0.1 s

bool is_zero(std::span<const std::byte> value) {
  return std::all_of(value.begin(), value.end() - 1,
                     [](std::byte byte) { return byte == std::byte{0}; }) &&
         (value.back() & std::byte{0x7f}) == std::byte{0};  // little endian: the sign is last
}

// The pattern of zeros that prune left, as far as the first weights of some matrices show it: a
// peek at a few kilobytes, not a count.
void peek_zeros(const format::Checkpoint& checkpoint, ModelInfo& info) {
  constexpr size_t kWeights = 2048;
  constexpr size_t kFewestInTen = 1;  // weights as trained have next to none
  std::vector<architecture::Tensor> some = architecture::layer_tensors(info.config, 0);
  for (auto& tensor : architecture::layer_tensors(info.config, info.config.layer_count() / 2))
    some.push_back(std::move(tensor));
  for (const architecture::Tensor& matrix : some) {
    const std::string& name = matrix.name;
    const auto tensor = checkpoint.info(name);
    const auto bytes = checkpoint.bytes(name);
    if (!tensor.ok() || !bytes.ok() || tensor->shape.size() != 2 || info.grids.contains(name))
      continue;
    const std::span<const std::byte> values = *bytes;
    const size_t size = tensor->dtype == format::DType::kF32 ? 4 : 2;
    const size_t count = std::min(kWeights, values.size() / size);
    size_t zeros = 0;
    for (size_t i = 0; i < count; ++i) zeros += is_zero(values.subspan(i * size, size)) ? 1 : 0;
    if (count > 0 && 10 * zeros >= kFewestInTen * count)
      info.zeros[name] = base::str_cat("about ", (100 * zeros + count / 2) / count, "%");
  }
}

void expect_hash(std::string_view kind, const std::string& name, const Position& position,
                 const std::string& expected, const std::string& found, Problems& problems) {
  if (expected.empty() || found.empty() || expected == found) return;
  problems.add(position, kind, " '", name,
               "' has changed since this pipeline was resolved: its hash is ", found, ", expected ",
               expected, "; remove it from inputs: to take it as it is");
}

// The folder that is opened for the entry.
absl::StatusOr<fs::path> folder_of(const ModelEntry& entry, const PlanOptions& options) {
  std::error_code error;
  if (!options.import_model || !fs::exists(entry.folder, error)) return entry.folder;
  return options.import_model(entry.folder);
}

void hash_model(const ModelEntry& entry, const fs::path& folder, int64_t weight_bytes,
                const PlanOptions& options, ModelInput& input, Problems& problems) {
  std::function<absl::StatusOr<std::string>()> compute;
  if (options.read_weights || weight_bytes <= kHashAtOnceBytes) {
    compute = [&] {
      return input.checkpoint ? input.checkpoint->content_hash() : base::hash_folder(folder);
    };
  }
  const auto hash = options.hashes->get(folder, compute);
  if (!hash.ok()) {
    problems.add(entry.position, "model '", entry.name, "': ", hash.status().message());
    return;
  }
  input.hash = hash->value_or("");
  expect_hash("model", entry.name, entry.position, entry.expected_hash, input.hash, problems);
}

// What a step's key must know of data beside its content.
void add_fields(const text::DataSource& source, base::KeyHasher& key) {
  key.add(source.prompt).add(source.completion).add(source.split);
  key.add(source.task)
      .add(base::str_cat(source.limit, " ", source.tokens, " ", source.sequence_length));
  if (!source.builtin.empty()) key.add(base::str_cat(source.builtin, " ", source.seed));
  for (const auto& [label, text] : source.labels) key.add(label).add(text);
  if (source.chat) key.add("chat").add(source.system);
  for (const text::MixPart& part : source.mix) {
    key.add("part").add(base::str_cat(part.weight));
    add_fields(*part.source, key);
  }
}

// The hash of the data's content: remembered, or computed where that is soon done or asked for.
absl::StatusOr<std::optional<std::string>> hash_of(const text::DataSource& source,
                                                   const PlanOptions& options) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<fs::path> files, text::data_files(source));
  const auto compute = [&] { return text::content_hash(source); };
  if (files.empty()) return compute();  // made, not read
  int64_t bytes = 0;
  for (const fs::path& file : files) {
    std::error_code error;
    bytes += static_cast<int64_t>(fs::file_size(file, error));
    if (error) return base::system_error("inspect", file.string(), error.value());
  }
  base::KeyHasher name;
  name.add("data").add(source.prompt).add(source.completion).add(base::str_cat(source.limit));
  for (const auto& [label, text] : source.labels) name.add(label).add(text);
  for (const text::MixPart& part : source.mix)
    add_fields(*part.source, name.add(base::str_cat(part.weight)));
  for (const fs::path& file : files) name.add(file.string());
  const bool now = options.read_weights || bytes <= kHashAtOnceBytes;
  return options.hashes->get(name.hex(), files,
                             now ? compute : std::function<absl::StatusOr<std::string>()>());
}

// A model that runtimes compute and frugal does not read.
bool open_artifact(const ModelEntry& entry, const PlanOptions& options, Plan& plan,
                   Problems& problems) {
  auto info = format::genai_model_info(entry.folder);
  if (!info.ok()) {
    problems.add(entry.position, "model '", entry.name, "': ", info.status().message());
    return false;
  }
  ModelInput& input = plan.models[entry.name];
  input.info = *std::move(info);
  input.info.name = entry.name;
  input.artifacts = {{"onnx", fs::absolute(entry.folder).lexically_normal()}};
  hash_model(entry, entry.folder, input.info.size_bytes, options, input, problems);
  return true;
}

}  // namespace

bool open_model(const ModelEntry& entry, const PlanOptions& options, Plan& plan,
                Problems& problems) {
  if (format::is_genai_folder(entry.folder)) return open_artifact(entry, options, plan, problems);
  const absl::StatusOr<fs::path> folder = folder_of(entry, options);
  auto checkpoint = folder.ok() ? format::Checkpoint::open(*folder) : folder.status();
  if (!checkpoint.ok()) {
    problems.add(entry.position, "model '", entry.name, "': ", checkpoint.status().message(),
                 fs::exists(entry.folder) || plan.pipeline.file.empty()
                     ? ""
                     : "; paths are relative to the pipeline file");
    return false;
  }
  ModelInput& input = plan.models[entry.name];
  if (auto info = model_info(entry.name, *checkpoint); info.ok()) {
    input.info = *std::move(info);
  } else {
    problems.add(entry.position, "model '", entry.name, "': ", info.status().message());
  }
  input.checkpoint = *std::move(checkpoint);
  hash_model(entry, input.checkpoint->folder(), input.checkpoint->weight_bytes(), options, input,
             problems);
  const std::string format = options.artifact_format ? options.artifact_format(entry.folder) : "";
  if (!format.empty()) input.artifacts = {{format, fs::absolute(entry.folder).lexically_normal()}};
  return true;
}

void open_data(const DataEntry& entry, const PlanOptions& options, Plan& plan, Problems& problems) {
  const auto content = hash_of(entry.source, options);
  if (!content.ok()) {
    problems.add(entry.position, "data '", entry.name, "': ", content.status().message());
    return;
  }
  if (const absl::Status status = text::check_data(entry.source); !status.ok()) {
    problems.add(entry.position, "data '", entry.name, "': ", status.message());
    return;
  }
  plan.data[entry.name] = {};
  if (!*content) return;  // large, and seen for the first time
  expect_hash("data", entry.name, entry.position, entry.expected_hash, **content, problems);
  base::KeyHasher key;
  key.add("data").add(**content);
  add_fields(entry.source, key);
  plan.data[entry.name] = {**content, key.hex()};
}

absl::StatusOr<ModelInfo> model_info(std::string name, const format::Checkpoint& checkpoint) {
  ModelInfo info = format::metadata_of(checkpoint);
  info.name = std::move(name);
  peek_zeros(checkpoint, info);
  for (const fs::path& file : checkpoint.side_files()) {
    std::error_code error;
    const auto size = fs::file_size(file, error);
    if (error) return base::system_error("inspect", file.string(), error.value());
    info.side_bytes += static_cast<int64_t>(size);
    const std::string base = file.filename().string();
    if (base == "tokenizer.json" || base == "tokenizer.model" || base == "vocab.json" ||
        base == "tokenizer.bin") {
      info.has_tokenizer = true;
      info.tokenizer_folder = checkpoint.folder();
    }
  }
  return info;
}

}  // namespace frugal::pass
