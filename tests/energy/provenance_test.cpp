#include "energy/provenance.h"

#include <cmath>

#include "support/shared_data.h"

namespace frugal::energy {
namespace {

TEST(Provenance, TextRoundTrips) {
  for (const Provenance provenance :
       {Provenance::kMeasured, Provenance::kModelled, Provenance::kAssumed}) {
    EXPECT_EQ(parse_provenance(to_text(provenance)).value(), provenance);
  }
  FRUGAL_EXPECT_ERROR(parse_provenance("guessed"), absl::StatusCode::kInvalidArgument, "'guessed'");
}

TEST(Provenance, ASumIsAsGoodAsItsWeakestPart) {
  EXPECT_EQ(weakest(Provenance::kMeasured, Provenance::kModelled), Provenance::kModelled);
  EXPECT_EQ(weakest(Provenance::kAssumed, Provenance::kModelled), Provenance::kAssumed);
  EXPECT_EQ(weakest(Provenance::kMeasured, Provenance::kMeasured), Provenance::kMeasured);
}

TEST(Provenance, UnknownIsNull) {
  EXPECT_EQ(to_json(Figure{1.5, "J", Provenance::kMeasured, "b"}).dump(),
            R"({"value":1.5,"unit":"J","provenance":"measured","basis":"b","range":null})");
  EXPECT_TRUE(to_json(Figure{std::nullopt, "J", Provenance::kAssumed, "why"})["value"].is_null());
  EXPECT_TRUE(json_or_null(std::nan("")).is_null());
}

TEST(Provenance, RangesGoThroughFactorsAndSums) {
  const Figure modelled{10.0, "J", Provenance::kModelled, "model", Range{5, 20}};
  const Figure kilo = scaled(modelled, 1e-3, "kJ");
  EXPECT_EQ(kilo.value, 10.0 * 1e-3);
  EXPECT_EQ(kilo.unit, "kJ");
  EXPECT_DOUBLE_EQ(kilo.range->high, 0.02);
  const Figure both = sum(modelled, {1.0, "J", Provenance::kMeasured, "counter"});
  EXPECT_EQ(both.value, 11.0);
  EXPECT_EQ(both.range, (Range{6, 21}));
  EXPECT_EQ(both.provenance, Provenance::kModelled);
  EXPECT_EQ(both.basis, "model + counter");
  const Figure unknown = sum({std::nullopt, "J", Provenance::kMeasured, "bus error"}, modelled);
  EXPECT_EQ(unknown.value, std::nullopt);
  EXPECT_FALSE(unknown.range.has_value());
  EXPECT_EQ(unknown.basis, "bus error");
  EXPECT_EQ(unknown.provenance, Provenance::kModelled);
}

TEST(Provenance, RangesOfRecordsAreChecked) {
  const auto read = [](const char* text) {
    return range_from_json(base::parse_json(text, "t").value(), "r", "t");
  };
  EXPECT_EQ(read("{}").value(), std::nullopt);
  EXPECT_EQ(read(R"({"r":null})").value(), std::nullopt);
  EXPECT_EQ(read(R"({"r":{"low":1,"high":2}})").value(), (Range{1, 2}));
  FRUGAL_EXPECT_ERROR(read(R"({"r":{"low":3,"high":2}})"), absl::StatusCode::kDataLoss, "above");
  EXPECT_FALSE(read(R"({"r":{"low":3}})").ok());
  EXPECT_FALSE(read(R"({"r":7})").ok());
}

}  // namespace
}  // namespace frugal::energy
