#include "grid/registry.h"

#include "grid_properties.h"

namespace frugal::grid {
namespace {

TEST(Registry, MisspeltNamesGetASuggestion) {
  FRUGAL_EXPECT_ERROR(find_grid("q4_l", 0), absl::StatusCode::kInvalidArgument,
                      "unknown grid 'q4_l'; did you mean 'q4_");
  FRUGAL_EXPECT_ERROR(find_grid("", 0), absl::StatusCode::kInvalidArgument, "unknown grid ''");
  FRUGAL_EXPECT_ERROR(find_grid("q4_k:g64", 0), absl::StatusCode::kInvalidArgument,
                      "takes no options");
}

TEST(Registry, HelpNamesEveryGridThatCanBeFound) {
  ASSERT_FALSE(grid_help().empty());
  for (const GridHelp& help : grid_help()) {
    const std::string name = help.name.substr(0, help.name.find('['));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto grid, find_grid(name, 64));
    EXPECT_LE(grid->spec().groups_per_block(), kMaxGroupsPerBlock);
    EXPECT_LE(grid->spec().levels.size(), 256u);
    EXPECT_FALSE(help.summary.empty());
  }
}

TEST(Registry, SizesAreThoseOfTheFormats) {
  const struct {
    const char* name;
    int64_t columns, bytes;
    uint32_t type;
  } kSizes[] = {{"q4_0", 32, 18, 2},    {"q8_0", 32, 34, 8},    {"iq4_nl", 32, 18, 20},
                {"q4_k", 256, 144, 12}, {"q4_1", 32, 20, 3},    {"q5_0", 32, 22, 6},
                {"q5_1", 32, 24, 7},    {"q2_k", 256, 84, 10},  {"q3_k", 256, 110, 11},
                {"q5_k", 256, 176, 13}, {"q6_k", 256, 210, 14}, {"iq4_xs", 256, 136, 23},
                {"mxfp4", 32, 17, 39},  {"nvfp4", 64, 36, 40},  {"q2_0", 64, 18, 42},
                {"tq2_0", 256, 66, 35}};
  for (const auto& expected : kSizes) {
    const GridSpec spec = grid_or_die(expected.name)->spec();
    EXPECT_EQ(spec.block_columns, expected.columns);
    EXPECT_EQ(spec.block_bytes, expected.bytes);
    EXPECT_EQ(spec.ggml_type, expected.type);
  }
}

}  // namespace
}  // namespace frugal::grid
