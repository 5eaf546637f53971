#include <ATen/core/grad_mode.h>

#include "base/hash.h"
#include "model/decoder.h"
#include "passes/fake_context.h"
#include "passes/rotate/rotate_pass.h"
#include "passes/rotate/rotate_weights.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

namespace fs = std::filesystem;
using base::Json;

std::unique_ptr<pass::Pass> rotate(const Json& options = Json::object()) {
  auto made = make_rotate_pass();
  set_options(*made, options);
  return made;
}

pass::ModelInfo toy_info() {
  pass::ModelInfo info;
  info.name = "toy";
  info.config = test::toy_config({.vocabulary = kToyVocabulary, .tied = true});
  info.dtype = "BF16";
  info.size_bytes = 2 * info.config.parameter_count();
  return info;
}

TEST(RotateCheck, UntiesAndRefuses) {
  FakeCheckContext context;
  pass::ModelInfo info = toy_info();
  const int64_t before = info.config.parameter_count();
  FRUGAL_ASSERT_OK(rotate()->check(context, info));
  EXPECT_FALSE(info.config.tied_embeddings);
  EXPECT_EQ(info.config.parameter_count(), before + 32 * kToyVocabulary);
  EXPECT_EQ(info.size_bytes, 4 * info.config.parameter_count());
  info = toy_info();
  FRUGAL_ASSERT_OK(rotate({{"residual", false}, {"dtype", "keep"}})->check(context, info));
  EXPECT_TRUE(info.config.tied_embeddings);
  EXPECT_EQ(info.size_bytes, 2 * before);
  FRUGAL_EXPECT_ERROR(rotate({{"residual", false}, {"heads", false}})->check(context, info),
                      absl::StatusCode::kInvalidArgument, "both false");
  info.grids["model.layers.0.mlp.up_proj.weight"] = "q4_0";
  FRUGAL_EXPECT_ERROR(rotate()->check(context, info), absl::StatusCode::kInvalidArgument,
                      "rotate first");
}

TEST(RotateCheck, WarnsOfZerosThatItFills) {
  FakeCheckContext context;
  pass::ModelInfo info = toy_info();
  info.zeros["model.layers.0.mlp.down_proj.weight"] = "50%";
  FRUGAL_ASSERT_OK(rotate({{"residual", false}})->check(context, info));  // turns v and o alone
  EXPECT_TRUE(context.warnings.empty());
  FRUGAL_ASSERT_OK(rotate()->check(context, info));
  ASSERT_EQ(context.warnings.size(), 1u);
  EXPECT_THAT(context.warnings[0], testing::HasSubstr("down_proj.weight: 50%"));
  EXPECT_THAT(context.warnings[0], testing::HasSubstr("rotate first, prune afterwards"));
  EXPECT_TRUE(info.zeros.empty());
}

TEST(RotateRun, SaysThatZerosAreGone) {
  test::TemporaryFolder work;
  model::Decoder decoder = test::toy_decoder({.width = 32});
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  const at::Tensor weights = decoder.parameters().at(name);
  decoder.set_parameter(name, weights * at::arange(weights.size(1)).remainder(2));
  FakeRunContext run(work.path() / "run", test::save_toy(decoder, work.path() / "input"));
  FRUGAL_ASSERT_OK(rotate()->run(run));
  ASSERT_EQ(run.warnings.size(), 1u);
  EXPECT_THAT(run.warnings[0], testing::HasSubstr("1 matrices came with zeros"));
}

TEST(RotateCheck, PrincipalDirectionsNeedText) {
  FakeCheckContext context;
  context.sources["text"].text = {"unused.txt"};
  const auto refused = [&](const Json& options, const char* why) {
    pass::ModelInfo info = toy_info();
    info.has_tokenizer = true;
    FRUGAL_EXPECT_ERROR(rotate(options)->check(context, info), absl::StatusCode::kInvalidArgument,
                        why);
  };
  EXPECT_EQ(rotate({{"kind", "pca"}})->implied_data().size(), 1u);  // the model writes it
  EXPECT_TRUE(rotate({{"kind", "hadamard"}})->implied_data().empty());
  refused({{"kind", "pca"}, {"calibration", "text"}, {"residual", false}}, "residual is false");
  refused({{"calibration", "text"}}, "only kind pca");
  refused({{"kind", "pca"}, {"calibration", "text"}, {"sequence_length", 100000}}, "context");
  pass::ModelInfo info = toy_info();
  info.has_tokenizer = false;
  FRUGAL_EXPECT_ERROR(rotate({{"kind", "pca"}, {"calibration", "text"}})->check(context, info),
                      absl::StatusCode::kInvalidArgument, "no tokenizer");
}

