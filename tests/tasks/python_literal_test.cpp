#include "tasks/python_literal.h"

#include "support/shared_data.h"

namespace frugal::tasks {
namespace {

std::string read(std::string_view text) {
  const auto value = parse_python_literal(text);
  EXPECT_TRUE(value.ok()) << value.status();
  return value->dump();
}

TEST(PythonLiteral, ReadsWhatPythonPrints) {
  EXPECT_EQ(read("['a', \"it's\", 'x\\n\\'\\u00e9\\x41']"), R"(["a","it's","x\n'éA"])");
  EXPECT_EQ(read("[]"), "[]");
  EXPECT_EQ(read("[1, -2.5, True, None, ('a',), ('b'), {'k': [3,]}]"),
            R"([1,-2.5,true,null,["a"],"b",{"k":[3]}])");
  EXPECT_EQ(read("'a' \"b\""), R"("ab")");
  EXPECT_EQ(read(" +3 "), "3");
}

TEST(PythonLiteral, RefusesWhatIsNone) {
  for (const char* bad : {"", "x", "[a]", "['a'", "['a' 1]", "'a", "[1]]", "'\\q'", "{1: 2}", "1-2",
                          "'\\ud800'", "'a\nb'", "open('x')"}) {
    FRUGAL_EXPECT_ERROR(parse_python_literal(bad), absl::StatusCode::kInvalidArgument,
                        "not a Python literal at byte");
  }
  FRUGAL_EXPECT_ERROR(parse_python_literal(std::string(100'000, '[')),
                      absl::StatusCode::kInvalidArgument, "nested too deeply");
}

}  // namespace
}  // namespace frugal::tasks
