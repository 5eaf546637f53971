#include "text/data_file.h"

#include <fstream>

#include "support/shared_data.h"
#include "text/dataset.h"
#include "text/records.h"

namespace frugal::text {
namespace {

using namespace std::string_literals;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// `printf '{"text": "one"}\n{"text": "two"}\n' | gzip -n9`
const std::string kPacked =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x2a\x49\xad\x28\x51\xb2\x52\x50\xca\xcf\x4b"
    "\x55\xaa\xe5\xaa\x86\xf3\x4b\xca\xf3\x81\x7c\x00\xd1\x5b\x69\xd5\x20\x00\x00\x00"s;

class DataFile : public ::testing::Test {
 protected:
  std::filesystem::path write(const char* name, const std::string& content) {
    const auto path = folder_.path() / name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  absl::StatusOr<std::vector<Record>> records(const std::filesystem::path& path, bool table) {
    std::vector<Record> result;
    const auto take = [&](Record record) -> absl::StatusOr<bool> {
      result.push_back(std::move(record));
      return true;
    };
    FRUGAL_RETURN_IF_ERROR(table ? read_table(path, take) : read_jsonl(path, take));
    return result;
  }
  test::TemporaryFolder folder_;
};

TEST_F(DataFile, FormComesFromTheContent) {
  EXPECT_EQ(data_form("[{\"text\": \"a\"}]", "x.txt"), DataForm::kJsonArray);
  EXPECT_EQ(data_form("\xEF\xBB\xBF\n[ \"a\", \"b\"]", "x"), DataForm::kJsonArray);
  EXPECT_EQ(data_form("{\"text\": \"a\"}\n", "x.dat"), DataForm::kJsonLines);
  EXPECT_EQ(data_form("{\"text\": \"a\"}\n", "X.CSV"), DataForm::kJsonLines);
  EXPECT_EQ(data_form("text,label\n\"a, b\",1\n", "X.CSV"), DataForm::kTable);
  EXPECT_EQ(data_form("text,label\n\"a, b\",1\n", "x.csv.gz"), DataForm::kTable);
  EXPECT_EQ(data_form("text\tlabel\na\t1\nb\t2\nc\t3\n", "x"), DataForm::kTable);
  EXPECT_EQ(data_form("[1] A note, and\nmore, of it\nthan, one\nline, here\n", "x"),
            DataForm::kText);
  EXPECT_EQ(data_form("Well, yes\nIt was, then\nthe, end\nof, it\n", "x"), DataForm::kText);
  EXPECT_EQ(data_form("{braces} in a text", "x"), DataForm::kText);
  EXPECT_EQ(data_form("", "x"), DataForm::kText);
}

TEST_F(DataFile, GzipIsUnpackedAndItsDamageNamed) {
  const auto unpacked = [&](const std::string& packed, int64_t most = 1 << 20) {
    return read_data_file(write("x.gz", packed), most);
  };
  const std::string text = "{\"text\": \"one\"}\n{\"text\": \"two\"}\n";
  EXPECT_EQ(unpacked(kPacked).value(), text);
  EXPECT_EQ(unpacked(kPacked + kPacked).value(), text + text);
  FRUGAL_EXPECT_ERROR(unpacked(kPacked.substr(0, 30)), absl::StatusCode::kDataLoss, "ends early");
  std::string damaged = kPacked;
  damaged[36] ^= 1;  // of the checksum
  FRUGAL_EXPECT_ERROR(unpacked(damaged), absl::StatusCode::kDataLoss, "damaged");
  FRUGAL_EXPECT_ERROR(unpacked(kPacked, 4), absl::StatusCode::kResourceExhausted, "more than 4");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto read, records(write("train.jsonl.gz", kPacked), false));
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[1].fields.at("text"), "two");
}

// In and out in any portions: what inflate holds back for want of room is not lost.
TEST_F(DataFile, GunzipWorksInAnyPortions) {
  std::string members, text;
  for (int i = 0; i < 50; ++i) {
    members += kPacked;
    text += "{\"text\": \"one\"}\n{\"text\": \"two\"}\n";
  }
  for (const size_t in : {size_t{1}, size_t{7}, size_t{100000}}) {
    for (const size_t out : {size_t{1}, size_t{5}, size_t{100000}}) {
      Gunzip gunzip("x");
      std::string found;
      for (size_t at = 0; at < members.size(); at += in) {
        gunzip.give(std::string_view(members).substr(at, in));
        for (size_t before = found.size() + 1; before != found.size() || !gunzip.wants_more();) {
          before = found.size();
          FRUGAL_ASSERT_OK(gunzip.take(out, found));
        }
      }
      FRUGAL_EXPECT_OK(gunzip.finish());
      EXPECT_EQ(found, text) << in << " " << out;
    }
  }
}

TEST_F(DataFile, StreamsGiveTheWholeText) {
  std::string text;
  for (int i = 0; i < 30000; ++i) text += "line " + std::to_string(i) + "\n";
  FRUGAL_ASSERT_OK_AND_ASSIGN(DataStream stream, DataStream::open(write("a.txt", text)));
  EXPECT_EQ(stream.head(), text.substr(0, kDataHeadBytes));
  std::string found, piece;
  for (bool more = true; more; found += piece) {
    piece.clear();
    FRUGAL_ASSERT_OK_AND_ASSIGN(more, stream.read(piece));
    EXPECT_LE(piece.size(), kDataHeadBytes);
  }
  EXPECT_EQ(found, text);
  EXPECT_EQ(read_data_file(write("empty.txt", "")).value(), "");
}

TEST_F(DataFile, ArraysHoldRecordsAsLinesDo) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto read,
      records(write("a.json", "[\n  {\"text\": \"one\"},\n  {\"text\": \"two\", \"n\": 1}\n]\n"),
              false));
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[1].fields.at("text"), "two");
  EXPECT_EQ(records(write("b.json", "[\"one\", \"two\"]"), false)->at(0).fields.at("text"), "one");
  FRUGAL_EXPECT_ERROR(
      records(write("c.json", "{\n\"version\": 1,\n\"data\": [{\"text\": 1}]\n}"), false), kInvalid,
      "jq -c '.[\"data\"][]' 'c.json'");
  FRUGAL_EXPECT_ERROR(records(write("d.jsonl", "a,b\n1,2\n"), false), kInvalid, "d.jsonl");
}

