#include <algorithm>
#include <cmath>
#include <set>

#include "base/file.h"
#include "energy/fakes.h"
#include "model/decoder.h"
#include "passes/fake_context.h"
#include "passes/measure/measure_pass.h"
#include "passes/measure/speed.h"
#include "passes/measure/summary.h"
#include "passes/measure/window_numbers.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

namespace fs = std::filesystem;
using absl::StatusCode;
using base::Json;

architecture::ModelConfig small_config() {
  return *architecture::parse_model_config({{"architectures", {"LlamaForCausalLM"}},
                                            {"model_type", "llama"},
                                            {"vocab_size", 64},
                                            {"hidden_size", 16},
                                            {"intermediate_size", 32},
                                            {"num_hidden_layers", 1},
                                            {"num_attention_heads", 2},
                                            {"num_key_value_heads", 1},
                                            {"max_position_embeddings", 32},
                                            {"rms_norm_eps", 1e-5},
                                            {"rope_theta", 10000.0},
                                            {"tie_word_embeddings", true},
                                            {"bos_token_id", 0},
                                            {"eos_token_id", 0}},
                                           "small");
}

model::Decoder small_model() { return *model::Decoder::create(small_config(), 1, at::kCPU); }

// Every look at this clock takes a hundredth of a second.
class TickingClock final : public energy::Clock {
 public:
  double seconds() const override { return now_ += 0.01; }
  void sleep(double seconds) const override { now_ += seconds; }
  std::string utc_time() const override { return "2026-01-01T00:00:00Z"; }
  double now() const { return now_; }

 private:
  mutable double now_ = 0.0;
};

// A device that draws `watts` all the time by the ticking clock, idle or not.
class SteadyMeter final : public energy::Meter {
 public:
  SteadyMeter(const TickingClock& clock, double watts) : clock_(clock), watts_(watts) {}
  const energy::MeterInfo& info() const override { return info_; }
  absl::StatusOr<energy::Reading> read() override {
    const double now = clock_.now();
    return energy::Reading{static_cast<uint64_t>(std::llround(now * watts_ * 1000.0)), now};
  }

 private:
  const TickingClock& clock_;
  double watts_;
  energy::MeterInfo info_ = energy::fake_info("steady");
};

energy::MeterSet steady_meters(const TickingClock& clock, double watts) {
  std::vector<std::unique_ptr<energy::Meter>> meters;
  meters.push_back(std::make_unique<SteadyMeter>(clock, watts));
  return energy::MeterSet(std::move(meters), {}, {.clock = &clock, .sample_seconds = 0});
}

base::RandomStream stream() { return base::RandomStream(1, "test/measure"); }

// One model by itself, in our own forward.
absl::StatusOr<std::vector<Speed>> measure_speed(const model::Decoder& decoder,
                                                 const std::vector<Workload>& workloads,
                                                 const SpeedSettings& settings,
                                                 energy::MeterSet& meters,
                                                 const energy::Clock& clock) {
  std::vector<Probes> probes(1);
  FRUGAL_ASSIGN_OR_RETURN(probes[0], decoder_probes(decoder, workloads, clock, stream()));
  FRUGAL_ASSIGN_OR_RETURN(Measured measured,
                          measure_rounds(probes, settings, meters, clock, stream()));
  EXPECT_EQ(measured.models.size(), 1u);
  return std::move(measured.models.front());
}

TEST(MeasureSpeedTest, CountsRunsStepsAndJoules) {
  const TickingClock clock;
  energy::MeterSet meters = steady_meters(clock, 100.0);
  const auto speeds =
      measure_speed(small_model(), {{8, 4, 1}, {8, 4, 3}},
                    {.repeats = 2, .seconds_minimum = 0.195, .idle_seconds = 0}, meters, clock);
  ASSERT_TRUE(speeds.ok()) << speeds.status();
  ASSERT_EQ(speeds->size(), 2u);
  for (const Speed& speed : *speeds) {
    ASSERT_EQ(speed.repeats.size(), 2u);
    for (const SpeedRepeat& repeat : speed.repeats) {
      // A prefill run takes one look at the clock, a decode run two for each of its three steps and
      // one at its end.
      EXPECT_EQ(repeat.prefill.runs, 20);
      EXPECT_NEAR(repeat.prefill.run_seconds[0], 0.01, 1e-9);
      EXPECT_EQ(repeat.decode.runs, 3);
      EXPECT_NEAR(repeat.decode.run_seconds[1], 0.07, 1e-9);
      EXPECT_EQ(repeat.decode.step_seconds.size(), 9u);
      for (const PhaseWindow* window : {&repeat.prefill, &repeat.decode}) {
        const auto joules = window->energy.total_joules();
        ASSERT_TRUE(joules.value.has_value()) << joules.basis;
        // 100 W over the window's own seconds, to the millijoule of the counter.
        EXPECT_NEAR(*joules.value, 100.0 * window->energy.meters[0].seconds, 2e-3);
        EXPECT_FALSE(window->energy.total_net_joules().value.has_value());  // idle power is unknown
      }
    }
  }
}

