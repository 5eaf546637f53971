// Models in several GGUF files, as llama-gguf-split writes them: each says `split.no` (from 0 on),
// `split.count` and `split.tensors.count`, the first has all other metadata.
#include <algorithm>
#include <cstdio>
#include <system_error>

#include "format/gguf.h"
#include "format/gguf_check.h"
#include "format/shards.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;
using base::str_cat;

constexpr int64_t kMostParts = 9999;

// Writers have these keys as U16, I32 or U32.
absl::StatusOr<int64_t> split_number(const GgufFile& file, std::string_view key, int64_t absent,
                                     const fs::path& where) {
  const GgufValue* value = file.find(key);
  if (value == nullptr) return absent;
  if (const auto* number = std::get_if<uint16_t>(value)) return *number;
  if (const auto* number = std::get_if<int32_t>(value)) return *number;
  if (const auto* number = std::get_if<uint32_t>(value)) return *number;
  return base::invalid_argument(where.string(), ": the key '", key, "' is no number of its type");
}

std::string part_suffix(int64_t part, int64_t count) {
  char text[32];
  std::snprintf(text, sizeof text, "-%05d-of-%05d.gguf", static_cast<int>(part + 1),
                static_cast<int>(count));
  return text;
}

absl::Status explain_missing(const fs::path& first, const std::vector<fs::path>& parts) {
  std::vector<std::string> missing;
  std::error_code ignored;
  for (const fs::path& part : parts) {
    if (!fs::exists(part, ignored)) missing.push_back(part.filename().string());
  }
  if (missing.empty()) return absl::OkStatus();
  const size_t count = missing.size();
  missing.resize(std::min<size_t>(count, 4));
  return base::not_found(first.string(), ": of its ", parts.size(), " parts ", count,
                         count == 1 ? " is" : " are", " not there: ", base::join(missing, ", "),
                         count > missing.size() ? ", …" : "", "; download the rest of the model");
}

absl::StatusOr<std::vector<fs::path>> parts_of(const fs::path& path, const GgufFile& file) {
  FRUGAL_ASSIGN_OR_RETURN(const int64_t count, split_number(file, "split.count", 1, path));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t number, split_number(file, "split.no", 0, path));
  if (count <= 1) return std::vector<fs::path>{path};
  if (count > kMostParts || number < 0 || number >= count) {
    return base::invalid_argument(path.string(), ": it says that it is part ", number + 1, " of ",
                                  count, "; expected at most ", kMostParts);
  }
  const std::string name = path.filename().string(), own = part_suffix(number, count);
  if (!name.ends_with(own)) {
    return base::invalid_argument(path.string(), ": it says that it is part ", number + 1, " of ",
                                  count, ", but its name does not end in '", own,
                                  "', by which the others are found: give it its name back");
  }
  const std::string stem = name.substr(0, name.size() - own.size());
  if (number != 0) {
    return base::invalid_argument(path.string(), ": part ", number + 1, " of ", count,
                                  " of a model; give the first: ",
                                  (path.parent_path() / (stem + part_suffix(0, count))).string());
  }
  std::vector<fs::path> parts;
  for (int64_t part = 0; part < count; ++part)
    parts.push_back(path.parent_path() / (stem + part_suffix(part, count)));
  FRUGAL_RETURN_IF_ERROR(explain_missing(path, parts));
  return parts;
}

absl::StatusOr<std::vector<int64_t>> sizes_of(const std::vector<GgufWriter::Declaration>& tensors) {
  std::vector<int64_t> sizes;
  for (const GgufWriter::Declaration& tensor : tensors) {
    const absl::StatusOr<int64_t> bytes = gguf_size_bytes(tensor.type, tensor.shape);
    if (!bytes.ok()) return base::annotate(bytes.status(), str_cat("tensor '", tensor.name, "'"));
    sizes.push_back(*bytes);
  }
  return sizes;
}

}  // namespace

fs::path gguf_part(const fs::path& path, size_t part, size_t count) {
  if (count <= 1) return path;
  return path.parent_path() / (path.stem().string() + part_suffix(static_cast<int64_t>(part),
                                                                  static_cast<int64_t>(count)));
}

std::string gguf_model_stem(std::string_view stem) {
  constexpr std::string_view kPattern = "-00000-of-00000";
  const size_t begin = stem.size() - std::min(stem.size(), kPattern.size());
  const std::string_view ending = stem.substr(begin);
  const bool is_part = begin > 0 && std::equal(ending.begin(), ending.end(), kPattern.begin(),
                                               kPattern.end(), [](char found, char wanted) {
                                                 return wanted == '0' ? found >= '0' && found <= '9'
                                                                      : found == wanted;
                                               });
  return std::string(is_part ? stem.substr(0, begin) : stem);
}

