#include "pass/plan.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "base/file.h"
#include "toy.h"

namespace frugal::pass {
namespace {

using test::Workshop;

constexpr const char* kHead =
    "frugal: 1\nname: toy\nmodels: {teacher: teacher}\ndata: {text: {text: a.txt}, other: {text: "
    "b.txt}}\n";

std::vector<std::string> names(const Plan& plan) {
  std::vector<std::string> out;
  for (const Unit& unit : plan.units)
    out.push_back(unit.name() + (unit.from.empty() ? "" : " < " + unit.from));
  return out;
}

TEST(Plan, FromDefaultsToTheLastCheckpointAndFansThrough) {
  Workshop shop;
  const Plan plan = shop.plan(std::string(kHead) + R"(steps:
  - {id: small, pass: scale, matrix: {factor: [0.50, 2]}}
  - {id: look, pass: judge}
  - {id: next, pass: scale, with: {factor: 3}}
  - {id: file, pass: pack, from: next/2}
  - {id: all, pass: judge, from: [teacher, small], with: {reference: teacher}}
  - {id: cross, pass: scale, from: small, matrix: {factor: [1, 3], mode: [up, down]}}
)");
  EXPECT_THAT(names(plan),
              testing::ElementsAre("small/0.5 < teacher", "small/2 < teacher",  //
                                   "look/0.5 < small/0.5", "look/2 < small/2",  //
                                   "next/0.5 < small/0.5", "next/2 < small/2",  //
                                   "file/2 < next/2",                           //
                                   "all/teacher < teacher", "all/small/0.5 < small/0.5",
                                   "all/small/2 < small/2", "cross/0.5-1-up < small/0.5",
                                   "cross/0.5-1-down < small/0.5", "cross/0.5-3-up < small/0.5",
                                   "cross/0.5-3-down < small/0.5", "cross/2-1-up < small/2",
                                   "cross/2-1-down < small/2", "cross/2-3-up < small/2",
                                   "cross/2-3-down < small/2"));
  EXPECT_EQ(plan.find("next/2")->model.name, "next/2");
}

// A claim stands once, in the report: the steps that compare with the baseline test it.
TEST(Plan, AClaimIsTestedByTheStepsThatCompareWithTheBaseline) {
  const std::string head = std::string(kHead) + R"(steps:
  - {id: small, pass: scale, matrix: {factor: [2, 3]}}
  - {id: look, pass: judge, from: [teacher, small], with: {reference: teacher}}
  - {id: other, pass: judge, from: small/2, with: {reference: small/3}}
)";
  const std::string claim = "report: {baseline: teacher, claim: {metric: toy/size, margin: ";
  Workshop shop;
  const Plan plan = shop.plan(head + claim + "0.02}}\n");
  EXPECT_FALSE(plan.find("small/2")->claim.has_value());
  EXPECT_FALSE(plan.find("look/teacher")->claim.has_value());  // a model and itself
  ASSERT_TRUE(plan.find("look/small/2")->claim.has_value());
  EXPECT_EQ(plan.find("look/small/2")->claim->margin, 0.02);
  EXPECT_FALSE(plan.find("other/2")->claim.has_value());
  // Another margin is another verdict, and no other checkpoint.
  const Plan again = shop.plan(head + claim + "0.03}}\n");
  EXPECT_EQ(again.find("small/2")->key, plan.find("small/2")->key);
  EXPECT_EQ(again.find("other/2")->key, plan.find("other/2")->key);
  EXPECT_NE(again.find("look/small/2")->key, plan.find("look/small/2")->key);
}

TEST(Plan, AClaimThatNoStepTestsIsRefused) {
  Workshop shop;
  const std::string head =
      std::string(kHead) + "steps:\n  - {id: small, pass: scale, with: {factor: 2}}\n";
  const std::string look =
      head + "  - {id: look, pass: judge, from: small, with: {reference: teacher}}\n";
  EXPECT_THAT(shop.problems(look + "report: {baseline: teacher, claim: {metric: toy/sise, margin: "
                                   "0.02}}\n"),
              testing::HasSubstr("no step tests the claim about 'toy/sise': none compares a model "
                                 "with the baseline 'teacher' on it; did you mean 'toy/size'"));
  EXPECT_THAT(shop.problems(look + "report: {baseline: small, claim: {metric: toy/size, margin: "
                                   "0.02}}\n"),
              testing::HasSubstr("compared on it are models with another `reference`"));
  EXPECT_THAT(shop.problems(head + "report: {claim: {metric: toy/size, margin: 0.02}}\n"),
              testing::HasSubstr("give a step of evaluate this `reference`"));
}

TEST(Plan, AStepWithoutInputMakesOne) {
  Workshop shop;
  const Plan plan = shop.plan(
      "frugal: 1\nname: toy\nsteps: [{id: a, pass: make}, {id: b, pass: scale, with: {factor: "
      "2}}]\n");
  EXPECT_THAT(names(plan), testing::ElementsAre("a", "b < a"));
  EXPECT_EQ(plan.find("b")->estimate.output_bytes,
            4 * plan.find("a")->model.config.parameter_count());
}

TEST(Plan, ReportsEveryMistakeAtOnce) {
  Workshop shop;
  EXPECT_EQ(shop.problems(std::string(kHead) + R"(steps:
  - {id: a, pass: scal, with: {factor: 2}}
  - {id: b, pass: scale, from: techer, with: {factor: 2}}
  - {id: c, pass: scale, from: d, with: {factor: 2}}
  - {id: d, pass: scale, from: e, with: {factor: 2}}
  - {id: e, pass: scale, from: c, with: {factor: 2}}
  - {id: f, pass: scale, from: teacher, with: {factor: 2, calibration: texd, teacher: g}}
  - {id: g, pass: scale, from: teacher, matrix: {factor: [2, 11], mde: [up]}}
  - {id: h, pass: scale, from: teacher, with: {factor: 7}}
  - {id: i, pass: make, from: teacher}
  - {id: j, pass: judge, from: teacher}
  - {id: k, pass: judge, from: j}
  - {id: l, pass: judge, from: a}
  - {id: m, pass: scale, from: teacher, matrix: {factor: [2, 2.0]}}
  - {id: n, pass: scale, from: teacher, matrix: {factor: [2, 3]}}
  - {id: o, pass: judge, from: teacher, with: {reference: n}}
report: {baseline: tutor}
)"),
            R"(toy.yaml:6:19: there is no pass 'scal'; did you mean 'scale'?
toy.yaml:7:32: there is no model or earlier step 'techer'; did you mean 'teacher'?
toy.yaml:8:32: a cycle: c takes from d, which takes from e, which takes from c
toy.yaml:11:72: option 'calibration': there is no data 'texd'; did you mean 'text'?
toy.yaml:11:87: the step 'g' comes later in the file; move it above 'f'
toy.yaml:12:62: option 'factor' is 11, allowed is above 0, at most 10
toy.yaml:12:67: pass 'scale' has no option 'mde'; did you mean 'mode'?
toy.yaml:13:10: h: a factor of 7 fits no grid; choose another
toy.yaml:14:31: pass 'make' takes no checkpoint; remove from:
toy.yaml:16:32: 'j' yields no checkpoint (its pass is 'judge')
toy.yaml:18:10: the step 'm' has two units called 'm/2'; give each matrix value and each input once
toy.yaml:20:59: option 'reference': 'n' has 2 models; choose one of n/2, n/3
toy.yaml:21:20: the baseline 'tutor' is no model and no step; expected one of teacher, h, j, m/2, n/2, n/3)");
}

TEST(Plan, MissingInputsNameTheFileAndTheRule) {
  Workshop shop;
  const std::string text = shop.problems(
      "frugal: 1\nname: toy\nmodels: {teacher: nowhere}\ndata: {x: {text: missing.txt}}\n"
      "steps: [{id: a, pass: scale, with: {factor: 2}}]\n");
  EXPECT_THAT(text, testing::HasSubstr("toy.yaml:3:19: model 'teacher': "));
  EXPECT_THAT(text, testing::HasSubstr((shop.path() / "nowhere").string()));
  EXPECT_THAT(text, testing::HasSubstr("toy.yaml:4:8: data 'x': "));
  EXPECT_THAT(
      shop.problems("frugal: 1\nname: toy\nsteps: [{id: a, pass: scale, with: {factor: 2}}]\n"),
      testing::HasSubstr(
          "3:14: the step 'a' has no input: no step before it yields a checkpoint; add from:"));
}

std::string key_of(Workshop& shop, const std::string& text, const std::string& name) {
  return shop.plan(text).find(name)->key;
}

// `system` needs `chat`, but not where what is wrong is `chat` itself.
TEST(Plan, AWrongChatIsOneProblem) {
  const auto problems = [](const std::string& chat) {
    Workshop shop;
    std::ofstream(shop.path() / "x.jsonl") << R"({"prompt": "a", "completion": "b"})";
    return shop.problems(
        "frugal: 1\nname: toy\nmodels: {teacher: teacher}\ndata: {x: {jsonl: x.jsonl" + chat +
        ", system: be kind}}\n"
        "steps: [{id: a, pass: scale, with: {factor: 2, calibration: x}}]\n");
  };
  EXPECT_EQ(problems(", chat: perhaps"),
            "toy.yaml:4:34: 'chat' of data 'x' is 'perhaps', expected true or false");
  EXPECT_THAT(problems(""), testing::HasSubstr("`system` is a turn of a chat; add `chat: true`"));
}

// Text that the model writes needs no entry; mixtures differ by their parts and weights.
TEST(Plan, KeysFollowMixturesAndTheModelsOwnText) {
  Workshop shop;
  const auto key = [&](const std::string& data, const std::string& calibration) {
    return key_of(shop,
                  "frugal: 1\nname: toy\nmodels: {teacher: teacher}\ndata: {a: {text: a.txt}, "
                  "b: {text: b.txt}" +
                      data +
                      "}\nsteps: [{id: s, pass: scale, from: teacher, with: {factor: 2, "
                      "calibration: " +
                      calibration + "}}]\n",
                  "s");
  };
  std::set<std::string> keys;
  keys.insert(key("", "a"));
  keys.insert(key("", "self"));
  keys.insert(key(", own: {self: true, seed: 8}", "own"));
  keys.insert(key(", m: {mix: {a: 1, b: 1}}", "m"));
  keys.insert(key(", m: {mix: {a: 2, b: 1}}", "m"));
  keys.insert(key(", m: {mix: {a: 1, self: 1}}", "m"));
  keys.insert(key(", c: {text: a.txt, limit: 1}, m: {mix: {c: 1, b: 1}}", "m"));
  EXPECT_EQ(keys.size(), 7u);
  EXPECT_EQ(key(", m: {mix: [a, b]}", "m"), key(", m: {mix: {a: 1, b: 1}}", "m"));
}

TEST(Plan, KeysFollowWhatChangesTheOutput) {
  Workshop shop;
  const std::string steps =
      "steps:\n  - {id: a, pass: scale, from: teacher, with: {factor: 2, calibration: text}}\n"
      "  - {id: b, pass: scale, with: {factor: 3}}\n";
  const std::string a = key_of(shop, kHead + steps, "a"), b = key_of(shop, kHead + steps, "b");
  EXPECT_EQ(a.size(), 32u);
  EXPECT_EQ(key_of(shop, kHead + ("description: other\n" + steps), "a"), a);
  const auto replaced = [&](const std::string& what, const std::string& with) {
    std::string text = kHead + steps;
    text.replace(text.find(what), what.size(), with);
    return text;
  };
  // The same value in other words is the same step, and so is another name.
  EXPECT_EQ(key_of(shop, replaced("factor: 2", "tokens: 0, factor: 2.0"), "a"), a);
  EXPECT_EQ(key_of(shop, replaced("id: a", "id: first"), "b"), b);
  // Options, seed, data and its limits, model: each makes another key, also further down.
  for (const std::string& text :
       {replaced("factor: 2", "factor: 4"), replaced("calibration: text", "calibration: other"),
        replaced("text: {text: a.txt}", "text: {text: a.txt, limit: 1}"),
        "seed: 2\n" + (kHead + steps)}) {
    EXPECT_NE(key_of(shop, text, "a"), a) << text;
    EXPECT_NE(key_of(shop, text, "b"), b) << text;
  }
  FRUGAL_ASSERT_OK(base::write_file_atomically(shop.path() / "a.txt", "Other text.\n"));
  const std::string with_other_text = key_of(shop, kHead + steps, "a");
  EXPECT_NE(with_other_text, a);
  std::filesystem::remove_all(shop.path() / "teacher");
  std::filesystem::create_directories(shop.path() / "teacher");
  FRUGAL_ASSERT_OK(test::write_toy_model(shop.path() / "teacher", 5));
  EXPECT_NE(key_of(shop, kHead + steps, "a"), with_other_text);
}

TEST(Plan, ZerosOfAPrunedModelAreSeen) {
  Workshop shop;
  EXPECT_TRUE(shop.plan(kHead + std::string("steps: [{id: a, pass: scale, with: {factor: 2}}]\n"))
                  .models.at("teacher")
                  .info.zeros.empty());
  FRUGAL_ASSERT_OK(test::write_toy_model(shop.path() / "teacher", 0));
  const Plan plan =
      shop.plan(kHead + std::string("steps: [{id: a, pass: scale, with: {factor: 2}}]\n"));
  const auto& zeros = plan.models.at("teacher").info.zeros;
  ASSERT_FALSE(zeros.empty());
  EXPECT_THAT(zeros.begin()->first, testing::StartsWith("model.layers.0."));
  EXPECT_EQ(zeros.begin()->second, "about 100%");
}

TEST(Plan, UntilEndsThePlan) {
  Workshop shop;
  Problems problems("f");
  HashStore hashes(shop.path() / "h");
  const std::string text =
      std::string(kHead) +
      "steps:\n  - {id: a, pass: scale, with: {factor: 2}}\n  - {id: b, pass: nonsense}\n";
  const Plan plan = make_plan(
      parse_pipeline(text, shop.path(), {}, problems),
      {.registry = &test::toy_registry(), .hashes = &hashes, .read_weights = true, .until = "a"},
      problems);
  EXPECT_EQ(problems.text(), "");
  EXPECT_EQ(plan.units.size(), 1u);
  make_plan(
      parse_pipeline(text, shop.path(), {}, problems),
      {.registry = &test::toy_registry(), .hashes = &hashes, .read_weights = true, .until = "aa"},
      problems);
  EXPECT_THAT(problems.text(), testing::HasSubstr("--until: there is no step 'aa'"));
}

TEST(Plan, TableShowsSizesAndWarnings) {
  Workshop shop;
  const Plan plan =
      shop.plan(std::string(kHead) + "steps: [{id: a, pass: scale, with: {factor: 6}}]\n");
  const std::string table = plan_table(plan, shop.cache());
  EXPECT_THAT(table, testing::HasSubstr("step  pass   from     model"));
  EXPECT_THAT(table, testing::HasSubstr("1L 8C 16F 2/1H 12V"));
  EXPECT_THAT(table, testing::HasSubstr("1.0 MiB"));
  EXPECT_THAT(table, testing::HasSubstr("warning: a: a factor above 5 is bold\n"));
  const Plan many = shop.plan(std::string(kHead) +
                              "steps: [{id: b, pass: scale, matrix: {factor: [6, 8, 9]}}]\n");
  EXPECT_THAT(plan_table(many, shop.cache()),
              testing::HasSubstr("\nwarning: b/6 and 2 more: a factor above 5 is bold\n"));
  const base::Json json = plan_json(plan, shop.cache());
  EXPECT_EQ(json["units"][0]["estimate"]["seconds"], 1.5);
  EXPECT_EQ(json["units"][0]["cached"], false);
}

// A plan of `text`, as `frugal plan` (read: false) and `frugal run` make it.
Plan plan_of(const Workshop& shop, const std::string& text, bool read, PlanOptions options = {}) {
  Problems problems("toy.yaml");
  HashStore hashes(shop.path() / "cache" / "hashes");
  options.registry = &test::toy_registry();
  options.hashes = &hashes;
  options.read_weights = read;
  Plan plan = make_plan(parse_pipeline(text, shop.path(), {}, problems), options, problems);
  EXPECT_EQ(problems.text(), "");
  return plan;
}

TEST(Plan, LargeDataIsHashedByARunAndRememberedByPlans) {
  Workshop shop;
  const std::string text =
      std::string(kHead) + "steps: [{id: a, pass: scale, with: {factor: 2, calibration: text}}]\n";
  EXPECT_FALSE(plan_of(shop, text, false).find("a")->key.empty());      // small: at once
  std::filesystem::resize_file(shop.path() / "a.txt", (64 << 20) + 1);  // a hole: takes no disk
  const Plan unknown = plan_of(shop, text, false);
  EXPECT_EQ(unknown.find("a")->key, "");
  EXPECT_EQ(resolved_pipeline(unknown)["inputs"]["data"].size(), 1u);  // of the small one alone
  const std::string key = plan_of(shop, text, true).find("a")->key;
  EXPECT_NE(key, "");
  EXPECT_EQ(plan_of(shop, text, false).find("a")->key, key);
}

// A file of another format is asked for its folder, whose content is what the key holds.
TEST(Plan, AModelThatIsAFileIsImported) {
  Workshop shop;
  FRUGAL_ASSERT_OK(base::write_file_atomically(shop.path() / "teacher.gguf", "GGUF"));
  const std::string steps = "steps: [{id: a, pass: scale, from: teacher, with: {factor: 2}}]\n";
  const std::string text = "frugal: 1\nname: toy\nmodels: {teacher: teacher.gguf}\n" + steps;
  const Plan plan = plan_of(shop, text, true, {.import_model = [&](const auto& file) {
                              EXPECT_EQ(file, shop.path() / "teacher.gguf");
                              return absl::StatusOr<std::filesystem::path>(shop.path() / "teacher");
                            }});
  EXPECT_EQ(plan.find("a")->key, plan_of(shop, std::string(kHead) + steps, true).find("a")->key);
  EXPECT_THAT(resolved_pipeline(plan)["models"]["teacher"].get<std::string>(),
              testing::EndsWith("teacher.gguf"));
  Problems problems("toy.yaml");
  HashStore hashes(shop.path() / "cache" / "hashes");
  make_plan(parse_pipeline(text, shop.path(), {}, problems),
            {.registry = &test::toy_registry(),
             .hashes = &hashes,
             .import_model = [](const auto&) -> absl::StatusOr<std::filesystem::path> {
               return base::invalid_argument("no such grid");
             }},
            problems);
  EXPECT_THAT(problems.text(), testing::HasSubstr("model 'teacher': no such grid"));
}

// What a precision comes to, and the kind of device, are part of the key of what depends on them.
TEST(Plan, KeysHoldTheArithmetic) {
  Workshop shop;
  const std::string text = std::string(kHead) + R"(steps:
  - {id: plain, pass: scale, with: {factor: 2}}
  - {id: reads, pass: scale, from: teacher, with: {factor: 2, calibration: text}}
  - {id: file, pass: pack, from: teacher}
)";
  const auto planned = [&](const std::string& device, const std::string& rounded) {
    return plan_of(shop, text, true,
                   {.device = device, .arithmetic = [&](std::string_view precision) {
                      return precision == "rounded" ? rounded : std::string(precision);
                    }});
  };
  const Plan first = planned("cpu", "bf16"), second = planned("cpu", "fp32"),
             third = planned("cuda:1", "fp32"), fourth = planned("cuda:0", "fp32");
  EXPECT_EQ(first.find("plain")->arithmetic, "cpu");
  EXPECT_EQ(first.find("reads")->arithmetic, "cpu, bf16");
  EXPECT_EQ(third.find("reads")->arithmetic, "cuda, fp32");
  EXPECT_EQ(first.find("file")->arithmetic, "");
  const auto same = [](const Plan& a, const Plan& b, const char* id) {
    return a.find(id)->key == b.find(id)->key;
  };
  EXPECT_TRUE(same(first, second, "plain"));   // multiplies nothing by it
  EXPECT_FALSE(same(first, second, "reads"));  // rounds
  EXPECT_FALSE(same(second, third, "plain"));
  EXPECT_FALSE(same(second, third, "reads"));
  EXPECT_TRUE(same(third, fourth, "reads"));  // any GPU
  EXPECT_TRUE(same(first, third, "file"));    // a copy
}

