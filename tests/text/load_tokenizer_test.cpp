#include <bit>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/random.h"
#include "golden_folder.h"
#include "support/shared_data.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

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
  return base::sha256(
      std::string_view(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(TokenId)));
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
  const Case cases[] = {{"Bennet_Helen_1910.txt", 86668,
                         "31a437c0bc7bcfd243a22073e25100a98cefd765117b253f22c191256b081ad2"},
                        {"Woolf_Night_1919.txt", 253319,
                         "399708d2edaf3936c3dde321f31184d521a5db41d449f39309047720ea5267d8"}};
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

// A folder with links to files that lie elsewhere under other names.
class LinkedFolder {
 public:
  void link(const fs::path& from, const char* name) const {
    fs::create_symlink(from, folder_.path() / name);
  }
  void write(const char* name, const std::string& content) const {
    std::ofstream(folder_.path() / name) << content;
  }
  const fs::path& path() const { return folder_.path(); }

 private:
  test::TemporaryFolder folder_;
};

// What stands in the golden file under `key`, except cases whose text and ids agree.
void expect_goldens(const Tokenizer& tokenizer, const std::string& key) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json goldens,
                              base::read_json(golden_folder() / "goldens.json"));
  ASSERT_TRUE(goldens.contains(key)) << key;
  for (const base::Json& item : goldens[key]) {
    const auto text = item["text"].get<std::string>();
    const auto expected = item["ids"].get<std::vector<TokenId>>();
    const std::vector<TokenId> ids = tokenizer.encode(text, item["special"].get<bool>());
    EXPECT_EQ(ids, expected) << key << ": '" << text << "'";
    if (item.contains("decoded")) {
      // Hugging Face replaces bytes that are no character; we keep them.
      std::string repaired;
      const std::string decoded = tokenizer.decode(expected);
      EXPECT_EQ(repair_utf8(decoded, repaired), item["decoded"].get<std::string>())
          << key << ": '" << text << "'";
    }
  }
}

// llama.cpp's parity vectors: texts separated by a line, and a line of ids for each.
void expect_vectors(const Tokenizer& tokenizer, const std::string& name) {
  const fs::path folder = test::shared_data("llamacpp-vocabs");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string inputs,
                              base::read_file(folder / ("ggml-vocab-" + name + ".gguf.inp")));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string outputs,
                              base::read_file(folder / ("ggml-vocab-" + name + ".gguf.out")));
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  std::istringstream lines(outputs);
  size_t at = 0, cases = 0;
  for (size_t end; (end = inputs.find(kSeparator, at)) != std::string::npos;
       at = end + kSeparator.size()) {
    const std::string text = inputs.substr(at, end - at);
    std::string line;
    ASSERT_TRUE(std::getline(lines, line)) << name << " case " << cases;
    std::istringstream numbers(line);
    const std::vector<TokenId> expected(std::istream_iterator<TokenId>(numbers), {});
    EXPECT_EQ(tokenizer.encode(text, false), expected)
        << name << " case " << cases << ": '" << text << "'";
    ++cases;
  }
  EXPECT_EQ(cases, 46u);
}

TEST(LoadTokenizer, SmallTokenizersOfEveryComponentAgreeWithHuggingFace) {
  size_t count = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(golden_folder() / "small")) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, load_tokenizer(entry.path()));
    expect_goldens(*tokenizer, "small/" + entry.path().filename().string());
    ++count;
  }
  EXPECT_EQ(count, 23u);
}

TEST(LoadTokenizer, RealTokenizerJsonFilesAgreeWithHuggingFace) {
  FRUGAL_SHARED_DATA_OR_SKIP(novels, "novels-7m/hf/tokenizer.json");
  FRUGAL_SHARED_DATA_OR_SKIP(gpt2, "tokenizer-gpt2/tokenizer.json");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto own, load_tokenizer(novels));
  expect_goldens(*own, "novels-7m/hf/tokenizer.json");
  EXPECT_EQ(own->vocabulary().pre_tokenizer, "qwen2");
  EXPECT_EQ(own->size(), 4096);
  EXPECT_EQ(own->vocabulary().merges.size(), 3837u);
  EXPECT_EQ(own->vocabulary().bos, 0);
  EXPECT_FALSE(own->vocabulary().add_bos);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto phi, load_tokenizer(gpt2));
  expect_goldens(*phi, "tokenizer-gpt2/tokenizer.json");
  EXPECT_EQ(phi->vocabulary().pre_tokenizer, "gpt-2");
  EXPECT_EQ(phi->vocabulary().types[50257], PieceType::kUserDefined);
}

