// Tested by: tests/text/chat_templates_test.cpp
#include "text/chat_template_files.h"

#include "base/file.h"
#include "base/text.h"

namespace frugal::text {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDefault = "default";
constexpr const char* kDefaultFile = "chat_template.jinja";
constexpr const char* kFurtherFolder = "additional_chat_templates";
constexpr size_t kMaxNameBytes = 200;  // with the suffix a file system takes 255

bool is_file_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

}  // namespace

absl::Status check_template_names(const ChatTemplates& templates, std::string_view origin) {
  for (const auto& [name, source] : templates.sources) {
    if (is_file_name(name)) continue;
    return base::invalid_argument(
        origin.empty() ? "the tokenizer" : origin, ": the chat template '", name.substr(0, 80),
        "' has a name that no file can have (", kFurtherFolder, "/NAME.jinja); rename it");
  }
  return absl::OkStatus();
}

absl::Status write_chat_templates(const ChatTemplates& templates, const fs::path& folder) {
  FRUGAL_RETURN_IF_ERROR(check_template_names(templates, folder.string()));
  for (const auto& [name, source] : templates.sources) {
    if (templates.find(name) != &source) continue;  // what is read of two is the first
    const bool own = name == kDefault;
    const fs::path file = own ? folder / kDefaultFile : folder / kFurtherFolder / (name + ".jinja");
    std::error_code error;
    fs::create_directories(file.parent_path(), error);
    if (error) return base::system_error("create", file.parent_path().string(), error.value());
    FRUGAL_RETURN_IF_ERROR(base::write_file_atomically(file, source));
  }
  return absl::OkStatus();
}

}  // namespace frugal::text
