#include "passes/measure/paired.h"

#include <algorithm>
#include <cmath>

#include "energy/paired_rounds.h"
#include "passes/fake_context.h"
#include "passes/measure/measure_pass.h"
#include "passes/measure/reference.h"
#include "passes/speed_windows.h"

namespace frugal::passes {
namespace {

using base::Json;

// --- the order of windows ---

// Takes a hundredth of a second, and says what is asked of it.
class LoggingProbe final : public SpeedProbe {
 public:
  LoggingProbe(std::string name, Workload workload, energy::FakeClock& clock,
               std::vector<std::string>& log)
      : name_(std::move(name)), workload_(workload), clock_(clock), log_(log) {}
  const Workload& workload() const override { return workload_; }
  absl::Status prefill() override { return run("prefill"); }
  absl::Status decode(std::vector<double>* steps) override {
    if (steps != nullptr) steps->push_back(0.01);
    return run("decode");
  }

 private:
  absl::Status run(std::string_view phase) {
    clock_.now += 0.01;
    log_.push_back(base::str_cat(name_, workload_.batch, " ", phase));
    return absl::OkStatus();
  }
  std::string name_;
  Workload workload_;
  energy::FakeClock& clock_;
  std::vector<std::string>& log_;
};

TEST(PairedRoundsOfWindows, TheTwoTakeTurnsPhaseByPhaseInAnOrderDrawnByLot) {
  energy::FakeClock clock;
  std::vector<std::string> log;
  std::vector<Probes> probes(2);
  for (const int64_t batch : {1, 4}) {
    probes[0].push_back(std::make_unique<LoggingProbe>("a", Workload{8, 4, batch}, clock, log));
    probes[1].push_back(std::make_unique<LoggingProbe>("b", Workload{8, 4, batch}, clock, log));
  }
  energy::MeterSet meters({}, {}, {.clock = &clock, .sample_seconds = 0});
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const Measured measured,
      measure_rounds(probes, {.repeats = 12, .seconds_minimum = 0, .idle_seconds = 0}, meters,
                     clock, base::RandomStream(1, "test/lots")));
  ASSERT_EQ(measured.first.size(), 12u);
  ASSERT_EQ(log.size(), 12u * 2 * 2 * 2 * 2);  // rounds, batches, phases, models, warm-up and run
  std::vector<std::string> expected;
  for (const size_t first : measured.first) {
    const char *one = first == 0 ? "a" : "b", *other = first == 0 ? "b" : "a";
    for (const int batch : {1, 4}) {
      for (const char* phase : {"prefill", "decode"}) {
        for (const char* model : {one, one, other, other})
          expected.push_back(base::str_cat(model, batch, " ", phase));
      }
    }
  }
  EXPECT_EQ(log, expected);
  const auto ahead = std::count(measured.first.begin(), measured.first.end(), size_t{0});
  EXPECT_GT(ahead, 0);
  EXPECT_LT(ahead, 12);
  EXPECT_EQ(measured.models[1][1].repeats[3].decode.runs, 1);
}

// --- the rows ---

constexpr int kRounds = 8;

// The model takes 0.8 times the reference's joules and half its time; the machine gets slower from
// round to round, and round 5 was disturbed for both.
Measured made() {
  Measured out;
  out.models.resize(2, {Speed{{10, 5, 2}, {}}});
  for (int round = 0; round < kRounds; ++round) {
    const double slow = (1 + 0.01 * round) * (round == 5 ? 3 : 1);
    out.models[0][0].repeats.push_back(
        {made_window(0.6 * slow, 8 * slow), made_window(1.0 * slow, 16 * slow)});
    out.models[1][0].repeats.push_back(
        {made_window(1.2 * slow, 10 * slow), made_window(2.0 * slow, 20 * slow)});
    out.first.push_back(static_cast<size_t>(round % 2));
  }
  return out;
}

const Json& find(const std::vector<Json>& rows, std::string_view metric) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Json& row) {
    return row["metric"].get_ref<const std::string&>() == metric;
  });
  EXPECT_NE(found, rows.end()) << metric;
  return *found;
}

