#include "text/bpe_trainer.h"

#include <fstream>
#include <map>

#include "base/file.h"
#include "base/json.h"
#include "golden_folder.h"
#include "support/shared_data.h"
#include "text/byte_level.h"
#include "text/tokenizer.h"

namespace frugal::text {
namespace {

const std::vector<std::string> kCorpus = {
    "the quick brown fox jumps over the lazy dog and the cat sat on the mat while the rain fell on "
    "the plain",
    "hello world hello there hello again world of words and wonder",
    "aaaa aaaaa aaa banana bandana cabana 1234 12 123",
};

// The definition, recounted from nothing at each step: the most frequent pair (ties: its text) of
// words cut at spaces.
std::vector<std::string> brute_force_merges(const std::vector<std::string>& texts, size_t steps) {
  std::map<std::vector<std::string>, int> words;
  for (const std::string& text : texts) {
    std::vector<std::string> word;
    for (const char c : text) {
      if (c == ' ' && !word.empty()) ++words[std::exchange(word, {})];
      word.push_back(to_byte_level(std::string(1, c)));
    }
    ++words[word];
  }
  std::vector<std::string> merges;
  while (merges.size() < steps) {
    std::map<std::string, int> counts;
    for (const auto& [word, count] : words) {
      for (size_t i = 0; i + 1 < word.size(); ++i) counts[word[i] + " " + word[i + 1]] += count;
    }
    auto best = counts.begin();
    for (auto it = counts.begin(); it != counts.end(); ++it) {
      if (it->second > best->second) best = it;
    }
    if (best == counts.end() || best->second < 2) break;
    merges.push_back(best->first);
    const size_t space = best->first.find(' ');
    const std::string left = best->first.substr(0, space), right = best->first.substr(space + 1);
    std::map<std::vector<std::string>, int> next;
    for (const auto& [word, count] : words) {
      std::vector<std::string> joined;
      for (size_t i = 0; i < word.size(); ++i) {
        const bool match = i + 1 < word.size() && word[i] == left && word[i + 1] == right;
        joined.push_back(match ? left + right : word[i]);
        if (match) ++i;
      }
      next[joined] += count;
    }
    words = std::move(next);
  }
  return merges;
}

TEST(BpeTrainer, DoesWhatTheDefinitionSays) {
  const std::vector<std::string> letters = {kCorpus[0],
                                            kCorpus[1]};  // no digits: words are cut at spaces only
  BpeTrainerOptions options;
  options.vocabulary_size = 257 + 40;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, train_bpe(letters, options));
  EXPECT_EQ(tokenizer->vocabulary().merges, brute_force_merges(letters, 40));
  const std::vector<std::string> repeats = {"aaaa aaaaa aaa banana bandana cabana"};
  options.vocabulary_size = 10000;  // until no pair occurs twice
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto all, train_bpe(repeats, options));
  EXPECT_EQ(all->vocabulary().merges, brute_force_merges(repeats, 10000));
}

TEST(BpeTrainer, GivesSpecialTokensTheFirstIds) {
  BpeTrainerOptions options;
  options.vocabulary_size = 280;
  options.special = {"<|endoftext|>", "<|pad|>"};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, train_bpe(kCorpus, options));
  const Vocabulary& vocabulary = tokenizer->vocabulary();
  EXPECT_EQ(tokenizer->size(), 280);
  EXPECT_EQ(vocabulary.pieces[1], "<|pad|>");
  EXPECT_EQ(vocabulary.pieces[2], "!");  // the alphabet by character, as Hugging Face
  EXPECT_EQ(vocabulary.bos, 0);
  EXPECT_EQ(vocabulary.eos, 0);
  EXPECT_FALSE(vocabulary.add_bos);
  EXPECT_EQ(vocabulary.pre_tokenizer, "qwen2");
  for (const std::string& text : kCorpus)
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, true)), text);
  const std::string any = "naïve \x01 🙂\n";
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(any, true)), any);  // every byte has a piece
  EXPECT_EQ(tokenizer->encode("<|pad|>", false), (std::vector<TokenId>{1}));
}

TEST(BpeTrainer, IsDeterministic) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto one, train_bpe(kCorpus, {}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto two, train_bpe(kCorpus, {}));
  EXPECT_EQ(one->vocabulary().merges, two->vocabulary().merges);
}

// Files larger than a window, cut where they may be, have the words of the whole.
TEST(BpeTrainer, StreamsFiles) {
  const test::TemporaryFolder folder;
  DataSource texts, records;
  texts.text = {(folder.path() / "*.txt").string()};
  records.jsonl = (folder.path() / "a.jsonl").string();
  std::ofstream jsonl(records.jsonl);
  for (int file = 0; file < 2; ++file) {
    std::ofstream out(folder.path() / (std::to_string(file) + ".txt"));
    for (int i = 0; i < 30000; ++i) {
      out << "word" << i % 91 << " don't " << i * 7 % 1009 << "   é"
          << (i % 13 == 0 ? "\r\n\n" : " ");
      if (i < 500)
        jsonl << R"({"prompt":"a )" << i % 17 << R"(","completion":"b)" << i % 5 << "\"}\n";
    }
  }
  jsonl.close();
  for (const char* pattern : {"gpt-2", "qwen2", "llama-bpe", "gpt-4o"}) {
    BpeTrainerOptions options;
    options.vocabulary_size = 400;
    options.pre_tokenizer = pattern;
    for (const DataSource& source : {texts, records}) {
      FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples, load_examples(source));
      std::vector<std::string> whole;
      for (const Example& example : examples) whole.push_back(example.prompt + example.completion);
      EXPECT_EQ(train_bpe(source, options).value()->vocabulary().pieces,
                train_bpe(whole, options).value()->vocabulary().pieces)
          << pattern;
    }
  }
  texts.text = {(folder.path() / "none.txt").string()};
  FRUGAL_EXPECT_ERROR(train_bpe(texts, {}), absl::StatusCode::kNotFound, "none.txt");
}

TEST(BpeTrainer, Refuses) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(train_bpe(kCorpus, {256, "qwen2", {"<|endoftext|>"}}), kInvalid, "need 257");
  FRUGAL_EXPECT_ERROR(train_bpe(kCorpus, {300, "qwen", {}}), kInvalid, "did you mean 'qwen2'");
  FRUGAL_EXPECT_ERROR(train_bpe(kCorpus, {300, "qwen2", {"<a>", "<a>"}}), kInvalid, "distinct");
}

}  // namespace
}  // namespace frugal::text
