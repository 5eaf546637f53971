// Experts that go: which, what is left of the model, and what the plan says beforehand.
#include <gmock/gmock.h>

#include <algorithm>

#include "architecture/tensors.h"
#include "fake_context.h"
#include "model/decoder.h"
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
  static Json options(double share) {
    return {{"experts", share}, {"calibration", "text"}, {"windows", 6}, {"sequence_length", 32}};
  }
  absl::Status check(const format::Checkpoint& input, double share, pass::ModelInfo& planned) {
    const auto pass = make_prune_pass();
    set_options(*pass, options(share));
    FakeCheckContext context;
    context.sources["text"] = source_;
    planned = info_of(input);
    const absl::Status status = pass->check(context, planned);
    warnings_ = context.warnings;
    return status;
  }
  FakeRunContext run(const format::Checkpoint& input, double share) {
    const auto pass = make_prune_pass();
    set_options(*pass, options(share));
    FakeRunContext context(folder_.path() / "out", input);
    context.sources["text"] = source_;
    EXPECT_EQ(pass->run(context), absl::OkStatus());
    return context;
  }
  at::Tensor logits(const model::Decoder& decoder) const {
    const at::NoGradGuard no_grad;
    return decoder.logits({ids_, {}});
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

}  // namespace
}  // namespace frugal::passes
