#include "pass/option_text.h"

#include <gtest/gtest.h>

namespace frugal::pass {
namespace {

TEST(OptionText, WholeNumbersHaveNoPoint) {
  EXPECT_EQ(number_text(3), "3");
  EXPECT_EQ(number_text(-2), "-2");
  EXPECT_EQ(number_text(0.25), "0.25");
  EXPECT_EQ(number_text(1e-9), "1e-09");
  EXPECT_EQ(number_text(999999999999999.0), "999999999999999");
  EXPECT_EQ(number_text(1e15), "1e+15");  // as JSON prints it, from here on
}

TEST(OptionText, RangesSayWhichBoundsThereAre) {
  EXPECT_EQ(range_text({.minimum = 0, .maximum = 1}), "0 to 1");
  EXPECT_EQ(range_text({.minimum = 0, .maximum = 1, .minimum_exclusive = true}),
            "above 0, at most 1");
  EXPECT_EQ(range_text({.minimum = 0.5}), "at least 0.5");
  EXPECT_EQ(range_text({.minimum = 0, .minimum_exclusive = true}), "above 0");
  EXPECT_EQ(range_text({.maximum = 7}), "at most 7");
  EXPECT_EQ(range_text({}), "");
}

TEST(OptionText, UnitsComeWithExamples) {
  EXPECT_EQ(unit_hint({}), "");
  EXPECT_EQ(unit_hint({.unit = "bytes"}), " of bytes, such as 4096 or 70GiB");
  EXPECT_EQ(unit_hint({.unit = "seconds"}), " of seconds, such as 90 or 2h");
  EXPECT_EQ(unit_hint({.unit = "tokens"}), " of tokens, such as 20000 or 20M");
}

TEST(OptionText, TypesHaveNames) {
  EXPECT_EQ(type_text(true), "true|false");
  EXPECT_EQ(type_text(int64_t{1}), "integer");
  EXPECT_EQ(type_text(0.5), "number");
  EXPECT_EQ(type_text(std::string()), "text");
  EXPECT_EQ(type_text(ModelReference{}), "model");
  EXPECT_EQ(type_text(DataReference{}), "data");
  EXPECT_EQ(type_text(Assignments{}), "pattern=value");
  EXPECT_EQ(type_text(std::vector<DataReference>()), "list of data");
  EXPECT_EQ(type_text(std::vector<int64_t>()), "list of integer");
  EXPECT_EQ(type_text(std::optional<double>()), "number");
}

}  // namespace
}  // namespace frugal::pass
