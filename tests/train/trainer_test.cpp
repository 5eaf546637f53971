#include "train/trainer.h"

#include <cmath>

#include "base/interrupt.h"
#include "tensor/device.h"
#include "train/batches.h"
#include "train/toy.h"

namespace frugal::train {
namespace {

TrainOptions quick() {
  TrainOptions options;
  options.steps = 6;
  options.batch_sequences = 4;
  options.learning_rate = 3e-3;
  options.warmup_steps = 2;
  options.precision = Precision::kFp32;
  options.record_every = 1;
  return options;
}

bool same_weights(const model::Decoder& a, const model::Decoder& b) {
  return std::all_of(a.parameters().begin(), a.parameters().end(), [&](const auto& item) {
    return b.parameters().find(item.first)->second.equal(item.second);
  });
}

model::Decoder student() { return model::toy::decoder({{"initializer_range", 0.05}}); }

class TrainTest : public ::testing::Test {
 protected:
  ~TrainTest() override { base::clear_interrupt(); }
};

TEST_F(TrainTest, LearnsALanguage) {
  model::Decoder decoder = student();
  const text::PackedTokens data = toy::packed(2000, 33), held_out = toy::packed(32, 33, "held out");
  TrainOptions options = quick();
  options.steps = 240;  // every sequence about once
  options.batch_sequences = 8;
  options.learning_rate = 1e-2;
  options.validate_every = 80;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainResult result,
                              train(decoder, nullptr, data, &held_out, options, {}, nullptr));
  EXPECT_NEAR(result.curve.front().loss, std::log(37.0), 0.5);
  // One bit per token is all there is to know: ln 2 is the floor, but for the luck of 1024 tokens
  // (ln 2 / 32).
  EXPECT_LT(result.validation.back().cross_entropy, std::log(2.0) + 0.15);
  EXPECT_GT(result.validation.back().cross_entropy, std::log(2.0) - 0.05);
  EXPECT_EQ(result.validation.size(), 3u);
  EXPECT_EQ(result.steps, 240);
  EXPECT_EQ(result.tokens, 240 * 8 * 33);
  EXPECT_EQ(result.loss_tokens, 240 * 8 * 32);
  EXPECT_GT(result.tokens_per_second, 0);
  EXPECT_FALSE(decoder.parameters().begin()->second.requires_grad());
}

TEST_F(TrainTest, TheSameSeedGivesTheSameBits) {
  const text::PackedTokens data = toy::packed(16, 17);
  model::Decoder a = student(), b = student(), c = student();
  TrainOptions other = quick();
  other.seed = 2;
  FRUGAL_ASSERT_OK(train(a, nullptr, data, nullptr, quick(), {}, nullptr));
  FRUGAL_ASSERT_OK(train(b, nullptr, data, nullptr, quick(), {}, nullptr));
  FRUGAL_ASSERT_OK(train(c, nullptr, data, nullptr, other, {}, nullptr));
  EXPECT_TRUE(same_weights(a, b));
  EXPECT_FALSE(same_weights(a, c));
}

// Six steps at once against one, an interrupt that leaves only the resume file, and five more in a
// fresh model.
void expect_resume_is_bit_exact(TrainOptions options, const model::Decoder* teacher) {
  const text::PackedTokens data = toy::packed(16, 17), held_out = toy::packed(4, 17, "held out");
  options.validate_every = 2;
  options.keep_best = true;
  options.record_every = 2;
  model::Decoder whole = student();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainResult once,
                              train(whole, teacher, data, &held_out, options, {}, nullptr));

  test::TemporaryFolder early;
  {
    model::Decoder stopped = student();
    base::request_interrupt();  // stops after the first step
    const auto result = train(stopped, teacher, data, &held_out, options, early.path(), nullptr);
    base::clear_interrupt();
    ASSERT_TRUE(base::is_interrupted(result.status())) << result.status();
  }
  model::Decoder resumed = student();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainResult twice, train(resumed, teacher, data, &held_out,
                                                             options, early.path(), nullptr));
  EXPECT_EQ(twice.resumed_from, 1);
  EXPECT_EQ(twice.steps, once.steps);
  EXPECT_TRUE(same_weights(whole, resumed));
  ASSERT_EQ(twice.curve.size(), once.curve.size());
  for (size_t i = 0; i < once.curve.size(); ++i) {
    EXPECT_EQ(twice.curve[i].step, once.curve[i].step);
    EXPECT_EQ(twice.curve[i].loss, once.curve[i].loss);
  }
  ASSERT_EQ(twice.validation.size(), once.validation.size());
  EXPECT_EQ(twice.validation.back().cross_entropy, once.validation.back().cross_entropy);
  EXPECT_EQ(twice.best_step, once.best_step);
}

