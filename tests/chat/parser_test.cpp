#include "chat/parser.h"

#include "chat/lexer.h"
#include "support/shared_data.h"

namespace frugal::chat {
namespace {

std::string repeated(std::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

TEST(Parser, NamesTheConstructAndItsPlace) {
  const auto refused = [](std::string_view source, std::string_view why) {
    FRUGAL_EXPECT_ERROR(parse_program(source), absl::StatusCode::kUnimplemented, why);
  };
  refused("a\n {{ x | wordwrap }}", "line 2, column 9: filter 'wordwrap' is not supported");
  refused("é{{ x|groupby('a') }}", "line 1, column 7: filter 'groupby' is not supported");
  refused("{% if x %}{{ y|urlize }}{% endif %}", "filter 'urlize' is not supported");
  refused("{% for x in y recursive %}{% endfor %}", "line 1, column 15: 'recursive' loops");
  refused("{% block a %}{% endblock %}", "line 1, column 4: {% block %} is not supported");
  refused("{% include 'a' %}", "{% include %} is not supported");
  refused("{{ x[1, 2] }}", "line 1, column 7: several indices");
  refused("{{ self }}", "'self' is not supported");
  refused("{{ '\\N{DASH}' }}", "line 1, column 4: '\\N{...}'");
  refused("{{ 9223372036854775808 }}", "line 1, column 4: the integer 9223372036854775808");
  refused("{% macro m(caller) %}{% endmacro %}", "the name 'caller'");
}

TEST(Parser, SaysWhatItExpected) {
  const auto invalid = [](std::string_view source, std::string_view why) {
    FRUGAL_EXPECT_ERROR(parse_program(source), absl::StatusCode::kInvalidArgument, why);
  };
  invalid("{% if x %}\n{{ y }}", "line 2, column 8: expected {% endif %}, found the end");
  invalid("{% for x in y %}{% endif %}",
          "line 1, column 20: unknown tag 'endif'; expected {% endfor %} first");
  invalid("{{ x y }}", "line 1, column 6: expected '}}', found 'y'");
  invalid("{{ }}", "expected an expression, found '}}'");
  invalid("{{ x|nope }}", "line 1, column 6: there is no filter 'nope'");
  invalid("{{ x is nope }}", "line 1, column 9: there is no test 'nope'");
  invalid("{% nope %}", "line 1, column 4: unknown tag 'nope'");
  invalid("{% break %}", "'break' outside of a loop");
  invalid("{{ f(a=1, a=2) }}", "line 1, column 11: the argument 'a' twice");
  invalid("{% set true = 1 %}", "cannot assign to 'true'");
  invalid("a\n\n  {{ 'x }}", "line 3, column 6: a text without its end");
  invalid("{# x", "line 1, column 1: a comment without its '#}'");
  invalid("{{ (x] }}", "line 1, column 6: unexpected ']'");
  invalid("{{ x ? y }}", "line 1, column 6: unexpected '?'");
  invalid("{{ '\\ud800' }}", "a code that is no character");
  invalid("\xff", "not UTF-8");
}

TEST(Parser, BoundsDepthAndSize) {
  const auto exhausted = absl::StatusCode::kResourceExhausted;
  FRUGAL_EXPECT_OK(parse_program("{{ " + repeated("(", 50) + "1" + repeated(")", 50) + " }}"));
  for (const auto& [open, close] : {std::pair{"(", ")"}, std::pair{"[", "]"}, std::pair{"-", ""},
                                    std::pair{"not ", ""}, std::pair{"f(", ")"}}) {
    FRUGAL_EXPECT_ERROR(
        parse_program("{{ " + repeated(open, 100'000) + "1" + repeated(close, 100'000) + " }}"),
        exhausted, "nested deeper than");
  }
  for (const char* next : {"+1", ".x", "[0]", "|upper", "()", " and 1", "|list"}) {
    FRUGAL_EXPECT_ERROR(parse_program("{{ x" + repeated(next, 50'000) + " }}"), exhausted,
                        "nested deeper than");
  }
  FRUGAL_EXPECT_ERROR(parse_program(repeated("{% if x %}", 10'000)), exhausted, "nested deeper");
  FRUGAL_EXPECT_ERROR(
      parse_program("{% for " + repeated("(", 10'000) + repeated(")", 10'000) + "%}"), exhausted,
      "nested deeper");
  std::string names, keywords, parameters;
  for (int i = 0; i < 2000; ++i) {
    names += "{{ a" + std::to_string(i) + " }}";
    keywords += "a" + std::to_string(i) + "=1,";
    parameters += "a" + std::to_string(i) + ",";
  }
  FRUGAL_EXPECT_ERROR(parse_program(names), exhausted, "2000 names of variables; at most 1000");
  FRUGAL_EXPECT_ERROR(parse_program("{{ f(" + keywords + ") }}"), exhausted,
                      "more than 255 arguments");
  FRUGAL_EXPECT_ERROR(parse_program("{% macro m(" + parameters + ") %}{% endmacro %}"), exhausted,
                      "more than 255 arguments");
  FRUGAL_EXPECT_ERROR(parse_program(std::string(kMaxSourceBytes + 1, 'x')), exhausted, "1.0 MiB");
}

TEST(Lexer, PlacesCountLinesAndCharacters) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::vector<Token> tokens, tokenize("é\r\n日 {{ a\n.b }}"));
  std::vector<std::string> places;
  for (const Token& token : tokens)
    places.push_back(std::to_string(token.at.line) + ":" + std::to_string(token.at.column));
  EXPECT_THAT(places, ::testing::ElementsAre("1:1", "2:3", "2:6", "3:1", "3:2", "3:4", "3:6"));
}

}  // namespace
}  // namespace frugal::chat
