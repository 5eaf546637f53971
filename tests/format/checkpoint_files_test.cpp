#include "format/checkpoint_files.h"

#include <gtest/gtest.h>

#include "format/tiny_model.h"

namespace frugal::format {
namespace {

TEST(CheckpointFiles, TakesWhatTravelsAndNothingElse) {
  const frugal::test::TemporaryFolder folder;
  for (const char* name :
       {"tokenizer.json", "tokenizer.model", "generation_config.json", "LICENSE", "config.json",
        "model.safetensors", "README.md", "optimizer.pt", "pytorch_model.bin"}) {
    test::write_text(folder.path() / name, "x");
  }
  std::filesystem::create_directory(folder.path() /
                                    "vocab.json");  // a folder under such a name is no file
  std::vector<std::string> names;
  for (const auto& path : side_files_of(folder.path())) names.push_back(path.filename().string());
  EXPECT_THAT(names, ::testing::ElementsAre("LICENSE", "generation_config.json", "tokenizer.json",
                                            "tokenizer.model"));
}

}  // namespace
}  // namespace frugal::format
