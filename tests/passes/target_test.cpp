// A target of bits or bytes in place of a grid: what can be said before the run, and the run.
#include "passes/quantize/target.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/hash.h"
#include "base/text.h"
#include "layerwise/rounding/sensitivity.h"
#include "layerwise/walk/calibration.h"
#include "layerwise/walk/output_gradients.h"
#include "passes/fake_context.h"
#include "passes/quantize/choose_grids.h"
#include "passes/quantize/quantize_pass.h"
#include "passes/quantize/rounded_model.h"
#include "support/toy_checkpoint.h"
#include "support/toy_mixture.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

namespace fs = std::filesystem;
using base::Json;

std::unique_ptr<pass::Pass> quantize(const Json& options) {
  auto made = make_quantize_pass();
  set_options(*made, options);
  return made;
}

text::DataSource source_of(const fs::path& path) {
  text::DataSource source;
  source.text = {path.string()};
  return source;
}

pass::ModelInfo toy_info(test::ToyShape shape = {.width = 64, .neurons = 96}) {
  shape.vocabulary = kToyVocabulary;
  pass::ModelInfo info;
  info.name = "toy";
  info.config = test::toy_config(shape);
  info.has_tokenizer = true;
  return info;
}

absl::Status check(const Json& options, pass::ModelInfo info = toy_info()) {
  FakeCheckContext context;
  context.sources["text"] = source_of("unused.txt");
  return quantize(options)->check(context, info);
}

Json with_target(double bits) { return {{"target_bits", bits}, {"calibration", "text"}}; }

TEST(TargetCheck, OneOfGridAndTargets) {
  const auto invalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(check({{"method", "rtn"}}), invalid, "`grid` is required, unless");
  Json options = with_target(5);
  options["grid"] = "q4_0";
  FRUGAL_EXPECT_ERROR(check(options), invalid, "grid = 'q4_0' and a target");
  options = with_target(5);
  options["target_size"] = 1000;
  FRUGAL_EXPECT_ERROR(check(options), invalid, "give one of them");
  FRUGAL_EXPECT_ERROR(
      check({{"grid", "q4_0"}, {"method", "rtn"}, {"candidates", {"q4_0", "q8_0"}}}), invalid,
      "leave `candidates` out");
  FRUGAL_EXPECT_OK(check(with_target(5)));
}

TEST(TargetCheck, CandidatesAreGridsThatFit) {
  const auto invalid = absl::StatusCode::kInvalidArgument;
  Json options = with_target(5);
  options["candidates"] = {"q4_k", "q8_0"};
  FRUGAL_EXPECT_ERROR(check(options), invalid, "256");
  options["candidates"] = {"q4_0", "q4_z"};
  FRUGAL_EXPECT_ERROR(check(options), invalid, "did you mean");
  options["candidates"] = {"q4_0"};
  FRUGAL_EXPECT_ERROR(check(options), invalid, "nothing to choose");
  options["candidates"] = {"int4", "int4:g32"};
  FRUGAL_EXPECT_ERROR(check(options), invalid, "given twice");
  options["candidates"] = {"q4_k_m", "q8_0"};
  FRUGAL_EXPECT_ERROR(check(options), invalid, "'q4_k_m' is not a grid");
  options = with_target(5);
  options["overrides"] = {{"*layers*", "q4_0"}};
  FRUGAL_EXPECT_ERROR(check(options), invalid, "nothing to choose");
}

