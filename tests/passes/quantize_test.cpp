#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <set>

#include "base/hash.h"
#include "layerwise/walk/calibration.h"
#include "model/decoder.h"
#include "passes/fake_context.h"
#include "passes/quantize/grid_solver.h"
#include "passes/quantize/output.h"
#include "passes/quantize/plan.h"
#include "passes/quantize/quantize_pass.h"
#include "support/divergence.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

namespace fs = std::filesystem;
using base::Json;

std::unique_ptr<pass::Pass> quantize(const Json& options) {
  auto made = make_quantize_pass();
  set_options(*made, options);
  return made;
}

pass::ModelInfo toy_info(test::ToyShape shape = {}) {
  shape.vocabulary = kToyVocabulary;
  pass::ModelInfo info;
  info.name = "toy";
  info.config = test::toy_config(shape);
  info.has_tokenizer = true;
  info.size_bytes = 4 * info.config.parameter_count();
  return info;
}

text::DataSource source_of(const fs::path& path) {
  text::DataSource source;
  source.text = {path.string()};
  return source;
}

text::DataSource builtin_source() {
  text::DataSource source;
  source.builtin = "storefront";
  return source;
}

absl::Status check(const Json& options, pass::ModelInfo& info) {
  FakeCheckContext context;
  context.sources["text"] = source_of("unused.txt");
  return quantize(options)->check(context, info);
}
absl::Status check(const Json& options) {
  pass::ModelInfo info = toy_info();
  return check(options, info);
}

TEST(QuantizeCheck, NamesEveryRowLengthThatDoesNotFit) {
  const Json options = {{"grid", "q4_k"},
                        {"method", "rtn"},
                        {"strict", true},
                        {"embeddings", "keep"},
                        {"head", "keep"}};
  const absl::Status status = check(options);
  FRUGAL_EXPECT_ERROR(status, absl::StatusCode::kInvalidArgument,
                      "model.layers.0.self_attn.q_proj.weight");
  FRUGAL_EXPECT_ERROR(status, absl::StatusCode::kInvalidArgument,
                      "model.layers.0.mlp.down_proj.weight");
  FRUGAL_EXPECT_ERROR(status, absl::StatusCode::kInvalidArgument, "18 matrices have such rows");
  FRUGAL_EXPECT_ERROR(status, absl::StatusCode::kInvalidArgument, "256");
}

TEST(QuantizeCheck, SaysWhatIsMissing) {
  FRUGAL_EXPECT_ERROR(check({{"grid", "q4_z"}, {"method", "rtn"}}),
                      absl::StatusCode::kInvalidArgument, "did you mean");
  FRUGAL_EXPECT_ERROR(check({{"grid", "q4_0"}, {"calibration", "text"}, {"sequence_length", 65}}),
                      absl::StatusCode::kInvalidArgument, "context of 64");
  pass::ModelInfo info = toy_info();
  info.has_tokenizer = false;
  FRUGAL_EXPECT_ERROR(check({{"grid", "q4_0"}, {"calibration", "text"}}, info),
                      absl::StatusCode::kInvalidArgument, "tokenizer");
  info = toy_info();
  info.grids["model.layers.0.mlp.up_proj.weight"] = "q4_0";
  FRUGAL_EXPECT_ERROR(check({{"grid", "q4_0"}, {"method", "rtn"}}, info),
                      absl::StatusCode::kInvalidArgument, "quantized already");
  info = toy_info({.tied = true});
  FRUGAL_EXPECT_ERROR(check({{"grid", "q4_0"}, {"method", "rtn"}, {"head", "q8_0"}}, info),
                      absl::StatusCode::kInvalidArgument, "embeddings");
}

TEST(QuantizeCheck, TheTwoSidedHessianNeedsGptq) {
  const Json text = {{"grid", "q4_0"}, {"calibration", "text"}, {"hessian", "two_sided"}};
  const auto with = [&](const char* key, const char* value) {
    Json options = text;
    options[key] = value;
    return check(options);
  };
  FRUGAL_EXPECT_OK(check(text));
  FRUGAL_EXPECT_OK(with("drift_correction", "none"));
  FRUGAL_EXPECT_ERROR(with("drift_correction", "gptaq"), absl::StatusCode::kInvalidArgument,
                      "hessian: two_sided goes with");
  FRUGAL_EXPECT_ERROR(with("method", "rtn"), absl::StatusCode::kInvalidArgument,
                      "hessian = two_sided needs method: gptq");
  FRUGAL_EXPECT_OK(
      check({{"grid", "q4_0"}, {"recipe", "best"}, {"method", "rtn"}, {"calibration", "text"}}));
}

TEST(QuantizeCheck, ActOrderHasItsScalesBefore) {
  Json options = {{"grid", "q4_0"}, {"calibration", "text"}, {"order", "act"}};
  FRUGAL_EXPECT_OK(check(options));
  options["scales"] = "dynamic";
  FRUGAL_EXPECT_ERROR(check(options), absl::StatusCode::kInvalidArgument, "takes blocks apart");
}

TEST(QuantizeCheck, OverridesAreGlobsThatMatchSomething) {
  FRUGAL_EXPECT_ERROR(
      check({{"grid", "q4_0"}, {"method", "rtn"}, {"overrides", {{"*.w_proj.weight", "q8_0"}}}}),
      absl::StatusCode::kInvalidArgument, "matches no matrix of the 23");
  FRUGAL_EXPECT_ERROR(
      check({{"grid", "q4_0"}, {"method", "rtn"}, {"overrides", {{"*.v_proj.weight", "q8_1"}}}}),
      absl::StatusCode::kInvalidArgument, "q8_1");
}

