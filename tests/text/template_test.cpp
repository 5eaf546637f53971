#include "text/template.h"

#include "support/shared_data.h"

namespace frugal::text {
namespace {

TEST(Template, FillsFieldsAndKeepsBraces) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Template pattern, Template::parse("{a}: {{x}} {b} {a}\n"));
  EXPECT_EQ(pattern.fields(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(pattern.fill([](const std::string& name) { return name + name; }), "aa: {x} bb aa\n");
  EXPECT_EQ(Template::parse("")->fill([](const std::string&) { return "x"; }), "");
}

TEST(Template, RefusesLooseBraces) {
  for (const char* bad : {"{a", "a}", "{}", "{a{b}", "}{"}) {
    FRUGAL_EXPECT_ERROR(Template::parse(bad), absl::StatusCode::kInvalidArgument, "template");
  }
}

}  // namespace
}  // namespace frugal::text
