#include <ATen/core/grad_mode.h>

#include "base/hash.h"
#include "layerwise/rounding/gptq.h"
#include "layerwise/walk/calibration.h"
#include "model/decoder.h"
#include "passes/fake_context.h"
#include "passes/smooth/groups.h"
#include "passes/smooth/smooth_pass.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

namespace fs = std::filesystem;
using base::Json;

std::unique_ptr<pass::Pass> smooth(const Json& options) {
  auto made = make_smooth_pass();
  set_options(*made, options);
  return made;
}

text::DataSource source_of(const fs::path& path) {
  text::DataSource source;
  source.text = {path.string()};
  return source;
}

pass::ModelInfo toy_info() {
  pass::ModelInfo info;
  info.name = "toy";
  info.config = test::toy_config({.vocabulary = kToyVocabulary});
  info.dtype = "BF16";
  info.has_tokenizer = true;
  info.size_bytes = 2 * info.config.parameter_count();
  return info;
}

absl::Status check(const Json& options, pass::ModelInfo& info) {
  FakeCheckContext context;
  context.sources["text"] = source_of("unused.txt");
  return smooth(options)->check(context, info);
}
absl::Status check(const Json& options) {
  pass::ModelInfo info = toy_info();
  return check(options, info);
}

TEST(SmoothCheck, SaysWhatIsMissing) {
  const auto kInvalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_OK(check({{"grid", "q4_0"}}));  // the model writes the text
  FRUGAL_EXPECT_ERROR(check({{"calibration", "text"}}), kInvalid, "needs `grid`");
  FRUGAL_EXPECT_ERROR(check({{"calibration", "text"}, {"grid", "q4_z"}}), kInvalid, "did you mean");
  FRUGAL_EXPECT_ERROR(check({{"calibration", "text"}, {"grid", "q4_k"}}), kInvalid, "256");
  FRUGAL_EXPECT_ERROR(check({{"calibration", "text"}, {"grid", "q4_k_m"}}), kInvalid,
                      "is a mix of grids, and awq needs one");
  FRUGAL_EXPECT_ERROR(check({{"calibration", "text"}, {"grid", "q3_k_l"}}), kInvalid,
                      "go to, q3_k");
  FRUGAL_EXPECT_ERROR(check({{"calibration", "text"}, {"method", "smoothquant"}, {"clip", true}}),
                      kInvalid, "awq");
  pass::ModelInfo info = toy_info();
  info.has_tokenizer = false;
  FRUGAL_EXPECT_ERROR(check({{"calibration", "text"}, {"grid", "q4_0"}}, info), kInvalid,
                      "tokenizer");
  info = toy_info();
  info.grids["model.layers.0.mlp.up_proj.weight"] = "q4_0";
  FRUGAL_EXPECT_ERROR(check({{"calibration", "text"}, {"grid", "q4_0"}}, info), kInvalid,
                      "smooth first");
}

TEST(SmoothCheck, TheResultIsFp32) {
  pass::ModelInfo info = toy_info();
  FRUGAL_ASSERT_OK(check({{"calibration", "text"}, {"grid", "q4_0"}}, info));
  EXPECT_EQ(info.dtype, "F32");
  EXPECT_EQ(info.size_bytes, 4 * info.config.parameter_count());
  info = toy_info();
  FRUGAL_ASSERT_OK(
      check({{"calibration", "text"}, {"method", "smoothquant"}, {"dtype", "keep"}}, info));
  EXPECT_EQ(info.dtype, "BF16");
}

TEST(SmoothGroups, TieQueryHeadsOfAValueHead) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto groups,
                              scale_groups(test::toy_config({.vocabulary = kToyVocabulary})));
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_EQ(groups[0].source, architecture::Role::kNormBeforeAttention);
  EXPECT_EQ(groups[1].source, architecture::Role::kValue);
  EXPECT_EQ(groups[1].sharing.copies, 2);
  EXPECT_EQ(groups[1].sharing.size, 8);
  EXPECT_EQ(groups[3].source, architecture::Role::kUp);
  EXPECT_EQ(groups[3].columns, 64);
}

