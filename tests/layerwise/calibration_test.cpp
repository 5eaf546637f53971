#include "layerwise/walk/calibration.h"

#include <algorithm>
#include <fstream>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "support/shared_data.h"
#include "support/toy_checkpoint.h"
#include "support/toy_model.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

TEST(Calibration, DefaultsFollowDataAndModel) {
  const architecture::ModelConfig config = toy_config({});  // context 64
  FRUGAL_ASSERT_OK_AND_ASSIGN(const CalibrationPlan plain, plan_calibration(config, {}, {}));
  EXPECT_EQ(plain.length, 64);
  EXPECT_EQ(plain.windows, default_windows(config, 64));
  text::DataSource source;
  source.tokens = 1000;
  source.sequence_length = 32;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const CalibrationPlan data, plan_calibration(config, source, {}));
  EXPECT_EQ(data.length, 32);
  EXPECT_EQ(data.windows, 31);
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const CalibrationPlan options,
      plan_calibration(config, source, {.windows = 7, .sequence_length = 16}));
  EXPECT_EQ(options.tokens(), 7 * 16);
}

TEST(Calibration, TheWidestMatrixSaysHowMuchTextIsEnough) {
  const architecture::ModelConfig config = toy_config({.width = 32, .neurons = 100});
  EXPECT_EQ(default_windows(config, 64), 38);  // 2400 tokens
  EXPECT_EQ(default_windows(config, 4800), 1);
  architecture::ModelConfig routed = config;
  routed.layers.back().experts.emplace();
  routed.layers.back().experts->count = 8;
  routed.layers.back().experts->per_token = 2;
  EXPECT_EQ(default_windows(routed, 64), 150);  // 9600, of which an expert gets a quarter
  const architecture::ModelConfig wide = toy_config({.neurons = 30000});
  EXPECT_EQ(default_windows(wide, 2048), 128);
}

TEST(Calibration, WindowsFitTheContext) {
  FRUGAL_EXPECT_ERROR(plan_calibration(toy_config({}), {}, {.sequence_length = 65}),
                      absl::StatusCode::kInvalidArgument, "context of 64");
}

TEST(Calibration, FewerTokensThanAWindow) {
  text::DataSource source;
  source.tokens = 40;
  FRUGAL_EXPECT_ERROR(plan_calibration(toy_config({}), source, {}),
                      absl::StatusCode::kInvalidArgument, "less than one window of 64");
}

class RealText : public testing::Test {
 protected:
  text::DataSource source(std::string_view text) {
    const std::filesystem::path path = folder_.path() / "calibration.txt";
    std::ofstream(path) << text;
    text::DataSource result;
    result.text = {path.string()};
    return result;
  }
  test::TemporaryFolder folder_;
};

TEST_F(RealText, ShortTextIsAnError) {
  FRUGAL_SHARED_DATA_OR_SKIP(path, "novels-7m/hf");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint checkpoint, format::Checkpoint::open(path));
  FRUGAL_EXPECT_ERROR(
      load_calibration(checkpoint, source("The carriage stopped."), {.windows = 4, .length = 256}),
      absl::StatusCode::kInvalidArgument, "256");
}

TEST_F(RealText, WindowsAreTokenIdsOfTheText) {
  FRUGAL_SHARED_DATA_OR_SKIP(path, "novels-7m/hf");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint checkpoint, format::Checkpoint::open(path));
  std::string text;
  for (int i = 0; i < 40; ++i)
    text += "The carriage stopped before the old house, and she went in. ";
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const text::Windows windows,
      load_calibration(checkpoint, source(text), {.windows = 3, .length = 32}));
  EXPECT_EQ(windows.count, 3);
  EXPECT_EQ(windows.ids.size(), 96u);
  const std::vector<text::TokenId> beginning{560, 2741, 2164, 664,
                                             266};  // "The carriage stopped before the"
  EXPECT_TRUE(std::equal(beginning.begin(), beginning.end(), windows.ids.begin()));
}

// "a…" or "b…": which of two texts a window is from.
class Mixtures : public RealText {
 protected:
  Mixtures() : model_(toy_checkpoint(folder_.path() / "toy", {.layers = 1})) {
    for (const char letter : {'a', 'b'}) {
      const std::filesystem::path path = folder_.path() / (std::string(1, letter) + ".txt");
      std::string text;
      while (text.size() < 4000) text += std::string(1, letter) + " ";
      std::ofstream(path) << text;
      text::DataSource source;
      source.text = {path.string()};
      add(std::string(1, letter), source, 1);
    }
  }
  void add(const std::string& name, const text::DataSource& source, double weight) {
    mixed_.mix.push_back({name, weight, std::make_shared<const text::DataSource>(source)});
  }
  format::Checkpoint model_;
  text::DataSource mixed_;
};

