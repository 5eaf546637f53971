#include "format/checkpoint_files.h"

#include <algorithm>
#include <array>

#include "base/file.h"

namespace frugal::format {
namespace {

// In sorted order.
constexpr std::array<std::string_view, 17> kSideFiles = {"LICENSE",
                                                         "LICENSE.md",
                                                         "LICENSE.txt",
                                                         "NOTICE",
                                                         "USE_POLICY.md",
                                                         "added_tokens.json",
                                                         "chat_template.jinja",
                                                         "chat_template.json",
                                                         "generation_config.json",
                                                         "merges.txt",
                                                         "special_tokens_map.json",
                                                         "tokenizer.bin",
                                                         "tokenizer.json",
                                                         "tokenizer.model",
                                                         "tokenizer_config.json",
                                                         "vocab.json",
                                                         "vocab.txt"};

}  // namespace

std::vector<std::filesystem::path> side_files_of(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const std::string_view name : kSideFiles) {
    std::error_code ignored;
    const std::filesystem::path file = folder / name;
    if (std::filesystem::is_regular_file(file, ignored)) files.push_back(file);
  }
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder / kTemplatesFolder, none)) {
    std::error_code ignored;
    if (entry.path().extension() == ".jinja" && entry.is_regular_file(ignored))
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::filesystem::path side_file_place(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.parent_path().filename();
  return folder == kTemplatesFolder ? folder / file.filename() : file.filename();
}

absl::Status copy_side_files(const std::filesystem::path& from, const std::filesystem::path& to) {
  for (const std::filesystem::path& file : side_files_of(from)) {
    const std::filesystem::path path = to / side_file_place(file);
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    if (error) return base::system_error("create", path.parent_path().string(), error.value());
    FRUGAL_RETURN_IF_ERROR(base::copy_file(file, path));
  }
  return absl::OkStatus();
}

bool is_computed_buffer(std::string_view tensor) {
  return tensor.ends_with("rotary_emb.inv_freq") || tensor.ends_with("rotary_emb.cos_cached") ||
         tensor.ends_with("rotary_emb.sin_cached");
}

}  // namespace frugal::format
