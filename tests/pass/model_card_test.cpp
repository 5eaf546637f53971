#include "pass/model_card.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/text.h"
#include "support/shared_data.h"

namespace frugal::pass {
namespace {

TEST(ModelCard, LiesBesideTheArtifact) {
  EXPECT_EQ(card_name("small.gguf"), "small.md");
  EXPECT_EQ(card_name("small-00001-of-00003.gguf"), "small.md");
  EXPECT_EQ(card_name("small-onnx"), "small-onnx.md");
  EXPECT_EQ(card_name("small.v2"), "small.v2.md");
}

TEST(ModelCard, OnlyThoseOfFrugalAreItsOwn) {
  const test::TemporaryFolder folder;
  const auto is_own = [&](const std::string& text) {
    const auto path = folder.path() / "card.md";
    FRUGAL_EXPECT_OK(base::write_file_atomically(path, text));
    return is_own_card(path);
  };
  EXPECT_TRUE(is_own(base::str_cat("---\n", kCardMark, "\nlicense: mit\n---\n")));
  EXPECT_FALSE(is_own("---\nlicense: mit\n---\n"));
  EXPECT_FALSE(is_own(base::str_cat(kCardMark, "\n")));
  EXPECT_FALSE(is_own(""));
  EXPECT_FALSE(is_own_card(folder.path()));
  EXPECT_FALSE(is_own_card(folder.path() / "absent.md"));
}

}  // namespace
}  // namespace frugal::pass
