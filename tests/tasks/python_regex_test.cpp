#include "tasks/python_regex.h"

#include "support/shared_data.h"

namespace frugal::tasks {
namespace {

using Found = std::vector<std::vector<std::string>>;

Found found(std::string_view pattern, std::string_view text) {
  const auto regex = PythonRegex::compile(pattern);
  EXPECT_TRUE(regex.ok()) << regex.status();
  const auto result = regex->find_all(text);
  EXPECT_TRUE(result.ok()) << result.status();
  return *result;
}

// Each is what Python's re.findall gives.
TEST(PythonRegex, FindsAsPython) {
  EXPECT_EQ(found("#### (\\-?[0-9\\.\\,]+)", "x\n#### 3,000 nails #### -1."),
            (Found{{"3,000"}, {"-1."}}));
  EXPECT_EQ(found("(-?[$0-9.,]{2,})|(-?[0-9]+)", "$3,000 or 7"),
            (Found{{"$3,000", ""}, {"", "7"}}));
  EXPECT_EQ(found("a*", "baac"), (Found{{""}, {"aa"}, {""}, {""}}));
  EXPECT_EQ(found("(?P<x>b)|c", "bc"), (Found{{"b"}, {""}}));
  EXPECT_EQ(found("\\w+", "naïve ü_1"), (Found{{"naïve"}, {"ü_1"}}));
  EXPECT_EQ(found("^b", "a\nb"), Found{});
  EXPECT_EQ(found("b$", "b\n"), (Found{{"b"}}));
  EXPECT_EQ(found("b\\Z", "b\n"), Found{});
  EXPECT_EQ(found("x", ""), Found{});
}

// re.sub(pattern, "", text).
TEST(PythonRegex, RemovesAsPython) {
  const auto removed = [](std::string_view pattern, std::string_view text) {
    return PythonRegex::compile(pattern)->remove_all(text).value();
  };
  EXPECT_EQ(removed("(?s).*#### ", "3*2=6\n#### 6\n#### 7."), "7.");
  EXPECT_EQ(removed("\\.$", "7..\n"), "7.\n");
  EXPECT_EQ(removed("\\$", "$5 $"), "5 ");
  EXPECT_EQ(removed("z*", "abzzc"), "abc");
}

TEST(PythonRegex, RefusesWhatIsNoneAndWhatTakesForEver) {
  FRUGAL_EXPECT_ERROR(PythonRegex::compile("(a"), absl::StatusCode::kInvalidArgument,
                      "regular expression '(a': ");
  FRUGAL_EXPECT_ERROR(PythonRegex::compile(std::string(100'000, 'a')),
                      absl::StatusCode::kInvalidArgument, "at most");
  std::string text(60, 'a');
  text += "cb";
  FRUGAL_EXPECT_ERROR(PythonRegex::compile("(a+)+b")->find_all(text),
                      absl::StatusCode::kResourceExhausted, "takes too long");
  FRUGAL_EXPECT_ERROR(PythonRegex::compile("a")->find_all("\xff"),
                      absl::StatusCode::kInvalidArgument, "not UTF-8");
}

}  // namespace
}  // namespace frugal::tasks
