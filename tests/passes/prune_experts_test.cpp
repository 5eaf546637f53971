// Experts that go: which, what is left of the model, and what the plan says beforehand.
#include <gmock/gmock.h>

#include <algorithm>

#include "architecture/tensors.h"
#include "fake_context.h"
#include "model/decoder.h"
#include "passes/prune/experts.h"
#include "passes/prune/prune_pass.h"
#include "support/family_checkpoint.h"
#include "support/toy_checkpoint.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;
using architecture::Role;
using base::Json;

class PruneExperts : public testing::Test {
 protected:
  static pass::ModelInfo info_of(const format::Checkpoint& checkpoint) {
    pass::ModelInfo info;
    info.name = "model";
    info.config = checkpoint.config();
    info.has_tokenizer = true;
    info.tokenizer_folder = checkpoint.folder();
    info.dtype = "F32";
    info.size_bytes = checkpoint.weight_bytes();
    return info;
  }
  format::Checkpoint checkpoint(const std::string& family) {
    const test::FamilyGolden golden = test::read_family(family);
    test::write_family(golden, folder_.path() / family);
    source_.text = {write_toy_text(folder_.path(), 1500).string()};
    ids_ = at::tensor(golden.prompts[0], at::kLong).unsqueeze(0);
    return format::Checkpoint::open(folder_.path() / family).value();
  }
  static Json options(double share, const std::string& by = "reap") {
    return {{"experts", share},
            {"experts_by", by},
            {"calibration", "text"},
            {"windows", 6},
            {"sequence_length", 32}};
  }
  absl::Status check(const format::Checkpoint& input, double share, pass::ModelInfo& planned) {
    return check(input, options(share), planned);
  }
  absl::Status check(const format::Checkpoint& input, const Json& wanted,
                     pass::ModelInfo& planned) {
    const auto pass = make_prune_pass();
    set_options(*pass, wanted);
    FakeCheckContext context;
    context.sources["text"] = source_;
    planned = info_of(input);
    const absl::Status status = pass->check(context, planned);
    warnings_ = context.warnings;
    return status;
  }
  FakeRunContext run(const format::Checkpoint& input, double share) {
    return run(input, options(share));
  }
  FakeRunContext run(const format::Checkpoint& input, const Json& wanted) {
    const auto pass = make_prune_pass();
    set_options(*pass, wanted);
    FakeRunContext context(folder_.path() / "out", input);
    context.sources["text"] = source_;
    EXPECT_EQ(pass->run(context), absl::OkStatus());
    return context;
  }
  at::Tensor logits(const model::Decoder& decoder) const {
    const at::NoGradGuard no_grad;
    return decoder.logits({ids_, {}});
  }

  // `decoder` in a folder of its own, with the tokenizer of `like`.
  format::Checkpoint saved(const model::Decoder& decoder, const format::Checkpoint& like,
                           const std::string& name) const {
    const auto folder = folder_.path() / name;
    std::filesystem::create_directories(folder);
    FRUGAL_EXPECT_OK(decoder.save(folder, format::DType::kF32));
    std::filesystem::copy(like.folder() / "tokenizer.json", folder / "tokenizer.json");
    return format::Checkpoint::open(folder).value();
  }
  // Every weight of each expert, by its name.
  static at::Tensor weight(const model::Decoder& of, Role role, int64_t layer, int64_t expert) {
    return of.parameters().at(architecture::tensor_name(of.config(), role, layer, expert));
  }
  static void set_weight(model::Decoder& of, Role role, int64_t layer, int64_t expert,
                         const at::Tensor& value) {
    of.set_parameter(architecture::tensor_name(of.config(), role, layer, expert), value);
  }
  double distance(const format::Checkpoint& a, const format::Checkpoint& b) const {
    const at::Tensor before = logits(model::Decoder::load(a, {}).value());
    const at::Tensor after = logits(model::Decoder::load(b, {}).value());
    return ((after - before).abs().max() / before.abs().max()).item<double>();
  }

  const test::TemporaryFolder folder_;
  text::DataSource source_;
  at::Tensor ids_;
  std::vector<std::string> warnings_;
};

