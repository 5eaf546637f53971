#include "energy/window.h"
#include "fakes.h"
#include "support/shared_data.h"

namespace frugal::energy {
namespace {

// A window of a wrapping, measured meter and of one whose last reading failed, as the set makes
// them.
WindowResult example() {
  FakeClock clock;
  auto good = std::make_shared<FakeCounter>(), bad = std::make_shared<FakeCounter>();
  MeterInfo info = fake_info("good");
  info.wrap_units = 100000000;
  good->raw = 99999000;
  std::vector<std::unique_ptr<Meter>> meters;
  meters.push_back(std::make_unique<FakeMeter>(info, good, clock));
  meters.push_back(std::make_unique<FakeMeter>(fake_info("bad"), bad, clock));
  MeterSet set(std::move(meters), {}, {&clock, 0});
  Window window = set.begin("work");
  clock.now += 5;
  good->raw = 500;
  bad->raw = 77;
  set.poll();
  clock.now += 5;
  good->raw = 2500;
  bad->failure = base::failed("gone");
  WindowResult result = window.end();
  IdlePower idle;
  idle.meter = "good";
  idle.watts = 0.1;
  apply_idle(result, {idle});
  return result;
}

TEST(WindowJson, RoundTrips) {
  const WindowResult result = example();
  const base::Json json = to_json(result);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json parsed, base::parse_json(json.dump(), "j"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const WindowResult again, window_from_json(parsed, "j"));
  EXPECT_EQ(to_json(again).dump(), json.dump());
  EXPECT_DOUBLE_EQ(again.meters[0].joules.value(), 3.5);  // 1000 to the range, 2500 beyond
  EXPECT_EQ(again.meters[0].wraps, 1);
  EXPECT_DOUBLE_EQ(again.meters[0].net_joules.value(), 2.5);
  EXPECT_EQ(again.meters[1].joules, std::nullopt);
  EXPECT_TRUE(json["meters"][1]["joules"].is_null());
  EXPECT_THAT(again.meters[1].reason, testing::HasSubstr("gone"));
  EXPECT_TRUE(json["total_joules"]["value"].is_null());
}

// Journals of earlier versions know no marks and no ranges.
TEST(WindowJson, EarlierRecordsAreRead) {
  base::Json json = to_json(example());
  for (const char* key : {"marks", "gaps", "gap_seconds", "integrated_joules"})
    json["meters"][0].erase(key);
  for (const char* key : {"joules_per_unit_range", "sample_seconds", "in_total"})
    json["meters"][0]["meter"].erase(key);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const WindowResult again, window_from_json(json, "j"));
  EXPECT_EQ(again.meters[0].joules, example().meters[0].joules);
  EXPECT_TRUE(again.meters[0].info.in_total);
  FRUGAL_EXPECT_OK(verify_window(again, "j"));
}

TEST(WindowJson, VerifyAcceptsWhatTheSetRecorded) {
  FRUGAL_EXPECT_OK(verify_window(example(), "run"));
}

TEST(WindowJson, VerifyFindsEveryForgedNumber) {
  const auto forged = [](const std::function<void(MeterWindow&)>& forge) {
    WindowResult result = example();
    forge(result.meters[0]);
    return verify_window(result, "journal.jsonl:7");
  };
  constexpr auto kLoss = absl::StatusCode::kDataLoss;
  FRUGAL_EXPECT_ERROR(forged([](MeterWindow& w) { *w.joules *= 0.99; }), kLoss,
                      "journal.jsonl:7: window 'work', good: joules");
  FRUGAL_EXPECT_ERROR(forged([](MeterWindow& w) { w.end->raw -= 1; }), kLoss,
                      "joules is recorded as 3.5");
  FRUGAL_EXPECT_ERROR(forged([](MeterWindow& w) { w.wraps = 0; }), kLoss, "unknown");
  FRUGAL_EXPECT_ERROR(forged([](MeterWindow& w) { w.seconds = 9; }), kLoss, "seconds");
  FRUGAL_EXPECT_ERROR(forged([](MeterWindow& w) { *w.mean_watts = 1; }), kLoss, "mean_watts");
  FRUGAL_EXPECT_ERROR(forged([](MeterWindow& w) { *w.net_joules = 1; }), kLoss, "net_joules");
  FRUGAL_EXPECT_ERROR(forged([](MeterWindow& w) { w.joules = std::nullopt; }), kLoss,
                      "without a reason");
  FRUGAL_EXPECT_ERROR(forged([](MeterWindow& w) { w.reason = "x"; }), kLoss, "in spite of");
  WindowResult invented = example();
  invented.meters[1].joules = 1;
  invented.meters[1].reason = "";
  FRUGAL_EXPECT_ERROR(verify_window(invented, "j"), kLoss, "its raw readings give unknown");
}

TEST(WindowJson, DamagedRecordsAreRefused) {
  const base::Json json = to_json(example());
  for (const char* key : {"name", "seconds", "meters", "begin_time"}) {
    base::Json damaged = json;
    damaged.erase(key);
    FRUGAL_EXPECT_ERROR(window_from_json(damaged, "j"), absl::StatusCode::kInvalidArgument, key);
  }
  for (const char* key : {"meter", "begin", "end", "wraps", "joules", "samples", "warnings",
                          "net_joules", "marks", "gaps"}) {
    base::Json damaged = json;
    damaged["meters"][0][key] = "nonsense";
    EXPECT_FALSE(window_from_json(damaged, "j").ok()) << key;
  }
  base::Json damaged = json;
  damaged["meters"][0]["begin"]["raw"] = -1;
  FRUGAL_EXPECT_ERROR(window_from_json(damaged, "j"), absl::StatusCode::kDataLoss,
                      "'raw' of 'begin' is not a count");
  EXPECT_FALSE(window_from_json(base::Json(3), "j").ok());
}

}  // namespace
}  // namespace frugal::energy
