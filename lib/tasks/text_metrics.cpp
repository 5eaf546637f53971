#include "tasks/text_metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "base/text.h"
#include "chat/unicode.h"
#include "tasks/python_text.h"
#include "text/utf8.h"

namespace frugal::tasks {
namespace {

using Counts = std::map<std::string, int64_t, std::less<>>;
using Tokens = std::vector<std::string>;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// str.split().
Tokens split_words(std::string_view text) {
  Tokens tokens;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    if (chat::is_space(chat::next_character(text, at))) {
      inside = false;
      continue;
    }
    if (!inside) tokens.emplace_back();
    inside = true;
    tokens.back().append(text.substr(begin, at - begin));
  }
  return tokens;
}

// re.sub of two neighboring characters by three pieces, from left to right and without overlap.
template <typename Matches, typename Write>
std::string substitute_pairs(std::string_view text, Matches matches, Write write) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (i + 1 < text.size() && matches(text[i], text[i + 1])) {
      write(out, text[i], text[i + 1]);
      i += 2;
    } else {
      out += text[i++];
    }
  }
  return out;
}

bool is_point(char c) { return c == '.' || c == ','; }

bool stands_alone(char c) {
  return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') ||
         (c >= '(' && c <= '+') || (c >= ':' && c <= '@') || c == '/';
}

// Runs of 1 to `longest` tokens.
Counts token_runs(const Tokens& tokens, size_t longest) {
  Counts counts;
  for (size_t begin = 0; begin < tokens.size(); ++begin) {
    std::string run;
    for (size_t n = 0; n < longest && begin + n < tokens.size(); ++n) {
      if (n > 0) run += ' ';
      run += tokens[begin + n];
      ++counts[run];
    }
  }
  return counts;
}

size_t length_of(std::string_view run) {
  return static_cast<size_t>(std::count(run.begin(), run.end(), ' ')) + 1;
}

// Runs of exactly n = 1 … 6 characters without white space, each order by itself.
std::array<Counts, 6> character_runs(std::string_view text) {
  std::string kept;
  std::vector<size_t> begins;
  for (const std::string& word : split_words(text)) {
    for (size_t at = 0; at < word.size();) {
      begins.push_back(kept.size() + at);
      chat::next_character(word, at);
    }
    kept += word;
  }
  begins.push_back(kept.size());
  std::array<Counts, 6> runs;
  for (size_t n = 1; n <= runs.size(); ++n) {
    for (size_t i = 0; i + n < begins.size(); ++i)
      ++runs[n - 1][kept.substr(begins[i], begins[i + n] - begins[i])];
  }
  return runs;
}

int64_t sum_of(const Counts& counts) {
  int64_t sum = 0;
  for (const auto& [run, count] : counts) sum += count;
  return sum;
}

int64_t common(const Counts& a, const Counts& b) {
  int64_t sum = 0;
  for (const auto& [run, count] : a) {
    const auto found = b.find(run);
    if (found != b.end()) sum += std::min(count, found->second);
  }
  return sum;
}

std::vector<std::string> repaired(std::span<const std::string> texts) {
  std::vector<std::string> out;
  for (const std::string& text : texts) {
    std::string storage;
    out.emplace_back(text::repair_utf8(text, storage));
  }
  return out;
}

// rouge-score's words: lower case, runs of a-z and 0-9.
Tokens rouge_words(std::string_view text) {
  std::string storage;
  Tokens words;
  bool inside = false;
  for (const char c : chat::lower(text::repair_utf8(text, storage))) {
    const bool kept = is_digit(c) || (c >= 'a' && c <= 'z');
    if (kept && !inside) words.emplace_back();
    if (kept) words.back() += c;
    inside = kept;
  }
  return words;
}

using Table = std::vector<std::vector<int32_t>>;

// Lengths of the longest common subsequences of all beginnings.
Table common_lengths(const Tokens& reference, const Tokens& text) {
  Table table(reference.size() + 1, std::vector<int32_t>(text.size() + 1, 0));
  for (size_t i = 1; i <= reference.size(); ++i) {
    for (size_t j = 1; j <= text.size(); ++j) {
      table[i][j] = reference[i - 1] == text[j - 1] ? table[i - 1][j - 1] + 1
                                                    : std::max(table[i - 1][j], table[i][j - 1]);
    }
  }
  return table;
}

