#include "pass/option_reader.h"

#include <gtest/gtest.h>

#include "pass/yaml.h"
#include "toy.h"

namespace frugal::pass {
namespace {

std::unique_ptr<Pass> scale() {
  for (const PassFactory factory : test::toy_registry()) {
    if (auto pass = factory(); pass->info().name == "scale") return pass;
  }
  return nullptr;
}

std::string problems_of(const std::string& yaml) {
  Problems problems("f");
  Positions positions;
  read_options(*scale(), parse_yaml(yaml, problems), {}, problems, positions);
  return problems.text();
}

base::Json read(const Node& node) {
  Problems problems("f");
  Positions positions;
  const auto pass = scale();
  read_options(*pass, node, {}, problems, positions);
  EXPECT_EQ(problems.text(), "");
  return options_json(*pass);
}

base::Json read(const std::string& yaml) {
  Problems problems("f");
  const Node node = parse_yaml(yaml, problems);
  return read(node);
}

TEST(OptionReader, ReadsEveryType) {
  const base::Json options = read(
      "factor: 2\nmode: up\ntokens: 20M\nmemory: 70GiB\npatience: 2h\ncompensate: true\nbatch: [1, "
      "16]\n"
      "skip: [a, b]\nteacher: big\ncalibration: novels\ntasks: [x, y]\n");
  EXPECT_EQ(options, base::Json::parse(
                         R"({"factor": 2.0, "mode": "up", "tokens": 20000000, "memory": 75161927680,
      "patience": 7200.0, "compensate": true, "batch": [1, 16], "skip": ["a", "b"], "teacher": "big",
      "calibration": "novels", "tasks": ["x", "y"], "precision": "rounded"})"));
}

TEST(OptionReader, OneValueStandsForAList) {
  const base::Json options = read("factor: 2\nbatch: 4\ntasks: x\n");
  EXPECT_EQ(options["batch"], base::Json::parse("[4]"));
  EXPECT_EQ(options["tasks"], base::Json::parse(R"(["x"])"));
}

TEST(OptionReader, WhatIsPrintedReadsBackTheSame) {
  const base::Json options = read("factor: 0.1\nskip: ['5', 'true']\n");
  EXPECT_EQ(options["tokens"],
            0);  // the default lies outside the range, and writing it out changes nothing
  EXPECT_EQ(read(node_of(options, {})), options);
  EXPECT_EQ(read(print_yaml(options)), options);
}

TEST(OptionReader, ReportsEveryMistakeWithItsPlace) {
  EXPECT_EQ(
      problems_of("factr: 1\nmode: nearst\ntokens: 5\nmemory: 2h\ncompensate: yes\nbatch: [0, "
                  "x]\nskip: 4\ntasks: {a: 1}\n"),
      "f:1:1: pass 'scale' needs the option 'factor': What to multiply by.\n"
      "f:1:1: pass 'scale' has no option 'factr'; did you mean 'factor'?\n"
      "f:2:7: option 'mode' is 'nearst'; allowed: nearest, down, up; did you mean 'nearest'?\n"
      "f:3:9: option 'tokens' is 5, allowed is at least 10\n"
      "f:4:9: option 'memory' is '2h', expected a whole number of bytes, such as 4096 or 70GiB\n"
      "f:5:13: option 'compensate' is 'yes', expected true or false\n"
      "f:6:9: option 'batch' is 0, allowed is at least 1\n"
      "f:6:12: option 'batch' is 'x', expected a whole number\n"
      "f:7:7: option 'skip' is the number 4, expected text\n"
      "f:8:8: option 'tasks' is a group of 1 key, expected a list of data");
}

TEST(OptionReader, BoundsMayBeExclusive) {
  EXPECT_EQ(problems_of("factor: 0\n"),
            "f:1:9: option 'factor' is 0, allowed is above 0, at most 10");
  EXPECT_EQ(problems_of("factor: 10\n"), "");
  EXPECT_EQ(problems_of("factor: 10.5\n"),
            "f:1:9: option 'factor' is 10.5, allowed is above 0, at most 10");
  EXPECT_EQ(problems_of("factor:\n"), "f:1:1: option 'factor' has no value");
}

TEST(OptionReader, CommandLineValuesHaveNoQuotes) {
  Node map;
  map.kind = Node::Kind::kMap;
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"factor", "2"}, {"skip", "4,5"}, {"batch", "1,2"}, {"compensate", ""}}) {
    map.members.push_back({name, {}, scalar_node(value, {0, 0, "--" + name}, true)});
  }
  const base::Json options = read(map);
  EXPECT_EQ(options["skip"], base::Json::parse(R"(["4", "5"])"));
  EXPECT_EQ(options["batch"], base::Json::parse("[1, 2]"));
  EXPECT_EQ(options["compensate"], true);
}