TEST(RotationRoles, NameWhatChanges) {
  const architecture::ModelConfig config = toy_info().config;
  const RotationRoles heads = rotation_roles(config, {.residual = false, .heads = true}).value();
  EXPECT_EQ(heads.size(), 6u);  // v and o of three layers
  EXPECT_EQ(heads.at("model.layers.2.self_attn.v_proj.weight").value_rows_of, 2);
  EXPECT_EQ(heads.at("model.layers.1.self_attn.o_proj.weight").value_columns_of, 1);
  const RotationRoles all = rotation_roles(config, {}).value();
  EXPECT_EQ(all.size(), 3u * 9u + 3u);  // every weight there is
  EXPECT_EQ(all.at("lm_head.weight").gains, "model.norm.weight");
  EXPECT_TRUE(all.at("model.layers.0.mlp.down_proj.weight").writes);
  EXPECT_FALSE(all.at("model.layers.0.mlp.down_proj.weight").reads);
  EXPECT_TRUE(all.at("model.layers.0.input_layernorm.weight").becomes_ones);
}

at::Tensor logits_of(const fs::path& folder, const model::Batch& batch) {
  const at::NoGradGuard no_grad;
  return model::Decoder::load(format::Checkpoint::open(folder).value(), {}).value().logits(batch);
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / a.abs().max()).item<double>();
}

TEST(RotateRun, LogitsStay) {
  test::TemporaryFolder work;
  const model::Batch batch = test::toy_batch(test::toy_windows(4, 24, kToyVocabulary));
  const std::vector<test::ToyShape> shapes = {
      {.width = 32}, {.width = 48, .neurons = 40, .tied = true}, {.width = 72}};
  const std::vector<Json> cases = {
      Json::object(),
      {{"residual", false}},
      {{"heads", false}},
      {{"kind", "orthogonal"}, {"seed", 5}},
      {{"kind", "pca"}, {"calibration", "text"}, {"windows", 4}, {"sequence_length", 32}}};
  text::DataSource text;
  text.text = {write_toy_text(work.path()).string()};
  for (const test::ToyShape& shape : shapes) {
    const format::Checkpoint input = gained_toy(work.path() / std::to_string(shape.width), shape);
    const at::Tensor before = logits_of(input.folder(), batch);
    for (size_t i = 0; i < cases.size(); ++i) {
      FakeRunContext run(work.path() / base::str_cat(shape.width, "-", i), input);
      run.sources["text"] = text;
      FRUGAL_ASSERT_OK(rotate(cases[i])->run(run));
      EXPECT_LT(largest_difference(before, logits_of(run.output_folder(), batch)), 1e-4)
          << shape.width << " " << cases[i];
      EXPECT_LT(*run.value("orthogonality_error"), 1e-13);
      EXPECT_TRUE(fs::exists(run.output_folder() / "tokenizer.json"));
      const auto name = "model.layers.1.self_attn.v_proj.weight";
      EXPECT_NE(format::Checkpoint::open(run.output_folder())->values(name).value(),
                input.values(name).value());
    }
  }
}

// The value heads alone are turned: query and key lie in the same tensor as the value.
TEST(RotateRun, FusedTensorsOfBf16AreWidenedAsAWhole) {
  test::TemporaryFolder work;
  architecture::ModelConfig config = test::toy_config({.layers = 2});
  config.architecture = "Phi3ForCausalLM";
  config.model_type = "phi3";
  const auto decoder = model::Decoder::create(config, 1, at::kCPU).value();
  fs::create_directories(work.path() / "input");
  FRUGAL_ASSERT_OK(decoder.save(work.path() / "input", format::DType::kBF16));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint input,
                              format::Checkpoint::open(work.path() / "input"));
  FakeRunContext run(work.path() / "run", input);
  FRUGAL_ASSERT_OK(rotate({{"residual", false}})->run(run));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result,
                              format::Checkpoint::open(run.output_folder()));
  for (const char* part : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
    const std::string name = base::str_cat("model.layers.0.self_attn.", part, ".weight");
    EXPECT_EQ(result.info(name)->dtype, format::DType::kF32) << name;
    EXPECT_EQ(result.values(name).value() == input.values(name).value(),
              part[0] == 'q' || part[0] == 'k')
        << name;
  }
  EXPECT_EQ(result.info("model.layers.0.mlp.up_proj.weight")->dtype, format::DType::kBF16);
  const model::Batch batch = test::toy_batch(test::toy_windows(2, 24));
  EXPECT_LT(
      largest_difference(logits_of(input.folder(), batch), logits_of(run.output_folder(), batch)),
      1e-4);
}

