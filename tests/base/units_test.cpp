#include "base/units.h"

#include "support/shared_data.h"

namespace frugal::base {
namespace {

TEST(Units, ConvertsExactly) { EXPECT_EQ(requests_per_kilowatt_hour(360.0), 10000.0); }

TEST(Units, ParsesCounts) {
  EXPECT_EQ(parse_count("20M").value(), 2e7);
  EXPECT_EQ(parse_count(" 1.5 k ").value(), 1500.0);
  EXPECT_EQ(parse_count("7").value(), 7.0);
  EXPECT_EQ(parse_count("0").value(), 0.0);
  EXPECT_EQ(parse_count("2T").value(), 2e12);
}

TEST(Units, ParsesBytes) {
  EXPECT_EQ(parse_bytes("70GiB").value(), 70.0 * 1024 * 1024 * 1024);
  EXPECT_EQ(parse_bytes("512 MB").value(), 512e6);
  EXPECT_EQ(parse_bytes("4096").value(), 4096.0);
  EXPECT_EQ(parse_bytes("1 KiB").value(), 1024.0);
  EXPECT_EQ(parse_bytes("3TiB").value(), 3.0 * 1024 * 1024 * 1024 * 1024);
}

TEST(Units, ParsesDurations) {
  EXPECT_EQ(parse_duration("90s").value(), 90.0);
  EXPECT_EQ(parse_duration("15min").value(), 900.0);
  EXPECT_EQ(parse_duration("2h").value(), 7200.0);
  EXPECT_EQ(parse_duration("1.5d").value(), 129600.0);
  EXPECT_EQ(parse_duration("250ms").value(), 0.25);
}

TEST(Units, RefusesEverythingElse) {
  for (const char* text : {"", " ", "M", "20X", "20MM", "20M0", "-3", "-0", "nan", "inf", "1e999",
                           "0x10", "1,5k", "1e308T", "20 M B"}) {
    FRUGAL_EXPECT_ERROR(parse_count(text), absl::StatusCode::kInvalidArgument, "is not a count");
  }
  FRUGAL_EXPECT_ERROR(parse_bytes("7Gib"), absl::StatusCode::kInvalidArgument, "found 'Gib'");
  FRUGAL_EXPECT_ERROR(parse_bytes("7kib"), absl::StatusCode::kInvalidArgument, "KiB");
  // A bare number of what? The unit must be said.
  FRUGAL_EXPECT_ERROR(parse_duration("90"), absl::StatusCode::kInvalidArgument, "ms, s, min, h, d");
}

}  // namespace
}  // namespace frugal::base