// Each expert that is left is the one that it was, and so is its row of the router.
TEST_F(PruneExperts, KeepsTheOthersAsTheyWere) {
  const format::Checkpoint input = checkpoint("mixtral");
  pass::ModelInfo planned;
  FRUGAL_ASSERT_OK(check(input, 0.5, planned));
  const FakeRunContext context = run(input, 0.5);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto pruned, format::Checkpoint::open(context.output_folder()));
  EXPECT_EQ(pruned.config().layers, planned.config.layers);
  ASSERT_EQ(pruned.config().layers[0].experts->count, 2);
  const model::Decoder whole = model::Decoder::load(input, {}).value();
  const model::Decoder narrow = model::Decoder::load(pruned, {}).value();
  const auto& config = input.config();
  for (int64_t layer = 0; layer < config.layer_count(); ++layer) {
    std::vector<int64_t> kept;
    for (const Json& row : context.tables.at("expert_scores")) {
      if (row["layer"] == layer && row["kept"] == true)
        kept.push_back(row["expert"].get<int64_t>());
    }
    ASSERT_EQ(kept.size(), 2u) << layer;
    const auto parameter = [&](const model::Decoder& of, const architecture::ModelConfig& by,
                               Role role, int64_t expert) {
      return of.parameters().find(architecture::tensor_name(by, role, layer, expert))->second;
    };
    const at::Tensor router = parameter(whole, config, Role::kRouter, architecture::kNoExpert);
    EXPECT_TRUE(
        at::equal(parameter(narrow, pruned.config(), Role::kRouter, architecture::kNoExpert),
                  router.index_select(0, at::tensor(kept, at::kLong))));
    for (size_t e = 0; e < kept.size(); ++e) {
      for (const Role role : {Role::kGate, Role::kUp, Role::kDown}) {
        EXPECT_TRUE(at::equal(parameter(narrow, pruned.config(), role, static_cast<int64_t>(e)),
                              parameter(whole, config, role, kept[e])));
      }
    }
  }
}

// The sizes of what experts add decide: one that adds nothing goes first.
TEST_F(PruneExperts, ThoseThatAddNothingGoFirst) {
  const format::Checkpoint input = checkpoint("olmoe");
  model::Decoder decoder = model::Decoder::load(input, {}).value();
  for (int64_t layer = 0; layer < input.config().layer_count(); ++layer) {
    const std::string name = architecture::tensor_name(input.config(), Role::kDown, layer, 3);
    decoder.set_parameter(name, at::zeros_like(decoder.parameters().find(name)->second));
  }
  const auto silent = folder_.path() / "silent";
  std::filesystem::create_directories(silent);
  FRUGAL_ASSERT_OK(decoder.save(silent, format::DType::kF32));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto emptied, format::Checkpoint::open(silent));
  std::filesystem::copy(input.folder() / "tokenizer.json", silent / "tokenizer.json");
  const FakeRunContext context = run(emptied, 0.8);
  int64_t gone = 0;
  for (const Json& row : context.tables.at("expert_scores")) {
    EXPECT_EQ(row["kept"] == false, row["expert"] == 3) << row.dump();
    if (row["expert"] == 3) EXPECT_EQ(row["score"], 0.0);
    gone += row["kept"] == false ? 1 : 0;
  }
  EXPECT_EQ(gone, input.config().layer_count());
}

TEST_F(PruneExperts, PlanSaysWhatComesOut) {
  const format::Checkpoint input = checkpoint("qwen3-moe-mixed");
  pass::ModelInfo planned;
  FRUGAL_ASSERT_OK(check(input, 0.5, planned));
  EXPECT_TRUE(warnings_.empty());
  EXPECT_EQ(planned.config.layers[0].experts->count, 3);
  EXPECT_FALSE(planned.config.layers[1].experts.has_value());  // a dense layer stays
  FRUGAL_ASSERT_OK(check(input, 0.3, planned));
  EXPECT_EQ(planned.config.layers[0].experts->per_token, 2);  // of 2 that are left
  EXPECT_THAT(warnings_, testing::Contains(testing::HasSubstr(
                             "2 experts stay, fewer than the 3 that a token runs through")));
  FRUGAL_EXPECT_ERROR(check(input, 1.0, planned), absl::StatusCode::kInvalidArgument, "experts");
  FRUGAL_EXPECT_ERROR(check(checkpoint("qwen3"), 0.5, planned), absl::StatusCode::kInvalidArgument,
                      "has no experts");
}

