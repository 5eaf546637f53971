#include "pass/pipeline.h"

#include <gtest/gtest.h>

#include "support/shared_data.h"

namespace frugal::pass {
namespace {

Pipeline parse(const std::string& text, std::string* problems = nullptr) {
  Problems found("f");
  Pipeline pipeline = parse_pipeline(text, "/base", {}, found);
  if (problems == nullptr) {
    EXPECT_EQ(found.text(), "");
  } else {
    *problems = found.text();
  }
  return pipeline;
}

std::string problems_of(const std::string& text) {
  std::string problems;
  parse(text, &problems);
  return problems;
}

constexpr const char* kHead = "frugal: 1\nname: toy\nsteps: [{id: a, pass: make}]\n";

// A file that is named alone lies in the folder that frugal runs in.
TEST(Pipeline, PathsAreAbsoluteWhereverTheFileIsNamedFrom) {
  Problems found("f");
  const Pipeline pipeline = parse_pipeline(
      "frugal: 1\nname: toy\nmodels: {teacher: hf/teacher}\nsteps: [{id: a, pass: make}]\n", "", {},
      found);
  EXPECT_EQ(found.text(), "");
  EXPECT_EQ(pipeline.find_model("teacher")->folder,
            (std::filesystem::current_path() / "hf/teacher").string());
}

TEST(Pipeline, ReadsEverySection) {
  const Pipeline pipeline = parse(R"(frugal: 1
name: toy
description: what it is
seed: 7
models: {teacher: hf/teacher, other: /abs/other/}
data:
  novels: {text: [a/*.txt, b.txt], tokens: 128k, sequence_length: 2048}
  train: {table: sst/train.tsv, prompt: "{sentence}\n", completion: " {label}", labels: {"0": negative, 1: positive}}
  dev: {table: sst/dev.tsv, same_as: train, limit: 10}
  shop: {builtin: storefront, split: test, task: sentiment}
steps:
  - {id: a, pass: make}
  - {id: b, pass: scale, from: a, with: {factor: 2}}
  - {id: c, pass: scale, from: [a, teacher], matrix: {factor: [1, 2], mode: [up, down]}}
report: {baseline: a, claim: {metric: dev/acc, margin: 0.02}}
)");
  EXPECT_EQ(pipeline.seed, 7u);
  EXPECT_EQ(pipeline.find_model("teacher")->folder, "/base/hf/teacher");
  EXPECT_EQ(pipeline.find_model("other")->folder, "/abs/other");
  EXPECT_EQ(pipeline.find_data("novels")->source.text,
            (std::vector<std::string>{"/base/a/*.txt", "/base/b.txt"}));
  EXPECT_EQ(pipeline.find_data("novels")->source.tokens, 128000);
  const text::DataSource& dev = pipeline.find_data("dev")->source;
  EXPECT_EQ(dev.table, "/base/sst/dev.tsv");
  EXPECT_EQ(dev.prompt, "{sentence}\n");
  EXPECT_EQ(dev.labels.at("1"), "positive");
  EXPECT_EQ(dev.limit, 10);
  EXPECT_EQ(pipeline.find_data("shop")->source.seed, 7u);
  ASSERT_EQ(pipeline.steps.size(), 3u);
  EXPECT_FALSE(pipeline.steps[1].from_is_list);
  EXPECT_TRUE(pipeline.steps[2].from_is_list);
  EXPECT_EQ(pipeline.steps[2].matrix[1].values[0].text, "up");
  EXPECT_EQ(pipeline.report.claim->margin, 0.02);
  EXPECT_EQ(pipeline.report.claim->kind, "absolute");
}

TEST(Pipeline, ReportsAllMistakesAtOnce) {
  EXPECT_EQ(problems_of(R"(frugal: 2
nme: toy
seed: -1
models: {teacher: 5}
data:
  x: {text: a.txt, jsonl: b.jsonl, limt: 3}
  y: {same_as: z, builtin: storefront}
  w: {text: a.txt, split: test}
steps:
  - {id: a, pass: make, with: {}}
  - {id: a, pas: make}
  - {id: .., pass: make, from: []}
  - {id: teacher, pass: make, matrix: {factor: 2}}
  - {id: d, pass: make, with: {factor: 1}, matrix: {factor: [1]}}
report: {claim: {metric: x, margin: 0, kind: exact}, site: none.yaml}
)"),
            R"(f:1:1: the pipeline needs the key 'name': the name of the run folder
f:1:9: 'frugal' of the pipeline is the number 2, expected 1, the only schema version
f:2:1: the pipeline has no key 'nme'; did you mean 'name'?
f:3:7: 'seed' of the pipeline is the number -1, expected a whole number of at least 0
f:4:19: model 'teacher' is the number 5, expected the path of a Hugging Face folder or of a .gguf file
f:6:6: data 'x' has text and jsonl, expected exactly one of text, jsonl, table, builtin, mix, self, task_file
f:6:36: data 'x' has no key 'limt'; did you mean 'limit'?
f:7:16: data 'y' is the same as 'z', which is not above it; expected one of x
f:8:27: 'split' is only for builtin data
f:11:5: a step needs the key 'pass': what to do, a name of `frugal passes`
f:11:10: the step 'a' stands twice; first in line 10
f:11:13: a step has no key 'pas'; did you mean 'pass'?
f:12:10: '..' is no name: expected letters, digits, '_', '-' and '.', not beginning with '-' or '.'
f:12:32: 'from' of a step is a list of 0 values, expected at least one name
f:13:10: 'teacher' is already the name of a model
f:13:48: the matrix of 'factor' is the number 2, expected a list of values
f:14:53: 'factor' stands in 'with' and in 'matrix'
f:15:37: 'margin' of the claim is the number 0, expected a number above 0, at most 1
f:15:46: 'kind' of the claim is 'exact', expected one of absolute, relative
f:15:60: there is no file '/base/none.yaml')");
}

TEST(Pipeline, MixesDataWhereverTheyStand) {
  const Pipeline pipeline = parse(std::string(kHead) + R"(data:
  all: {mix: {wiki: 2, code: 0.5, self: 1}, tokens: 4096}
  even: {mix: [code, own]}
  wiki: {text: wiki.txt}
  code: {text: code.txt}
  own: {self: true, seed: 9}
)");
  const text::DataSource& all = pipeline.find_data("all")->source;
  ASSERT_EQ(all.mix.size(), 3u);
  EXPECT_EQ(all.mix[0].weight, 2);
  EXPECT_EQ(all.mix[0].source->text, (std::vector<std::string>{"/base/wiki.txt"}));
  EXPECT_EQ(all.mix[1].weight, 0.5);
  EXPECT_TRUE(all.mix[2].source->self);
  EXPECT_EQ(all.mix[2].source->seed, pipeline.seed);
  EXPECT_EQ(all.tokens, 4096);
  const text::DataSource& even = pipeline.find_data("even")->source;
  ASSERT_EQ(even.mix.size(), 2u);
  EXPECT_EQ(even.mix[1].source->seed, 9u);
  EXPECT_TRUE(pipeline.find_data("own")->source.self);
}

TEST(Pipeline, MixturesOfWhatIsNotThereAreProblems) {
  const std::string found = problems_of(std::string(kHead) + R"(data:
  all: {mix: {wikki: 2}}
  wiki: {text: wiki.txt}
  loop: {mix: [loop]}
  word: {mix: wiki}
  self: {text: wiki.txt}
)");
  EXPECT_THAT(found, testing::HasSubstr("data 'all' mixes 'wikki', which is no data; did you mean "
                                        "'wiki'?"));
  EXPECT_THAT(found, testing::HasSubstr("data 'loop' mixes itself"));
  EXPECT_THAT(found, testing::HasSubstr("'mix' of data 'word' is"));
  EXPECT_THAT(found, testing::HasSubstr("this name stands for text that the model writes itself"));
}

TEST(Pipeline, OctalNumbersAndYesAreNotTaken) {
  EXPECT_THAT(problems_of(std::string(kHead) + "seed: 010\n"),
              testing::HasSubstr("f:4:7: 'seed' of the pipeline is '010'"));
  EXPECT_THAT(problems_of(std::string(kHead) + "description: 7\n"),
              testing::HasSubstr("expected text; put it in quotes"));
}

TEST(Pipeline, AnEmptyFileIsOneProblem) {
  EXPECT_EQ(problems_of(""), "f: the file is empty; expected a pipeline");
  EXPECT_THAT(problems_of("just text"),
              testing::HasSubstr("f:1:1: the pipeline is 'just text', expected a group of keys"));
}

TEST(Pipeline, HashesOfInputsMustBelongToInputs) {
  const Pipeline pipeline =
      parse(std::string(kHead) + "data: {x: {builtin: storefront}}\ninputs: {data: {x: 00ff}}\n");
  EXPECT_EQ(pipeline.find_data("x")->expected_hash, "00ff");
  EXPECT_THAT(problems_of(std::string(kHead) + "inputs: {models: {y: ab}}\n"),
              testing::HasSubstr("'y' is not the name of an input"));
}

}  // namespace
}  // namespace frugal::pass