TEST(SmoothGroups, LeaveWhatAPlainActivationMakesAlone) {
  architecture::ModelConfig config = test::toy_config({.vocabulary = kToyVocabulary});
  for (architecture::Layer& layer : config.layers) layer.feed_forward.gated = false;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto groups, scale_groups(config));
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_EQ(groups[2].source, architecture::Role::kNormBeforeFeedForward);
  EXPECT_FALSE(groups[2].left_alone);
  EXPECT_TRUE(groups[3].left_alone);
}

// Norm weights random, and a few channels of the residual stream large.
model::Decoder outliers(model::Decoder decoder, uint64_t seed = 1) {
  for (const auto& [name, value] : decoder.parameters()) {
    if (value.dim() != 1) continue;
    base::RandomStream stream(seed, name);
    at::Tensor weights = at::empty_like(value);
    for (int64_t i = 0; i < value.numel(); ++i) {
      weights.data_ptr<float>()[i] =
          static_cast<float>((1.0 + 0.3 * stream.normal()) * (i % 13 == 2 ? 8 : 1));
    }
    decoder.set_parameter(name, weights);
  }
  return decoder;
}

at::Tensor logits_of(const fs::path& folder, const model::Batch& batch) {
  const at::NoGradGuard no_grad;
  return model::Decoder::load(format::Checkpoint::open(folder).value(), {}).value().logits(batch);
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / a.abs().max()).item<double>();
}

class SmoothRun : public testing::Test {
 protected:
  void SetUp() override {
    const format::Checkpoint made = toy_checkpoint(folder_.path() / "made", {});
    fs::copy(made.folder(), folder_.path() / "input", fs::copy_options::recursive);
    input_.emplace(
        test::save_toy(outliers(model::Decoder::load(made, {}).value()), folder_.path() / "input"));
    text_ = write_toy_text(folder_.path());
  }
  FakeRunContext context(const std::string& name) {
    FakeRunContext result(folder_.path() / name, input_);
    result.sources["text"] = source_of(text_);
    return result;
  }
  static Json options(const Json& more) {
    Json result = {{"calibration", "text"}, {"windows", 12}, {"sequence_length", 32}};
    result.update(more);
    return result;
  }
  static std::string hash(const FakeRunContext& context) {
    return base::hash_folder(context.output_folder()).value();
  }

  test::TemporaryFolder folder_;
  std::optional<format::Checkpoint> input_;
  fs::path text_;
  model::Batch batch_ = test::toy_batch(test::toy_windows(4, 24, kToyVocabulary));
};

TEST_F(SmoothRun, LogitsStay) {
  const at::Tensor before = logits_of(input_->folder(), batch_);
  const std::map<std::string, Json> cases = {
      {"awq", {{"grid", "q4_0"}}},
      {"duo", {{"grid", "int4:g16"}, {"duo_scaling", true}}},
      {"smooth", {{"method", "smoothquant"}}},
      {"strong", {{"method", "smoothquant"}, {"alpha", 0.9}}}};
  for (const auto& [name, more] : cases) {
    FakeRunContext run = context(name);
    FRUGAL_ASSERT_OK(smooth(options(more))->run(run));
    EXPECT_LT(largest_difference(before, logits_of(run.output_folder(), batch_)), 1e-4) << name;
    EXPECT_TRUE(fs::exists(run.output_folder() / "tokenizer.json"));
    EXPECT_NE(hash(run), base::hash_folder(input_->folder()).value());
    ASSERT_EQ(run.tables.at("smoothing").size(), 12u);
    EXPECT_TRUE(run.warnings.empty());
  }
}

TEST_F(SmoothRun, PredictsLessErrorThanRounding) {
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(smooth(options({{"grid", "q4_0"}}))->run(run));
  for (const Json& row : run.tables.at("smoothing"))
    EXPECT_LE(row["error_after"].get<double>(), row["error_before"].get<double>());
  EXPECT_LT(*run.value("predicted_error_ratio"), 1);
  EXPECT_GT(*run.value("scaled_groups"), 0);
  EXPECT_LE(*run.value("mean_error_ratio"), 1);
}

