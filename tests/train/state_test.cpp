#include "train/state.h"

#include <fstream>

#include "train/toy.h"

namespace frugal::train {
namespace {

class StateTest : public ::testing::Test {
 protected:
  StateTest() : decoder_(model::toy::decoder()), optimizer_(decoder_.parameters(), {}) {}

  TrainState state() { return {decoder_.parameters(), &optimizer_, {}, {{"step", 3}}}; }
  std::filesystem::path path() const { return folder_.path() / "state.safetensors"; }

  void take_steps(int count) {
    for (int i = 0; i < count; ++i) {
      for (const auto& [name, value] : decoder_.parameters()) {
        at::Tensor handle = value;
        handle.mutable_grad() = toy::random_tensor(value.sizes(), base::str_cat(name, i));
      }
      optimizer_.step(0.01);
    }
  }

  test::TemporaryFolder folder_;
  model::Decoder decoder_;
  AdamW optimizer_;
};

TEST_F(StateTest, RestoresEveryBit) {
  take_steps(3);
  TrainState saved = state();
  saved.best["model.norm.weight"] = at::full({32}, 7.0F);
  FRUGAL_ASSERT_OK(save_state(path(), saved, "run a"));
  model::Decoder other = model::toy::decoder(base::Json::object(), 2);
  AdamW fresh(other.parameters(), {});
  TrainState restored{other.parameters(), &fresh, {}, {}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto record, load_state(path(), restored, "run a"));
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ((*record)["step"], 3);
  EXPECT_EQ(fresh.steps_done(), 3);
  for (const auto& [name, value] : decoder_.parameters()) {
    EXPECT_TRUE(other.parameters().find(name)->second.equal(value)) << name;
    EXPECT_TRUE(fresh.moments().find(name)->second.first.equal(
        optimizer_.moments().find(name)->second.first));
    EXPECT_TRUE(fresh.moments().find(name)->second.second.equal(
        optimizer_.moments().find(name)->second.second));
  }
  EXPECT_TRUE(restored.best.at("model.norm.weight").equal(at::full({32}, 7.0F)));
}

TEST_F(StateTest, NoFileIsNoError) {
  TrainState then = state();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto record, load_state(path(), then, "run a"));
  EXPECT_FALSE(record.has_value());
}

TEST_F(StateTest, AnotherRunsFileIsRefused) {
  FRUGAL_ASSERT_OK(save_state(path(), state(), "run a"));
  TrainState then = state();
  FRUGAL_EXPECT_ERROR(load_state(path(), then, "run b"), absl::StatusCode::kFailedPrecondition,
                      "another run");
}

TEST_F(StateTest, ADamagedFileLeavesTheModelAsItWas) {
  FRUGAL_ASSERT_OK(save_state(path(), state(), "run a"));
  std::filesystem::resize_file(path(), std::filesystem::file_size(path()) - 1);
  const at::Tensor before = decoder_.parameters().begin()->second.clone();
  TrainState then = state();
  EXPECT_FALSE(load_state(path(), then, "run a").ok());
  EXPECT_TRUE(decoder_.parameters().begin()->second.equal(before));
}

TEST_F(StateTest, AnotherModelsFileIsRefused) {
  FRUGAL_ASSERT_OK(save_state(path(), state(), "run a"));
  model::Decoder wide = model::toy::decoder({{"intermediate_size", 64}});
  AdamW optimizer(wide.parameters(), {});
  TrainState then{wide.parameters(), &optimizer, {}, {}};
  FRUGAL_EXPECT_ERROR(load_state(path(), then, "run a"), absl::StatusCode::kDataLoss,
                      "another type or shape");
}

}  // namespace
}  // namespace frugal::train
