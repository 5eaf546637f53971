// Real weights against values that other programs computed: llama2.c, transformers, and the NumPy
// forward of golden/make_golden.py.
#include <c10/core/InferenceMode.h>

#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>

#include "model/generate.h"
#include "model/toy.h"

namespace frugal::model {
namespace {

namespace fs = std::filesystem;
using text::TokenId;

fs::path golden(std::string_view name) {
  const char* root = std::getenv("FRUGAL_SOURCE_DIR");
  const fs::path source =
      root != nullptr ? fs::path(root) / "tests/model" : fs::path(__FILE__).parent_path();
  return source / "golden" / name;
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw std::runtime_error("cannot read " + path.string() +
                             "; set FRUGAL_SOURCE_DIR to the source tree");
  return {std::istreambuf_iterator<char>(file), {}};
}

Decoder open_model(const fs::path& folder) {
  return Decoder::load(format::Checkpoint::open(folder).value(), {}).value();
}

at::Tensor one_row(const std::vector<int64_t>& ids) {
  return at::tensor(ids, at::kLong).unsqueeze(0);
}

// Sum over the rows [B, T] of -log p(ids[t] | ids[<t]), t >= 1.
double nll_sum(const Decoder& decoder, const at::Tensor& ids) {
  const c10::InferenceMode inference;
  const int64_t length = ids.size(1) - 1;
  const at::Tensor logits = decoder.logits({ids.narrow(1, 0, length), {}});
  return at::cross_entropy_loss(logits.flatten(0, 1), ids.narrow(1, 1, length).flatten(), {},
                                at::Reduction::Sum)
      .item<double>();
}

// Stories of the TinyStories sample, stripped of white space.
std::vector<std::string> stories(const fs::path& file, size_t count) {
  const std::string all = read_text(file), separator = "<|endoftext|>";
  std::vector<std::string> result;
  for (size_t begin = 0; result.size() < count;) {
    const size_t end = all.find(separator, begin);
    result.emplace_back(base::trim(std::string_view(all).substr(begin, end - begin)));
    begin = end + separator.size();
  }
  return result;
}

TEST(Stories260K, LogitsEqualTheReference) {
  FRUGAL_SHARED_DATA_OR_SKIP(folder, "stories260K/hf");
  const Decoder decoder = open_model(folder);
  const base::Json reference = base::Json::parse(read_text(golden("stories260k.json")));
  const at::Tensor logits = decoder.logits({one_row(reference["logits_ids"]), {}})[0][-1];
  EXPECT_EQ(logits.argmax().item<int64_t>(), 395);
  EXPECT_NEAR(logits[395].item<double>(), 12.582746, 1e-4);
  const at::Tensor expected =
      at::tensor(reference["logits"].get<std::vector<double>>(), at::kDouble);
  EXPECT_LT(toy::largest_difference(logits, expected), 1e-4);
}

TEST(Stories260K, LikelihoodOfStoriesEqualsTheReference) {
  FRUGAL_SHARED_DATA_OR_SKIP(folder, "stories260K/hf");
  const Decoder decoder = open_model(folder);
  const base::Json reference = base::Json::parse(read_text(golden("stories260k.json")));
  double sum = 0;
  int64_t predictions = 0;
  for (const base::Json& row : reference["ids"]) {
    const at::Tensor ids = one_row(row);
    sum += nll_sum(decoder, ids);
    predictions += ids.size(1) - 1;
  }
  EXPECT_EQ(predictions, reference["predictions"].get<int64_t>());
  // Means over thousands of predictions of fp32 errors of 1e-6: far inside what a wrong model would
  // show.
  EXPECT_NEAR(sum / static_cast<double>(predictions), reference["nll"].get<double>(), 1e-5);
}

TEST(BabyLlama, LogitsAndLikelihoodEqualTheReference) {
  FRUGAL_SHARED_DATA_OR_SKIP(folder, "babyllama-tok105");
  FRUGAL_SHARED_DATA_OR_SKIP(sample, "tinystories/tinystories_sample_2MiB.txt");
  const Decoder decoder = open_model(folder / "hf");
  const at::Tensor logits =
      decoder.logits({one_row({1, 3, 34, 9, 22, 4, 3, 18, 20, 7, 9, 3, 5, 3}), {}})[0][-1];
  EXPECT_EQ(logits.argmax().item<int64_t>(), 6);
  EXPECT_NEAR(logits[6].item<double>(), 10.603493, 1e-4);

  // One id per character; spaces are U+2581, characters that the vocabulary lacks are 0.
  std::map<std::string, int64_t> index;
  std::ifstream vocabulary(folder / "tok105.vocab");
  int64_t count = 0;
  for (std::string line; std::getline(vocabulary, line); ++count)
    index[line.substr(0, line.find('\t'))] = count;
  std::vector<int64_t> ids;
  for (const std::string& story : stories(sample, 300)) {
    std::vector<int64_t> row = {1, index.at("▁")};
    for (size_t at = 0; at < story.size() && row.size() < 256;) {
      const auto lead = static_cast<unsigned char>(story[at]);
      const size_t bytes = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
      const std::string character = story[at] == ' ' ? "▁" : story.substr(at, bytes);
      const auto found = index.find(character);
      row.push_back(found == index.end() ? 0 : found->second);
      at += bytes;
    }
    ASSERT_EQ(row.size(), 256u);
    ids.insert(ids.end(), row.begin(), row.end());
  }
  const at::Tensor rows = at::tensor(ids, at::kLong).view({300, 256});
  double sum = 0;
  for (int64_t i = 0; i < 300; i += 20) sum += nll_sum(decoder, rows.narrow(0, i, 20));
  EXPECT_NEAR(sum / 76500.0, 0.762252, 1e-5);
}

TEST(Novels7M, NextTokenAndGreedyContinuationEqualTransformers) {
  FRUGAL_SHARED_DATA_OR_SKIP(folder, "novels-7m/hf");
  const Decoder decoder = open_model(folder);
  const std::vector<int64_t> prompt = {560, 2741, 2164, 664, 266, 650, 800, 14, 283};
  const at::Tensor logits = decoder.logits({one_row(prompt), {}})[0][-1];
  const std::map<int64_t, double> expected = {
      {266, 5.69938}, {201, 4.52204}, {634, 4.22867}, {764, 4.03048}, {315, 3.98241}};
  for (const auto& [id, value] : expected)
    EXPECT_NEAR(logits[id].item<double>(), value, 1e-4) << id;
  const at::Tensor best = std::get<1>(logits.topk(5));
  for (int64_t i = 0; i < 5; ++i) EXPECT_TRUE(expected.contains(best[i].item<int64_t>()));

  const std::vector<TokenId> continuation = {266,  201,  85,  500, 541, 932, 14,  453,
                                             315,  1896, 296, 266, 868, 14,  283, 315,
                                             1089, 361,  266, 201, 85,  500, 14,  283};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto generated,
                              generate(decoder, {{prompt.begin(), prompt.end()}},
                                       {.max_new_tokens = 24}, base::RandomStream(1, "unused")));
  EXPECT_EQ(generated.at(0), continuation);
}

TEST(Novels7M, LikelihoodOfAHeldOutNovelEqualsTransformers) {
  FRUGAL_SHARED_DATA_OR_SKIP(folder, "novels-7m/hf");
  const Decoder decoder = open_model(folder);
  const std::string bytes = read_text(golden("helen.u16"));
  ASSERT_EQ(bytes.size(), 2u * 20480u);
  at::Tensor ids = at::empty({80, 256}, at::kLong);
  for (int64_t i = 0; i < ids.numel(); ++i) {
    const auto low = static_cast<unsigned char>(bytes[static_cast<size_t>(2 * i)]);
    const auto high = static_cast<unsigned char>(bytes[static_cast<size_t>(2 * i + 1)]);
    ids.mutable_data_ptr<int64_t>()[i] = low + 256 * high;
  }
  double sum = 0;
  for (int64_t i = 0; i < 80; i += 8) sum += nll_sum(decoder, ids.narrow(0, i, 8));
  EXPECT_NEAR(sum / 20400.0, 3.848142, 1e-5);
}

}  // namespace
}  // namespace frugal::model