TEST(QuantizeCheck, ZerosNeedAGridThatHoldsThem) {
  const auto sparse = [](const char* grid, const char* pattern) {
    return check({{"grid", grid}, {"method", "rtn"}, {"pattern", pattern}});
  };
  FRUGAL_EXPECT_OK(sparse("q4_0", "2:4"));
  FRUGAL_EXPECT_ERROR(sparse("iq4_nl", "2:4"), absl::StatusCode::kInvalidArgument,
                      "has no exact zero");
  FRUGAL_EXPECT_OK(sparse("q4_0", "columns 25%"));
  FRUGAL_EXPECT_ERROR(sparse("q4_0", "rows 99%"), absl::StatusCode::kInvalidArgument, "is all");
  FRUGAL_EXPECT_ERROR(sparse("q4_0", "3:7"), absl::StatusCode::kInvalidArgument, "q_proj");
  FRUGAL_EXPECT_ERROR(
      check({{"grid", "q4_0"}, {"method", "rtn"}, {"pattern", "2:4"}, {"keep_zeros", true}}),
      absl::StatusCode::kInvalidArgument, "only one");
}

TEST(QuantizeCheck, ARecipeSetsWhatIsNotGiven) {
  FRUGAL_EXPECT_OK(check({{"grid", "q4_0"}, {"recipe", "rtn"}}));
  const auto of_both = quantize({{"grid", "q4_0"}, {"recipe", "rtn"}, {"method", "gptq"}});
  EXPECT_EQ(of_both->implied_data().size(), 1u);  // gptq, and with text therefore
}

TEST(QuantizeCheck, WhatNeedsTextHasTheModelWriteItWhereNoneIsGiven) {
  const auto takes_own = [](const Json& options) {
    const auto pass = quantize(options);
    pass::ModelInfo info = toy_info();
    FakeCheckContext context;
    context.sources["text"] = source_of("unused.txt");
    FRUGAL_EXPECT_OK(pass->check(context, info));
    const bool noted = testing::Value(
        context.notes, testing::Contains(testing::HasSubstr("writes its own calibration text")));
    const auto implied = pass->implied_data();
    EXPECT_EQ(noted, implied.size() == 1u) << options.dump();
    if (!implied.empty()) {
      EXPECT_EQ(implied[0].option, "calibration");
      EXPECT_EQ(implied[0].data, "self");
    }
    return noted;
  };
  EXPECT_TRUE(takes_own({{"grid", "q4_0"}}));
  EXPECT_TRUE(takes_own({{"grid", "q4_0"}, {"recipe", "rtn"}, {"max_kl", 1.0}}));
  EXPECT_TRUE(takes_own({{"target_bits", 5.0}, {"method", "rtn"}}));
  EXPECT_FALSE(takes_own({{"grid", "q4_0"}, {"recipe", "rtn"}}));
  EXPECT_FALSE(takes_own({{"grid", "q4_0"}, {"calibration", "text"}}));
}

TEST(QuantizeCheck, WarnsOfTextFromOneSource) {
  const auto warned = [](const text::DataSource& source, const Json& options) {
    pass::ModelInfo info = toy_info();
    FakeCheckContext context;
    context.sources["text"] = source;
    FRUGAL_EXPECT_OK(quantize(options)->check(context, info));
    return testing::Value(context.warnings, testing::Contains(testing::HasSubstr("one source")));
  };
  const text::DataSource plain = source_of("unused.txt");
  text::DataSource mix;
  mix.mix = {{"a", 1, std::make_shared<text::DataSource>(plain)},
             {"self", 1, std::make_shared<text::DataSource>(text::DataSource{.self = true})}};
  EXPECT_TRUE(warned(plain, {{"grid", "q4_0"}, {"calibration", "text"}}));
  EXPECT_FALSE(warned(mix, {{"grid", "q4_0"}, {"calibration", "text"}}));
  EXPECT_FALSE(warned(plain, {{"grid", "q4_0"}}));
  EXPECT_FALSE(warned(plain, {{"grid", "q4_0"}, {"calibration", "text"}, {"recipe", "rtn"}}));
}

TEST(QuantizeCheck, SaysWhatTheNextPassWillSee) {
  pass::ModelInfo info = toy_info();
  FakeCheckContext context;
  context.sources["text"] = builtin_source();
  FRUGAL_ASSERT_OK(quantize({{"grid", "q4_0"}, {"calibration", "text"}, {"embeddings", "q8_0"}})
                       ->check(context, info));
  EXPECT_EQ(info.grids.size(), 3u * 7u + 2u);
  EXPECT_EQ(info.grids.at("model.layers.2.mlp.down_proj.weight"), "q4_0");
  EXPECT_EQ(info.grids.at("model.embed_tokens.weight"), "q8_0");
  // A head of rows of 32 goes where llama-quantize has it.
  EXPECT_EQ(info.grids.at("lm_head.weight"), "q8_0");
  // Decoder matrices 18 bytes per 32, embedding and head 34 per 32, norms fp32.
  const int64_t matrices = 3 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 64);
  const int64_t bytes = matrices / 32 * 18 + 2 * kToyVocabulary * 34 + 4 * 7 * 32;
  EXPECT_EQ(info.size_bytes, bytes);
  EXPECT_EQ(context.estimated.output_bytes, bytes);
  EXPECT_GT(*context.estimated.seconds, 0);
  EXPECT_TRUE(context.warnings.empty());
  EXPECT_GT(*context.estimated.peak_memory_bytes, 0);
}

TEST(QuantizeCheck, ActivationsNeedIntegerRows) {
  const Json options = {{"method", "rtn"}, {"activations", "int8"}};
  for (const char* grid : {"q8_0", "int8", "int8:row:asym", "int4:row"}) {
    Json changed = options;
    changed["grid"] = grid;
    FRUGAL_EXPECT_ERROR(check(changed), absl::StatusCode::kInvalidArgument, "int8:row");
  }
  pass::ModelInfo info = toy_info();
  FRUGAL_ASSERT_OK(check(
      {{"method", "rtn"}, {"activations", "int8"}, {"grid", "int8:row"}, {"head", "q8_0"}}, info));
  EXPECT_EQ(info.activations.size(), 3u * 7u);
  EXPECT_FALSE(info.activations.contains("lm_head.weight"));
}

