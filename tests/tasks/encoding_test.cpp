#include "tasks/encoding.h"

#include "support/shared_data.h"

namespace frugal::tasks {
namespace {

using Ids = std::vector<text::TokenId>;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// One id for each byte; a space joins the letter behind it, as in GPT-2. "<s>" is 1.
class Letters : public text::Tokenizer {
 public:
  explicit Letters(bool add_bos) {
    vocabulary_.bos = 1;
    vocabulary_.add_bos = add_bos;
  }
  Ids encode(std::string_view text, bool add_special, bool) const override {
    Ids ids;
    if (add_special && vocabulary_.add_bos) ids.push_back(1);
    for (size_t i = 0; i < text.size(); ++i) {
      if (text.substr(i).starts_with("<s>")) {
        ids.push_back(1);
        i += 2;
      } else if (text[i] == ' ' && i + 1 < text.size() && text[i + 1] != ' ') {
        ids.push_back(1000 + text[++i]);
      } else {
        ids.push_back(text[i]);
      }
    }
    return ids;
  }
  std::string decode(std::span<const text::TokenId>, bool) const override { return "<s>"; }
  const text::Vocabulary& vocabulary() const override { return vocabulary_; }
  text::Vocabulary& change() { return vocabulary_; }

 private:
  text::Vocabulary vocabulary_;
};

void expect(const absl::StatusOr<EncodedRequest>& request, const Ids& ids, int64_t scored) {
  FRUGAL_ASSERT_OK(request);
  EXPECT_EQ(request->ids, ids);
  EXPECT_EQ(request->scored, scored);
}

TEST(EncodeRequest, MovesSpacesToTheContinuation) {
  const Letters plain(false);
  expect(encode_request(plain, "a", " b", 8), {'a', 1000 + 'b'}, 1);
  expect(encode_request(plain, "a ", "b", 8), {'a', 1000 + 'b'}, 1);
  expect(encode_request(plain, "a  \n", "b", 8), {'a', ' ', 1000 + '\n', 'b'}, 3);
}

TEST(EncodeRequest, PutsSpecialTokensAsTheTokenizerDoes) {
  const Letters bos(true), plain(false);
  expect(encode_request(bos, "a", "b", 8), {1, 'a', 'b'}, 1);
  expect(encode_request(bos, "<s>a", "b", 8), {1, 'a', 'b'}, 1);  // has its own
  expect(encode_request(plain, "", "bc", 8), {1, 'b', 'c'}, 2);
  expect(encode_request(bos, "", "bc", 8), {1, 'b', 'c'}, 2);
  expect(encode_request(bos, "", "<s>c", 8), {1, 'c'}, 1);
  expect(encode_request(plain, "  ", "b", 8), {1, ' ', 1000 + 'b'}, 2);
  Letters without(false);
  without.change().bos.reset();
  FRUGAL_EXPECT_ERROR(encode_request(without, "", "b", 8), kInvalid, "neither a begin nor an end");
  without.change().eos = 2;
  expect(encode_request(without, "", "b", 8), {2, 'b'}, 1);
}

TEST(EncodeRequest, LosesItsBeginningWhereItIsTooLong) {
  const Letters plain(false);
  expect(encode_request(plain, "abcdef", "gh", 4), {'d', 'e', 'f', 'g', 'h'}, 2);
  expect(encode_request(plain, "ab", "cdef", 4), {'b', 'c', 'd', 'e', 'f'}, 4);
  FRUGAL_EXPECT_ERROR(encode_request(plain, "ab", "cdefg", 4), kInvalid,
                      "the continuation has 5 tokens, the model's context holds 4");
  FRUGAL_EXPECT_ERROR(encode_request(plain, "ab", "", 4), kInvalid, "no token of its own");
}

TEST(EncodeRolling, ScoresEveryIdOnce) {
  const Letters plain(false), bos(true);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto windows, encode_rolling(plain, "abcdefg", 3));
  ASSERT_EQ(windows.size(), 3u);
  EXPECT_EQ(windows[0].ids, (Ids{1, 'a', 'b', 'c'}));
  EXPECT_EQ(windows[1].ids, (Ids{'c', 'd', 'e', 'f'}));
  EXPECT_EQ(windows[2].ids, (Ids{'d', 'e', 'f', 'g'}));  // filled up from the left
  EXPECT_EQ(windows[1].scored, 3);
  EXPECT_EQ(windows[2].scored, 1);
  // As in the original, the tokenizer's own BOS is scored behind the prefix.
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto doubled, encode_rolling(bos, "a", 3));
  EXPECT_EQ(doubled[0].ids, (Ids{1, 1, 'a'}));
  EXPECT_EQ(doubled[0].scored, 2);
  EXPECT_TRUE(encode_rolling(plain, "", 3)->empty());
}

TEST(EncodeContext, LeavesRoomForTheAnswer) {
  const Letters plain(false);
  EXPECT_EQ(encode_context(plain, "abcdef", 2, 5).value(), (Ids{'d', 'e', 'f'}));
  EXPECT_EQ(encode_context(plain, "ab", 2, 5).value(), (Ids{'a', 'b'}));
  FRUGAL_EXPECT_ERROR(encode_context(plain, "ab", 5, 5), kInvalid, "leave no room for a question");
}

}  // namespace
}  // namespace frugal::tasks
