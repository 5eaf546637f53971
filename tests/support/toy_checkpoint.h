// A small random Llama with a tokenizer of its own, and text it can be calibrated on.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "support/toy_model.h"
#include "text/tokenizer.h"

namespace frugal::test {

inline constexpr int64_t kToyVocabulary = 280;

inline std::string toy_text(int64_t words = 4000) {
  static constexpr const char* kWords[] = {"the",  "old",  "house", "stood",    "quiet",   "under",
                                           "rain", "and",  "a",     "carriage", "stopped", "before",
                                           "its",  "door", "while", "nobody",   "came",    "out"};
  base::RandomStream stream(3, "toy text");
  std::string text;
  for (int64_t i = 0; i < words; ++i)
    text += std::string(kWords[stream.below(18)]) + (i % 9 == 8 ? ".\n" : " ");
  return text;
}

inline std::filesystem::path write_toy_text(const std::filesystem::path& folder,
                                            int64_t words = 4000) {
  const std::filesystem::path path = folder / "calibration.txt";
  std::ofstream(path) << toy_text(words);
  return path;
}

inline format::Checkpoint toy_checkpoint(const std::filesystem::path& folder, ToyShape shape) {
  shape.vocabulary = kToyVocabulary;
  std::filesystem::create_directories(folder);
  const std::string text = toy_text();
  const auto tokenizer = text::train_bpe({&text, 1}, {.vocabulary_size = kToyVocabulary}).value();
  const absl::Status saved = text::save_tokenizer(*tokenizer, folder);
  TORCH_CHECK(saved.ok(), saved.ToString());
  return save_toy(toy_decoder(shape), folder);
}

// A toy whose norm gains are random: a forgotten one would show.
inline format::Checkpoint gained_toy(const std::filesystem::path& folder, const ToyShape& shape) {
  const format::Checkpoint made = toy_checkpoint(folder, shape);
  model::Decoder decoder = model::Decoder::load(made, {}).value();
  std::vector<std::string> norms;
  for (const auto& [name, value] : decoder.parameters()) {
    if (value.dim() == 1) norms.push_back(name);
  }
  for (const std::string& name : norms) {
    base::RandomStream stream(1, name);
    at::Tensor gains = at::empty_like(decoder.parameters().at(name));
    for (int64_t i = 0; i < gains.numel(); ++i)
      gains.data_ptr<float>()[i] = static_cast<float>(1 + 0.3 * stream.normal());
    decoder.set_parameter(name, gains);
  }
  const std::filesystem::path target = folder.string() + "-gained";
  std::filesystem::copy(folder, target, std::filesystem::copy_options::recursive);
  return save_toy(decoder, target);
}

}  // namespace frugal::test
