#include "text/chat_format.h"

#include <gmock/gmock.h>

#include <fstream>

#include "base/file.h"
#include "support/shared_data.h"
#include "text/packing.h"

namespace frugal::text {
namespace {

using base::Json;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr std::string_view kChatMl =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

ChatTemplates templates_of(std::string_view source) {
  ChatTemplates templates;
  templates.sources.emplace_back("default", source);
  templates.variables = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
  return templates;
}

Dialog dialog_of_roles(std::vector<std::pair<std::string, std::string>> turns) {
  Dialog dialog;
  for (auto& [role, content] : turns)
    dialog.messages.push_back({{"role", role}, {"content", content}});
  return dialog;
}

absl::StatusOr<Example> formatted(std::string_view source, const Dialog& dialog,
                                  std::string system = "") {
  FRUGAL_ASSIGN_OR_RETURN(const ChatFormat format,
                          ChatFormat::create(templates_of(source), std::move(system)));
  Example example;
  example.id = "data.jsonl:7";
  FRUGAL_RETURN_IF_ERROR(format.apply(dialog, example));
  return example;
}

std::vector<std::string> earlier_answers(const Example& example) {
  std::vector<std::string> texts;
  for (const auto& [begin, end] : example.earlier_answers)
    texts.push_back(example.prompt.substr(begin, end - begin));
  return texts;
}

TEST(ChatFormat, TheAnswerBeginsWhereTheModelIsToSpeak) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Example example,
                              formatted(kChatMl, dialog_of(" 2 + 2?\n", " 4")));
  EXPECT_EQ(example.prompt, "<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(example.completion, "4<|im_end|>\n");
  EXPECT_TRUE(example.chat);
  EXPECT_TRUE(example.earlier_answers.empty());
}

TEST(ChatFormat, ASystemTurnIsAddedWhereThereIsNone) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Example added, formatted(kChatMl, dialog_of("a", "b"), "Be."));
  EXPECT_THAT(added.prompt, testing::StartsWith("<|im_start|>system\nBe.<|im_end|>\n"));
  const Dialog own = dialog_of_roles({{"system", "Own."}, {"user", "a"}, {"assistant", "b"}});
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Example kept, formatted(kChatMl, own, "Be."));
  EXPECT_THAT(kept.prompt, testing::StartsWith("<|im_start|>system\nOwn.<|im_end|>\n"));
  EXPECT_THAT(kept.prompt, testing::Not(testing::HasSubstr("Be.")));
}

TEST(ChatFormat, EveryAnswerOfADialogIsKnown) {
  const Dialog dialog = dialog_of_roles({{"user", "a"},
                                         {"assistant", "b"},
                                         {"user", "c"},
                                         {"assistant", "d"},
                                         {"user", "e"},
                                         {"assistant", "f"}});
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Example example, formatted(kChatMl, dialog));
  EXPECT_EQ(example.completion, "f<|im_end|>\n");
  EXPECT_THAT(earlier_answers(example), testing::ElementsAre("b<|im_end|>\n", "d<|im_end|>\n"));
}

// Templates of reasoning models keep the thought of the last answer only.
TEST(ChatFormat, AnswersThatAreWrittenDifferentlyLaterDoNotCount) {
  constexpr std::string_view kThinking =
      "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %}"
      "{{ m.content.split('</think>')[-1] if not loop.last else m.content }}"
      "{% else %}{{ m.content }}{% endif %}{% endfor %}"
      "{% if add_generation_prompt %}[assistant]<think>{% endif %}";
  const Dialog dialog = dialog_of_roles({{"user", "a"},
                                         {"assistant", "<think>x</think>b"},
                                         {"user", "c"},
                                         {"assistant", "<think>y</think>d"}});
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Example example, formatted(kThinking, dialog));
  EXPECT_EQ(example.prompt, "[user]a[assistant]b[user]c[assistant]<think>");
  EXPECT_EQ(example.completion, "y</think>d");
  EXPECT_TRUE(example.earlier_answers.empty());
  // The prompt opens a thought that this answer does not have.
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Example plain, formatted(kThinking, dialog_of("a", "b")));
  EXPECT_EQ(plain.prompt + "|" + plain.completion, "[user]a[assistant]|b");
}

TEST(ChatFormat, LabelsAreScoredWhereTheAnswerBegins) {
  constexpr std::string_view kEmptyThought =
      "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %}<think></think>{% endif "
      "%}"
      "{{ m.content }}.{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ChatFormat format,
                              ChatFormat::create(templates_of(kEmptyThought), ""));
  Example example;
  example.label = " good";
  example.label_texts = {" bad", " good"};
  FRUGAL_ASSERT_OK(format.apply(dialog_of("fine", " good"), example));
  EXPECT_EQ(example.prompt, "[user]fine.[assistant]<think></think>");
  EXPECT_EQ(example.completion, "good.");
  EXPECT_EQ(example.label, "good");
  EXPECT_THAT(example.label_texts, testing::ElementsAre("bad", "good"));
}

