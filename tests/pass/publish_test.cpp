#include "pass/publish.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <functional>

#include "base/file.h"
#include "pass/model_card.h"
#include "support/shared_data.h"

namespace {

bool g_no_exchange = false;                               // a file system without RENAME_EXCHANGE
std::function<bool(const char*, const char*)> g_refused;  // which renames the disk refuses

}  // namespace

// In place of the C library's, for everything in this executable.
extern "C" int renameat2(int from_folder, const char* from, int to_folder, const char* to,
                         unsigned flags) noexcept {
  const bool exchange = (flags & 2U) != 0;
  if (exchange && g_no_exchange) {
    errno = EINVAL;
    return -1;
  }
  if (g_refused && g_refused(from, to)) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_renameat2, from_folder, from, to_folder, to, flags));
}
extern "C" int rename(const char* from, const char* to) noexcept {
  if (g_refused && g_refused(from, to)) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_renameat2, -100, from, -100, to, 0));
}

namespace frugal::pass {
namespace {

namespace fs = std::filesystem;
constexpr auto kRefused = absl::StatusCode::kFailedPrecondition;

class Publish : public testing::Test {
 protected:
  ~Publish() override {
    g_no_exchange = false;
    g_refused = {};
  }
  // The output of a step: a folder with these files.
  fs::path result(const std::string& name, const std::vector<std::string>& files) {
    const fs::path folder = folder_.path() / "cache" / name;
    for (const std::string& file : files) write(folder / file, name);
    return folder;
  }
  static void write(const fs::path& file, const std::string& text) {
    fs::create_directories(file.parent_path());
    FRUGAL_ASSERT_OK(base::write_file_atomically(file, text));
  }
  std::string content(const fs::path& file) {
    return base::read_file(folder_.path() / file).value_or("absent");
  }
  // Names in the folder the user sees.
  std::vector<std::string> names() {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      if (entry.path().filename() != "cache") out.push_back(entry.path().filename());
    }
    return out;
  }
  fs::path out() { return folder_.path() / "out"; }
  frugal::test::TemporaryFolder folder_;
};

TEST_F(Publish, ACheckpointBecomesTheFolderAndAnArtifactItsOneFile) {
  FRUGAL_ASSERT_OK(publish_result(result("a", {"config.json", "sub/weights"}), out(), false));
  EXPECT_EQ(content("out/config.json"), "a");
  EXPECT_EQ(content("out/sub/weights"), "a");
  FRUGAL_ASSERT_OK(
      publish_result(result("b", {"model.gguf"}), folder_.path() / "deep" / "x.gguf", false));
  EXPECT_EQ(content("deep/x.gguf"), "b");
  EXPECT_THAT(names(), testing::UnorderedElementsAre("out", "deep"));
}

TEST_F(Publish, WithoutForceNothingIsReplaced) {
  FRUGAL_ASSERT_OK(publish_result(result("a", {"c", "w"}), out(), false));
  FRUGAL_EXPECT_ERROR(publish_result(result("b", {"c", "w"}), out(), false), kRefused,
                      "exists; give --force");
  EXPECT_EQ(content("out/c"), "a");
}

TEST_F(Publish, ForceReplacesWhatFrugalPublished) {
  for (const bool exchanges : {true, false}) {
    g_no_exchange = !exchanges;
    fs::remove_all(out());
    FRUGAL_ASSERT_OK(publish_result(result("a", {"c", "w"}), out(), false));
    FRUGAL_ASSERT_OK(check_target(out(), true));
    FRUGAL_ASSERT_OK(publish_result(result("b", {"c", "v"}), out(), true));
    EXPECT_EQ(content("out/c"), "b");
    EXPECT_EQ(content("out/v"), "b");
    EXPECT_EQ(content("out/w"), "absent");
    FRUGAL_EXPECT_OK(publish_result(result("b", {"c", "v"}), out(), true));  // and again
    EXPECT_THAT(names(), testing::ElementsAre("out"));
  }
}

TEST_F(Publish, ForceKeepsItsHandsOffEverythingElse) {
  const fs::path fresh = result("b", {"c", "w"});
  const auto expect_refused = [&](const std::string& reason) {
    FRUGAL_EXPECT_ERROR(check_target(out(), true), kRefused, reason);
    FRUGAL_EXPECT_ERROR(publish_result(fresh, out(), true), kRefused, reason);
  };
  write(out() / "thesis.tex", "mine");
  expect_refused("it was not published by frugal");
  EXPECT_EQ(content("out/thesis.tex"), "mine");

  // A folder of ours in which the user put something, or changed something.
  fs::remove_all(out());
  FRUGAL_ASSERT_OK(publish_result(result("a", {"c", "w"}), out(), false));
  write(out() / "notes" / "today.txt", "mine");
  expect_refused("frugal did not write its 'notes/today.txt'");
  fs::remove_all(out() / "notes");
  write(out() / "c", "changed by hand");
  expect_refused("its 'c' was changed: it has 15 bytes, frugal wrote 1");
  write(out() / "c", "a");
  fs::create_symlink("/etc", out() / "link");
  expect_refused("frugal did not write its 'link'");
  fs::remove(out() / "link");
  write(out() / kOutputMarker, "{");
  expect_refused(kOutputMarker);

  fs::remove_all(out());
  fs::create_symlink(folder_.path() / "cache", out());
  expect_refused("it is a link");
  EXPECT_THAT(names(), testing::ElementsAre("out"));
}

TEST_F(Publish, AnEmptyFolderIsNobodys) {
  fs::create_directories(out());
  FRUGAL_EXPECT_ERROR(check_target(out(), false), kRefused, "exists");
  FRUGAL_ASSERT_OK(publish_result(result("a", {"c", "w"}), out(), true));
  EXPECT_EQ(content("out/c"), "a");
}

TEST_F(Publish, FileAndFolderDoNotReplaceEachOther) {
  write(out(), "a file");
  FRUGAL_EXPECT_ERROR(publish_result(result("a", {"c", "w"}), out(), true), kRefused,
                      "is a file, and the result is a folder");
  EXPECT_EQ(content("out"), "a file");
  fs::remove(out());
  FRUGAL_ASSERT_OK(publish_result(result("a", {"c", "w"}), out(), false));
  FRUGAL_EXPECT_ERROR(publish_result(result("b", {"x.gguf"}), out(), true), kRefused,
                      "is a folder, and the result is one file");
  EXPECT_EQ(content("out/c"), "a");
}

TEST_F(Publish, PartsOfAModelComeBesideEachOther) {
  const std::vector<std::string> parts = {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"};
  FRUGAL_ASSERT_OK(publish_result(result("a", parts), folder_.path() / "x.gguf", false));
  EXPECT_THAT(names(),
              testing::UnorderedElementsAre("x-00001-of-00002.gguf", "x-00002-of-00002.gguf"));
  FRUGAL_EXPECT_ERROR(publish_result(result("b", parts), folder_.path() / "x.gguf", false),
                      kRefused, "x-00001-of-00002.gguf' exists; give --force");
  EXPECT_EQ(content("x-00002-of-00002.gguf"), "a");
  FRUGAL_ASSERT_OK(publish_result(result("b", parts), folder_.path() / "x.gguf", true));
  EXPECT_EQ(content("x-00001-of-00002.gguf"), "b");
  EXPECT_EQ(content("x-00002-of-00002.gguf"), "b");
  // They take the place of an older model of that name, which would be loaded by it.
  write(folder_.path() / "z.gguf", "old");
  FRUGAL_EXPECT_ERROR(publish_result(result("b", parts), folder_.path() / "z.gguf", false),
                      kRefused, "z.gguf' exists; give --force");
  g_refused = [](const char*, const char* to) { return fs::path(to).stem() == "z-00001-of-00002"; };
  EXPECT_FALSE(publish_result(result("b", parts), folder_.path() / "z.gguf", true).ok());
  g_refused = {};
  EXPECT_EQ(content("z.gguf"), "old");
  FRUGAL_ASSERT_OK(publish_result(result("b", parts), folder_.path() / "z.gguf", true));
  EXPECT_EQ(content("z.gguf"), "absent");
  EXPECT_EQ(content("z-00001-of-00002.gguf"), "b");
  // Into a folder they go under their own names.
  FRUGAL_ASSERT_OK(publish_result(result("c", parts), out(), false));
  EXPECT_EQ(content("out/m-00002-of-00002.gguf"), "c");
  // What only looks like parts is a folder.
  FRUGAL_ASSERT_OK(publish_result(result("d", {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf"}),
                                  folder_.path() / "y.gguf", false));
  EXPECT_TRUE(fs::is_directory(folder_.path() / "y.gguf"));
}

TEST_F(Publish, OfPartsAllOrNoneAreReplaced) {
  const std::vector<std::string> parts = {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"};
  const fs::path target = folder_.path() / "x.gguf";
  for (const char* old : {"", "a"}) {
    if (*old != '\0') FRUGAL_ASSERT_OK(publish_result(result(old, parts), target, false));
    for (const char* refused : {"x-00001-of-00002.gguf", "x-00002-of-00002.gguf"}) {
      int tries = 0;  // the last rename onto this name is the one that puts things back
      g_refused = [&](const char*, const char* to) {
        return fs::path(to) == folder_.path() / refused && tries++ == 0;
      };
      EXPECT_FALSE(publish_result(result("b", parts), target, true).ok());
      g_refused = {};
      for (const char* name : {"x-00001-of-00002.gguf", "x-00002-of-00002.gguf"})
        EXPECT_EQ(content(name), *old == '\0' ? "absent" : old) << refused;
      EXPECT_EQ(names().size(), *old == '\0' ? 0u : 2u);  // nothing half-made is left
    }
  }
}

TEST_F(Publish, CardsComeAlong) {
  const auto card = [&](const std::string& name) {
    const fs::path file = folder_.path() / "cache" / "cards" / name;
    write(file, base::str_cat("---\n", kCardMark, "\n---\n", name));
    return file;
  };
  const fs::path one = result("a", {"m.gguf"}), folder = result("b", {"m-onnx/model.onnx"});
  FRUGAL_ASSERT_OK(
      publish_result(one, folder_.path() / "x.gguf", false, {{card("m.md"), "m.gguf"}}));
  EXPECT_TRUE(content("x.md").ends_with("m.md"));
  FRUGAL_ASSERT_OK(
      publish_result(folder, folder_.path() / "x-onnx", false, {{card("m-onnx.md"), "m-onnx"}}));
  EXPECT_TRUE(content("x-onnx/README.md").ends_with("m-onnx.md"));
  EXPECT_EQ(content("x-onnx/model.onnx"), "b");
  FRUGAL_EXPECT_OK(check_target(folder_.path() / "x-onnx", true));  // the card is of ours
  const fs::path both = result("c", {"m.gguf", "m-onnx/model.onnx"});
  FRUGAL_ASSERT_OK(publish_result(both, out(), false,
                                  {{card("m-onnx.md"), "m-onnx"}, {card("m.md"), "m.gguf"}}));
  EXPECT_TRUE(content("out/m.md").ends_with("m.md"));
  EXPECT_TRUE(content("out/m-onnx/README.md").ends_with("m-onnx.md"));
  // Frugal's own is replaced, another's is not.
  FRUGAL_ASSERT_OK(
      publish_result(one, folder_.path() / "x.gguf", true, {{card("new.md"), "m.gguf"}}));
  EXPECT_TRUE(content("x.md").ends_with("new.md"));
  write(folder_.path() / "x.md", "mine");
  FRUGAL_ASSERT_OK(
      publish_result(one, folder_.path() / "x.gguf", true, {{card("new.md"), "m.gguf"}}));
  EXPECT_EQ(content("x.md"), "mine");
  EXPECT_EQ(content("x.gguf"), "a");
}

TEST_F(Publish, CardsAreFoundByTheLinksOfTheRun) {
  const fs::path both = result("c", {"m.gguf", "m-onnx/model.onnx"});
  const fs::path run = folder_.path() / "run";
  write(run / "artifacts" / "step-m.md", base::str_cat("---\n", kCardMark, "\n---\n"));
  write(run / "artifacts" / "m-onnx.md", "mine");
  const auto cards = cards_of(both, run, {"artifacts/m-onnx", "artifacts/step-m.gguf"});
  ASSERT_EQ(cards.size(), 1u);
  EXPECT_EQ(cards[0].artifact, "m.gguf");
  EXPECT_EQ(cards[0].file, run / "artifacts" / "step-m.md");
  EXPECT_TRUE(cards_of(both, run, {}).empty());
}

TEST_F(Publish, AFolderThatIsMadeAppearsWholeOrNotAtAll) {
  const fs::path out = folder_.path() / "out" / "model";
  const auto make = [](const char* text, const absl::Status& status) {
    return [=](const fs::path& folder) -> absl::Status {
      FRUGAL_RETURN_IF_ERROR(base::write_file_atomically(folder / "config.json", text));
      return status;
    };
  };
  FRUGAL_EXPECT_ERROR(publish_made(out, false, make("{}", base::data_loss("torn"))),
                      absl::StatusCode::kDataLoss, "torn");
  EXPECT_TRUE(fs::is_empty(out.parent_path()));
  FRUGAL_ASSERT_OK(publish_made(out, false, make("{}", absl::OkStatus())));
  EXPECT_EQ(base::read_file(out / "config.json").value(), "{}");
  FRUGAL_EXPECT_ERROR(publish_made(out, false, make("[]", absl::OkStatus())), kRefused, "--force");
  FRUGAL_EXPECT_ERROR(publish_made(out, true, make("[]", base::data_loss("torn"))),
                      absl::StatusCode::kDataLoss, "torn");
  EXPECT_EQ(base::read_file(out / "config.json").value(), "{}");
  FRUGAL_ASSERT_OK(publish_made(out, true, make("[]", absl::OkStatus())));
  EXPECT_EQ(base::read_file(out / "config.json").value(), "[]");
  EXPECT_EQ(std::distance(fs::directory_iterator(out.parent_path()), fs::directory_iterator()), 1);
}

TEST_F(Publish, WhatCannotBePutInPlaceIsRolledBack) {
  FRUGAL_ASSERT_OK(publish_result(result("a", {"c", "w"}), out(), false));
  const fs::path fresh = result("b", {"c", "w"});
  const auto expect_rolled_back = [&] {
    FRUGAL_EXPECT_ERROR(publish_result(fresh, out(), true), kRefused, "Input/output error");
    g_refused = {};
    EXPECT_EQ(content("out/c"), "a");
    EXPECT_EQ(content("out/w"), "a");
    FRUGAL_EXPECT_OK(check_target(out(), true));  // still a folder of ours
    EXPECT_THAT(names(), testing::ElementsAre("out"));
  };
  const std::string target = out().string();
  const auto into_place = [target](const char* from, const char* to) {
    return to == target && std::string(from).find(".partial-") != std::string::npos;
  };
  g_refused = into_place;
  expect_rolled_back();
  g_no_exchange = true;  // the old folder is already aside when the new one is refused
  g_refused = into_place;
  expect_rolled_back();
  // The old one cannot even be moved aside.
  g_refused = [target](const char* from, const char*) { return from == target; };
  expect_rolled_back();
}

TEST_F(Publish, AnOldFolderThatCannotBePutBackIsNamed) {
  FRUGAL_ASSERT_OK(publish_result(result("a", {"c", "w"}), out(), false));
  g_no_exchange = true;
  g_refused = [target = out().string()](const char*, const char* to) { return to == target; };
  FRUGAL_EXPECT_ERROR(publish_result(result("b", {"c", "w"}), out(), true), kRefused,
                      "the old folder could not be put back and lies in '");
  g_refused = {};
  ASSERT_EQ(names().size(), 1u);
  EXPECT_EQ(content(fs::path(names()[0]) / "c"), "a");
}

}  // namespace
}  // namespace frugal::pass
