// Two published GGUF files, imported: what transformers computes in fp32 of their decoded weights,
// and llama.cpp's ids of their texts (real-models/ of the shared material).
#include "support/real_models.h"

#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "artifact/gguf/gguf_model.h"
#include "artifact/importer.h"
#include "base/file.h"
#include "base/json.h"
#include "format/checkpoint.h"
#include "model/decoder.h"
#include "model/generate.h"
#include "support/shared_data.h"
#include "tensor/aten.h"
#include "text/tokenizer.h"

namespace frugal::artifact {
namespace {

using namespace frugal::test;
namespace fs = std::filesystem;
using base::Json;
using text::TokenId;

constexpr double kTolerance = 1e-4;  // of -log p, between two fp32 forwards
constexpr double kOfMeans = 1e-5;    // five digits of a perplexity
constexpr double kWritten = 5e-6;    // the references have five decimals

struct Imported {
  format::Checkpoint checkpoint;
  model::Decoder decoder;
  std::shared_ptr<const text::Tokenizer> tokenizer;
};

Imported import(const fs::path& file, const fs::path& folder) {
  fs::create_directories(folder);
  FRUGAL_EXPECT_OK(kGgufImporter.write(file, folder));
  format::Checkpoint checkpoint = format::Checkpoint::open(folder).value();
  model::Decoder decoder = model::Decoder::load(checkpoint, {}).value();
  return {std::move(checkpoint), std::move(decoder), text::load_tokenizer(folder).value()};
}

// What the references may say of a token. They were made in fp32, whose sum over all pieces loses
// what is below half a unit of the last place of the sum so far: `loss` is how much -log p falls
// short of the true one when eight lanes are added up term by term, as ATen does with the fewest
// lanes that it has. It grows with the vocabulary: 2e-5 for 49152 pieces, 1e-4 for 262144.
struct NegativeLog {
  double value = 0;
  double loss = 0;
};

double sum_in_lanes(const float* terms, int64_t count) {
  constexpr int64_t kLanes = 8;
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += terms[i + lane];
  }
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  for (; i < count; ++i) sum += terms[i];
  return static_cast<double>(sum);
}

// -log p of each next id, from logits a few places at a time: a row of them takes a megabyte.
std::vector<NegativeLog> nll_of_each_next(const model::Decoder& decoder,
                                          const std::vector<int64_t>& ids) {
  const c10::InferenceMode inference;
  const at::Tensor hidden = decoder.hidden({.ids = at::tensor(ids).unsqueeze(0)})[0];
  const auto count = static_cast<int64_t>(ids.size()) - 1;
  std::vector<NegativeLog> result;
  for (int64_t begin = 0; begin < count; begin += 64) {
    const at::Tensor logits =
        decoder.logits_of(hidden.narrow(0, begin, std::min<int64_t>(64, count - begin)));
    const at::Tensor shifted = logits - std::get<0>(logits.max(-1, /*keepdim=*/true));
    const at::Tensor terms = shifted.exp().contiguous();
    const at::Tensor sums = terms.sum(-1, /*keepdim=*/false, at::kDouble);
    for (int64_t i = 0; i < terms.size(0); ++i) {
      const double sum = sums[i].item<double>();
      const double lanes = sum_in_lanes(terms[i].const_data_ptr<float>(), terms.size(1));
      const double own = shifted[i][ids[static_cast<size_t>(begin + i) + 1]].item<double>();
      result.push_back({std::log(sum) - own, std::max(0.0, std::log(sum / lanes))});
    }
  }
  return result;
}

// How far `reference` lies outside of what fp32 can have made of the true value.
double distance(const NegativeLog& found, double reference) {
  return std::max({0.0, reference - found.value, found.value - found.loss - reference});
}

void expect_case(const Imported& model, const std::string& name, const Json& one) {
  const auto ids = one.at("ids").get<std::vector<int64_t>>();
  const auto text = one.at("text").get<std::string>();
  const auto encoded = model.tokenizer->encode(text, true);
  EXPECT_EQ(std::vector<int64_t>(encoded.begin(), encoded.end()), ids) << name;

  const auto expected = one.at("nll_of_each_next").get<std::vector<double>>();
  const std::vector<NegativeLog> found = nll_of_each_next(model.decoder, ids);
  ASSERT_EQ(found.size(), expected.size()) << name;
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_LE(distance(found[i], expected[i]), kTolerance + kWritten) << name << " " << i;

  const c10::InferenceMode inference;
  const at::Tensor last = model.decoder.logits({.ids = at::tensor(ids).unsqueeze(0)})[0][-1];
  const auto top = std::get<1>(last.topk(5)).contiguous();
  const int64_t* first = top.const_data_ptr<int64_t>();
  EXPECT_EQ(std::vector<int64_t>(first, first + 5),
            one.at("last_top5_ids").get<std::vector<int64_t>>())
      << name;

  model::GenerateOptions options;
  options.max_new_tokens = 24;
  options.ignore_stop = true;
  const auto greedy =
      model::generate(model.decoder, {encoded}, options, base::RandomStream(1, "greedy"));
  FRUGAL_ASSERT_OK(greedy);
  const std::vector<TokenId>& made = greedy->front();
  EXPECT_EQ(std::vector<int64_t>(made.begin(), made.end()),
            one.at("greedy_24").get<std::vector<int64_t>>())
      << name;
}

// Perplexity of the first windows of WikiText-2's test text.
void expect_windows(const Imported& model, const Json& windows) {
  const fs::path wikitext = shared_data("wikitext-2/wiki.test.raw");
  ASSERT_FALSE(wikitext.empty());
  const std::string text = base::read_file(wikitext).value();
  const auto encoded = model.tokenizer->encode(text, false);
  const auto first = windows.at("first_20_ids").get<std::vector<TokenId>>();
  EXPECT_TRUE(std::equal(first.begin(), first.end(), encoded.begin()));
  const auto means = windows.at("window_mean_nll").get<std::vector<double>>();
  constexpr size_t kLength = 512;
  NegativeLog all;
  for (size_t window = 0; window < means.size(); ++window) {
    const std::vector<int64_t> ids(
        encoded.begin() + static_cast<std::ptrdiff_t>(window * kLength),
        encoded.begin() + static_cast<std::ptrdiff_t>((window + 1) * kLength));
    NegativeLog mean;
    for (const NegativeLog& each : nll_of_each_next(model.decoder, ids)) {
      mean.value += each.value / static_cast<double>(kLength - 1);
      mean.loss += each.loss / static_cast<double>(kLength - 1);
    }
    EXPECT_LE(distance(mean, means[window]), kOfMeans) << window;
    all.value += mean.value / static_cast<double>(means.size());
    all.loss += mean.loss / static_cast<double>(means.size());
  }
  // Perplexity to five digits.
  EXPECT_LE(distance(all, std::log(windows.at("perplexity").get<double>())), kOfMeans);
}

void expect_reference(const fs::path& file, std::string_view name) {
  const fs::path reference = shared_data("real-models/" + std::string(name) + ".reference.json");
  if (reference.empty()) {
    ASSERT_FALSE(models_required()) << "no real-models below FRUGAL_SHARED_DATA";
    GTEST_SKIP() << "the references are not on this machine";
  }
  const Json json = base::read_json(reference).value();
  const TemporaryFolder folder;
  const Imported model = import(file, folder.path() / "model");
  for (const auto& [key, one] : json.at("cases").items()) expect_case(model, key, one);
  expect_windows(model, json.at("wikitext_first_20_windows_of_512"));
}

TEST(RealModels, SmolLm2IsWhatItsFileSays) {
  FRUGAL_REAL_MODEL_OR_SKIP(file, kSmolLm2File);
  expect_reference(file, "smollm2");
}

TEST(RealModels, Gemma3IsWhatItsFileSays) {
  FRUGAL_REAL_MODEL_OR_SKIP(file, kGemma3File);
  expect_reference(file, "gemma3");
}

// Every tensor of the file, byte for byte.
void expect_same_tensors(const fs::path& file) {
  const TemporaryFolder folder;
  const fs::path model = folder.path() / "model", again = folder.path() / "again.gguf";
  fs::create_directories(model);
  FRUGAL_ASSERT_OK(kGgufImporter.write(file, model));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, format::Checkpoint::open(model));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, text::load_tokenizer(model));
  FRUGAL_ASSERT_OK(write_gguf(checkpoint, *tokenizer, "again", again));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto before, format::GgufFile::open(file));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto after, format::GgufFile::open(again));
  EXPECT_EQ(after.tensors().size(), before.tensors().size());
  for (const format::GgufTensor& tensor : before.tensors()) {
    const format::GgufTensor* found = after.find_tensor(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->type.id, tensor.type.id) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(after.bytes(*found), before.bytes(tensor))) << tensor.name;
  }
  for (const char* key : {"tokens", "merges", "bos_token_id", "eos_token_id", "add_bos_token"}) {
    const std::string name = std::string("tokenizer.ggml.") + key;
    const format::GgufValue* value = before.find(name);
    if (value == nullptr) continue;  // merges are of one kind of tokenizer alone
    const format::GgufValue* found = after.find(name);
    EXPECT_TRUE(found != nullptr && *found == *value) << name;
  }
}

TEST(RealModels, SmolLm2ComesBackFromAnExport) {
  FRUGAL_REAL_MODEL_OR_SKIP(file, kSmolLm2File);
  expect_same_tensors(file);
}

TEST(RealModels, Gemma3ComesBackFromAnExport) {
  FRUGAL_REAL_MODEL_OR_SKIP(file, kGemma3File);
  expect_same_tensors(file);
}

}  // namespace
}  // namespace frugal::artifact
