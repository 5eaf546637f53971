#include "base/file_kind.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>

#include "base/text.h"

namespace frugal::base {
namespace {

std::string ascii_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

constexpr size_t kHeadBytes = 4096;
constexpr std::string_view kLfsVersion = "version https://git-lfs.github.com/spec/";

struct Magic {
  std::string_view bytes;
  FileKind kind;
};
constexpr std::array kMagics = {
    Magic{kLfsVersion, FileKind::kGitLfsPointer},
    Magic{std::string_view("\x1f\x8b\x08", 3), FileKind::kGzip},
    Magic{std::string_view("\xfd"
                           "7zXZ\0",
                           6),
          FileKind::kXz},
    Magic{std::string_view("\x28\xb5\x2f\xfd", 4), FileKind::kZstandard},
    Magic{std::string_view("BZh", 3), FileKind::kBzip2},
    Magic{std::string_view("7z\xbc\xaf\x27\x1c", 6), FileKind::kSevenZip},
    Magic{std::string_view("GGUF", 4), FileKind::kGguf},
    Magic{std::string_view("PAR1", 4), FileKind::kParquet},
    Magic{std::string_view("ARROW1\0\0", 8), FileKind::kArrow},
    // The stream form of Arrow, which the datasets library writes: a continuation marker, then the
    // length of a schema message.
    Magic{std::string_view("\xff\xff\xff\xff", 4), FileKind::kArrow},
    Magic{std::string_view("\x89HDF\r\n\x1a\n", 8), FileKind::kHdf5},
    Magic{std::string_view("\x93NUMPY", 6), FileKind::kNumpy},
    Magic{std::string_view("%PDF-", 5), FileKind::kPdf},
    Magic{std::string_view("\xff\xfe", 2), FileKind::kUtf16},
    Magic{std::string_view("\xfe\xff", 2), FileKind::kUtf16},
};

bool is_web_page(std::string_view head) {
  const std::string start = ascii_lower(trim(head).substr(0, 512));
  return start.starts_with("<!doctype html") || start.starts_with("<html") ||
         (start.starts_with("<?xml") && start.find("<html") != std::string::npos) ||
         (start.starts_with("<head") || start.starts_with("<body")) ||
         (start.starts_with("<?xml") && start.find("<error>") != std::string::npos);
}

// The name of the first entry of a zip archive.
std::string_view first_entry(std::string_view head) {
  constexpr size_t kNameLength = 26, kName = 30;
  if (head.size() < kName) return {};
  const auto byte = [&](size_t at) {
    return static_cast<size_t>(static_cast<unsigned char>(head[at]));
  };
  const size_t length = byte(kNameLength) | byte(kNameLength + 1) << 8;
  return head.substr(kName, length);
}

bool looks_like_safetensors(std::string_view head) {
  if (head.size() < 10 || head[8] != '{' || head[9] != '"') return false;
  uint64_t length = 0;
  std::memcpy(&length, head.data(), sizeof(length));
  return length > 1 && length <= 100'000'000;  // the format's own bound
}

// Letters of one byte with a zero beside each: UTF-16 without a mark.
bool is_unmarked_utf16(std::string_view head) {
  if (head.size() < 8) return false;
  const size_t pairs = std::min<size_t>(head.size() / 2, 64);
  size_t first_zero = 0, second_zero = 0;
  for (size_t i = 0; i < pairs; ++i) {
    first_zero += head[2 * i] == '\0' && head[2 * i + 1] != '\0';
    second_zero += head[2 * i + 1] == '\0' && head[2 * i] != '\0';
  }
  return 10 * std::max(first_zero, second_zero) >= 9 * pairs;
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string stem_of(const std::filesystem::path& path) {
  return path.stem().empty() ? std::string("data") : path.stem().string();
}

// The size that a pointer file says the true file has: "; the file itself has 1.5 GiB".
std::string pointed_size(std::string_view head) {
  const size_t at = head.find("\nsize ");
  if (at == std::string_view::npos) return "";
  const std::string digits(trim(head.substr(at + 6, head.find('\n', at + 6) - at - 6)));
  if (digits.empty() || digits.size() > 18 ||
      !std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return "";
  }
  return str_cat(" (of ", format_bytes(std::stod(digits)), ")");
}

}  // namespace

FileKind recognize(std::string_view head) {
  if (head.empty()) return FileKind::kEmpty;
  for (const Magic& magic : kMagics) {
    if (head.starts_with(magic.bytes)) return magic.kind;
  }
  if (head.starts_with(std::string_view("PK\x03\x04", 4))) {
    const std::string_view entry = first_entry(head);
    return entry.ends_with("/data.pkl") || entry.ends_with("data.pkl") ||
                   entry.ends_with("/version")
               ? FileKind::kTorch
               : FileKind::kZip;
  }
  // torch.save before zip archives: a pickle of protocol 2 that opens with a magic number.
  if (head.starts_with(std::string_view("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46", 8)))
    return FileKind::kTorch;
  if (head.size() > 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5 &&
      (head[2] == '}' || head[2] == ']' || head[2] == 'c' || head[2] == '\x95' || head[2] == 'X'))
    return FileKind::kPickle;
  if (looks_like_safetensors(head)) return FileKind::kSafetensors;
  if (head.size() > 262 && head.substr(257, 5) == "ustar") return FileKind::kTar;
  if (is_web_page(head)) return FileKind::kWebPage;
  if (head.size() >= 8 && head.find_first_not_of('\0') == std::string_view::npos)
    return FileKind::kZeros;
  if (is_unmarked_utf16(head)) return FileKind::kUtf16;
  return FileKind::kOther;
}

FileKind recognize(std::span<const std::byte> head) {
  return recognize(as_text(head).substr(0, kHeadBytes));
}

absl::StatusOr<FileKind> recognize_file(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    return not_found("no file '", path.string(), "'");
  std::ifstream file(path, std::ios::binary);
  std::string head(kHeadBytes, '\0');
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  if (file.bad() || !file.is_open())
    return invalid_argument("cannot read '", path.string(), "': permission denied or an error");
  head.resize(static_cast<size_t>(file.gcount()));
  return recognize(head);
}

std::string suffix_of(const std::filesystem::path& path) {
  return ascii_lower(path.extension().string());
}

std::string describe(FileKind kind, const std::filesystem::path& path, std::string_view head) {
  const std::string name = path.filename().string();
  const std::string stem = stem_of(path);
  switch (kind) {
    case FileKind::kOther:
      return "";
    case FileKind::kEmpty:
      return "an empty file; copy or download it again";
    case FileKind::kZeros:
      return "filled with zero bytes, as an unfinished download or copy leaves it; fetch it again";
    case FileKind::kGitLfsPointer:
      return str_cat("a git-lfs pointer, not the file itself", pointed_size(head),
                     "; run 'git lfs install' and 'git lfs pull' in its repository, or download "
                     "the file");
    case FileKind::kWebPage:
      return "a web page (HTML) that was saved in place of the file, such as an error or login "
             "page; download it again, logged in where the model asks for it";
    case FileKind::kGzip:
      return str_cat("compressed with gzip; unpack it: gunzip -c '", name, "'");
    case FileKind::kXz:
      return str_cat("compressed with xz; unpack it: xz -dk '", name, "'");
    case FileKind::kZstandard:
      return str_cat("compressed with zstd; unpack it: zstd -d '", name, "'");
    case FileKind::kBzip2:
      return str_cat("compressed with bzip2; unpack it: bunzip2 -k '", name, "'");
    case FileKind::kSevenZip:
      return str_cat("a 7z archive; unpack it: 7z x '", name, "'");
    case FileKind::kTar:
      return str_cat("a tar archive; unpack it: tar xf '", name, "'");
    case FileKind::kZip:
      return str_cat("a zip archive (.xlsx and .docx are such, too); unpack it: unzip '", name,
                     "'");
    case FileKind::kTorch:
    case FileKind::kPickle:
      return "a PyTorch or pickle file, which is not read, as it can run code; save the model as "
             "safetensors, in Python: transformers.AutoModelForCausalLM.from_pretrained(FOLDER)"
             ".save_pretrained(NEW_FOLDER)";
    case FileKind::kSafetensors:
      return "a safetensors file, which holds weights";
    case FileKind::kGguf:
      return str_cat("a GGUF file, made for llama.cpp; make a model folder of it: frugal import '",
                     name, "' -o FOLDER");
    case FileKind::kParquet:
      return str_cat(
          "an Apache Parquet file; convert it to JSON lines, in Python: "
          "pandas.read_parquet('",
          name, "').to_json('", stem, ".jsonl', orient='records', lines=True, force_ascii=False)");
    case FileKind::kArrow:
      return str_cat(
          "an Apache Arrow file; convert it to JSON lines, in Python: "
          "datasets.Dataset.from_file('",
          name, "').to_json('", stem, ".jsonl', force_ascii=False)");
    case FileKind::kHdf5:
      return "an HDF5 file, such as TensorFlow's weights, which is not read; take the model's "
             "safetensors";
    case FileKind::kNumpy:
      return "a NumPy array, which is not read";
    case FileKind::kPdf:
      return str_cat("a PDF; take its text out: pdftotext '", name, "'");
    case FileKind::kUtf16:
      return str_cat("text in UTF-16; convert it: iconv -f UTF-16 -t UTF-8 '", name, "' > '", stem,
                     "-utf8", path.extension().string(), "'");
  }
  return "";
}

absl::Status refuse_foreign(std::string_view content, const std::filesystem::path& path) {
  const std::string_view head = content.substr(0, kHeadBytes);
  const FileKind kind = recognize(head);
  if (kind == FileKind::kOther) return absl::OkStatus();
  return invalid_argument(path.string(), ": it is ", describe(kind, path, head));
}

absl::Status refuse_foreign(std::span<const std::byte> content, const std::filesystem::path& path) {
  return refuse_foreign(as_text(content), path);
}

}  // namespace frugal::base
