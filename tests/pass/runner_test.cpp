#include "pass/runner.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>

#include "base/file.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "pass/journal.h"
#include "pass/model_card.h"
#include "pass/run_folder.h"
#include "toy.h"

namespace frugal::pass {
namespace {

namespace fs = std::filesystem;
using test::Workshop;

constexpr const char* kText = R"(frugal: 1
name: toy
models: {teacher: teacher}
steps:
  - {id: small, pass: scale, matrix: {factor: [2, 3]}}
  - {id: file, pass: pack}
  - {id: look, pass: judge, from: [teacher, small], with: {reference: teacher}}
)";

class RunnerTest : public testing::Test {
 protected:
  ~RunnerTest() override {
    test::set_hook({});
    base::clear_interrupt();
  }
  std::string artifact(const std::string& name) {
    return base::read_file(shop_.run_folder() / "artifacts" / name).value_or("absent");
  }
  // Every file below artifacts/ and checkpoints/ and what is in it.
  std::string outputs() {
    return base::hash_folder(shop_.run_folder() / "artifacts").value() +
           base::hash_folder(shop_.run_folder() / "checkpoints" / "small" / "2").value() +
           base::hash_folder(shop_.run_folder() / "checkpoints" / "small" / "3").value();
  }
  Workshop shop_;
};

TEST_F(RunnerTest, LaysOutTheRunFolder) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const RunResult result, shop_.run(kText));
  EXPECT_EQ(result.exit_code, kExitDone);
  EXPECT_EQ(result.steps_run, 7);
  const fs::path run = shop_.run_folder();
  EXPECT_TRUE(fs::is_symlink(run / "checkpoints" / "small" / "2"));
  EXPECT_TRUE(fs::read_symlink(run / "checkpoints" / "small" / "2").is_relative());
  FRUGAL_EXPECT_OK(format::Checkpoint::open(run / "checkpoints" / "small" / "3"));
  EXPECT_EQ(artifact("small-2.bin").size(), 32u);  // 8 norms of 4 bytes
  EXPECT_EQ(base::read_file(run / "items" / "look" / "small" / "2" / "weights.jsonl").value(),
            "{\"id\":0,\"value\":4.0}\n");
  EXPECT_TRUE(fs::exists(run / "pipeline.resolved.yaml"));
  EXPECT_TRUE(fs::is_empty(shop_.path() / "cache" / "staging"));
  EXPECT_TRUE(fs::is_empty(shop_.path() / "cache" / "resume"));
}

// Of whatever the run left, also where it comes from the cache.
TEST_F(RunnerTest, TheJournalVouchesForEveryFile) {
  const fs::path site = shop_.path() / "site.yaml", box = shop_.path() / "box.yaml";
  FRUGAL_ASSERT_OK(base::write_file_atomically(
      box, "name: A box\nkind: machine\nsource: its label\nyear: 2024\n"));
  FRUGAL_ASSERT_OK(base::write_file_atomically(
      site,
      "name: S\nregion: XX\nhardware: box.yaml\n"
      "intensity: {grams_per_kwh: 400, kind: average, year: 2023, source: a table}\n"
      "pue: {value: 1, year: 2023, source: a table}\n"));
  const std::string text = std::string(kText) + "report: {site: site.yaml}\n";
  for (int round = 0; round < 2; ++round) {
    FRUGAL_ASSERT_OK(shop_.run(text));
    const fs::path run = shop_.run_folder();
    const auto expect_hash = [&](const fs::path& path, const base::Json& row) {
      EXPECT_EQ(base::sha256_of_file(path).value_or("absent"), row["sha256"].get<std::string>());
      EXPECT_EQ(fs::file_size(path), row["bytes"].get<uint64_t>());
    };
    const base::Json start = shop_.events("run_start").at(0);
    EXPECT_EQ(base::sha256_of_file(run / "pipeline.resolved.yaml").value(),
              start["resolved_sha256"].get<std::string>());
    ASSERT_EQ(start["factors"].size(), 2u);
    for (const base::Json& factor : start["factors"])
      expect_hash(run / factor["path"].get<std::string>(), factor);
    int64_t items = 0, files = 0;
    for (const base::Json& end : shop_.events("step_end")) {
      const std::string name =
          end["id"].get<std::string>() + "/" + end["variant"].get<std::string>();
      for (const base::Json& item : end["items"]) {
        expect_hash(run / "items" / name / item["path"].get<std::string>(), item);
        ++items;
      }
      if (!end["output"].is_object()) continue;
      const bool checkpoint = end["output"]["kind"].get<std::string>() == "checkpoint";
      for (const base::Json& file : end["output"]["files"]) {
        expect_hash(run / (checkpoint ? "checkpoints/" + name : "artifacts") /
                        file["path"].get<std::string>(),
                    file);
        ++files;
      }
    }
    EXPECT_EQ(items, 3);
    EXPECT_GE(files, 6);
    const ChainCheck chain = check_chain(base::read_file(run / "journal.jsonl").value());
    EXPECT_THAT(chain.problems, testing::IsEmpty());
    EXPECT_EQ(chain.unlinked, 0);
  }
}

