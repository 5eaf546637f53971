#include <fstream>
#include <memory>
#include <utility>

#include "support/shared_data.h"
#include "text/dataset.h"

namespace frugal::text {
namespace {

class Examples : public ::testing::Test {
 protected:
  std::string write(const char* name, const std::string& content) {
    const auto path = folder_.path() / name;
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }
  test::TemporaryFolder folder_;
};

TEST_F(Examples, TextsAreDocumentsWithUnixLineEnds) {
  write("b.txt", "two\r\nlines\r");
  write("a.txt", "\xEF\xBB\xBFone");
  write("c.md", "not matched");
  DataSource source;
  source.text = {(folder_.path() / "*.txt").string()};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples, load_examples(source));
  ASSERT_EQ(examples.size(), 2u);
  EXPECT_EQ(examples[0].id, "a.txt");
  EXPECT_EQ(examples[0].completion, "\xEF\xBB\xBFone");  // the mark is part of the text
  EXPECT_EQ(examples[1].completion, "two\nlines\r");
  EXPECT_TRUE(examples[1].prompt.empty());
  source.limit = 1;
  EXPECT_EQ(load_examples(source)->size(), 1u);
}

TEST_F(Examples, TemplatesAndLabelsMakeClassification) {
  DataSource source;
  source.table = write("dev.tsv", "sentence\tlabel\nso {nice}\t1\nawful\t0\n");
  source.prompt = "{sentence}\nSentiment:";
  source.completion = " {label}";
  source.labels = {{"0", "negative"}, {"1", "positive"}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples, load_examples(source));
  ASSERT_EQ(examples.size(), 2u);
  EXPECT_EQ(examples[0].prompt, "so {nice}\nSentiment:");
  EXPECT_EQ(examples[0].completion, " positive");
  EXPECT_EQ(examples[0].label, " positive");
  EXPECT_EQ(examples[1].label_texts, (std::vector<std::string>{" negative", " positive"}));
  EXPECT_EQ(examples[1].id, "dev.tsv:3");
}

// A plan looks at one record, whatever the file's size: the rest is read when the step runs.
TEST_F(Examples, ThePlanReadsOneRecord) {
  DataSource source;
  source.jsonl = write("data.jsonl", "{\"a\": \"one\"}\nnot a record\n");
  source.prompt = "{a}";
  source.completion = "{a}";
  FRUGAL_EXPECT_OK(check_data(source));
  FRUGAL_EXPECT_ERROR(load_examples(source), absl::StatusCode::kInvalidArgument, "data.jsonl:2");
  source.completion = "{b}";
  FRUGAL_EXPECT_ERROR(check_data(source), absl::StatusCode::kInvalidArgument, "b");
}

TEST_F(Examples, JsonLinesSpeakForThemselves) {
  DataSource source;
  source.jsonl = write("a.jsonl",
                       "{\"prompt\": \"p\", \"completion\": \"c\"}\n{\"text\": "
                       "\"t\"}\n{\"completion\": \"only\"}\n");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples, load_examples(source));
  ASSERT_EQ(examples.size(), 3u);
  EXPECT_EQ(examples[0].prompt + "|" + examples[0].completion, "p|c");
  EXPECT_EQ(examples[1].completion, "t");
}

TEST_F(Examples, ErrorsSayWhatIsMissing) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  DataSource source;
  FRUGAL_EXPECT_ERROR(load_examples(source), kInvalid, "exactly one of");
  source.table = write("a.tsv", "x\ty\n1\t2\n");
  source.completion = "{z}";
  FRUGAL_EXPECT_ERROR(load_examples(source), kInvalid,
                      "a.tsv:2: no field 'z' for the template; found x, y");
  source.completion = "{y}";
  source.labels = {{"0", "no"}};
  FRUGAL_EXPECT_ERROR(load_examples(source), kInvalid, "the label '2'");
  source.completion = "{x}{y}";
  FRUGAL_EXPECT_ERROR(load_examples(source), kInvalid, "exactly one field");
  source = DataSource();
  source.table = write("empty.tsv", "x\n");
  source.completion = "{x}";
  FRUGAL_EXPECT_ERROR(load_examples(source), kInvalid, "yields no example");
  source = DataSource();
  source.jsonl = write("odd.jsonl", "{\"body\": \"x\"}\n");
  FRUGAL_EXPECT_ERROR(load_examples(source), kInvalid, "found body");
  source = DataSource();
  source.text = {(folder_.path() / "*.none").string()};
  FRUGAL_EXPECT_ERROR(load_examples(source), absl::StatusCode::kNotFound, "no file matches");
  source.text = {write("latin1.txt", "caf\xE9")};
  FRUGAL_EXPECT_ERROR(load_examples(source), kInvalid, "not valid UTF-8");
  source = DataSource();
  source.builtin = "storfront";
  FRUGAL_EXPECT_ERROR(load_examples(source), kInvalid, "did you mean 'storefront'");
}

