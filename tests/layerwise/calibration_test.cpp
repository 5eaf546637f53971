#include "layerwise/walk/calibration.h"

#include <algorithm>
#include <fstream>
#include <set>

#include "support/shared_data.h"
#include "support/toy_model.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

TEST(Calibration, DefaultsFollowDataAndModel) {
  const architecture::ModelConfig config = toy_config({});  // context 64
  FRUGAL_ASSERT_OK_AND_ASSIGN(const CalibrationPlan plain, plan_calibration(config, {}, {}));
  EXPECT_EQ(plain.length, 64);
  EXPECT_EQ(plain.windows, kDefaultWindows);
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
