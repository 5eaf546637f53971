#include "artifact/exporter.h"

#include <absl/strings/ascii.h>

#include <array>

#include "base/text.h"

namespace frugal::artifact {

namespace {

std::string extension_of(const Exporter& exporter) { return base::str_cat(".", exporter.name); }

}  // namespace

std::span<const Exporter> exporters() {
  static const std::array kExporters = {kGgufExporter, kOnnxExporter, kHuggingFaceExporter};
  return kExporters;
}

const Exporter* find_exporter(std::string_view name) {
  for (const Exporter& exporter : exporters()) {
    if (exporter.name == name) return &exporter;
  }
  return nullptr;
}

const Exporter* exporter_of(const std::filesystem::path& path) {
  const std::string name = absl::AsciiStrToLower(path.filename().string());
  for (const Exporter& exporter : exporters()) {
    if (!exporter.chosen_by_suffix) continue;
    if (name.ends_with(exporter.suffix) || name.ends_with(extension_of(exporter))) return &exporter;
  }
  return nullptr;
}

std::string stem_of(const std::filesystem::path& path, const Exporter& exporter) {
  std::string name = path.filename().string();
  for (const std::string& ending : {extension_of(exporter), std::string(exporter.suffix)}) {
    if (name.size() > ending.size() && absl::AsciiStrToLower(name).ends_with(ending))
      name.resize(name.size() - ending.size());
  }
  return name;
}

absl::Status refuse_pre_tokenizer(const ExportOptions& options, const Exporter& exporter) {
  if (options.pre_tokenizer.empty()) return absl::OkStatus();
  return base::invalid_argument("export: pre_tokenizer is for format gguf; leave it out for ",
                                exporter.name);
}

int64_t dtype_bytes(std::string_view dtype) { return dtype == "F32" ? 4 : 2; }

}  // namespace frugal::artifact