// Adds the places in `reference` of one longest common subsequence, the one rouge-score finds.
void add_common_places(const Tokens& reference, const Tokens& text, std::set<size_t>& places) {
  const Table table = common_lengths(reference, text);
  size_t i = reference.size(), j = text.size();
  while (i > 0 && j > 0) {
    if (reference[i - 1] == text[j - 1]) {
      places.insert(i - 1);
      --i, --j;
    } else if (table[i][j - 1] > table[i - 1][j]) {
      --j;
    } else {
      --i;
    }
  }
}

double f1(double hits, double text_words, double reference_words) {
  if (hits == 0.0) return 0.0;
  const double precision = hits / text_words, recall = hits / reference_words;
  return 2.0 * precision * recall / (precision + recall);
}

std::vector<Tokens> rouge_sentences(std::string_view text) {
  std::vector<Tokens> sentences;
  for (const std::string& line : base::split(text, '\n')) {
    if (!line.empty()) sentences.push_back(rouge_words(line));
  }
  return sentences;
}

double rouge_lsum_of(std::string_view text, std::string_view reference) {
  const std::vector<Tokens> own = rouge_sentences(text), other = rouge_sentences(reference);
  std::map<std::string, int64_t> own_left, other_left;
  int64_t own_words = 0, other_words = 0, hits = 0;
  for (const Tokens& sentence : own) {
    for (const std::string& word : sentence) ++own_left[word], ++own_words;
  }
  for (const Tokens& sentence : other) {
    for (const std::string& word : sentence) ++other_left[word], ++other_words;
  }
  for (const Tokens& sentence : other) {
    std::set<size_t> places;
    for (const Tokens& candidate : own) add_common_places(sentence, candidate, places);
    for (const size_t place : places) {
      int64_t &left = own_left[sentence[place]], &reference_left = other_left[sentence[place]];
      if (left == 0 || reference_left == 0) continue;
      --left, --reference_left, ++hits;
    }
  }
  return f1(static_cast<double>(hits), static_cast<double>(own_words),
            static_cast<double>(other_words));
}

template <size_t N>
void add_counts(std::array<int64_t, N>& sum, const std::array<int64_t, N>& more) {
  for (size_t i = 0; i < N; ++i) sum[i] += more[i];
}

}  // namespace

std::string signature_of(std::string_view form, std::span<const int64_t> references) {
  const bool same = std::adjacent_find(references.begin(), references.end(),
                                       std::not_equal_to<>()) == references.end();
  return base::str_cat("nrefs:",
                       !same                ? std::string("var")
                       : references.empty() ? std::string("0")
                                            : base::str_cat(references.front()),
                       "|", form);
}

std::vector<std::string> tokens_13a(std::string_view text) {
  std::string storage;
  std::string line(chat::strip(text::repair_utf8(text, storage), chat::Sides::kRight));
  line = replace_all(line, "<skipped>", "");
  line = replace_all(line, "-\n", "");
  line = replace_all(line, "\n", " ");
  line = replace_all(line, "&quot;", "\"");
  line = replace_all(line, "&amp;", "&");
  line = replace_all(line, "&lt;", "<");
  line = replace_all(line, "&gt;", ">");
  std::string apart = " ";
  for (const char c : line) {
    if (stands_alone(c)) apart += ' ';
    apart += c;
    if (stands_alone(c)) apart += ' ';
  }
  apart += ' ';
  // Periods and commas stand apart unless digits are around them; a dash behind a digit does.
  apart = substitute_pairs(
      apart, [](char a, char b) { return !is_digit(a) && is_point(b); },
      [](std::string& out, char a, char b) { (((out += a) += ' ') += b) += ' '; });
  apart = substitute_pairs(
      apart, [](char a, char b) { return is_point(a) && !is_digit(b); },
      [](std::string& out, char a, char b) { (((out += ' ') += a) += ' ') += b; });
  apart = substitute_pairs(
      apart, [](char a, char b) { return is_digit(a) && b == '-'; },
      [](std::string& out, char a, char b) { (((out += a) += ' ') += b) += ' '; });
  return split_words(apart);
}

BleuCounts& BleuCounts::operator+=(const BleuCounts& other) {
  length += other.length;
  reference_length += other.reference_length;
  add_counts(matched, other.matched);
  add_counts(total, other.total);
  return *this;
}