TEST(ComparisonRows, RatiosOverTheRoundsThatCount) {
  const std::vector<Json> rows = comparison_rows(made(), {.reference = "full"});
  const Json& joules = find(rows, "joules_per_request");
  EXPECT_NEAR(joules["ratio"].get<double>(), 0.8, 1e-12);
  EXPECT_EQ(joules["verdict"], "saves 20% [20, 20]");
  EXPECT_EQ(joules["n"], kRounds - 1);
  EXPECT_EQ(joules["rounds_left_out"], 1);
  EXPECT_EQ(joules["log_ratios"].size(), kRounds - 1u);
  EXPECT_DOUBLE_EQ(joules["p_value"].get<double>(), 2.0 / 128);
  EXPECT_EQ(joules["reference"], "full");
  EXPECT_EQ(joules["batch"], 2);
  EXPECT_EQ(joules["unit"], "J");
  EXPECT_EQ(joules["provenance"], "measured");
  EXPECT_TRUE(joules["marks"].empty());
  // (10 + 20) J of a batch of 2, a few percent more as the machine slows.
  EXPECT_NEAR(joules["reference_value"].get<double>(), 15.5, 0.1);
  EXPECT_NEAR(joules["value"].get<double>() / joules["reference_value"].get<double>(), 0.8, 1e-12);
  EXPECT_EQ(find(rows, "decode_tokens_per_second")["verdict"], "100% faster [100, 100]");
  EXPECT_EQ(find(rows, "time_to_first_token_p50")["verdict"], "takes 50% less time [50, 50]");
  EXPECT_EQ(find(rows, "latency_p50")["kind"], "time");
}

TEST(ComparisonRows, WhatIsLeftOutIsRecordedAndIsTheSameForBoth) {
  const Measured measured = made();
  const std::vector<Json> rows = round_rows(measured, {.reference = "full"});
  ASSERT_EQ(rows.size(), static_cast<size_t>(kRounds));
  for (int round = 0; round < kRounds; ++round) {
    EXPECT_EQ(rows[round]["left_out"], round == 5) << round;
    EXPECT_EQ(rows[round]["first"], round % 2 == 0 ? "model" : "reference");
  }
  EXPECT_NEAR(rows[0]["seconds"].get<double>(), 1.6, 1e-12);
  EXPECT_NEAR(rows[0]["reference_seconds"].get<double>(), 3.2, 1e-12);
  EXPECT_THAT(rows[0]["rule"].get<std::string>(), testing::HasSubstr("further than 5 scaled"));
  EXPECT_EQ(left_out(measured.models[0][0], measured.models[1][0], 5),
            left_out(measured.models[1][0], measured.models[0][0], 5));
  EXPECT_THAT(left_out(measured.models[0][0], measured.models[1][0], 0), testing::Each(false));
  EXPECT_THAT(comparison_warnings(comparison_rows(measured, {.reference = "full"})),
              testing::ElementsAre(testing::HasSubstr("1 round was left out")));
}

TEST(ComparisonRows, AnUnknownReadingMakesItsRatioUnknownAndNoOther) {
  Measured measured = made();
  energy::MeterWindow& lost = measured.models[1][0].repeats[2].decode.energy.meters[0];
  lost.joules = lost.net_joules = std::nullopt;
  lost.reason = "bus error";
  const std::vector<Json> rows = comparison_rows(measured, {.reference = "full"});
  for (const char* metric :
       {"joules_per_request", "net_joules_per_request", "decode_joules_per_token"}) {
    EXPECT_TRUE(find(rows, metric)["ratio"].is_null());
    EXPECT_TRUE(find(rows, metric)["verdict"].is_null());
    EXPECT_THAT(find(rows, metric)["reason"].get<std::string>(), testing::HasSubstr("bus error"));
  }
  EXPECT_FALSE(find(rows, "prefill_joules_per_token")["ratio"].is_null());
  EXPECT_FALSE(find(rows, "decode_tokens_per_second")["ratio"].is_null());
}

