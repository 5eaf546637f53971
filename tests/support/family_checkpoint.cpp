#include "support/family_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <initializer_list>
#include <stdexcept>

#include "base/file.h"
#include "format/safetensors.h"
#include "text/tokenizer.h"

namespace frugal::test {
namespace {

namespace fs = std::filesystem;

fs::path folder_of_goldens() {
  const char* root = std::getenv("FRUGAL_SOURCE_DIR");
  const fs::path tests =
      root != nullptr ? fs::path(root) / "tests" : fs::path(__FILE__).parent_path().parent_path();
  return tests / "golden" / "families";
}

void check(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

template <typename T>
T value_of(absl::StatusOr<T> result) {
  check(result.status());
  return *std::move(result);
}

uint64_t fnv1a(std::string_view text) {
  uint64_t value = 0xcbf29ce484222325;
  for (const char c : text) value = (value ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return value;
}

uint64_t splitmix64(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

struct Spread {
  double offset = 0;
  float scale = 0;
};

Spread spread_of(const FamilyGolden& golden, std::string_view name) {
  const auto ends_with = [&](std::initializer_list<std::string_view> ends) {
    return std::any_of(ends.begin(), ends.end(), [&](auto end) { return name.ends_with(end); });
  };
  if (ends_with({"norm.weight", "ln_1.weight", "ln_2.weight", "ln_f.weight"}))
    return {golden.gain_offset, 0.3f};
  if (name.ends_with(".bias")) return {0, 0.5f};
  if (ends_with({"embed_tokens.weight", "wte.weight", "wpe.weight"}))
    return {0, static_cast<float>(golden.embedding_scale)};
  const std::vector<int64_t>& shape = golden.tensors.at(std::string(name));
  const bool stored_by_inputs = name.find(".c_") != std::string_view::npos;
  const auto inputs = static_cast<double>(shape.at(shape.size() - (stored_by_inputs ? 2 : 1)));
  return {0, static_cast<float>(2 / std::sqrt(inputs))};
}

void write_weights(const FamilyGolden& golden, const fs::path& path) {
  std::vector<format::SafetensorsWriter::Declaration> declarations;
  for (const auto& [name, shape] : golden.tensors)
    declarations.push_back({name, format::DType::kF32, shape});
  auto writer = value_of(format::SafetensorsWriter::create(path, declarations, {{"format", "pt"}}));
  const std::vector<format::TensorInfo> infos = writer.infos();
  for (const format::TensorInfo& info : infos) {
    const std::vector<float> values = family_tensor(golden, info.name);
    check(writer.write(info.name, std::as_bytes(std::span(values))));
  }
  check(writer.commit());
}

std::string training_text() {
  std::string text;
  for (int i = 0; i < 20; ++i) {
    text +=
        "the old house stood quiet under the rain and a carriage stopped before its door while "
        "nobody came out\n";
  }
  return text;
}

}  // namespace

std::vector<std::string> golden_families() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder_of_goldens())) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

FamilyGolden read_family(std::string_view family) {
  const fs::path path = folder_of_goldens() / (std::string(family) + ".json");
  const base::Json json = value_of(base::read_json(path));
  FamilyGolden golden;
  golden.config = json.at("config");
  json.at("family").get_to(golden.family);
  json.at("gain_offset").get_to(golden.gain_offset);
  json.at("embedding_scale").get_to(golden.embedding_scale);
  json.at("weights_sha256").get_to(golden.weights_sha256);
  json.at("tensors").get_to(golden.tensors);
  json.at("prompts").get_to(golden.prompts);
  json.at("greedy").get_to(golden.greedy);
  json.at("columns").get_to(golden.columns);
  json.at("logits").get_to(golden.logits);
  return golden;
}

std::vector<float> family_tensor(const FamilyGolden& golden, const std::string& name) {
  uint64_t count = 1;
  for (const int64_t size : golden.tensors.at(name)) count *= static_cast<uint64_t>(size);
  const Spread spread = spread_of(golden, name);
  uint64_t state = fnv1a(golden.family + "/" + name);
  std::vector<float> values(count);
  for (float& value : values) {
    state += 0x9e3779b97f4a7c15;
    // 24 bits, and their product with the scale has 48: exact, with or without fused operations.
    const double x = static_cast<double>(splitmix64(state) >> 40) / (1 << 23) - 1;
    value = static_cast<float>(spread.offset + static_cast<double>(spread.scale) * x);
  }
  return values;
}

void write_family(const FamilyGolden& golden, const fs::path& folder) {
  fs::create_directories(folder);
  check(base::write_file_atomically(folder / "config.json", golden.config.dump(1)));
  write_weights(golden, folder / "model.safetensors");
  const std::string text = training_text();
  const auto vocabulary = golden.config.at("vocab_size").get<int64_t>();
  const auto tokenizer = value_of(text::train_bpe({&text, 1}, {.vocabulary_size = vocabulary}));
  check(text::save_tokenizer(*tokenizer, folder));
}

}  // namespace frugal::test
