#include "text/pre_tokenizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "text/definition.h"
#include "text/normalizer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace frugal::text {
namespace {

constexpr std::string_view kWhere = "pre_tokenizer";
constexpr int kMaxDepth = 16;
constexpr size_t kMaxSteps = 64;
// Of Hugging Face's pre-tokenizers: words and runs of signs; Unicode's P and ASCII's signs.
constexpr std::string_view kWords = R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}]+)"
                                    R"(|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}\s]+)";
constexpr std::string_view kPunctuation = R"([\p{P}!-/:-@\[-`{-~])";
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581 "▁"

struct NamedPattern {
  std::string_view name;
  SplitPattern pattern;
};
// llama.cpp's names; the first spelling of a name is the one we write.
constexpr std::array kPatterns = {
    NamedPattern{"gpt-2", SplitPattern::kGpt2}, NamedPattern{"llama-bpe", SplitPattern::kLlama3},
    NamedPattern{"qwen2", SplitPattern::kQwen2}, NamedPattern{"gpt-4o", SplitPattern::kGpt4o}};

std::string_view gpt2_pattern() { return pattern_text(SplitPattern::kGpt2); }

// Other names that llama.cpp has for a pattern, and how it merges behind it.
struct Alias {
  std::string_view name;
  std::string_view pattern;  // a name of kPatterns, or kSmollm
  bool ignore_merges = false;
  bool add_bos = false;
};
constexpr std::string_view kSmollm = "smollm";  // digits one by one, then the pattern of gpt-2
constexpr std::array kAliases = {
    Alias{"gpt-2", "gpt-2"},
    Alias{"phi-2", "gpt-2"},
    Alias{"mpt", "gpt-2"},
    Alias{"olmo", "gpt-2"},
    Alias{"exaone4", "gpt-2"},
    Alias{"llama-bpe", "llama-bpe", true, true},
    Alias{"llama3", "llama-bpe", true, true},
    Alias{"llama-v3", "llama-bpe", true, true},
    Alias{"falcon3", "llama-bpe", true, true},
    Alias{"smaug-bpe", "llama-bpe"},
    Alias{"dbrx", "llama-bpe"},
    Alias{"qwen2", "qwen2"},
    Alias{"deepseek-r1-qwen", "qwen2"},
    Alias{"stablelm2", "qwen2"},
    Alias{"gpt-4o", "gpt-4o"},
    Alias{"llama4", "gpt-4o"},
    Alias{"smollm", kSmollm},
    Alias{"starcoder", kSmollm},
    Alias{"refact", kSmollm},
    Alias{"command-r", kSmollm},
    Alias{"codeshell", kSmollm},
    Alias{"exaone", kSmollm},
};

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
    if (entry.name == name) return pattern_text(entry.pattern);
  }
  return {};
}

std::vector<std::string> named_pre_tokenizers() {
  std::vector<std::string> names;
  for (const NamedPattern& entry : kPatterns) names.emplace_back(entry.name);
  names.emplace_back(kSmollm);  // a sequence of two: see llamacpp_name
  return names;
}

absl::StatusOr<NamedPreTokenizer> named_pre_tokenizer(std::string_view name) {
  std::vector<std::string> names;
  for (const Alias& alias : kAliases) {
    names.emplace_back(alias.name);
    if (alias.name != name) continue;
    NamedPreTokenizer result{
        .component = nullptr, .ignore_merges = alias.ignore_merges, .add_bos = alias.add_bos};
    const bool digits = alias.pattern == kSmollm;
    result.component =
        byte_level_pre_tokenizer(digits ? gpt2_pattern() : pre_tokenizer_pattern(alias.pattern));
    if (!digits) return result;
    base::Json& steps = result.component["pretokenizers"];
    steps.insert(steps.begin(), base::Json{{"type", "Digits"}, {"individual_digits", true}});
    return result;
  }
  return base::unimplemented("llama.cpp's pre-tokenizer '", name.substr(0, 80),
                             "' is not known; frugal reads ", base::join(names, ", "));
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
  if (steps_.size() >= kMaxSteps)
    return base::invalid_argument(kWhere, ": more than ", kMaxSteps, " steps");
  if (byte_level_)
    return base::unimplemented(kWhere, " '", type, "' behind ByteLevel is not supported");
  if (type == "Split") return add_split(json);
  if (type == "ByteLevel") return add_byte_level(json);
  if (type == "Metaspace") return add_metaspace(json);
  if (type == "Digits") {
    FRUGAL_ASSIGN_OR_RETURN(const bool single,
                            base::json_get_or<bool>(json, "individual_digits", false, kWhere));
    return add_pattern(Step::Kind::kDigits, pattern_text(SplitPattern::kNumber),
                       single ? Behavior::kIsolated : Behavior::kContiguous);
  }
  if (type == "Whitespace")
    return add_pattern(Step::Kind::kSplit, kWords, Behavior::kRemoved, true);
  if (type == "WhitespaceSplit") return add_pattern(Step::Kind::kSplit, "\\s", Behavior::kRemoved);
  if (type == "Punctuation") {
    base::Json given = json;
    given.emplace("behavior", "Isolated");
    FRUGAL_ASSIGN_OR_RETURN(const Behavior behavior, parse_behavior(given));
    return add_pattern(Step::Kind::kSplit, kPunctuation, behavior);
  }
  if (type == "BertPreTokenizer") {
    FRUGAL_RETURN_IF_ERROR(add_pattern(Step::Kind::kSplit, "\\s", Behavior::kRemoved));
    return add_pattern(Step::Kind::kSplit, kPunctuation, Behavior::kIsolated);
  }
  if (type == "CharDelimiterSplit") return add_delimiter(json);
  if (type != "Sequence") {
    return base::unimplemented(kWhere, " of type '", type,
                               "' is not supported; supported: Split, Digits, Whitespace, "
                               "WhitespaceSplit, Punctuation, BertPreTokenizer, "
                               "CharDelimiterSplit, ByteLevel, Metaspace, Sequence");
  }
  FRUGAL_ASSIGN_OR_RETURN(const base::Json list,
                          base::json_get<base::Json>(json, "pretokenizers", kWhere));
  if (!list.is_array()) return base::invalid_argument(kWhere, ": 'pretokenizers' must be a list");
  for (const base::Json& item : list) FRUGAL_RETURN_IF_ERROR(add(item, depth + 1));
  return absl::OkStatus();
}

