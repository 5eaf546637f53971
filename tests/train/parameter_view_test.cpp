#include "train/parameter_view.h"

#include "support/shared_data.h"
#include "tensor/aten.h"
#include "train/toy.h"
#include "train/trainer.h"

namespace frugal::train {
namespace {

const std::string kMatrix = "model.layers.0.mlp.down_proj.weight";

model::Decoder toy_model() { return model::toy::decoder({{"initializer_range", 0.05}}); }

bool is_norm(std::string_view name) { return name.find("norm") != std::string_view::npos; }

TrainOptions few_steps() {
  TrainOptions options;
  options.steps = 4;
  options.batch_sequences = 4;
  options.learning_rate = 1e-2;
  options.precision = Precision::kFp32;
  return options;
}

// An adapter of rank 1 on one matrix: W + b a.
void add_adapter(ParameterView& view) {
  const at::Tensor& weights = view.base().parameters().at(kMatrix);
  TensorMap factors;
  factors["adapter.a"] = toy::random_tensor({1, weights.size(1)}, "a", 0.1);
  factors["adapter.b"] = at::zeros({weights.size(0), 1}, at::kFloat);
  view.add(factors, [](model::Decoder& model, const TensorMap& added) {
    model.set_parameter(kMatrix, model.parameters().at(kMatrix) +
                                     at::matmul(added.at("adapter.b"), added.at("adapter.a")));
  });
}

TEST(ParameterView, AModelStandsForAllItsParameters) {
  const model::Decoder model = toy_model();
  const ParameterView view = model;
  EXPECT_EQ(view.trained().size(), model.parameters().size());
  EXPECT_EQ(view.selection(), "");
  EXPECT_TRUE(view.adapted().parameters().at(kMatrix).is_same(model.parameters().at(kMatrix)));
}

TEST(ParameterView, OnlyWhatIsSelectedMoves) {
  const model::Decoder model = toy_model(), before = model.clone();
  const ParameterView view(model, is_norm);
  EXPECT_NE(view.selection(), "");
  const text::PackedTokens data = toy::packed(32, 17);
  FRUGAL_ASSERT_OK(train(view, nullptr, data, nullptr, few_steps(), {}, nullptr).status());
  for (const auto& [name, value] : model.parameters()) {
    EXPECT_EQ(value.equal(before.parameters().at(name)), !is_norm(name)) << name;
    EXPECT_FALSE(value.requires_grad()) << name;
  }
}

TEST(ParameterView, AddedTensorsAreTrainedThroughTheModel) {
  const model::Decoder model = toy_model(), before = model.clone();
  ParameterView view(model, [](std::string_view) { return false; });
  add_adapter(view);
  EXPECT_EQ(view.trained().size(), 2u);
  const text::PackedTokens data = toy::packed(64, 17);
  TrainOptions options = few_steps();
  options.steps = 20;
  options.record_every = 1;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainResult result,
                              train(view, nullptr, data, nullptr, options, {}, nullptr));
  for (const auto& [name, value] : model.parameters())
    EXPECT_TRUE(value.equal(before.parameters().at(name))) << name;
  EXPECT_TRUE(view.trained().at("adapter.b").ne(0).any().item<bool>());
  EXPECT_FALSE(view.adapted().parameters().at(kMatrix).equal(before.parameters().at(kMatrix)));
  EXPECT_THROW(view.add({{kMatrix, at::zeros({1})}}, nullptr), c10::Error);
}

// Resume files hold what is trained, added tensors too: a killed run ends with the same bits.
TEST(ParameterView, AddedTensorsAreResumed) {
  const text::PackedTokens data = toy::packed(32, 17);
  const auto fresh = [] {
    ParameterView view(toy_model(), [](std::string_view) { return false; });
    add_adapter(view);
    return view;
  };
  TrainOptions options = few_steps();
  const ParameterView whole = fresh();
  FRUGAL_ASSERT_OK(train(whole, nullptr, data, nullptr, options, {}, nullptr).status());
  test::TemporaryFolder folder;
  options.checkpoint_every = 3;  // the file of step 3 is what a kill afterwards leaves
  FRUGAL_ASSERT_OK(train(fresh(), nullptr, data, nullptr, options, folder.path(), nullptr));
  const ParameterView resumed = fresh();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainResult result, train(resumed, nullptr, data, nullptr,
                                                              options, folder.path(), nullptr));
  EXPECT_EQ(result.resumed_from, 3);
  for (const auto& [name, value] : whole.trained())
    EXPECT_TRUE(value.equal(resumed.trained().at(name))) << name;
  // Another selection is another run.
  const model::Decoder model = toy_model();
  FRUGAL_EXPECT_ERROR(
      train(ParameterView(model, is_norm), nullptr, data, nullptr, options, folder.path(), nullptr),
      absl::StatusCode::kFailedPrecondition, "another run");
}

TEST(ParameterView, NothingToTrainIsRefused) {
  const model::Decoder model = toy_model();
  FRUGAL_EXPECT_ERROR(train(ParameterView(model, [](std::string_view) { return false; }), nullptr,
                            toy::packed(8, 9), nullptr, few_steps(), {}, nullptr),
                      absl::StatusCode::kInvalidArgument, "no parameter");
}

}  // namespace
}  // namespace frugal::train