TEST_F(RunnerTest, TheJournalHoldsWhatItsSchemaSays) {
  FRUGAL_ASSERT_OK(shop_.run(kText));
  const auto starts = shop_.events("run_start");
  ASSERT_EQ(starts.size(), 1u);
  for (const char* key : {"schema", "frugal", "name", "description", "seed", "pipeline_sha256",
                          "machine", "models", "meters", "site", "report", "command"}) {
    EXPECT_TRUE(starts[0].contains(key)) << key;
  }
  EXPECT_EQ(starts[0]["machine"]["device"], "toy device");
  EXPECT_EQ(starts[0]["models"]["teacher"]["architecture"], "llama 1L 8C 16F 2/1H 12V");
  EXPECT_GT(starts[0]["models"]["teacher"]["weight_bytes"], 0);
  const auto ends = shop_.events("step_end");
  ASSERT_EQ(ends.size(), 7u);
  for (const base::Json& end : ends) {
    for (const char* key :
         {"id", "variant", "pass", "version", "key", "from", "options", "cached", "seconds",
          "energy", "peak_memory_bytes", "statistics", "tables", "output", "warnings"}) {
      EXPECT_TRUE(end.contains(key)) << key;
    }
    EXPECT_EQ(end["cached"], false);
    EXPECT_EQ(end["energy"]["meters"][0]["joules"], 5.0);  // one reading to the next
  }
  EXPECT_EQ(ends[0]["output"]["path"], "checkpoints/small/2");
  EXPECT_EQ(ends[0]["output"]["architecture"], "llama 1L 8C 16F 2/1H 12V");
  EXPECT_EQ(ends[0]["arithmetic"], "cpu");
  EXPECT_EQ(ends[2]["output"]["path"], "artifacts/small-2.bin");
  EXPECT_EQ(ends[2]["output"]["artifacts"], base::Json::array({"artifacts/small-2.bin"}));
  EXPECT_EQ(ends[0]["tables"]["training_curve"][0]["loss"], 0.5);
  EXPECT_EQ(ends[4]["id"], "look");
  EXPECT_EQ(ends[4]["variant"], "teacher");
  EXPECT_TRUE(ends[4]["output"].is_null());
  EXPECT_EQ(ends[5]["from"], base::Json::parse(R"(["small/2"])"));
  EXPECT_EQ(ends[5]["statistics"][0]["value"], 4.0);
  EXPECT_EQ(ends[5]["statistics"][0]["low"], 3.0);
  EXPECT_TRUE(ends[5]["statistics"][1]["value"].is_null());
  EXPECT_EQ(shop_.events("step_start").size(), 7u);
  EXPECT_EQ(shop_.events("idle").size(), 2u);
  EXPECT_EQ(shop_.events("run_end")[0]["status"], "done");
}

