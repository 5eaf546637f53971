#include "train/scale_tuning.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "base/interrupt.h"
#include "train/toy.h"

namespace frugal::train {
namespace {

using text::Windows;

const base::Json kShape = {
    {"hidden_size", 32}, {"intermediate_size", 64}, {"initializer_range", 0.25}};

Windows windows(int64_t count, uint64_t seed, int64_t length = 24) {
  Windows result;
  result.count = count;
  result.length = length;
  base::RandomStream stream(seed, "windows");
  for (int64_t i = 0; i < count * length; ++i) {
    result.ids.push_back(static_cast<text::TokenId>(stream.below(model::toy::kVocabulary)));
  }
  return result;
}

// Every decoder matrix, and the embedding where `embedding`, to nearest.
QuantizedMatrices quantized(const model::Decoder& decoder, const std::string& grid_name,
                            bool embedding = false) {
  QuantizedMatrices result;
  std::vector<std::string> names = architecture::layer_matrices(decoder.config());
  if (embedding) names.emplace_back("model.embed_tokens.weight");
  for (const std::string& name : names) {
    const at::Tensor& weights = decoder.parameters().find(name)->second;
    auto grid = grid::find_grid(grid_name, weights.size(1)).value();
    result.emplace(name, grid::round_to_nearest(grid, weights.const_data_ptr<float>(),
                                                weights.size(0), weights.size(1), {}, true)
                             .value());
  }
  return result;
}

std::vector<std::byte> packed(const QuantizedMatrices& matrices) {
  std::vector<std::byte> all;
  for (const auto& [name, matrix] : matrices) {
    const std::vector<std::byte> bytes = grid::pack_matrix(matrix);
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

ScaleTuningOptions quick() {
  ScaleTuningOptions options;
  options.steps = 12;
  options.tokens_per_step = 96;  // four windows
  options.warmup_steps = 2;
  options.validations = 3;
  options.chunk_tokens = 10;
  return options;
}

class ScaleTuningTest : public ::testing::Test {
 protected:
  ~ScaleTuningTest() override { base::clear_interrupt(); }

  absl::StatusOr<ScaleTuningResult> tune(QuantizedMatrices& matrices,
                                         const ScaleTuningOptions& options,
                                         const std::filesystem::path& folder = {}) {
    model::Decoder student = original_;
    return tune_scales(original_, student, matrices, tuning_, validation_, options, folder,
                       nullptr);
  }

  // KL(original || matrices) in fp64 from whole logits.
  double divergence(const QuantizedMatrices& matrices, const Windows& text) const {
    const at::NoGradGuard no_grad;
    model::Decoder student = original_;
    for (const auto& [name, matrix] : matrices) {
      at::Tensor weights = at::empty({matrix.rows, matrix.columns}, at::kFloat);
      grid::decode_matrix(matrix, weights.mutable_data_ptr<float>());
      student.set_parameter(name, weights);
    }
    const model::Batch batch{
        .ids = at::tensor(text.ids, at::kInt).to(at::kLong).view({text.count, text.length})};
    const auto logs = [&](const model::Decoder& d) {
      return d.logits(batch).to(at::kDouble).log_softmax(-1);
    };
    const at::Tensor p = logs(original_);
    return (p.exp() * (p - logs(student))).sum(-1).mean().item<double>();
  }

  model::Decoder original_ = model::toy::decoder(kShape);
  Windows tuning_ = windows(24, 1), validation_ = windows(8, 2), test_ = windows(32, 3);
};

TEST_F(ScaleTuningTest, LowersTheDivergenceOnUnseenText) {
  tuning_ = windows(128, 1);  // fewer, and the scales learn the windows by heart
  double ratios = 0;
  int improved = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    original_ = model::toy::decoder(kShape, seed);
    QuantizedMatrices matrices = quantized(original_, seed % 2 == 0 ? "q4_0" : "iq4_nl");
    const QuantizedMatrices start = matrices;
    ScaleTuningOptions options = quick();
    options.steps = 24;
    options.tokens_per_step = 4 * 24;
    options.learning_rate = 1e-2;
    FRUGAL_ASSERT_OK_AND_ASSIGN(const ScaleTuningResult result, tune(matrices, options));
    const double ratio = divergence(matrices, test_) / divergence(start, test_);
    ratios += ratio;
    improved += ratio < 1 && result.training.after < result.training.before ? 1 : 0;
    for (const auto& [name, matrix] : matrices)
      EXPECT_EQ(matrix.codes, start.find(name)->second.codes) << name;
  }
  EXPECT_LT(ratios / 10, 0.97);
  EXPECT_GE(improved, 7);
}

TEST_F(ScaleTuningTest, ReportsWhatTheStoredBytesGive) {
  QuantizedMatrices matrices = quantized(original_, "q4_0", /*embedding=*/true);
  const double before = divergence(matrices, validation_);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ScaleTuningResult result, tune(matrices, quick()));
  // fp32 against fp64 softmax: 1e-7 of logits of size 10 in each of the two
  EXPECT_NEAR(result.validation.before, before, 2e-6);
  EXPECT_NEAR(result.validation.after, divergence(matrices, validation_), 2e-6);
  EXPECT_EQ(result.steps, 12);
  EXPECT_EQ(result.tokens, 12 * 4 * 24);
  EXPECT_EQ(result.curve.size(), 12u);
  ASSERT_EQ(result.validations.size(), 4u);
  EXPECT_EQ(result.validations[1].step, 4);
  EXPECT_EQ(result.validations[3].step, 12);
}

TEST_F(ScaleTuningTest, NoStepsChangeNothing) {
  QuantizedMatrices matrices = quantized(original_, "int4:g32:asym");
  const auto before = packed(matrices);
  ScaleTuningOptions options = quick();
  options.steps = 0;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ScaleTuningResult result, tune(matrices, options));
  EXPECT_EQ(packed(matrices), before);
  EXPECT_EQ(result.validation.before, result.validation.after);
  EXPECT_EQ(result.training.before, result.training.after);
}

class ScaleTuningPrecision : public ScaleTuningTest,
                             public testing::WithParamInterface<model::Precision> {};
INSTANTIATE_TEST_SUITE_P(Precisions, ScaleTuningPrecision,
                         testing::Values(model::Precision::kFloat32, model::Precision::kRounded));

TEST_P(ScaleTuningPrecision, AModelThatIsItsOwnOriginalStays) {
  QuantizedMatrices matrices = quantized(original_, "q4_0");
  model::Decoder student = original_;
  for (const auto& [name, matrix] : matrices) {
    at::Tensor weights = at::empty({matrix.rows, matrix.columns}, at::kFloat);
    grid::decode_matrix(matrix, weights.mutable_data_ptr<float>());
    student.set_parameter(name, weights);
  }
  const model::Decoder original = student.clone();
  const auto before = packed(matrices);
  ScaleTuningOptions options = quick();
  options.precision = GetParam();
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const ScaleTuningResult result,
      tune_scales(original, student, matrices, tuning_, validation_, options, {}, nullptr));
  EXPECT_EQ(result.validation.before, 0.0);
  EXPECT_EQ(result.curve.front().divergence, 0.0);
  EXPECT_EQ(packed(matrices), before);  // a gradient of exactly zero moves nothing
}