absl::Status PreTokenizer::add_pattern(Step::Kind kind, std::string_view pattern, Behavior behavior,
                                       bool invert) {
  FRUGAL_ASSIGN_OR_RETURN(Regex regex, Regex::compile(pattern));
  steps_.push_back({kind, std::make_shared<Regex>(std::move(regex)), behavior, invert, "", ""});
  return absl::OkStatus();
}

absl::Status PreTokenizer::add_delimiter(const base::Json& json) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string delimiter,
                          base::json_get<std::string>(json, "delimiter", kWhere));
  if (delimiter.empty() || first_character(delimiter).length != delimiter.size())
    return base::invalid_argument(kWhere, " CharDelimiterSplit: '", delimiter.substr(0, 40),
                                  "' is not one character");
  steps_.push_back({Step::Kind::kSplit, std::make_shared<Regex>(Regex::literal(delimiter)),
                    Behavior::kRemoved, false, "", ""});
  return absl::OkStatus();
}

absl::StatusOr<PreTokenizer::Behavior> PreTokenizer::parse_behavior(const base::Json& json) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string name,
                          base::json_get<std::string>(json, "behavior", kWhere));
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  return base::invalid_argument(kWhere, ": unknown behavior '", name, "'");
}

absl::Status PreTokenizer::add_split(const base::Json& json) {
  FRUGAL_ASSIGN_OR_RETURN(const base::Json pattern,
                          base::json_get<base::Json>(json, "pattern", kWhere));
  FRUGAL_ASSIGN_OR_RETURN(Regex regex, parse_pattern(pattern, "pre_tokenizer Split"));
  FRUGAL_ASSIGN_OR_RETURN(const Behavior behavior, parse_behavior(json));
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
  if (use_regex)
    FRUGAL_RETURN_IF_ERROR(add_pattern(Step::Kind::kSplit, gpt2_pattern(), Behavior::kIsolated));
  byte_level_ = true;
  return absl::OkStatus();
}