TEST_F(RunnerTest, APassIsToldWhereItsInputComesFrom) {
  FRUGAL_ASSERT_OK(shop_.run(R"(frugal: 1
name: toy
models: {teacher: teacher}
steps:
  - {id: small, pass: scale, with: {factor: 2}}
  - {id: other, pass: scale, from: teacher, with: {factor: 5}}
  - {id: smaller, pass: scale, from: small, with: {factor: 3}}
  - {id: file, pass: pack, from: smaller}
  - {id: copy, pass: pack, from: teacher}
)"));
  const auto ends = shop_.events("step_end");
  ASSERT_EQ(ends.size(), 5u);
  const base::Json& origin = ends[3]["tables"]["origin"][0];
  EXPECT_EQ(origin["version"], "0");
  ASSERT_EQ(origin["steps"].size(), 2u);
  EXPECT_EQ(origin["steps"][0]["id"], "small");
  EXPECT_EQ(origin["steps"][0]["options"]["factor"], 2);
  EXPECT_EQ(origin["steps"][1]["id"], "smaller");
  EXPECT_TRUE(origin["steps"][1]["tables"].contains("training_curve"));
  EXPECT_FALSE(origin["steps"][1].contains("seconds"));
  EXPECT_TRUE(ends[4]["tables"]["origin"][0]["steps"].empty());
}

TEST_F(RunnerTest, CardsOfAnEarlierRunGoAndThoseOfTheUserStay) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const RunResult result, shop_.run(kText));
  EXPECT_EQ(result.paths[2], std::vector<std::string>{"artifacts/small-2.bin"});
  const fs::path artifacts = shop_.run_folder() / "artifacts";
  FRUGAL_ASSERT_OK(base::write_file_atomically(artifacts / "old.md",
                                               base::str_cat("---\n", kCardMark, "\n---\n")));
  FRUGAL_ASSERT_OK(base::write_file_atomically(artifacts / "mine.md", "mine"));
  FRUGAL_ASSERT_OK(shop_.run(kText));
  EXPECT_FALSE(fs::exists(artifacts / "old.md"));
  EXPECT_EQ(artifact("mine.md"), "mine");
}

TEST_F(RunnerTest, AnUnchangedPipelineComesFromTheCache) {
  FRUGAL_ASSERT_OK(shop_.run(kText));
  const std::string before = outputs();
  test::set_hook([](int64_t) { return base::internal("nothing may run"); });
  FRUGAL_ASSERT_OK_AND_ASSIGN(const RunResult again, shop_.run(kText));
  EXPECT_EQ(again.steps_cached, 7);
  EXPECT_EQ(again.steps_run, 0);
  EXPECT_EQ(outputs(), before);
  EXPECT_TRUE(shop_.events("idle").empty());
  const auto ends = shop_.events("step_end");
  ASSERT_EQ(ends.size(), 7u);
  EXPECT_EQ(ends[0]["cached"], true);
  EXPECT_EQ(ends[0]["energy"]["meters"][0]["joules"], 5.0);  // of the run that made it
  // Another run folder, the same cache.
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const RunResult other, shop_.run_plan(shop_.plan(kText), shop_.path() / "elsewhere" / "run"));
  EXPECT_EQ(other.steps_cached, 7);
}

TEST_F(RunnerTest, TheResolvedPipelineIsServedByTheSameCache) {
  FRUGAL_ASSERT_OK(shop_.run(kText));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string resolved,
                              base::read_file(shop_.run_folder() / "pipeline.resolved.yaml"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const RunResult again, shop_.run(resolved));
  EXPECT_EQ(again.steps_cached, 7);
}

TEST_F(RunnerTest, ADamagedEntryIsComputedAgain) {
  FRUGAL_ASSERT_OK(shop_.run(kText));
  const std::string before = outputs();
  fs::resize_file(shop_.run_folder() / "checkpoints" / "small" / "3" / "model.safetensors", 100);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const RunResult again, shop_.run(kText));
  EXPECT_EQ(again.steps_run, 1);
  EXPECT_EQ(outputs(), before);
}

TEST_F(RunnerTest, LinksOfEarlierPipelinesGoAndFilesOfTheUserStay) {
  FRUGAL_ASSERT_OK(shop_.run(kText));
  FRUGAL_ASSERT_OK(
      base::write_file_atomically(shop_.run_folder() / "artifacts" / "notes.txt", "mine"));
  FRUGAL_ASSERT_OK(shop_.run(
      "frugal: 1\nname: toy\nmodels: {teacher: teacher}\nsteps: [{id: look, pass: judge}]\n"));
  EXPECT_FALSE(fs::exists(shop_.run_folder() / "checkpoints"));
  EXPECT_EQ(artifact("small-2.bin"), "absent");
  EXPECT_EQ(artifact("notes.txt"), "mine");
}

