#include "format/checkpoint_files.h"

#include <algorithm>
#include <array>

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
  return files;
}

}  // namespace frugal::format