absl::Status PreTokenizer::add_metaspace(const base::Json& json) {
  Step step;
  step.kind = Step::Kind::kMetaspace;
  FRUGAL_ASSIGN_OR_RETURN(
      step.replacement,
      base::json_get_or<std::string>(json, "replacement", std::string(kSpaceMark), kWhere));
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

bool PreTokenizer::joins(Behavior behavior, const Piece& before, const Piece& piece) {
  switch (behavior) {
    case Behavior::kRemoved:
    case Behavior::kIsolated:
      return false;
    case Behavior::kMergedWithPrevious:
      return piece.match && !before.match;
    case Behavior::kMergedWithNext:
      return !piece.match && before.match;
    case Behavior::kContiguous:
      return piece.match == before.match;
  }
  return false;
}

void PreTokenizer::cut(const Step& step, std::string_view text,
                       absl::FunctionRef<void(size_t, size_t)> part) {
  // Matches and what lies between them, in order, covering the text.
  Piece before{0, 0, false};
  size_t begin = 0;  // of the part that `before` ends
  const auto close = [&] {
    const bool removed = step.behavior == Behavior::kRemoved && before.match;
    if (begin < before.end && !removed) part(begin, before.end);
  };
  const auto add = [&](const Piece& piece) {
    if (before.end == 0 || !joins(step.behavior, before, piece)) {
      close();
      begin = piece.begin;
    }
    before = piece;
  };
  step.pattern->for_each_match(text, [&](size_t match_begin, size_t match_end) {
    if (before.end < match_begin) add({before.end, match_begin, step.invert});
    add({match_begin, match_end, !step.invert});
  });
  if (before.end < text.size()) add({before.end, text.size(), step.invert});
  close();
}

std::string_view PreTokenizer::rewrite(const Step& step, std::string_view text, Place place,
                                       std::string& storage) {
  if (step.kind == Step::Kind::kAddPrefixSpace) {
    if (text.front() == ' ' || place == Place::kContinued) return text;
    return storage = base::str_cat(" ", text);
  }
  if (step.kind != Step::Kind::kMetaspace) return text;
  storage = with_spaces_replaced(text, step.replacement);
  const bool wanted = step.prepend_scheme == "always"
                          ? place != Place::kContinued
                          : step.prepend_scheme == "first" && place == Place::kStart;
  if (wanted && !storage.starts_with(step.replacement)) storage.insert(0, step.replacement);
  return storage;
}

void PreTokenizer::apply(size_t index, std::string_view text, Place place, Segment segment) const {
  if (index == steps_.size()) return segment(text);
  const Step& step = steps_[index];
  std::string storage;
  const std::string_view now = rewrite(step, text, place, storage);
  if (step.pattern == nullptr) return apply(index + 1, now, place, segment);
  cut(step, now, [&](size_t begin, size_t end) {
    const bool start = begin == 0 && place == Place::kStart;
    apply(index + 1, now.substr(begin, end - begin), start ? Place::kStart : Place::kInside,
          segment);
  });
}

void PreTokenizer::split(std::string_view text, Place place, Segment segment) const {
  if (!text.empty()) apply(0, text, place, segment);
}

std::vector<size_t> PreTokenizer::cuts(std::string_view text, Place place) const {
  // Later steps see the segments of the first one that cuts, so that its cuts are theirs.
  const auto first = std::find_if(steps_.begin(), steps_.end(),
                                  [](const Step& step) { return step.pattern != nullptr; });
  std::vector<size_t> offsets;
  if (first == steps_.end() || text.empty()) return offsets;
  const bool rewritten = std::any_of(steps_.begin(), first, [](const Step& step) {
    return step.kind != Step::Kind::kAddPrefixSpace;
  });
  if (rewritten) return offsets;
  if (first->kind == Step::Kind::kMetaspace) {  // a segment begins at each space
    if (first->replacement != kSpaceMark) return offsets;
    for (size_t at = text.find(' ', 1); at != text.npos; at = text.find(' ', at + 1))
      offsets.push_back(at);
    return offsets;
  }
  const bool prefixed =
      first != steps_.begin() && text.front() != ' ' && place != Place::kContinued;
  const std::string storage = prefixed ? base::str_cat(" ", text) : "";
  const size_t shift = prefixed ? 1 : 0;
  Piece before{0, 0, false};
  bool any = false;
  const auto add = [&](const Piece& piece) {
    if (any && piece.begin > shift && !joins(first->behavior, before, piece))
      offsets.push_back(piece.begin - shift);
    before = piece;
    any = true;
  };
  first->pattern->for_each_settled_match(prefixed ? storage : text, [&](size_t begin, size_t end) {
    const size_t done = before.end;
    if (done < begin) add({done, begin, first->invert});
    add({begin, end, !first->invert});
  });
  return offsets;
}

bool PreTokenizer::leaves_words_whole() const {
  return marks_spaces() || std::all_of(steps_.begin(), steps_.end(), [](const Step& step) {
           return step.kind == Step::Kind::kAddPrefixSpace ||
                  (step.kind == Step::Kind::kSplit && step.pattern->is_literal() &&
                   step.pattern->pattern() == " ");
         });
}

bool PreTokenizer::marks_spaces() const {
  return !steps_.empty() && std::all_of(steps_.begin(), steps_.end(), [](const Step& step) {
    return step.kind == Step::Kind::kMetaspace && step.pattern == nullptr &&
           step.replacement == kSpaceMark;
  });
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
      rest[1]->pattern->pattern() == gpt2_pattern()) {
    return std::string(kSmollm);
  }
  if (rest.size() != 1 || !is_split(*rest[0])) return "";
  for (const NamedPattern& entry : kPatterns) {
    if (pattern_text(entry.pattern) == rest[0]->pattern->pattern()) return std::string(entry.name);
  }
  return "";
}

}  // namespace frugal::text
