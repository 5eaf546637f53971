// Seeded tiny checkpoints of every model family, and what transformers says of them. Files:
// tests/golden/families/<name>.json; how they are made, and how their weights come from an integer
// generator: tests/golden/families.py.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace frugal::test {

struct FamilyGolden {
  std::string family;
  base::Json config;
  std::map<std::string, std::vector<int64_t>> tensors;  // name -> shape
  double gain_offset = 1;                               // of norms: 0 where the model adds 1 itself
  double embedding_scale = 1;
  std::string weights_sha256;  // of all tensors' bytes, in the order of their names
  std::vector<std::vector<int64_t>> prompts;
  std::vector<std::vector<int64_t>> greedy;  // fp32 continuation of each prompt
  std::vector<int64_t> columns;              // ids of the vocabulary that `logits` holds
  std::vector<std::vector<std::vector<double>>> logits;  // [prompt][position][column]
};

// Every family with a file, sorted.
std::vector<std::string> golden_families();

FamilyGolden read_family(std::string_view family);

// Row-major values of one tensor.
std::vector<float> family_tensor(const FamilyGolden& golden, const std::string& name);

// config.json, model.safetensors in fp32, and a byte-level BPE tokenizer of as many pieces as the
// embedding has rows, whose id 0 is its special token.
void write_family(const FamilyGolden& golden, const std::filesystem::path& folder);

}  // namespace frugal::test
