// Seeded mutations of small valid files: every reader must return, with a value or an error, and
// never crash. The same readers stand behind the fuzzers of tests/fuzz; this test keeps a short run
// of it in every build (also the sanitized).
#include <gtest/gtest.h>

#include <cstring>

#include "base/random.h"
#include "format/gguf.h"
#include "format/inspect.h"
#include "format/tiny_model.h"
#include "format/tiny_onnx.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;

// One to four edits: a flipped bit, an interesting value, a cut, a doubled or removed piece.
std::string mutate(std::string text, base::RandomStream& random) {
  const uint64_t edits = 1 + random.below(4);
  for (uint64_t i = 0; i < edits && !text.empty(); ++i) {
    const size_t at = random.below(text.size());
    const size_t length = std::min<size_t>(text.size() - at, 1 + random.below(16));
    switch (random.below(6)) {
      case 0:
        text[at] = static_cast<char>(text[at] ^ (1 << random.below(8)));
        break;
      case 1:
        text[at] = static_cast<char>(random.next());
        break;
      case 2: {
        const uint64_t values[] = {0, 1, 0x7fffffff, 0xffffffff, uint64_t{1} << 62, ~uint64_t{0}};
        const uint64_t value = values[random.below(6)];
        std::memcpy(text.data() + at, &value, std::min<size_t>(sizeof(value), text.size() - at));
        break;
      }
      case 3:
        text.resize(at);
        break;
      case 4:
        text.insert(at, text.substr(at, length));
        break;
      default:
        text.erase(at, length);
    }
  }
  return text;
}

struct Outcome {
  int accepted = 0;
  int refused = 0;
};

// Runs `read` over mutations of `valid` written to `path`. Every refusal must say something.
template <typename Read>
Outcome run(std::string_view name, const std::string& valid, const fs::path& path, Read&& read) {
  constexpr int kRounds = 400;
  base::RandomStream random(11, name);
  Outcome outcome;
  for (int round = 0; round < kRounds; ++round) {
    test::write_text(path, mutate(valid, random));
    const absl::Status status = read(path);
    status.ok() ? ++outcome.accepted : ++outcome.refused;
    if (!status.ok()) {
      EXPECT_FALSE(status.message().empty());
    }
  }
  return outcome;
}

// Both things happen: the mutations reach past the first check, and damage is noticed.
void expect_both(const Outcome& outcome) {
  EXPECT_GT(outcome.accepted, 0);
  EXPECT_GT(outcome.refused, 0);
}

absl::Status inspected(const fs::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const base::Json json, inspect(path));
  EXPECT_FALSE(json.dump().empty());  // throws on invalid UTF-8
  return absl::OkStatus();
}

TEST(Hostile, Safetensors) {
  const frugal::test::TemporaryFolder folder;
  const std::string valid = base::read_file(fs::path(GOLDEN_FOLDER) / "python.safetensors").value();
  expect_both(run("safetensors", valid, folder.path() / "a.safetensors", inspected));
}

TEST(Hostile, Gguf) {
  const frugal::test::TemporaryFolder folder;
  const std::string valid = base::read_file(fs::path(GOLDEN_FOLDER) / "python.gguf").value();
  expect_both(
      run("gguf", valid, folder.path() / "a.gguf", [](const fs::path& path) -> absl::Status {
        FRUGAL_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
        unsigned sum = 0;
        for (const GgufTensor& tensor : file.tensors()) {
          for (const std::byte byte : file.bytes(tensor))
            sum += static_cast<unsigned>(byte);  // touches every byte
        }
        EXPECT_GE(sum, 0u);
        return inspected(path);
      }));
}

TEST(Hostile, Onnx) {
  const frugal::test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK(test::write_tiny_onnx(folder.path() / "model.onnx"));
  const std::string valid = base::read_file(folder.path() / "model.onnx").value();
  expect_both(run("onnx", valid, folder.path() / "model.onnx", inspected));
}

TEST(Hostile, CheckpointConfigAndIndex) {
  const frugal::test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK(test::write_model(folder.path(), test::tiny_config(), DType::kF32, 20000));
  const auto open = [&](const fs::path&) { return Checkpoint::open(folder.path()).status(); };
  for (const char* name : {"config.json", "model.safetensors.index.json"}) {
    const std::string valid = base::read_file(folder.path() / name).value();
    EXPECT_GT(run(name, valid, folder.path() / name, open).refused, 0) << name;
    test::write_text(folder.path() / name, valid);
    FRUGAL_EXPECT_OK(open(folder.path()));
  }
}

TEST(Hostile, QuantizedCheckpointConfig) {
  const frugal::test::TemporaryFolder folder;
  auto tensors = test::declarations(test::tiny_config(), DType::kF32);
  for (auto& tensor : tensors) {
    if (tensor.shape.size() == 2) tensor.grid = "q4_0";
  }
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      auto writer, CheckpointWriter::create(folder.path(), test::tiny_config(), tensors));
  for (const auto& tensor : tensors) {
    const auto values = test::random_values(tensor.name, test::element_count(tensor.shape));
    if (tensor.grid) {
      FRUGAL_ASSERT_OK_AND_ASSIGN(auto grid, grid::find_grid("q4_0", tensor.shape[1]));
      FRUGAL_ASSERT_OK_AND_ASSIGN(
          const auto matrix,
          grid::round_to_nearest(grid, values.data(), tensor.shape[0], tensor.shape[1], {}, false));
      FRUGAL_ASSERT_OK(writer.write_codes(tensor.name, matrix));
    } else {
      FRUGAL_ASSERT_OK(writer.write_values(tensor.name, values));
    }
  }
  FRUGAL_ASSERT_OK(writer.finish());
  const std::string valid = base::read_file(folder.path() / "config.json").value();
  expect_both(
      run("quantized", valid, folder.path() / "config.json", [&](const fs::path&) -> absl::Status {
        FRUGAL_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::open(folder.path()));
        for (const std::string& name : checkpoint.tensor_names()) {
          const auto values = checkpoint.values(name);  // may fail, may not crash
          EXPECT_TRUE(!values.ok() || !values->empty());
        }
        return absl::OkStatus();
      }));
}

}  // namespace
}  // namespace frugal::format