// Resume state and shared results of one arithmetic are not taken up by another.
TEST_F(RunnerTest, AnInterruptedStepIsNotResumedInAnotherArithmetic) {
  const std::string text =
      "frugal: 1\nname: toy\nmodels: {teacher: teacher}\ndata: {text: {text: a.txt}}\n"
      "steps: [{id: a, pass: scale, with: {factor: 2, calibration: text}}]\n";
  const auto plan = [&](const char* rounded) {
    Problems problems("toy.yaml");
    HashStore hashes(shop_.path() / "cache" / "hashes");
    return make_plan(parse_pipeline(text, shop_.path(), {}, problems),
                     {.registry = &test::toy_registry(),
                      .hashes = &hashes,
                      .read_weights = true,
                      .arithmetic = [=](std::string_view) { return std::string(rounded); }},
                     problems);
  };
  const auto resumed_at = [&](const char* rounded) {
    FRUGAL_EXPECT_OK(shop_.run_plan(plan(rounded), shop_.run_folder()));
    return shop_.events("step_end").at(0)["statistics"][0]["value"];
  };
  test::set_hook([](int64_t step) { return step == 2 ? base::failed("stop") : absl::OkStatus(); });
  FRUGAL_EXPECT_OK(shop_.run_plan(plan("bf16"), shop_.run_folder()));
  test::set_hook({});
  EXPECT_EQ(resumed_at("fp32"), 0.0);
  EXPECT_EQ(resumed_at("bf16"), 2.0);
}

TEST_F(RunnerTest, ADiskWithoutRoomForAllStepsStopsTheRunBeforeItStarts) {
  Plan plan = shop_.plan(kText);
  plan.units[2].estimate.output_bytes = int64_t{1} << 60;  // of the last but one step
  FRUGAL_EXPECT_ERROR(shop_.run_plan(plan, shop_.run_folder()),
                      absl::StatusCode::kResourceExhausted, "the 7 steps of this run need about");
  EXPECT_TRUE(shop_.events("step_start").empty());
}

TEST_F(RunnerTest, FilesOfTheUserUnderNamesOfResultsStay) {
  const fs::path run = shop_.run_folder();
  // Nothing of a folder that no run made is replaced.
  fs::create_directories(run / "items");
  FRUGAL_ASSERT_OK(base::write_file_atomically(run / "items" / "list.txt", "mine"));
  FRUGAL_EXPECT_ERROR(shop_.run(kText), absl::StatusCode::kFailedPrecondition,
                      "its 'items' is not frugal's to replace");
  EXPECT_EQ(base::read_file(run / "items" / "list.txt").value(), "mine");
  fs::remove_all(run / "items");
  FRUGAL_ASSERT_OK(base::write_file_atomically(run / "journal.jsonl", "dear diary"));
  FRUGAL_EXPECT_ERROR(shop_.run(kText), absl::StatusCode::kFailedPrecondition,
                      "is not the journal of a run");
  EXPECT_EQ(base::read_file(run / "journal.jsonl").value(), "dear diary");
  fs::remove(run / "journal.jsonl");

  // Beside the links of a run.
  FRUGAL_ASSERT_OK(shop_.run(kText));
  fs::create_symlink(shop_.path() / "teacher", run / "checkpoints" / "mine");
  fs::create_directories(run / "artifacts" / "empty");
  FRUGAL_ASSERT_OK(shop_.run(kText));
  EXPECT_TRUE(fs::exists(run / "checkpoints" / "mine" / "config.json"));
  EXPECT_TRUE(fs::exists(run / "artifacts" / "empty"));
  fs::remove(run / "checkpoints" / "small" / "2");
  FRUGAL_ASSERT_OK(base::write_file_atomically(run / "checkpoints" / "small" / "2", "mine"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const RunResult refused, shop_.run(kText));
  EXPECT_EQ(refused.exit_code, kExitFailed);
  EXPECT_THAT(refused.message, testing::HasSubstr("was not made by frugal"));
  EXPECT_EQ(base::read_file(run / "checkpoints" / "small" / "2").value(), "mine");
}

TEST_F(RunnerTest, AnEntryThatCannotBeCheckedFailsTheStepAndStays) {
  FRUGAL_ASSERT_OK(shop_.run(kText));
  const Plan plan = shop_.plan(kText);
  const fs::path files = shop_.path() / "cache" / "steps" / plan.units[1].key / "files.json";
  const std::string before = base::read_file(files).value();
  fs::remove(files);
  fs::create_symlink("/proc/self/mem", files);  // reading it is an EIO
  FRUGAL_ASSERT_OK_AND_ASSIGN(const RunResult result, shop_.run_plan(plan, shop_.run_folder()));
  EXPECT_EQ(result.exit_code, kExitFailed);
  EXPECT_THAT(result.message, testing::AllOf(testing::HasSubstr("small/3: the finished step"),
                                             testing::HasSubstr("Input/output error")));
  EXPECT_EQ(shop_.events("step_failed").size(), 1u);
  fs::remove(files);
  FRUGAL_ASSERT_OK(base::write_file_atomically(files, before));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const RunResult mended, shop_.run(kText));
  EXPECT_EQ(mended.steps_cached, 7);
}

