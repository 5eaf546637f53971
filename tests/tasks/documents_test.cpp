#include "tasks/documents.h"

#include "base/file.h"
#include "support/shared_data.h"

namespace frugal::tasks {
namespace {

using base::Json;

class DocumentsOfATask : public ::testing::Test {
 protected:
  void write(const std::string& name, std::string_view text) {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    FRUGAL_ASSERT_OK(base::write_file_atomically(folder_.path() / name, text));
  }
  TaskConfig task(std::string path, std::string file) const {
    TaskConfig task{.name = "t", .dataset_path = std::move(path)};
    if (!file.empty()) task.data_files["test"] = {std::move(file)};
    task.test_split = "test";
    task.folder = folder_.path();
    return task;
  }
  test::TemporaryFolder folder_;
};

TEST_F(DocumentsOfATask, AreJsonAsItIs) {
  write("d.jsonl", "{\"a\": 1.5, \"b\": [\"x\"]}\n{\"a\": null, \"c\": \"1\"}\n");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Documents documents,
                              load_documents(task("json", "d.jsonl"), "test", {}));
  EXPECT_EQ(Json(documents.rows).dump(), R"([{"a":1.5,"b":["x"]},{"a":null,"c":"1"}])");
  EXPECT_EQ(documents.columns, (Columns{"a", "b", "c"}));
}

TEST_F(DocumentsOfATask, OfTablesHaveNumbersWhereAColumnHasNoOthers) {
  write("d.tsv", "s\tn\tm\nx \"y\"\t1\t1\nz\t-2\tt\n");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Documents documents,
                              load_documents(task("csv", "d.tsv"), "test", {}));
  EXPECT_EQ(Json(documents.rows).dump(),
            R"([{"s":"x \"y\"","n":1,"m":"1"},{"s":"z","n":-2,"m":"t"}])");
}

TEST_F(DocumentsOfATask, OfAPublishedNameAreFoundInAFolder) {
  write("data/part/test.jsonl", "{\"a\": 1}\n");
  TaskConfig published = task("allenai/ai2_arc", "");
  published.dataset_name = "part";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Documents documents,
                              load_documents(published, "test", folder_.path() / "data"));
  EXPECT_EQ(documents.rows.size(), 1u);
  FRUGAL_EXPECT_ERROR(load_documents(published, "test", {}), absl::StatusCode::kNotFound,
                      "datasets.load_dataset('allenai/ai2_arc', 'part', split='test').to_json("
                      "'test.jsonl')");
}

TEST_F(DocumentsOfATask, AreMissedByName) {
  FRUGAL_EXPECT_ERROR(load_documents(task("json", "gone.jsonl"), "test", {}),
                      absl::StatusCode::kNotFound,
                      "gone.jsonl' of the split 'test'; name the folder");
  FRUGAL_EXPECT_ERROR(load_documents(task("json", "gone.jsonl"), "train", {}),
                      absl::StatusCode::kInvalidArgument, "names no file of the split 'train'");
  write("empty.jsonl", "[]");
  FRUGAL_EXPECT_ERROR(load_documents(task("json", "empty.jsonl"), "test", {}),
                      absl::StatusCode::kInvalidArgument, "empty");
  write("swag.jsonl", "{\"ctx_a\": \"x\"}\n");
  TaskConfig swag = task("json", "swag.jsonl");
  swag.preprocessing = "hellaswag";
  FRUGAL_EXPECT_ERROR(load_documents(swag, "test", {}), absl::StatusCode::kInvalidArgument,
                      "task 't', split 'test': document 0: has no text 'activity_label'");
}

TEST_F(DocumentsOfATask, FilesAreAllThatAnEvaluationReads) {
  write("a.jsonl", "{}\n");
  write("b.jsonl", "{}\n");
  TaskConfig both = task("json", "a.jsonl");
  both.data_files["train"] = {"b.jsonl"};
  both.training_split = "train";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto two, document_files(both, {}));
  EXPECT_EQ(two.size(), 2u);
  both.data_files["train"] = {"gone.jsonl"};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto one, document_files(both, {}));
  EXPECT_EQ(one.size(), 1u);
  both.fewshot.count = 1;
  FRUGAL_EXPECT_ERROR(document_files(both, {}), absl::StatusCode::kNotFound, "gone.jsonl");
}

// lm-evaluation-harness' order: never from the questions while there is another split.
TEST(ExampleSplit, IsTheFirstThatIsNamed) {
  TaskConfig task;
  task.test_split = "test";
  EXPECT_EQ(example_split(task), "test");
  task.validation_split = "validation";
  EXPECT_EQ(example_split(task), "validation");
  task.training_split = "train";
  EXPECT_EQ(example_split(task), "train");
  task.fewshot.split = "dev";
  EXPECT_EQ(example_split(task), "dev");
}

}  // namespace
}  // namespace frugal::tasks