// Experts 2 and 3 are 0 and 1 with their neurons in another order and signs turned, and the router
// sends each token to one expert: nothing is lost when the twins become one.
TEST_F(PruneExperts, TwinsMergeWithoutATrace) {
  test::FamilyGolden golden = test::read_family("mixtral");
  golden.config["num_experts_per_tok"] = 1;
  test::write_family(golden, folder_.path() / "one");
  source_.text = {write_toy_text(folder_.path(), 1500).string()};
  ids_ = at::tensor(golden.prompts[0], at::kLong).unsqueeze(0);
  const auto one = format::Checkpoint::open(folder_.path() / "one").value();
  model::Decoder decoder = model::Decoder::load(one, {}).value();
  for (int64_t layer = 0; layer < one.config().layer_count(); ++layer) {
    at::Tensor router = weight(decoder, Role::kRouter, layer, architecture::kNoExpert).clone();
    for (const int64_t e : {0, 1}) {
      const int64_t neurons = weight(decoder, Role::kGate, layer, e).size(0);
      const at::Tensor order = at::arange(neurons, at::kLong).roll(5).flip(0);
      at::Tensor signs = at::ones({neurons, 1}, at::kFloat);
      for (int64_t i = 0; i < neurons; i += 2) signs[i].neg_();
      set_weight(decoder, Role::kGate, layer, e + 2,
                 weight(decoder, Role::kGate, layer, e).index_select(0, order));
      set_weight(decoder, Role::kUp, layer, e + 2,
                 weight(decoder, Role::kUp, layer, e).index_select(0, order) * signs);
      set_weight(decoder, Role::kDown, layer, e + 2,
                 weight(decoder, Role::kDown, layer, e).index_select(1, order) * signs.t());
      router[e + 2].copy_(router[e]);
    }
    decoder.set_parameter(architecture::tensor_name(one.config(), Role::kRouter, layer), router);
  }
  const format::Checkpoint twins = saved(decoder, one, "twins");
  Json wanted = options(0.5, "merge");
  wanted["calibration_precision"] = "fp32";
  pass::ModelInfo planned;
  FRUGAL_ASSERT_OK(check(twins, wanted, planned));
  const FakeRunContext context = run(twins, wanted);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto merged, format::Checkpoint::open(context.output_folder()));
  EXPECT_EQ(merged.config().layers, planned.config.layers);
  EXPECT_EQ(merged.config().layers[0].experts->count, 2);
  EXPECT_LT(distance(twins, merged), 1e-4);  // two orders of evaluation in fp32
  for (const Json& row : context.tables.at("expert_scores"))
    EXPECT_EQ(row["expert"].get<int64_t>() % 2, row["merged_into"].get<int64_t>() % 2) << row;
  for (const Json& row : context.tables.at("merged_experts"))
    EXPECT_LT(row["error_after"].get<double>(), 1e-9) << row;
}

