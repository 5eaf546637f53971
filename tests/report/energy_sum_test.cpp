#include "report/energy_sum.h"

#include <gtest/gtest.h>

namespace frugal::report {
namespace {

using base::Json;

Json joules(double value, const char* provenance) {
  return {{"value", value}, {"provenance", provenance}};
}

TEST(EnergySum, IsAsGoodAsItsWeakestPart) {
  Json modelled = joules(2, "modelled");
  modelled["range"] = {{"low", 1}, {"high", 4}};
  modelled["marks"] = {"short window"};
  const Json sum = energy_sum(joules(3, "measured"), modelled);
  EXPECT_EQ(sum["value"], 5.0);
  EXPECT_EQ(sum["provenance"], "modelled");
  EXPECT_EQ(sum["range"]["high"], 7.0);
  EXPECT_EQ(sum["marks"].dump(), R"(["short window"])");
}

TEST(EnergySum, WithAnUnknownPartIsUnknown) {
  const Json sum =
      energy_sum(joules(3, "measured"), {{"value", nullptr}, {"reason", "no meter was read"}});
  EXPECT_TRUE(sum["value"].is_null());
  EXPECT_EQ(sum["reason"], "no meter was read");
}

TEST(EnergySum, NumbersComeBack) {
  const Json number = {{"value", 2.5}, {"unit", "J"}, {"provenance", "measured"}, {"help", "x"}};
  EXPECT_EQ(number_from(figure_of(number, "J")).dump(), number.dump());
}

}  // namespace
}  // namespace frugal::report