TEST(TargetCheck, SaysWhatCanBeReached) {
  // iq4_nl takes 4.5 bits per weight, q8_0 8.5.
  FRUGAL_EXPECT_ERROR(check(with_target(4.4)), absl::StatusCode::kInvalidArgument,
                      "from 4.5 to 8.5 bits");
  FRUGAL_EXPECT_ERROR(check(with_target(8.6)), absl::StatusCode::kInvalidArgument,
                      "from 4.5 to 8.5 bits");
  FRUGAL_EXPECT_OK(check(with_target(4.5)));
  FRUGAL_EXPECT_OK(check(with_target(8.5)));
  const int64_t weights = 3 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 96);
  // Embedding and head in q8_0, norms in fp32.
  const int64_t kept = 2 * kToyVocabulary * 64 * 34 / 32 + 4 * 7 * 64;
  const auto of_size = [](int64_t bytes) {
    return Json{{"target_size", bytes}, {"calibration", "text"}};
  };
  FRUGAL_EXPECT_ERROR(
      check(of_size(1000)), absl::StatusCode::kInvalidArgument,
      base::str_cat("from ", kept + weights * 18 / 32, " to ", kept + weights * 34 / 32));
  FRUGAL_EXPECT_OK(check(of_size(kept + weights * 18 / 32)));
  FRUGAL_EXPECT_ERROR(check(of_size(kept + weights * 18 / 32 - 1)),
                      absl::StatusCode::kInvalidArgument, "out of reach");
}

TEST(TargetCheck, LaterPassesSeeEveryCandidate) {
  pass::ModelInfo info = toy_info();
  FakeCheckContext context;
  context.sources["text"] = source_of("unused.txt");
  Json options = with_target(6);
  options["overrides"] = {{"*.0.self_attn.v_proj.weight", "keep"},
                          {"*.1.mlp.up_proj.weight", "q4_0"}};
  options["embeddings"] = "q8_0";
  FRUGAL_ASSERT_OK(quantize(options)->check(context, info));
  std::set<std::string> grids;
  for (const auto& [name, grid] : info.grids) grids.insert(grid);
  EXPECT_EQ(grids, (std::set<std::string>{"iq4_nl", "q4_0", "q5_0", "q5_1", "q8_0"}));
  EXPECT_FALSE(info.grids.contains("model.layers.0.self_attn.v_proj.weight"));
  EXPECT_EQ(info.grids.at("model.layers.1.mlp.up_proj.weight"), "q4_0");
  // The estimate is the target: 6 bits of everything on a grid, and what is kept in fp32.
  const int64_t kept_weights = kToyVocabulary * 64 + 7 * 64 + 32 * 64;
  const int64_t weights = info.config.parameter_count() - kept_weights;
  EXPECT_EQ(*context.estimated.output_bytes, weights * 6 / 8 + 4 * kept_weights);
  EXPECT_EQ(info.size_bytes, *context.estimated.output_bytes);
}

TEST(TargetPlan, DefaultsFollowTheRows) {
  const architecture::ModelConfig wide = test::toy_config({.width = 256, .neurons = 352});
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TargetPlan plan, plan_target(wide, {"", "auto", "auto"}, {}));
  for (const FreeMatrix& matrix : plan.free) {
    const PlannedTensor& tensor = plan.tensors[matrix.tensors.front()];
    EXPECT_EQ(matrix.grids.front(), tensor.shape[1] == 256 ? "q2_k" : "iq4_nl") << tensor.name;
    EXPECT_EQ(matrix.grids.back(), "q8_0");
    EXPECT_TRUE(std::is_sorted(matrix.bytes.begin(), matrix.bytes.end()));
    EXPECT_EQ(matrix.bytes.back(), matrix.weights * 34 / 32);
  }
  const architecture::ModelConfig narrow = test::toy_config({.width = 16, .neurons = 48});
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TargetPlan small,
                              plan_target(narrow, {"", "auto", "auto"}, {}));
  EXPECT_EQ(small.free.front().grids.front(), "int2:g16");
}