// Of mixtures and of text that a model writes there are no examples; what they are is checked.
TEST_F(Examples, MixturesAreForCalibration) {
  const auto part = [&](const char* name, DataSource source, double weight = 1) {
    return MixPart{name, weight, std::make_shared<const DataSource>(std::move(source))};
  };
  std::ofstream(folder_.path() / "a.txt") << "one";
  DataSource text;
  text.text = {(folder_.path() / "a.txt").string()};
  DataSource mixed;
  mixed.mix = {part("text", text), part("self", {.self = true})};
  FRUGAL_EXPECT_OK(check_data(mixed));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto files, data_files(mixed));
  EXPECT_EQ(files.size(), 1u);
  FRUGAL_EXPECT_ERROR(load_examples(mixed), absl::StatusCode::kInvalidArgument,
                      "a mixture of texts is for calibration");
  FRUGAL_EXPECT_ERROR(load_examples({.self = true}), absl::StatusCode::kInvalidArgument,
                      "text that the model writes itself is for calibration");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string hash, content_hash(mixed));
  mixed.mix[1] = part("self", {.self = true, .seed = 2});
  EXPECT_NE(*content_hash(mixed), hash);

  const auto refused = [](const DataSource& source, const char* why) {
    FRUGAL_EXPECT_ERROR(check_source(source), absl::StatusCode::kInvalidArgument, why);
  };
  refused({.self = true, .limit = 3}, "`limit` is of examples");
  mixed.limit = 3;
  refused(mixed, "say it of its parts");
  mixed.limit = 0;
  mixed.mix[1] = part("own", mixed);
  refused(mixed, "'own' is a mixture itself");
  text.tokens = 100;
  mixed.mix[1] = part("some", text);
  refused(mixed, "say both of the mixture");
  mixed.mix[1] = part("none", {});
  refused(mixed, "exactly one of text, jsonl, table, builtin, mix, self and task_file");
  mixed.mix[1] = part("gone", {.text = {(folder_.path() / "gone.txt").string()}});
  EXPECT_FALSE(check_data(mixed).ok());
}

TEST_F(Examples, TheHashIsOfWhatTheSourceYields) {
  DataSource source;
  source.text = {write("a.txt", "one")};
  const std::string first = *content_hash(source);
  EXPECT_EQ(*content_hash(source), first);
  write("a.txt", "two");
  EXPECT_NE(*content_hash(source), first);
  DataSource builtin;
  builtin.builtin = "storefront";
  builtin.split = "test";
  const std::string one = *content_hash(builtin);
  builtin.seed = 2;
  EXPECT_NE(*content_hash(builtin), one);
  builtin.seed = 1;
  builtin.split = "train";
  EXPECT_NE(*content_hash(builtin), one);
}

TEST(ExamplesOfRealMaterial, Sst2Loads) {
  FRUGAL_SHARED_DATA_OR_SKIP(folder, "sst2");
  std::filesystem::path table;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().filename() == "dev.tsv") table = entry.path();
  }
  ASSERT_FALSE(table.empty());
  DataSource source;
  source.table = table.string();
  source.prompt = "{sentence}\nSentiment:";
  source.completion = " {label}";
  source.labels = {{"0", "negative"}, {"1", "positive"}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples, load_examples(source));
  EXPECT_EQ(examples.size(), 6735u);  // one per line behind the header
}

}  // namespace
}  // namespace frugal::text
