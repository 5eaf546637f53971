// What the exporters of packed folders share: which modules are packed and how, the folder's files,
// and their reading back.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/exporter.h"
#include "artifact/packed/packed_form.h"
#include "artifact/packed/stored_modules.h"
#include "base/json.h"
#include "base/status.h"
#include "format/safetensors.h"

namespace frugal::artifact {

struct ExportModule {
  StoredModule stored;
  std::optional<PackedForm> form;             // absent: plain numbers
  bool int8_inputs = false;                   // whoever runs it rounds inputs per token to int8
  format::DType dtype = format::DType::kF32;  // of plain numbers

  const std::string& name() const { return stored.module.name; }
  int64_t rows() const { return stored.module.rows; }
  int64_t columns() const { return stored.module.columns; }
};

struct PackedExportPlan {
  architecture::ModelConfig config;
  format::DType dtype = format::DType::kF32;  // of the model's plain numbers
  std::vector<ExportModule> modules;          // in the order of the forward

  // fp32 for models of fp32, else fp16: both hold the scales of grids as they are.
  format::DType scale_type() const {
    return dtype == format::DType::kF32 ? format::DType::kF32 : format::DType::kF16;
  }
  // The names of linear modules that stay plain, the head among them where it is tied.
  std::vector<std::string> plain_modules() const;
};

using TensorDeclaration = format::SafetensorsWriter::Declaration;
using TensorData = std::vector<std::byte>;

// One way of packing: the other direction of a Layout.
struct PackedMethod {
  const Exporter* exporter = nullptr;
  std::string_view own_file;  // beside config.json, for older tools; empty: none
  // Refuses a packed module that the method has no words for; says what to take instead.
  absl::Status (*check)(const ExportModule& module);
  // The tensors of a packed module, and their data in the same order.
  std::vector<TensorDeclaration> (*declare)(const PackedExportPlan& plan,
                                            const ExportModule& module);
  std::vector<TensorData> (*pack)(const PackedExportPlan& plan, const ExportModule& module,
                                  const PackedMatrix& matrix, const ExportOptions& options);
  // 'quantization_config' of config.json.
  base::Json (*settings)(const PackedExportPlan& plan, const ExportOptions& options);
};

extern const PackedMethod kCompressedTensorsMethod, kGptqMethod;

// As Exporter's functions of the same names. Errors name the weight, its grid, the format and what
// to do.
absl::Status check_packed(const PackedMethod& method, const format::ModelInfo& model,
                          std::vector<std::string>& warnings);
absl::StatusOr<Forecast> packed_forecast(const PackedMethod& method, const format::ModelInfo& model,
                                         const ExportOptions& options);
absl::Status write_packed_folder(const PackedMethod& method, const format::Checkpoint& checkpoint,
                                 const ExportOptions& options, const std::filesystem::path& folder);
absl::Status read_back_packed(const PackedMethod& method, const format::Checkpoint& checkpoint,
                              const ExportOptions& options, const std::filesystem::path& folder);

}  // namespace frugal::artifact
