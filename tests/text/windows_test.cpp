#include <fstream>

#include "base/hash.h"
#include "support/shared_data.h"
#include "text/dataset.h"

namespace frugal::text {
namespace {

TEST(Windows, AreCutFromOneStream) {
  BpeTrainerOptions bytes;
  bytes.vocabulary_size = 257;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, train_bpe(std::vector<std::string>{}, bytes));
  std::vector<Example> examples(2);
  examples[0].completion = "abcdefgh";
  examples[1].prompt = "ij";
  examples[1].completion = "klmnopq";
  WindowOptions options;
  options.length = 4;
  FRUGAL_ASSERT_OK_AND_ASSIGN(Windows windows, make_windows(examples, *tokenizer, options));
  EXPECT_EQ(windows.stream_tokens, 19);  // 8 + "\n\n" + 9
  EXPECT_EQ(windows.count, 4);           // the tail of 3 is dropped
  EXPECT_EQ(tokenizer->decode(windows.ids), "abcdefgh\n\nijklmn");
  EXPECT_EQ(windows.text_sha256, base::sha256(std::string_view("abcdefgh\n\nijklmnopq")));
  options.limit = 2;
  FRUGAL_ASSERT_OK_AND_ASSIGN(windows, make_windows(examples, *tokenizer, options));
  EXPECT_EQ(tokenizer->decode(windows.ids), "abcdefgh");
  options.spread = true;
  FRUGAL_ASSERT_OK_AND_ASSIGN(windows, make_windows(examples, *tokenizer, options));
  EXPECT_EQ(tokenizer->decode(windows.ids), "abcd\n\nij");  // the first and the third of four
  options.limit = 99;
  EXPECT_EQ(make_windows(examples, *tokenizer, options)->count, 4);
  options.length = 20;
  FRUGAL_EXPECT_ERROR(make_windows(examples, *tokenizer, options),
                      absl::StatusCode::kInvalidArgument, "19 tokens, fewer than one window of 20");
  options.length = 0;
  FRUGAL_EXPECT_ERROR(make_windows(examples, *tokenizer, options),
                      absl::StatusCode::kInvalidArgument, "positive");
}

// Texts of files, joined as examples of them are, whatever their line ends and number.
TEST(Windows, OfASourceAreThoseOfItsExamples) {
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() / "a.txt") << "one\r\ntwo";
  std::ofstream(folder.path() / "b.txt") << "";
  std::ofstream(folder.path() / "c.txt") << std::string(200000, 'x') << " end";
  std::ofstream(folder.path() / "d.jsonl") << "{\"prompt\": \"a\", \"completion\": \"b\"}\n"
                                           << "{\"text\": \"c\"}\n";
  BpeTrainerOptions bytes;
  bytes.vocabulary_size = 257;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, train_bpe(std::vector<std::string>{}, bytes));
  DataSource texts, records;
  texts.text = {(folder.path() / "*.txt").string()};
  records.jsonl = (folder.path() / "d.jsonl").string();
  for (const DataSource& source : {texts, records}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples, load_examples(source));
    const WindowOptions options{.length = 2, .limit = 50, .spread = true};
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Windows expected,
                                make_windows(examples, *tokenizer, options));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Windows found, make_windows(source, *tokenizer, options));
    EXPECT_EQ(found.ids, expected.ids);
    EXPECT_EQ(found.text_sha256, base::sha256(join_examples(examples, options.joiner)));
    EXPECT_EQ(found.text_sha256, expected.text_sha256);
    EXPECT_EQ(found.stream_tokens, expected.stream_tokens);
  }
}

}  // namespace
}  // namespace frugal::text