TEST(MeasureSpeedTest, IdlePowerIsSubtracted) {
  const TickingClock clock;
  energy::MeterSet meters = steady_meters(clock, 100.0);
  const auto speeds =
      measure_speed(small_model(), {{8, 2, 1}},
                    {.repeats = 1, .seconds_minimum = 0.1, .idle_seconds = 1}, meters, clock);
  ASSERT_TRUE(speeds.ok()) << speeds.status();
  // The device draws the same when idle: nothing is left, up to the counter's millijoules.
  const auto net = (*speeds)[0].repeats[0].prefill.energy.total_net_joules();
  ASSERT_TRUE(net.value.has_value()) << net.basis;
  EXPECT_NEAR(*net.value, 0.0, 0.01);
}

TEST(MeasureSpeedTest, RefusesMoreTokensThanTheContextHolds) {
  const TickingClock clock;
  energy::MeterSet meters({}, {}, {.clock = &clock, .sample_seconds = 0});
  FRUGAL_EXPECT_ERROR(measure_speed(small_model(), {{30, 3, 1}}, {}, meters, clock),
                      StatusCode::kInvalidArgument, "need a context of 33");
}

// --- the summary, from windows made by hand ---

energy::WindowResult joules(std::optional<double> value, double net = 0.0) {
  energy::WindowResult window;
  energy::MeterWindow meter;
  meter.info = energy::fake_info("gpu-0");
  meter.joules = value;
  if (value) meter.net_joules = net;
  meter.reason = value ? "" : "the counter could not be read";
  window.meters.push_back(meter);
  return window;
}

// Batch 2, 10 prompt and 5 generated tokens; two repeats.
Speed hand_made() {
  Speed speed{{10, 5, 2}, {}};
  // 4 runs in 2 s with 80 J: 20 J a run. 40 prompt tokens a second.
  const PhaseWindow prefill{4, {0.4, 0.5, 0.5, 0.6}, {}, joules(80.0, 40.0)};
  // 2 runs of 4 steps in 4 s with 64 J: 32 J a run, 4 generated tokens a second.
  const PhaseWindow decode{
      2, {1.5, 2.5}, {0.3, 0.4, 0.4, 0.4, 0.6, 0.6, 0.6, 0.7}, joules(64.0, 32.0)};
  speed.repeats = {{prefill, decode}, {prefill, decode}};
  return speed;
}

const pass::Statistic& find(const std::vector<pass::Statistic>& all, std::string_view name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& s) { return s.name == name; });
  EXPECT_NE(found, all.end()) << name;
  return *found;
}