TEST(LoadTokenizer, Gpt2FilesAgreeWithLlamaCpp) {
  FRUGAL_SHARED_DATA_OR_SKIP(files, "tokenizer-gpt2");
  FRUGAL_SHARED_DATA_OR_SKIP(vectors, "llamacpp-vocabs");
  LinkedFolder folder;
  folder.link(files / "gpt2_vocab.json", "vocab.json");
  folder.link(files / "gpt2_merges.txt", "merges.txt");
  FRUGAL_EXPECT_ERROR(load_tokenizer(folder.path()), absl::StatusCode::kInvalidArgument,
                      "tokenizer_class");
  folder.write("tokenizer_config.json",
               R"({"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|endoftext|>"})");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, load_tokenizer(folder.path()));
  expect_vectors(*tokenizer, "gpt-2");
  EXPECT_EQ(tokenizer->vocabulary().eos, 50256);
}

TEST(LoadTokenizer, Llama3RanksAgreeWithLlamaCpp) {
  FRUGAL_SHARED_DATA_OR_SKIP(file, "tokenizer-llama3/tokenizer.model");
  FRUGAL_SHARED_DATA_OR_SKIP(vectors, "llamacpp-vocabs");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, load_tokenizer(file));
  expect_vectors(*tokenizer, "llama-bpe");
  const Vocabulary& vocabulary = tokenizer->vocabulary();
  EXPECT_EQ(tokenizer->size(), 128256);
  EXPECT_EQ(vocabulary.pre_tokenizer, "llama-bpe");
  EXPECT_EQ(vocabulary.merges.size(), 280147u);  // as in Meta's own tokenizer.json
  EXPECT_EQ(vocabulary.bos, 128000);
  EXPECT_EQ(tokenizer->encode("<|eot_id|>a", true), (std::vector<TokenId>{128000, 128009, 64}));
}

TEST(LoadTokenizer, Qwen2FilesAgreeWithLlamaCppAndHuggingFace) {
  FRUGAL_SHARED_DATA_OR_SKIP(files, "tokenizer-qwen2.5");
  FRUGAL_SHARED_DATA_OR_SKIP(vectors, "llamacpp-vocabs");
  LinkedFolder folder;
  folder.link(files / "vocab.json", "vocab.json");
  folder.link(files / "merges.txt", "merges.txt");
  folder.link(files / "qwen2.5_added_tokens.json", "added_tokens.json");
  folder.link(files / "qwen2-1.5b-instruct/tokenizer_config.json", "tokenizer_config.json");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, load_tokenizer(folder.path()));
  expect_vectors(*tokenizer, "qwen2");
  EXPECT_EQ(tokenizer->size(), 151665);
  EXPECT_EQ(tokenizer->vocabulary().pre_tokenizer, "qwen2");
  EXPECT_THAT(*tokenizer->vocabulary().chat.find("default"), ::testing::HasSubstr("<|im_start|>"));
  expect_goldens(*tokenizer, "tokenizer-qwen2.5");
}

TEST(LoadTokenizer, SentencePieceModelsAgreeWithLlamaCpp) {
  FRUGAL_SHARED_DATA_OR_SKIP(file, "tokenizer-llama2/tokenizer.model");
  FRUGAL_SHARED_DATA_OR_SKIP(export_of_it, "tokenizer-llama2/tokenizer.bin");
  FRUGAL_SHARED_DATA_OR_SKIP(vectors, "llamacpp-vocabs");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, load_tokenizer(file));
  expect_vectors(*tokenizer, "llama-spm");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto exported, load_tokenizer(export_of_it));
  expect_vectors(*exported, "llama-spm");
  EXPECT_EQ(exported->vocabulary().pieces, tokenizer->vocabulary().pieces);
  EXPECT_EQ(exported->vocabulary().types, tokenizer->vocabulary().types);
}

TEST(LoadTokenizer, SentencePieceModelsAgreeWithSentencePiece) {
  FRUGAL_SHARED_DATA_OR_SKIP(data, "tokenizer-mistral");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json goldens,
                              base::read_json(golden_folder() / "goldens.json"));
  size_t models = 0;
  for (const auto& [key, cases] : goldens.items()) {
    if (key.find(".model") == std::string::npos || key.starts_with("small/")) continue;
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, load_tokenizer(data.parent_path() / key));
    ++models;
    for (const base::Json& item : cases) {
      const auto text = item["text"].get<std::string>();
      // SentencePiece takes control pieces in a text for text.
      EXPECT_EQ(tokenizer->encode(text, false, false), item["ids"].get<std::vector<TokenId>>())
          << key << ": '" << text << "'";
    }
  }
  EXPECT_EQ(models, 7u);
}

TEST(LoadTokenizer, Llama2cFilesGiveOneIdPerUnknownCharacter) {
  FRUGAL_SHARED_DATA_OR_SKIP(stories, "stories260K/tok512.bin");
  FRUGAL_SHARED_DATA_OR_SKIP(babyllama, "babyllama-tok105/tok105.bin");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto small, load_tokenizer(stories));
  const std::vector<TokenId> ids = small->encode("Once upon a time there was a cat", true);
  const std::vector<TokenId> start = {1,   403, 407, 261, 378,
                                      383, 286, 261, 280, 294};  // the model's README
  ASSERT_GE(ids.size(), start.size());
  EXPECT_EQ(std::vector<TokenId>(ids.begin(), ids.begin() + 10), start);
  EXPECT_EQ(small->decode(ids), "Once upon a time there was a cat");
  EXPECT_EQ(small->encode("\n", false).back(), 3 + 10);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto characters, load_tokenizer(babyllama));
  EXPECT_EQ(characters->encode("Once upon a ", true),
            (std::vector<TokenId>{1, 3, 34, 9, 22, 4, 3, 18, 20, 7, 9, 3, 5, 3}));
  EXPECT_EQ(characters->encode("a\n\nb", false).size(), 5u);  // "▁a", and an id for each line feed
}