// The experts of a layer, which GGUF stores as one tensor, are chosen for together.
TEST(TargetPlan, ExpertsOfALayerShareAGrid) {
  const architecture::ModelConfig config =
      test::toy_mixture_config({.layers = 2, .width = 32, .neurons = 64, .experts = 4});
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TargetPlan plan, plan_target(config, {"", "auto", "auto"}, {}));
  ASSERT_EQ(plan.free.size(), 2u * (4 + 3));
  const FreeMatrix& gates = plan.free[4];
  ASSERT_EQ(gates.tensors.size(), 4u);
  EXPECT_EQ(gates.weights, 4 * 32 * 64);
  EXPECT_EQ(gates.bytes.back(), gates.weights * 34 / 32);  // q8_0
  const std::vector<PlannedTensor> tensors = planned_tensors(plan, representative_choice(plan));
  for (const FreeMatrix& matrix : plan.free) {
    for (const size_t index : matrix.tensors) {
      EXPECT_EQ(tensors[index].grid, tensors[matrix.tensors.front()].grid);
      EXPECT_NE(tensors[index].name.find("layers."), std::string::npos);
    }
  }
  int64_t bytes = 0, expected = 0;
  for (const PlannedTensor& tensor : tensors) bytes += tensor.grid.empty() ? 0 : tensor.size_bytes;
  const std::vector<size_t> choice = representative_choice(plan);
  for (size_t i = 0; i < plan.free.size(); ++i) expected += plan.free[i].bytes[choice[i]];
  EXPECT_EQ(bytes, expected);
}

class TargetRun : public testing::Test {
 protected:
  static test::ToyShape shape() { return {.layers = 3, .width = 64, .neurons = 96}; }
  void SetUp() override {
    input_.emplace(toy_checkpoint(folder_.path() / "input", shape()));
    text_ = write_toy_text(folder_.path());
  }
  FakeRunContext context(const std::string& name) {
    FakeRunContext result(folder_.path() / name, input_);
    result.sources["text"] = source_of(text_);
    return result;
  }
  static Json options(const Json& target) {
    Json result = {{"calibration", "text"}, {"windows", 12},
                   {"sequence_length", 32}, {"swaps", 4},
                   {"held_out_windows", 4}, {"candidates", {"int2", "int3", "q4_0", "q8_0"}}};
    result.update(target);
    return result;
  }
  static std::string hash(const FakeRunContext& context) {
    return base::hash_folder(context.output_folder()).value();
  }
  test::TemporaryFolder folder_;
  std::optional<format::Checkpoint> input_;
  fs::path text_;
};

TEST_F(TargetRun, MeetsTheTargetAndSaysHow) {
  double gained = 0;  // by swaps
  for (const double bits : {3.0, 4.1, 6.0}) {
    FakeRunContext run = context(base::str_cat("bits", bits));
    FRUGAL_ASSERT_OK(quantize(options({{"target_bits", bits}}))->run(run));
    EXPECT_LE(*run.value("bits_per_weight"), bits);
    EXPECT_GT(*run.value("bits_per_weight"), bits - 0.2);
    EXPECT_GT(*run.value("predicted_divergence"), 0);
    const double before = *run.value("nearest_divergence_before_swaps");
    EXPECT_LE(*run.value("nearest_divergence"), before);
    gained += 1 - *run.value("nearest_divergence") / before;
    const std::vector<Json>& rows = run.tables.at("allocation");
    ASSERT_EQ(rows.size(), 21u);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto result, format::Checkpoint::open(run.output_folder()));
    double predicted = 0;
    std::set<std::string> grids;
    for (const Json& row : rows) {
      const auto grid = row["grid"].get<std::string>();
      grids.insert(grid);
      predicted += row["cost"].get<double>();
      EXPECT_EQ(row["cost"], row["cost_" + grid]);
      EXPECT_EQ(result.quantized().at(row["matrix"].get<std::string>()).grid, grid);
    }
    EXPECT_GT(grids.size(), 1u);
    EXPECT_NEAR(predicted, *run.value("predicted_divergence"), 1e-9 * predicted);
  }
  EXPECT_GT(gained, 0);
}

