// That the halves have the ids of the whole is shown in encoding_stream_test.cpp; here: where a cut
// is found, and where none may be.
#include "text/cut_finder.h"

#include "golden_folder.h"
#include "support/shared_data.h"

namespace frugal::text {
namespace {

class Cuts {
 public:
  explicit Cuts(std::shared_ptr<const Tokenizer> tokenizer)
      : tokenizer_(std::move(tokenizer)),
        parts_(dynamic_cast<const PipelineTokenizer&>(*tokenizer_).parts()),
        raw_(matcher(false)),
        normalized_(matcher(true)),
        finder_(parts_, raw_, normalized_) {}

  size_t find(std::string_view text, bool continued = false) const {
    return finder_.find(text, continued);
  }

 private:
  AddedTokenMatcher matcher(bool normalized) const {
    AddedTokenMatcher matcher;
    for (const AddedToken& token : parts_.added) {
      if (token.normalized == normalized) matcher.add(token, token.content);
    }
    return matcher;
  }

  std::shared_ptr<const Tokenizer> tokenizer_;
  const TokenizerParts& parts_;
  AddedTokenMatcher raw_, normalized_;
  CutFinder finder_;
};

Cuts byte_level(const char* pattern) {
  BpeTrainerOptions options;
  options.vocabulary_size = 257;
  options.pre_tokenizer = pattern;
  return Cuts(train_bpe(std::vector<std::string>{}, options).value());
}

TEST(CutFinder, CutsWhereNoMatchSawTheEnd) {
  const Cuts cuts = byte_level("gpt-2");
  EXPECT_EQ(cuts.find("one two three"), 3u);  // " three" may go on, and so " two" is the last whole
  EXPECT_EQ(cuts.find("one two three ."), 7u);
  EXPECT_EQ(cuts.find("one two"), 0u);
  EXPECT_EQ(cuts.find("one"), 0u);
  EXPECT_EQ(cuts.find(""), 0u);
  EXPECT_EQ(cuts.find("12 one", true), 0u);
}

TEST(CutFinder, LeavesAddedTokensWhole) {
  const Cuts cuts = byte_level("gpt-2");
  const std::string_view text = "one two three<|endoftext|>";
  EXPECT_EQ(cuts.find(text), 3u);
  // What is begun might become a token: in front of it no cut, whatever the pattern says.
  for (size_t size = text.find('|') + 2; size < text.size(); ++size)
    EXPECT_EQ(cuts.find(text.substr(0, size)), 7u) << size;
}

TEST(CutFinder, DoesNotCutBehindSpacesOrBeforeWhatCombines) {
  const Cuts cuts = byte_level("qwen2");
  // The accent belongs to the e; the only other places are behind spaces.
  EXPECT_EQ(cuts.find("   e\u0301   "), 0u);
  EXPECT_EQ(cuts.find("日本語。日本語。日本語"), 0u);  // no ASCII character
  EXPECT_EQ(cuts.find("日本語. 日本語. 日本語"), 10u);
}

TEST(CutFinder, CutsWordsOfSentencePieceAtTheirMark) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto tokenizer,
                              load_tokenizer(golden_folder() / "small/spm_legacy.json"));
  const Cuts cuts(std::move(tokenizer));
  EXPECT_EQ(cuts.find("the cat sat on"), 11u);
  EXPECT_EQ(cuts.find("the  cat"), 3u);
  EXPECT_EQ(cuts.find("thecatsat"), 0u);
}

}  // namespace
}  // namespace frugal::text
