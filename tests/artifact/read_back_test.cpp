// Every exporter finds what was damaged between writing and reading back.
#include "artifact/read_back.h"

#include <gtest/gtest.h>

#include <fstream>

#include "artifact/exporter.h"
#include "artifact/gguf/gguf_read_back.h"
#include "base/file.h"
#include "format/gguf.h"
#include "format/metadata.h"
#include "format/onnx.h"
#include "grid_checkpoint.h"
#include "support/toy_checkpoint.h"

namespace frugal::artifact {
namespace {

namespace fs = std::filesystem;
using format::Checkpoint;
using test::TemporaryFolder;

// A file that can be damaged and mended.
class Patient {
 public:
  explicit Patient(const fs::path& path) : path_(path), healthy_(base::read_file(path).value()) {}
  size_t size() const { return healthy_.size(); }
  void flip(size_t at) {
    std::string damaged = healthy_;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    write(damaged);
  }
  void cut(size_t bytes) { write(healthy_.substr(0, bytes)); }
  void mend() { write(healthy_); }

 private:
  void write(const std::string& content) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << content;
  }
  fs::path path_;
  std::string healthy_;
};

// Bytes of the file that mean something: between tensors there is room.
std::vector<size_t> places_in(const fs::path& file) {
  std::vector<size_t> places;
  const auto size = static_cast<size_t>(fs::file_size(file));
  if (file.extension() == ".gguf") {
    const auto gguf = format::GgufFile::open(file).value();
    const auto& last = gguf.tensors().back();
    const size_t data = size - static_cast<size_t>(last.offset + (last.size_bytes + 31) / 32 * 32);
    for (const auto& tensor : gguf.tensors()) {
      places.push_back(data + static_cast<size_t>(tensor.offset + tensor.size_bytes / 2));
      places.push_back(data + static_cast<size_t>(tensor.offset + tensor.size_bytes - 1));
    }
    for (size_t i = 0; i < 24; ++i) places.push_back(i * (data / 32));  // metadata
    return places;
  }
  if (file.extension() == ".data") {
    const auto onnx = format::read_onnx(file.parent_path() / "model.onnx").value();
    for (const auto& tensor : onnx.initializers) {
      if (tensor.location.empty()) continue;
      places.push_back(static_cast<size_t>(tensor.offset + tensor.size_bytes / 2));
    }
    return places;
  }
  for (size_t i = 0; i < 16; ++i) places.push_back(i * (size - 1) / 15);
  return places;
}

std::vector<fs::path> files_of(const fs::path& artifact) {
  if (fs::is_regular_file(artifact)) return {artifact};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(artifact)) files.push_back(entry.path());
  return files;
}

TEST(ReadBack, EveryExporterFindsAFlippedByteAndATornFile) {
  const TemporaryFolder folder;
  const Checkpoint source = layers_on(test::toy_checkpoint(folder.path() / "toy", {.layers = 1}),
                                      folder.path() / "source", {"int4:g32"}, format::DType::kBF16);
  struct Case {
    const Exporter* exporter;
    ExportOptions options{.name = "toy"};
  };
  std::vector<Case> cases;
  for (const Exporter& exporter : exporters()) cases.push_back({&exporter});
  cases.push_back({find_exporter("onnx"), {.name = "standard", .standard_operators = true}});
  for (const auto& [entry, options] : cases) {
    const Exporter& exporter = *entry;
    const fs::path path = folder.path() / base::str_cat(options.name, exporter.suffix);
    FRUGAL_ASSERT_OK(write_artifact(exporter, source, options, path, true));
    for (const fs::path& file : files_of(path)) {
      Patient patient(file);
      for (const size_t at : places_in(file)) {
        patient.flip(at);
        EXPECT_FALSE(exporter.read_back(source, options, path).ok())
            << file.filename() << ", byte " << at << " of " << patient.size();
      }
      patient.cut(patient.size() - 1);
      EXPECT_FALSE(exporter.read_back(source, options, path).ok()) << file.filename();
      patient.mend();
    }
    FRUGAL_EXPECT_OK(exporter.read_back(source, options, path));
  }
}