TEST(ComparisonRows, NetEnergyBelowIdleHasNoRatio) {
  Measured measured = made();
  measured.models[0][0].repeats[1].prefill.energy.meters[0].net_joules = -500;
  const Json row = find(comparison_rows(measured, {.reference = "full"}), "net_joules_per_request");
  EXPECT_THAT(row["reason"].get<std::string>(),
              testing::HasSubstr("round 1 has no value above zero"));
}

TEST(ComparisonRows, MarksAndProvenanceOfEitherStay) {
  Measured measured = made();
  measured.models[1][0].repeats[2].decode.run_seconds = {1.0};  // of one second
  measured.models[0][0].repeats[0].prefill.energy.meters[0].info.provenance =
      energy::Provenance::kModelled;
  const std::vector<Json> rows =
      comparison_rows(measured, {.reference = "full", .outlier_deviations = 0});
  EXPECT_EQ(find(rows, "decode_tokens_per_second")["marks"], Json::array({"short window"}));
  EXPECT_EQ(find(rows, "joules_per_request")["marks"], Json::array({"short window"}));
  EXPECT_EQ(find(rows, "joules_per_request")["provenance"], "modelled");
  EXPECT_TRUE(find(rows, "prefill_tokens_per_second")["marks"].empty());
  const auto statistics = comparison_statistics(rows);
  ASSERT_EQ(statistics.size(), 2u);
  EXPECT_EQ(statistics[0].name, "joules_per_request_ratio");
  EXPECT_THAT(statistics[0].marks, testing::ElementsAre("short window"));
  EXPECT_THAT(statistics[0].help, testing::HasSubstr("by that of full, measured in turns: saves"));
  EXPECT_TRUE(statistics[0].low.has_value());
}

TEST(ComparisonRows, TooFewRoundsShowNothingAndSaySo) {
  Measured measured = made();
  for (auto& speeds : measured.models) speeds[0].repeats.resize(4);
  const std::vector<Json> rows = comparison_rows(measured, {.reference = "full"});
  EXPECT_EQ(find(rows, "joules_per_request")["verdict"], "too few rounds to tell: 4 of at least 6");
  EXPECT_THAT(comparison_warnings(rows),
              testing::ElementsAre(testing::HasSubstr("give repeats at least 6")));
  EXPECT_FALSE(comparison_statistics(rows)[0].low.has_value());
}

// --- what is refused before anything runs ---

pass::Artifact gguf() { return {"gguf", "/a.gguf"}; }

Serving llama() { return {runtime::find_runtime("llama.cpp"), gguf(), "xllamacpp 9"}; }

TEST(ReferenceServing, IsTheRuntimeOfTheModel) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto found,
      reference_serving("auto", llama(),
                        {"base", {{"onnx", "/b-onnx"}, {"gguf", "/b.gguf"}}, {gguf()}}));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->artifact.path, "/b.gguf");
  EXPECT_EQ(found->engine(), "llama.cpp (xllamacpp 9)");
  // Both in our forward: asked for, or because no runtime is installed.
  for (const auto& [option, of_model] :
       {std::pair<const char*, std::vector<pass::Artifact>>{"frugal", {}}, {"auto", {gguf()}}}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto own,
                                reference_serving(option, {}, {"base", {gguf()}, of_model}));
    EXPECT_FALSE(own.has_value());
  }
}

TEST(ReferenceServing, AnotherRuntimeIsRefused) {
  FRUGAL_EXPECT_ERROR(reference_serving("auto", llama(), {"base", {}, {gguf()}}),
                      absl::StatusCode::kInvalidArgument,
                      "the reference 'base' is a checkpoint, which that does not read; name an "
                      "export of it as gguf");
  FRUGAL_EXPECT_ERROR(reference_serving("auto", llama(), {"base", {{"onnx", "/o"}}, {gguf()}}),
                      absl::StatusCode::kInvalidArgument, "is there as onnx");
  FRUGAL_EXPECT_ERROR(reference_serving("auto", {}, {"base", {gguf()}, {}}),
                      absl::StatusCode::kInvalidArgument,
                      "is an artifact (gguf), and the model would be computed by frugal's fp32");
}

