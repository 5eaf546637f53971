#include "energy/meter.h"

#include "fakes.h"
#include "support/shared_data.h"

namespace frugal::energy {
namespace {

TEST(Meter, InfoRoundTripsThroughJson) {
  MeterInfo info = fake_info("gpu-0");
  info.domain = Domain::kGpu;
  info.provenance = Provenance::kModelled;
  info.wrap_units = 262143328850;
  info.joules_per_unit_range = Range{5e-4, 2e-3};
  info.sample_seconds = 0.1;
  info.in_total = false;
  info.whole_device = false;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const MeterInfo again, meter_info_from_json(to_json(info), "t"));
  EXPECT_EQ(to_json(again).dump(), to_json(info).dump());
  EXPECT_EQ(again.wrap_units, info.wrap_units);
  EXPECT_EQ(again.joules_per_unit_range, info.joules_per_unit_range);
  info.wrap_units = std::nullopt;
  info.update_seconds = std::nullopt;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const MeterInfo bare, meter_info_from_json(to_json(info), "t"));
  EXPECT_EQ(bare.wrap_units, std::nullopt);
  EXPECT_EQ(bare.update_seconds, std::nullopt);
}

TEST(Meter, DamagedInfoIsRefused) {
  base::Json json = to_json(fake_info("gpu-0"));
  json["domain"] = "moon";
  FRUGAL_EXPECT_ERROR(meter_info_from_json(json, "j"), absl::StatusCode::kInvalidArgument,
                      "domain 'moon'");
  json.erase("domain");
  FRUGAL_EXPECT_ERROR(meter_info_from_json(json, "j"), absl::StatusCode::kInvalidArgument,
                      "'domain' is missing");
}

TEST(Meter, ListSaysWhatIsThereAndWhatIsNot) {
  const base::Json list = to_json({fake_info("gpu-0")}, {{"rapl", "no zone"}});
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0]["name"], "gpu-0");
  EXPECT_EQ(list[1]["unavailable"], "no zone");
}

TEST(Meter, SystemClockGoesForward) {
  const double before = system_clock().seconds();
  EXPECT_GE(system_clock().seconds(), before);
  EXPECT_THAT(system_clock().utc_time(),
              testing::MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"));
}

}  // namespace
}  // namespace frugal::energy