TEST_F(TrainTest, ResumingIsBitExact) { expect_resume_is_bit_exact(quick(), nullptr); }

TEST_F(TrainTest, ResumingDistillationIsBitExact) {
  const model::Decoder teacher = model::toy::decoder(base::Json::object(), 5);
  TrainOptions options = quick();
  options.distillation_weight = 0.5;
  options.temperature = 2.0;
  options.accumulation = 2;
  expect_resume_is_bit_exact(options, &teacher);
}

TEST_F(TrainTest, AKillBetweenCheckpointsIsMadeUpFor) {
  const text::PackedTokens data = toy::packed(16, 17);
  TrainOptions options = quick();
  model::Decoder whole = student();
  FRUGAL_ASSERT_OK(train(whole, nullptr, data, nullptr, options, {}, nullptr));
  test::TemporaryFolder folder;
  options.checkpoint_every = 4;  // of 6: the file that stays behind is from step 4
  model::Decoder killed = student();
  FRUGAL_ASSERT_OK(train(killed, nullptr, data, nullptr, options, folder.path(), nullptr));
  model::Decoder resumed = student();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainResult result, train(resumed, nullptr, data, nullptr,
                                                              options, folder.path(), nullptr));
  EXPECT_EQ(result.resumed_from, 4);
  EXPECT_EQ(result.curve.size(), 6u);
  EXPECT_TRUE(same_weights(whole, resumed));
}

TEST_F(TrainTest, AccumulationEqualsOneLargeBatch) {
  const text::PackedTokens data = toy::packed(16, 17);
  TrainOptions large = quick(), small = quick();
  large.batch_sequences = 8;
  small.batch_sequences = 2;
  small.accumulation = 4;
  model::Decoder a = student(), b = student();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainResult first,
                              train(a, nullptr, data, nullptr, large, {}, nullptr));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainResult second,
                              train(b, nullptr, data, nullptr, small, {}, nullptr));
  EXPECT_EQ(first.tokens, second.tokens);
  for (size_t i = 0; i < first.curve.size(); ++i) {
    // Orders of summation differ; Adam divides by small gradients and so enlarges that a little
    // each step.
    EXPECT_NEAR(first.curve[i].loss, second.curve[i].loss, 1e-3) << i;
  }
  EXPECT_NEAR(first.curve.front().gradient_norm, second.curve.front().gradient_norm, 1e-4);
}

TEST_F(TrainTest, PackedDocumentsTrainAsSeparateOnes) {
  // Two rows of one document each, and the same two documents in one row.
  const text::PackedTokens apart = toy::packed(2, 9);
  text::PackedTokens together = apart;
  together.sequences = 1;
  together.length = 18;
  for (size_t t = 9; t < 18; ++t) together.segments[t] = 1;
  TrainOptions two = quick(), one = quick();
  two.batch_sequences = 2;
  one.batch_sequences = 1;
  two.steps = one.steps = 1;
  model::Decoder a = student(), b = student();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainResult first,
                              train(a, nullptr, apart, nullptr, two, {}, nullptr));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainResult second,
                              train(b, nullptr, together, nullptr, one, {}, nullptr));
  EXPECT_EQ(first.loss_tokens, second.loss_tokens);
  EXPECT_NEAR(first.curve[0].loss, second.curve[0].loss, 1e-5);
  EXPECT_NEAR(first.curve[0].gradient_norm, second.curve[0].gradient_norm, 1e-4);
}