BleuCounts bleu_counts(std::string_view text, std::span<const std::string> references) {
  BleuCounts counts;
  const Tokens own = tokens_13a(text);
  counts.length = static_cast<int64_t>(own.size());
  Counts known;
  int64_t nearest = -1;
  for (const std::string& reference : references) {
    const Tokens tokens = tokens_13a(reference);
    for (const auto& [run, count] : token_runs(tokens, counts.total.size()))
      known[run] = std::max(known[run], count);
    const auto length = static_cast<int64_t>(tokens.size());
    const int64_t distance = std::abs(counts.length - length);
    if (nearest >= 0 &&
        (distance > nearest || (distance == nearest && length >= counts.reference_length)))
      continue;
    nearest = distance;
    counts.reference_length = length;
  }
  for (const auto& [run, count] : token_runs(own, counts.total.size())) {
    const size_t order = length_of(run) - 1;
    counts.total[order] += count;
    if (const auto found = known.find(run); found != known.end())
      counts.matched[order] += std::min(count, found->second);
  }
  return counts;
}

double bleu(const BleuCounts& counts) {
  if (std::all_of(counts.matched.begin(), counts.matched.end(), [](auto n) { return n == 0; }))
    return 0.0;
  double log_sum = 0.0, smoothing = 1.0;
  for (size_t n = 0; n < counts.total.size(); ++n) {
    // sacrebleu gives 0 where not one text is as long as the longest runs.
    if (counts.total[n] == 0) return 0.0;
    double matched = static_cast<double>(counts.matched[n]);
    if (counts.matched[n] == 0) matched = 1.0 / (smoothing *= 2.0);
    log_sum += std::log(100.0 * matched / static_cast<double>(counts.total[n]));
  }
  const double own = static_cast<double>(counts.length);
  const double reference = static_cast<double>(counts.reference_length);
  const double brevity = own < reference ? std::exp(1.0 - reference / own) : 1.0;
  return brevity * std::exp(log_sum / static_cast<double>(counts.total.size()));
}

ChrfCounts& ChrfCounts::operator+=(const ChrfCounts& other) {
  add_counts(text, other.text);
  add_counts(reference, other.reference);
  add_counts(matched, other.matched);
  return *this;
}

ChrfCounts chrf_counts(std::string_view text, std::span<const std::string> references) {
  std::string storage;
  const auto own = character_runs(text::repair_utf8(text, storage));
  ChrfCounts best;
  double best_score = -1.0;
  for (const std::string& reference : repaired(references)) {
    const auto other = character_runs(reference);
    ChrfCounts counts;
    for (size_t n = 0; n < own.size(); ++n) {
      // Runs longer than the reference are no misses.
      counts.text[n] = other[n].empty() ? 0 : sum_of(own[n]);
      counts.reference[n] = sum_of(other[n]);
      counts.matched[n] = common(own[n], other[n]);
    }
    if (const double score = chrf(counts); score > best_score) {
      best_score = score;
      best = counts;
    }
  }
  return best;
}

double chrf(const ChrfCounts& counts) {
  constexpr double kBetaSquared = 4.0;
  double precision = 0.0, recall = 0.0, orders = 0.0;
  for (size_t n = 0; n < counts.text.size(); ++n) {
    if (counts.text[n] == 0 || counts.reference[n] == 0) continue;
    const double matched = static_cast<double>(counts.matched[n]);
    precision += matched / static_cast<double>(counts.text[n]);
    recall += matched / static_cast<double>(counts.reference[n]);
    orders += 1.0;
  }
  if (precision + recall == 0.0) return 0.0;
  precision /= orders;
  recall /= orders;
  return 100.0 * (1.0 + kBetaSquared) * precision * recall / (kBetaSquared * precision + recall);
}

double rouge_l(std::string_view text, std::span<const std::string> references) {
  const Tokens own = rouge_words(text);
  double best = 0.0;
  for (const std::string& reference : references) {
    const Tokens other = rouge_words(reference);
    const double hits = common_lengths(other, own).back().back();
    best = std::max(best,
                    f1(hits, static_cast<double>(own.size()), static_cast<double>(other.size())));
  }
  return best;
}

double rouge_lsum(std::string_view text, std::span<const std::string> references) {
  double best = 0.0;
  for (const std::string& reference : references)
    best = std::max(best, rouge_lsum_of(text, reference));
  return best;
}

double repetition(const std::vector<std::string>& words, int64_t n) {
  const auto length = static_cast<size_t>(n);
  if (words.size() < length) return std::numeric_limits<double>::quiet_NaN();
  std::set<std::vector<std::string>> different;
  const size_t runs = words.size() - length + 1;
  for (size_t i = 0; i < runs; ++i) {
    const auto begin = words.begin() + static_cast<int64_t>(i);
    different.emplace(begin, begin + n);
  }
  return 1.0 - static_cast<double>(different.size()) / static_cast<double>(runs);
}

}  // namespace frugal::tasks
