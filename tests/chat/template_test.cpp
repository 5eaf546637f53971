// Against transformers' renderings of our own templates, which show every construct, and of the
// real ones of the shared data.
#include "chat/template.h"

#include "base/file.h"
#include "base/hash.h"
#include "golden.h"
#include "support/shared_data.h"

namespace frugal::chat {
namespace {

using base::Json;

// As in golden/make_goldens.py.
std::tm golden_now() {
  std::tm when{};
  when.tm_year = 2024 - 1900;
  when.tm_mon = 6;
  when.tm_mday = 5;
  when.tm_hour = 13;
  when.tm_min = 4;
  when.tm_sec = 9;
  return when;
}

absl::StatusOr<std::string> rendered(std::string_view source, const Json& variables) {
  FRUGAL_ASSIGN_OR_RETURN(const Template made, Template::parse(source, "test"));
  FRUGAL_ASSIGN_OR_RETURN(Rendered text, made.render_variables(variables, {.now = golden_now()}));
  return std::move(text.text);
}

TEST(Template, RendersEveryConstructAsTransformersDoes) {
  const Json golden = read_golden("constructs.golden.json");
  const Json variables = read_golden("constructs.json").at("variables");
  ASSERT_GT(golden.size(), 900u);
  for (const auto& [source, expected] : golden.items()) {
    const absl::StatusOr<std::string> text = rendered(source, variables);
    if (expected.contains("text")) {
      ASSERT_TRUE(text.ok()) << source << "\n" << text.status().ToString();
      EXPECT_EQ(*text, expected["text"].get<std::string>()) << source;
    } else {
      EXPECT_FALSE(text.ok()) << source << "\n" << *text;
      const bool parses = Template::parse(source, "test").ok();
      EXPECT_EQ(parses, expected.contains("error")) << source;
    }
  }
}

// The cases of a conversation, as in golden/make_goldens.py.
std::vector<std::pair<std::string, Conversation>> cases(const Json& given, const Json& messages) {
  const Conversation plain{.messages = messages, .variables = given.at("variables")};
  std::vector<std::pair<std::string, Conversation>> made;
  const auto add = [&](const std::string& name) -> Conversation& {
    return made.emplace_back(name, plain).second;
  };
  const Json& weather = given.at("tools").at("weather");
  add("plain");
  add("no tools").tools = Json::array();
  for (const auto& [name, tools] : given.at("tools").items()) add(name).tools = tools;
  add("prompt").add_generation_prompt = true;
  Conversation& both = add("prompt, tools");
  both.add_generation_prompt = true;
  both.tools = weather;
  add("documents").documents = given.at("documents");
  for (const auto& [name, extra] : given.at("extra").items()) {
    Conversation& more = add(name);
    more.tools = weather;
    more.variables.update(extra);
  }
  return made;
}

constexpr std::string_view kRefusal = "the template refuses the conversation: ";

// "text", "refused" or "error" and what goes with it.
std::string outcome(const Template& made, const Conversation& conversation) {
  const absl::StatusOr<Rendered> text = made.render(conversation, {.now = golden_now()});
  if (text.ok()) return "text\n" + text->text;
  const std::string message(text.status().message());
  // A template that recurses for ever ends in Python by its limit, here by ours.
  EXPECT_TRUE(absl::IsInvalidArgument(text.status()) || absl::IsResourceExhausted(text.status()))
      << text.status().ToString();
  const size_t at = message.find(kRefusal);
  return at == std::string::npos ? "error\n" : "refused\n" + message.substr(at + kRefusal.size());
}

std::string digest(const Template& made, const Json& given, const Json& messages) {
  std::string all;
  for (const auto& [name, conversation] : cases(given, messages))
    all += name + "\n" + outcome(made, conversation) + "\n";
  return base::sha256(all).substr(0, 32);
}

// The template in a file: the whole of it, or a field of JSON.
std::string source_of(const std::filesystem::path& path) {
  const std::string text = base::read_file(path, int64_t{1} << 24).value();
  if (path.extension() == ".jinja") return text;
  return Json::parse(text).at("chat_template").get<std::string>();
}

TEST(Template, RendersRealOnesAsTransformersDoes) {
  const Json given = read_golden("conversations.json");
  const Json goldens = read_golden("templates.golden.json");
  for (const auto& [name, golden] : goldens.items()) {
    FRUGAL_SHARED_DATA_OR_SKIP(path, name);
    const std::string source = source_of(path);
    ASSERT_EQ(base::sha256(source), golden.at("source").get<std::string>())
        << name << " is another file than the goldens are of: golden/make_goldens.py write";
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Template made, Template::parse(source, name));
    for (const auto& [conversation, hash] : golden.at("conversations").items()) {
      EXPECT_EQ(digest(made, given, given.at("conversations").at(conversation)),
                hash.get<std::string>())
          << name << ", '" << conversation
          << "': golden/make_goldens.py show prints what transformers makes of each case";
    }
  }
}

absl::StatusOr<Rendered> chat(std::string_view source, Json messages, Json tools = nullptr) {
  FRUGAL_ASSIGN_OR_RETURN(const Template made, Template::parse(source, "TinyChat"));
  return made.render({.messages = std::move(messages), .tools = std::move(tools)});
}

TEST(Template, LeavesNullsOfMessagesOut) {
  const Json messages = {{{"role", "user"}, {"content", nullptr}, {"tool_calls", nullptr}}};
  EXPECT_EQ(chat("{{ messages[0].keys()|list }} {{ messages[0].content is defined }} {{ tools }}",
                 messages)
                ->text,
            "['role'] False None");
}

TEST(Template, GivesThoughtsUnderEachName) {
  const char* source =
      "{% for m in messages %}{{ m.thinking }}|{{ m.reasoning_content }}|{{ m|list|first }} "
      "{% endfor %}";
  const Json messages = {{{"role", "a"}, {"reasoning", "r"}},
                         {{"role", "a"}, {"thinking", "t"}},
                         {{"role", "a"}, {"reasoning_content", "c"}, {"thinking", "t"}},
                         {{"role", "a"}, {"content", "x"}}};
  EXPECT_EQ(chat(source, messages)->text, "r|r|thinking t|t|thinking t|c|thinking ||role ");
}

TEST(Template, PassesARefusalOnWithItsPlace) {
  FRUGAL_EXPECT_ERROR(
      chat("{% for m in messages %}\n  {{ raise_exception('roles must alternate, found ' + m.role) "
           "}}{% endfor %}",
           {{{"role", "critic"}}}),
      absl::StatusCode::kInvalidArgument,
      "chat template 'TinyChat': line 2, column 21: the template refuses the conversation: roles "
      "must alternate, found critic");
}

// Jinja's own defaults with StrictUndefined, as other users of templates set it.
TEST(Template, HasDialects) {
  const Dialect plain{
      .kind = "template", .trim_blocks = false, .keep_last_newline = true, .strict = true};
  const auto made = [&](std::string_view source) -> absl::StatusOr<std::string> {
    FRUGAL_ASSIGN_OR_RETURN(const Template parsed, Template::parse(source, "t", plain));
    FRUGAL_ASSIGN_OR_RETURN(Rendered text, parsed.render_variables({{"a", 1}}));
    return std::move(text.text);
  };
  EXPECT_EQ(made("{% if a %}\nx\n  {% endif %}\n").value(), "\nx\n  \n");
  EXPECT_EQ(made("{# c #}\n{% raw %}\n{{ {% endraw %}\n").value(), "\n\n{{ \n");
  EXPECT_EQ(made("a {%- if a -%}\n x\n{%- endif %}").value(), "ax");
  EXPECT_EQ(made("{{ b is defined }}{{ b|default('d') }}").value(), "Falsed");
  EXPECT_EQ(made("{{ b is defined and b == 1 }}{{ b|items|list }}{{ b is none }}").value(),
            "False[]False");
  for (const char* used :
       {"{{ b }}", "{% if b %}{% endif %}", "{% for i in b %}{% endfor %}", "{{ 1 if b }}",
        "{{ not b }}", "{{ b or 1 }}", "{{ 1 if false }}", "{% for i in [1] if b %}{% endfor %}",
        "{{ 'x' if b == 1 else 'y' }}", "{{ 1 != b }}", "{{ b in [1] }}", "{{ 'x' ~ b }}",
        "{{ b|upper }}", "{{ b|length }}", "{{ b|join }}", "{{ b|trim }}"}) {
    FRUGAL_EXPECT_ERROR(made(used), absl::StatusCode::kInvalidArgument, "template 't': line 1");
  }
}

TEST(Template, NamesWhatIsNoConversation) {
  const auto invalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(chat("x", Json::array()), invalid, "at least one message");
  FRUGAL_EXPECT_ERROR(chat("x", {{"role", "user"}}), invalid, "a list of at least one message");
  FRUGAL_EXPECT_ERROR(chat("x", {{{"role", "user"}}, "hi"}), invalid, "messages: number 2");
  FRUGAL_EXPECT_ERROR(chat("x", {{{"role", "user"}}}, {"f"}), invalid, "tools: number 1");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Template made, Template::parse("x", "TinyChat"));
  FRUGAL_EXPECT_ERROR(made.render({.messages = {{{"role", "user"}}}, .variables = {{"tools", 1}}}),
                      invalid, "'tools' is given twice");
  FRUGAL_EXPECT_ERROR(rendered("{{ a }}", {{"a", "\xff"}}), invalid, "not UTF-8");
}