TEST_F(TargetRun, SizeIsOfAllWeights) {
  FakeRunContext run = context("run");
  const int64_t target = input_->weight_bytes() / 3;
  Json choice = options({{"target_size", target}});
  choice["embeddings"] = "q8_0";
  choice["overrides"] = {{"*.2.mlp.down_proj.weight", "q4_0"},
                         {"*.1.self_attn.o_proj.weight", "keep"}};
  FRUGAL_ASSERT_OK(quantize(choice)->run(run));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto result, format::Checkpoint::open(run.output_folder()));
  EXPECT_LE(result.weight_bytes(), target);
  EXPECT_GT(result.weight_bytes(), target - 4096);
  EXPECT_EQ(result.quantized().at("model.layers.2.mlp.down_proj.weight").grid, "q4_0");
  EXPECT_FALSE(result.quantized().contains("model.layers.1.self_attn.o_proj.weight"));
  EXPECT_EQ(run.tables.at("allocation").size(), 19u);
}

TEST_F(TargetRun, TheChosenGridsGivenByHandGiveTheSameBytes) {
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(quantize(options({{"target_bits", 4.0}}))->run(run));
  Json by_hand = options(Json::object());
  by_hand.erase("candidates");
  by_hand["grid"] = "q4_0";
  by_hand["embeddings"] = by_hand["head"] = "keep";  // target_bits leaves them
  by_hand["overrides"] = Json::object();
  for (const Json& row : run.tables.at("allocation"))
    by_hand["overrides"][row["matrix"].get<std::string>()] = row["grid"];
  FakeRunContext second = context("by hand");
  FRUGAL_ASSERT_OK(quantize(by_hand)->run(second));
  EXPECT_EQ(hash(run), hash(second));
}

TEST_F(TargetRun, ResumedRunTakesWhatWasChosen) {
  const Json choice = options({{"target_bits", 4.0}});
  FakeRunContext whole = context("whole"), resumed = context("resumed");
  FRUGAL_ASSERT_OK(quantize(choice)->run(whole));
  const auto copy = [&](const char* file) {
    fs::copy_file(whole.resume_folder() / file, resumed.resume_folder() / file,
                  fs::copy_options::overwrite_existing);
  };
  copy("allocation.json");
  copy("layer-00000.safetensors");
  {
    const int threads = at::get_num_threads();
    at::set_num_threads(threads == 1 ? 2 : 1);
    FRUGAL_ASSERT_OK(quantize(choice)->run(resumed));
    at::set_num_threads(threads);
  }
  EXPECT_EQ(hash(resumed), hash(whole));
  EXPECT_EQ(resumed.tables.at("allocation"), whole.tables.at("allocation"));
  EXPECT_EQ(*resumed.value("nearest_divergence"), *whole.value("nearest_divergence"));
  // And without anything to resume, on another number of threads.
  FakeRunContext fresh = context("fresh");
  FRUGAL_ASSERT_OK(quantize(choice)->run(fresh));
  EXPECT_EQ(hash(fresh), hash(whole));

  FakeRunContext broken = context("broken");
  FRUGAL_ASSERT_OK_AND_ASSIGN(Json file,
                              base::read_json(whole.resume_folder() / "allocation.json"));
  file["matrices"][3]["grid"] = "q5_0";
  std::ofstream(broken.resume_folder() / "allocation.json") << file.dump();
  FRUGAL_EXPECT_ERROR(quantize(choice)->run(broken), absl::StatusCode::kDataLoss,
                      "does not fit its candidates");
  file["stamp"] = "another";
  std::ofstream(broken.resume_folder() / "allocation.json") << file.dump();
  FRUGAL_ASSERT_OK(quantize(choice)->run(broken));
  EXPECT_EQ(hash(broken), hash(whole));
}

TEST_F(TargetRun, WithoutATargetItsOptionsDoNothing) {
  const Json plain = {
      {"grid", "q4_0"}, {"calibration", "text"}, {"windows", 12}, {"sequence_length", 32}};
  Json more = plain;
  more["swaps"] = 1;
  FakeRunContext first = context("first"), second = context("second");
  FRUGAL_ASSERT_OK(quantize(plain)->run(first));
  FRUGAL_ASSERT_OK(quantize(more)->run(second));
  EXPECT_EQ(hash(first), hash(second));
  EXPECT_FALSE(fs::exists(first.resume_folder() / "allocation.json"));
  EXPECT_FALSE(first.tables.contains("allocation"));
  EXPECT_FALSE(first.value("predicted_divergence").has_value());
}