TEST(SpeedSummaryTest, NumbersByHand) {
  const auto all = speed_statistics({hand_made()}, stream());
  const auto value = [&](std::string_view name) { return find(all, name).value.value_or(-1); };
  // (20 + 32) J for a batch of 2: 26 J a request of 5 generated tokens.
  EXPECT_DOUBLE_EQ(value("joules_per_request"), 26.0);
  EXPECT_DOUBLE_EQ(value("joules_per_million_tokens"), 26.0 / 5.0 * 1e6);
  EXPECT_DOUBLE_EQ(value("requests_per_kilowatt_hour"), 3.6e6 / 26.0);
  EXPECT_DOUBLE_EQ(value("tokens_per_second"), 4.0);
  EXPECT_DOUBLE_EQ(value("prefill_tokens_per_second/batch_2"), 40.0);
  EXPECT_DOUBLE_EQ(value("prefill_joules_per_token/batch_2"), 1.0);  // 80 J / (4 runs * 20 tokens)
  EXPECT_DOUBLE_EQ(value("decode_joules_per_token/batch_2"), 4.0);   // 64 J / (2 runs * 8 tokens)
  EXPECT_DOUBLE_EQ(value("net_joules_per_request/batch_2"), 13.0);
  EXPECT_DOUBLE_EQ(value("time_to_first_token_p50/batch_2"), 0.5);
  EXPECT_DOUBLE_EQ(value("time_per_token_p50/batch_2"), 0.5);  // between 0.4 and 0.6
  // Requests: .4+1.5, .5+2.5, .5+1.5, .6+2.5 -> 1.9 2.0 3.0 3.1, twice.
  EXPECT_DOUBLE_EQ(value("latency_p50/batch_2"), 2.5);
  EXPECT_GT(value("latency_p95/batch_2"), 3.0);
  EXPECT_EQ(find(all, "joules_per_request").provenance, "measured");
  EXPECT_EQ(find(all, "joules_per_request").n, 2);
  EXPECT_EQ(find(all, "joules_per_request").low, 26.0);  // both repeats are alike
}

TEST(SpeedSummaryTest, JoulesOfEnoughRoundsHaveABlockBootstrap) {
  Speed speed = hand_made();
  EXPECT_EQ(find(speed_statistics({speed}, stream()), "joules_per_request").method, "bootstrap");
  for (const double factor : {1.1, 0.9, 1.2}) {
    speed.repeats.push_back(speed.repeats[0]);
    *speed.repeats.back().prefill.energy.meters[0].joules *= factor;
  }
  const auto all = speed_statistics({speed}, stream());
  const auto& joules = find(all, "joules_per_request");
  EXPECT_EQ(joules.method, "block bootstrap");
  EXPECT_LT(*joules.low, *joules.value);
  EXPECT_GT(*joules.high, *joules.value);
}

TEST(WindowNumbersTest, OfOneRoundByHand) {
  const Speed speed = hand_made();
  const SpeedRepeat& round = speed.repeats[0];
  EXPECT_DOUBLE_EQ(*joules_per_request(speed.workload, round, false).value, 26.0);
  EXPECT_DOUBLE_EQ(*joules_per_request(speed.workload, round, true).value, 13.0);
  EXPECT_DOUBLE_EQ(*joules_per_token(speed.workload, round, Phase::kPrefill).value, 1.0);
  EXPECT_DOUBLE_EQ(tokens_per_second(speed.workload, round, Phase::kDecode), 4.0);
  EXPECT_DOUBLE_EQ(seconds_of(round.prefill), 2.0);
  EXPECT_THAT(request_seconds(round), ::testing::ElementsAre(1.9, 3.0, 2.0, 3.1));
  EXPECT_EQ(to_string(Phase::kDecode), "decode");
}

TEST(SpeedSummaryTest, UnknownEnergyIsNullWithItsReason) {
  Speed speed = hand_made();
  speed.repeats[1].decode.energy = joules(std::nullopt);
  const auto all = speed_statistics({speed}, stream());
  const auto& request = find(all, "joules_per_request");
  EXPECT_FALSE(request.value.has_value());
  EXPECT_FALSE(request.low.has_value());
  EXPECT_THAT(request.help, ::testing::HasSubstr("Unknown: "));
  EXPECT_TRUE(find(all, "prefill_joules_per_token/batch_2").value.has_value());
  EXPECT_FALSE(find(all, "decode_joules_per_token/batch_2").value.has_value());
  EXPECT_TRUE(find(all, "tokens_per_second").value.has_value());
}

TEST(SpeedSummaryTest, ProvenanceIsThatOfTheWeakestPart) {
  Speed speed = hand_made();
  speed.repeats[0].prefill.energy.meters[0].info.provenance = energy::Provenance::kModelled;
  const auto all = speed_statistics({speed}, stream());
  EXPECT_EQ(find(all, "joules_per_million_tokens").provenance, "modelled");
  EXPECT_EQ(find(all, "decode_joules_per_token/batch_2").provenance, "measured");
}