TEST(QuantizeCheck, WarnsOfZerosThatItFills) {
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  const auto warnings = [&](Json options) {
    FakeCheckContext context;
    context.sources["text"] = builtin_source();
    options["calibration"] = "text";
    pass::ModelInfo info = toy_info();
    info.zeros[name] = "2:4";
    FRUGAL_EXPECT_OK(quantize(options)->check(context, info));
    EXPECT_EQ(info.zeros.contains(name), context.warnings.empty());
    return context.warnings;
  };
  const std::vector<std::string> filled = warnings({{"grid", "q4_0"}});
  ASSERT_EQ(filled.size(), 1u);
  EXPECT_THAT(filled[0], testing::HasSubstr(name + ": 2:4"));
  EXPECT_THAT(filled[0], testing::HasSubstr("set keep_zeros: true"));
  EXPECT_EQ(warnings({{"grid", "iq4_nl"}, {"method", "rtn"}}).size(), 1u);  // no exact zero
  EXPECT_TRUE(warnings({{"grid", "q4_0"}, {"method", "rtn"}}).empty());
  EXPECT_TRUE(warnings({{"grid", "q4_0"}, {"keep_zeros", true}}).empty());
  EXPECT_TRUE(warnings({{"grid", "q4_0"}, {"pattern", "2:4"}}).empty());
  EXPECT_TRUE(warnings({{"grid", "q4_0"}, {"overrides", {{name, "keep"}}}}).empty());
}

TEST(QuantizeCheck, LearnedRoundingAndTheGateTakeTime) {
  const auto seconds = [](Json options) {
    FakeCheckContext context;
    context.sources["text"] = source_of("unused.txt");
    options.update({{"grid", "q4_0"}, {"calibration", "text"}});
    pass::ModelInfo info = toy_info();
    FRUGAL_EXPECT_OK(quantize(options)->check(context, info));
    return context.estimated.seconds.value();
  };
  const double plain = seconds({});
  const double some = seconds({{"rounding_iterations", 100}});
  EXPECT_GT(some, 1.5 * plain);
  EXPECT_NEAR(seconds({{"rounding_iterations", 1000}}) - plain, 10 * (some - plain),
              2 * (some - plain));
  EXPECT_GT(seconds({{"max_kl", 1.0}}), plain);
  EXPECT_GT(seconds({{"tune_steps", 20}}), seconds({{"max_kl", 1.0}}));
}

TEST(QuantizeCheck, TheGateAndTheTuningHoldBothModels) {
  const test::ToyShape shape{.layers = 24, .width = 1024, .neurons = 4096};
  const auto peak = [&](Json options) {
    FakeCheckContext context;
    context.sources["text"] = source_of("unused.txt");
    options.update({{"grid", "q4_0"}, {"method", "rtn"}, {"calibration", "text"}, {"windows", 4}});
    pass::ModelInfo info = toy_info(shape);
    FRUGAL_EXPECT_OK(quantize(options)->check(context, info));
    return *context.estimated.peak_memory_bytes;
  };
  const int64_t parameters = toy_info(shape).config.parameter_count();
  const int64_t plain = peak({});
  EXPECT_GT(peak({{"max_kl", 1.0}}), plain + 7 * parameters);  // and fewer in the walk
  EXPECT_GT(peak({{"tune_steps", 20}}), peak({{"max_kl", 1.0}}) + 3 * parameters);
}

TEST(QuantizeCheck, WarnsOfTooLittleText) {
  FakeCheckContext context;
  context.sources["text"] = builtin_source();
  pass::ModelInfo info = toy_info();  // the widest row has 64 columns
  FRUGAL_ASSERT_OK(
      quantize({{"grid", "q4_0"}, {"calibration", "text"}, {"windows", 7}, {"sequence_length", 64}})
          ->check(context, info));
  ASSERT_EQ(context.warnings.size(), 1u);
  EXPECT_THAT(context.warnings[0], testing::HasSubstr("448 calibration tokens"));
}

// Mean KL(original || quantized) over the windows' positions.
double divergence(const model::Decoder& original, const model::Decoder& changed,
                  const text::Windows& windows) {
  const at::NoGradGuard no_grad;
  const model::Batch batch = test::toy_batch(windows);
  const at::Tensor p = at::log_softmax(original.logits(batch), -1),
                   q = at::log_softmax(changed.logits(batch), -1);
  return (p.exp() * (p - q)).sum(-1).mean().item<double>();
}

class QuantizeRun : public testing::Test {
 protected:
  static test::ToyShape shape() { return {.layers = 3, .width = 64, .neurons = 96}; }
  void SetUp() override {
    input_.emplace(toy_checkpoint(folder_.path() / "input", shape()));
    text_ = write_toy_text(folder_.path());
  }
  FakeRunContext context(const std::string& name) {
    FakeRunContext result(folder_.path() / name, input_);
    result.sources["text"] = source_of(text_);
    return result;
  }
  // Of the decoder's matrices alone.
  static Json gptq(const char* grid) {
    return {{"grid", grid},          {"calibration", "text"}, {"windows", 12},
            {"sequence_length", 32}, {"head", "keep"},        {"embeddings", "keep"}};
  }
  static absl::StatusOr<format::Checkpoint> output(const FakeRunContext& context) {
    return format::Checkpoint::open(context.output_folder());
  }
  static std::string hash(const FakeRunContext& context) {
    return base::hash_folder(context.output_folder()).value();
  }

  test::TemporaryFolder folder_;
  std::optional<format::Checkpoint> input_;
  fs::path text_;
};