TEST_F(Mixtures, GiveWindowsByWeight) {
  mixed_.mix[0].weight = 3;
  EXPECT_EQ(mixture_shares(mixed_, 8), (std::vector<int64_t>{6, 2}));
  EXPECT_EQ(mixture_shares(mixed_, 9), (std::vector<int64_t>{7, 2}));
  mixed_.mix[0].weight = 1000;  // none is left out
  EXPECT_EQ(mixture_shares(mixed_, 8), (std::vector<int64_t>{7, 1}));
  mixed_.mix[0].weight = 0.001;
  EXPECT_EQ(mixture_shares(mixed_, 8), (std::vector<int64_t>{1, 7}));
}

TEST_F(Mixtures, AreInTurnsSoThatAnyPartOfThemIsMixed) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const text::Windows mixed,
                              load_calibration(model_, mixed_, {.windows = 6, .length = 16}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, text::load_tokenizer(model_.folder()));
  ASSERT_EQ(mixed.count, 6);
  std::string kinds;
  for (int64_t i = 0; i < 6; ++i) {
    const std::string text =
        tokenizer->decode(std::span(mixed.ids).subspan(static_cast<size_t>(i * 16), 16));
    const bool a = text.find('a') != std::string::npos, b = text.find('b') != std::string::npos;
    EXPECT_NE(a, b) << text;
    kinds += a ? 'a' : 'b';
  }
  EXPECT_EQ(kinds, "ababab");
  mixed_.mix[1].weight = 2;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const text::Windows other,
                              load_calibration(model_, mixed_, {.windows = 6, .length = 16}));
  EXPECT_NE(other.text_sha256, mixed.text_sha256);
}

TEST_F(Mixtures, TakeTextOfTheModelItself) {
  add("self", {.self = true, .seed = 5}, 2);
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const CalibrationPlan plan,
      plan_calibration(model_.config(), mixed_, {.windows = 8, .sequence_length = 16}));
  EXPECT_EQ(plan.self_share, 0.5);
  const std::filesystem::path kept = folder_.path() / "kept";
  std::filesystem::create_directories(kept);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const text::Windows windows,
                              load_calibration(model_, mixed_, plan, {.folder = kept}));
  EXPECT_EQ(windows.count, 8);
  EXPECT_TRUE(std::filesystem::exists(kept / "self-text-5-4.json"));
}

TEST_F(Mixtures, NeedAWindowForEachPart) {
  FRUGAL_EXPECT_ERROR(
      plan_calibration(model_.config(), mixed_, {.windows = 1, .sequence_length = 16}),
      absl::StatusCode::kInvalidArgument, "a mixture of 2 texts for 1 calibration windows");
  mixed_.mix[0].weight = 0;
  FRUGAL_EXPECT_ERROR(text::check_source(mixed_), absl::StatusCode::kInvalidArgument,
                      "weight of 'a' is 0");
}

text::Windows numbered(int64_t count) {
  text::Windows windows{.count = count, .length = 2};
  for (int64_t i = 0; i < count; ++i)
    windows.ids.insert(windows.ids.end(), {static_cast<text::TokenId>(i), 0});
  return windows;
}

TEST(SplitWindows, ThreeUsesNeverShareAWindow) {
  for (const int64_t count : {1, 2, 5, 40, 64, 100, 600, 672}) {
    const CalibrationSplit split = split_windows(numbered(count), 64, 8, 600);
    std::set<text::TokenId> seen;
    for (const text::Windows* part : {&split.seen, &split.held_out, &split.fresh}) {
      ASSERT_EQ(part->ids.size(), static_cast<size_t>(2 * part->count));
      for (int64_t i = 0; i < part->count; ++i)
        EXPECT_TRUE(seen.insert(part->ids[static_cast<size_t>(2 * i)]).second);
    }
    EXPECT_EQ(seen.size(), static_cast<size_t>(count));
    EXPECT_GE(split.seen.count, 1);
    EXPECT_LE(split.seen.count, 64);
    EXPECT_LE(split.held_out.count, 8);
    EXPECT_LE(split.fresh.count, 600);
  }
}

TEST(SplitWindows, StatisticsComeFirstAndEveryPartIsSpread) {
  EXPECT_EQ(split_windows(numbered(64), 64, 0, 0).seen.count, 64);
  const CalibrationSplit enough = split_windows(numbered(200), 128, 8, 64);
  EXPECT_EQ(enough.seen.count, 128);
  EXPECT_EQ(enough.held_out.count, 8);
  EXPECT_EQ(enough.fresh.count, 64);
  EXPECT_LT(enough.held_out.ids.front(), 30);
  EXPECT_GT(enough.held_out.ids[14], 170);
  EXPECT_EQ(split_windows(numbered(136), 128, 8, 64).fresh.count, 0);
  const text::Windows both = joined(enough.seen, enough.held_out);
  EXPECT_EQ(both.count, 136);
  EXPECT_EQ(both.ids[2 * 128], enough.held_out.ids[0]);
}

}  // namespace
}  // namespace frugal::layerwise
