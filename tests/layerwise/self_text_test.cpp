#include "layerwise/walk/self_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"
#include "support/toy_model.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

class SelfText : public testing::Test {
 protected:
  SelfText() : model_(toy_checkpoint(folder_.path() / "toy", {.layers = 1})) {
    tokenizer_ = text::load_tokenizer(model_.folder()).value();
  }
  absl::StatusOr<text::Windows> write(const SelfTextOptions& options) {
    return write_self_text(model_, *tokenizer_, options);
  }
  TemporaryFolder folder_;
  format::Checkpoint model_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
};

TEST_F(SelfText, IsWindowsOfTheModelsIdsByTheSeed) {
  const SelfTextOptions options{.windows = 6, .length = 16, .seed = 3};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const text::Windows windows, write(options));
  EXPECT_EQ(windows.count, 6);
  EXPECT_EQ(windows.length, 16);
  ASSERT_EQ(windows.ids.size(), 96u);
  EXPECT_EQ(windows.stream_tokens, 96);
  const auto& vocabulary = tokenizer_->vocabulary();
  std::set<text::TokenId> first;
  for (int64_t i = 0; i < windows.count; ++i) {
    // Behind the token that begins every text a piece of it.
    const bool bos = vocabulary.add_bos && vocabulary.bos.has_value();
    if (bos) {
      EXPECT_EQ(windows.ids[static_cast<size_t>(i * 16)], *vocabulary.bos);
    }
    const text::TokenId id = windows.ids[static_cast<size_t>(i * 16 + (bos ? 1 : 0))];
    EXPECT_EQ(vocabulary.types[static_cast<size_t>(id)], text::PieceType::kNormal);
    first.insert(id);
  }
  EXPECT_GT(first.size(), 1u);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const text::Windows again, write(options));
  EXPECT_EQ(again.ids, windows.ids);
  EXPECT_EQ(again.text_sha256, windows.text_sha256);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const text::Windows other,
                              write({.windows = 6, .length = 16, .seed = 4}));
  EXPECT_NE(other.text_sha256, windows.text_sha256);
}

// The mean log-probability of the model's own draws is minus its entropy, within what that many
// draws allow: text drawn at another temperature, or by another model, is not.
TEST_F(SelfText, IsDrawnFromTheModelsOwnDistribution) {
  constexpr int64_t kWindows = 64, kLength = 32;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const text::Windows windows,
                              write({.windows = kWindows, .length = kLength}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const model::Decoder decoder, model::Decoder::load(model_, {}));
  const std::vector<int64_t> ids(windows.ids.begin(), windows.ids.end());
  const at::Tensor all = at::tensor(ids, at::kLong).view({kWindows, kLength});
  const at::Tensor log_p =
      decoder.logits({all, {}}).to(at::kDouble).log_softmax(-1).narrow(1, 1, kLength - 2);
  const at::Tensor drawn =
      log_p.gather(-1, all.narrow(1, 2, kLength - 2).unsqueeze(-1)).squeeze(-1);
  const at::Tensor p = log_p.exp();
  const at::Tensor expected = (p * log_p).sum(-1);  // of one draw
  const at::Tensor variance = (p * log_p * log_p).sum(-1) - expected * expected;
  // Draws given what is before them are a martingale: their variances add up.
  const double deviation = std::sqrt(variance.sum().item<double>());
  EXPECT_LT(std::abs((drawn - expected).sum().item<double>()), 5 * deviation);
  EXPECT_GT(expected.numel() * 0.5, 5 * deviation);  // a bias of half a nat would show
}

TEST_F(SelfText, GoesOnBehindWhatIsKept) {
  const std::filesystem::path file = folder_.path() / "self.json";
  SelfTextOptions options{.windows = 5, .length = 12, .file = file};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const text::Windows whole, write(options));
  FRUGAL_ASSERT_OK_AND_ASSIGN(base::Json kept, base::read_json(file));
  ASSERT_EQ(kept["windows"].size(), 5u);
  // What is kept is taken as it is, and only the rest is written.
  kept["windows"][1][3] = 7;
  FRUGAL_ASSERT_OK(base::write_file_atomically(file, kept.dump()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const text::Windows restored, write(options));
  std::vector<text::TokenId> expected = whole.ids;
  expected[12 + 3] = 7;
  EXPECT_EQ(restored.ids, expected);
  // Another seed is another text.
  options.seed = 2;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const text::Windows other, write(options));
  EXPECT_NE(other.ids, expected);
  // Ids that the model does not have are damage, not text.
  FRUGAL_ASSERT_OK_AND_ASSIGN(kept, base::read_json(file));
  kept["windows"][0][0] = model_.config().vocabulary_size;
  FRUGAL_ASSERT_OK(base::write_file_atomically(file, kept.dump()));
  FRUGAL_EXPECT_ERROR(write(options), absl::StatusCode::kFailedPrecondition,
                      "not windows of this model");
}

TEST_F(SelfText, RefusesWindowsThatTheModelCannotHold) {
  FRUGAL_EXPECT_ERROR(write({.windows = 1, .length = model_.config().context_length + 1}),
                      absl::StatusCode::kInvalidArgument, "the model's context");
  FRUGAL_EXPECT_ERROR(write({.windows = 1, .length = 3}), absl::StatusCode::kInvalidArgument,
                      "windows of 3 tokens");
}

TEST(SelfTextDemand, CountsWeightsAndTheCache) {
  const architecture::ModelConfig config = toy_config({});
  EXPECT_EQ(self_text_memory(config, 0, 32), 0);
  EXPECT_GT(self_text_memory(config, 8, 32), 4 * config.parameter_count());
  EXPECT_GT(self_text_memory(config, 8, 64), self_text_memory(config, 8, 32));
  EXPECT_GE(self_text_operations(config, 100),
            2.0 * 100 *
                static_cast<double>(config.parameter_count() -
                                    config.vocabulary_size * config.hidden_size));
}

}  // namespace
}  // namespace frugal::layerwise
