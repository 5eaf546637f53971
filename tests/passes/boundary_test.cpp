#include "passes/measure/boundary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "passes/speed_windows.h"

namespace frugal::passes {
namespace {

using base::Json;

energy::MeterWindow meter(std::string name, energy::Domain domain, double joules, double net) {
  energy::MeterWindow out;
  out.info = energy::fake_info(std::move(name));
  out.info.domain = domain;
  out.joules = joules;
  out.net_joules = net;
  out.seconds = 5;
  out.mean_watts = joules / 5;
  return out;
}

// A GPU of 60 J and a CPU of 20 J in each window, of which 30 and 10 are idle; the CPU's cores are
// shown beside.
Measured made() {
  PhaseWindow window = made_window(0.6, 0);
  energy::MeterWindow gpu = meter("gpu-0", energy::Domain::kGpu, 60, 30);
  gpu.conditions_begin = {{"temperature_celsius", 40}, {"power_limit_watts", 300}};
  gpu.conditions_end = {{"temperature_celsius", 55}, {"power_limit_watts", 300}};
  energy::MeterWindow cores = meter("cpu-core-0", energy::Domain::kCpu, 15, 5);
  cores.info.in_total = false;
  window.energy.meters = {gpu, meter("cpu-package-0", energy::Domain::kCpu, 20, 10), cores};
  Measured out;
  out.models = {{Speed{{256, 64, 4}, {{window, window}, {window, window}}}}};
  return out;
}

TEST(BoundaryRow, NamesTheUnitWhatIsInsideAndTheShares) {
  const Json row = boundary_row(made());
  EXPECT_EQ(row["functional_unit"], "one request answered");
  EXPECT_EQ(row["reference_flow"],
            "a prompt of 256 tokens read and 64 tokens generated, at batch 4");
  ASSERT_EQ(row["inside"].size(), 2u);
  EXPECT_EQ(row["inside"][0]["part"], "accelerator");
  EXPECT_EQ(row["inside"][1]["part"], "host");
  EXPECT_EQ(row["joules"], 4 * 80.0);
  EXPECT_EQ(row["shares"]["accelerator"], 0.75);
  EXPECT_EQ(row["shares"]["host"], 0.25);
  EXPECT_TRUE(row["shares"]["whole_machine"].is_null());
  EXPECT_EQ(row["idle_share"], 0.5);
  EXPECT_THAT(row["outside"].dump(), testing::HasSubstr("memory apart"));
  EXPECT_THAT(row["outside"].dump(), testing::HasSubstr("PUE"));
  EXPECT_THAT(row["outside"].dump(), testing::Not(testing::HasSubstr("accelerators")));
}

TEST(BoundaryRow, AMeterOfThisProcessAloneHasNoIdlePowerInside) {
  Measured measured = made();
  measured.models[0][0].repeats[0].prefill.run_seconds = {0.5};
  for (SpeedRepeat& repeat : measured.models[0][0].repeats) {
    for (PhaseWindow* window : {&repeat.prefill, &repeat.decode}) {
      window->energy.meters.erase(window->energy.meters.begin());
      window->energy.meters[0].info.whole_device = false;
    }
  }
  const Json row = boundary_row(measured);
  EXPECT_TRUE(row["idle_share"].is_null());
  EXPECT_EQ(row["shares"]["host"], 1.0);
  EXPECT_THAT(row["outside"].dump(), testing::HasSubstr("when idle: cpu-package-0 counts this"));
  EXPECT_EQ(row["marks"], Json::array({"short window"}));
}

TEST(BoundaryRow, AnUnknownPartMakesSharesUnknown) {
  Measured measured = made();
  measured.models[0][0].repeats[1].decode.energy.meters[0].joules = std::nullopt;
  const Json row = boundary_row(measured);
  EXPECT_TRUE(row["joules"].is_null());
  EXPECT_TRUE(row["shares"]["accelerator"].is_null());
  EXPECT_TRUE(row["idle_share"].is_null());
}

TEST(BoundaryRow, WithoutMetersNothingIsInside) {
  Measured measured = made();
  for (SpeedRepeat& repeat : measured.models[0][0].repeats)
    repeat.prefill.energy.meters = repeat.decode.energy.meters = {};
  const Json row = boundary_row(measured);
  EXPECT_TRUE(row["inside"].empty());
  EXPECT_THAT(row["outside"].dump(), testing::HasSubstr("the CPU, which no meter tells"));
  EXPECT_TRUE(row["joules"].is_null());
}

TEST(IdleRows, BeforeAndAfterOfWholeDevices) {
  Measured measured = made();
  EXPECT_TRUE(idle_rows(measured).empty());
  energy::WindowResult idle;
  idle.meters = {meter("gpu-0", energy::Domain::kGpu, 30, 0)};
  measured.idle.push_back(idle);
  idle.meters[0].joules = idle.meters[0].mean_watts = std::nullopt;
  idle.meters[0].reason = "bus error";
  measured.idle.push_back(idle);
  const auto rows = idle_rows(measured);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["when"], "before");
  EXPECT_EQ(rows[0]["watts"], 6.0);
  EXPECT_EQ(rows[1]["when"], "after");
  EXPECT_TRUE(rows[1]["watts"].is_null());
  EXPECT_EQ(rows[1]["reason"], "bus error");
}

TEST(ConditionRows, SpansOfWhatIsToldAndNamesOfWhatIsNot) {
  const auto rows = condition_rows(made());
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0]["meter"], "gpu-0");
  EXPECT_EQ(rows[0]["temperature_celsius"], Json::parse(R"({"low": 40.0, "high": 55.0})"));
  EXPECT_EQ(rows[0]["power_limit_watts"]["high"], 300.0);
  EXPECT_EQ(rows[0]["not_told"], Json::array({"clock_mhz", "memory_clock_mhz", "power_watts"}));
  EXPECT_EQ(rows[1]["not_told"].size(), 5u);
  EXPECT_FALSE(rows[1].contains("temperature_celsius"));
}

}  // namespace
}  // namespace frugal::passes
