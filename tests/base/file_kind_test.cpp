#include "base/file_kind.h"

#include <fstream>

#include "base/file.h"
#include "base/json.h"
#include "support/shared_data.h"

namespace frugal::base {
namespace {

using namespace std::string_literals;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

const std::string kPointer =
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    "size 1610612736\n";

TEST(FileKind, IsReadFromTheFirstBytes) {
  const std::vector<std::pair<std::string, FileKind>> cases = {
      {"", FileKind::kEmpty},
      {std::string(64, '\0'), FileKind::kZeros},
      {kPointer, FileKind::kGitLfsPointer},
      {"<!DOCTYPE html>\n<html lang=\"en\">", FileKind::kWebPage},
      {"  \n<html>", FileKind::kWebPage},
      {"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", FileKind::kWebPage},
      {"\x1f\x8b\x08\x00rest"s, FileKind::kGzip},
      {"\x28\xb5\x2f\xfdrest", FileKind::kZstandard},
      {"\xfd"
       "7zXZ\0rest"s,
       FileKind::kXz},
      {"BZh91AY", FileKind::kBzip2},
      {"GGUF\x03", FileKind::kGguf},
      {"PAR1\x15\x04", FileKind::kParquet},
      {"ARROW1\0\0"s, FileKind::kArrow},
      {"\xff\xfe{\0"s, FileKind::kUtf16},
      {"{\0\"\0a\0\"\0:\0001\0}\0"s, FileKind::kUtf16},
      {"\x80\x02}q\x00"s, FileKind::kPickle},
      {"PK\x03\x04"s + std::string(22, '\0') + "\x10\0\0\0archive/data.pkl"s, FileKind::kTorch},
      {"PK\x03\x04"s + std::string(22, '\0') + "\x09\0\0\0notes.txt"s, FileKind::kZip},
      {"\x10\0\0\0\0\0\0\0{\"a\":{}}"s, FileKind::kSafetensors},
      {"{\"a\": 1}", FileKind::kOther},
      {"plain text, with <html> in it", FileKind::kOther},
      {"\xef\xbb\xbf{}", FileKind::kOther},
  };
  for (const auto& [head, kind] : cases) EXPECT_EQ(recognize(std::string_view(head)), kind) << head;
}

TEST(FileKind, IsNamedWithWhatToDo) {
  EXPECT_EQ(describe(FileKind::kOther, "a"), "");
  EXPECT_THAT(
      describe(FileKind::kGitLfsPointer, "m.safetensors", kPointer),
      ::testing::AllOf(::testing::HasSubstr("git lfs pull"), ::testing::HasSubstr("1.5 GiB")));
  EXPECT_THAT(describe(FileKind::kParquet, "dir/train.parquet"),
              ::testing::HasSubstr("pandas.read_parquet('train.parquet').to_json('train.jsonl'"));
  EXPECT_EQ(suffix_of("Train.JSONL"), ".jsonl");
}

TEST(FileKind, JsonReadersSayWhatAFileIsInPlaceOfJson) {
  const test::TemporaryFolder folder;
  const auto write = [&](const char* name, const std::string& content) {
    std::ofstream(folder.path() / name, std::ios::binary) << content;
    return folder.path() / name;
  };
  FRUGAL_EXPECT_ERROR(read_json(write("tokenizer.json", kPointer)), kInvalid,
                      "tokenizer.json: it is a git-lfs pointer");
  FRUGAL_EXPECT_ERROR(read_json(write("a.json", "<html>Sign in</html>")), kInvalid, "a web page");
  FRUGAL_EXPECT_ERROR(read_json(write("b.json", "\x1f\x8b\x08\x00..."s)), kInvalid, "gunzip");
  FRUGAL_EXPECT_ERROR(read_json(write("c.json", "\xff\xfe{\0}\0"s)), kInvalid, "iconv -f UTF-16");
  FRUGAL_EXPECT_ERROR(read_json(write("d.json", "")), kInvalid, "an empty file");
  FRUGAL_EXPECT_OK(read_json(write("e.json", "{}")));
  FRUGAL_EXPECT_ERROR(recognize_file(folder.path() / "none"), absl::StatusCode::kNotFound, "none");
}

}  // namespace
}  // namespace frugal::base
