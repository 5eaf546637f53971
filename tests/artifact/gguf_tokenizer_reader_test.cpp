#include "artifact/gguf/gguf_tokenizer_reader.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>

#include "artifact/gguf/gguf_tokenizer.h"
#include "base/file.h"
#include "gguf_files.h"
#include "text/pipeline_tokenizer.h"

namespace frugal::artifact {
namespace {

using namespace frugal::test;
namespace fs = std::filesystem;
using Loaded = std::shared_ptr<const text::Tokenizer>;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// What an import of the file's tokenizer gives, by way of the files.
absl::StatusOr<Loaded> imported(const fs::path& file, const fs::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(const auto gguf, format::GgufFile::open(file));
  const GgufValues values(gguf, "x.gguf");
  FRUGAL_ASSIGN_OR_RETURN(const auto* const pieces, values.texts("tokenizer.ggml.tokens"));
  const auto rows = pieces == nullptr ? int64_t{0} : static_cast<int64_t>(pieces->size());
  FRUGAL_ASSIGN_OR_RETURN(const GgufTokenizer tokenizer, read_gguf_tokenizer(values, rows));
  FRUGAL_RETURN_IF_ERROR(text::save_definition(tokenizer.definition, tokenizer.special, folder));
  return text::load_tokenizer(folder);
}

// A tokenizer by way of a GGUF file that export writes.
absl::StatusOr<Loaded> through_gguf(const text::Tokenizer& tokenizer, const fs::path& folder,
                                    const char* architecture) {
  architecture::ModelConfig config = architecture::make_decoder(1, {});
  config.vocabulary_size = tokenizer.size() + 3;  // an embedding is often padded
  GgufContent content;
  content.metadata.emplace_back("general.architecture", std::string(architecture));
  FRUGAL_RETURN_IF_ERROR(add_tokenizer(config, tokenizer, {}, content.metadata));
  write_gguf_content(folder / "x.gguf", content);
  return imported(folder / "x.gguf", folder / "imported");
}

// llama.cpp's parity vectors: texts separated by a line, and a line of ids for each.
void expect_vectors(const text::Tokenizer& tokenizer, const std::string& name) {
  const fs::path folder = shared_data("llamacpp-vocabs");
  const std::string inputs = base::read_file(folder / ("ggml-vocab-" + name + ".gguf.inp")).value();
  std::istringstream lines(base::read_file(folder / ("ggml-vocab-" + name + ".gguf.out")).value());
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  size_t at = 0, cases = 0;
  for (size_t end; (end = inputs.find(kSeparator, at)) != std::string::npos;
       at = end + kSeparator.size(), ++cases) {
    const std::string text = inputs.substr(at, end - at);
    std::string line;
    ASSERT_TRUE(std::getline(lines, line)) << name << " case " << cases;
    std::istringstream numbers(line);
    const std::vector<text::TokenId> expected(std::istream_iterator<text::TokenId>(numbers), {});
    EXPECT_EQ(tokenizer.encode(text, false), expected) << name << ": '" << text << "'";
  }
  EXPECT_EQ(cases, 46u);
}

TEST(GgufTokenizers, VocabulariesOfLlamaCppPassItsVectors) {
  FRUGAL_SHARED_DATA_OR_SKIP(files, "llamacpp-vocabs");
  for (const char* name : {"gpt-2", "llama-spm"}) {
    TemporaryFolder folder;
    FRUGAL_ASSERT_OK_AND_ASSIGN(
        const auto tokenizer,
        imported(files / (std::string("ggml-vocab-") + name + ".gguf"), folder.path()));
    expect_vectors(*tokenizer, name);
  }
}

// Every id of a text of many kinds.
std::string mixed_text() {
  std::string text =
      "  two spaces, café, cafe\u0301, 1234567 naïve—dash\t\ttabs\n\n\nlines 东京 🙂🙃 ";
  text += "don't I'LL \u00a0 x=y*2; // code <b>{\"k\": [1,2]}</b> \u0421\u043b\u043e\u0432\u043e ";
  const fs::path novel = shared_data("wikitext-2/wiki.test.raw");
  if (!novel.empty()) text += base::read_file(novel).value().substr(0, 200'000);
  return text;
}

TEST(GgufTokenizers, PublishedTokenizersComeBackFromAnExport) {
  struct Case {
    const char *path, *vectors, *architecture;
  };
  const std::string text = mixed_text();
  size_t found = 0;
  for (const Case& one : {Case{"tokenizer-llama3/tokenizer.model", "llama-bpe", "llama"},
                          Case{"tokenizer-llama2/tokenizer.model", "llama-spm", "llama"},
                          Case{"tokenizer-gpt2/tokenizer.json", "", "llama"},
                          Case{"novels-7m/hf/tokenizer.json", "", "llama"}}) {
    const fs::path path = shared_data(one.path);
    if (path.empty()) continue;
    ++found;
    TemporaryFolder folder;
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto original, text::load_tokenizer(path));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto copy,
                                through_gguf(*original, folder.path(), one.architecture));
    EXPECT_EQ(copy->encode(text, true), original->encode(text, true)) << one.path;
    EXPECT_EQ(copy->decode(copy->encode(text, false)),
              original->decode(original->encode(text, false)));
    EXPECT_EQ(copy->vocabulary().pieces, original->vocabulary().pieces) << one.path;
    EXPECT_EQ(copy->vocabulary().pre_tokenizer, original->vocabulary().pre_tokenizer) << one.path;
    EXPECT_EQ(copy->vocabulary().add_bos, original->vocabulary().add_bos) << one.path;
    if (*one.vectors != '\0') expect_vectors(*copy, one.vectors);
  }
  if (found == 0) {
    ASSERT_FALSE(data_required()) << "FRUGAL_REQUIRE_DATA=1, but no tokenizer is there";
    GTEST_SKIP() << "real tokenizers are not on this machine";
  }
}

// A small vocabulary in the file's words.
class GgufTokenizerReader : public ::testing::Test {
 protected:
  GgufTokenizerReader() {
    content_.metadata = {
        {"tokenizer.ggml.model", std::string("llama")},
        {"tokenizer.ggml.tokens",
         std::vector<std::string>{"<unk>", "<s>", "</s>", "<0x41>", "▁", "a", "b", "▁a", "ab",
                                  "<user>", "[PAD10]"}},
        {"tokenizer.ggml.scores", std::vector<float>{0, 0, 0, 0, -9, -8, -7, -1, -2, 0, -1000}},
        {"tokenizer.ggml.token_type", std::vector<int32_t>{2, 3, 3, 6, 1, 1, 1, 1, 1, 4, 5}},
        {"tokenizer.ggml.bos_token_id", uint32_t{1}},
        {"tokenizer.ggml.eos_token_id", uint32_t{2}},
        {"tokenizer.ggml.unknown_token_id", uint32_t{0}}};
  }
  absl::StatusOr<Loaded> read() {
    write_gguf_content(folder_.path() / "x.gguf", content_);
    return imported(folder_.path() / "x.gguf", folder_.path() / "imported");
  }
  void expect(absl::StatusCode code, const char* text) { FRUGAL_EXPECT_ERROR(read(), code, text); }
  TemporaryFolder folder_;
  GgufContent content_;
};

TEST_F(GgufTokenizerReader, ScoresBytesTypesAndRules) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, read());
  const text::Vocabulary& vocabulary = tokenizer->vocabulary();
  EXPECT_EQ(tokenizer->size(), 10);  // the row of [PAD10] has no piece
  EXPECT_EQ(vocabulary.types[0], text::PieceType::kUnknown);
  EXPECT_EQ(vocabulary.types[1], text::PieceType::kControl);
  EXPECT_EQ(vocabulary.types[3], text::PieceType::kByte);
  EXPECT_EQ(vocabulary.types[9], text::PieceType::kUserDefined);
  // BOS in front, a space before the text and behind a special piece; "▁a" goes before "ab".
  EXPECT_EQ(tokenizer->encode("ab", true), (std::vector<text::TokenId>{1, 7, 6}));
  EXPECT_EQ(tokenizer->encode("A<user>ab", false), (std::vector<text::TokenId>{4, 3, 9, 7, 6}));
  EXPECT_EQ(tokenizer->encode("é", false), (std::vector<text::TokenId>{4, 0}));  // no such bytes
  EXPECT_EQ(tokenizer->decode(std::vector<text::TokenId>{7, 6}), "ab");
}

