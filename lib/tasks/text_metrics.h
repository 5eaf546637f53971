// Generated text against texts that people wrote: BLEU and chrF as sacrebleu 2.6 counts them, ROUGE
// as Google's rouge-score 0.1.2 does, and how much a text repeats itself. Texts need not be valid
// UTF-8: what is broken counts as U+FFFD.
//
// BLEU and chrF are of a corpus: counts are added over its texts, then one score is made of them.
// Counts by text are what paired tests resample.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace frugal::tasks {

// What is beside a score for whoever wants to repeat it, in sacrebleu's form; "nrefs:" is put in
// front by signature_of.
inline constexpr std::string_view kBleuSignature = "case:mixed|eff:no|tok:13a|smooth:exp";
inline constexpr std::string_view kChrfSignature = "case:mixed|eff:yes|nc:6|nw:0|space:no";
// `references`: of each text; "nrefs:1|…", or "nrefs:var|…" where they differ.
std::string signature_of(std::string_view form, std::span<const int64_t> references);

// mteval-v13a's tokens (BLEU's "13a").
std::vector<std::string> tokens_13a(std::string_view text);

// K. Papineni et al., ACL 2002; up to four tokens.
struct BleuCounts {
  int64_t length = 0;            // tokens of the text
  int64_t reference_length = 0;  // of the reference nearest in length
  std::array<int64_t, 4> matched = {}, total = {};
  BleuCounts& operator+=(const BleuCounts& other);
};
BleuCounts bleu_counts(std::string_view text, std::span<const std::string> references);
double bleu(const BleuCounts& counts);  // 0 to 100; smoothed exponentially

// M. Popović, WMT 2015: up to six characters without white space, recall counts twice (chrF2).
struct ChrfCounts {
  std::array<int64_t, 6> text = {}, reference = {}, matched = {};
  ChrfCounts& operator+=(const ChrfCounts& other);
};
// Against the reference of the best score.
ChrfCounts chrf_counts(std::string_view text, std::span<const std::string> references);
double chrf(const ChrfCounts& counts);  // 0 to 100

// C.-Y. Lin, 2004: F1 of the longest common subsequence of words, without stemming; 0 to 1. The
// best of the references. rouge_lsum: the union over sentences, one a line.
double rouge_l(std::string_view text, std::span<const std::string> references);
double rouge_lsum(std::string_view text, std::span<const std::string> references);

// Share of a text's runs of `n` words that it has said before (Welleck et al., ICLR 2020,
// seq-rep-n); NaN where there is none.
double repetition(const std::vector<std::string>& words, int64_t n);

}  // namespace frugal::tasks
