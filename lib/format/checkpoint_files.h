// The names of files in a checkpoint folder; shared by its reader and its writer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace frugal::format {

inline constexpr std::string_view kConfigFile = "config.json";
inline constexpr std::string_view kSingleFile = "model.safetensors";
inline constexpr std::string_view kIndexFile = "model.safetensors.index.json";
inline constexpr std::string_view kGenerationConfigFile = "generation_config.json";
inline constexpr std::string_view kQuantMethod = "frugal";
inline constexpr int64_t kMaxJsonBytes = int64_t{1} << 28;  // configs and indices are far below

// Further chat templates, by name.
inline constexpr std::string_view kTemplatesFolder = "additional_chat_templates";

// Regular files in `folder` that travel with the model: tokenizer, chat templates, generation
// settings, licence. Sorted.
std::vector<std::filesystem::path> side_files_of(const std::filesystem::path& folder);
// Where such a file stands in any folder of a model: "tokenizer.json",
// "additional_chat_templates/rag.jinja".
std::filesystem::path side_file_place(const std::filesystem::path& file);
// All of them from one folder of a model to another. Errors: of reading and writing.
absl::Status copy_side_files(const std::filesystem::path& from, const std::filesystem::path& to);

// Precomputed tables that old exporters stored as tensors; every reader computes them anew.
bool is_computed_buffer(std::string_view tensor);

}  // namespace frugal::format