TEST(ChatFormat, RefusesWhatItCannotTell) {
  FRUGAL_EXPECT_ERROR(ChatFormat::create({}, ""), kInvalid, "chat template, and it has none");
  FRUGAL_EXPECT_ERROR(ChatFormat::create(templates_of("{% if %}"), ""), kInvalid, "template");
  FRUGAL_EXPECT_ERROR(formatted("{{ raise_exception('no') }}", dialog_of("a", "b")), kInvalid,
                      "data.jsonl:7");
  FRUGAL_EXPECT_ERROR(
      formatted("{{ messages | length }}{{ messages[-1].content }}", dialog_of("a", "b")), kInvalid,
      "cannot be told");
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const ChatFormat format,
      ChatFormat::create(templates_of("{% for m in messages %}{{ m.content | upper }}{% endfor %}"),
                         ""));
  Example example;
  example.label = "good";
  example.label_texts = {"bad", "good"};
  FRUGAL_EXPECT_ERROR(format.apply(dialog_of("a", "good"), example), kInvalid, "the label 'good'");
}

// The clock of a template stands still, or the same data would be other data tomorrow.
TEST(ChatFormat, TheDateIsAlwaysTheSame) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const Example example,
      formatted("{{ strftime_now('%d %b %Y') }} {% for m in messages %}{{ m.content }}{% endfor %}",
                dialog_of("a", "b")));
  EXPECT_EQ(example.prompt, "26 Jul 2024 a");
}

// All real templates that take a question and its answer: together they are the rendering of both,
// and the answer stands in the completion alone.
TEST(ChatFormat, RealTemplatesAreCutAtTheAnswer) {
  FRUGAL_SHARED_DATA_OR_SKIP(folder, "llamacpp-vocabs");
  const Json tool = Json::parse(R"({"type": "function", "function": {"name": "f",
      "description": "d", "parameters": {"type": "object", "properties": {}, "required": []}}})");
  int64_t cut = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "templates")) {
    if (entry.path().extension() != ".jinja") continue;
    const std::string source = base::read_file(entry.path(), 1 << 20).value();
    Dialog dialog = dialog_of("QUESTION", "ANSWER");
    if (entry.path().stem().string().ends_with("tool_use")) dialog.tools = Json::array({tool});
    const absl::StatusOr<Example> example = formatted(source, dialog);
    if (!example.ok()) {  // it wants variables of its makers' own programs, or hides turns
      EXPECT_THAT(
          std::string(example.status().message()),
          testing::AnyOf(testing::HasSubstr("is undefined"), testing::HasSubstr("cannot be told")))
          << entry.path();
      continue;
    }
    EXPECT_THAT(example->prompt, testing::HasSubstr("QUESTION")) << entry.path();
    EXPECT_THAT(example->prompt, testing::Not(testing::HasSubstr("ANSWER"))) << entry.path();
    EXPECT_THAT(example->completion, testing::HasSubstr("ANSWER")) << entry.path();
    ++cut;
  }
  EXPECT_GE(cut, 15);
}

class ChatData : public ::testing::Test {
 protected:
  ChatData() {
    BpeTrainerOptions options;
    options.vocabulary_size = 259;
    options.special = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    FRUGAL_EXPECT_OK(
        save_tokenizer(**train_bpe(std::vector<std::string>{}, options), folder_.path()));
    write("chat_template.jinja", std::string(kChatMl));
    tokenizer_ = load_tokenizer(folder_.path()).value();
    source_.chat = true;
  }
  std::string write(const char* name, const std::string& content) {
    const auto path = folder_.path() / name;
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }
  absl::StatusOr<std::vector<Example>> load_jsonl(const std::string& content) {
    source_.jsonl = write("data.jsonl", content);
    return load_examples(source_, *tokenizer_);
  }
  test::TemporaryFolder folder_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  DataSource source_;
};

TEST_F(ChatData, TurnsOfEveryForm) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto examples,
      load_jsonl(
          R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "left out"}]}
{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
{"prompt": "a", "completion": " b"}
)"));
  ASSERT_EQ(examples.size(), 3u);
  for (const Example& example : examples) {
    EXPECT_EQ(example.prompt, examples[0].prompt) << example.id;
    EXPECT_EQ(example.completion, "b<|im_end|>\n") << example.id;
  }
  EXPECT_EQ(examples[1].id, "data.jsonl:2");
}

TEST_F(ChatData, ToolsReachTheTemplate) {
  write("chat_template.jinja", "{{ tools | tojson if tools else 'none' }}" + std::string(kChatMl));
  tokenizer_ = load_tokenizer(folder_.path()).value();
  const std::string turns =
      R"("messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples,
                              load_jsonl("{" + turns + R"(, "tools": [{"name": "f"}]})" + "\n{" +
                                         turns + R"(, "tools": "[{\"name\": \"f\"}]"})" + "\n{" +
                                         turns + R"(, "tools": []})" + "\n"));
  EXPECT_THAT(examples[0].prompt, testing::StartsWith(R"([{"name": "f"}]<|im_start|>)"));
  EXPECT_EQ(examples[1].prompt, examples[0].prompt);
  EXPECT_THAT(examples[2].prompt, testing::StartsWith("none<|im_start|>"));
  FRUGAL_EXPECT_ERROR(load_jsonl("{" + turns + R"(, "tools": 3})"), kInvalid, "data.jsonl:1");
}

