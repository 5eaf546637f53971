// Small seeded models and a tokenizer whose ids can be told at a glance.
#pragma once

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "architecture/model_config.h"
#include "model/decoder.h"
#include "tensor/aten.h"
#include "text/tokenizer.h"

namespace frugal::evaluate::test {

// Id = byte; 256 is "ab" wherever those bytes meet; BOS 257 ("<s>" where special pieces are
// parsed), EOS 258.
class ByteTokenizer : public text::Tokenizer {
 public:
  static constexpr text::TokenId kAb = 256, kBos = 257, kEos = 258;
  static constexpr int64_t kSize = 259;

  explicit ByteTokenizer(bool has_bos = true, bool add_bos = false) {
    vocabulary_.pieces.resize(kSize);
    vocabulary_.eos = kEos;
    if (has_bos) vocabulary_.bos = kBos;
    vocabulary_.add_bos = add_bos;
  }
  std::vector<text::TokenId> encode(std::string_view text, bool add_special,
                                    bool parse_special = true) const override {
    std::vector<text::TokenId> ids;
    if (add_special && vocabulary_.add_bos) ids.push_back(kBos);
    for (size_t i = 0; i < text.size(); ++i) {
      if (parse_special && text.substr(i, 3) == "<s>") {
        ids.push_back(kBos);
        i += 2;
        continue;
      }
      const bool merged = text.substr(i, 2) == "ab";
      ids.push_back(merged ? kAb : static_cast<unsigned char>(text[i]));
      if (merged) ++i;
    }
    return ids;
  }
  std::string decode(std::span<const text::TokenId> ids, bool = true) const override {
    std::string text;
    for (const text::TokenId id : ids) {
      if (id == kAb) text += "ab";
      if (id < 256) text += static_cast<char>(id);
    }
    return text;
  }
  const text::Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  text::Vocabulary vocabulary_;
};

inline architecture::ModelConfig tiny_config(int64_t vocabulary = ByteTokenizer::kSize,
                                             int64_t context = 64) {
  architecture::Layer layer;
  layer.feed_forward.width = 48;
  layer.attention.heads = 4;
  layer.attention.key_value_heads = 2;
  layer.attention.head_size = 8;
  layer.attention.score_scale = 1.0 / std::sqrt(8.0);
  architecture::ModelConfig config = architecture::make_decoder(2, layer);
  config.vocabulary_size = vocabulary;
  config.hidden_size = 32;
  config.context_length = context;
  config.tied_embeddings = true;
  config.bos_token_ids = {ByteTokenizer::kBos};
  config.eos_token_ids = {ByteTokenizer::kEos};
  // Far from uniform predictions, so that every test sees values of different size.
  config.initializer_range = 0.3;
  return config;
}

inline model::Decoder tiny_model(uint64_t seed,
                                 const architecture::ModelConfig& config = tiny_config()) {
  return *model::Decoder::create(config, seed, at::kCPU);
}

// ln p of every id at every position of one sequence, softmax in double by plain loops: [T][V].
inline std::vector<std::vector<double>> brute_log_probabilities(
    const model::Decoder& decoder, std::span<const text::TokenId> ids) {
  const at::Tensor row = at::empty({1, static_cast<int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), row.data_ptr<int64_t>());
  const at::Tensor logits = decoder.logits({.ids = row, .positions = {}, .segments = {}})
                                .squeeze(0)
                                .to(at::kDouble)
                                .contiguous();
  std::vector<std::vector<double>> result;
  for (int64_t t = 0; t < logits.size(0); ++t) {
    const double* values = logits.const_data_ptr<double>() + t * logits.size(1);
    double sum = 0.0;
    for (int64_t v = 0; v < logits.size(1); ++v) sum += std::exp(values[v]);
    std::vector<double>& out = result.emplace_back();
    for (int64_t v = 0; v < logits.size(1); ++v) out.push_back(values[v] - std::log(sum));
  }
  return result;
}

}  // namespace frugal::evaluate::test
