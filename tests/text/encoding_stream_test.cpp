// A text in parts has the ids of the whole: by every kind of tokenizer, on texts made of what is
// hard to cut, in parts and windows of any size.
#include <gtest/gtest.h>

#include "base/random.h"
#include "golden_folder.h"
#include "support/shared_data.h"
#include "text/tokenizer.h"

namespace frugal::text {
namespace {

namespace fs = std::filesystem;

// Spaces of every kind, marks that combine, digits, contractions, added tokens and their
// beginnings, damage, and plain words between.
std::string hard_text(uint64_t seed, int parts) {
  static const std::vector<std::string> kParts = {"word",
                                                  "Word",
                                                  "the",
                                                  " the",
                                                  " ",
                                                  "  ",
                                                  "   ",
                                                  "\n",
                                                  "\n\n",
                                                  "\r\n",
                                                  "\t",
                                                  "'s",
                                                  "'S",
                                                  "'ll",
                                                  "1",
                                                  "23",
                                                  "4567",
                                                  "89 ",
                                                  ".",
                                                  ", ",
                                                  "...",
                                                  "!?",
                                                  "-",
                                                  "_",
                                                  "é",
                                                  "e\u0301",
                                                  "\u0301",
                                                  "ﬁ",
                                                  "Å",
                                                  "ß",
                                                  "ǅ",
                                                  "日本語",
                                                  "。",
                                                  "한",
                                                  "\u1100\u1161",
                                                  "👍🏽",
                                                  "\u200D",
                                                  "\u00A0",
                                                  "\u2003",
                                                  "\u3000",
                                                  "\u2581",
                                                  "\u2581\u2581",
                                                  "<",
                                                  "<s>",
                                                  "</s>",
                                                  "<|",
                                                  "<|end",
                                                  "<|endoftext|>",
                                                  "<|im_start|>",
                                                  "<|im_end|>",
                                                  "<unk>",
                                                  "[MASK]",
                                                  "[PAD",
                                                  "<extra>",
                                                  "<0x0A>",
                                                  "\xFF",
                                                  "\xE2\x96",
                                                  "\xC3",
                                                  "import",
                                                  "    return x;",
                                                  "a",
                                                  "b",
                                                  "ab",
                                                  "aa",
                                                  "e",
                                                  "r",
                                                  "s"};
  base::RandomStream random(seed, "text/hard");
  std::string text;
  for (int i = 0; i < parts; ++i) text += random.pick(std::span<const std::string>(kParts));
  return text;
}

std::vector<TokenId> in_parts(EncodingStream& stream, std::string_view text, uint64_t seed,
                              size_t most) {
  base::RandomStream random(seed, "text/parts");
  std::vector<TokenId> ids;
  while (!text.empty()) {
    const size_t size = std::min<size_t>(1 + random.below(most), text.size());
    stream.feed(text.substr(0, size), ids);
    text.remove_prefix(size);
  }
  stream.finish(ids);
  return ids;
}

void expect_parts_make_the_whole(const Tokenizer& tokenizer, const std::string& name) {
  for (const size_t window : {size_t{1}, size_t{40}, size_t{300}}) {
    const auto stream = tokenizer.stream(window);
    for (uint64_t seed = 0; seed < 60; ++seed) {
      const std::string text = hard_text(seed, 20 + static_cast<int>(seed) * 4);
      ASSERT_EQ(in_parts(*stream, text, seed, 2 * window), tokenizer.encode(text, false))
          << name << ", window " << window << ", text " << seed << ": " << text;
    }
  }
}

TEST(EncodingStream, PartsMakeTheWholeForEverySmallTokenizer) {
  for (const auto& entry : fs::directory_iterator(golden_folder() / "small")) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, load_tokenizer(entry.path()));
    expect_parts_make_the_whole(*tokenizer, entry.path().filename().string());
  }
  for (const char* pattern : {"gpt-2", "qwen2", "llama-bpe", "gpt-4o"}) {
    BpeTrainerOptions options;
    options.vocabulary_size = 300;
    options.pre_tokenizer = pattern;
    const std::vector<std::string> texts = {hard_text(1000, 3000)};
    expect_parts_make_the_whole(*train_bpe(texts, options).value(), pattern);
  }
}

TEST(EncodingStream, PartsMakeTheWholeForRealTokenizers) {
  FRUGAL_SHARED_DATA_OR_SKIP(gpt2, "tokenizer-gpt2");
  FRUGAL_SHARED_DATA_OR_SKIP(llama2, "tokenizer-llama2/tokenizer.model");
  FRUGAL_SHARED_DATA_OR_SKIP(llama3, "tokenizer-llama3/tokenizer.model");
  FRUGAL_SHARED_DATA_OR_SKIP(mistral, "tokenizer-mistral");
  FRUGAL_SHARED_DATA_OR_SKIP(novels, "novels-7m/hf");
  std::vector<fs::path> paths = {gpt2, llama2, llama3, novels};
  for (const auto& entry : fs::directory_iterator(mistral)) {
    if (entry.path().filename() != "README.md") paths.push_back(entry.path());
  }
  for (const fs::path& path : paths) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, load_tokenizer(path));
    expect_parts_make_the_whole(*tokenizer, path.string());
  }
}

// What the stream still holds: the bytes of which no id has come yet.
TEST(EncodingStream, HoldsAWindowOfPlainText) {
  std::vector<fs::path> paths;
  for (const char* name :
       {"byte_level_prefix_space", "digits_byte_level", "gemma_style", "metaspace_always",
        "metaspace_first", "metaspace_never", "spm_legacy", "split_isolated"})
    paths.push_back(golden_folder() / "small" / (std::string(name) + ".json"));
  for (const fs::path& path : paths) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, load_tokenizer(path));
    std::string line = "the cat sat on the mat, and then the dog came in at 12.\n";
    constexpr size_t kWindow = 1000, kLines = 500;
    const size_t ids_of_line = tokenizer->encode(line, false).size();
    const auto stream = tokenizer->stream(kWindow);
    std::vector<TokenId> ids;
    for (size_t i = 1; i <= kLines; ++i) {
      stream->feed(line, ids);
      // At most a window waits, and what comes in until it is looked at again. A line may have one
      // id less where the next one joins its end, or a prefix that only the first line has.
      const size_t settled = ids.size() / ids_of_line;
      EXPECT_LE(i, settled + settled / ids_of_line + 2 * kWindow / line.size() + 2)
          << path << " after line " << i;
    }
  }
}

TEST(EncodingStream, CanBeUsedAgain) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                              load_tokenizer(golden_folder() / "small/metaspace_first.json"));
  const auto stream = tokenizer->stream(8);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(in_parts(*stream, "the cat sat on the mat", 1, 3),
              tokenizer->encode("the cat sat on the mat", false));
}

}  // namespace
}  // namespace frugal::text