// KL(original || the model in `folder` rounded to nearest on `grid`).
double rounded_divergence(const at::Tensor& original, const fs::path& folder, const char* grid,
                          const model::Batch& batch) {
  const at::NoGradGuard no_grad;
  model::Decoder decoder =
      model::Decoder::load(format::Checkpoint::open(folder).value(), {}).value();
  for (const std::string& name : architecture::layer_matrices(decoder.config())) {
    const at::Tensor& weights = decoder.parameters().at(name);
    auto found = grid::find_grid(grid, weights.size(1)).value();
    decoder.set_parameter(
        name, layerwise::decode(layerwise::round_to_nearest(weights, {}, found, true).value()));
  }
  const at::Tensor p = at::log_softmax(original, -1),
                   q = at::log_softmax(decoder.logits(batch), -1);
  return (p.exp() * (p - q)).sum(-1).mean().item<double>();
}

// What it is for, on ten models.
TEST_F(SmoothRun, ModelsAreHurtLessByRounding) {
  test::ToyShape shape;
  shape.vocabulary = kToyVocabulary;
  double logs = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    input_.emplace(
        test::save_toy(outliers(test::toy_decoder(shape, seed), seed), folder_.path() / "input"));
    FakeRunContext run = context(base::str_cat("seed", seed));
    FRUGAL_ASSERT_OK(smooth(options({{"grid", "q4_0"}}))->run(run));
    EXPECT_LT(*run.value("predicted_error_ratio"), 1) << seed;
    const at::Tensor original = logits_of(input_->folder(), batch_);
    logs += std::log(rounded_divergence(original, run.output_folder(), "q4_0", batch_) /
                     rounded_divergence(original, input_->folder(), "q4_0", batch_));
  }
  EXPECT_LT(std::exp(logs / 10), 0.95);
}

TEST_F(SmoothRun, SmoothQuantEvensInputsOut) {
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(smooth(options({{"method", "smoothquant"}, {"alpha", 0.8}}))->run(run));
  EXPECT_LT(*run.value("outlier_ratio"), *run.value("outlier_ratio_before"));
  EXPECT_FALSE(run.value("predicted_error_ratio").has_value());
}

TEST_F(SmoothRun, ClippingIsSaid) {
  FakeRunContext plain = context("plain"), clipped = context("clipped");
  FRUGAL_ASSERT_OK(smooth(options({{"grid", "int4:g16"}}))->run(plain));
  FRUGAL_ASSERT_OK(smooth(options({{"grid", "int4:g16"}, {"clip", true}}))->run(clipped));
  ASSERT_EQ(clipped.warnings.size(), 1u);
  EXPECT_THAT(clipped.warnings[0], testing::HasSubstr("not equivalent"));
  EXPECT_LE(*clipped.value("clip_error_ratio"), 1);
  const format::Checkpoint a = format::Checkpoint::open(plain.output_folder()).value();
  const format::Checkpoint b = format::Checkpoint::open(clipped.output_folder()).value();
  int64_t changed = 0;
  const auto places = architecture::places(a.config());
  for (const std::string& name : a.tensor_names()) {
    const bool same = a.values(name).value() == b.values(name).value();
    EXPECT_TRUE(same || (name.ends_with("_proj.weight") && !is_query_or_key(places.at(name).role)))
        << name;
    changed += same ? 0 : 1;
  }
  EXPECT_GT(changed, 0);
}

TEST_F(SmoothRun, KeepsTheStoredTypeWhereAsked) {
  const model::Decoder decoder = model::Decoder::load(*input_, {}).value();
  fs::copy(input_->folder(), folder_.path() / "half", fs::copy_options::recursive);
  FRUGAL_ASSERT_OK(decoder.save(folder_.path() / "half", format::DType::kBF16));
  input_ = format::Checkpoint::open(folder_.path() / "half").value();
  for (const char* type : {"keep", "f32"}) {
    FakeRunContext run = context(type);
    FRUGAL_ASSERT_OK(smooth(options({{"grid", "q4_0"}, {"dtype", type}}))->run(run));
    const format::Checkpoint result = format::Checkpoint::open(run.output_folder()).value();
    const format::DType expected =
        std::string(type) == "keep" ? format::DType::kBF16 : format::DType::kF32;
    EXPECT_EQ(result.info("model.layers.0.mlp.up_proj.weight")->dtype, expected);
    EXPECT_EQ(result.info("model.embed_tokens.weight")->dtype, format::DType::kBF16);
    const double difference = largest_difference(logits_of(input_->folder(), batch_),
                                                 logits_of(run.output_folder(), batch_));
    EXPECT_LT(difference, std::string(type) == "keep" ? 0.2 : 1e-4);
  }
}

