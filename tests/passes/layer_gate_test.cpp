#include "passes/common/layer_gate.h"

#include <cmath>
#include <limits>

#include "passes/fake_context.h"
#include "support/shared_data.h"

namespace frugal::passes {
namespace {

const double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(LayerGate, StopsAtErrorsAndTokens) {
  const LayerGate gate{.max_error = 0.5, .min_tokens = 100};
  const auto solved = [](std::optional<double> error, std::optional<int64_t> tokens) {
    return SolvedMatrix{.name = "a.weight",
                        .how = "on grid q4_0",
                        .error = error,
                        .tokens = tokens,
                        .remedy = "take a finer grid"};
  };
  FRUGAL_EXPECT_OK(check_solved(gate, solved(0.5, 100)));
  FRUGAL_EXPECT_OK(check_solved(gate, solved(std::nullopt, std::nullopt)));  // nothing measured
  FRUGAL_EXPECT_ERROR(check_solved(gate, solved(0.51, 100)), absl::StatusCode::kFailedPrecondition,
                      "a.weight: the relative output error on grid q4_0 is 0.51, max_layer_error "
                      "is 0.5 (1 = as bad as writing zeros); take a finer grid");
  FRUGAL_EXPECT_ERROR(check_solved(gate, solved(0.1, 99)), absl::StatusCode::kFailedPrecondition,
                      "saw 99 calibration tokens, min_tokens is 100");
}

TEST(LayerGate, AnErrorThatIsNoNumberStopsAtAnyLimit) {
  const SolvedMatrix matrix{.name = "a.weight", .how = "", .error = kNaN, .remedy = ""};
  for (const double limit : {1.0, LayerGate::kAnyError}) {
    FRUGAL_EXPECT_ERROR(check_solved({.max_error = limit}, matrix),
                        absl::StatusCode::kFailedPrecondition, "is nan");
  }
  EXPECT_TRUE(std::isnan(relative_error(kNaN, 2)));
  EXPECT_EQ(relative_error(0, 0), 0);
  EXPECT_TRUE(std::isinf(relative_error(1, 0)));
  EXPECT_TRUE(std::isnan(relative_error(1, kNaN)));
  EXPECT_TRUE(std::isnan(relative_error(kNaN, 0)));
}

}  // namespace
}  // namespace frugal::passes