// What is merged gives less error with a refit than without; an interrupted run goes on.
TEST_F(PruneExperts, MergedExpertsAreRefitted) {
  const format::Checkpoint input = checkpoint("mixtral");
  const FakeRunContext context = run(input, options(0.5, "merge"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto merged, format::Checkpoint::open(context.output_folder()));
  EXPECT_TRUE(logits(model::Decoder::load(merged, {}).value()).isfinite().all().item<bool>());
  const auto& rows = context.tables.at("merged_experts");
  ASSERT_FALSE(rows.empty());
  for (const Json& row : rows) {
    EXPECT_LT(row["error_after"].get<double>(), row["error_before"].get<double>()) << row;
    EXPECT_LT(row["router_error_after"].get<double>(), row["router_error_before"].get<double>());
  }
  std::map<int64_t, int64_t> tokens;
  for (const Json& row : context.tables.at("expert_scores"))
    tokens[row["layer"].get<int64_t>()] += row["tokens"].get<int64_t>();
  for (const auto& [layer, count] : tokens) EXPECT_EQ(count, 6 * 32 * 2) << layer;
}

TEST_F(PruneExperts, EnumerationIsNeverWorseThanScoresOnItsText) {
  const format::Checkpoint input = checkpoint("mixtral");
  const FakeRunContext context = run(input, options(0.5, "enumerate"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto pruned, format::Checkpoint::open(context.output_folder()));
  EXPECT_EQ(pruned.config().layers[0].experts->count, 2);
  ASSERT_EQ(static_cast<int64_t>(context.tables.at("expert_choice").size()),
            input.config().layer_count());
  for (const Json& row : context.tables.at("expert_choice")) {
    EXPECT_EQ(row["sets"], 6);
    EXPECT_LE(row["error"].get<double>(), row["error_by_score"].get<double>());
    EXPECT_LE(row["error_by_score"].get<double>(), row["error_worst"].get<double>());
  }
}

TEST_F(PruneExperts, TooManySetsAreRefusedWithTheirNumber) {
  const format::Checkpoint input = checkpoint("mixtral");
  const auto pass = make_prune_pass();
  set_options(*pass, options(0.5, "enumerate"));
  FakeCheckContext context;
  context.sources["text"] = source_;
  pass::ModelInfo wide = info_of(input);
  for (auto& layer : wide.config.layers) layer.experts->count = 24;
  FRUGAL_EXPECT_ERROR(pass->check(context, wide), absl::StatusCode::kInvalidArgument,
                      "would try 2704156 sets of 12 of the 24 experts in layer 0, at most 20000");
}

TEST(KeptExperts, AreTheNearestNumber) {
  EXPECT_EQ(kept_experts(0.5, 8), 4);
  EXPECT_EQ(kept_experts(0.3, 8), 2);
  EXPECT_EQ(kept_experts(0.01, 8), 1);
  EXPECT_EQ(kept_experts(1.0, 8), 8);
}

// Every set is E² products a token, besides what every expert makes of it.
TEST(ExpertForecasts, GrowWithSetsAndWithPairs) {
  architecture::Layer layer;
  layer.feed_forward.width = 20;
  layer.experts = architecture::Experts{.count = 4, .per_token = 2};
  architecture::ModelConfig config = architecture::make_decoder(1, layer);
  config.hidden_size = 10;
  EXPECT_DOUBLE_EQ(enumeration_operations(config, 0.5, 100),
                   100.0 * (2 * 4 * 3 * 10 * 20 + 2 * 16 * 10 + 2 * 6 * 16));
  EXPECT_GT(merging_operations(config, 0.25, 100), merging_operations(config, 0.75, 100));
  config.layers.front().experts.reset();
  EXPECT_EQ(enumeration_operations(config, 0.5, 100), 0);
}

// Neurons that do nothing, others in each expert, go without a trace.
TEST_F(PruneExperts, IdleNeuronsOfExpertsGoWithoutATrace) {
  const format::Checkpoint input = checkpoint("mixtral");
  model::Decoder decoder = model::Decoder::load(input, {}).value();
  for (int64_t layer = 0; layer < input.config().layer_count(); ++layer) {
    for (int64_t e = 0; e < 4; ++e) {
      const at::Tensor down = weight(decoder, Role::kDown, layer, e);
      std::vector<int64_t> idle;
      for (int64_t i = e % 2; i < down.size(1); i += 2) idle.push_back(i);
      set_weight(decoder, Role::kDown, layer, e,
                 down.index_fill(1, at::tensor(idle, at::kLong), 0));
    }
  }
  const format::Checkpoint idle = saved(decoder, input, "idle");
  const FakeRunContext context = run(idle, {{"ffn", 0.5},
                                            {"multiple_of", 1},
                                            {"score", "magnitude"},
                                            {"compensate", false},
                                            {"calibration", "text"},
                                            {"windows", 6},
                                            {"sequence_length", 32}});
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto narrow, format::Checkpoint::open(context.output_folder()));
  EXPECT_EQ(2 * narrow.config().layers[0].feed_forward.width,
            input.config().layers[0].feed_forward.width);
  EXPECT_LT(distance(idle, narrow), 1e-4);
}

}  // namespace
}  // namespace frugal::passes
