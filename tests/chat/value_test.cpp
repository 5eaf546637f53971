// What one rendering may use.
#include "chat/value.h"

#include "chat/arguments.h"
#include "chat/conditions.h"
#include "chat/filter_table.h"
#include "chat/filters.h"
#include "chat/formatting.h"
#include "chat/functions.h"
#include "chat/interpreter.h"
#include "chat/loop.h"
#include "chat/methods.h"
#include "chat/operations.h"
#include "chat/printing.h"
#include "chat/scopes.h"
#include "chat/template.h"
#include "support/shared_data.h"

namespace frugal::chat {
namespace {

using base::Json;

absl::StatusOr<Rendered> rendered(std::string_view source, const Limits& limits = {}) {
  FRUGAL_ASSIGN_OR_RETURN(const Template made, Template::parse(source, "test"));
  return made.render_variables({{"s", "text"}, {"l", {1, 2, 3}}}, {.limits = limits});
}

TEST(Limits, StopWhatWouldNotEnd) {
  const char* endless[] = {
      // Loops within loops.
      "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
      "{% endfor %}{% endfor %}{% endfor %}",
      // Macros that call each other, or themselves twice.
      "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
      "{% macro a(n) %}{% if n %}{{ a(n - 1) }}{{ a(n - 1) }}{% endif %}{% endmacro %}{{ a(60) }}",
      "{% macro a() %}{{ caller() }}{% endmacro %}{% macro b() %}{% call a() %}{{ b() }}{% endcall "
      "%}{% endmacro %}{{ b() }}",
      // Values that grow.
      "{{ 'a' * 1000000000000 }}",
      "{{ [1] * 1000000000000 }}",
      "{{ 'a'|center(1000000000000) }}",
      "{{ 'a'.zfill(1000000000000) }}",
      "{{ '%1000000000000d' % 1 }}",
      "{{ '{:1000000000000}'.format(1) }}",
      "{{ 'a'|indent(1000000000000, true) }}",
      "{{ range(1000000000000) }}",
      "{{ [1]|batch(1000000000000, 1)|list }}",
      "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(64) %}{% set ns.x = ns.x + "
      "ns.x %}{% endfor %}",
      "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(64) %}{% set ns.x = "
      "ns.x|replace('a', ns.x) %}{% endfor %}",
      "{% set ns = namespace(x=[1]) %}{% for i in range(64) %}{% set ns.x = ns.x + ns.x %}{% "
      "endfor "
      "%}",
      // Small values whose text is not.
      "{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% "
      "endfor %}{{ ns.x }}",
      "{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% "
      "endfor %}{{ ns.x|tojson }}",
      // Values within values.
      "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor "
      "%}",
      "{% set ns = namespace(x={}) %}{% for i in range(99999) %}{% set ns.x = {1: ns.x} %}{% "
      "endfor "
      "%}",
      "{% set ns = namespace(x=l) %}{% for i in range(99999) %}{% set ns.x = ns.x|map('string') "
      "%}{% "
      "endfor %}{{ ns.x|list }}",
      // Two equal ones that share nothing.
      "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] "
      "%}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
      // A text that is searched at each of its bytes anew.
      "{% set a = 'a' * 4000000 %}{% for i in range(9999) %}{{ a.find('a' * 400000 + 'b') }}{% "
      "endfor "
      "%}",
  };
  const Limits limits{.steps = 2'000'000, .value_bytes = int64_t{64} << 20};
  for (const char* source : endless) {
    const absl::StatusOr<Rendered> text = rendered(source, limits);
    EXPECT_TRUE(absl::IsResourceExhausted(text.status())) << source << "\n"
                                                          << text.status().ToString();
  }
}

TEST(Limits, AreNamed) {
  const auto exhausted = absl::StatusCode::kResourceExhausted;
  FRUGAL_EXPECT_ERROR(rendered("{% for x in l %}x{% endfor %}", {.steps = 5}), exhausted,
                      "more than 5 steps in one rendering");
  FRUGAL_EXPECT_ERROR(rendered("{{ s * 100 }}", {.value_bytes = 600}), exhausted,
                      "values of more than 600 B");
  FRUGAL_EXPECT_ERROR(rendered("{{ s }}{{ s }}", {.output_bytes = 7}), exhausted,
                      "line 1, column 8: a text of more than 7 B");
  FRUGAL_EXPECT_ERROR(rendered("{{ ((1 + 1) + 1) + 1 }}", {.depth = 3}), exhausted,
                      "deeper than 3");
}

// Namespaces may hold each other; what a rendering made goes with it all the same.
TEST(Workspace, LetsGoOfCycles) {
  FRUGAL_EXPECT_OK(
      rendered("{% set a = namespace() %}{% set b = namespace(a=[a]) %}{% set a.b = b %}"
               "{% macro m() %}{{ a }}{% endmacro %}{% set a.m = m %}"));
  FRUGAL_EXPECT_OK(
      rendered("{% set ns = namespace() %}{% for i in range(9999) %}{% set ns.x = "
               "namespace(x=ns.x) %}{% endfor %}"));
}

TEST(Workspace, ReadsJsonAsPythonWould) {
  Workspace workspace({});
  const Json json = {{"a", {1, 2.5, "é", true, nullptr}}, {"b", Json::object()}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Value value, workspace.from_json(json));
  EXPECT_EQ(represent(workspace, value).value(), "{'a': [1, 2.5, 'é', True, None], 'b': {}}");
  FRUGAL_EXPECT_ERROR(workspace.from_json(uint64_t{1} << 63), absl::StatusCode::kUnimplemented,
                      "9223372036854775808 needs more than 64 bits");
  Json deep = 1;
  for (int i = 0; i <= kMaxValueDepth; ++i) deep = Json::array({deep});
  FRUGAL_EXPECT_ERROR(workspace.from_json(deep), absl::StatusCode::kResourceExhausted,
                      "values within values deeper than 200");
}

TEST(Printing, FloatsReadBack) {
  for (const auto& [value, text] : std::initializer_list<std::pair<double, const char*>>{
           {0.1, "0.1"},
           {100, "100.0"},
           {1e16, "1e+16"},
           {123456789012345680.0, "1.2345678901234568e+17"},
           {1e-5, "1e-05"},
           {0.0001, "0.0001"},
           {-0.0, "-0.0"},
           {5e-324, "5e-324"},
           {1e15, "1000000000000000.0"}}) {
    EXPECT_EQ(represent_float(value), text);
  }
}

}  // namespace
}  // namespace frugal::chat