TEST(Template, TellsWhatTheModelSaysItself) {
  const char* source =
      "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}{% generation %}"
      "{{ m.content }}</s>{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Rendered text,
                              chat(source, {{{"role", "user"}, {"content", "é?"}},
                                            {{"role", "assistant"}, {"content", "ü."}},
                                            {{"role", "assistant"}, {"content", ""}}}));
  ASSERT_EQ(text.generated.size(), 2u);
  const auto part = [&](size_t i) {
    const Span span = text.generated[i];
    return text.text.substr(span.begin, span.end - span.begin);
  };
  EXPECT_EQ(part(0), "ü.</s>");
  EXPECT_EQ(part(1), "</s>");
  EXPECT_TRUE(Template::parse(source, "x")->marks_generation());
  EXPECT_FALSE(Template::parse("x", "x")->marks_generation());
}

// Each is a rendering that frugal refuses although Jinja would make it.
TEST(Template, RefusesByNameWhatJinjaWouldPrint) {
  const Json variables = {{"d", {{"a", 1}}}, {"l", {1, 2}}, {"n", 1}};
  const auto refused = [&](std::string_view source, std::string_view why) {
    FRUGAL_EXPECT_ERROR(rendered(source, variables), absl::StatusCode::kUnimplemented, why);
  };
  refused("{{ d.items }}", "line 1, column 1: a builtin_function_or_method is printed");
  refused("{{ range }}", "a function is printed");
  refused("{{ [l|map('string')] }}", "a generator is printed");
  refused("{{ namespace(a=1) }}", "a namespace is printed");
  refused("{{ 'ab'.encode() }}", "the method 'encode' of 'str' is not supported");
  refused("{{ n is sameas 1 }}", "test 'sameas'");
  refused("{{ 2 ** 64 }}", "an integer needs more than 64 bits");
  refused("{{ d.keys() == d.keys() }}", "views of dictionaries are compared");
  refused("{{ strftime_now('%Y %G') }}", "'%Y %G' ends in a directive that is not supported");
  refused("{{ '<'|safe % 1 }}", "'%' after '|safe'");
}

}  // namespace
}  // namespace frugal::chat