TEST_F(QuantizeRun, NearestWithoutTextIsTheGridsOwnRounding) {
  const std::string name = "model.layers.1.self_attn.k_proj.weight";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::vector<float> values, input_->values(name));
  std::vector<grid::QuantizedMatrix> found;
  for (const auto& [word, search] :
       {std::pair("fast", grid::ScaleSearch::kFast), std::pair("full", grid::ScaleSearch::kFull)}) {
    FakeRunContext run = context(word);
    FRUGAL_ASSERT_OK(
        quantize({{"grid", "iq4_nl"}, {"method", "rtn"}, {"scale_search", word}})->run(run));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result, output(run));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const grid::QuantizedMatrix codes, result.codes(name));
    FRUGAL_ASSERT_OK_AND_ASSIGN(
        const grid::QuantizedMatrix expected,
        grid::round_to_nearest(codes.grid, values.data(), 32, 64, {}, search));
    EXPECT_EQ(codes.codes, expected.codes) << word;
    EXPECT_EQ(codes.parameters, expected.parameters) << word;
    found.push_back(codes);
  }
  EXPECT_NE(found[0].parameters, found[1].parameters);
}

TEST_F(QuantizeRun, WhatIsNotOnAGridStaysAsItIs) {
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(
      quantize({{"grid", "q4_0"}, {"method", "rtn"}, {"head", "keep"}, {"embeddings", "keep"}})
          ->run(run));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result, output(run));
  EXPECT_EQ(result.quantized().size(), 21u);
  for (const char* kept : {"model.norm.weight", "lm_head.weight", "model.embed_tokens.weight"}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto before, input_->bytes(kept));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto after, result.bytes(kept));
    ASSERT_EQ(before.size(), after.size());
    EXPECT_EQ(std::memcmp(before.data(), after.data(), before.size()), 0) << kept;
  }
  EXPECT_TRUE(fs::exists(run.output_folder() / "tokenizer.json"));
  EXPECT_DOUBLE_EQ(*run.value("bits_per_weight"), 4.5);
  EXPECT_FALSE(
      run.value("mean_relative_error").has_value());  // no text, no outputs: unknown, not 0
  EXPECT_EQ(run.tables.at("layer_error").size(), 21u);
  EXPECT_TRUE(run.tables.at("layer_error")[0]["error_after"].is_null());
  // |W' - W|^2 / |W|^2, and the zeros among W (there is none).
  const Json& row = run.tables.at("layer_error")[0];
  const std::string matrix = row["matrix"];
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::vector<float> weights, input_->values(matrix));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::vector<float> rounded, result.values(matrix));
  double error = 0, size = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    error += std::pow(static_cast<double>(rounded[i]) - weights[i], 2);
    size += std::pow(static_cast<double>(weights[i]), 2);
  }
  // Differences are rounded to float before they are squared.
  EXPECT_NEAR(row["weight_error"].get<double>(), error / size, error / size * 1e-6);
  EXPECT_EQ(row["zeros_given"], 0);
}

TEST_F(QuantizeRun, GptqRecordsEveryMatrixAndBeatsNearest) {
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(quantize(gptq("iq4_nl"))->run(run));
  const std::vector<Json>& rows = run.tables.at("layer_error");
  ASSERT_EQ(rows.size(), 21u);
  double share = 0;
  std::set<std::string> names;
  for (const Json& row : rows) {
    names.insert(row["matrix"].get<std::string>());
    share += row["share"].get<double>();
    EXPECT_EQ(row["grid"], "iq4_nl");
    EXPECT_EQ(row["tokens"], 12 * 32);
    EXPECT_GT(row["damping"], 0.0);
    EXPECT_LE(row["damping"], 0.2);  // of 384 tokens
    EXPECT_EQ(row["recoveries"], 0);
  }
  EXPECT_EQ(names.size(), 21u);
  EXPECT_NEAR(share, 1, 1e-9);
  EXPECT_LT(*run.value("mean_relative_error"), *run.value("mean_relative_error_nearest"));
  EXPECT_GE(*run.value("worst_relative_error"), *run.value("mean_relative_error"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result, output(run));
  EXPECT_EQ(*run.value("weight_bytes"), static_cast<double>(result.weight_bytes()));
}

// The walk hands on what the matrices will meet: with rounded inputs GPTQ sees other statistics.
TEST_F(QuantizeRun, ActivationsAreRecordedAndSeenByTheWalk) {
  FakeRunContext plain = context("plain"), rounded = context("rounded"), nearest = context("rtn");
  Json options = gptq("int8:row");
  FRUGAL_ASSERT_OK(quantize(options)->run(plain));
  options["activations"] = "int8";
  FRUGAL_ASSERT_OK(quantize(options)->run(rounded));
  options["method"] = "rtn";
  options["importance"] = false;
  options["scale_search"] = "full";
  FRUGAL_ASSERT_OK(quantize(options)->run(nearest));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint a, output(plain));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint b, output(rounded));
  const std::string name = "model.layers.2.mlp.down_proj.weight";
  EXPECT_EQ(a.quantized().at(name).activations, format::Activations::kFloat);
  EXPECT_EQ(b.quantized().at(name).activations, format::Activations::kInt8);
  EXPECT_EQ(b.quantized().size(), 21u);
  EXPECT_NE(a.codes(name).value().codes, b.codes(name).value().codes);
  // Rounded to nearest by weights alone, the codes are those without a walk.
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint c, output(nearest));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::vector<float> values, input_->values(name));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const grid::QuantizedMatrix codes, c.codes(name));
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const grid::QuantizedMatrix expected,
      grid::round_to_nearest(codes.grid, values.data(), codes.rows, codes.columns, {}, true));
  EXPECT_EQ(codes.codes, expected.codes);
}

