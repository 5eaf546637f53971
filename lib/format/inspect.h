// What a file or folder holds, as JSON: the torch-free half of `frugal inspect`.
#pragma once

#include <filesystem>

#include "base/json.h"
#include "base/status.h"

namespace frugal::format {

// Describes a checkpoint folder, an ONNX folder, or a .safetensors, .gguf or .onnx file (folders
// that other tools have packed: artifact/importer.h):
//
//   kind             "checkpoint", "safetensors", "gguf", "onnx"
//   path
//   architecture     null where the file does not say
//   parameters       weights, counted as numbers (packed ones unpacked)
//   weight_bytes     their bytes as stored, scales and zero points included
//   bits_per_weight  8 weight_bytes / parameters; null without weights
//   types            {"q4_k": {"tensors": n, "parameters": n, "bytes": n}}; "int8:row x int8" where
//                    inputs are rounded, too (activations.h)
//   tensors          [{"name", "shape", "type", "bytes"}] in file order (checkpoint: sorted)
//   metadata         config, GGUF keys, ONNX properties; long texts are cut, long arrays come as
//                    {"length", "first"}
//   provenance       what frugal noted when it wrote the file; {} for files of others
//   onnx only: ir_version, opsets, operators, inputs, outputs; checkpoint only: side_files
//
// All texts are valid UTF-8. Errors: those of the readers; InvalidArgument for anything else, with
// what is expected.
absl::StatusOr<base::Json> inspect(const std::filesystem::path& path);

}  // namespace frugal::format