TEST_F(ScaleTuningTest, NeverReturnsWorseThanTheStart) {
  QuantizedMatrices matrices = quantized(original_, "q8_0");
  const auto before = packed(matrices);
  ScaleTuningOptions options = quick();
  options.learning_rate = 10;  // destroys
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ScaleTuningResult result, tune(matrices, options));
  EXPECT_EQ(result.best_step, 0);
  EXPECT_GT(result.validations.back().divergence, result.validation.before);
  EXPECT_EQ(result.validation.after, result.validation.before);
  EXPECT_EQ(packed(matrices), before);
}

TEST_F(ScaleTuningTest, SameBitsAtAnyNumberOfThreadsAndFromCache) {
  QuantizedMatrices one = quantized(original_, "q4_0"), four = one, uncached = one;
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  FRUGAL_ASSERT_OK(tune(one, quick()));
  at::set_num_threads(4);
  FRUGAL_ASSERT_OK(tune(four, quick()));
  ScaleTuningOptions options = quick();
  options.cache_bytes = 0;
  FRUGAL_ASSERT_OK(tune(uncached, options));
  at::set_num_threads(threads);
  EXPECT_EQ(packed(one), packed(four));
  EXPECT_EQ(packed(one), packed(uncached));
  EXPECT_NE(packed(one), packed(quantized(original_, "q4_0")));
}