TEST_F(QuantizeRun, OptionsReachTheSolver) {
  FakeRunContext plain = context("plain");
  FRUGAL_ASSERT_OK(quantize(gptq("q4_0"))->run(plain));
  const std::vector<std::pair<const char*, Json>> changes = {{"drift_strength", "fixed"},
                                                             {"held_out_windows", 2},
                                                             {"damping", 0.02},
                                                             {"descent_passes", 0},
                                                             {"scale_refits", 0},
                                                             {"order", "natural"},
                                                             {"windows", 5},
                                                             {"scales", "static"},
                                                             {"importance", false},
                                                             {"method", "rtn"},
                                                             {"embeddings", "q8_0"},
                                                             {"head", "q4_0"},
                                                             {"order", "act"}};
  std::set<std::string> hashes{hash(plain)};
  for (const auto& [name, value] : changes) {
    Json options = gptq("q4_0");
    options[name] = value;
    FakeRunContext run = context(base::str_cat(name, hashes.size()));
    FRUGAL_ASSERT_OK(quantize(options)->run(run));
    EXPECT_TRUE(hashes.insert(hash(run)).second) << name << " changes nothing";
  }
  for (const char* strength : {"alpha", "beta"}) {
    Json options = gptq("q4_0");
    options["drift_strength"] = "fixed";
    options[strength] = 0.0;
    FakeRunContext run = context(strength);
    FRUGAL_ASSERT_OK(quantize(options)->run(run));
    EXPECT_TRUE(hashes.insert(hash(run)).second) << strength << " changes nothing";
  }
}

TEST_F(QuantizeRun, OverridesGiveMatricesOfOneStageGridsOfTheirOwn) {
  Json options = gptq("q4_0");
  options["overrides"] = {{"*.v_proj.weight", "q8_0"}, {"model.layers.1.*", "keep"}};
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(quantize(options)->run(run));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result, output(run));
  EXPECT_EQ(result.quantized().size(), 2u * 7u);
  EXPECT_EQ(result.quantized().at("model.layers.0.self_attn.q_proj.weight").grid, "q4_0");
  EXPECT_EQ(result.quantized().at("model.layers.2.self_attn.v_proj.weight").grid, "q8_0");
  EXPECT_FALSE(result.quantized().contains("model.layers.1.self_attn.v_proj.weight"));
  double fine = 0, coarse = 0;
  for (const Json& row : run.tables.at("layer_error"))
    (row["grid"] == "q8_0" ? fine : coarse) += row["error_after"].get<double>();
  EXPECT_LT(fine * 20, coarse);  // 2 against 12 matrices, and 1/256 of the squared error
  // The same from the layers that an interrupted run left behind.
  FakeRunContext resumed = context("resumed");
  for (const char* file : {"layer-00000.safetensors", "layer-00001.safetensors"})
    fs::copy_file(run.resume_folder() / file, resumed.resume_folder() / file);
  FRUGAL_ASSERT_OK(quantize(options)->run(resumed));
  EXPECT_EQ(hash(resumed), hash(run));
}

TEST_F(QuantizeRun, ZerosAreChosenExactlyAndStay) {
  for (const char* method : {"gptq", "rtn"}) {
    Json options = gptq("q4_0");
    options["method"] = method;
    options["pattern"] = "2:4";
    FakeRunContext run = context(method);
    FRUGAL_ASSERT_OK(quantize(options)->run(run));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result, output(run));
    for (const char* name :
         {"model.layers.0.self_attn.q_proj.weight", "model.layers.2.mlp.down_proj.weight"}) {
      FRUGAL_ASSERT_OK_AND_ASSIGN(const std::vector<float> values, result.values(name));
      for (size_t i = 0; i < values.size(); i += 4)
        ASSERT_GE(std::count(values.begin() + i, values.begin() + i + 4, 0.0f), 2) << name << i;
    }
    const Json& row = run.tables.at("layer_error")[0];
    EXPECT_EQ(row["zeros"].get<int64_t>() * 2, row["weights"].get<int64_t>());
  }
}

// Each matrix of a stack loses rows or columns of its own.
TEST_F(QuantizeRun, WholeRowsAndColumnsOfEveryMatrix) {
  for (const char* pattern : {"rows 25%", "columns 25%"}) {
    Json options = gptq("q4_0");
    options["pattern"] = pattern;
    FakeRunContext run = context(pattern);
    FRUGAL_ASSERT_OK(quantize(options)->run(run));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result, output(run));
    const int64_t over = std::string_view(pattern).starts_with("rows") ? 1 : 0;
    for (const std::string& name : architecture::layer_matrices(result.config())) {
      FRUGAL_ASSERT_OK_AND_ASSIGN(const std::vector<float> values, result.values(name));
      const std::vector<int64_t> shape = input_->info(name)->shape;
      const at::Tensor zero = at::tensor(values).view(shape).eq(0).all(over);
      EXPECT_EQ(zero.sum().item<int64_t>(), shape[over == 1 ? 0 : 1] / 4) << name << pattern;
    }
  }
}

// A pruned model keeps its zeros through another quantization: order of passes, no special code.
TEST_F(QuantizeRun, ZerosThatComeStay) {
  FakeRunContext sparse = context("sparse");
  Json options = gptq("q8_0");
  options["pattern"] = "50%";
  FRUGAL_ASSERT_OK(quantize(options)->run(sparse));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint pruned, output(sparse));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const model::Decoder plain, model::Decoder::load(pruned, {}));
  const fs::path folder = folder_.path() / "plain";
  fs::create_directories(folder);
  FRUGAL_ASSERT_OK(plain.save(folder, format::DType::kF32));
  fs::copy_file(folder_.path() / "input" / "tokenizer.json", folder / "tokenizer.json");
  FRUGAL_ASSERT_OK_AND_ASSIGN(input_, format::Checkpoint::open(folder));
  options = gptq("q4_0");
  options["keep_zeros"] = true;
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(quantize(options)->run(run));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result, output(run));
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::vector<float> before, input_->values(name));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::vector<float> after, result.values(name));
  int64_t zeros = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i] != 0) continue;
    ++zeros;
    EXPECT_EQ(after[i], 0) << i;
  }
  EXPECT_GE(zeros * 2, static_cast<int64_t>(before.size()));
}

