#include "text/cut_finder.h"

#include <algorithm>

#include "text/utf8.h"

namespace frugal::text {
namespace {

bool is_ascii(char c) { return static_cast<signed char>(c) >= 0; }

}  // namespace

CutFinder::CutFinder(const TokenizerParts& parts, const AddedTokenMatcher& raw,
                     const AddedTokenMatcher& normalized)
    : parts_(parts),
      raw_(raw),
      normalized_(normalized),
      can_continue_(parts.normalizer.can_continue()),
      model_cuts_(parts.pre_tokenizer.leaves_words_whole() && parts.model->boundaries().any()) {}

size_t CutFinder::find(std::string_view text, bool continued) const {
  if (!can_continue_) return 0;
  const std::vector<TextPart> parts = raw_.split(text, true);
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->id >= 0) continue;
    if (const size_t found = find_in_part(text, *part, continued); found > 0) return found;
  }
  return 0;
}

size_t CutFinder::find_in_part(std::string_view text, TextPart part, bool continued) const {
  const std::string_view plain = text.substr(part.begin, part.end - part.begin);
  // Up to the last ASCII character: behind it the normalizer could still join something.
  size_t end = plain.size();
  while (end > 0 && !is_ascii(plain[end - 1])) --end;
  if (end < 2) return 0;
  --end;
  const bool goes_on = continued && part.begin == 0;
  const std::string whole = parts_.normalizer.apply(plain.substr(0, end), goes_on);
  const Place place = goes_on           ? Place::kContinued
                      : part.begin == 0 ? Place::kStart
                                        : Place::kInside;
  const std::vector<size_t> cuts = cuts_of(whole, place);
  size_t behind = 0;  // normalized bytes from `at` to the end
  int attempts = 32;  // each costs a pass over the text
  for (size_t at = end - 1, next = end; at > 0 && attempts > 0 && !cuts.empty(); --at) {
    if (!is_ascii(plain[at])) continue;
    behind += parts_.normalizer.apply(plain.substr(at, next - at), true).size();
    next = at;
    if (behind >= whole.size()) return 0;
    const size_t cut = whole.size() - behind;
    if (!std::binary_search(cuts.begin(), cuts.end(), cut)) continue;
    const std::string_view left = std::string_view(whole).substr(0, cut);
    const std::string_view right = std::string_view(whole).substr(cut);
    const size_t in_text = part.begin + at;
    if (plain[at - 1] == ' ' || left.ends_with(' ') ||
        !raw_.may_cut(text.substr(0, in_text), text.substr(in_text)) ||
        !normalized_.may_cut(left, right))
      continue;
    --attempts;
    if (parts_.normalizer.apply(plain.substr(0, at), goes_on) == left &&
        parts_.normalizer.apply(plain.substr(at, end - at), true) == right)
      return in_text;
  }
  return 0;
}

// Offsets in a normalized part between its segments, ascending.
std::vector<size_t> CutFinder::cuts_of(std::string_view normalized, Place place) const {
  std::vector<size_t> cuts;
  for (const TextPart& part : normalized_.split(normalized, true)) {
    if (part.id >= 0) continue;
    const std::string_view text = normalized.substr(part.begin, part.end - part.begin);
    const Place here = part.begin == 0 ? place : Place::kInside;
    for (const size_t cut : model_cuts_ ? model_cuts(text) : parts_.pre_tokenizer.cuts(text, here))
      cuts.push_back(part.begin + cut);
  }
  return cuts;
}

// In front of what becomes "▁".
std::vector<size_t> CutFinder::model_cuts(std::string_view text) const {
  const WordBoundaries& boundaries = parts_.model->boundaries();
  const bool marks_spaces = parts_.pre_tokenizer.marks_spaces();
  std::vector<size_t> cuts;
  for (size_t at = 1; at < text.size(); ++at) {
    const bool marked = marks_spaces && text[at] == ' ';
    if (!marked && !text.substr(at).starts_with(WordBoundaries::kMark)) continue;
    if (text[at - 1] != ' ' && boundaries.behind(text[at - 1])) cuts.push_back(at);
  }
  return cuts;
}

}  // namespace frugal::text
