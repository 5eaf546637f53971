// The formats that a checkpoint can be written in: one table, from which the export pass, the
// command line and the forecast of the disk read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "architecture/roles.h"
#include "artifact/making.h"
#include "base/status.h"
#include "format/checkpoint.h"
#include "format/model_info.h"

namespace frugal::artifact {

// Inputs of products rounded to 8 bits in blocks: where the runtime is a CPU, several times as
// fast as fp32 (1).
inline constexpr int64_t kDefaultAccuracyLevel = 4;

struct ExportOptions {
  std::string name;                                // that the artifact gives itself
  int64_t accuracy_level = kDefaultAccuracyLevel;  // ONNX: of MatMulNBits
  bool standard_operators = false;  // ONNX: ai.onnx alone, in place of ONNX Runtime's own
  std::vector<int64_t> eos = {};    // ids that end texts, in place of those the model names
  std::string pre_tokenizer = {};   // GGUF: llama.cpp's name of the pattern; empty: found by it
  int64_t gptq_version = 1;         // GPTQ: checkpoint format gptq, or 2: gptq_v2
  // GGUF and safetensors: a model that takes more comes in several files; absent: GGUF in one,
  // safetensors in format::kDefaultShardBytes.
  std::optional<int64_t> max_shard_bytes = {};
  Making making = {};  // GGUF: says so in its metadata
};

// What a kind of weights takes in an artifact.
struct WeightPart {
  std::string part;     // "embedding", "attention", "feed-forward", …
  std::string type;     // a grid, or a type of plain numbers: "q4_k", "F32"
  int64_t weights = 0;  // of the model
  int64_t bytes = 0;    // of the artifact
};

// What an export will leave.
struct Forecast {
  int64_t bytes = 0;                   // of all files, to about a percent
  size_t weight_files = 1;             // that the weights lie in
  std::vector<WeightPart> parts = {};  // in the order of the model; their bytes exactly

  // Adds to the part of the kind that weights of this role are of.
  void add(architecture::Role role, std::string_view type, int64_t weights, int64_t bytes);
  void add(std::string_view part, std::string_view type, int64_t weights, int64_t bytes);
};

struct Exporter {
  std::string_view name;     // "gguf"
  std::string_view suffix;   // of the file or folder it writes: ".gguf", "-onnx"
  std::string_view summary;  // one clause for help: "gguf is one file for llama.cpp"
  bool is_folder;
  bool chosen_by_suffix;   // a path that ends so asks for the format; else it may mean a checkpoint
  bool takes_eos = false;  // ExportOptions::eos
  bool takes_operators = false;      // ExportOptions::standard_operators
  bool takes_pre_tokenizer = false;  // ExportOptions::pre_tokenizer
  bool takes_gptq_version = false;   // ExportOptions::gptq_version
  bool takes_shard_size = false;     // ExportOptions::max_shard_bytes
  // Refuses, from metadata and a tokenizer that is there already, what the format or its runtime
  // cannot hold; what is lost without being wrong goes to `warnings`.
  absl::Status (*check)(const format::ModelInfo& model, const ExportOptions& options,
                        std::vector<std::string>& warnings);
  // What `write` will leave: of weights exactly, of a tokenizer what its files take. Of a model
  // that `check` accepts. Errors: more files than the format can count.
  absl::StatusOr<Forecast> (*forecast)(const format::ModelInfo& model,
                                       const ExportOptions& options);
  // Writes the file `path`, or the files that format::gguf_part names after it, or into the
  // existing empty folder `path`.
  absl::Status (*write)(const format::Checkpoint& checkpoint, const ExportOptions& options,
                        const std::filesystem::path& path);
  // Reads what `write` has left at `path` by our own readers, and compares: names, shapes, types,
  // every code and number of every tensor, every text. Errors: DataLoss naming the first
  // difference; those of the readers.
  absl::Status (*read_back)(const format::Checkpoint& checkpoint, const ExportOptions& options,
                            const std::filesystem::path& path);
};

// In the order of help; the first one is the default.
std::span<const Exporter> exporters();
// By name; null where there is none.
const Exporter* find_exporter(std::string_view name);
// Whose suffix `path` has, in any case: "small.gguf", "small-onnx", "small.onnx" (a folder, too);
// null where it is none of them.
const Exporter* exporter_of(const std::filesystem::path& path);
// `path` without that suffix, as a name: "small".
std::string stem_of(const std::filesystem::path& path, const Exporter& exporter);

// Refuses options that none of `chosen` has a use for: they would be passed over in silence.
absl::Status check_options(std::span<const Exporter* const> chosen, const ExportOptions& options);

// Writes the artifact, making the folder `path` where it is one, and reads it back if `verify`.
absl::Status write_artifact(const Exporter& exporter, const format::Checkpoint& checkpoint,
                            const ExportOptions& options, const std::filesystem::path& path,
                            bool verify);

// Bytes of an element of the type that ModelInfo::dtype names.
int64_t dtype_bytes(std::string_view dtype);

// Each in the folder of its format.
extern const Exporter kGgufExporter, kOnnxExporter, kHuggingFaceExporter,
    kCompressedTensorsExporter, kGptqExporter;

}  // namespace frugal::artifact