TEST_F(SmoothRun, GatesStopTheJobAndSayWhere) {
  FakeRunContext strict = context("strict"), hungry = context("hungry");
  FRUGAL_EXPECT_ERROR(smooth(options({{"grid", "q4_0"}, {"max_layer_error", 1e-9}}))->run(strict),
                      absl::StatusCode::kFailedPrecondition,
                      "layer 0, attention_in: the relative output error of rounding to grid q4_0");
  FRUGAL_EXPECT_ERROR(
      smooth(options({{"method", "smoothquant"}, {"min_tokens", 1000}}))->run(hungry),
      absl::StatusCode::kFailedPrecondition, "min_tokens is 1000");
}

TEST_F(SmoothRun, SpilledActivationsGiveTheSameBytes) {
  FakeRunContext whole = context("whole"), spilled = context("spilled");
  FRUGAL_ASSERT_OK(smooth(options({{"grid", "q4_0"}}))->run(whole));
  FRUGAL_ASSERT_OK(
      smooth(options({{"grid", "q4_0"}, {"activation_memory", 20'000}}))->run(spilled));
  EXPECT_EQ(hash(spilled), hash(whole));
}

TEST_F(SmoothRun, ResumedRunIsByteEqualAtAnyThreadCount) {
  const Json chosen = options({{"grid", "q4_0"}, {"clip", true}});
  FakeRunContext whole = context("whole");
  FRUGAL_ASSERT_OK(smooth(chosen)->run(whole));
  for (const int64_t finished : {0, 1, 2}) {
    const test::ThreadCount count(static_cast<int>(finished) + 1);
    FakeRunContext run = context(base::str_cat("resumed", finished));
    for (int64_t layer = 0; layer < finished; ++layer) {
      const std::string file = base::str_cat("layer-0000", layer, ".safetensors");
      fs::copy_file(whole.resume_folder() / file, run.resume_folder() / file);
    }
    FRUGAL_ASSERT_OK(smooth(chosen)->run(run));
    EXPECT_EQ(hash(run), hash(whole)) << finished << " layers finished";
  }
}

TEST(SmoothRealModel, LogitsStay) {
  FRUGAL_SHARED_DATA_OR_SKIP(source, "stories260K/hf");
  FRUGAL_SHARED_DATA_OR_SKIP(tokenizer, "stories260K/tok512.bin");
  FRUGAL_SHARED_DATA_OR_SKIP(text, "english-novels-100/Burnett_Garden_1911.txt");
  test::TemporaryFolder work;
  const fs::path folder = work.path() / "model";
  fs::create_directories(folder);
  for (const char* file : {"config.json", "model.safetensors"})
    fs::copy_file(source / file, folder / file);
  fs::copy_file(tokenizer, folder / "tokenizer.bin");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint input, format::Checkpoint::open(folder));
  const model::Batch batch =
      test::toy_batch(test::toy_windows(2, 64, input.config().vocabulary_size));
  const at::Tensor before = logits_of(folder, batch);
  for (const char* method : {"awq", "smoothquant"}) {
    FakeRunContext run(work.path() / method, input);
    run.sources["text"] = source_of(text);
    FRUGAL_ASSERT_OK(smooth({{"calibration", "text"},
                             {"windows", 4},
                             {"sequence_length", 64},
                             {"method", method},
                             {"grid", "int4:row"}})
                         ->run(run));
    EXPECT_LT(largest_difference(before, logits_of(run.output_folder(), batch)), 1e-4) << method;
  }
}

}  // namespace
}  // namespace frugal::passes
