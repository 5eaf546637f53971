#include "format/checkpoint_files.h"

#include <gtest/gtest.h>

#include "base/file.h"
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

TEST(CheckpointFiles, FurtherChatTemplatesKeepTheirFolder) {
  const frugal::test::TemporaryFolder from, to;
  const std::filesystem::path templates = from.path() / kTemplatesFolder;
  std::filesystem::create_directory(templates);
  test::write_text(templates / "rag.jinja", "R");
  test::write_text(templates / "notes.txt", "none");
  test::write_text(from.path() / "tokenizer.json", "T");
  test::write_text(from.path() / "rag.jinja", "of no model");
  FRUGAL_ASSERT_OK(copy_side_files(from.path(), to.path()));
  std::vector<std::string> places;
  for (const auto& path : side_files_of(to.path()))
    places.push_back(side_file_place(path).string());
  EXPECT_THAT(places,
              ::testing::ElementsAre("additional_chat_templates/rag.jinja", "tokenizer.json"));
  EXPECT_EQ(base::read_file(to.path() / places[0]).value(), "R");
  EXPECT_FALSE(std::filesystem::exists(to.path() / "rag.jinja"));
}

}  // namespace
}  // namespace frugal::format
