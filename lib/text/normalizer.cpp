#include "text/normalizer.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "text/base64.h"
#include "text/characters.h"
#include "text/unicode_form.h"
#include "text/utf8.h"

namespace frugal::text {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581 "▁"
constexpr int kMaxDepth = 16;
constexpr size_t kMaxSteps = 64;
constexpr std::string_view kWhere = "normalizer";

// Strips spaces at both ends and folds runs of them into one (SentencePiece, normalizer.cc).
std::string remove_extra_whitespace(std::string_view text, bool continued) {
  std::string out;
  for (const char c : text) {
    const bool folds = out.empty() ? !continued : out.back() == ' ';
    if (c != ' ' || !folds) out.push_back(c);
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::string_view strip_white_space(std::string_view text, bool left, bool right) {
  while (left && !text.empty()) {
    const Utf8Character front = first_character(text);
    if (!is_white_space(front.code_point)) break;
    text.remove_prefix(front.length);
  }
  while (right && !text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
    if (!is_white_space(first_character(text.substr(begin)).code_point)) break;
    text = text.substr(0, begin);
  }
  return text;
}

std::string map_characters(std::string_view text, void (*append)(char32_t, std::string&)) {
  std::string out;
  while (!text.empty()) {
    const Utf8Character character = first_character(text);
    append(character.code_point, out);
    text.remove_prefix(character.length);
  }
  return out;
}

std::string replace_all(std::string_view text, const Regex& pattern, std::string_view content) {
  std::string out;
  size_t done = 0;
  pattern.for_each_match(text, [&](size_t begin, size_t end) {
    out += text.substr(done, begin - done);
    out += content;
    done = end;
  });
  out += text.substr(done);
  return out;
}

}  // namespace

absl::StatusOr<Regex> parse_pattern(const base::Json& json, std::string_view where) {
  if (json.is_object() && json.size() == 1 && json.begin().value().is_string()) {
    const auto& text = json.begin().value().get_ref<const std::string&>();
    if (json.begin().key() == "String") return Regex::literal(text);
    if (json.begin().key() == "Regex") {
      auto regex = Regex::compile(text);
      return regex.ok() ? std::move(regex)
                        : absl::StatusOr<Regex>(base::annotate(regex.status(), where));
    }
  }
  return base::invalid_argument(where, ": pattern must be {\"String\": text} or {\"Regex\": text}");
}

absl::StatusOr<Normalizer> Normalizer::parse(const base::Json& json) {
  Normalizer normalizer;
  if (!json.is_null()) FRUGAL_RETURN_IF_ERROR(normalizer.add(json, 0));
  return normalizer;
}

absl::Status Normalizer::add(const base::Json& json, int depth) {
  if (depth > kMaxDepth) return base::invalid_argument(kWhere, ": nested deeper than ", kMaxDepth);
  if (steps_.size() >= kMaxSteps)
    return base::invalid_argument(kWhere, ": more than ", kMaxSteps, " steps");
  FRUGAL_ASSIGN_OR_RETURN(const std::string type,
                          base::json_get<std::string>(json, "type", kWhere));
  if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
    steps_.push_back({.kind = Step::Kind::kUnicode, .text = type});
  } else if (type == "Prepend") {
    FRUGAL_ASSIGN_OR_RETURN(std::string text, base::json_get<std::string>(json, "prepend", kWhere));
    steps_.push_back({.kind = Step::Kind::kPrepend, .text = std::move(text)});
  } else if (type == "Replace") {
    return add_replace(json);
  } else if (type == "Strip") {
    return add_strip(json);
  } else if (type == "StripAccents") {
    steps_.push_back({.kind = Step::Kind::kStripAccents});
  } else if (type == "Lowercase") {
    steps_.push_back({.kind = Step::Kind::kLowercase});
  } else if (type == "Nmt") {
    steps_.push_back({.kind = Step::Kind::kNmt});
  } else if (type == "Precompiled") {
    return add_precompiled(json);
  } else if (type == "Sequence") {
    FRUGAL_ASSIGN_OR_RETURN(const base::Json list,
                            base::json_get<base::Json>(json, "normalizers", kWhere));
    if (!list.is_array()) return base::invalid_argument(kWhere, ": 'normalizers' must be a list");
    for (const base::Json& item : list) FRUGAL_RETURN_IF_ERROR(add(item, depth + 1));
  } else {
    return base::unimplemented(
        kWhere, " of type '", type,
        "' is not supported; supported: NFC, NFD, NFKC, NFKD, Prepend, Replace, Strip, "
        "StripAccents, Lowercase, Nmt, Precompiled, Sequence");
  }
  return absl::OkStatus();
}

absl::Status Normalizer::add_replace(const base::Json& json) {
  FRUGAL_ASSIGN_OR_RETURN(std::string text, base::json_get<std::string>(json, "content", kWhere));
  FRUGAL_ASSIGN_OR_RETURN(const base::Json pattern,
                          base::json_get<base::Json>(json, "pattern", kWhere));
  FRUGAL_ASSIGN_OR_RETURN(Regex regex, parse_pattern(pattern, kWhere));
  steps_.push_back({.kind = Step::Kind::kReplace,
                    .text = std::move(text),
                    .pattern = std::make_shared<Regex>(std::move(regex))});
  return absl::OkStatus();
}

absl::Status Normalizer::add_strip(const base::Json& json) {
  FRUGAL_ASSIGN_OR_RETURN(const bool left, base::json_get<bool>(json, "strip_left", kWhere));
  FRUGAL_ASSIGN_OR_RETURN(const bool right, base::json_get<bool>(json, "strip_right", kWhere));
  steps_.push_back({.kind = Step::Kind::kStrip, .left = left, .right = right});
  return absl::OkStatus();
}

absl::Status Normalizer::add_precompiled(const base::Json& json) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string text,
                          base::json_get<std::string>(json, "precompiled_charsmap", kWhere));
  const std::optional<std::string> table = decode_base64(text);
  if (!table)
    return base::invalid_argument(kWhere, " Precompiled: 'precompiled_charsmap' is no base64");
  absl::StatusOr<CharacterMap> map = CharacterMap::read(*table);
  if (!map.ok()) return base::annotate(map.status(), base::str_cat(kWhere, " Precompiled"));
  steps_.push_back({.kind = Step::Kind::kPrecompiled,
                    .map = std::make_shared<const CharacterMap>(*std::move(map))});
  return absl::OkStatus();
}

