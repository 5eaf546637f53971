// Structured pruning that removes nothing leaves the model, to the last bit. (The pass refuses such
// a job; what it is made of must still be right.)
#include <ATen/core/grad_mode.h>

#include <numeric>

#include "layerwise/pruning/depth.h"
#include "model/decoder.h"
#include "passes/prune/channels.h"
#include "passes/prune/cut_solver.h"
#include "passes/prune/output.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"
#include "support/toy_model.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

namespace fs = std::filesystem;

class NothingRemoved : public testing::Test {
 protected:
  at::Tensor logits(const format::Checkpoint& checkpoint) const {
    const at::NoGradGuard no_grad;
    return model::Decoder::load(checkpoint, {})->logits(batch_);
  }
  // What `write` leaves in a folder is the input.
  template <typename Write>
  void expect_same(const std::string& name, const Write& write) {
    const fs::path folder = folder_.path() / name;
    fs::create_directories(folder);
    FRUGAL_ASSERT_OK(write(folder));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto result, format::Checkpoint::open(folder));
    EXPECT_TRUE(at::equal(logits(result), logits(input_))) << name;
    EXPECT_EQ(result.weight_bytes(), input_.weight_bytes()) << name;
  }

  test::TemporaryFolder folder_;
  test::ToyShape shape_{.layers = 3, .neurons = 96};
  format::Checkpoint input_ = gained_toy(folder_.path() / "input", shape_);
  text::Windows windows_ = test::toy_windows(6, 24, kToyVocabulary);
  model::Batch batch_ = test::toy_batch(windows_);
};

TEST_F(NothingRemoved, OfTheLayers) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::vector<int64_t> kept,
                              layerwise::layers_to_keep({0.1, 0.2, 0.3}, {.drop = 0}));
  expect_same("layers", [&](const fs::path& to) { return write_shallower(input_, kept, to); });
}

TEST_F(NothingRemoved, OfTheChannels) {
  for (const auto score : {layerwise::StructureScore::kObs, layerwise::StructureScore::kActivation,
                           layerwise::StructureScore::kMagnitude}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(
        const std::vector<int64_t> kept,
        choose_channels(input_, windows_, {}, {.keep = shape_.width, .score = score}));
    expect_same(base::str_cat("channels", static_cast<int>(score)), [&](const fs::path& to) {
      return write_without_channels(input_, kept, nullptr, to);
    });
  }
}

TEST_F(NothingRemoved, OfTheNeuronsAndHeads) {
  const model::Decoder decoder = model::Decoder::load(input_, {}).value();
  using architecture::Role;
  const architecture::ModelConfig& config = input_.config();
  const Cut neurons{.what = "neurons",
                    .in_stage = 2,
                    .out_stage = 3,
                    .rows = {Role::kGate, Role::kUp},
                    .reader = Role::kDown,
                    .count = shape_.neurons,
                    .keep = shape_.neurons};
  const Cut heads{.what = "heads",
                  .in_stage = 0,
                  .out_stage = 1,
                  .rows = {Role::kQuery},
                  .reader = Role::kAttentionOutput,
                  .count = config.layers.front().attention.heads,
                  .keep = config.layers.front().attention.heads,
                  .unit = config.layers.front().attention.head_size,
                  .groups = config.layers.front().attention.key_value_heads};
  const std::vector<Cut> cuts = {heads, neurons};
  for (const auto score :
       {layerwise::StructureScore::kObs, layerwise::StructureScore::kObsGreedy,
        layerwise::StructureScore::kActivation, layerwise::StructureScore::kMagnitude}) {
    const std::string name = base::str_cat("cut", static_cast<int>(score));
    fs::create_directories(folder_.path() / (name + " store"));
    const layerwise::LayerStore store(folder_.path() / (name + " store"), "stamp");
    CutOptions options;
    options.cuts = cuts;
    options.score = score;
    options.compensate = false;  // solving for the weights that are there rounds them
    CutSolver solver(options, store);
    FRUGAL_ASSERT_OK(layerwise::walk(input_, windows_, {}, solver));
    expect_same(name, [&](const fs::path& to) { return write_narrowed(input_, cuts, store, to); });
  }
}

}  // namespace
}  // namespace frugal::passes
