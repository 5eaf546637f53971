#include "pass/publish.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/file_kind.h"
#include "base/json.h"
#include "base/log.h"
#include "format/gguf.h"
#include "pass/model_card.h"

namespace frugal::pass {
namespace fs = std::filesystem;
namespace {

using Sizes = std::map<std::string, int64_t>;

absl::StatusOr<fs::path> full_path(const fs::path& path) {
  std::error_code error;
  const fs::path out = fs::absolute(path, error).lexically_normal();
  if (error) return base::system_error("resolve", path.string(), error.value());
  return out.filename().empty() ? out.parent_path() : out;
}

// Everything below `folder` but folders, with its size; -1 for what is no regular file.
absl::StatusOr<Sizes> sizes_below(const fs::path& folder) {
  Sizes sizes;
  std::error_code error;
  for (auto entry = fs::recursive_directory_iterator(folder, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const fs::file_status status = entry->symlink_status(error);
    if (error) break;
    if (fs::is_directory(status)) continue;
    const std::string name = entry->path().lexically_relative(folder).generic_string();
    sizes[name] = fs::is_regular_file(status) ? static_cast<int64_t>(entry->file_size(error)) : -1;
    if (error) break;
  }
  if (error) return base::system_error("list", folder.string(), error.value());
  return sizes;
}

absl::Status write_marker(const fs::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(const Sizes sizes, sizes_below(folder));
  base::Json files = base::Json::array();
  for (const auto& [path, bytes] : sizes) files.push_back({{"path", path}, {"bytes", bytes}});
  return base::write_file_atomically(folder / kOutputMarker,
                                     base::Json{{"files", files}}.dump(1) + "\n");
}

absl::StatusOr<Sizes> read_marker(const fs::path& folder) {
  const fs::path marker = folder / kOutputMarker;
  FRUGAL_ASSIGN_OR_RETURN(const base::Json json, base::read_json(marker));
  FRUGAL_ASSIGN_OR_RETURN(const auto files,
                          base::json_get<base::Json>(json, "files", marker.string()));
  if (!files.is_array()) return base::invalid_argument(marker.string(), ": 'files' is no list");
  Sizes sizes;
  for (const base::Json& file : files) {
    FRUGAL_ASSIGN_OR_RETURN(const auto path,
                            base::json_get<std::string>(file, "path", marker.string()));
    FRUGAL_ASSIGN_OR_RETURN(sizes[path], base::json_get<int64_t>(file, "bytes", marker.string()));
  }
  return sizes;
}

// Whether `folder` holds what frugal published in it and nothing else.
absl::Status check_own(const fs::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(Sizes found, sizes_below(folder));
  if (found.empty()) return absl::OkStatus();
  const auto refused = [&](const auto&... why) {
    return base::failed("--force does not replace the folder '", folder.string(), "': ", why...,
                        "; remove it yourself, or give --out another name");
  };
  if (!found.contains(kOutputMarker)) {
    return refused("it was not published by frugal (no ", kOutputMarker, " in it)");
  }
  found.erase(kOutputMarker);
  const auto published = read_marker(folder);
  if (!published.ok()) return refused(published.status().message());
  for (const auto& [path, bytes] : found) {
    const auto known = published->find(path);
    if (known == published->end()) return refused("frugal did not write its '", path, "'");
    if (known->second != bytes) {
      return refused("its '", path, "' was changed: it has ", bytes, " bytes, frugal wrote ",
                     known->second);
    }
  }
  return absl::OkStatus();
}

absl::Status copy_folder(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to, error);
  if (error) return base::system_error("create", to.string(), error.value());
  for (auto entry = fs::recursive_directory_iterator(from, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const fs::path target = to / entry->path().lexically_relative(from);
    if (entry->is_directory(error)) {
      fs::create_directories(target, error);
    } else if (!error) {
      FRUGAL_RETURN_IF_ERROR(base::copy_file(entry->path(), target));
    }
    if (error) return base::system_error("copy", entry->path().string(), error.value());
  }
  return error ? base::system_error("copy", from.string(), error.value()) : absl::OkStatus();
}

// Gives the name `target` to what `make` puts into a folder beside it.
absl::Status publish_folder(const fs::path& target,
                            const std::function<absl::Status(const fs::path&)>& make) {
  std::error_code error;
  fs::create_directories(target.parent_path(), error);
  if (error) return base::system_error("create", target.parent_path().string(), error.value());
  const fs::path staging = target.string() + base::str_cat(".partial-", ::getpid());
  const auto publish = [&]() -> absl::Status {
    fs::create_directories(staging, error);
    if (error) return base::system_error("create", staging.string(), error.value());
    FRUGAL_RETURN_IF_ERROR(make(staging));
    FRUGAL_RETURN_IF_ERROR(write_marker(staging));
    FRUGAL_ASSIGN_OR_RETURN(const bool replaces, base::exists(target));
    if (!replaces) return base::publish_folder(staging, target);
    FRUGAL_RETURN_IF_ERROR(check_own(target));  // again: it may have taken long
    return base::exchange_folders(staging, target);
  };
  const absl::Status published = publish();
  // Holds what could not be published, or what it replaced.
  fs::remove_all(staging, error);
  if (error) base::warn("'", staging.string(), "' could not be removed: ", error.message());
  return published;
}

// What lies in the output folder of a step, by name.
absl::StatusOr<std::vector<fs::path>> entries_of(const fs::path& result) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (auto entry = fs::directory_iterator(result, error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    entries.push_back(entry->path());
  }
  if (error) return base::system_error("list", result.string(), error.value());
  std::sort(entries.begin(), entries.end());
  return entries;
}

// Whether these are all the parts of one GGUF model.
bool are_parts(const std::vector<fs::path>& entries) {
  if (entries.size() < 2) return false;
  const size_t count = entries.size();
  const std::string ending = format::gguf_part("x.gguf", 0, count).string().substr(1);
  std::string stem = entries[0].filename().string();
  if (!stem.ends_with(ending)) return false;
  stem.resize(stem.size() - ending.size());
  for (size_t part = 0; part < count; ++part) {
    if (entries[part].filename() != format::gguf_part(stem + ".gguf", part, count)) return false;
  }
  return true;
}

struct Move {
  fs::path from, to;
};

absl::Status rename_all(const std::vector<Move>& moves) {
  std::error_code error;
  size_t done = 0;
  for (; done < moves.size() && !error; ++done) fs::rename(moves[done].from, moves[done].to, error);
  if (!error) return absl::OkStatus();
  const Move& failed = moves[done - 1];
  const absl::Status status = base::system_error("write", failed.to.string(), error.value());
  for (size_t i = done - 1; i-- > 0;) fs::rename(moves[i].to, moves[i].from, error);
  return status;
}

// Copies files beside each other: into a folder beside them first, then by renames, the first file,
// by which users know the result, last. After an error all is what it was. A model in parts
// supersedes a single file of its name: whoever is killed between two renames leaves no first part,
// as parts of two models must not meet. A single file takes the place of the one before at once.
absl::Status publish_files(const std::vector<Move>& files, const fs::path& superseded = {}) {
  const fs::path folder = files[0].to.parent_path();
  const fs::path staging =
      folder / base::str_cat(".", files[0].to.filename().string(), ".partial-", ::getpid());
  std::error_code error;
  fs::create_directories(staging / "old", error);
  if (error) return base::system_error("create", staging.string(), error.value());
  const auto publish = [&]() -> absl::Status {
    std::vector<Move> moves;  // old files away, the first one first; then new ones, the first last
    size_t replaced = 0;
    const auto put_away = [&](const fs::path& old) -> absl::Status {
      FRUGAL_ASSIGN_OR_RETURN(const bool is_there, base::exists(old));
      if (!is_there) return absl::OkStatus();
      moves.insert(moves.begin() + static_cast<std::ptrdiff_t>(replaced++),
                   {old, staging / "old" / old.filename()});
      return absl::OkStatus();
    };
    if (!superseded.empty()) FRUGAL_RETURN_IF_ERROR(put_away(superseded));
    for (const Move& file : files) {
      const fs::path name = file.to.filename();
      FRUGAL_RETURN_IF_ERROR(base::copy_file(file.from, staging / name));
      const auto middle = moves.begin() + static_cast<std::ptrdiff_t>(replaced);
      moves.insert(middle, {staging / name, file.to});
      if (superseded.empty() && &file == &files[0]) continue;  // the last rename replaces it
      FRUGAL_RETURN_IF_ERROR(put_away(file.to));
    }
    return rename_all(moves);
  };
  const absl::Status published = publish();
  fs::remove_all(staging, error);
  if (error) base::warn("'", staging.string(), "' could not be removed: ", error.message());
  return published;
}

constexpr const char* kFolderCard = "README.md";

// Of a result that is one model in a file or in parts: its card, where nobody's own is in the way.
void add_card_beside(const fs::path& target, const std::vector<CardFile>& cards,
                     std::vector<Move>& files) {
  if (cards.empty()) return;
  const fs::path card = target.parent_path() / card_name(target.filename().string());
  std::error_code error;
  if (fs::exists(fs::symlink_status(card, error)) && !is_own_card(card)) {
    base::warn("'", card.string(),
               "' is not a card that frugal wrote, and is left as it is; the "
               "card of this artifact is '",
               cards.front().file.string(), "'");
    return;
  }
  files.push_back({cards.front().file, card});
}

// Cards into the copy of `source`, which is an artifact's folder or holds several artifacts.
absl::Status copy_cards(const std::vector<CardFile>& cards, const fs::path& source,
                        const fs::path& folder) {
  for (const CardFile& card : cards) {
    const bool is_artifact = source.filename() == card.artifact;
    const fs::path artifact = is_artifact ? folder : folder / card.artifact;
    std::error_code error;
    const fs::path to = fs::is_directory(artifact, error) ? artifact / kFolderCard
                                                          : folder / card_name(card.artifact);
    FRUGAL_RETURN_IF_ERROR(base::copy_file(card.file, to));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status check_target(const fs::path& out, bool force) {
  FRUGAL_ASSIGN_OR_RETURN(const fs::path target, full_path(out));
  std::error_code error;
  const fs::file_status status = fs::symlink_status(target, error);
  if (status.type() == fs::file_type::not_found) return absl::OkStatus();
  if (error) return base::system_error("inspect", target.string(), error.value());
  if (!force) {
    return base::failed("'", out.string(), "' exists; give --force to replace it");
  }
  if (fs::is_directory(status)) return check_own(target);
  if (fs::is_regular_file(status)) return absl::OkStatus();
  return base::failed("--force does not replace '", out.string(), "': it is ",
                      fs::is_symlink(status) ? "a link" : "neither a file nor a folder",
                      "; remove it yourself, or give --out another name");
}

std::vector<CardFile> cards_of(const fs::path& result, const fs::path& run_folder,
                               const std::vector<std::string>& paths) {
  std::vector<CardFile> cards;
  const auto entries = entries_of(result);
  if (!entries.ok() || entries->size() != paths.size()) return cards;
  for (size_t i = 0; i < paths.size(); ++i) {
    const fs::path link = run_folder / paths[i];
    const fs::path card = link.parent_path() / card_name(link.filename().string());
    if (is_own_card(card)) cards.push_back({card, (*entries)[i].filename().string()});
  }
  return cards;
}

absl::Status publish_result(const fs::path& result, const fs::path& out, bool force,
                            const std::vector<CardFile>& cards) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<fs::path> entries, entries_of(result));
  FRUGAL_ASSIGN_OR_RETURN(const fs::path target, full_path(out));
  FRUGAL_RETURN_IF_ERROR(check_target(target, force));
  std::error_code error;
  if (are_parts(entries) && base::suffix_of(target) == ".gguf") {
    fs::create_directories(target.parent_path(), error);
    if (error) return base::system_error("create", target.parent_path().string(), error.value());
    std::vector<Move> files;
    for (size_t part = 0; part < entries.size(); ++part) {
      files.push_back({entries[part], format::gguf_part(target, part, entries.size())});
      FRUGAL_RETURN_IF_ERROR(check_target(files.back().to, force));
    }
    add_card_beside(target, cards, files);
    return publish_files(files, target);
  }
  // The one file or folder of an artifact; a checkpoint is the output itself.
  const fs::path source = entries.size() == 1 ? entries[0] : result;
  const bool is_file = fs::is_regular_file(source, error);
  if (is_file && fs::is_directory(target, error)) {
    return base::failed("'", target.string(),
                        "' is a folder, and the result is one file; give "
                        "--out the name of a file");
  }
  if (!is_file && fs::is_regular_file(target, error)) {
    return base::failed("'", target.string(),
                        "' is a file, and the result is a folder; give --out "
                        "the name of a folder");
  }
  if (!is_file) {
    return publish_folder(target, [&](const fs::path& folder) -> absl::Status {
      FRUGAL_RETURN_IF_ERROR(copy_folder(source, folder));
      return copy_cards(cards, source, folder);
    });
  }
  fs::create_directories(target.parent_path(), error);
  if (error) return base::system_error("create", target.parent_path().string(), error.value());
  std::vector<Move> files = {{source, target}};
  add_card_beside(target, cards, files);
  return files.size() == 1 ? base::copy_file(source, target) : publish_files(files);
}

absl::Status publish_made(const fs::path& out, bool force,
                          const std::function<absl::Status(const fs::path&)>& make) {
  FRUGAL_ASSIGN_OR_RETURN(const fs::path target, full_path(out));
  FRUGAL_RETURN_IF_ERROR(check_target(target, force));
  std::error_code error;
  if (fs::is_regular_file(target, error)) {
    return base::failed("'", target.string(),
                        "' is a file, and the result is a folder; give --out the name of a folder");
  }
  return publish_folder(target, make);
}

}  // namespace frugal::pass
