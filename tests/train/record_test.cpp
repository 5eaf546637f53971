#include "train/record.h"

#include <cmath>
#include <limits>

#include "support/shared_data.h"

namespace frugal::train {
namespace {

TEST(Record, GoesThroughTextUnchanged) {
  TrainResult result;
  result.steps = 12;
  result.tokens = 3000;
  result.loss_tokens = 2900;
  result.best_step = 8;
  result.curve = {{4, 0.1, 1.0 / 3.0, std::numeric_limits<double>::quiet_NaN(), 1e-3, 2.5}};
  result.validation = {{8, 2.25, 100}, {12, 2.5, 100}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json json,
                              base::parse_json(to_json(result).dump(), "test"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainResult back, parse_record(json, "test"));
  EXPECT_EQ(back.steps, 12);
  EXPECT_EQ(back.tokens, 3000);
  EXPECT_EQ(back.loss_tokens, 2900);
  EXPECT_EQ(back.best_step, 8);
  ASSERT_EQ(back.curve.size(), 1u);
  EXPECT_EQ(back.curve[0].cross_entropy, 1.0 / 3.0);
  EXPECT_TRUE(std::isnan(back.curve[0].divergence));
  ASSERT_EQ(back.validation.size(), 2u);
  EXPECT_EQ(back.validation[1].cross_entropy, 2.5);
}

TEST(Record, MissingKeysAreNamed) {
  base::Json json = to_json({});
  json.erase("best_step");
  FRUGAL_EXPECT_ERROR(parse_record(json, "file x"), absl::StatusCode::kInvalidArgument,
                      "best_step");
}

}  // namespace
}  // namespace frugal::train
