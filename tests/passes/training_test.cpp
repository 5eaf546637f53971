// The training passes on toy models: what they refuse, and that what they write is a checkpoint.
#include "passes/common/training.h"

#include <gtest/gtest.h>

#include "fake_context.h"
#include "passes/distill/distill_pass.h"
#include "passes/finetune/finetune_pass.h"
#include "passes/train/train_pass.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"
#include "tensor/device.h"
#include "train/estimate.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

const base::Json kShort = {{"data", "text"},
                           {"steps", 3},
                           {"sequence_length", 16},
                           {"batch_sequences", 2},
                           {"precision", "fp32"}};

text::DataSource toy_source(const std::filesystem::path& folder) {
  text::DataSource source;
  source.text = {write_toy_text(folder, 400).string()};
  return source;
}

pass::ModelInfo info_of(const format::Checkpoint& checkpoint) {
  pass::ModelInfo info;
  info.name = "toy";
  info.config = checkpoint.config();
  info.has_tokenizer = true;
  return info;
}

TEST(TrainPass, WritesACheckpointWithItsTokenizer) {
  const test::TemporaryFolder folder;
  base::Json options = kShort;
  options.update({{"vocabulary_size", 270},
                  {"hidden_size", 16},
                  {"intermediate_size", 32},
                  {"layers", 1},
                  {"heads", 2},
                  {"key_value_heads", 1},
                  {"context_length", 32}});
  const auto pass = make_train_pass();
  set_options(*pass, options);
  FakeCheckContext check;
  check.sources["text"] = toy_source(folder.path());
  pass::ModelInfo info;
  FRUGAL_ASSERT_OK(pass->check(check, info));
  EXPECT_EQ(info.config.vocabulary_size, 270);
  FakeRunContext context(folder.path(), std::nullopt);
  context.sources = check.sources;
  FRUGAL_ASSERT_OK(pass->run(context));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint written,
                              format::Checkpoint::open(context.output_folder()));
  EXPECT_EQ(written.config().parameter_count(), info.config.parameter_count());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, text::load_tokenizer(context.output_folder()));
  FRUGAL_EXPECT_OK(text::check_fits(*tokenizer, 270, "test"));
  EXPECT_EQ(context.value("steps"), 3.0);
  EXPECT_FALSE(context.tables["training_curve"].empty());
}

TEST(TrainPass, RefusesImpossibleShapes) {
  const auto pass = make_train_pass();
  base::Json options = kShort;
  options.update({{"hidden_size", 30}, {"heads", 4}});
  set_options(*pass, options);
  FakeCheckContext check;
  pass::ModelInfo info;
  FRUGAL_EXPECT_ERROR(pass->check(check, info), absl::StatusCode::kInvalidArgument,
                      "does not split");
}

TEST(FinetunePass, ChangesWeightsAndKeepsTheTokenizer) {
  const test::TemporaryFolder folder;
  const format::Checkpoint input = toy_checkpoint(folder.path() / "toy", {.layers = 1});
  const auto pass = make_finetune_pass();
  set_options(*pass, kShort);
  FakeRunContext context(folder.path(), input);
  context.sources["text"] = toy_source(folder.path());
  FRUGAL_ASSERT_OK(pass->run(context));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint written,
                              format::Checkpoint::open(context.output_folder()));
  EXPECT_NE(written.values("model.layers.0.mlp.up_proj.weight").value(),
            input.values("model.layers.0.mlp.up_proj.weight").value());
  EXPECT_EQ(base::read_file(context.output_folder() / "tokenizer.json").value(),
            base::read_file(input.folder() / "tokenizer.json").value());
}

TEST(DistillPass, MovesTheStudentTowardsItsTeacher) {
  const test::TemporaryFolder folder;
  const format::Checkpoint student = toy_checkpoint(folder.path() / "student", {.layers = 1});
  const format::Checkpoint teacher = toy_checkpoint(folder.path() / "teacher", {.layers = 2});
  const auto pass = make_distill_pass();
  base::Json options = kShort;
  options.update({{"teacher", "teacher"}, {"steps", 20}, {"learning_rate", 0.01}});
  set_options(*pass, options);
  FakeRunContext context(folder.path(), student);
  context.sources["text"] = toy_source(folder.path());
  context.models["teacher"] = teacher.folder();
  FRUGAL_ASSERT_OK(pass->run(context));
  const std::vector<base::Json>& curve = context.tables["training_curve"];
  ASSERT_GE(curve.size(), 2u);
  EXPECT_LT(curve.back()["divergence"].get<double>(), curve.front()["divergence"].get<double>());
}

TEST(DistillPass, RefusesATeacherOfAnotherVocabulary) {
  const test::TemporaryFolder folder;
  pass::ModelInfo student = info_of(toy_checkpoint(folder.path() / "toy", {.layers = 1}));
  const auto pass = make_distill_pass();
  base::Json options = kShort;
  options["teacher"] = "teacher";
  set_options(*pass, options);
  FakeCheckContext check;
  check.sources["text"] = toy_source(folder.path());
  check.models["teacher"] = student;
  check.models["teacher"].config.vocabulary_size += 1;
  FRUGAL_EXPECT_ERROR(pass->check(check, student), absl::StatusCode::kInvalidArgument,
                      "must be equal");
}

