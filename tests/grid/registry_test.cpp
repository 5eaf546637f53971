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
    FRUGAL_EXPECT_OK(find_grid(name, 64));
    EXPECT_FALSE(help.summary.empty());
  }
}

TEST(Registry, SizesAreThoseOfTheFormats) {
  const struct {
    const char* name;
    int64_t columns, bytes;
    uint32_t type;
  } kSizes[] = {
      {"q4_0", 32, 18, 2}, {"q8_0", 32, 34, 8}, {"iq4_nl", 32, 18, 20}, {"q4_k", 256, 144, 12}};
  for (const auto& expected : kSizes) {
    const GridSpec& spec = grid_or_die(expected.name)->spec();
    EXPECT_EQ(spec.block_columns, expected.columns);
    EXPECT_EQ(spec.block_bytes, expected.bytes);
    EXPECT_EQ(spec.ggml_type, expected.type);
  }
}

}  // namespace
}  // namespace frugal::grid