// Who computes is part of the key; an artifact is refused by what takes checkpoints alone.
TEST(Plan, ArtifactsGoToPassesThatTakeThem) {
  Workshop shop;
  const std::string file = std::string(kHead) + "steps:\n  - {id: file, pass: pack}\n";
  const Plan plan = shop.plan(file + "  - {id: used, pass: serve, from: file}\n");
  EXPECT_THAT(plan.find("used")->notes, testing::ElementsAre("box teacher.bin"));
  EXPECT_EQ(plan.find("used")->computed_by, "box server 2");
  EXPECT_EQ(plan.find("used")->arithmetic, "cpu, box server 2");
  EXPECT_NE(plan.find("used")->key, "");
  EXPECT_THAT(shop.problems(file + "  - {id: look, pass: judge, from: file}\n"),
              testing::HasSubstr("'file' yields no checkpoint (its pass is 'pack')"));
}

// A model that is a file is served as that file.
TEST(Plan, AModelThatIsAFileIsAnArtifact) {
  Workshop shop;
  FRUGAL_ASSERT_OK(base::write_file_atomically(shop.path() / "teacher.box", "BOX"));
  const std::string text =
      "frugal: 1\nname: toy\nmodels: {teacher: teacher.box}\n"
      "steps:\n  - {id: used, pass: serve}\n  - {id: twice, pass: scale, with: {factor: 2}}\n"
      "  - {id: later, pass: serve}\n";
  const Plan plan =
      plan_of(shop, text, true,
              {.import_model =
                   [&](const auto&) {
                     return absl::StatusOr<std::filesystem::path>(shop.path() / "teacher");
                   },
               .artifact_format =
                   [](const auto& path) {
                     return path.extension() == ".box" ? std::string("box") : std::string();
                   }});
  const std::string expected = "box " + (shop.path() / "teacher.box").string();
  EXPECT_THAT(plan.find("used")->notes, testing::ElementsAre(expected));
  EXPECT_THAT(plan.find("later")->notes, testing::IsEmpty());
}