TEST_F(QuantizeRun, SaysWhatBecameOfZeros) {
  const auto warnings = [&](const std::string& name, Json options) {
    FakeRunContext run = context(name);
    FRUGAL_EXPECT_OK(quantize(options)->run(run));
    return run.warnings;
  };
  Json keeping = gptq("q4_0");
  keeping["keep_zeros"] = true;
  const std::vector<std::string> none = warnings("none", keeping);
  ASSERT_EQ(none.size(), 1u);
  EXPECT_THAT(none[0], testing::HasSubstr("the input has no zero"));
  EXPECT_TRUE(warnings("dense", gptq("q4_0")).empty());
  model::Decoder decoder = model::Decoder::load(*input_, {}).value();
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  const at::Tensor weights = decoder.parameters().at(name);
  decoder.set_parameter(name, weights * at::arange(weights.size(1)).remainder(2));
  fs::copy(input_->folder(), folder_.path() / "pruned", fs::copy_options::recursive);
  input_.emplace(test::save_toy(decoder, folder_.path() / "pruned"));
  EXPECT_TRUE(warnings("kept", keeping).empty());
  FakeRunContext run = context("filled");
  FRUGAL_ASSERT_OK(quantize(gptq("q4_0"))->run(run));
  ASSERT_EQ(run.warnings.size(), 1u);
  EXPECT_THAT(run.warnings[0], testing::HasSubstr("in 1 of 21 matrices"));
  for (const Json& row : run.tables.at("layer_error")) {
    EXPECT_EQ(row["zeros_given"], row["matrix"] == name ? weights.numel() / 2 : 0);
    EXPECT_LE(row["zeros_filled"], row["zeros_given"]);
  }
}

TEST_F(QuantizeRun, BestTunesScalesOnFreshTextAndLowbitLearnsRounding) {
  for (const char* recipe : {"best", "lowbit"}) {
    Json options = gptq("q4_0");
    options["recipe"] = recipe;
    options["windows"] = 8;
    options["held_out_windows"] = 2;
    options["tune_steps"] = 6;
    options["tune_windows"] = 6;
    if (options["recipe"] == "lowbit") options["rounding_iterations"] = 4;
    FakeRunContext run = context(recipe);
    FRUGAL_ASSERT_OK(quantize(options)->run(run));
    EXPECT_LT(*run.value("kl_after"), *run.value("kl_before"));
    EXPECT_LT(*run.value("training_kl_after"), *run.value("training_kl_before"));
    EXPECT_GT(*run.value("best_step"), 0);
    EXPECT_EQ(*run.value("steps"), 6);
    const Json& row = run.tables.at("layer_error")[0];
    EXPECT_EQ(row.contains("layer_output_error_after"), options["recipe"] == "lowbit");
    FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result, output(run));
    EXPECT_EQ(result.quantized().size(), 21u);
  }
}

// Learned rounding chooses by windows that nothing has seen, also where nothing else asks for them.
TEST_F(QuantizeRun, LearnedRoundingAloneHoldsWindowsOut) {
  Json options = gptq("q4_0");
  options["method"] = "rtn";
  FakeRunContext plain = context("plain");
  FRUGAL_ASSERT_OK(quantize(options)->run(plain));
  options["rounding_iterations"] = 40;
  options["held_out_windows"] = 3;
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(quantize(options)->run(run));
  double before = 0, after = 0;
  for (const Json& row : run.tables.at("layer_error")) {
    before += row["layer_output_error_before"].get<double>();
    after += row["layer_output_error_after"].get<double>();
    EXPECT_EQ(row["tokens"], 12 * 32);
  }
  EXPECT_LT(after, before);
  EXPECT_NE(hash(run), hash(plain));
}

TEST_F(QuantizeRun, AModelThatDivergesTooFarStopsTheJob) {
  Json options = gptq("q4_0");
  options["max_kl"] = 1e-9;
  FakeRunContext run = context("run");
  FRUGAL_EXPECT_ERROR(quantize(options)->run(run), absl::StatusCode::kFailedPrecondition,
                      "max_kl is 1e-09");
  EXPECT_TRUE(fs::is_empty(run.output_folder()));
  options["max_kl"] = 10;
  FakeRunContext lenient = context("lenient");
  FRUGAL_ASSERT_OK(quantize(options)->run(lenient));
  EXPECT_GT(*lenient.value("kl_after"), 0);
}

// The gate is on the model that will run: its integers, not their floats.
TEST_F(QuantizeRun, TheGateSeesInputsThatAreRounded) {
  Json options = gptq("int8:row");
  options["activations"] = "int8";
  options["held_out_windows"] = 3;
  options["max_kl"] = 10;
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(quantize(options)->run(run));
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const text::Windows all,
      layerwise::load_calibration(*input_, source_of(text_), {.windows = 15, .length = 32}));
  const text::Windows held_out = layerwise::split_windows(all, 12, 3, 0).held_out;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const model::Decoder original, model::Decoder::load(*input_, {}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result, output(run));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const model::Decoder changed, model::Decoder::load(result, {}));
  const double expected = divergence(original, changed, held_out);
  EXPECT_NEAR(run.value("kl").value(), expected, 1e-3 * expected);
  options["max_kl"] = expected / 2;
  FakeRunContext strict = context("strict");
  FRUGAL_EXPECT_ERROR(quantize(options)->run(strict), absl::StatusCode::kFailedPrecondition,
                      "max_kl is");
}