// Options that were renamed, and some that others decide where they are not given.
class RenamedPass : public Pass {
 public:
  const PassInfo& info() const override {
    static const PassInfo kInfo{.name = "renamed", .summary = "Has former names."};
    return kInfo;
  }
  void visit_options(OptionVisitor& visitor) override {
    visitor.field({.name = "solver",
                   .help = "How.",
                   .choices = {"refit", "cut"},
                   .former_names = {"way", "how"},
                   .former_choices = {{"s", "refit"}}},
                  solver);
    visitor.field(
        {.name = "steps", .help = "Steps.", .minimum = 1, .otherwise = "as many as needed"}, steps);
    visitor.field({.name = "rate", .help = "Rate."}, rate);
    visitor.field({.name = "order", .help = "Order.", .choices = {"up", "down"}}, order);
  }
  absl::Status check(CheckContext&, ModelInfo&) const override { return absl::OkStatus(); }
  absl::Status run(RunContext&) const override { return absl::OkStatus(); }

  std::string solver = "refit";
  std::optional<int64_t> steps;
  std::optional<double> rate;
  std::optional<std::string> order;
};

std::string read_renamed(const std::string& yaml, RenamedPass& pass) {
  Problems problems("f");
  Positions positions;
  read_options(pass, parse_yaml(yaml, problems), {}, problems, positions);
  return problems.text();
}

TEST(OptionReader, FormerNamesAndValuesAreToldTheirPresentOnes) {
  RenamedPass pass;
  EXPECT_EQ(read_renamed("how: cut\n", pass),
            "f:1:1: pass 'renamed': option 'how' is now called 'solver'");
  EXPECT_EQ(read_renamed("solver: s\n", pass),
            "f:1:9: option 'solver' is 's', which is now called 'refit'");
  EXPECT_EQ(pass.solver, "refit");
  EXPECT_EQ(describe_options(pass)[0].former_names, (std::vector<std::string>{"way", "how"}));
}

TEST(OptionReader, WhatOtherOptionsDecideIsLeftOpen) {
  RenamedPass pass;
  EXPECT_EQ(read_renamed("solver: cut\n", pass), "");
  EXPECT_FALSE(pass.steps.has_value());
  EXPECT_EQ(options_json(pass), base::Json::parse(R"({"solver": "cut"})"));
  EXPECT_EQ(describe_options(pass)[1].default_text(), "as many as needed");
  EXPECT_EQ(read_renamed("steps: 3\nrate: 0\norder: up\n", pass), "");
  EXPECT_EQ(pass.steps, 3);
  EXPECT_EQ(pass.rate, 0.0);
  EXPECT_EQ(options_json(pass),
            base::Json::parse(R"({"solver": "cut", "steps": 3, "rate": 0.0, "order": "up"})"));
}

TEST(OptionReader, OpenOptionsAreCheckedLikeOthers) {
  RenamedPass pass;
  EXPECT_EQ(read_renamed("steps: 0\nrate: x\norder: u\n", pass),
            "f:1:8: option 'steps' is 0, allowed is at least 1\n"
            "f:2:7: option 'rate' is 'x', expected a number\n"
            "f:3:8: option 'order' is 'u'; allowed: up, down");
  EXPECT_FALSE(pass.steps || pass.rate || pass.order);
}

TEST(OptionReader, FindsReferences) {
  Problems problems("f");
  Positions positions;
  const auto pass = scale();
  read_options(*pass, parse_yaml("factor: 1\nteacher: t\ntasks: [x, y]\n", problems), {}, problems,
               positions);
  const std::vector<Reference> found = references(*pass);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].name, "t");
  EXPECT_EQ(found[0].kind, Reference::Kind::kModel);
  EXPECT_EQ(found[2].option, "tasks");
  EXPECT_EQ(found[2].name, "y");
  EXPECT_EQ(positions.at("tasks").line, 3);
}

TEST(OptionReader, WhatAPassImpliesIsAReference) {
  class Implying final : public RenamedPass {
   public:
    std::vector<ImpliedData> implied_data() const override { return {{"text", kSelfData}}; }
  } pass;
  const std::vector<Reference> found = references(pass);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].option, "text");
  EXPECT_EQ(found[0].name, "self");
  EXPECT_EQ(found[0].kind, Reference::Kind::kData);
}

TEST(OptionReader, FindsPrecisions) {
  EXPECT_THAT(precision_options(*scale()), testing::ElementsAre("precision"));
}

TEST(OptionReader, HelpSaysEverything) {
  const std::string help = pass_help(*scale(), true);
  EXPECT_THAT(help, testing::StartsWith("scale: Multiplies every weight by a factor.\n  takes a "
                                        "checkpoint, yields a checkpoint\n"));
  EXPECT_THAT(help, testing::HasSubstr("  --factor  <number>  required\n      What to multiply by. "
                                       "Range: above 0, at most 10.\n"));
  EXPECT_THAT(
      help,
      testing::HasSubstr(
          "  --mode  <text>\n      How to round. One of: nearest, down, up. Default: nearest.\n"));
  EXPECT_THAT(help, testing::HasSubstr("  --tokens  <integer, tokens>\n      How much to read; 0 "
                                       "reads all. Range: at least 10. Default: 0.\n"));
  EXPECT_THAT(
      help,
      testing::HasSubstr(
          "  --batch  <list of integer>\n      Batch sizes. Range: at least 1. Default: 1,8.\n"));
  EXPECT_THAT(help, testing::HasSubstr("Text to look at. Default: none.\n"));
}

}  // namespace
}  // namespace frugal::pass
