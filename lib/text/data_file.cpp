#include "text/data_file.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <vector>

#include "base/file.h"
#include "base/file_kind.h"
#include "base/json.h"
#include "base/text.h"

namespace frugal::text {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// One stream of inflate that frees itself.
class Inflater {
 public:
  Inflater() { ready_ = inflateInit2(&stream_, 16 + MAX_WBITS) == Z_OK; }  // 16: gzip
  ~Inflater() {
    if (ready_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  bool ready() const { return ready_; }
  z_stream& stream() { return stream_; }

 private:
  z_stream stream_{};
  bool ready_ = false;
};

// The name without ".gz": "train.csv.gz" is a table.
fs::path inner_name(const fs::path& path) {
  return base::suffix_of(path) == ".gz" ? path.stem() : path;
}

std::string_view first_line(std::string_view text) {
  std::string_view line = text.substr(0, text.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::string_view without_leading_space(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const size_t begin = text.find_first_not_of(" \t\r\n");
  return begin == text.npos ? std::string_view() : text.substr(begin);
}

// "[" followed by what an array of records or of strings begins with; "[1] A footnote" is prose.
bool begins_json_array(std::string_view text) {
  const std::string_view rest = without_leading_space(text.substr(1));
  return !rest.empty() && (rest[0] == '{' || rest[0] == '"');
}

bool begins_json_object(std::string_view text) {
  const std::string_view rest = without_leading_space(text.substr(1));
  return !rest.empty() && (rest[0] == '"' || rest[0] == '}');
}

bool is_field_name(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
    text = text.substr(1, text.size() - 2);
  if (text.empty() || text.size() > 40 || text.front() == ' ') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

// Several lines with as many separators as a header of at least two names has.
bool is_regular_table(std::string_view head) {
  constexpr size_t kLines = 3;
  const std::string_view header = first_line(head);
  const char separator = table_separator(header);
  const std::vector<std::string> names = base::split(header, separator);
  if (names.size() < 2 || !std::all_of(names.begin(), names.end(), is_field_name)) return false;
  const size_t last_end = head.rfind('\n');
  if (last_end == head.npos) return false;
  const std::vector<std::string> lines = base::split(head.substr(0, last_end), '\n');
  if (lines.size() < kLines + 1) return false;
  return std::all_of(lines.begin(), lines.end(), [&](const std::string& line) {
    const bool quoted = line.find('"') != line.npos;
    return quoted || base::split(line, separator).size() == names.size();
  });
}

absl::Status refuse(base::FileKind kind, std::string_view content, const fs::path& path) {
  if (kind == base::FileKind::kOther || kind == base::FileKind::kGzip) return absl::OkStatus();
  return base::refuse_foreign(content, path);
}

}  // namespace

absl::StatusOr<std::string> gunzip(std::string_view packed, bool whole, std::string_view where,
                                   int64_t max_bytes) {
  Inflater inflater;
  if (!inflater.ready()) return base::internal("cannot start inflate");
  z_stream& stream = inflater.stream();
  std::string out;
  std::vector<char> buffer(size_t{1} << 18);
  int outcome = Z_OK;
  while (true) {
    if (stream.avail_in == 0) {  // inflate counts in 32 bits
      const size_t take = std::min(packed.size(), size_t{1} << 30);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
      stream.avail_in = static_cast<uInt>(take);
      packed.remove_prefix(take);
    }
    if (stream.avail_in == 0) break;
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    outcome = inflate(&stream, Z_NO_FLUSH);
    out.append(buffer.data(), buffer.size() - stream.avail_out);
    if (static_cast<int64_t>(out.size()) > max_bytes) {
      return base::resource_exhausted(where, ": more than ", max_bytes,
                                      " bytes unpacked; split the file");
    }
    if (outcome == Z_STREAM_END && inflateReset(&stream) == Z_OK) continue;  // another member
    if (outcome != Z_OK && outcome != Z_BUF_ERROR) {
      return base::data_loss(where, ": the gzip data is damaged at byte ", out.size(),
                             " of the unpacked text; copy or download the file again");
    }
  }
  if (whole && outcome != Z_STREAM_END) {
    return base::data_loss(where, ": the gzip data ends early, after ", out.size(),
                           " bytes of text; copy or download the file again");
  }
  return out;
}

absl::StatusOr<std::string> read_data_file(const fs::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(std::string content, base::read_file(path));
  if (content.empty()) return content;
  const base::FileKind kind = base::recognize(std::string_view(content).substr(0, kDataHeadBytes));
  FRUGAL_RETURN_IF_ERROR(refuse(kind, content, path));
  if (kind != base::FileKind::kGzip) return content;
  FRUGAL_ASSIGN_OR_RETURN(std::string unpacked, gunzip(content, true, path.string()));
  if (!unpacked.empty())
    FRUGAL_RETURN_IF_ERROR(base::refuse_foreign(unpacked, path.string() + " (unpacked)"));
  return unpacked;
}

char table_separator(std::string_view header) {
  bool quoted = false;
  char found = '\t';
  for (const char c : header) {
    if (c == '\t') return '\t';
    if (c == '"') quoted = !quoted;
    if (!quoted && found == '\t' && (c == ',' || c == ';')) found = c;
  }
  return found;
}

DataForm data_form(std::string_view head, const fs::path& path) {
  const std::string_view text = without_leading_space(head);
  if (text.empty()) return DataForm::kText;
  if (text[0] == '[' && begins_json_array(text)) return DataForm::kJsonArray;
  if (text[0] == '{' && begins_json_object(text)) return DataForm::kJsonLines;
  const std::string suffix = base::suffix_of(inner_name(path));
  if (suffix == ".csv" || suffix == ".tsv") return DataForm::kTable;
  // What is named as records is read as records, and its errors say what is wrong with them.
  if (suffix == ".jsonl" || suffix == ".ndjson" || suffix == ".json") return DataForm::kJsonLines;
  if (suffix == ".txt" || suffix == ".md") return DataForm::kText;
  return is_regular_table(text) ? DataForm::kTable : DataForm::kText;
}

absl::StatusOr<std::string> read_data_head(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return base::not_found("no file '", path.string(), "'");
  std::ifstream file(path, std::ios::binary);
  std::string head(kDataHeadBytes, '\0');
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  if (head.empty()) return head;
  const base::FileKind kind = base::recognize(head);
  FRUGAL_RETURN_IF_ERROR(refuse(kind, head, path));
  if (kind == base::FileKind::kGzip) {
    FRUGAL_ASSIGN_OR_RETURN(head, gunzip(head, false, path.string()));
    if (!head.empty())
      FRUGAL_RETURN_IF_ERROR(base::refuse_foreign(head, path.string() + " (unpacked)"));
  }
  return head;
}

}  // namespace frugal::text
