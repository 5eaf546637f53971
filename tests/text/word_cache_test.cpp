#include "text/word_cache.h"

#include "base/random.h"
#include "support/shared_data.h"

namespace frugal::text {
namespace {

TEST(WordCache, GivesWhatWasStoredOrNothing) {
  WordCache cache;
  base::RandomStream random(5, "word-cache");
  base::string_map<std::vector<TokenId>> stored;
  size_t found = 0;
  for (int round = 0; round < 200000; ++round) {
    std::string word(1 + random.below(WordCache::kMaxBytes), '\0');
    for (char& c : word) c = static_cast<char>(random.below(round % 2 == 0 ? 3 : 256));
    const WordCache::Key key(word);
    std::vector<TokenId> ids = {-1};
    if (cache.find(key, ids)) {
      ids.erase(ids.begin());
      ASSERT_EQ(ids, stored.at(word));
      ++found;
      continue;
    }
    std::vector<TokenId> fresh(random.below(WordCache::kMaxIds + 1));
    for (TokenId& id : fresh) id = static_cast<TokenId>(random.below(1 << 20));
    cache.store(key, fresh);
    stored[word] = fresh;
    ids.clear();
    ASSERT_TRUE(cache.find(key, ids));
    ASSERT_EQ(ids, fresh);
  }
  EXPECT_GT(found, 1000u);  // short words of three letters recur
}

TEST(WordCache, WordsOfManyIdsAreNotHeld) {
  WordCache cache;
  const WordCache::Key key("word");
  cache.store(key, std::vector<TokenId>(WordCache::kMaxIds + 1, 3));
  std::vector<TokenId> ids;
  EXPECT_FALSE(cache.find(key, ids));
  EXPECT_TRUE(ids.empty());
}

TEST(WordCache, ZeroBytesCount) {
  WordCache cache;
  using namespace std::string_view_literals;
  cache.store(WordCache::Key("a\0"sv), std::vector<TokenId>{1});
  std::vector<TokenId> ids;
  EXPECT_FALSE(cache.find(WordCache::Key("a"), ids));
  EXPECT_FALSE(cache.find(WordCache::Key("a\0\0"sv), ids));
  EXPECT_TRUE(cache.find(WordCache::Key("a\0"sv), ids));
}

}  // namespace
}  // namespace frugal::text