TEST(Training, RefusesWhatCannotBeTrained) {
  const test::TemporaryFolder folder;
  pass::ModelInfo good = info_of(toy_checkpoint(folder.path() / "toy", {.layers = 1}));
  FakeCheckContext check;
  check.sources["text"] = toy_source(folder.path());
  TrainingOptions options;
  options.data.name = "text";
  options.loop.steps = 1;
  options.sequence_length = 16;
  FRUGAL_EXPECT_OK(check_training(check, "finetune", good, options, nullptr));
  pass::ModelInfo quantized = good;
  quantized.grids["model.layers.0.mlp.up_proj.weight"] = "q4_0";
  FRUGAL_EXPECT_ERROR(check_training(check, "finetune", quantized, options, nullptr),
                      absl::StatusCode::kInvalidArgument, "is quantized");
  pass::ModelInfo bare = good;
  bare.has_tokenizer = false;
  FRUGAL_EXPECT_ERROR(check_training(check, "finetune", bare, options, nullptr),
                      absl::StatusCode::kInvalidArgument, "no tokenizer");
  options.loop.keep_best = true;
  FRUGAL_EXPECT_ERROR(check_training(check, "finetune", good, options, nullptr),
                      absl::StatusCode::kInvalidArgument, "keep_best");
  options.loop.keep_best = false;
  options.sequence_length = 1000;
  FRUGAL_EXPECT_ERROR(check_training(check, "finetune", good, options, nullptr),
                      absl::StatusCode::kInvalidArgument, "1000");
}

// The plan refuses what the run would after hours of earlier steps.
TEST(Training, Bf16IsForDevicesThatMultiplyIt) {
  const test::TemporaryFolder folder;
  pass::ModelInfo model = info_of(toy_checkpoint(folder.path() / "toy", {.layers = 1}));
  FakeCheckContext check;
  check.sources["text"] = toy_source(folder.path());
  base::Json options = kShort;
  options["precision"] = "bf16";
  const auto pass = make_finetune_pass();
  set_options(*pass, options);
  if (tensor::cpu_has_native_bf16()) {
    FRUGAL_EXPECT_OK(pass->check(check, model));
  } else {
    FRUGAL_EXPECT_ERROR(pass->check(check, model), absl::StatusCode::kInvalidArgument,
                        "this CPU has no bf16 products");
  }
  check.place = "cuda:0";
  FRUGAL_EXPECT_OK(pass->check(check, model));
}

// What a step holds beside the process: weights four times, the graph of one forward, the head.
TEST(Training, MemoryIsForecastFromTheShapes) {
  const test::TemporaryFolder folder;
  pass::ModelInfo model = info_of(toy_checkpoint(folder.path() / "toy", {.layers = 2}));
  FakeCheckContext check;
  check.sources["text"] = toy_source(folder.path());
  TrainingOptions options;
  options.data.name = "text";
  options.precision = "fp32";
  options.loop.steps = 1;
  options.sequence_length = 64;
  const auto forecast = [&](int64_t sequences) {
    options.loop.batch_sequences = sequences;
    EXPECT_TRUE(check_training(check, "finetune", model, options, nullptr).ok());
    return check.estimated.peak_memory_bytes.value();
  };
  constexpr int64_t kMany = 1 << 14;  // so that the process, which grows meanwhile, is small
  const auto memory = [&](int64_t sequences) {
    train::TrainOptions loop = options.loop;
    loop.batch_sequences = sequences;
    return train::training_memory(model.config, loop, 64, train::Precision::kFp32, nullptr).total();
  };
  const auto wanted = static_cast<double>(memory(2 * kMany) - memory(kMany));
  const int64_t less = forecast(kMany);
  EXPECT_NEAR(static_cast<double>(forecast(2 * kMany) - less), wanted, 0.01 * wanted);
  EXPECT_GT(less, memory(kMany));
}

TEST(Training, WarnsThatZerosAreLost) {
  const test::TemporaryFolder folder;
  pass::ModelInfo model = info_of(toy_checkpoint(folder.path() / "toy", {.layers = 1}));
  model.zeros["model.layers.0.mlp.up_proj.weight"] = "2:4";
  FakeCheckContext check;
  check.sources["text"] = toy_source(folder.path());
  auto pass = make_finetune_pass();
  base::Json options = kShort;
  set_options(*pass, options);
  FRUGAL_ASSERT_OK(pass->check(check, model));
  ASSERT_EQ(check.warnings.size(), 1u);
  EXPECT_THAT(check.warnings[0], testing::HasSubstr("train first, prune afterwards"));
  EXPECT_TRUE(model.zeros.empty());
}

}  // namespace
}  // namespace frugal::passes