TEST(LoadTokenizer, SaysWhatItLookedFor) {
  test::TemporaryFolder folder;
  FRUGAL_EXPECT_ERROR(load_tokenizer(folder.path()), absl::StatusCode::kNotFound,
                      "looked for tokenizer.json");
  FRUGAL_EXPECT_ERROR(load_tokenizer(folder.path() / "none.json"), absl::StatusCode::kNotFound,
                      "no such file");
}

TEST(LoadTokenizer, ATokenizerLargerThanTheEmbeddingIsRefused) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                              load_tokenizer(golden_folder() / "small/spm_legacy.json"));
  FRUGAL_EXPECT_OK(check_fits(*tokenizer, tokenizer->size(), "model"));
  FRUGAL_EXPECT_OK(check_fits(*tokenizer, tokenizer->size() + 64, "model"));
  FRUGAL_EXPECT_ERROR(check_fits(*tokenizer, tokenizer->size() - 1, "some/model"),
                      absl::StatusCode::kInvalidArgument, "some/model");
}

// Damaged files must yield a Status or a tokenizer that works; anything else would end this
// process.
void mutate_and_load(const fs::path& original, const char* name, int rounds) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string content, base::read_file(original));
  test::TemporaryFolder folder;
  base::RandomStream random(7, std::string("fuzz/") + original.filename().string());
  int loaded = 0, refused = 0;
  for (int round = 0; round < rounds; ++round) {
    std::string damaged = content;
    if (random.below(4) == 0) damaged.resize(random.below(damaged.size()));
    for (uint64_t edits = 1 + random.below(6); edits > 0 && !damaged.empty(); --edits) {
      const size_t at = random.below(damaged.size());
      switch (random.below(4)) {
        case 0:
          damaged[at] = static_cast<char>(random.below(256));
          break;
        case 1:
          damaged.erase(at, 1 + random.below(8));
          break;
        case 2:
          damaged.insert(at, damaged.substr(random.below(damaged.size()), random.below(16)));
          break;
        default:
          damaged[at] = "0123456789-\"{}[],"[random.below(17)];
          break;
      }
    }
    const fs::path path = folder.path() / name;
    std::ofstream(path, std::ios::binary) << damaged;
    const auto tokenizer = load_tokenizer(path);
    if (!tokenizer.ok()) {
      EXPECT_FALSE(tokenizer.status().message().empty());
      ++refused;
      continue;
    }
    ++loaded;
    const std::vector<TokenId> ids =
        (*tokenizer)->encode("Hello <s> world\n \xF0\x9F\x99\x82 1234 \xFF", true);
    for (const TokenId id : ids) {
      EXPECT_GE(id, 0) << original;
      EXPECT_LT(id, (*tokenizer)->size()) << original;
    }
    EXPECT_EQ((*tokenizer)->encode((*tokenizer)->decode(ids), true).empty(), ids.empty());
  }
  if (rounds < 100) return;  // of large files few are tried, and those may all be refused
  // Else these edits would try only one of the two.
  EXPECT_GT(refused, 0) << original;
  EXPECT_GT(loaded, 0) << original;
}

TEST(LoadTokenizer, DamagedFilesNeverCrash) {
  mutate_and_load(golden_folder() / "small/spm_legacy.json", "tokenizer.json", 400);
  mutate_and_load(golden_folder() / "small/added_tokens.json", "tokenizer.json", 400);
  mutate_and_load(golden_folder() / "small/unigram.json", "tokenizer.json", 400);
  mutate_and_load(golden_folder() / "small/words_bert.json", "tokenizer.json", 200);
  mutate_and_load(golden_folder() / "small/sentencepiece_unigram.model", "tokenizer.model", 1000);
  FRUGAL_SHARED_DATA_OR_SKIP(model, "babyllama-tok105/tok105.model");
  FRUGAL_SHARED_DATA_OR_SKIP(binary, "stories260K/tok512.bin");
  FRUGAL_SHARED_DATA_OR_SKIP(real, "novels-7m/hf/tokenizer.json");
  FRUGAL_SHARED_DATA_OR_SKIP(llama2, "tokenizer-llama2/tokenizer.model");
  mutate_and_load(model, "tokenizer.model", 1000);
  mutate_and_load(binary, "tokenizer.bin", 300);
  mutate_and_load(real, "tokenizer.json", 25);
  mutate_and_load(llama2, "tokenizer.model", 10);
}

}  // namespace
}  // namespace frugal::text
