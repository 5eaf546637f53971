#include "text/pre_tokenizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "text/normalizer.h"
#include "text/tokenizer.h"

namespace frugal::text {
namespace {

constexpr std::string_view kWhere = "pre_tokenizer";
constexpr int kMaxDepth = 16;

struct NamedPattern {
  std::string_view name;
  std::string_view pattern;
};
// The first spelling of a name is the one we write.
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::array kPatterns = {
    NamedPattern{"gpt-2", kGpt2},
    NamedPattern{
        "llama-bpe",
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    NamedPattern{
        "qwen2",
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    NamedPattern{
        "gpt-4o",
        R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
};

struct Piece {
  size_t begin;
  size_t end;
  bool match;
};

// Matches and what lies between them, in order, covering the text.
std::vector<Piece> pieces_of(const Regex& pattern, bool invert, std::string_view text) {
  std::vector<Piece> pieces;
  size_t done = 0;
  pattern.for_each_match(text, [&](size_t begin, size_t end) {
    if (done < begin) pieces.push_back({done, begin, invert});
    pieces.push_back({begin, end, !invert});
    done = end;
  });
  if (done < text.size()) pieces.push_back({done, text.size(), invert});
  return pieces;
}

std::string with_spaces_replaced(std::string_view text, std::string_view replacement) {
  std::string out;
  for (const char c : text) {
    if (c == ' ')
      out += replacement;
    else
      out += c;
  }
  return out;
}

}  // namespace

std::string_view pre_tokenizer_pattern(std::string_view name) {
  for (const NamedPattern& entry : kPatterns) {
    if (entry.name == name) return entry.pattern;
  }
  return {};
}

std::vector<std::string> named_pre_tokenizers() {
  std::vector<std::string> names;
  for (const NamedPattern& entry : kPatterns) names.emplace_back(entry.name);
  names.emplace_back("smollm");  // a sequence of two: see llamacpp_name
  return names;
}

absl::StatusOr<PreTokenizer> PreTokenizer::parse(const base::Json& json) {
  PreTokenizer result;
  if (!json.is_null()) FRUGAL_RETURN_IF_ERROR(result.add(json, 0));
  return result;
}

absl::Status PreTokenizer::add(const base::Json& json, int depth) {
  if (depth > kMaxDepth) return base::invalid_argument(kWhere, ": nested deeper than ", kMaxDepth);
  FRUGAL_ASSIGN_OR_RETURN(const std::string type,
                          base::json_get<std::string>(json, "type", kWhere));
  if (byte_level_)
    return base::unimplemented(kWhere, " '", type, "' behind ByteLevel is not supported");
  if (type == "Split") return add_split(json);
  if (type == "ByteLevel") return add_byte_level(json);
  if (type == "Metaspace") return add_metaspace(json);
  if (type == "Digits") {
    FRUGAL_ASSIGN_OR_RETURN(const bool single,
                            base::json_get_or<bool>(json, "individual_digits", false, kWhere));
    FRUGAL_ASSIGN_OR_RETURN(Regex digit, Regex::compile("\\p{N}"));
    steps_.push_back({Step::Kind::kDigits, std::make_shared<Regex>(std::move(digit)),
                      single ? Behavior::kIsolated : Behavior::kContiguous, false, "", ""});
    return absl::OkStatus();
  }
  if (type != "Sequence") {
    return base::unimplemented(
        kWhere, " of type '", type,
        "' is not supported; supported: Split, Digits, ByteLevel, Metaspace, Sequence");
  }
  FRUGAL_ASSIGN_OR_RETURN(const base::Json list,
                          base::json_get<base::Json>(json, "pretokenizers", kWhere));
  if (!list.is_array()) return base::invalid_argument(kWhere, ": 'pretokenizers' must be a list");
  for (const base::Json& item : list) FRUGAL_RETURN_IF_ERROR(add(item, depth + 1));
  return absl::OkStatus();
}

absl::StatusOr<PreTokenizer::Behavior> PreTokenizer::parse_behavior(const std::string& name) {
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  return base::invalid_argument(kWhere, " Split: unknown behavior '", name, "'");
}

absl::Status PreTokenizer::add_split(const base::Json& json) {
  FRUGAL_ASSIGN_OR_RETURN(const base::Json pattern,
                          base::json_get<base::Json>(json, "pattern", kWhere));
  FRUGAL_ASSIGN_OR_RETURN(Regex regex, parse_pattern(pattern, "pre_tokenizer Split"));
  FRUGAL_ASSIGN_OR_RETURN(const std::string name,
                          base::json_get<std::string>(json, "behavior", kWhere));
  FRUGAL_ASSIGN_OR_RETURN(const Behavior behavior, parse_behavior(name));
  FRUGAL_ASSIGN_OR_RETURN(const bool invert,
                          base::json_get_or<bool>(json, "invert", false, kWhere));
  steps_.push_back(
      {Step::Kind::kSplit, std::make_shared<Regex>(std::move(regex)), behavior, invert, "", ""});
  return absl::OkStatus();
}

absl::Status PreTokenizer::add_byte_level(const base::Json& json) {
  FRUGAL_ASSIGN_OR_RETURN(const bool prefix,
                          base::json_get_or<bool>(json, "add_prefix_space", true, kWhere));
  FRUGAL_ASSIGN_OR_RETURN(const bool use_regex,
                          base::json_get_or<bool>(json, "use_regex", true, kWhere));
  if (prefix)
    steps_.push_back({Step::Kind::kAddPrefixSpace, nullptr, Behavior::kIsolated, false, "", ""});
  if (use_regex) {
    FRUGAL_ASSIGN_OR_RETURN(Regex regex, Regex::compile(kGpt2));
    steps_.push_back({Step::Kind::kSplit, std::make_shared<Regex>(std::move(regex)),
                      Behavior::kIsolated, false, "", ""});
  }
  byte_level_ = true;
  return absl::OkStatus();
}

absl::Status PreTokenizer::add_metaspace(const base::Json& json) {
  Step step;
  step.kind = Step::Kind::kMetaspace;
  FRUGAL_ASSIGN_OR_RETURN(step.replacement, base::json_get_or<std::string>(json, "replacement",
                                                                           "\xE2\x96\x81", kWhere));
  // Files older than tokenizers 0.15 have add_prefix_space in place of prepend_scheme.
  FRUGAL_ASSIGN_OR_RETURN(const bool prefix,
                          base::json_get_or<bool>(json, "add_prefix_space", true, kWhere));
  FRUGAL_ASSIGN_OR_RETURN(
      step.prepend_scheme,
      base::json_get_or<std::string>(json, "prepend_scheme", prefix ? "always" : "never", kWhere));
  if (step.prepend_scheme != "always" && step.prepend_scheme != "first" &&
      step.prepend_scheme != "never") {
    return base::invalid_argument(kWhere, " Metaspace: prepend_scheme '", step.prepend_scheme,
                                  "'; expected always, first or never");
  }
  if (step.replacement.empty())
    return base::invalid_argument(kWhere, " Metaspace: empty replacement");
  FRUGAL_ASSIGN_OR_RETURN(const bool split, base::json_get_or<bool>(json, "split", true, kWhere));
  if (split) step.pattern = std::make_shared<Regex>(Regex::literal(step.replacement));
  step.behavior = Behavior::kMergedWithNext;
  steps_.push_back(std::move(step));
  return absl::OkStatus();
}

bool PreTokenizer::prepends_space() const {
  return std::any_of(steps_.begin(), steps_.end(), [](const Step& step) {
    return step.kind == Step::Kind::kAddPrefixSpace ||
           (step.kind == Step::Kind::kMetaspace && step.prepend_scheme != "never");
  });
}

void PreTokenizer::cut(const Step& step, std::string_view text,
                       std::vector<std::string_view>& out) {
  std::vector<Piece> pieces = pieces_of(*step.pattern, step.invert, text);
  std::vector<Piece> kept;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Piece& piece = pieces[i];
    const bool has_previous = i > 0;
    bool join = false;
    switch (step.behavior) {
      case Behavior::kRemoved:
        if (piece.match) continue;
        break;
      case Behavior::kIsolated:
        break;
      case Behavior::kMergedWithPrevious:
        join = has_previous && piece.match && !pieces[i - 1].match;
        break;
      case Behavior::kMergedWithNext:
        join = has_previous && !piece.match && pieces[i - 1].match;
        break;
      case Behavior::kContiguous:
        join = has_previous && piece.match == pieces[i - 1].match;
        break;
    }
    if (join)
      kept.back().end = piece.end;
    else
      kept.push_back(piece);
  }
  for (const Piece& piece : kept) out.push_back(text.substr(piece.begin, piece.end - piece.begin));
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text, bool at_start,
                                                  std::deque<std::string>& storage) const {
  std::vector<std::string_view> segments;
  if (!text.empty()) segments.push_back(text);
  for (const Step& step : steps_) {
    std::vector<std::string_view> next;
    for (size_t i = 0; i < segments.size(); ++i) {
      std::string_view segment = segments[i];
      if (step.kind == Step::Kind::kAddPrefixSpace && segment.front() != ' ') {
        segment = storage.emplace_back(base::str_cat(" ", segment));
      } else if (step.kind == Step::Kind::kMetaspace) {
        std::string marked = with_spaces_replaced(segment, step.replacement);
        const bool wanted = step.prepend_scheme == "always" ||
                            (step.prepend_scheme == "first" && at_start && i == 0);
        if (wanted && !marked.starts_with(step.replacement)) marked.insert(0, step.replacement);
        segment = storage.emplace_back(std::move(marked));
      }
      if (step.pattern != nullptr)
        cut(step, segment, next);
      else
        next.push_back(segment);
    }
    segments = std::move(next);
  }
  return segments;
}

std::string PreTokenizer::llamacpp_name() const {
  if (!byte_level_) return "";
  std::vector<const Step*> rest;
  for (const Step& step : steps_) {
    if (step.kind == Step::Kind::kAddPrefixSpace || step.kind == Step::Kind::kMetaspace) return "";
    rest.push_back(&step);
  }
  const auto is_split = [](const Step& step) {
    return step.kind == Step::Kind::kSplit && step.behavior == Behavior::kIsolated && !step.invert;
  };
  if (rest.size() == 2 && rest[0]->kind == Step::Kind::kDigits &&
      rest[0]->behavior == Behavior::kIsolated && is_split(*rest[1]) &&
      rest[1]->pattern->pattern() == kGpt2) {
    return "smollm";
  }
  if (rest.size() != 1 || !is_split(*rest[0])) return "";
  for (const NamedPattern& entry : kPatterns) {
    if (entry.pattern == rest[0]->pattern->pattern()) return std::string(entry.name);
  }
  return "";
}

}  // namespace frugal::text
