#include "pass/records.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "base/hash.h"
#include "pass/matrix.h"
#include "toy.h"

namespace frugal::pass {
namespace {

namespace fs = std::filesystem;
using base::Json;

// Of the toy: embedding 12 x 8 (tied), q and o 8 x 8, k and v 4 x 8, three of 16 x 8, three norms.
constexpr int64_t kParameters = 96 + 2 * 64 + 2 * 32 + 3 * 128 + 3 * 8;

Unit unit_of(const char* pass) {
  Unit unit;
  unit.id = "small";
  unit.variant = "2";
  unit.pass = find_pass(test::toy_registry(), pass);
  return unit;
}

TEST(Records, TheMachineIsDescribed) {
  const Json machine = machine_json("toy device");
  EXPECT_EQ(machine["device"], "toy device");
  EXPECT_FALSE(machine["cpu"].get<std::string>().empty());
  EXPECT_GE(machine["cores"].get<int64_t>(), 1);
  EXPECT_GT(machine["memory_bytes"].get<int64_t>(), 0);
  EXPECT_EQ(machine["os"].get<std::string>().rfind("Linux ", 0), 0u);
}

TEST(Records, WhatIsPromisedIsNullWhereNothingIs) {
  EXPECT_EQ(report_json({}), Json({{"baseline", nullptr}, {"claim", nullptr}}));
  const ReportEntry report{
      .baseline = {"teacher", {}},
      .claim = Claim{.metric = "dev/acc", .margin = 0.01, .kind = "relative", .gate = "any"},
      .site = {}};
  EXPECT_EQ(report_json(report), Json::parse(R"({"baseline": "teacher", "claim":
      {"metric": "dev/acc", "margin": 0.01, "kind": "relative", "gate": "any"}})"));
}

TEST(Records, ACheckpointIsItsShapeAndItsBits) {
  const frugal::test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK(test::write_toy_model(folder.path(), 2));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, format::Checkpoint::open(folder.path()));
  EXPECT_EQ(describe_checkpoint(checkpoint), Json({{"architecture", "llama 1L 8C 16F 2/1H 12V"},
                                                   {"weight_bytes", 4 * kParameters},
                                                   {"parameters", kParameters},
                                                   {"bits_per_weight", 32.0}}));
}

TEST(Records, AStartSaysWhatIsRun) {
  Unit unit = unit_of("scale");
  unit.key = "k";
  unit.arithmetic = "cpu";
  unit.from = "teacher";
  unit.options = {{"factor", 2.0}};
  EXPECT_EQ(start_fields(unit), Json::parse(R"({"id": "small", "variant": "2", "pass": "scale",
      "version": 3, "key": "k", "arithmetic": "cpu", "from": ["teacher"], "options": {"factor": 2.0}})"));
  unit.from = "";
  EXPECT_EQ(start_fields(unit)["from"], Json::array());
}

TEST(Records, AnOutputIsHashed) {
  const frugal::test::TemporaryFolder folder;
  const fs::path model = folder.path() / "model", file = folder.path() / "file";
  fs::create_directories(model);
  FRUGAL_ASSERT_OK(test::write_toy_model(model, 2));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json checkpoint, describe_output(unit_of("scale"), model));
  EXPECT_EQ(checkpoint["kind"], "checkpoint");
  EXPECT_EQ(checkpoint["hash"], base::hash_folder(model).value());
  EXPECT_EQ(checkpoint["parameters"], kParameters);
  int64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(model))
    bytes += static_cast<int64_t>(entry.file_size());
  EXPECT_EQ(checkpoint["bytes"], bytes);
  fs::create_directories(file / "deep");
  FRUGAL_ASSERT_OK(base::write_file_atomically(file / "deep" / "x.bin", "12345"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json artifact, describe_output(unit_of("pack"), file));
  EXPECT_EQ(artifact,
            Json({{"kind", "artifact"}, {"bytes", 5}, {"hash", base::hash_folder(file).value()}}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json none, describe_output(unit_of("judge"), file));
  EXPECT_TRUE(none.is_null());
}

TEST(Records, EveryFileOfAFolderHasItsHash) {
  const frugal::test::TemporaryFolder folder;
  fs::create_directories(folder.path() / "deep");
  FRUGAL_ASSERT_OK(base::write_file_atomically(folder.path() / "deep" / "b", "two"));
  FRUGAL_ASSERT_OK(base::write_file_atomically(folder.path() / "a", ""));
  EXPECT_EQ(hash_files(folder.path(), "").value(),
            Json({{{"path", "a"}, {"bytes", 0}, {"sha256", base::sha256("")}},
                  {{"path", "deep/b"}, {"bytes", 3}, {"sha256", base::sha256("two")}}}));
  EXPECT_EQ(hash_files(folder.path() / "deep" / "none", "").ok(), false);
}

TEST(Records, APassThatLeftNothingIsAnError) {
  const frugal::test::TemporaryFolder folder;
  FRUGAL_EXPECT_ERROR(describe_output(unit_of("pack"), folder.path()), absl::StatusCode::kInternal,
                      "the pass left nothing behind");
  const auto unsound = describe_output(unit_of("scale"), folder.path());
  EXPECT_FALSE(unsound.ok());
  EXPECT_NE(unsound.status().message().find("the pass left no sound checkpoint behind"),
            std::string::npos)
      << unsound.status();
}

}  // namespace
}  // namespace frugal::pass
