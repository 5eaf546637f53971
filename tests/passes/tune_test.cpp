#include <cmath>

#include "layerwise/walk/estimate.h"
#include "passes/fake_context.h"
#include "passes/quantize/quantize_pass.h"
#include "passes/tune/tune_pass.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

namespace fs = std::filesystem;
using base::Json;

text::DataSource source_of(const fs::path& path) {
  text::DataSource source;
  source.text = {path.string()};
  return source;
}

const Json kOptions = {{"original", "small"},     {"data", "text"},        {"windows", 40},
                       {"validation_windows", 6}, {"sequence_length", 32}, {"steps", 8},
                       {"tokens_per_step", 128},  {"warmup_steps", 2},     {"learning_rate", 5e-3}};

std::unique_ptr<pass::Pass> tune(Json options = kOptions) {
  auto made = make_tune_pass();
  set_options(*made, options);
  return made;
}

pass::ModelInfo toy_info(bool quantized) {
  test::ToyShape shape;
  shape.vocabulary = kToyVocabulary;
  pass::ModelInfo info;
  info.name = quantized ? "small/q4_0" : "small";
  info.config = test::toy_config(shape);
  info.has_tokenizer = true;
  info.size_bytes = 4 * info.config.parameter_count();
  if (quantized) info.grids["model.layers.0.mlp.up_proj.weight"] = "q4_0";
  return info;
}

absl::Status check(pass::ModelInfo model, pass::ModelInfo original,
                   const Json& options = kOptions) {
  FakeCheckContext context;
  context.sources["text"] = source_of("unused.txt");
  context.models["small"] = std::move(original);
  return tune(options)->check(context, model);
}

TEST(TuneCheck, SaysWhatDoesNotFit) {
  const auto code = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(check(toy_info(false), toy_info(false)), code, "not quantized");
  FRUGAL_EXPECT_ERROR(check(toy_info(true), toy_info(true)), code, "quantized itself");
  pass::ModelInfo wider = toy_info(false);
  wider.config = test::toy_config({.width = 64, .vocabulary = kToyVocabulary});
  FRUGAL_EXPECT_ERROR(check(toy_info(true), wider), code, "different configurations");
  pass::ModelInfo mute = toy_info(true);
  mute.has_tokenizer = false;
  FRUGAL_EXPECT_ERROR(check(mute, toy_info(false)), code, "tokenizer");
  pass::ModelInfo integers = toy_info(true);
  integers.activations["model.layers.0.mlp.up_proj.weight"] = format::Activations::kInt8;
  FRUGAL_EXPECT_ERROR(check(integers, toy_info(false)), code, "has no gradient");
  Json options = kOptions;
  options["data"] = "nothing";
  FRUGAL_EXPECT_ERROR(check(toy_info(true), toy_info(false), options), absl::StatusCode::kNotFound,
                      "nothing");
  options = kOptions;
  options["sequence_length"] = 65;
  FRUGAL_EXPECT_ERROR(check(toy_info(true), toy_info(false), options), code, "context of 64");
}

TEST(TuneCheck, KeepsGridsAndEstimates) {
  FakeCheckContext context;
  context.sources["text"] = source_of("unused.txt");
  context.models["small"] = toy_info(false);
  pass::ModelInfo model = toy_info(true);
  const int64_t size = model.size_bytes;
  FRUGAL_ASSERT_OK(tune()->check(context, model));
  EXPECT_EQ(model.grids.size(), 1u);
  EXPECT_EQ(model.size_bytes, size);
  EXPECT_GT(context.estimated.seconds.value(), 0);
  EXPECT_GT(context.estimated.peak_memory_bytes.value(),
            layerwise::process_memory() + 8 * model.config.parameter_count() - 1'000'000);
}

class TuneRun : public ::testing::Test {
 protected:
  void SetUp() override {
    original_.emplace(toy_checkpoint(folder_.path() / "small", {}));
    text_ = write_toy_text(folder_.path());
    FakeRunContext context(folder_.path() / "quantized", original_);
    auto quantize = make_quantize_pass();
    set_options(*quantize, {{"grid", "q4_0"}, {"method", "rtn"}, {"embeddings", "q8_0"}});
    FRUGAL_ASSERT_OK(quantize->run(context));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto made, format::Checkpoint::open(context.output_folder()));
    quantized_.emplace(made);
  }

  FakeRunContext context(const std::string& name) const {
    FakeRunContext result(folder_.path() / name, quantized_);
    result.sources["text"] = source_of(text_);
    result.models["small"] = original_->folder();
    return result;
  }

  test::TemporaryFolder folder_;
  fs::path text_;
  std::optional<format::Checkpoint> original_, quantized_;
};

TEST_F(TuneRun, KeepsCodesAndLowersTheDivergence) {
  FakeRunContext context = this->context("tuned");
  FRUGAL_ASSERT_OK(tune()->run(context));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tuned, format::Checkpoint::open(context.output_folder()));
  EXPECT_EQ(tuned.weight_bytes(), quantized_->weight_bytes());
  ASSERT_EQ(tuned.quantized().size(), quantized_->quantized().size());
  int64_t moved = 0;
  for (const auto& [name, entry] : quantized_->quantized()) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto before, quantized_->codes(name));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto after, tuned.codes(name));
    EXPECT_EQ(before.codes, after.codes) << name;
    EXPECT_EQ(tuned.quantized().find(name)->second.grid, entry.grid);
    moved += before.parameters != after.parameters;
  }
  EXPECT_GT(moved, 0);
  EXPECT_LT(context.value("kl_after").value(), context.value("kl_before").value());
  EXPECT_LT(context.value("training_kl_after").value(),
            context.value("training_kl_before").value());
  EXPECT_EQ(context.value("steps"), 8.0);
  EXPECT_EQ(context.value("tokens"), 8.0 * 128);
  EXPECT_EQ(context.tables["tuning"].size(), 8u);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto norm, tuned.bytes("model.norm.weight"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto same, original_->bytes("model.norm.weight"));
  EXPECT_TRUE(std::equal(norm.begin(), norm.end(), same.begin(), same.end()));
  EXPECT_FALSE(tuned.side_files().empty());
}

TEST_F(TuneRun, ACheckpointAndItsOriginalPassTheCheck) {
  pass::ModelInfo quantized = toy_info(true), original = toy_info(false);
  quantized.config = quantized_->config();
  original.config = original_->config();
  FRUGAL_EXPECT_OK(check(quantized, original));
}

TEST_F(TuneRun, TakesValidationTextOfItsOwn) {
  const fs::path other = folder_.path() / "other.txt";
  std::ofstream(other)
      << "nobody came out of the quiet house while the carriage stood before its old door and the "
         "rain stopped under a door that nobody came out of while the old carriage stood quiet\n"
      << toy_text(300).substr(700);
  FakeRunContext context = this->context("tuned");
  context.sources["other"] = source_of(other);
  Json options = kOptions;
  options["validation"] = "other";
  options["validation_windows"] = 3;
  FRUGAL_ASSERT_OK(tune(options)->run(context));
  EXPECT_LE(context.value("kl_after").value(), context.value("kl_before").value());
}

TEST_F(TuneRun, TooLittleTextIsNamed) {
  FakeRunContext context = this->context("tuned");
  const fs::path tiny = folder_.path() / "tiny.txt";
  std::ofstream(tiny) << toy_text(13);
  context.sources["text"] = source_of(tiny);
  FRUGAL_EXPECT_ERROR(tune()->run(context), absl::StatusCode::kInvalidArgument,
                      "one must be held out");
}

}  // namespace
}  // namespace frugal::passes