// Windows of 6 s.
Speed long_enough() {
  Speed speed = hand_made();
  for (SpeedRepeat& repeat : speed.repeats) {
    repeat.prefill.run_seconds = {1.5, 1.5, 1.5, 1.5};
    repeat.decode.run_seconds = {3.0, 3.0};
  }
  return speed;
}

TEST(SpeedSummaryTest, MarksOfAWindowStayOnItsNumbers) {
  Speed speed = long_enough();
  speed.repeats[1].decode.energy.meters[0].marks = {std::string(energy::kShort)};
  const auto all = speed_statistics({speed}, stream());
  for (const char* name : {"joules_per_million_tokens", "joules_per_request",
                           "requests_per_kilowatt_hour", "decode_joules_per_token/batch_2"}) {
    EXPECT_THAT(find(all, name).marks, ::testing::ElementsAre(energy::kShort)) << name;
  }
  EXPECT_TRUE(find(all, "prefill_joules_per_token/batch_2").marks.empty());
  EXPECT_TRUE(find(all, "decode_tokens_per_second/batch_2").marks.empty());
}

// A window of less than five seconds is short for clocks as for counters.
TEST(SpeedSummaryTest, AShortWindowMarksSpeedsAndLatenciesToo) {
  Speed speed = long_enough();
  EXPECT_TRUE(find(speed_statistics({speed}, stream()), "latency_p50/batch_2").marks.empty());
  speed.repeats[1].decode.run_seconds = {2.0, 2.5};
  const auto all = speed_statistics({speed}, stream());
  for (const char* name :
       {"tokens_per_second", "decode_tokens_per_second/batch_2", "decode_joules_per_token/batch_2",
        "time_per_token_p95/batch_2", "latency_p50/batch_2", "net_joules_per_request/batch_2"}) {
    EXPECT_THAT(find(all, name).marks, ::testing::ElementsAre(energy::kShort)) << name;
  }
  for (const char* name : {"prefill_tokens_per_second/batch_2", "time_to_first_token_p50/batch_2"})
    EXPECT_TRUE(find(all, name).marks.empty()) << name;
  EXPECT_EQ(speed_rows({speed})[3]["marks"], Json::array({"short window"}));
}

// What a model of the CPU may be off by goes into every number of joules, and turns over with it.
TEST(SpeedSummaryTest, TheRangeOfAModelGoesThroughEveryNumber) {
  Speed speed = hand_made();
  for (SpeedRepeat& repeat : speed.repeats) {
    for (PhaseWindow* window : {&repeat.prefill, &repeat.decode}) {
      energy::MeterInfo& info = window->energy.meters[0].info;
      info.joules_per_unit_range =
          energy::Range{info.joules_per_unit / 2, info.joules_per_unit * 4};
    }
  }
  for (const pass::Statistic& statistic : speed_statistics({speed}, stream())) {
    const bool turned = statistic.name.starts_with("requests_per_kilowatt_hour");
    if (statistic.name.find("joules") == std::string::npos && !turned) {
      EXPECT_FALSE(statistic.range.has_value()) << statistic.name;
      continue;
    }
    ASSERT_TRUE(statistic.range.has_value()) << statistic.name;
    if (statistic.name.starts_with("net_")) continue;  // idle power was measured: no factor
    EXPECT_NEAR(statistic.range->low, *statistic.value / (turned ? 4 : 2), 1e-9 * *statistic.value)
        << statistic.name;
    EXPECT_NEAR(statistic.range->high, *statistic.value * (turned ? 2 : 4), 1e-8 * *statistic.value)
        << statistic.name;
  }
}

TEST(SpeedSummaryTest, RowsHoldEveryWindow) {
  const auto rows = speed_rows({hand_made()});
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[1]["phase"], "decode");
  EXPECT_EQ(rows[1]["runs"], 2);
  EXPECT_EQ(rows[1]["joules"], 64.0);
  EXPECT_EQ(rows[1]["tokens_per_second"], 4.0);
  EXPECT_EQ(rows[3]["repeat"], 1);
}

Measured one(Speed speed) { return {.models = {{std::move(speed)}}, .first = {}, .idle = {}}; }