TEST_F(TrainTest, MaskedTokensTeachNothing) {
  text::PackedTokens data = toy::packed(1, 12);
  for (size_t t = 6; t < 12; ++t) data.loss_mask[t] = 0;
  text::PackedTokens changed = data;
  for (size_t t = 7; t < 12; ++t) changed.ids[t] = 3;  // later than every counted target
  TrainOptions options = quick();
  options.batch_sequences = 1;
  options.steps = 1;
  model::Decoder a = student(), b = student();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainResult result,
                              train(a, nullptr, data, nullptr, options, {}, nullptr));
  FRUGAL_ASSERT_OK(train(b, nullptr, changed, nullptr, options, {}, nullptr));
  EXPECT_EQ(result.loss_tokens, 5);
  for (const auto& [name, value] : a.parameters()) {
    EXPECT_LT(model::toy::largest_difference(value, b.parameters().find(name)->second), 1e-6)
        << name;
  }
}

TEST_F(TrainTest, DistillationMovesTheStudentToItsTeacher) {
  const text::PackedTokens data = toy::packed(32, 17);
  const model::Decoder teacher = model::toy::decoder(base::Json::object(), 5);
  TrainOptions options = quick();
  options.steps = 150;
  options.batch_sequences = 8;
  options.learning_rate = 1e-2;
  options.distillation_weight = 1.0;
  options.temperature = 2.0;
  model::Decoder decoder = student();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainResult result,
                              train(decoder, &teacher, data, nullptr, options, {}, nullptr));
  EXPECT_LT(result.curve.back().divergence, 0.5 * result.curve.front().divergence);
  EXPECT_TRUE(std::isnan(result.curve.back().cross_entropy));
  EXPECT_GT(result.teacher_seconds, 0);

  model::Decoder twin = teacher.clone();
  options.steps = 1;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainResult still,
                              train(twin, &teacher, data, nullptr, options, {}, nullptr));
  EXPECT_NEAR(still.curve[0].divergence, 0.0, 1e-6);
  EXPECT_LT(still.curve[0].gradient_norm, 1e-4);
}

// Sequences in memory, of which it is known which were asked for at a time.
class WatchedReader final : public text::SequenceReader {
 public:
  explicit WatchedReader(text::PackedTokens data) : data_(std::move(data)) {}
  int64_t count() const override { return data_.count(); }
  int64_t tokens_each() const override { return data_.tokens_each(); }
  absl::StatusOr<text::PackedTokens> read(std::span<const int64_t> rows) const override {
    reads.emplace_back(rows.begin(), rows.end());
    return data_.read(rows);
  }
  mutable std::vector<std::vector<int64_t>> reads;

 private:
  text::PackedTokens data_;
};

TEST_F(TrainTest, ReadsTheSequencesOfAStepAndNoMore) {
  const WatchedReader data(toy::packed(9000, 17)), held_out(toy::packed(50, 17, "held out"));
  TrainOptions options = quick();
  options.steps = 5;
  options.batch_sequences = 4;
  options.accumulation = 2;
  options.seed = 21;
  model::Decoder decoder = student();
  FRUGAL_ASSERT_OK(train(decoder, nullptr, data, &held_out, options, {}, nullptr).status());
  // Once through in the order of the file, to check it; at most 65536 tokens at a time.
  size_t checked = 0, next = 0;
  for (; checked < 9000; ++next) {
    ASSERT_LT(next, data.reads.size());
    ASSERT_LE(data.reads[next].size(), size_t{65536 / 17});
    EXPECT_EQ(data.reads[next].front(), static_cast<int64_t>(checked));
    checked += data.reads[next].size();
  }
  DataOrder order(9000, 21);
  ASSERT_EQ(data.reads.size(), next + 10);
  for (int64_t forward = 0; forward < 10; ++forward)
    EXPECT_EQ(data.reads[next + forward], order.rows(4 * forward, 4)) << forward;
  for (const auto& read : held_out.reads) EXPECT_LE(read.size(), 50u);
}