// Spearman's rank correlation.
double rank_correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const auto ranks = [](const std::vector<double>& values) {
    std::vector<size_t> order(values.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(),
              [&](size_t i, size_t j) { return values[i] < values[j]; });
    std::vector<double> result(values.size());
    for (size_t i = 0; i < order.size(); ++i) result[order[i]] = static_cast<double>(i);
    return result;
  };
  const std::vector<double> x = ranks(a), y = ranks(b);
  const double mean = (static_cast<double>(x.size()) - 1) / 2;
  double both = 0, one = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    both += (x[i] - mean) * (y[i] - mean);
    one += (x[i] - mean) * (x[i] - mean);
  }
  return both / one;
}

struct Comparison {
  std::vector<double> predicted, measured;  // of each matrix on each candidate, alone
};

Comparison compare(const format::Checkpoint& checkpoint, const text::Windows& windows,
                   const std::vector<std::string>& grids) {
  const model::Decoder decoder = model::Decoder::load(checkpoint, {}).value();
  const std::vector<std::string> names = architecture::layer_matrices(checkpoint.config());
  layerwise::SensitivityOptions options;
  options.gradients = layerwise::output_squares(checkpoint, windows).value();
  for (const std::string& name : names) options.candidates[name] = grids;
  options.stages = architecture::all_stages(checkpoint.config());
  layerwise::SensitivitySolver solver(options);
  TORCH_CHECK(layerwise::walk(checkpoint, windows, {}, solver).ok());
  Comparison result;
  for (const std::string& name : names) {
    for (size_t i = 0; i < grids.size(); ++i) {
      GridChoice alone{std::string(kKeep), std::string(kKeep), std::string(kKeep)};
      alone.overrides = {{name, grids[i]}};
      TargetPlan plan{.tensors = plan_grids(checkpoint.config(), alone).value(), .free = {}};
      const Importance& importance = solver.importance();
      RoundedModel rounded(decoder, plan, importance, windows);
      result.predicted.push_back(solver.costs().at(name)[i]);
      result.measured.push_back(rounded.divergence({}).value());
    }
  }
  return result;
}

TEST(Sensitivity, RanksMatricesAsTheirDivergenceDoes) {
  FRUGAL_SHARED_DATA_OR_SKIP(stories, "stories260K/hf");
  FRUGAL_SHARED_DATA_OR_SKIP(tokenizer, "stories260K/tok512.bin");
  FRUGAL_SHARED_DATA_OR_SKIP(sample, "tinystories/tinystories_sample_2MiB.txt");
  const test::TemporaryFolder folder;
  for (const auto& entry : fs::directory_iterator(stories))
    fs::copy_file(entry.path(), folder.path() / entry.path().filename());
  fs::copy_file(tokenizer, folder.path() / "tokenizer.bin");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, format::Checkpoint::open(folder.path()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const text::Windows windows,
      layerwise::load_calibration(checkpoint, source_of(sample), {.windows = 8, .length = 96}));
  const Comparison found = compare(checkpoint, windows, {"int2:row", "int3:row", "int4:row"});
  EXPECT_GT(rank_correlation(found.predicted, found.measured), 0.9);
  // Within a factor of 2.5 nearly everywhere.
  int64_t near = 0;
  for (size_t i = 0; i < found.predicted.size(); ++i)
    near += std::abs(std::log(found.predicted[i] / found.measured[i])) < std::log(2.5) ? 1 : 0;
  EXPECT_GE(static_cast<double>(near), 0.9 * static_cast<double>(found.predicted.size()));
}

}  // namespace
}  // namespace frugal::passes
