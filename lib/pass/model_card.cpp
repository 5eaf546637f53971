#include "pass/model_card.h"

#include <fstream>

#include "format/gguf.h"

namespace frugal::pass {
namespace fs = std::filesystem;

std::string card_name(std::string_view artifact) {
  constexpr std::string_view kFile = ".gguf";
  std::string stem(artifact);
  if (!stem.ends_with(kFile)) return stem + ".md";
  stem.resize(stem.size() - kFile.size());
  return format::gguf_model_stem(stem) + ".md";
}

bool is_own_card(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(fs::symlink_status(path, error))) return false;
  std::ifstream file(path);
  std::string first, second;
  std::getline(file, first);
  std::getline(file, second);
  return first == "---" && second == kCardMark;
}

}  // namespace frugal::pass
