#include "tasks/text_metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "base/json.h"
#include "support/shared_data.h"

namespace frugal::tasks {
namespace {

using base::Json;
using Texts = std::vector<std::string>;

Json golden() {
  const char* root = std::getenv("FRUGAL_SOURCE_DIR");
  const auto file =
      std::filesystem::path(root == nullptr ? "." : root) / "tests/golden" / "text_metrics.json";
  const auto json = base::read_json(file);
  EXPECT_TRUE(json.ok()) << json.status();
  return json.ok() ? *json : Json::object();
}

// sacrebleu and rouge-score, by tests/golden/text_metrics.py.
TEST(TextMetrics, AreThoseOfSacrebleuAndRougeScore) {
  const Json all = golden().at("corpora");
  EXPECT_GE(all.size(), 13u);
  for (const auto& [name, corpus] : all.items()) {
    const auto texts = corpus.at("texts").get<Texts>();
    BleuCounts bleu_sum;
    ChrfCounts chrf_sum;
    std::vector<int64_t> counts;
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto references = corpus.at("references").at(i).get<Texts>();
      counts.push_back(static_cast<int64_t>(references.size()));
      EXPECT_EQ(tokens_13a(texts[i]), corpus.at("tokens").at(i).get<Texts>()) << name;
      bleu_sum += bleu_counts(texts[i], references);
      chrf_sum += chrf_counts(texts[i], references);
      EXPECT_NEAR(rouge_l(texts[i], references), corpus.at("rouge_l").at(i).get<double>(), 1e-12)
          << name << " " << i;
      EXPECT_NEAR(rouge_lsum(texts[i], references), corpus.at("rouge_lsum").at(i).get<double>(),
                  1e-12)
          << name << " " << i;
    }
    EXPECT_NEAR(bleu(bleu_sum), corpus.at("bleu").get<double>(), 1e-9) << name;
    EXPECT_NEAR(chrf(chrf_sum), corpus.at("chrf").get<double>(), 1e-9) << name;
    const auto expect_signature = [&](std::string_view form, const char* key) {
      const auto full = corpus.at(key).get<std::string>();
      EXPECT_EQ(signature_of(form, counts), full.substr(0, full.rfind("|version:"))) << name;
    };
    expect_signature(kBleuSignature, "bleu_signature");
    expect_signature(kChrfSignature, "chrf_signature");
  }
}

TEST(TextMetrics, BrokenCharactersAreReplaced) {
  const Texts reference = {"caf\xef\xbf\xbd ok"};
  EXPECT_EQ(bleu_counts("caf\xc3 ok", reference).matched[1], 1);
  EXPECT_NEAR(chrf(chrf_counts("caf\xc3 ok", reference)), 100.0, 1e-9);
  EXPECT_NEAR(rouge_l("caf\xc3 ok", reference), 1.0, 1e-12);
}

TEST(TextMetrics, NothingIsNothing) {
  EXPECT_EQ(bleu({}), 0.0);
  EXPECT_EQ(chrf({}), 0.0);
  EXPECT_EQ(rouge_l("a", Texts{}), 0.0);
  EXPECT_EQ(signature_of(kBleuSignature, {}), "nrefs:0|case:mixed|eff:no|tok:13a|smooth:exp");
}

TEST(TextMetrics, RepetitionCountsRunsSaidBefore) {
  const Texts words = {"a", "b", "a", "b", "a"};
  EXPECT_DOUBLE_EQ(repetition(words, 2), 1.0 - 2.0 / 4.0);  // ab ba ab ba
  EXPECT_DOUBLE_EQ(repetition(words, 5), 0.0);
  EXPECT_TRUE(std::isnan(repetition(words, 6)));
}

}  // namespace
}  // namespace frugal::tasks