architecture::ModelConfig config(int64_t vocabulary, int64_t context) {
  return *architecture::parse_model_config({{"architectures", {"LlamaForCausalLM"}},
                                            {"model_type", "llama"},
                                            {"vocab_size", vocabulary},
                                            {"hidden_size", 16},
                                            {"intermediate_size", 32},
                                            {"num_hidden_layers", 1},
                                            {"num_attention_heads", 2},
                                            {"num_key_value_heads", 1},
                                            {"max_position_embeddings", context},
                                            {"rms_norm_eps", 1e-5},
                                            {"rope_theta", 10000.0},
                                            {"tie_word_embeddings", true},
                                            {"bos_token_id", 0},
                                            {"eos_token_id", 0}},
                                           "made");
}

struct Checked {
  absl::Status status;
  FakeCheckContext context;
};

Checked checked(Json options, const architecture::ModelConfig& reference,
                std::string reference_name = "base") {
  Checked out;
  out.context.models[reference_name].config = reference;
  out.context.models[reference_name].name = reference_name;
  pass::ModelInfo info;
  info.name = "small";
  info.config = config(64, 512);
  options["reference"] = reference_name;
  const auto pass = make_measure_pass();
  set_options(*pass, options);
  out.status = pass->check(out.context, info);
  return out;
}

TEST(MeasureCheckOfAReference, RefusesWhatIsNotTheSameWork) {
  FRUGAL_EXPECT_ERROR(checked(Json::object(), config(65, 512)).status,
                      absl::StatusCode::kInvalidArgument,
                      "'small' has 64 ids, the reference 'base' 65");
  FRUGAL_EXPECT_ERROR(checked(Json::object(), config(64, 128)).status,
                      absl::StatusCode::kInvalidArgument,
                      "the reference 'base' holds a context of 128 tokens");
  FRUGAL_EXPECT_ERROR(checked({{"runtime", "llama.cpp"}}, config(64, 512)).status,
                      absl::StatusCode::kInvalidArgument, "but the input is a checkpoint");
}

TEST(MeasureCheckOfAReference, ForecastsTwiceTheWindowsAndBothModels) {
  const Checked pair = checked({{"repeats", 10}, {"batch", {1, 2}}}, config(64, 512));
  FRUGAL_ASSERT_OK(pair.status);
  EXPECT_EQ(pair.context.estimated.seconds, 2 * 2 * 10 * 2 * 5.0 + 2 * 5.0);
  EXPECT_EQ(pair.context.estimated.peak_memory_bytes, 2 * 4 * config(64, 512).parameter_count());
  EXPECT_TRUE(pair.context.warnings.empty());
  EXPECT_TRUE(pair.context.notes.empty());
}

TEST(MeasureCheckOfAReference, SaysThatOurForwardKnowsNoGrids) {
  FakeCheckContext context;
  context.models["base"].config = config(64, 512);
  context.models["base"].grids["a"] = "q4_0";
  pass::ModelInfo info;
  info.config = config(64, 512);
  const auto pass = make_measure_pass();
  set_options(*pass, {{"reference", "base"}});
  FRUGAL_ASSERT_OK(pass->check(context, info));
  EXPECT_THAT(context.warnings,
              testing::ElementsAre(testing::HasSubstr("every grid takes the same time")));
}

TEST(MeasureCheckOfAReference, SaysWhatItCannotShow) {
  EXPECT_THAT(checked({{"repeats", 5}}, config(64, 512)).context.warnings,
              testing::ElementsAre(testing::HasSubstr("no difference to 'base' can be shown")));
  EXPECT_THAT(checked(Json::object(), config(64, 512), "small").context.notes,
              testing::ElementsAre(testing::HasSubstr("compared with itself")));
}

}  // namespace
}  // namespace frugal::passes