TEST_F(GgufTokenizerReader, WithoutASpaceInFrontAndWithAnEnd) {
  content_.value("tokenizer.ggml.add_space_prefix") = false;
  content_.value("tokenizer.ggml.add_bos_token") = false;
  content_.value("tokenizer.ggml.add_eos_token") = true;
  content_.value("tokenizer.chat_template") = std::string("{{ messages }}");
  content_.value("tokenizer.chat_template.tool_use") = std::string("{{ tools }}");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, read());
  EXPECT_EQ(tokenizer->encode("ab", true), (std::vector<text::TokenId>{8, 2}));
  EXPECT_FALSE(tokenizer->vocabulary().add_bos);
  EXPECT_TRUE(tokenizer->vocabulary().add_eos);
  EXPECT_EQ(*tokenizer->vocabulary().chat.find("default"), "{{ messages }}");
  const auto config =
      base::read_json(folder_.path() / "imported" / "tokenizer_config.json").value();
  EXPECT_EQ(config["chat_template"][1]["name"], "tool_use");
}

TEST_F(GgufTokenizerReader, Phi3sControlPiecesSwallowTheSpaceBehindThem) {
  content_.value("general.name") = std::string("Phi-3 mini");
  content_.value("tokenizer.ggml.add_space_prefix") = false;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, read());
  EXPECT_EQ(tokenizer->encode("</s>  ab", false), (std::vector<text::TokenId>{2, 8}));
  EXPECT_EQ(tokenizer->encode("<s> ab", false), (std::vector<text::TokenId>{1, 7, 6}));
}

