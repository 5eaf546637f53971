#include "text/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

#include "text/utf8.h"

namespace frugal::text {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581 "▁"
constexpr int kMaxDepth = 16;

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

std::string normalize_unicode(std::string_view text, std::string_view form) {
  const bool ascii = std::none_of(text.begin(), text.end(),
                                  [](char c) { return static_cast<signed char>(c) < 0; });
  if (ascii) return std::string(text);
  int options = UTF8PROC_STABLE;
  options |= form.ends_with('C') ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form.starts_with("NFK")) options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* raw = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                 static_cast<utf8proc_ssize_t>(text.size()), &raw,
                                 static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(raw, &std::free);
  if (size < 0) throw std::bad_alloc();  // the text is valid UTF-8: only memory can run out
  return {reinterpret_cast<const char*>(raw), static_cast<size_t>(size)};
}

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
  constexpr std::string_view kWhere = "normalizer";
  if (depth > kMaxDepth) return base::invalid_argument(kWhere, ": nested deeper than ", kMaxDepth);
  FRUGAL_ASSIGN_OR_RETURN(const std::string type,
                          base::json_get<std::string>(json, "type", kWhere));
  if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
    steps_.push_back({Step::Kind::kUnicode, type, nullptr});
  } else if (type == "Prepend") {
    FRUGAL_ASSIGN_OR_RETURN(std::string text, base::json_get<std::string>(json, "prepend", kWhere));
    steps_.push_back({Step::Kind::kPrepend, std::move(text), nullptr});
  } else if (type == "Replace") {
    FRUGAL_ASSIGN_OR_RETURN(std::string text, base::json_get<std::string>(json, "content", kWhere));
    FRUGAL_ASSIGN_OR_RETURN(const base::Json pattern,
                            base::json_get<base::Json>(json, "pattern", kWhere));
    FRUGAL_ASSIGN_OR_RETURN(Regex regex, parse_pattern(pattern, kWhere));
    steps_.push_back(
        {Step::Kind::kReplace, std::move(text), std::make_shared<Regex>(std::move(regex))});
  } else if (type == "Sequence") {
    FRUGAL_ASSIGN_OR_RETURN(const base::Json list,
                            base::json_get<base::Json>(json, "normalizers", kWhere));
    if (!list.is_array()) return base::invalid_argument(kWhere, ": 'normalizers' must be a list");
    for (const base::Json& item : list) FRUGAL_RETURN_IF_ERROR(add(item, depth + 1));
  } else {
    return base::unimplemented(
        kWhere, " of type '", type,
        "' is not supported; supported: NFC, NFD, NFKC, NFKD, Prepend, Replace, Sequence");
  }
  return absl::OkStatus();
}

Normalizer Normalizer::sentencepiece(bool remove_extra_whitespace, bool add_dummy_prefix,
                                     bool escape_whitespace) {
  Normalizer normalizer;
  if (remove_extra_whitespace)
    normalizer.steps_.push_back({Step::Kind::kRemoveExtraWhitespace, "", nullptr});
  if (add_dummy_prefix) normalizer.steps_.push_back({Step::Kind::kPrepend, " ", nullptr});
  if (escape_whitespace) {
    normalizer.steps_.push_back({Step::Kind::kReplace, std::string(kSpaceMark),
                                 std::make_shared<Regex>(Regex::literal(" "))});
  }
  return normalizer;
}

bool Normalizer::prepends_space() const {
  return std::any_of(steps_.begin(), steps_.end(), [](const Step& step) {
    return step.kind == Step::Kind::kPrepend && (step.text == " " || step.text == kSpaceMark);
  });
}

std::string Normalizer::apply(std::string_view text, bool continued) const {
  std::string now(text);
  for (const Step& step : steps_) {
    switch (step.kind) {
      case Step::Kind::kUnicode:
        now = normalize_unicode(now, step.text);
        break;
      case Step::Kind::kPrepend:
        if (!now.empty() && !continued) now.insert(0, step.text);
        break;
      case Step::Kind::kReplace:
        now = replace_all(now, *step.pattern, step.text);
        break;
      case Step::Kind::kRemoveExtraWhitespace:
        now = remove_extra_whitespace(now, continued);
        break;
    }
  }
  return now;
}

bool Normalizer::can_continue() const {
  bool ascii = true;  // the character behind the cut is ASCII still
  for (const Step& step : steps_) {
    // Nothing in front of an ASCII character combines with it.
    if (step.kind == Step::Kind::kUnicode && !ascii) return false;
    if (step.kind != Step::Kind::kReplace) continue;
    const std::string& pattern = step.pattern->pattern();
    const bool one_character = step.pattern->is_literal() && !pattern.empty() &&
                               first_character(pattern).length == pattern.size();
    if (!one_character || step.text.empty() || step.text.front() == ' ') return false;
    ascii = ascii && static_cast<signed char>(step.text.front()) >= 0;
  }
  return true;
}

}  // namespace frugal::text