Normalizer Normalizer::sentencepiece(std::shared_ptr<const CharacterMap> map,
                                     bool remove_extra_whitespace, bool add_dummy_prefix,
                                     bool escape_whitespace) {
  Normalizer normalizer;
  if (map != nullptr)
    normalizer.steps_.push_back({.kind = Step::Kind::kCharacterMap, .map = std::move(map)});
  if (remove_extra_whitespace)
    normalizer.steps_.push_back({.kind = Step::Kind::kRemoveExtraWhitespace});
  if (add_dummy_prefix) normalizer.steps_.push_back({.kind = Step::Kind::kPrepend, .text = " "});
  if (escape_whitespace) {
    normalizer.steps_.push_back({.kind = Step::Kind::kReplace,
                                 .text = std::string(kSpaceMark),
                                 .pattern = std::make_shared<Regex>(Regex::literal(" "))});
  }
  return normalizer;
}

bool Normalizer::prepends_space() const {
  return std::any_of(steps_.begin(), steps_.end(), [](const Step& step) {
    return step.kind == Step::Kind::kPrepend && (step.text == " " || step.text == kSpaceMark);
  });
}

std::string Normalizer::apply(const Step& step, std::string text, bool continued) {
  switch (step.kind) {
    case Step::Kind::kUnicode:
      return normalize_unicode(text, step.text);
    case Step::Kind::kPrepend:
      return text.empty() || continued ? std::move(text) : base::str_cat(step.text, text);
    case Step::Kind::kReplace:
      return replace_all(text, *step.pattern, step.text);
    case Step::Kind::kStrip:
      return std::string(strip_white_space(text, step.left, step.right));
    case Step::Kind::kStripAccents:
      return map_characters(text, append_unless_mark);
    case Step::Kind::kLowercase:
      return map_characters(text, append_lower);
    case Step::Kind::kNmt:
      return map_characters(text, append_nmt);
    case Step::Kind::kPrecompiled:
      return step.map->apply_graphemes(text);
    case Step::Kind::kCharacterMap:
      return step.map->apply_longest(text);
    case Step::Kind::kRemoveExtraWhitespace:
      return remove_extra_whitespace(text, continued);
  }
  return text;
}

std::string Normalizer::apply(std::string_view text, bool continued) const {
  std::string now(text);
  for (const Step& step : steps_) now = apply(step, std::move(now), continued);
  return now;
}

bool Normalizer::can_continue() const {
  bool ascii = true;  // the character behind the cut is ASCII still
  for (const Step& step : steps_) {
    switch (step.kind) {
      case Step::Kind::kUnicode:
        // Nothing in front of an ASCII character combines with it.
        if (!ascii) return false;
        continue;
      case Step::Kind::kStrip:
      case Step::Kind::kPrecompiled:
      case Step::Kind::kCharacterMap:
        return false;  // look at more than one character, which may be of any kind
      case Step::Kind::kReplace:
        break;
      default:
        continue;
    }
    const std::string& pattern = step.pattern->pattern();
    const bool one_character = step.pattern->is_literal() && !pattern.empty() &&
                               first_character(pattern).length == pattern.size();
    if (!one_character || step.text.empty() || step.text.front() == ' ') return false;
    ascii = ascii && static_cast<signed char>(step.text.front()) >= 0;
  }
  return true;
}

}  // namespace frugal::text
