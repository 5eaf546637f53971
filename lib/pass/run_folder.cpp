// Tested by: tests/pass/runner_test.cpp
#include "pass/run_folder.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "pass/model_card.h"

namespace frugal::pass {
namespace fs = std::filesystem;
namespace {

absl::Status make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  return error ? base::system_error("create", folder.string(), error.value()) : absl::OkStatus();
}

// Whether `link` leads to what a finished step left in a cache: <cache>/steps/<key>/output…
bool leads_to_cache(const fs::path& link) {
  std::error_code error;
  const fs::path target = fs::read_symlink(link, error);
  const std::vector<fs::path> parts(target.begin(), target.end());
  for (size_t i = 0; !error && i + 2 < parts.size(); ++i) {
    if (parts[i] == "steps" && parts[i + 2] == "output") return true;
  }
  return false;
}

// A relative link, so that a run folder and the cache beside it can be moved together.
absl::Status make_link(const fs::path& target, const fs::path& link) {
  FRUGAL_RETURN_IF_ERROR(make_folder(link.parent_path()));
  std::error_code error;
  const fs::path relative = fs::relative(target, link.parent_path(), error);
  if (error) return base::system_error("resolve", target.string(), error.value());
  if (leads_to_cache(link)) fs::remove(link, error);  // of an earlier run
  fs::create_symlink(relative, link, error);
  if (error == std::errc::file_exists) {
    return base::failed("'", link.string(),
                        "' was not made by frugal and stands where a result belongs; move it away, "
                        "or give --out another folder");
  }
  return error ? base::system_error("create", link.string(), error.value()) : absl::OkStatus();
}

// Removes our links below `folder`, and the folders that are empty without them.
absl::Status remove_links(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> links;
  for (auto entry = fs::recursive_directory_iterator(folder, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (leads_to_cache(entry->path())) links.push_back(entry->path());
  }
  if (error == std::errc::no_such_file_or_directory) return absl::OkStatus();
  if (error) return base::system_error("list", folder.string(), error.value());
  for (const fs::path& link : links) {
    fs::remove(link, error);
    if (error) return base::system_error("remove", link.string(), error.value());
    for (fs::path parent = link.parent_path(); fs::remove(parent, error) && parent != folder;)
      parent = parent.parent_path();  // refused where something of the user is left
  }
  return absl::OkStatus();
}

// Model cards of earlier runs, also where the links beside them are gone.
absl::Status remove_cards(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> cards;
  for (auto entry = fs::directory_iterator(folder, error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (is_own_card(entry->path())) cards.push_back(entry->path());
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return base::system_error("list", folder.string(), error.value());
  for (const fs::path& card : cards) {
    fs::remove(card, error);
    if (error) return base::system_error("remove", card.string(), error.value());
  }
  fs::remove(folder, error);  // refused where something is left
  return absl::OkStatus();
}

// What a run writes into its folder under fixed names.
constexpr const char* kItems = "items";
constexpr const char* kFactors = "factors";
constexpr const char* kJournal = "journal.jsonl";

// A folder that is given to a run is empty, is one of an earlier run (its journal says so), or
// holds other things under other names: what a run replaces or continues must be a run's.
absl::Status check_owner(const fs::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(const bool has_journal, base::exists(folder / kJournal));
  if (has_journal) {
    FRUGAL_ASSIGN_OR_RETURN(const base::MappedFile journal,
                            base::MappedFile::open(folder / kJournal));
    const std::string_view text(reinterpret_cast<const char*>(journal.bytes().data()),
                                journal.bytes().size());
    // A kill may have torn even the first line.
    constexpr std::string_view kStart = R"({"event":"run_start")";
    if (kStart.starts_with(text.substr(0, kStart.size()))) return absl::OkStatus();
    return base::failed("'", (folder / kJournal).string(),
                        "' is not the journal of a run; give --out another folder");
  }
  for (const char* name : {kItems, kFactors, "pipeline.resolved.yaml", "report.html", "report.json",
                           "report.csv", "SHA256SUMS"}) {
    FRUGAL_ASSIGN_OR_RETURN(const bool exists, base::exists(folder / name));
    if (!exists) continue;
    return base::failed("'", folder.string(), "' has no journal of a run, so its '", name,
                        "' is not frugal's to replace; give --out another folder");
  }
  return absl::OkStatus();
}

absl::Status copy_items(const fs::path& from, const fs::path& to) {
  std::error_code error;
  for (auto entry = fs::recursive_directory_iterator(from, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (!entry->is_regular_file()) continue;
    const fs::path target = to / entry->path().lexically_relative(from);
    FRUGAL_RETURN_IF_ERROR(make_folder(target.parent_path()));
    // Every run makes these copies anew, so none needs to survive a power cut: no sync.
    fs::copy_file(entry->path(), target, fs::copy_options::overwrite_existing, error);
    if (error) return base::system_error("write", target.string(), error.value());
  }
  return error ? base::system_error("list", from.string(), error.value()) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<RunFolder> RunFolder::open(const fs::path& folder) {
  std::error_code error;
  const fs::path path = fs::absolute(folder, error).lexically_normal();
  FRUGAL_RETURN_IF_ERROR(make_folder(path));
  FRUGAL_ASSIGN_OR_RETURN(std::optional<FileLock> lock, FileLock::try_acquire(path / ".lock"));
  if (!lock) {
    return base::failed("another run is working in '", path.string(),
                        "': wait until it ends, or give --out another folder");
  }
  FRUGAL_RETURN_IF_ERROR(check_owner(path));
  return RunFolder(path, *std::move(lock));
}

absl::Status RunFolder::clear() const {
  FRUGAL_RETURN_IF_ERROR(remove_links(path_ / "checkpoints"));
  FRUGAL_RETURN_IF_ERROR(remove_links(path_ / "artifacts"));
  FRUGAL_RETURN_IF_ERROR(remove_cards(path_ / "artifacts"));
  for (const char* name : {kItems, kFactors}) {  // of a run: open() looked
    std::error_code error;
    fs::remove_all(path_ / name, error);
    if (error) return base::system_error("remove", (path_ / name).string(), error.value());
  }
  return absl::OkStatus();
}

absl::StatusOr<base::Json> RunFolder::keep_factors(const std::vector<FactorFile>& files) const {
  base::Json rows = base::Json::array();
  if (files.empty()) return rows;
  FRUGAL_RETURN_IF_ERROR(make_folder(path_ / kFactors));
  for (const FactorFile& factor : files) {
    FRUGAL_ASSIGN_OR_RETURN(const std::string text, base::read_file(factor.file));
    const std::string path = base::str_cat(kFactors, "/", factor.kind, ".yaml");
    FRUGAL_RETURN_IF_ERROR(base::write_file_atomically(path_ / path, text));
    rows.push_back({{"kind", factor.kind},
                    {"from", factor.file.string()},
                    {"path", path},
                    {"bytes", static_cast<int64_t>(text.size())},
                    {"sha256", base::sha256(text)}});
  }
  return rows;
}

absl::StatusOr<std::vector<std::string>> RunFolder::publish(const Unit& unit,
                                                            const Cache::Entry& entry) const {
  FRUGAL_RETURN_IF_ERROR(copy_items(entry.items(), path_ / kItems / unit.name()));
  switch (unit.pass->info().output) {
    case Output::kNone:
      return std::vector<std::string>{};
    case Output::kArtifact:
      return link_artifacts(unit, entry);
    case Output::kCheckpoint:
      break;
  }
  const std::string relative = "checkpoints/" + unit.name();
  FRUGAL_RETURN_IF_ERROR(make_link(entry.output(), path_ / relative));
  return std::vector<std::string>{relative};
}

absl::StatusOr<std::vector<std::string>> RunFolder::link_artifacts(
    const Unit& unit, const Cache::Entry& entry) const {
  std::vector<std::string> names;
  std::error_code error;
  for (auto item = fs::directory_iterator(entry.output(), error);
       !error && item != fs::directory_iterator(); item.increment(error)) {
    names.push_back(item->path().filename().string());
  }
  if (error) return base::system_error("list", entry.output().string(), error.value());
  std::sort(names.begin(), names.end());
  std::vector<std::string> links;
  for (const std::string& name : names) {
    std::string link = "artifacts/" + name;
    if (fs::exists(fs::symlink_status(path_ / link, error))) {  // of another step
      link = "artifacts/" + unit.id + "-" + name;
    }
    FRUGAL_RETURN_IF_ERROR(make_link(entry.output() / name, path_ / link));
    links.push_back(link);
  }
  return links;
}

}  // namespace frugal::pass