// Its weights are not read: nothing may be made of it, or compared with it.
TEST(Plan, AnOnnxFolderIsAnArtifactWithoutACheckpoint) {
  Workshop shop;
  const std::filesystem::path folder = shop.path() / "model-onnx";
  std::filesystem::create_directories(folder);
  FRUGAL_ASSERT_OK(base::write_file_atomically(
      folder / "genai_config.json",
      R"({"model": {"type": "llama", "vocab_size": 12, "context_length": 32}})"));
  const auto text = [](const std::string& steps) {
    return "frugal: 1\nname: toy\nmodels: {teacher: teacher, served: model-onnx}\nsteps:\n" + steps;
  };
  const Plan plan = plan_of(shop, text("  - {id: used, pass: serve, from: served}\n"), false);
  EXPECT_THAT(plan.find("used")->notes, testing::ElementsAre("onnx " + folder.string()));
  EXPECT_EQ(plan.find("used")->model.config.vocabulary_size, 12);
  EXPECT_NE(plan.find("used")->key, "");
  EXPECT_THAT(
      shop.problems(text("  - {id: twice, pass: scale, from: served, with: {factor: 2}}\n")),
      testing::HasSubstr("twice: 'served' is an ONNX folder, whose weights frugal does not read"));
  EXPECT_THAT(shop.problems(
                  text("  - {id: look, pass: judge, from: teacher, with: {reference: served}}\n")),
              testing::HasSubstr("option 'reference': 'served' is an ONNX folder"));
  FRUGAL_ASSERT_OK(base::write_file_atomically(folder / "genai_config.json", "{}"));
  EXPECT_THAT(shop.problems(text("  - {id: used, pass: serve, from: served}\n")),
              testing::HasSubstr("model 'served': "));
}

}  // namespace
}  // namespace frugal::pass
