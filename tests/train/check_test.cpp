#include "train/check.h"

#include <algorithm>

#include "tensor/device.h"
#include "train/toy.h"

namespace frugal::train {
namespace {

const architecture::ModelConfig& config() {
  static const architecture::ModelConfig value = model::toy::config();
  return value;
}

TEST(CheckData, GoodDataPasses) {
  FRUGAL_EXPECT_OK(check_data(toy::packed(2, 9), config(), "data"));
}

TEST(CheckData, NamesWhatDoesNotFit) {
  FRUGAL_EXPECT_ERROR(check_data(toy::packed(2, 80), config(), "data"),
                      absl::StatusCode::kInvalidArgument,
                      "data: sequences of 80 tokens do not fit the model's context of 64");
  text::PackedTokens wrong = toy::packed(2, 9);
  wrong.ids[5] = 37;
  FRUGAL_EXPECT_ERROR(check_data(wrong, config(), "data"), absl::StatusCode::kInvalidArgument,
                      "the vocabulary has 37");
  wrong.ids[5] = -1;
  FRUGAL_EXPECT_ERROR(check_data(wrong, config(), "data"), absl::StatusCode::kInvalidArgument,
                      "ids from -1");
  wrong = toy::packed(2, 9);
  wrong.segments.pop_back();
  FRUGAL_EXPECT_ERROR(check_data(wrong, config(), "data"), absl::StatusCode::kInternal,
                      "18 entries");
  FRUGAL_EXPECT_ERROR(check_data(text::PackedTokens(), config(), "data"),
                      absl::StatusCode::kInvalidArgument, "0 sequences");
}

TEST(CheckData, SomeTokenMustCount) {
  text::PackedTokens data = toy::packed(2, 9);
  std::fill(data.loss_mask.begin(), data.loss_mask.end(), uint8_t{0});
  data.loss_mask[9] = 1;  // the first of a row has nothing to be predicted from
  FRUGAL_EXPECT_ERROR(check_data(data, config(), "data"), absl::StatusCode::kInvalidArgument,
                      "no token counts");
  data.loss_mask[10] = 1;
  FRUGAL_EXPECT_OK(check_data(data, config(), "data"));
  data.segments[10] = 1;
  FRUGAL_EXPECT_ERROR(check_data(data, config(), "data"), absl::StatusCode::kInvalidArgument,
                      "no token counts");
}

TEST(CheckNumbers, NamesTheOption) {
  const auto message = [](auto change) {
    TrainOptions options;
    options.steps = 1;
    change(options);
    return std::string(check_numbers(options).message());
  };
  EXPECT_EQ(message([](TrainOptions&) {}), "");
  EXPECT_THAT(message([](TrainOptions& o) { o.learning_rate = 0; }),
              ::testing::HasSubstr("learning_rate = 0"));
  EXPECT_THAT(message([](TrainOptions& o) { o.temperature = -1; }),
              ::testing::HasSubstr("temperature = -1"));
  EXPECT_THAT(message([](TrainOptions& o) { o.distillation_weight = 1.5; }),
              ::testing::HasSubstr("distillation_weight = 1.5; expected 0 to 1"));
}

TEST(CheckModels, TheStudentIsFp32) {
  const model::Decoder decoder = model::toy::decoder();
  model::Decoder half = decoder.clone();
  for (const auto& [name, value] : decoder.parameters())
    half.set_parameter(name, value.to(at::kBFloat16));
  FRUGAL_EXPECT_ERROR(check_models(half, nullptr, {}), absl::StatusCode::kInvalidArgument,
                      "BFloat16");
  FRUGAL_EXPECT_OK(check_models(decoder, &half, {.distillation_weight = 1.0}));
}

TEST(ResolvePrecision, FollowsTheCpu) {
  const bool native = tensor::cpu_has_native_bf16();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Precision automatic,
                              resolve_precision(Precision::kAuto, at::kCPU));
  EXPECT_EQ(automatic, native ? Precision::kBf16 : Precision::kFp32);
  EXPECT_EQ(resolve_precision(Precision::kBf16, at::kCPU).ok(), native);
  FRUGAL_EXPECT_OK(resolve_precision(Precision::kFp32, at::kCPU));
}

}  // namespace
}  // namespace frugal::train