TEST_F(TrainTest, Bf16AutocastLearnsTheSame) {
  if (!tensor::cpu_has_native_bf16()) {
    model::Decoder decoder = student();
    TrainOptions options = quick();
    options.precision = Precision::kBf16;
    FRUGAL_EXPECT_ERROR(train(decoder, nullptr, toy::packed(4, 9), nullptr, options, {}, nullptr),
                        absl::StatusCode::kInvalidArgument, "use fp32");
    return;
  }
  const text::PackedTokens data = toy::packed(32, 17);
  TrainOptions exact = quick(), rounded = quick();
  exact.steps = rounded.steps = 20;
  rounded.precision = Precision::kAuto;
  model::Decoder a = student(), b = student();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainResult first,
                              train(a, nullptr, data, nullptr, exact, {}, nullptr));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainResult second,
                              train(b, nullptr, data, nullptr, rounded, {}, nullptr));
  EXPECT_EQ(second.precision, Precision::kBf16);
  EXPECT_NEAR(first.curve.front().loss, second.curve.front().loss,
              0.02);  // 8 bits, averaged over 64 tokens
  EXPECT_NEAR(first.curve.back().loss, second.curve.back().loss, 0.15);
  EXPECT_EQ(b.type(), at::kFloat);
}

TEST_F(TrainTest, TheBestWeightsAreKeptWhereAsked) {
  const text::PackedTokens data = toy::packed(16, 17), held_out = toy::packed(8, 17, "held out");
  TrainOptions options = quick();
  options.steps = 40;
  options.learning_rate = 0.3;  // much too high: validation does not fall to the end
  options.schedule = Schedule::kConstant;
  options.validate_every = 1;
  options.keep_best = true;
  model::Decoder decoder = student();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainResult result,
                              train(decoder, nullptr, data, &held_out, options, {}, nullptr));
  const auto best = std::min_element(
      result.validation.begin(), result.validation.end(),
      [](const auto& a, const auto& b) { return a.cross_entropy < b.cross_entropy; });
  EXPECT_EQ(result.best_step, best->step);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ValidationSample now, validate(decoder, held_out, 4, 512));
  EXPECT_NEAR(now.cross_entropy, best->cross_entropy, 1e-6);
}

TEST_F(TrainTest, DivergenceNamesTheStep) {
  model::Decoder decoder = student();
  TrainOptions options = quick();
  options.learning_rate = 1e30;
  options.warmup_steps = 0;
  options.clip = 0;
  const auto result = train(decoder, nullptr, toy::packed(8, 9), nullptr, options, {}, nullptr);
  FRUGAL_EXPECT_ERROR(result, absl::StatusCode::kFailedPrecondition, "training diverged at step ");
  FRUGAL_EXPECT_ERROR(result, absl::StatusCode::kFailedPrecondition, "lower the learning rate");
}

TEST_F(TrainTest, WhatDoesNotFitIsNamed) {
  model::Decoder decoder = student();
  const text::PackedTokens data = toy::packed(4, 9);
  const auto run = [&](const TrainOptions& options, const text::PackedTokens& tokens,
                       const model::Decoder* teacher = nullptr) {
    return train(decoder, teacher, tokens, nullptr, options, {}, nullptr).status();
  };
  TrainOptions options = quick();
  options.tokens = 100;
  FRUGAL_EXPECT_ERROR(run(options, data), absl::StatusCode::kInvalidArgument,
                      "steps = 6 and tokens = 100");
  options = quick();
  options.distillation_weight = 0.5;
  FRUGAL_EXPECT_ERROR(run(options, data), absl::StatusCode::kInvalidArgument, "needs a teacher");
  const model::Decoder other = model::toy::decoder({{"vocab_size", 40}});
  FRUGAL_EXPECT_ERROR(run(options, data, &other), absl::StatusCode::kInvalidArgument,
                      "vocabulary has 40 ids");
  options = quick();
  options.keep_best = true;
  FRUGAL_EXPECT_ERROR(run(options, data), absl::StatusCode::kInvalidArgument,
                      "keep_best needs validation data");
  options = quick();
  options.batch_sequences = 0;
  FRUGAL_EXPECT_ERROR(run(options, data), absl::StatusCode::kInvalidArgument,
                      "batch_sequences = 0");
  FRUGAL_EXPECT_ERROR(run(quick(), toy::packed(2, 80)), absl::StatusCode::kInvalidArgument,
                      "context of 64");
}

TEST_F(TrainTest, StepsFollowFromTokens) {
  TrainOptions options = quick();
  options.steps = 0;
  options.tokens = 1000;
  options.batch_sequences = 4;
  options.accumulation = 2;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const int64_t steps, planned_steps(options, 33));
  EXPECT_EQ(steps, 4);  // 264 tokens a step
}

}  // namespace
}  // namespace frugal::train