TEST_F(GgufTokenizerReader, NamesWhatIsMissingOrWrong) {
  const auto changed = [&](const char* key, format::GgufValue value, absl::StatusCode code,
                           const char* text) {
    const format::GgufValue before = content_.value(key);
    content_.value(key) = std::move(value);
    expect(code, text);
    content_.value(key) = before;
  };
  constexpr auto kUnimplemented = absl::StatusCode::kUnimplemented;
  changed("tokenizer.ggml.model", std::string("t5"), kUnimplemented,
          "its tokenizer is of the kind 't5'; frugal reads gpt2");
  changed("tokenizer.ggml.model", std::string("gpt2"), kInvalid, "'tokenizer.ggml.pre' is missing");
  changed("tokenizer.ggml.scores", std::vector<float>(11, NAN), kInvalid,
          "'tokenizer.ggml.scores' of id 0 is no number");
  changed("tokenizer.ggml.token_type", std::vector<int32_t>(11, 7), kInvalid,
          "'tokenizer.ggml.token_type' of id 0 is 7");
  changed("tokenizer.ggml.add_bos_token", uint32_t{1}, kInvalid,
          "'tokenizer.ggml.add_bos_token' is of another type");
  std::vector<std::string> pieces(11, std::string(5000, 'a'));
  for (size_t i = 0; i < pieces.size(); ++i) pieces[i][0] = static_cast<char>('b' + i);
  changed("tokenizer.ggml.tokens", pieces, kInvalid,
          "the piece with id 0 has 5000 bytes; at most 4096");
  content_.erase("tokenizer.ggml.add_bos_token");
  content_.erase("tokenizer.ggml.scores");
  expect(kInvalid, "'tokenizer.ggml.scores' is missing");
  content_.value("tokenizer.ggml.model") = std::string("gpt2");
  content_.value("tokenizer.ggml.pre") = std::string("whale");
  expect(kUnimplemented, "pre-tokenizer 'whale' is not known; frugal reads gpt-2");
  content_.value("tokenizer.ggml.pre") = std::string("gpt-2");
  expect(kInvalid, "'tokenizer.ggml.merges' is missing");
  content_.value("tokenizer.ggml.merges") = std::vector<std::string>{"a b", "ab"};
  expect(kInvalid, "merge 1 of 'tokenizer.ggml.merges' is 'ab'");
  content_.value("tokenizer.ggml.merges") = std::vector<std::string>{"a c"};
  expect(kInvalid, "the vocabulary lacks one of the parts");
  content_.erase("tokenizer.ggml.tokens");
  for (const char* key : {"token_type", "bos_token_id", "eos_token_id", "unknown_token_id"})
    content_.erase(std::string("tokenizer.ggml.") + key);
  expect(kInvalid, "it has no tokenizer");
}

TEST_F(GgufTokenizerReader, PiecesAndRowsAgree) {
  write_gguf_content(folder_.path() / "x.gguf", content_);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto file, format::GgufFile::open(folder_.path() / "x.gguf"));
  FRUGAL_EXPECT_ERROR(
      read_gguf_tokenizer(GgufValues(file, "x.gguf"), 12), kInvalid,
      "x.gguf: 'tokenizer.ggml.tokens' has 11 pieces, but the embedding has 12 rows");
}

}  // namespace
}  // namespace frugal::artifact