TEST_F(ChatData, WhatIsNoConversationIsNamed) {
  const auto refused = [&](const std::string& line, std::string_view message) {
    FRUGAL_EXPECT_ERROR(load_jsonl(line + "\n"), kInvalid, message);
    FRUGAL_EXPECT_ERROR(check_data(source_), kInvalid, message);  // the plan says it, too
  };
  refused(R"({"messages": [{"role": "user", "content": "a"}]})", "none of the 1 turns");
  refused(R"({"messages": []})", "data.jsonl:1: no conversation");
  refused(R"({"messages": ["a"]})", "turn 0: expected an object");
  refused(R"({"messages": [{"content": "a"}]})", "role");
  refused(R"({"conversations": [{"from": "cat", "value": "a"}]})", "'from' is 'cat'");
  refused(R"({"text": "a"})", "needs a question and its answer");
  refused(R"({"prompt": " ", "completion": "b"})", "needs a question and its answer");
}

TEST_F(ChatData, NeedsAModelAndTurns) {
  source_.jsonl = write("data.jsonl", R"({"prompt": "a", "completion": "b"})");
  FRUGAL_EXPECT_OK(check_data(source_));
  FRUGAL_EXPECT_ERROR(load_examples(source_), kInvalid, "needs a model's chat template");
  std::filesystem::remove(folder_.path() / "chat_template.jinja");
  FRUGAL_EXPECT_ERROR(load_examples(source_, *load_tokenizer(folder_.path()).value()), kInvalid,
                      "it has none");
  source_.jsonl = "";
  source_.text = {write("a.txt", "text")};
  FRUGAL_EXPECT_ERROR(load_examples(source_, *tokenizer_), kInvalid, "plain text has no turns");
  source_.chat = false;
  source_.system = "Be.";
  FRUGAL_EXPECT_ERROR(load_examples(source_, *tokenizer_), kInvalid, "`system` is a turn");
}

TEST_F(ChatData, BuiltinDataAreQuestionsAndAnswers) {
  source_.builtin = "storefront";
  source_.split = "test";
  source_.task = "sentiment";
  source_.limit = 2;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples, load_examples(source_, *tokenizer_));
  for (const Example& example : examples) {
    EXPECT_THAT(example.prompt, testing::StartsWith("<|im_start|>user\n"));
    EXPECT_EQ(example.completion, example.label + "<|im_end|>\n");
    EXPECT_THAT(example.label_texts, testing::Contains(example.label));
  }
}

// What counts are the answers with their ends, and nothing is put around them: the template has.
TEST_F(ChatData, PackedTokensLearnEveryAnswer) {
  source_.jsonl = write(
      "data.jsonl",
      R"({"messages": [{"role": "user", "content": "ask"}, {"role": "assistant", "content": "one"}, {"role": "user", "content": "more"}, {"role": "assistant", "content": "two"}]})");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto packed,
                              pack(source_, *tokenizer_, {.length = 128}, folder_.path()));
  const std::vector<int64_t> rows = {0};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const PackedTokens tokens, packed->read(rows));
  std::vector<TokenId> all, learned;
  for (size_t i = 0; i < tokens.ids.size(); ++i) {
    if (tokens.segments[i] < 0) continue;
    all.push_back(tokens.ids[i]);
    if (tokens.loss_mask[i]) learned.push_back(tokens.ids[i]);
  }
  EXPECT_EQ(tokenizer_->decode(all, false),
            "<|im_start|>user\nask<|im_end|>\n<|im_start|>assistant\none<|im_end|>\n"
            "<|im_start|>user\nmore<|im_end|>\n<|im_start|>assistant\ntwo<|im_end|>\n");
  EXPECT_EQ(tokenizer_->decode(learned, false), "one<|im_end|>\ntwo<|im_end|>\n");
}

// Windows of a chat are its conversations behind each other, as they are served.
TEST_F(ChatData, WindowsPutNothingBetweenConversations) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples,
                              load_jsonl("{\"prompt\": \"a\", \"completion\": \"b\"}\n"
                                         "{\"prompt\": \"c\", \"completion\": \"d\"}\n"));
  const std::string joined = join_examples(examples, "\n\n");
  EXPECT_THAT(joined, testing::HasSubstr("b<|im_end|>\n<|im_start|>user\nc"));
  const std::vector<TokenId> ids = tokenizer_->encode(joined, false);
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const Windows windows,
      make_windows(examples, *tokenizer_, {.length = static_cast<int64_t>(ids.size())}));
  EXPECT_EQ(windows.ids, ids);
}

}  // namespace
}  // namespace frugal::text
