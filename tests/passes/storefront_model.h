// A random model with a tokenizer trained on the built-in storefront's texts, and their data.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "architecture/model_config.h"
#include "base/json.h"
#include "model/decoder.h"
#include "support/shared_data.h"
#include "text/dataset.h"
#include "text/tokenizer.h"

namespace frugal::passes {

inline constexpr int64_t kVocabulary = 300;
inline constexpr int64_t kContext = 512;

// Options of `evaluate` that ask for all that it has: tasks of both kinds, perplexity, a reference
// and a margin.
inline const base::Json kFull = {{"tasks", {"sentiment", "description"}},
                                 {"perplexity", "both"},
                                 {"protocol", "gptq-64"},
                                 {"reference", "teacher"},
                                 {"margin", 0.02},
                                 {"metric", "sentiment/accuracy"},
                                 {"max_new_tokens", 8},
                                 {"windows", 4}};

inline text::DataSource storefront(std::string task, int64_t limit) {
  text::DataSource source;
  source.builtin = "storefront";
  source.split = "test";
  source.task = std::move(task);
  source.limit = limit;
  return source;
}

inline architecture::ModelConfig small_config() {
  return *architecture::parse_model_config({{"architectures", {"LlamaForCausalLM"}},
                                            {"model_type", "llama"},
                                            {"vocab_size", kVocabulary},
                                            {"hidden_size", 32},
                                            {"intermediate_size", 64},
                                            {"num_hidden_layers", 1},
                                            {"num_attention_heads", 4},
                                            {"num_key_value_heads", 2},
                                            {"max_position_embeddings", kContext},
                                            {"rms_norm_eps", 1e-5},
                                            {"rope_theta", 10000.0},
                                            {"initializer_range", 0.3},
                                            {"tie_word_embeddings", true},
                                            {"bos_token_id", 0},
                                            {"eos_token_id", 0}},
                                           "small");
}

// Writes the checkpoint into `folder`, and returns it.
inline std::filesystem::path write_storefront_model(const std::filesystem::path& folder,
                                                    uint64_t seed) {
  std::filesystem::create_directories(folder);
  std::vector<std::string> texts;
  const auto examples = *text::load_examples(storefront("", 40));
  for (const auto& example : examples) {
    texts.push_back(example.prompt + example.completion);
  }
  const auto tokenizer = *text::train_bpe(texts, {.vocabulary_size = kVocabulary});
  EXPECT_TRUE(text::save_tokenizer(*tokenizer, folder).ok());
  const auto decoder = *model::Decoder::create(small_config(), seed, at::kCPU);
  EXPECT_TRUE(decoder.save(folder, format::DType::kF32).ok());
  return folder;
}

}  // namespace frugal::passes
