#include "layerwise/walk/matrix_record.h"

#include <cmath>
#include <limits>

#include "support/shared_data.h"

namespace frugal::layerwise {
namespace {

TEST(MatrixRecord, RowsOfAMatrixHaveTheSameFirstColumns) {
  MatrixRecord record;
  record.layer = 3;
  record.matrix = "model.layers.3.mlp.down_proj.weight";
  record.tokens = 100;
  const base::Json row = to_json(record);
  EXPECT_EQ(row["layer"], 3);
  for (const char* column :
       {"grid", "error_before", "error_after", "damping", "recoveries", "dead_columns"}) {
    ASSERT_TRUE(row.contains(column)) << column;
    EXPECT_TRUE(row[column].is_null()) << column;
  }
  EXPECT_FALSE(row.contains("alpha"));  // what else is not known is left out
  EXPECT_FALSE(row.contains("group"));
}

TEST(MatrixRecord, ComesBackAsItWas) {
  MatrixRecord record;
  record.matrix = "a.weight";
  record.grid = "q4_k";
  record.error_after = 0.1 + 0.2;
  record.squared_error = std::numeric_limits<double>::infinity();
  record.zeros = 0;
  record.fell_back = true;
  record.seconds = 0.25;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json json, base::parse_json(to_json(record).dump(), "t"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const MatrixRecord found, parse_matrix_record(json, "a record"));
  EXPECT_EQ(found.error_after, record.error_after);
  EXPECT_FALSE(found.squared_error.has_value());  // not finite: not known
  EXPECT_EQ(found.zeros, 0);
  EXPECT_EQ(to_json(found).dump(), to_json(record).dump());
}

TEST(MatrixRecord, SaysWhatARareExpertsStatisticsAre) {
  MatrixRecord record;
  record.set_statistics({.tokens = 90});
  EXPECT_EQ(to_json(record)["tokens"], 90);
  EXPECT_FALSE(to_json(record).contains("blend"));
  record.set_statistics({.tokens = 5, .blend = 0.75, .all_tokens = 100});
  const base::Json row = to_json(record);
  EXPECT_EQ(row["tokens"], 5);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const MatrixRecord found, parse_matrix_record(row, "a record"));
  EXPECT_EQ(found.blend, 0.75);
}

TEST(MatrixRecord, ScalesOfAGroupHaveNoMatrix) {
  MatrixRecord record;
  record.group = "mlp_in";
  record.ratio = 0.5;
  const base::Json row = to_json(record);
  EXPECT_FALSE(row.contains("matrix"));
  EXPECT_FALSE(row.contains("grid"));
  EXPECT_EQ(row["ratio"], 0.5);
}

TEST(MatrixRecord, NamesTheExpertOfAStageThatHasOne) {
  MatrixRecord record;
  record.set_stage({.layer = 2, .stage = 1});
  EXPECT_EQ(to_json(record)["layer"], 2);
  EXPECT_FALSE(to_json(record).contains("expert"));
  record.set_stage({.layer = 2, .stage = 3, .expert = 5});
  const base::Json row = to_json(record);
  EXPECT_EQ(row["expert"], 5);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const MatrixRecord found, parse_matrix_record(row, "a record"));
  EXPECT_EQ(found.expert, 5);
}

TEST(MatrixRecord, AWrongTypeIsDamage) {
  const auto found = parse_matrix_record(
      {{"layer", 0}, {"grid", 4}, {"tokens", 1}, {"seconds", 1.0}}, "layer-00000.safetensors");
  ASSERT_FALSE(found.ok());
  EXPECT_NE(found.status().message().find("layer-00000.safetensors"), std::string_view::npos);
  EXPECT_NE(found.status().message().find("grid"), std::string_view::npos);
}

}  // namespace
}  // namespace frugal::layerwise
