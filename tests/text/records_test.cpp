#include "text/records.h"

#include <fstream>

#include "support/shared_data.h"

namespace frugal::text {
namespace {

class Records : public ::testing::Test {
 protected:
  std::filesystem::path write(const char* name, const std::string& content) {
    const auto path = folder_.path() / name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  absl::StatusOr<std::vector<Record>> read(const std::filesystem::path& path, size_t limit = 100) {
    std::vector<Record> records;
    const auto take = [&](Record record) -> absl::StatusOr<bool> {
      records.push_back(std::move(record));
      return records.size() < limit;
    };
    FRUGAL_RETURN_IF_ERROR(path.extension() == ".tsv" ? read_table(path, take)
                                                      : read_jsonl(path, take));
    return records;
  }
  test::TemporaryFolder folder_;
};

TEST_F(Records, TablesHaveAHeader) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto records,
      read(write("a.tsv", "\xEF\xBB\xBFsentence\tlabel\r\nit's \"good\"\t1\r\n\nbad\t0")));
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].fields.at("sentence"), "it's \"good\"");
  EXPECT_EQ(records[1].fields.at("label"), "0");
  EXPECT_EQ(records[1].line, 4);
  EXPECT_EQ(read(write("b.tsv", "a\n1\n2\n3\n"), 2)->size(), 2u);
}

TEST_F(Records, JsonLinesTakeScalars) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto records,
                              read(write("a.jsonl",
                                         "{\"a\": \"x\\ny\", \"n\": 3, \"f\": 0.5, \"t\": true, "
                                         "\"l\": [1]}\n\n{\"a\": \"z\"}\n")));
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].fields.at("a"), "x\ny");
  EXPECT_EQ(records[0].fields.at("n"), "3");
  EXPECT_EQ(records[0].fields.at("t"), "true");
  EXPECT_FALSE(records[0].fields.contains("l"));
}

TEST_F(Records, ErrorsNameFileAndLine) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(read(write("a.tsv", "a\tb\n1\t2\n1\n")), kInvalid, "a.tsv:3: 1 columns");
  FRUGAL_EXPECT_ERROR(read(write("b.tsv", "a\n\xFF\n")), kInvalid, "b.tsv:2: not valid UTF-8");
  FRUGAL_EXPECT_ERROR(read(write("c.jsonl", "{}\n{\"a\": }\n")), kInvalid, "c.jsonl:2");
  FRUGAL_EXPECT_ERROR(read(write("d.jsonl", "[1]\n")), kInvalid, "expected an object");
  FRUGAL_EXPECT_ERROR(read(folder_.path() / "none.tsv"), absl::StatusCode::kNotFound, "none.tsv");
}

}  // namespace
}  // namespace frugal::text
