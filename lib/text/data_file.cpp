#include "text/data_file.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "base/file_kind.h"
#include "base/file_reader.h"
#include "base/json.h"
#include "base/text.h"

namespace frugal::text {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

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

struct Gunzip::State {
  std::string where;
  z_stream stream{};
  std::string_view packed;  // not yet given to inflate, which counts in 32 bits
  bool ready = false;
  int outcome = Z_OK;
  int64_t unpacked_bytes = 0;

  explicit State(std::string place) : where(std::move(place)) {
    ready = inflateInit2(&stream, 16 + MAX_WBITS) == Z_OK;  // 16: gzip
  }
  ~State() {
    if (ready) inflateEnd(&stream);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void refill() {
    if (stream.avail_in > 0) return;
    const size_t count = std::min(packed.size(), size_t{1} << 30);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream.avail_in = static_cast<uInt>(count);
    packed.remove_prefix(count);
  }
};

Gunzip::Gunzip(std::string where) : state_(std::make_unique<State>(std::move(where))) {}
Gunzip::Gunzip(Gunzip&&) noexcept = default;
Gunzip& Gunzip::operator=(Gunzip&&) noexcept = default;
Gunzip::~Gunzip() = default;

void Gunzip::give(std::string_view packed) { state_->packed = packed; }

bool Gunzip::wants_more() const { return state_->packed.empty() && state_->stream.avail_in == 0; }

absl::Status Gunzip::take(size_t most, std::string& out) {
  State& state = *state_;
  if (!state.ready) return base::internal("cannot start inflate");
  const size_t before = out.size();
  out.resize(before + most);
  state.stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
  state.stream.avail_out = static_cast<uInt>(most);
  // Once even without input: inflate may hold text back that had no room before.
  do {
    state.refill();
    const int outcome = inflate(&state.stream, Z_NO_FLUSH);
    if (outcome == Z_BUF_ERROR) break;  // neither input nor text is left
    state.outcome = outcome;
    if (outcome == Z_STREAM_END && inflateReset(&state.stream) == Z_OK) continue;  // a member
    if (outcome != Z_OK) {
      return base::data_loss(
          state.where, ": the gzip data is damaged at byte ",
          state.unpacked_bytes + static_cast<int64_t>(most - state.stream.avail_out),
          " of the unpacked text; copy or download the file again");
    }
  } while (state.stream.avail_out > 0 && !wants_more());
  const size_t taken = most - state.stream.avail_out;
  out.resize(before + taken);
  state.unpacked_bytes += static_cast<int64_t>(taken);
  return absl::OkStatus();
}

absl::Status Gunzip::finish() const {
  if (state_->outcome == Z_STREAM_END) return absl::OkStatus();
  return base::data_loss(state_->where, ": the gzip data ends early, after ",
                         state_->unpacked_bytes, " bytes of text; copy or download the file again");
}

struct DataStream::State {
  base::FileReader file;
  std::string head;  // of the text
  bool head_read = false;
  std::optional<Gunzip> gunzip;
  std::string packed;  // what `gunzip` works on
  bool at_end = false;

  // Appends up to `most` bytes; fewer only at the end.
  absl::Status read(size_t most, std::string& out) {
    if (!gunzip) {
      const size_t before = out.size();
      out.resize(before + most);
      FRUGAL_ASSIGN_OR_RETURN(const size_t count, file.read(std::span(out).subspan(before)));
      out.resize(before + count);
      at_end = count < most;
      return absl::OkStatus();
    }
    const size_t wanted = out.size() + most;
    while (out.size() < wanted) {
      const size_t before = out.size();
      FRUGAL_RETURN_IF_ERROR(gunzip->take(wanted - before, out));
      if (out.size() > before || !gunzip->wants_more()) continue;
      packed.resize(kDataHeadBytes);
      FRUGAL_ASSIGN_OR_RETURN(const size_t count, file.read(packed));
      packed.resize(count);
      gunzip->give(packed);
      if (count == 0) {
        at_end = true;
        return gunzip->finish();
      }
    }
    return absl::OkStatus();
  }
};

DataStream::DataStream(std::unique_ptr<State> state) : state_(std::move(state)) {}
DataStream::DataStream(DataStream&&) noexcept = default;
DataStream& DataStream::operator=(DataStream&&) noexcept = default;
DataStream::~DataStream() = default;

absl::StatusOr<DataStream> DataStream::open(const fs::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(base::FileReader file, base::FileReader::open(path));
  auto state = std::make_unique<State>(State{std::move(file)});
  FRUGAL_RETURN_IF_ERROR(state->read(kDataHeadBytes, state->head));
  if (state->head.empty()) return DataStream(std::move(state));
  const base::FileKind kind = base::recognize(state->head);
  FRUGAL_RETURN_IF_ERROR(refuse(kind, state->head, path));
  if (kind != base::FileKind::kGzip) return DataStream(std::move(state));
  state->packed = std::exchange(state->head, "");
  state->at_end = false;
  state->gunzip.emplace(path.string());
  state->gunzip->give(state->packed);
  FRUGAL_RETURN_IF_ERROR(state->read(kDataHeadBytes, state->head));
  if (!state->head.empty())
    FRUGAL_RETURN_IF_ERROR(base::refuse_foreign(state->head, path.string() + " (unpacked)"));
  return DataStream(std::move(state));
}

std::string_view DataStream::head() const { return state_->head; }

absl::StatusOr<bool> DataStream::read(std::string& out) {
  if (!std::exchange(state_->head_read, true)) {
    out += state_->head;
    return !state_->head.empty();
  }
  if (state_->at_end) return false;
  const size_t before = out.size();
  FRUGAL_RETURN_IF_ERROR(state_->read(kDataHeadBytes, out));
  return out.size() > before;
}

absl::StatusOr<std::string> read_data_file(const fs::path& path, int64_t max_bytes) {
  FRUGAL_ASSIGN_OR_RETURN(DataStream stream, DataStream::open(path));
  std::string content;
  for (bool more = true; more;) {
    FRUGAL_ASSIGN_OR_RETURN(more, stream.read(content));
    if (static_cast<int64_t>(content.size()) > max_bytes) {
      return base::resource_exhausted(path.string(), ": more than ", max_bytes,
                                      " bytes of text; split the file");
    }
  }
  return content;
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
  FRUGAL_ASSIGN_OR_RETURN(const DataStream stream, DataStream::open(path));
  return std::string(stream.head());
}

}  // namespace frugal::text
