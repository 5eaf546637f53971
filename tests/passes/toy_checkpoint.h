// A small random Llama with a tokenizer of its own, and text it can be calibrated on.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "layerwise/toy_model.h"
#include "text/tokenizer.h"

namespace frugal::passes {

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

inline format::Checkpoint toy_checkpoint(const std::filesystem::path& folder,
                                         layerwise::ToyShape shape) {
  shape.vocabulary = kToyVocabulary;
  std::filesystem::create_directories(folder);
  const std::string text = toy_text();
  const auto tokenizer = text::train_bpe({&text, 1}, {.vocabulary_size = kToyVocabulary}).value();
  const absl::Status saved = text::save_tokenizer(*tokenizer, folder);
  TORCH_CHECK(saved.ok(), saved.ToString());
  return layerwise::save_toy(layerwise::toy_decoder(shape), folder);
}

}  // namespace frugal::passes
