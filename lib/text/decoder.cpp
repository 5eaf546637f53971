#include "text/decoder.h"

#include <utility>

#include "text/bpe.h"
#include "text/byte_level.h"

namespace frugal::text {
namespace {

constexpr std::string_view kWhere = "decoder";
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";
constexpr int kMaxDepth = 16;

void replace_in_place(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) return;
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

void fuse(std::vector<std::string>& pieces) {
  std::string all;
  for (const std::string& piece : pieces) all += piece;
  pieces.assign(1, std::move(all));
}

void strip(std::string& text, std::string_view content, int64_t start, int64_t stop) {
  if (content.empty()) return;
  for (; start > 0 && text.starts_with(content); --start) text.erase(0, content.size());
  for (; stop > 0 && text.ends_with(content); --stop) text.resize(text.size() - content.size());
}

}  // namespace

absl::StatusOr<Decoder> Decoder::parse(const base::Json& json) {
  Decoder decoder;
  if (json.is_null())
    return base::unimplemented(
        "tokenizer without a decoder is not supported; expected ByteLevel or a Sequence");
  FRUGAL_RETURN_IF_ERROR(decoder.add(json, 0));
  return decoder;
}

absl::Status Decoder::add(const base::Json& json, int depth) {
  if (depth > kMaxDepth) return base::invalid_argument(kWhere, ": nested deeper than ", kMaxDepth);
  FRUGAL_ASSIGN_OR_RETURN(const std::string type,
                          base::json_get<std::string>(json, "type", kWhere));
  if (type == "ByteLevel") {
    steps_.push_back({Step::Kind::kByteLevel, "", ""});
  } else if (type == "ByteFallback") {
    steps_.push_back({Step::Kind::kByteFallback, "", ""});
  } else if (type == "Fuse") {
    steps_.push_back({Step::Kind::kFuse, "", ""});
  } else if (type == "Replace") {
    FRUGAL_ASSIGN_OR_RETURN(std::string to, base::json_get<std::string>(json, "content", kWhere));
    FRUGAL_ASSIGN_OR_RETURN(const base::Json pattern,
                            base::json_get<base::Json>(json, "pattern", kWhere));
    FRUGAL_ASSIGN_OR_RETURN(std::string from,
                            base::json_get<std::string>(pattern, "String", kWhere));
    steps_.push_back({Step::Kind::kReplace, std::move(from), std::move(to)});
  } else if (type == "Strip") {
    FRUGAL_ASSIGN_OR_RETURN(std::string content,
                            base::json_get<std::string>(json, "content", kWhere));
    FRUGAL_ASSIGN_OR_RETURN(const int64_t start,
                            base::json_get_or<int64_t>(json, "start", 0, kWhere));
    FRUGAL_ASSIGN_OR_RETURN(const int64_t stop,
                            base::json_get_or<int64_t>(json, "stop", 0, kWhere));
    steps_.push_back({Step::Kind::kStrip, std::move(content), "", start, stop});
  } else if (type == "Metaspace") {
    FRUGAL_ASSIGN_OR_RETURN(
        std::string mark,
        base::json_get_or<std::string>(json, "replacement", std::string(kSpaceMark), kWhere));
    FRUGAL_ASSIGN_OR_RETURN(const bool prefix,
                            base::json_get_or<bool>(json, "add_prefix_space", true, kWhere));
    FRUGAL_ASSIGN_OR_RETURN(const std::string scheme,
                            base::json_get_or<std::string>(json, "prepend_scheme",
                                                           prefix ? "always" : "never", kWhere));
    steps_.push_back({Step::Kind::kMetaspace, std::move(mark), " ", scheme == "never" ? 0 : 1});
  } else if (type == "Sequence") {
    FRUGAL_ASSIGN_OR_RETURN(const base::Json list,
                            base::json_get<base::Json>(json, "decoders", kWhere));
    if (!list.is_array()) return base::invalid_argument(kWhere, ": 'decoders' must be a list");
    for (const base::Json& item : list) FRUGAL_RETURN_IF_ERROR(add(item, depth + 1));
  } else {
    return base::unimplemented(kWhere, " of type '", type,
                               "' is not supported; supported: ByteLevel, ByteFallback, Fuse, "
                               "Replace, Strip, Metaspace, Sequence");
  }
  return absl::OkStatus();
}

Decoder Decoder::sentencepiece(bool strip_leading_space) {
  Decoder decoder;
  decoder.steps_.push_back({Step::Kind::kReplace, std::string(kSpaceMark), " "});
  decoder.steps_.push_back({Step::Kind::kByteFallback, "", ""});
  decoder.steps_.push_back({Step::Kind::kFuse, "", ""});
  if (strip_leading_space) decoder.steps_.push_back({Step::Kind::kStrip, " ", "", 1, 0});
  return decoder;
}

void Decoder::apply(const Step& step, std::vector<std::string>& pieces) {
  switch (step.kind) {
    case Step::Kind::kByteLevel:
      for (std::string& piece : pieces) {
        if (std::optional<std::string> bytes = from_byte_level(piece)) piece = *std::move(bytes);
      }
      fuse(pieces);
      break;
    case Step::Kind::kReplace:
      for (std::string& piece : pieces) replace_in_place(piece, step.from, step.to);
      break;
    case Step::Kind::kByteFallback:
      for (std::string& piece : pieces) {
        if (const auto byte = parse_byte_piece(piece)) piece.assign(1, static_cast<char>(*byte));
      }
      break;
    case Step::Kind::kFuse:
      fuse(pieces);
      break;
    case Step::Kind::kStrip:
      for (std::string& piece : pieces) strip(piece, step.from, step.start, step.stop);
      break;
    case Step::Kind::kMetaspace:
      for (size_t i = 0; i < pieces.size(); ++i) {
        replace_in_place(pieces[i], step.from,
                         i == 0 && step.start == 1 ? std::string_view() : step.to);
      }
      break;
  }
}

std::string Decoder::decode(std::vector<std::string> pieces) const {
  for (const Step& step : steps_) apply(step, pieces);
  std::string text;
  for (const std::string& piece : pieces) text += piece;
  return text;
}

}  // namespace frugal::text