TEST(RotateRun, GainsGoAndTiedHeadsBecomeTheirOwn) {
  test::TemporaryFolder work;
  const format::Checkpoint input = gained_toy(work.path() / "input", {.tied = true});
  FakeRunContext run(work.path() / "run", input);
  FRUGAL_ASSERT_OK(rotate()->run(run));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result,
                              format::Checkpoint::open(run.output_folder()));
  EXPECT_FALSE(result.config().tied_embeddings);
  EXPECT_TRUE(result.has("lm_head.weight"));
  for (const std::string& name : result.tensor_names()) {
    if (!name.ends_with("norm.weight")) continue;
    const std::vector<float> gains = result.values(name).value();
    EXPECT_EQ(gains, std::vector<float>(gains.size(), 1.0f)) << name;
  }
}

TEST(RotateRun, FlattensOutlierChannels) {
  test::TemporaryFolder work;
  model::Decoder decoder = test::toy_decoder({.width = 64});
  for (int64_t layer = 0; layer < 3; ++layer) {
    for (const char* matrix : {"mlp.gate_proj", "mlp.up_proj", "self_attn.q_proj"})
      decoder.parameters()
          .at(base::str_cat("model.layers.", layer, ".", matrix, ".weight"))
          .select(1, 7)
          .mul_(30);
  }
  FakeRunContext run(work.path() / "run", test::save_toy(decoder, work.path() / "input"));
  FRUGAL_ASSERT_OK(rotate()->run(run));
  EXPECT_LT(*run.value("weight_max_to_rms"), 0.8 * *run.value("weight_max_to_rms_before"));
}

TEST(RotateRun, SameBytesAtAnyThreadCountOtherSeedOtherBytes) {
  test::TemporaryFolder work;
  const format::Checkpoint input = gained_toy(work.path() / "input", {.width = 48});
  std::vector<std::string> hashes;
  for (const int threads : {1, 3}) {
    const test::ThreadCount count(threads);
    FakeRunContext run(work.path() / std::to_string(threads), input);
    FRUGAL_ASSERT_OK(rotate()->run(run));
    hashes.push_back(base::hash_folder(run.output_folder()).value());
  }
  EXPECT_EQ(hashes[0], hashes[1]);
  FakeRunContext run(work.path() / "seed", input);
  FRUGAL_ASSERT_OK(rotate({{"seed", 2}})->run(run));
  EXPECT_NE(base::hash_folder(run.output_folder()).value(), hashes[0]);
}

TEST(RotateRun, SpilledActivationsGiveTheSameBytes) {
  test::TemporaryFolder work;
  const format::Checkpoint input = gained_toy(work.path() / "input", {.width = 48});
  std::vector<std::string> hashes;
  for (const int64_t limit : {0, 20'000}) {
    FakeRunContext run(work.path() / std::to_string(limit), input);
    run.sources["text"].text = {write_toy_text(work.path()).string()};
    FRUGAL_ASSERT_OK(rotate({{"kind", "pca"},
                             {"calibration", "text"},
                             {"windows", 12},
                             {"sequence_length", 32},
                             {"activation_memory", limit}})
                         ->run(run));
    hashes.push_back(base::hash_folder(run.output_folder()).value());
  }
  EXPECT_EQ(hashes[0], hashes[1]);
}

TEST(RotateRealModel, LogitsStay) {
  FRUGAL_SHARED_DATA_OR_SKIP(folder, "stories260K/hf");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint input, format::Checkpoint::open(folder));
  test::TemporaryFolder work;
  const model::Batch batch =
      test::toy_batch(test::toy_windows(2, 64, input.config().vocabulary_size));
  FakeRunContext run(work.path() / "run", input);
  FRUGAL_ASSERT_OK(rotate()->run(run));
  EXPECT_LT(largest_difference(logits_of(folder, batch), logits_of(run.output_folder(), batch)),
            1e-4);
}

}  // namespace
}  // namespace frugal::passes
