#include "artifact/importer.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/family_checkpoint.h"
#include "support/shared_data.h"

namespace frugal::artifact {
namespace {

namespace fs = std::filesystem;

TEST(Importers, TellTheirFilesByContent) {
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() / "model.bin") << "GGUF and whatever follows";
  std::ofstream(folder.path() / "model.gguf") << "something else";
  const Importer* importer = importer_of(folder.path() / "model.bin");
  ASSERT_NE(importer, nullptr);
  EXPECT_EQ(importer->name, "gguf");
  EXPECT_EQ(importer_of(folder.path() / "model.gguf"), nullptr);
  EXPECT_EQ(importer_of(folder.path() / "absent.gguf"), nullptr);
  EXPECT_EQ(importer_of(folder.path()), nullptr);
}

TEST(Importers, SayWhatAPathIsThatNoneReads) {
  const test::TemporaryFolder folder;
  const fs::path& root = folder.path();
  FRUGAL_EXPECT_ERROR(explain_no_importer(root / "absent.gguf"), absl::StatusCode::kNotFound,
                      "absent.gguf");
  std::ofstream(root / "notes.txt") << "hello";
  FRUGAL_EXPECT_ERROR(explain_no_importer(root / "notes.txt"), absl::StatusCode::kInvalidArgument,
                      "it is no file of a kind that is known; frugal imports these: gguf is");
  std::ofstream(root / "pytorch_model.bin", std::ios::binary)
      << std::string_view("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46", 8) << "whatever";
  FRUGAL_EXPECT_ERROR(explain_no_importer(root / "pytorch_model.bin"),
                      absl::StatusCode::kInvalidArgument, "AutoModelForCausalLM.from_pretrained");
  test::write_family(test::read_family("llama"), root / "model");
  FRUGAL_EXPECT_ERROR(explain_no_importer(root / "model"), absl::StatusCode::kInvalidArgument,
                      "needs no import");
  fs::remove(root / "model" / "model.safetensors");
  fs::rename(root / "pytorch_model.bin", root / "model" / "pytorch_model.bin");
  FRUGAL_EXPECT_ERROR(explain_no_importer(root / "model"), absl::StatusCode::kNotFound,
                      "save the model as safetensors, in Python");
}

}  // namespace
}  // namespace frugal::artifact