TEST(ReadBack, FindsDamageInEveryOfSeveralFiles) {
  const TemporaryFolder folder;
  const Checkpoint source = layers_on(test::toy_checkpoint(folder.path() / "toy", {.layers = 2}),
                                      folder.path() / "source", {"int4:g32"}, format::DType::kBF16);
  ExportOptions options{.name = "toy", .max_shard_bytes = source.weight_bytes() / 4};
  for (const char* name : {"gguf", "huggingface", "compressed_tensors", "gptq"}) {
    SCOPED_TRACE(name);
    const Exporter& exporter = *find_exporter(name);
    const fs::path place = folder.path() / base::str_cat("as-", name);
    const fs::path path = place / base::str_cat("toy", exporter.suffix);
    fs::create_directories(place);
    FRUGAL_ASSERT_OK(write_artifact(exporter, source, options, path, true));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Forecast forecast,
                                exporter.forecast(format::metadata_of(source), options));
    EXPECT_GT(forecast.weight_files, 2u);
    size_t weight_files = 0;
    for (const fs::path& file : files_of(exporter.is_folder ? path : place)) {
      if (file.extension() != ".gguf" && file.extension() != ".safetensors") continue;
      ++weight_files;
      Patient patient(file);
      patient.flip(patient.size() * 3 / 4);
      EXPECT_FALSE(exporter.read_back(source, options, path).ok()) << file.filename();
      patient.cut(patient.size() - 1);
      EXPECT_FALSE(exporter.read_back(source, options, path).ok()) << file.filename();
      fs::remove(file);
      EXPECT_FALSE(exporter.read_back(source, options, path).ok()) << file.filename();
      patient.mend();
    }
    EXPECT_EQ(weight_files, forecast.weight_files);
    FRUGAL_EXPECT_OK(exporter.read_back(source, options, path));
  }
}

// A tensor that is whole, but another's.
TEST(ReadBack, FindsAnotherModelsWeights) {
  const TemporaryFolder folder;
  const Checkpoint toy = test::toy_checkpoint(folder.path() / "toy", {.layers = 1});
  const Checkpoint one = layers_on(toy, folder.path() / "one", {"int4:g32"});
  const Checkpoint other = on_grids(
      toy, folder.path() / "other", format::DType::kF32, [](const architecture::Tensor& tensor) {
        // random_matrix draws by the grid's name: another grid, other codes.
        if (!tensor.is_stage_matrix()) return OnGrid{};
        return OnGrid{tensor.role == architecture::Role::kDown ? "q4_0" : "int4:g32"};
      });
  for (const char* name : {"gguf", "onnx", "huggingface", "compressed_tensors", "gptq"}) {
    const Exporter& exporter = *find_exporter(name);
    const fs::path path = folder.path() / base::str_cat("x", exporter.suffix);
    FRUGAL_ASSERT_OK(write_artifact(exporter, one, {}, path, true));
    const absl::Status status = exporter.read_back(other, {}, path);
    FRUGAL_EXPECT_ERROR(status, absl::StatusCode::kDataLoss, "down_proj");
    FRUGAL_EXPECT_ERROR(status, absl::StatusCode::kDataLoss, "not what was written");
  }
}

TEST(ReadBack, WithoutVerifyNothingIsRead) {
  static int reads = 0;
  Exporter exporter = *find_exporter("gptq");
  exporter.write = [](const Checkpoint&, const ExportOptions&, const fs::path&) {
    return absl::OkStatus();
  };
  exporter.read_back = [](const Checkpoint&, const ExportOptions&, const fs::path&) {
    ++reads;
    return base::data_loss("torn");
  };
  const TemporaryFolder folder;
  const Checkpoint toy = test::toy_checkpoint(folder.path() / "toy", {.layers = 1});
  FRUGAL_EXPECT_OK(write_artifact(exporter, toy, {}, folder.path() / "x", false));
  EXPECT_EQ(reads, 0);
  FRUGAL_EXPECT_ERROR(write_artifact(exporter, toy, {}, folder.path() / "x", true),
                      absl::StatusCode::kDataLoss, "torn");
  EXPECT_EQ(reads, 1);
}

TEST(ReadBack, NamesTheFirstDifference) {
  const std::vector<float> expected = {1, 2, 3, 4}, found = {1, 2, 3, 5};
  FRUGAL_EXPECT_OK(same_values("f", "w", 2, expected, expected));
  FRUGAL_EXPECT_ERROR(same_values("f", "w", 2, found, expected), absl::StatusCode::kDataLoss,
                      "row 1, column 1, expected 4");
  FRUGAL_EXPECT_ERROR(same_values("f", "w", 2, std::span(found).first(2), expected),
                      absl::StatusCode::kDataLoss, "2 numbers, expected 4");
  const TemporaryFolder folder;
  FRUGAL_ASSERT_OK(base::write_file_atomically(folder.path() / "a", "text"));
  FRUGAL_EXPECT_OK(same_text(folder.path() / "a", "text"));
  FRUGAL_EXPECT_ERROR(same_text(folder.path() / "a", "test"), absl::StatusCode::kDataLoss,
                      "at byte 2");
  FRUGAL_EXPECT_ERROR(same_text(folder.path() / "a", "texts"), absl::StatusCode::kDataLoss,
                      "4 bytes, expected 5");
}

}  // namespace
}  // namespace frugal::artifact
