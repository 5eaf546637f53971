// Tested by: tests/passes/field_cases_test.cpp
// Checks of many steps ask for the same tokenizer, and reading a large one takes a second: the last
// few stay in memory as long as their files do not change.
#include <array>
#include <list>
#include <mutex>

#include "base/text.h"
#include "text/tokenizer.h"

namespace frugal::text {
namespace {

namespace fs = std::filesystem;

constexpr size_t kKept = 4;
constexpr std::array kFiles = {"tokenizer.json",
                               "tokenizer.model",
                               "vocab.json",
                               "merges.txt",
                               "tokenizer.bin",
                               "tokenizer_config.json",
                               "added_tokens.json",
                               "config.json",
                               "chat_template.jinja",
                               "chat_template.json",
                               "special_tokens_map.json",
                               "params.json"};

// Size and time of everything that a tokenizer is read from.
std::string stamp_of(const fs::path& folder) {
  std::string stamp;
  for (const char* name : kFiles) {
    std::error_code error;
    const auto size = fs::file_size(folder / name, error);
    if (error) continue;
    const auto time = fs::last_write_time(folder / name, error).time_since_epoch().count();
    stamp += base::str_cat(name, " ", size, " ", time, "\n");
  }
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder / "additional_chat_templates", none)) {
    std::error_code error;
    const auto time = entry.last_write_time(error).time_since_epoch().count();
    stamp += base::str_cat(entry.path().filename().string(), " ", time, "\n");
  }
  return stamp;
}

struct Entry {
  fs::path folder;
  std::string stamp;
  std::shared_ptr<const Tokenizer> tokenizer;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Tokenizer>> shared_tokenizer(const fs::path& folder) {
  static std::mutex mutex;
  static std::list<Entry> entries;  // the latest first
  std::error_code error;
  const fs::path place = fs::absolute(folder, error).lexically_normal();
  const std::string stamp = stamp_of(place);
  const std::lock_guard lock(mutex);
  for (auto entry = entries.begin(); entry != entries.end(); ++entry) {
    if (entry->folder != place || entry->stamp != stamp) continue;
    entries.splice(entries.begin(), entries, entry);
    return entries.front().tokenizer;
  }
  FRUGAL_ASSIGN_OR_RETURN(auto tokenizer, load_tokenizer(folder));
  entries.remove_if([&](const Entry& entry) { return entry.folder == place; });
  entries.push_front({place, stamp, tokenizer});
  if (entries.size() > kKept) entries.pop_back();
  return tokenizer;
}

}  // namespace frugal::text
