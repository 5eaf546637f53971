#include "passes/quantize/run.h"

#include <gmock/gmock.h>

#include "base/hash.h"
#include "base/interrupt.h"
#include "passes/fake_context.h"
#include "support/toy_checkpoint.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;
namespace fs = std::filesystem;

class RunQuantization : public testing::Test {
 protected:
  void SetUp() override {
    input_.emplace(toy_checkpoint(folder_.path() / "input", {.layers = 2}));
    source_.text = {write_toy_text(folder_.path()).string()};
  }
  ~RunQuantization() override { base::clear_interrupt(); }
  FakeRunContext context(const char* name) {
    FakeRunContext result(folder_.path() / name, input_);
    result.sources["text"] = source_;
    return result;
  }
  static QuantizeSettings gptq(const char* grid) {
    QuantizeSettings settings;
    settings.grid = grid;
    settings.embeddings = settings.head = "keep";
    settings.calibration.name = "text";
    settings.windows = {.windows = 6, .sequence_length = 32};
    settings.held_out_windows = 2;
    return settings;
  }
  static std::string hash(const FakeRunContext& context) {
    return base::hash_folder(context.output_folder()).value();
  }
  TemporaryFolder folder_;
  std::optional<format::Checkpoint> input_;
  text::DataSource source_;
};

TEST_F(RunQuantization, WritesAndSaysWhatItDid) {
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(run_quantization(run, gptq("q4_0"), 1));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto result, format::Checkpoint::open(run.output_folder()));
  EXPECT_EQ(result.quantized().size(), 2u * 7);
  for (const auto& [name, entry] : result.quantized()) EXPECT_EQ(entry.grid, "q4_0") << name;
  ASSERT_EQ(run.tables.at("settings").size(), 1u);
  EXPECT_EQ(run.tables.at("settings")[0]["method"], "gptq");
  EXPECT_EQ(run.tables.at("settings")[0]["windows"], 6);
  EXPECT_EQ(run.tables.at("layer_error").size(), 2u * 7);
  EXPECT_TRUE(run.warnings.empty());
}

TEST_F(RunQuantization, FewerWindowsThanAskedForAreSaid) {
  source_.text = {write_toy_text(folder_.path(), 150).string()};
  FakeRunContext run = context("run");
  QuantizeSettings settings = gptq("q4_0");
  settings.windows.windows = 60;
  FRUGAL_ASSERT_OK(run_quantization(run, settings, 1));
  ASSERT_EQ(run.warnings.size(), 1u);
  EXPECT_THAT(run.warnings[0], testing::HasSubstr("windows of 32 tokens, 62 were asked for"));
}

// What a run left behind is taken up by the same version alone: layers on q4_0 would not fit q8_0.
TEST_F(RunQuantization, AnotherVersionStartsAnew) {
  FakeRunContext left = context("left"), fresh = context("fresh"), other = context("other"),
                 same = context("same");
  FRUGAL_ASSERT_OK(run_quantization(left, gptq("q4_0"), 1));
  FRUGAL_ASSERT_OK(run_quantization(fresh, gptq("q8_0"), 2));
  for (const FakeRunContext* const context : {&other, &same})
    fs::copy(left.resume_folder(), context->resume_folder(), fs::copy_options::recursive);
  FRUGAL_ASSERT_OK(run_quantization(other, gptq("q8_0"), 2));
  EXPECT_EQ(hash(other), hash(fresh));
  const absl::Status taken = run_quantization(same, gptq("q8_0"), 1);
  EXPECT_TRUE(!taken.ok() || hash(same) != hash(fresh)) << "layers of version 1 were not taken up";
}

TEST_F(RunQuantization, ErrorsAreHandedOn) {
  FakeRunContext run = context("run");
  QuantizeSettings settings = gptq("q4_0");
  settings.calibration.name = "absent";
  FRUGAL_EXPECT_ERROR(run_quantization(run, settings, 1), absl::StatusCode::kNotFound, "absent");
  settings = gptq("q4_0");
  settings.gate.max_error = 1e-6;
  FRUGAL_EXPECT_ERROR(run_quantization(run, settings, 1), absl::StatusCode::kFailedPrecondition,
                      "max_layer_error is 1e-06");
  base::request_interrupt();
  FRUGAL_EXPECT_ERROR(run_quantization(run, gptq("q4_0"), 1), absl::StatusCode::kCancelled, "");
  EXPECT_TRUE(fs::is_empty(run.output_folder()));
}

}  // namespace
}  // namespace frugal::passes