TEST_F(QuantizeRun, GatesStopTheJobAndSayWhere) {
  Json options = gptq("q4_0");
  options["max_layer_error"] = 1e-6;
  FakeRunContext strict = context("strict");
  FRUGAL_EXPECT_ERROR(quantize(options)->run(strict), absl::StatusCode::kFailedPrecondition,
                      "model.layers.0.self_attn.q_proj.weight: the relative output error");
  EXPECT_TRUE(fs::is_empty(strict.output_folder()));
  options = gptq("q4_0");
  options["min_tokens"] = 1000;
  FakeRunContext hungry = context("hungry");
  FRUGAL_EXPECT_ERROR(quantize(options)->run(hungry), absl::StatusCode::kFailedPrecondition,
                      "min_tokens is 1000");
}

TEST_F(QuantizeRun, EmbeddingsAndHead) {
  FakeRunContext run = context("run");
  Json options = gptq("int4:g32");
  options["embeddings"] = "q8_0";
  options["head"] = "q4_0";
  FRUGAL_ASSERT_OK(quantize(options)->run(run));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result, output(run));
  EXPECT_EQ(result.quantized().at("model.embed_tokens.weight").grid, "q8_0");
  EXPECT_EQ(result.quantized().at("lm_head.weight").grid, "q4_0");
  EXPECT_EQ(run.tables.at("layer_error").size(), 22u);
  EXPECT_EQ(run.tables.at("layer_error").back()["matrix"], "lm_head.weight");
  EXPECT_LT(run.tables.at("layer_error").back()["error_after"].get<double>(),
            run.tables.at("layer_error").back()["error_before"].get<double>());
}

// A run that ended behind layer 0 or 1, continued at other thread counts, against one that did not
// end.
TEST_F(QuantizeRun, ResumedRunIsByteEqualAtAnyThreadCount) {
  FakeRunContext whole = context("whole");
  FRUGAL_ASSERT_OK(quantize(gptq("q4_0"))->run(whole));
  int threads = 1;
  for (const int64_t finished : {0, 1, 2}) {
    const test::ThreadCount count(threads++);
    FakeRunContext run = context(base::str_cat("resumed", finished));
    for (int64_t layer = 0; layer < finished; ++layer) {
      const std::string file = base::str_cat("layer-0000", layer, ".safetensors");
      fs::copy_file(whole.resume_folder() / file, run.resume_folder() / file);
    }
    FRUGAL_ASSERT_OK(quantize(gptq("q4_0"))->run(run));
    EXPECT_EQ(hash(run), hash(whole)) << finished << " layers finished";
    EXPECT_EQ(run.tables.at("layer_error").size(), 21u);
  }
}

TEST_F(QuantizeRun, GradientsOfOutputsAreGatheredOnceAndResumed) {
  Json options = gptq("q4_0");
  options["hessian"] = "two_sided";
  options["gradient_windows"] = 9;
  FakeRunContext whole = context("whole"), plain = context("plain");
  FRUGAL_ASSERT_OK(quantize(options)->run(whole));
  FRUGAL_ASSERT_OK(quantize(gptq("q4_0"))->run(plain));
  EXPECT_NE(hash(whole), hash(plain));
  for (const Json& row : whole.tables.at("layer_error")) EXPECT_GT(row["output_damping"], 0.0);
  EXPECT_TRUE(plain.tables.at("layer_error")[0]["output_damping"].is_null());
  // Cut in the gradients (written from the last layer to the first), and in the walk.
  for (const int64_t cut : {2, 0}) {
    FakeRunContext run = context(base::str_cat("resumed", cut));
    const fs::path from = whole.resume_folder() / "gradients";
    fs::create_directories(run.resume_folder() / "gradients");
    for (int64_t layer = cut; layer < 3; ++layer) {
      const std::string file = base::str_cat("layer-0000", layer, ".safetensors");
      fs::copy_file(from / file, run.resume_folder() / "gradients" / file);
    }
    const std::string first = "layer-00000.safetensors";
    if (cut == 0) fs::copy_file(whole.resume_folder() / first, run.resume_folder() / first);
    FRUGAL_ASSERT_OK(quantize(options)->run(run));
    EXPECT_EQ(hash(run), hash(whole)) << cut;
  }
}

TEST_F(QuantizeRun, SpilledActivationsGiveTheSameBytes) {
  FakeRunContext whole = context("whole"), spilled = context("spilled");
  FRUGAL_ASSERT_OK(quantize(gptq("q4_0"))->run(whole));
  Json options = gptq("q4_0");
  options["activation_memory"] = 20'000;
  FRUGAL_ASSERT_OK(quantize(options)->run(spilled));
  EXPECT_EQ(hash(spilled), hash(whole));
}

TEST_F(QuantizeRun, LayersOfAnotherTextAreNotTaken) {
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(quantize(gptq("q4_0"))->run(run));
  text_ = write_toy_text(folder_.path(), 3000);
  FakeRunContext fresh = context("fresh"), stale = context("stale");
  fs::copy(run.resume_folder(), stale.resume_folder(), fs::copy_options::recursive);
  FRUGAL_ASSERT_OK(quantize(gptq("q4_0"))->run(fresh));
  FRUGAL_ASSERT_OK(quantize(gptq("q4_0"))->run(stale));
  EXPECT_EQ(hash(fresh), hash(stale));
}

TEST_F(QuantizeRun, TextShorterThanAWindowIsAnError) {
  text_ = write_toy_text(folder_.path(), 3);
  FakeRunContext run = context("run");
  FRUGAL_EXPECT_ERROR(quantize(gptq("q4_0"))->run(run), absl::StatusCode::kInvalidArgument,
                      "calibration");
  EXPECT_TRUE(fs::is_empty(run.output_folder()));
}