GgufMetadata gguf_split_metadata(size_t part, size_t count, size_t tensors) {
  if (count <= 1) return {};
  return {{"split.no", static_cast<uint16_t>(part)},
          {"split.count", static_cast<uint16_t>(count)},
          {"split.tensors.count", static_cast<int32_t>(tensors)}};
}

absl::StatusOr<std::vector<size_t>> gguf_part_of_tensors(const std::vector<int64_t>& tensor_bytes,
                                                         int64_t max_part_bytes) {
  ShardDealer dealer(max_part_bytes);
  std::vector<size_t> parts;
  for (const int64_t bytes : tensor_bytes)
    parts.push_back(dealer.deal(gguf_aligned(bytes, kGgufDefaultAlignment)));
  if (dealer.count() <= static_cast<size_t>(kMostParts)) return parts;
  return base::invalid_argument(
      "in files of at most ", max_part_bytes, " bytes the model comes to ", dealer.count(),
      " files; their names count up to ", kMostParts, ": allow larger ones");
}

absl::StatusOr<std::vector<fs::path>> gguf_parts(const fs::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
  return parts_of(path, file);
}

absl::Status GgufFile::append(GgufFile part) {
  for (GgufTensor& tensor : part.tensors_) {
    tensor.part = parts_.size();
    if (!tensor_index_.emplace(tensor.name, tensors_.size()).second)
      return base::data_loss("the tensor '", tensor.name, "' is in a part before it, too");
    tensors_.push_back(std::move(tensor));
  }
  parts_.push_back(std::move(part.parts_.front()));
  return absl::OkStatus();
}

absl::StatusOr<GgufFile> GgufFile::open_model(const fs::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(GgufFile result, open(path));
  FRUGAL_ASSIGN_OR_RETURN(const auto parts, parts_of(path, result));
  if (parts.size() == 1) return result;
  for (size_t i = 1; i < parts.size(); ++i) {
    FRUGAL_ASSIGN_OR_RETURN(GgufFile part, open(parts[i]));
    FRUGAL_ASSIGN_OR_RETURN(const int64_t number, split_number(part, "split.no", -1, parts[i]));
    FRUGAL_ASSIGN_OR_RETURN(const int64_t count, split_number(part, "split.count", -1, parts[i]));
    if (number != static_cast<int64_t>(i) || count != static_cast<int64_t>(parts.size())) {
      return base::data_loss(parts[i].string(), ": it says that it is part ", number + 1, " of ",
                             count, ", expected ", i + 1, " of ", parts.size(),
                             "; it is not of the model of ", path.string());
    }
    FRUGAL_RETURN_IF_ERROR(base::annotate(result.append(std::move(part)), parts[i].string()));
  }
  const auto found = static_cast<int64_t>(result.tensors_.size());
  FRUGAL_ASSIGN_OR_RETURN(const int64_t tensors,
                          split_number(result, "split.tensors.count", found, path));
  if (tensors == found) return result;
  return base::data_loss(path.string(), ": 'split.tensors.count' is ", tensors, ", but its ",
                         parts.size(), " parts hold ", found, "; they are not of one model");
}

absl::StatusOr<GgufModelWriter> GgufModelWriter::create(
    const fs::path& path, const GgufMetadata& metadata,
    const std::vector<GgufWriter::Declaration>& tensors, int64_t max_part_bytes) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<int64_t> sizes, sizes_of(tensors));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<size_t> part_of,
                          gguf_part_of_tensors(sizes, max_part_bytes));
  const size_t count = part_of.empty() ? 1 : part_of.back() + 1;
  GgufModelWriter result;
  for (size_t part = 0; part < count; ++part) {
    GgufMetadata keys = part == 0 ? metadata : GgufMetadata{};
    for (auto& key : gguf_split_metadata(part, count, tensors.size()))
      keys.push_back(std::move(key));
    std::vector<GgufWriter::Declaration> declared;
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (part_of[i] == part) declared.push_back(tensors[i]);
    }
    const fs::path file = gguf_part(path, part, count);
    FRUGAL_ASSIGN_OR_RETURN(GgufWriter writer, GgufWriter::create(file, keys, declared));
    result.parts_.push_back({file, std::move(writer), declared.size()});
  }
  return result;
}

absl::Status GgufModelWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  while (parts_[current_].left == 0 && current_ + 1 < parts_.size()) ++current_;
  FRUGAL_RETURN_IF_ERROR(parts_[current_].writer.write(name, bytes));
  if (parts_[current_].left > 0) --parts_[current_].left;
  return absl::OkStatus();
}

absl::Status GgufModelWriter::commit() {
  for (size_t i = parts_.size(); i-- > 0;) {
    const absl::Status status = parts_[i].writer.commit();
    if (status.ok()) continue;
    std::error_code ignored;
    for (size_t done = i + 1; done < parts_.size(); ++done) fs::remove(parts_[done].path, ignored);
    return status;
  }
  return absl::OkStatus();
}

}  // namespace frugal::format
