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
            R"({"value":1.5,"unit":"J","provenance":"measured","basis":"b"})");
  EXPECT_TRUE(to_json(Figure{std::nullopt, "J", Provenance::kAssumed, "why"})["value"].is_null());
  EXPECT_TRUE(json_or_null(std::nan("")).is_null());
}

}  // namespace
}  // namespace frugal::energy