TEST(GridSolver, AnUndefinedErrorIsAFailure) {
  test::TemporaryFolder folder;
  const layerwise::LayerStore store(folder.path(), "stamp");
  GridSolver solver({.grids = {{"a.weight", "q4_0"}}, .stages = {{}}, .calibrated = true}, store);
  layerwise::StageProblem problem;
  problem.names = {"a.weight"};
  problem.row_counts = {4};
  problem.weights = at::ones({4, 32});
  problem.statistics.tokens = 10;
  problem.statistics.mean_square = at::ones({32}, at::kDouble);
  problem.statistics.hessian =
      at::full({32, 32}, std::numeric_limits<double>::quiet_NaN(), at::kDouble);
  FRUGAL_EXPECT_ERROR(solver.solve(problem), absl::StatusCode::kFailedPrecondition, "a.weight");
}

// A second moment over 32 columns of which the first two see `covariance`: above 1 it is
// indefinite.
layerwise::InputStatistics indefinite(double covariance) {
  layerwise::InputStatistics statistics;
  statistics.tokens = 10;
  statistics.mean_square = at::ones({32}, at::kDouble);
  statistics.hessian = at::eye(32, at::kDouble);
  statistics.hessian[0][1] = covariance;
  statistics.hessian[1][0] = covariance;
  return statistics;
}

// The record that GPTQ leaves of one matrix, and what the pass says of it.
struct Recorded {
  Json row;
  std::vector<std::string> warnings;
};
Recorded recorded(const layerwise::InputStatistics& statistics) {
  test::TemporaryFolder folder;
  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  layerwise::StageProblem problem;
  problem.names = {name};
  problem.row_counts = {4};
  problem.weights = test::random_matrix(1, "weights", 4, 32);
  problem.statistics = statistics;
  const layerwise::LayerStore store(folder.path(), "stamp");
  GridSolver solver(
      {.grids = {{name, "q4_0"}}, .stages = {{}}, .calibrated = true, .drift_strength = {0, 0}},
      store);
  FRUGAL_EXPECT_OK(solver.solve(problem).status());
  FRUGAL_EXPECT_OK(solver.store_layer(0));
  FakeRunContext context(folder.path(), std::nullopt);
  test::save_toy(test::toy_decoder({}), context.output_folder());
  const std::vector<PlannedTensor> plan = {{.name = name,
                                            .shape = {4, 32},
                                            .place = PlannedTensor::Place::kLayer,
                                            .layer = 0,
                                            .grid = "q4_0",
                                            .size_bytes = 72}};
  FRUGAL_EXPECT_OK(report_quantized(context, plan, /*keeps_zeros=*/false, store));
  return {context.tables.at("layer_error").at(0), context.warnings};
}

TEST(GridSolver, StatisticsThatCannotBeFactorizedFallBackToNearest) {
  const Recorded found = recorded(indefinite(5));  // no damping lifts an eigenvalue of -4
  EXPECT_TRUE(found.row["fell_back"].get<bool>());
  EXPECT_TRUE(found.row["damping"].is_null());
  EXPECT_TRUE(found.row["dead_columns"].is_null());
  EXPECT_TRUE(found.row["error_before"].is_null());  // it is rounding to nearest
  EXPECT_GT(found.row["error_after"].get<double>(), 0);
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_THAT(found.warnings[0], testing::HasSubstr("1 of 1 matrices were rounded to nearest"));
}

TEST(GridSolver, ARecoveredFactorizationIsCounted) {
  const Recorded found = recorded(indefinite(1.05));
  EXPECT_FALSE(found.row["fell_back"].get<bool>());
  EXPECT_GT(found.row["recoveries"].get<int64_t>(), 0);
  EXPECT_GT(found.row["damping"].get<double>(), 0.05);
  EXPECT_EQ(found.row["dead_columns"], 0);
  EXPECT_TRUE(found.warnings.empty());
}

TEST(GridSolver, DeadColumnsAreCounted) {
  layerwise::InputStatistics statistics = indefinite(0);
  for (const int64_t dead : {3, 17}) statistics.hessian[dead][dead] = 0;
  const Recorded found = recorded(statistics);
  EXPECT_EQ(found.row["dead_columns"], 2);
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_THAT(found.warnings[0], testing::HasSubstr("1 of 1 matrices have input columns"));
}

TEST(QuantizeRealModel, GptqStaysNearerToTheOriginalThanNearest) {
  FRUGAL_SHARED_DATA_OR_SKIP(folder, "novels-7m/hf");
  FRUGAL_SHARED_DATA_OR_SKIP(calibration, "english-novels-100/Burnett_Garden_1911.txt");
  FRUGAL_SHARED_DATA_OR_SKIP(held_out, "english-novels-100/Bennet_Helen_1910.txt");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint input, format::Checkpoint::open(folder));
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const text::Windows windows,
      layerwise::load_calibration(input, source_of(held_out), {.windows = 60, .length = 256}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const model::Decoder original, model::Decoder::load(input, {}));
  test::TemporaryFolder work;
  std::map<std::string, std::vector<double>> found;  // of each window
  for (const char* method : {"rtn", "gptq", "two_sided"}) {
    FakeRunContext run(work.path() / method, input);
    run.sources["text"] = source_of(calibration);
    Json options = {
        {"grid", "q4_0"}, {"calibration", "text"}, {"windows", 64}, {"sequence_length", 128}};
    options[method == std::string("two_sided") ? "hessian" : "method"] = method;
    FRUGAL_ASSERT_OK(quantize(options)->run(run));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result,
                                format::Checkpoint::open(run.output_folder()));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const model::Decoder changed, model::Decoder::load(result, {}));
    found[method] = test::window_divergences(original, changed, windows);
  }
  EXPECT_GT(test::paired_z(found["rtn"], found["gptq"]), 4);
  EXPECT_GT(test::paired_z(found["gptq"], found["two_sided"]), 4);
  EXPECT_LT(test::mean(found["rtn"]), 0.01);  // .0035 (layerwise/README.md)
}

}  // namespace
}  // namespace frugal::passes