TEST_F(ScaleTuningTest, ResumingIsBitExact) {
  QuantizedMatrices whole = quantized(original_, "q4_0"), resumed = whole, stopped = whole;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ScaleTuningResult once, tune(whole, quick()));
  test::TemporaryFolder folder;
  for (int stops = 0; stops < 5; ++stops) {  // one step each: past the first validation
    base::request_interrupt();
    const auto result = tune(stopped, quick(), folder.path());
    base::clear_interrupt();
    ASSERT_TRUE(base::is_interrupted(result.status())) << result.status();
  }
  EXPECT_EQ(packed(stopped), packed(quantized(original_, "q4_0")));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ScaleTuningResult twice, tune(resumed, quick(), folder.path()));
  EXPECT_EQ(twice.resumed_from, 5);
  EXPECT_EQ(packed(resumed), packed(whole));
  EXPECT_EQ(twice.best_step, once.best_step);
  EXPECT_EQ(twice.validation.before, once.validation.before);
  EXPECT_EQ(twice.validation.after, once.validation.after);
  EXPECT_EQ(twice.training.after, once.training.after);
  ASSERT_EQ(twice.curve.size(), once.curve.size());
  EXPECT_EQ(twice.curve[2].divergence, once.curve[2].divergence);
}

TEST_F(ScaleTuningTest, AResumeFileOfAnotherRunIsRefused) {
  QuantizedMatrices matrices = quantized(original_, "q4_0");
  test::TemporaryFolder folder;
  base::request_interrupt();
  const auto stopped = tune(matrices, quick(), folder.path());
  base::clear_interrupt();
  ASSERT_TRUE(base::is_interrupted(stopped.status()));
  ScaleTuningOptions other = quick();
  other.learning_rate *= 2;
  EXPECT_THAT(tune(matrices, other, folder.path()).status().message(),
              ::testing::HasSubstr("another run"));
}

TEST_F(ScaleTuningTest, RefusesWhatDoesNotFit) {
  QuantizedMatrices matrices = quantized(original_, "q4_0");
  const auto message = [&](const Windows& tuning, const Windows& validation,
                           const ScaleTuningOptions& options) {
    model::Decoder student = original_;
    return std::string(
        tune_scales(original_, student, matrices, tuning, validation, options, {}, nullptr)
            .status()
            .message());
  };
  EXPECT_THAT(message(tuning_, Windows{}, quick()), ::testing::HasSubstr("validation text"));
  EXPECT_THAT(message(tuning_, windows(24, 1), quick()),
              ::testing::HasSubstr("among the validation windows"));
  EXPECT_THAT(message(windows(2, 1, 65), validation_, quick()),
              ::testing::HasSubstr("context of 64"));
  Windows foreign = tuning_;
  foreign.ids[3] = model::toy::kVocabulary;
  EXPECT_THAT(message(foreign, validation_, quick()), ::testing::HasSubstr("vocabulary has 37"));
  ScaleTuningOptions options = quick();
  options.learning_rate = std::nan("");
  EXPECT_THAT(message(tuning_, validation_, options), ::testing::HasSubstr("learning rate nan"));
  matrices.emplace("model.layers.9.mlp.up_proj.weight", matrices.begin()->second);
  EXPECT_THAT(message(tuning_, validation_, quick()),
              ::testing::HasSubstr("no matrix model.layers.9"));
}

}  // namespace
}  // namespace frugal::train
