#include <bit>
#include <cstring>
#include <fstream>

#include "base/file.h"
#include "base/hash.h"
#include "support/shared_data.h"
#include "text/tokenizer.h"

namespace frugal::text {
namespace {

namespace fs = std::filesystem;

std::string without_carriage_returns(std::string text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r' || i + 1 == text.size() || text[i + 1] != '\n') out.push_back(text[i]);
  }
  return out;
}

std::string hash_of_ids(const std::vector<TokenId>& ids) {
  static_assert(std::endian::native == std::endian::little);
  return base::sha256(std::string_view(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(TokenId)));
}

TEST(LoadTokenizer, EveryIdOfTheHeldOutNovelsIsTheReferences) {
  FRUGAL_SHARED_DATA_OR_SKIP(folder, "novels-7m/hf");
  FRUGAL_SHARED_DATA_OR_SKIP(novels, "english-novels-100");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, load_tokenizer(folder));
  struct Case {
    const char* name;
    size_t ids;
    const char* sha256;
  };
  // The model's README, made with Hugging Face tokenizers.
  const Case cases[] = {
      {"Bennet_Helen_1910.txt", 86668, "31a437c0bc7bcfd243a22073e25100a98cefd765117b253f22c191256b081ad2"},
      {"Woolf_Night_1919.txt", 253319, "399708d2edaf3936c3dde321f31184d521a5db41d449f39309047720ea5267d8"}};
  for (const Case& c : cases) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string raw, base::read_file(novels / c.name));
    const std::string text = without_carriage_returns(raw);
    const std::vector<TokenId> ids = tokenizer->encode(text, false);
    EXPECT_EQ(ids.size(), c.ids);
    EXPECT_EQ(hash_of_ids(ids), c.sha256) << c.name;
    EXPECT_EQ(tokenizer->decode(ids), text) << c.name;
  }
  EXPECT_EQ(tokenizer->encode("The carriage stopped before the old house, and", true),
            (std::vector<TokenId>{560, 2741, 2164, 664, 266, 650, 800, 14, 283}));
}

}  // namespace
}  // namespace frugal::text