TEST(SpeedSummaryTest, ShortWindowsAreSaid) {
  EXPECT_THAT(speed_warnings(one(hand_made())),
              ::testing::ElementsAre(::testing::HasSubstr("raise seconds_minimum")));
  Speed coarse = hand_made();
  coarse.repeats[0].decode.energy.meters[0].updates = 7.5;
  EXPECT_THAT(speed_warnings(one(coarse)),
              ::testing::ElementsAre(::testing::HasSubstr("moved only 7 times")));
  EXPECT_TRUE(speed_warnings(one(long_enough())).empty());
  Measured with_reference = one(long_enough());
  with_reference.models.push_back({hand_made()});
  EXPECT_EQ(speed_warnings(with_reference).size(), 1u);
}

// --- the pass ---

std::unique_ptr<pass::Pass> measure_pass(const Json& options) {
  auto made = make_measure_pass();
  set_options(*made, options);
  return made;
}

TEST(MeasurePassTest, WithoutMetersSpeedIsKnownAndEnergyIsNot) {
  const test::TemporaryFolder folder;
  fs::create_directories(folder.path() / "model");
  FRUGAL_ASSERT_OK(small_model().save(folder.path() / "model", format::DType::kF32));
  FakeRunContext context(folder.path(), *format::Checkpoint::open(folder.path() / "model"));
  FRUGAL_ASSERT_OK(measure_pass({{"prompt_tokens", 8},
                                 {"generated_tokens", 4},
                                 {"batch", {1, 2}},
                                 {"repeats", 2},
                                 {"seconds_minimum", 0.001}})
                       ->run(context));
  EXPECT_GT(context.value("tokens_per_second").value_or(0), 0.0);
  EXPECT_GT(context.value("latency_p95/batch_2").value_or(0), 0.0);
  EXPECT_FALSE(context.value("joules_per_million_tokens").has_value());
  EXPECT_EQ(context.tables.at("speed").size(), 8u);
  EXPECT_EQ(context.written_items.at("energy_windows").size(), 8u);
  EXPECT_EQ(context.warnings.size(), 1u);
}

TEST(MeasurePassTest, AReferenceInOurOwnForwardTakesTurns) {
  const test::TemporaryFolder folder;
  for (const char* name : {"model", "other"}) {
    fs::create_directories(folder.path() / name);
    FRUGAL_ASSERT_OK(small_model().save(folder.path() / name, format::DType::kF32));
  }
  FakeRunContext context(folder.path(), *format::Checkpoint::open(folder.path() / "model"));
  context.models["base"] = folder.path() / "other";
  FRUGAL_ASSERT_OK(measure_pass({{"prompt_tokens", 8},
                                 {"generated_tokens", 4},
                                 {"repeats", 6},
                                 {"seconds_minimum", 0.0},
                                 {"reference", "base"},
                                 {"outlier_deviations", 0}})
                       ->run(context));
  EXPECT_EQ(context.tables.at("energy_rounds").size(), 6u);
  const auto& rows = context.tables.at("energy_comparison");
  EXPECT_EQ(rows.size(), 8u);
  EXPECT_TRUE(rows[0]["ratio"].is_null());  // no meter here
  EXPECT_EQ(rows[5]["n"], 6);
  EXPECT_GT(rows[5]["ratio"].get<double>(), 0.0);
  EXPECT_EQ(context.tables.at("runtime").size(), 1u);
  EXPECT_FALSE(context.tables.contains("idle"));
}

absl::Status checked(const Json& options) {
  FakeCheckContext context;
  pass::ModelInfo info;
  info.config = small_config();
  return measure_pass(options)->check(context, info);
}

TEST(MeasureCheck, RefusesWhatCannotWork) {
  FRUGAL_EXPECT_OK(checked({{"prompt_tokens", 24}, {"generated_tokens", 8}}));
  FRUGAL_EXPECT_ERROR(checked({{"prompt_tokens", 25}, {"generated_tokens", 8}}),
                      StatusCode::kInvalidArgument, "need a context of 33");
  FRUGAL_EXPECT_ERROR(
      checked({{"prompt_tokens", 8}, {"generated_tokens", 8}, {"batch", Json::array()}}),
      StatusCode::kInvalidArgument, "empty list");
  FRUGAL_EXPECT_ERROR(
      checked({{"prompt_tokens", 8}, {"generated_tokens", 8}, {"batch", {1, 4, 1}}}),
      StatusCode::kInvalidArgument, "listed twice");
}

}  // namespace
}  // namespace frugal::passes