TEST_F(RunnerTest, AFailureIsMeteredAndLeavesNothing) {
  test::set_hook(
      [](int64_t step) { return step == 1 ? base::failed("the toy broke") : absl::OkStatus(); });
  FRUGAL_ASSERT_OK_AND_ASSIGN(const RunResult result, shop_.run(kText));
  EXPECT_EQ(result.exit_code, kExitFailed);
  EXPECT_EQ(result.message, "small/2: the toy broke");
  const auto failures = shop_.events("step_failed");
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0]["error"], "the toy broke");
  EXPECT_EQ(failures[0]["code"], "FAILED_PRECONDITION");
  EXPECT_EQ(failures[0]["energy"]["meters"][0]["joules"], 5.0);
  EXPECT_EQ(shop_.events("run_end")[0]["status"], "failed");
  EXPECT_TRUE(fs::is_empty(shop_.path() / "cache" / "steps"));
  EXPECT_TRUE(fs::is_empty(shop_.path() / "cache" / "staging"));
}

TEST_F(RunnerTest, AnExceptionIsAFailureToo) {
  test::set_hook([](int64_t) -> absl::Status { throw std::bad_alloc(); });
  FRUGAL_ASSERT_OK_AND_ASSIGN(const RunResult result, shop_.run(kText));
  EXPECT_EQ(result.exit_code, kExitFailed);
  EXPECT_EQ(shop_.events("step_failed")[0]["code"], "RESOURCE_EXHAUSTED");
}

TEST_F(RunnerTest, AnInterruptionKeepsWhatIsDoneAndGoesOn) {
  int64_t calls = 0;
  test::set_hook([&](int64_t step) {
    if (++calls == 5) base::request_interrupt();  // second step of the second unit
    (void)step;
    return base::check_interrupt();
  });
  FRUGAL_ASSERT_OK_AND_ASSIGN(const RunResult result, shop_.run(kText));
  EXPECT_EQ(result.exit_code, kExitInterrupted);
  EXPECT_THAT(result.message, testing::HasSubstr("frugal run toy.yaml"));
  EXPECT_EQ(result.steps_run, 1);
  EXPECT_EQ(shop_.events("run_end")[0]["status"], "interrupted");
  base::clear_interrupt();
  test::set_hook({});
  FRUGAL_ASSERT_OK_AND_ASSIGN(const RunResult again, shop_.run(kText));
  EXPECT_EQ(again.steps_cached, 1);
  EXPECT_EQ(again.steps_run, 6);
  EXPECT_EQ(shop_.events("step_end")[1]["statistics"][0]["value"],
            1.0);  // went on behind its first step
}

TEST_F(RunnerTest, AKillAtAnyMomentLeadsToTheSameBytes) {
  Workshop whole;
  FRUGAL_ASSERT_OK(whole.run(kText));
  for (int64_t moment = 0; moment < 6; ++moment) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      int64_t calls = 0;
      test::set_hook([&calls, moment](int64_t) {
        if (calls++ >= moment % 2) ::kill(::getpid(), SIGKILL);
        return absl::OkStatus();
      });
      (void)shop_.run(kText);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << moment;
  }
  FRUGAL_ASSERT_OK_AND_ASSIGN(const RunResult result, shop_.run(kText));
  EXPECT_EQ(result.exit_code, kExitDone);
  for (const char* name : {"small-2.bin", "small-3.bin"}) {
    EXPECT_EQ(artifact(name), base::read_file(whole.run_folder() / "artifacts" / name).value());
  }
  EXPECT_EQ(base::hash_folder(shop_.run_folder() / "checkpoints" / "small" / "3").value(),
            base::hash_folder(whole.run_folder() / "checkpoints" / "small" / "3").value());
  EXPECT_TRUE(fs::is_empty(shop_.path() / "cache" / "staging"));
}

TEST_F(RunnerTest, TwoRunsInOneFolderRefuse) {
  const Plan plan = shop_.plan(kText);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const RunFolder held, RunFolder::open(shop_.run_folder()));
  FRUGAL_EXPECT_ERROR(shop_.run_plan(plan, shop_.run_folder()),
                      absl::StatusCode::kFailedPrecondition, "another run is working in");
}