TEST_F(DataFile, CommaSeparatedTablesMayQuote) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto read,
      records(
          write("a.CSV", "\xEF\xBB\xBFtext,label\r\n\"a, \"\"b\"\"\nsecond line\",1\r\nplain,0"),
          true));
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].fields.at("text"), "a, \"b\"\nsecond line");
  EXPECT_EQ(read[0].fields.at("label"), "1");
  EXPECT_EQ(read[1].line, 4);
  EXPECT_EQ(records(write("b.csv", "text;label\na, b;1\n"), true)->at(0).fields.at("text"), "a, b");
  FRUGAL_EXPECT_ERROR(records(write("c.csv", "a,b\n1,2\n3\n"), true), kInvalid, "c.csv:3: 1 col");
  FRUGAL_EXPECT_ERROR(records(write("d.csv", "a,b\n\"1,2\n"), true), kInvalid, "never closes");
  FRUGAL_EXPECT_ERROR(records(write("e.csv", "{\"text\": \"a\"}\n"), true), kInvalid, "`jsonl`");
}

TEST_F(DataFile, WhatIsNotReadIsNamed) {
  const auto text = [&](const char* name, const std::string& content) {
    DataSource source;
    source.text = {write(name, content).string()};
    const absl::Status planned = check_data(source);
    const absl::Status loaded = load_examples(source).status();
    EXPECT_EQ(planned.ok(), loaded.ok()) << name;  // the plan refuses what the run refuses
    return loaded;
  };
  FRUGAL_EXPECT_ERROR(text("a.txt", "PAR1...."), kInvalid, "read_parquet('a.txt')");
  FRUGAL_EXPECT_ERROR(text("a.parquet", "PAR1...."), kInvalid, "Parquet");
  FRUGAL_EXPECT_ERROR(text("a.zst", "\x28\xb5\x2f\xfd...."), kInvalid, "zstd -d 'a.zst'");
  FRUGAL_EXPECT_ERROR(text("u.txt", "\xff\xfeh\0i\0"s), kInvalid, "UTF-16");
  FRUGAL_EXPECT_ERROR(text("a.jsonl", "{\"text\": \"a\"}\n"), kInvalid, "under `jsonl`");
  FRUGAL_EXPECT_ERROR(text("a.csv", "text,label\na,1\n"), kInvalid, "under `table`");
  FRUGAL_EXPECT_OK(text("b.txt", "{\"the\": \"text that is meant\"}"));
  FRUGAL_EXPECT_OK(text("b.txt.gz", kPacked));
}

TEST_F(DataFile, ConversationsAreMappedAsTheMessageSays) {
  const std::string line =
      "{\"id\": 1, \"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": "
      "\"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": \"Hello\"}]}\n";
  DataSource source;
  source.jsonl = write("chat.jsonl", line).string();
  constexpr const char* kFound = "found id, messages (a list of 3: content, role)";
  FRUGAL_EXPECT_ERROR(load_examples(source), kInvalid, kFound);
  FRUGAL_EXPECT_ERROR(check_data(source), kInvalid, "`prompt` and `completion`");
  FRUGAL_EXPECT_ERROR(check_data(source), kInvalid,
                      "prompt: \"{messages.0.content}\\n{messages.1.content}\", completion: "
                      "\"{messages.2.content}\"");
  source.prompt = "{messages.0.content}\n{messages.1.content}";
  source.completion = "{messages.2.content}";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples, load_examples(source));
  EXPECT_EQ(examples[0].prompt + "|" + examples[0].completion, "Be brief.\nHi|Hello");
}

TEST_F(DataFile, OtherFieldsAreSuggestedToo) {
  DataSource source;
  source.jsonl = write("qa.jsonl", "{\"question\": \"q\", \"answer\": \"a\"}\n").string();
  FRUGAL_EXPECT_ERROR(load_examples(source), kInvalid,
                      "found question, answer; map them by `prompt` and `completion`");
  source.jsonl = write("share.jsonl",
                       "{\"conversations\": [{\"from\": \"human\", \"value\": \"q\"}, "
                       "{\"from\": \"gpt\", \"value\": \"a\"}]}\n")
                     .string();
  FRUGAL_EXPECT_ERROR(load_examples(source), kInvalid, "completion: \"{conversations.1.value}\"");
}

}  // namespace
}  // namespace frugal::text
