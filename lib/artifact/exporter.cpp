#include "artifact/exporter.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <array>

#include "base/text.h"

namespace frugal::artifact {

namespace {

namespace fs = std::filesystem;

std::string extension_of(const Exporter& exporter) { return base::str_cat(".", exporter.name); }

// Refuses `option` where it is given and no exporter of `chosen` takes it.
absl::Status check_option(std::span<const Exporter* const> chosen, std::string_view option,
                          bool given, bool Exporter::* takes) {
  if (!given || std::any_of(chosen.begin(), chosen.end(),
                            [&](const Exporter* exporter) { return exporter->*takes; }))
    return absl::OkStatus();
  std::vector<std::string> takers, others;
  for (const Exporter& exporter : exporters()) {
    if (exporter.*takes) takers.emplace_back(exporter.name);
  }
  for (const Exporter* exporter : chosen) others.emplace_back(exporter->name);
  return base::invalid_argument("export: ", option, " is for format",
                                takers.size() > 1 ? "s " : " ", base::join(takers, " and "),
                                "; leave it out for ", base::join(others, " and "));
}

std::string_view part_of(architecture::Role role) {
  using enum architecture::Role;
  switch (role) {
    case kEmbedding:
      return "embedding";
    case kPositions:
      return "positions";
    case kHead:
      return "head";
    case kQuery:
    case kKey:
    case kValue:
    case kAttentionOutput:
      return "attention";
    case kRouter:
    case kGate:
    case kUp:
    case kDown:
      return "feed-forward";
    default:
      return "norms and biases";
  }
}

}  // namespace

void Forecast::add(architecture::Role role, std::string_view type, int64_t weights,
                   int64_t more_bytes) {
  add(part_of(role), type, weights, more_bytes);
}

void Forecast::add(std::string_view part, std::string_view type, int64_t weights,
                   int64_t more_bytes) {
  auto found = std::find_if(parts.begin(), parts.end(), [&](const WeightPart& known) {
    return known.part == part && known.type == type;
  });
  if (found == parts.end())
    found = parts.insert(found, {std::string(part), std::string(type), 0, 0});
  found->weights += weights;
  found->bytes += more_bytes;
}

std::span<const Exporter> exporters() {
  static const std::array kExporters = {kGgufExporter, kOnnxExporter, kHuggingFaceExporter,
                                        kCompressedTensorsExporter, kGptqExporter};
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

absl::Status check_options(std::span<const Exporter* const> chosen, const ExportOptions& options) {
  FRUGAL_RETURN_IF_ERROR(check_option(chosen, "pre_tokenizer", !options.pre_tokenizer.empty(),
                                      &Exporter::takes_pre_tokenizer));
  FRUGAL_RETURN_IF_ERROR(
      check_option(chosen, "eos_token_id", !options.eos.empty(), &Exporter::takes_eos));
  FRUGAL_RETURN_IF_ERROR(
      check_option(chosen, "operators", options.standard_operators, &Exporter::takes_operators));
  FRUGAL_RETURN_IF_ERROR(check_option(chosen, "max_shard_size", options.max_shard_bytes.has_value(),
                                      &Exporter::takes_shard_size));
  return check_option(chosen, "gptq_version", options.gptq_version != 1,
                      &Exporter::takes_gptq_version);
}

absl::Status write_artifact(const Exporter& exporter, const format::Checkpoint& checkpoint,
                            const ExportOptions& options, const fs::path& path, bool verify) {
  if (exporter.is_folder) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) return base::system_error("create folder", path.string(), error.value());
  }
  FRUGAL_RETURN_IF_ERROR(exporter.write(checkpoint, options, path));
  if (!verify) return absl::OkStatus();
  return exporter.read_back(checkpoint, options, path);
}

int64_t dtype_bytes(std::string_view dtype) { return dtype == "F32" ? 4 : 2; }

}  // namespace frugal::artifact