TEST(Gate, CountsModelsThatMeetTheClaim) {
  const std::vector<base::Json> records = {
      base::Json::parse(
          R"({"tables": {"comparison": [{"metric": "t/acc", "verdict": "claimed"}]}})"),
      base::Json::parse(
          R"({"tables": {"comparison": [{"metric": "t/acc", "verdict": "too few items"}]}})"),
      // With something else than the baseline.
      base::Json::parse(R"({"tables": {"comparison": [{"metric": "t/acc", "verdict": null}]}})"),
      base::Json::parse(R"({"tables": {}})")};
  const auto met = [&](const char* metric, const char* gate) {
    return judge_gate({.metric = metric, .margin = 0.02, .kind = "absolute", .gate = gate}, records)
        .met;
  };
  EXPECT_TRUE(met("t/acc", "any"));
  EXPECT_FALSE(met("t/acc", "all"));
  EXPECT_TRUE(met("t/acc", "none"));
  EXPECT_FALSE(met("other", "any"));
  EXPECT_FALSE(met("other", "all"));  // nothing compared is nothing shown
}

TEST_F(RunnerTest, AGateThatIsNotMetHasItsOwnExitCode) {
  const std::string text =
      std::string(kText) + "report: {claim: {metric: toy/other, margin: 0.1, gate: any}}\n";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const RunResult result, shop_.run(text));
  EXPECT_EQ(result.exit_code, kExitGate);
  EXPECT_THAT(result.message, testing::HasSubstr("0 of 0 models keep toy/other"));
}

// A pass that takes artifacts gets the file and the checkpoint that it was made from, whatever
// came of its own step from the cache.
TEST_F(RunnerTest, AnArtifactIsServedBesideItsCheckpoint) {
  const std::string text =
      std::string(kText) + R"(  - {id: used, pass: serve, from: [file, teacher]}
)";
  for (const bool again : {false, true}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const RunResult result, shop_.run(text));
    EXPECT_EQ(result.exit_code, kExitDone) << result.message;
    std::map<std::string, base::Json> ends;
    for (base::Json& event : shop_.events("step_end"))
      ends[event["id"].get<std::string>() + "/" + event["variant"].get<std::string>()] = event;
    const base::Json& served = ends.at("used/file/2");
    EXPECT_EQ(served["tables"]["served"], base::Json::parse(R"([{"format":"box","bytes":32}])"));
    EXPECT_EQ(served["statistics"][0]["value"], 4.0);
    EXPECT_EQ(served["arithmetic"], "cpu, box server 2");
    EXPECT_EQ(served["cached"], again);
    EXPECT_FALSE(ends.at("used/teacher")["tables"].contains("served"));
    EXPECT_EQ(ends.at("used/teacher")["arithmetic"], "cpu");
  }
}

TEST_F(RunnerTest, AnOnnxFolderIsServedWithoutACheckpoint) {
  fs::create_directories(shop_.path() / "model-onnx");
  FRUGAL_ASSERT_OK(base::write_file_atomically(
      shop_.path() / "model-onnx" / "genai_config.json",
      R"({"model": {"type": "llama", "vocab_size": 12, "context_length": 32}})"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const RunResult result,
                              shop_.run("frugal: 1\nname: toy\nmodels: {served: model-onnx}\n"
                                        "steps:\n  - {id: used, pass: serve}\n"));
  EXPECT_EQ(result.exit_code, kExitDone) << result.message;
  EXPECT_EQ(shop_.events("step_end")[0]["tables"]["served"],
            base::Json::parse(R"([{"format":"onnx","unread":true}])"));
  const base::Json given = shop_.events("run_start")[0]["models"]["served"];
  EXPECT_TRUE(given["parameters"].is_null());
  EXPECT_TRUE(given["architecture"].is_null());
}

// An option may name one, too, where it says so: of a step with variants the one of the unit's own.
TEST_F(RunnerTest, AnOptionMayNameAnArtifact) {
  const std::string text =
      std::string(kText) + R"(  - {id: used, pass: serve, from: file, with: {beside: file}}
  - {id: other, pass: serve, from: teacher, with: {beside: file/3}}
)";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const RunResult result, shop_.run(text));
  EXPECT_EQ(result.exit_code, kExitDone) << result.message;
  std::map<std::string, base::Json> ends;
  for (base::Json& event : shop_.events("step_end"))
    ends[event["id"].get<std::string>() + "/" + event["variant"].get<std::string>()] = event;
  EXPECT_EQ(ends.at("used/2")["tables"]["beside"],
            base::Json::parse(R"([{"name":"file/2","bytes":32}])"));
  EXPECT_EQ(ends.at("other/")["tables"]["beside"][0]["name"], "file/3");
}

}  // namespace
}  // namespace frugal::pass
