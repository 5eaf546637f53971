// The formats that a checkpoint can be written in: one table, from which the export pass, the
// command line and the forecast of the disk read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/checkpoint.h"
#include "format/model_info.h"

namespace frugal::artifact {

// Inputs of products rounded to 8 bits in blocks: where the runtime is a CPU, two to three times as
// fast as fp32 (1).
inline constexpr int64_t kDefaultAccuracyLevel = 4;

struct ExportOptions {
  std::string name;                                // that the artifact gives itself
  int64_t accuracy_level = kDefaultAccuracyLevel;  // ONNX: of MatMulNBits
  std::vector<int64_t> eos = {};   // ids that end texts, in place of those the model names
  std::string pre_tokenizer = {};  // GGUF: llama.cpp's name of the pattern; empty: found by it
};

struct Exporter {
  std::string_view name;     // "gguf"
  std::string_view suffix;   // of the file or folder it writes: ".gguf", "-onnx"
  std::string_view summary;  // one clause for help: "gguf is one file for llama.cpp"
  bool is_folder;
  bool chosen_by_suffix;  // a path that ends so asks for the format; else it may mean a checkpoint
  // Refuses, from metadata and a tokenizer that is there already, what the format or its runtime
  // cannot hold, and options it has no use for (they would be passed over in silence); what is
  // lost without being wrong goes to `warnings`.
  absl::Status (*check)(const format::ModelInfo& model, const ExportOptions& options,
                        std::vector<std::string>& warnings);
  // Bytes of everything that `write` will leave, to about a percent: of weights exactly, of a
  // tokenizer what its files take. Of a model that `check` accepts.
  absl::StatusOr<int64_t> (*estimate_bytes)(const format::ModelInfo& model,
                                            const ExportOptions& options);
  // Writes the file `path`, or into the existing empty folder `path`.
  absl::Status (*write)(const format::Checkpoint& checkpoint, const ExportOptions& options,
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

// Of exporters that have no such option.
absl::Status refuse_pre_tokenizer(const ExportOptions& options, const Exporter& exporter);

// Bytes of an element of the type that ModelInfo::dtype names.
int64_t dtype_bytes(std::string_view dtype);

// Each in the folder of its format.
extern const Exporter kGgufExporter, kOnnxExporter, kHuggingFaceExporter;

}  // namespace frugal::artifact
