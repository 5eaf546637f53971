#include "tasks/field.h"

#include "support/shared_data.h"

namespace frugal::tasks {
namespace {

using base::Json;
const Json kDocument = {{"q", "one"}, {"a", 0}, {"none", nullptr}, {"d", "7"}};
const Columns kColumns = {"q", "a", "d", "none", "absent"};

DocField field(const Field& value) { return DocField::make(value, "f").value(); }
Json target(const Field& value, bool numbered) {
  return field(value).target(kDocument, kColumns, numbered).value();
}

TEST(DocField, IsAColumnOrATemplate) {
  EXPECT_EQ(field("q").text(kDocument, kColumns).value(), "one");
  EXPECT_EQ(field("{{q}}\n").text(kDocument, kColumns).value(), "one\n");
  EXPECT_EQ(field("{% if a == 0 %}\nx\n  {% endif %}\n").text(kDocument, kColumns).value(),
            "\nx\n  \n");
  EXPECT_EQ(field("plain").text(kDocument, kColumns).value(), "plain");
  FRUGAL_EXPECT_ERROR(field("{{x}}").text(kDocument, kColumns), absl::StatusCode::kInvalidArgument,
                      "template 'f': line 1, column 1: 'x' is undefined");
  FRUGAL_EXPECT_ERROR(DocField::make("{{", "f"), absl::StatusCode::kInvalidArgument,
                      "template 'f'");
}

TEST(DocField, OfATargetIsANumberOrAList) {
  EXPECT_EQ(target("a", true), 0);
  EXPECT_EQ(target("{{d}}", true), 7);
  EXPECT_EQ(target("{{d}}", false), "7");
  EXPECT_EQ(target("d", true), "7");
  EXPECT_EQ(target(3, true), 3);
  EXPECT_EQ(target("{{[q, 'x']}}", false), Json({"one", "x"}));
  EXPECT_EQ(target("[not a list]", false), "[not a list]");
  EXPECT_EQ(target("absent", false), nullptr);
}

TEST(DocField, OfChoicesIsAListOfTexts) {
  const auto choices = [](const Field& value) { return field(value).choices(kDocument, kColumns); };
  EXPECT_EQ(choices("{{[q, \"it's\"]}}").value(), (std::vector<std::string>{"one", "it's"}));
  EXPECT_EQ(choices(Json({"no", "yes"})).value(), (std::vector<std::string>{"no", "yes"}));
  for (const Field& bad : {Field("q"), Field("{{q}}"), Field("{{[1]}}"), Field("{{[]}}")}) {
    FRUGAL_EXPECT_ERROR(choices(bad), absl::StatusCode::kInvalidArgument,
                        "expected a list of texts");
  }
}

TEST(PythonText, IsStr) {
  EXPECT_EQ(python_text("x"), "x");
  EXPECT_EQ(python_text(true), "True");
  EXPECT_EQ(python_text(nullptr), "None");
  EXPECT_EQ(python_text(3), "3");
  EXPECT_EQ(python_text(1e16), "1e+16");
}

}  // namespace
}  // namespace frugal::tasks
