#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>

#include "base/hash.h"
#include "layerwise/walk/calibration.h"
#include "model/decoder.h"
#include "passes/fake_context.h"
#include "passes/prune/mask_solver.h"
#include "passes/prune/output.h"
#include "passes/prune/prune_pass.h"
#include "support/divergence.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

std::string weight_name(int64_t layer, std::string_view matrix) {
  return base::str_cat("model.layers.", layer, ".", matrix, ".weight");
}

namespace fs = std::filesystem;
using base::Json;

std::unique_ptr<pass::Pass> prune(const Json& options) {
  auto made = make_prune_pass();
  set_options(*made, options);
  return made;
}

text::DataSource source_of(const fs::path& path) {
  text::DataSource source;
  source.text = {path.string()};
  return source;
}

pass::ModelInfo toy_info() {
  pass::ModelInfo info;
  info.name = "toy";
  info.config = test::toy_config({.neurons = 128, .vocabulary = kToyVocabulary});
  info.has_tokenizer = true;
  info.size_bytes = 4 * info.config.parameter_count();
  return info;
}

absl::Status check(const Json& options, pass::ModelInfo& info) {
  FakeCheckContext context;
  context.sources["text"] = source_of("unused.txt");
  return prune(options)->check(context, info);
}

TEST(PruneCheck, NarrowsTheConfig) {
  pass::ModelInfo info = toy_info();
  FRUGAL_ASSERT_OK(check({{"ffn", 0.6}, {"calibration", "text"}}, info));
  EXPECT_EQ(info.config.layers.front().feed_forward.width, 64);  // 76.8 of 128, to a multiple of 32
  EXPECT_EQ(info.size_bytes, 4 * info.config.parameter_count());
}

TEST(PruneCheck, SaysWhatIsMissing) {
  pass::ModelInfo info = toy_info();
  FRUGAL_EXPECT_ERROR(check({{"ffn", 0.5}, {"calibration", "text"}, {"multiple_of", 256}}, info),
                      absl::StatusCode::kInvalidArgument, "multiple_of");
  FRUGAL_EXPECT_OK(check({{"ffn", 0.5}, {"score", "magnitude"}, {"compensate", false}}, info));
  info = toy_info();
  info.has_tokenizer = false;
  FRUGAL_EXPECT_ERROR(check({{"ffn", 0.5}, {"calibration", "text"}}, info),
                      absl::StatusCode::kInvalidArgument, "tokenizer");
  info = toy_info();
  info.grids["model.layers.0.mlp.up_proj.weight"] = "q4_0";
  FRUGAL_EXPECT_ERROR(check({{"ffn", 0.5}, {"calibration", "text"}}, info),
                      absl::StatusCode::kInvalidArgument, "prune first");
}

TEST(PruneCheck, OneKindAStepAndNotNothing) {
  pass::ModelInfo info = toy_info();
  FRUGAL_EXPECT_ERROR(check({{"calibration", "text"}}, info), absl::StatusCode::kInvalidArgument,
                      "nothing to remove");
  FRUGAL_EXPECT_ERROR(check({{"ffn", 0.5}, {"pattern", "50%"}, {"calibration", "text"}}, info),
                      absl::StatusCode::kInvalidArgument, "a step for each");
  FRUGAL_EXPECT_ERROR(
      check({{"drop_layers", 1}, {"drop_layer_indices", {1}}, {"calibration", "text"}}, info),
      absl::StatusCode::kInvalidArgument, "not both");
}

TEST(PruneCheck, Patterns) {
  pass::ModelInfo info = toy_info();
  const int64_t size = info.size_bytes;
  FRUGAL_ASSERT_OK(check({{"pattern", "2:4"}, {"calibration", "text"}}, info));
  EXPECT_EQ(info.size_bytes, size);  // stored densely
  const auto refused = [&](const Json& options, const char* text) {
    Json all = {{"calibration", "text"}};
    all.update(options);
    pass::ModelInfo fresh = toy_info();
    FRUGAL_EXPECT_ERROR(check(all, fresh), absl::StatusCode::kInvalidArgument, text);
  };
  refused({{"pattern", "50"}}, "did you mean 50%");
  refused({{"pattern", "2:5"}}, "no multiple of 5");
  refused({{"pattern", "50%"}, {"solver", "sparsegpt"}, {"scope", "matrix"}}, "block by block");
  refused({{"pattern", "rows 25%"}, {"solver", "sparsegpt"}}, "weight by weight");
  refused({{"overrides", {{"*.v_proj.weight", "rows 99%"}}}},
          "has 16 rows, of which rows 99% is all");
  refused({{"pattern", "columns 1%"}}, "has 32 columns, of which columns 1% is not one");
  refused({{"overrides", {{"*.down_proj.weight", "half"}}}}, "none that is known");
  refused({{"overrides",
            {{"model.layers.1.mlp.down_proi.weight", "50%"}, {"*.up_proj.weight", "50%"}}}},
          "did you mean 'model.layers.1.mlp.down_proj.weight'");
  FRUGAL_EXPECT_OK(check({{"pattern", "50%"}, {"solver", "magnitude"}}, info));
}

TEST(PruneCheck, WhatNeedsTextHasTheModelWriteItWhereNoneIsGiven) {
  EXPECT_EQ(prune({{"pattern", "50%"}, {"solver", "wanda"}})->implied_data().size(), 1u);
  EXPECT_EQ(prune({{"ffn", 0.5}})->implied_data().size(), 1u);
  EXPECT_TRUE(prune({{"pattern", "50%"}, {"solver", "magnitude"}})->implied_data().empty());
  EXPECT_TRUE(prune({{"pattern", "50%"}, {"calibration", "text"}})->implied_data().empty());
}

TEST(PruneCheck, SaysWhichZerosTheNextPassWillSee) {
  FakeCheckContext context;
  context.sources["text"] = source_of("unused.txt");
  pass::ModelInfo info = toy_info();
  FRUGAL_ASSERT_OK(prune({{"pattern", "2:4"},
                          {"overrides", {{"*.v_proj.weight", "none"}}},
                          {"calibration", "text"}})
                       ->check(context, info));
  EXPECT_EQ(info.zeros.size(), 3u * 6u);
  EXPECT_EQ(info.zeros.at("model.layers.1.mlp.down_proj.weight"), "2:4");
  EXPECT_TRUE(context.warnings.empty());
  // The matrix that reads the neurons is refitted, and only it.
  FRUGAL_ASSERT_OK(prune({{"ffn", 0.5}, {"calibration", "text"}})->check(context, info));
  EXPECT_EQ(info.zeros.size(), 3u * 5u);
  ASSERT_EQ(context.warnings.size(), 1u);
  EXPECT_THAT(context.warnings[0], testing::HasSubstr("down_proj.weight: 2:4"));
  FRUGAL_ASSERT_OK(
      prune({{"ffn", 0.5}, {"compensate", false}, {"calibration", "text"}})->check(context, info));
  EXPECT_EQ(info.zeros.size(), 3u * 5u);
}

TEST(PruneCheck, HeadsAndLayers) {
  const auto result = [](Json options) {
    pass::ModelInfo info = toy_info();  // 4 query heads on 2 key/value heads, 3 layers
    options["calibration"] = "text";
    FRUGAL_EXPECT_OK(check(options, info));
    return info.config;
  };
  EXPECT_EQ(result({{"heads", 0.5}}).layers.front().attention.heads, 2);
  EXPECT_EQ(result({{"heads", 0.5}}).layers.front().attention.key_value_heads, 2);
  EXPECT_EQ(result({{"heads", 0.5}, {"heads_by", "group"}}).layers.front().attention.heads, 2);
  EXPECT_EQ(
      result({{"heads", 0.5}, {"heads_by", "group"}}).layers.front().attention.key_value_heads, 1);
  EXPECT_EQ(result({{"heads", 0.5}}).layers.front().attention.head_size, 8);
  EXPECT_EQ(result({{"drop_layers", 1}}).layer_count(), 2);
  EXPECT_EQ(result({{"drop_layer_indices", {0, 2}}}).layer_count(), 1);
  pass::ModelInfo info = toy_info();
  FRUGAL_EXPECT_ERROR(check({{"drop_layers", 2}, {"calibration", "text"}}, info),
                      absl::StatusCode::kInvalidArgument, "cannot drop 2 of 3 layers");
  FRUGAL_EXPECT_ERROR(check({{"drop_layer_indices", {3}}}, info),
                      absl::StatusCode::kInvalidArgument, "0 to 2");
  FRUGAL_EXPECT_ERROR(check({{"drop_layer_indices", {1, 1}}}, info),
                      absl::StatusCode::kInvalidArgument, "twice");
  info.config.layers.front().attention.key_value_heads = 4;
  FRUGAL_EXPECT_ERROR(check({{"heads", 0.5}, {"heads_by", "query"}, {"calibration", "text"}}, info),
                      absl::StatusCode::kInvalidArgument, "take group");
}

double largest_difference(const model::Decoder& a, const model::Decoder& b,
                          const text::Windows& windows) {
  const at::NoGradGuard no_grad;
  const model::Batch batch = test::toy_batch(windows);
  const at::Tensor x = a.logits(batch), y = b.logits(batch);
  return ((x - y).abs().max() / x.abs().max()).item<double>();
}

class PruneRun : public testing::Test {
 protected:
  void SetUp() override {
    input_.emplace(
        toy_checkpoint(folder_.path() / "input", {.layers = 3, .width = 32, .neurons = 128}));
    text_ = write_toy_text(folder_.path());
  }
  FakeRunContext context(const std::string& name) {
    FakeRunContext result(folder_.path() / name, input_);
    result.sources["text"] = source_of(text_);
    return result;
  }
  static Json options(double ffn) {
    return {{"ffn", ffn}, {"calibration", "text"}, {"windows", 12}, {"sequence_length", 32}};
  }
  static model::Decoder load(const fs::path& folder) {
    return model::Decoder::load(format::Checkpoint::open(folder).value(), {}).value();
  }
  static std::string hash(const FakeRunContext& context) {
    return base::hash_folder(context.output_folder()).value();
  }

  test::TemporaryFolder folder_;
  std::optional<format::Checkpoint> input_;
  fs::path text_;
  text::Windows windows_ = test::toy_windows(4, 24, kToyVocabulary);
};

TEST_F(PruneRun, GivesANarrowerModelOfTheSameFamily) {
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(prune(options(0.5))->run(run));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result,
                              format::Checkpoint::open(run.output_folder()));
  EXPECT_EQ(result.config().layers.front().feed_forward.width, 64);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::TensorInfo down,
                              result.info("model.layers.1.mlp.down_proj.weight"));
  EXPECT_EQ(down.shape, (std::vector<int64_t>{32, 64}));
  EXPECT_EQ(*run.value("neurons_kept"), 64);
  EXPECT_EQ(*run.value("parameters"), static_cast<double>(result.config().parameter_count()));
  const std::vector<Json>& rows = run.tables.at("layer_error");
  ASSERT_EQ(rows.size(), 3u);
  for (const Json& row : rows)
    EXPECT_LT(row["error_after"].get<double>(), row["error_before"].get<double>());
  EXPECT_TRUE(fs::exists(run.output_folder() / "tokenizer.json"));
  const at::NoGradGuard no_grad;
  const at::Tensor logits = load(run.output_folder()).logits(test::toy_batch(windows_));
  EXPECT_TRUE(at::isfinite(logits).all().item<bool>());
}

TEST_F(PruneRun, RowsOfGateAndUpAreThoseOfTheOriginal) {
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(prune(options(0.5))->run(run));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result,
                              format::Checkpoint::open(run.output_folder()));
  for (const char* name :
       {"model.layers.2.mlp.gate_proj.weight", "model.layers.2.mlp.up_proj.weight"}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto before, input_->bytes(name));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto after, result.bytes(name));
    const size_t row_bytes = 32 * sizeof(float);
    size_t source = 0;
    for (size_t row = 0; row < after.size(); row += row_bytes) {  // a subsequence, in order
      while (source < before.size() &&
             std::memcmp(before.data() + source, after.data() + row, row_bytes) != 0) {
        source += row_bytes;
      }
      ASSERT_LT(source, before.size()) << name;
      source += row_bytes;
    }
  }
}

TEST_F(PruneRun, NeuronsThatNobodyReadsCostNothing) {
  model::Decoder decoder = model::Decoder::load(*input_, {}).value();
  for (int64_t layer = 0; layer < 3; ++layer) {
    const std::string name = weight_name(layer, "mlp.down_proj");
    at::Tensor down = decoder.parameters().at(name).clone();
    for (int64_t j = 0; j < 64; ++j) down.select(1, (2 * j + layer) % 128).zero_();
    decoder.set_parameter(name, down);
  }
  fs::copy(input_->folder(), folder_.path() / "silent", fs::copy_options::recursive);
  input_.emplace(test::save_toy(decoder, folder_.path() / "silent"));
  for (const char* score : {"obs", "obs_greedy", "magnitude"}) {
    FakeRunContext run = context(score);
    Json chosen = options(0.5);
    chosen["score"] = score;
    FRUGAL_ASSERT_OK(prune(chosen)->run(run));
    // Compensation solves a system whose answer is the old weights; fp32 forwards differ by some
    // 1e-6.
    EXPECT_LT(largest_difference(decoder, load(run.output_folder()), windows_), 1e-4) << score;
  }
}

TEST_F(PruneRun, KeepingEverythingIsTheIdentity) {
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(prune(options(1.0))->run(run));
  EXPECT_LT(largest_difference(load(input_->folder()), load(run.output_folder()), windows_), 1e-4);
}

TEST_F(PruneRun, OptionsReachTheSolver) {
  FakeRunContext plain = context("plain");
  FRUGAL_ASSERT_OK(prune(options(0.5))->run(plain));
  std::vector<std::string> hashes{hash(plain)};
  const std::vector<std::pair<const char*, Json>> changes = {
      {"score", "activation"}, {"compensate", false}, {"alpha", 0.0},
      {"beta", 0.0},           {"damping", 0.3},      {"multiple_of", 48}};
  for (const auto& [name, value] : changes) {
    Json changed = options(0.5);
    changed[name] = value;
    FakeRunContext run = context(name);
    FRUGAL_ASSERT_OK(prune(changed)->run(run));
    EXPECT_EQ(std::count(hashes.begin(), hashes.end(), hash(run)), 0) << name << " changes nothing";
    hashes.push_back(hash(run));
  }
}

TEST_F(PruneRun, WithoutTextByMagnitude) {
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(prune({{"ffn", 0.5}, {"score", "magnitude"}, {"compensate", false}})->run(run));
  EXPECT_FALSE(run.value("mean_relative_error").has_value());
  EXPECT_TRUE(run.tables.at("layer_error")[0]["error_after"].is_null());
}

TEST_F(PruneRun, ResumedRunIsByteEqualAtAnyThreadCount) {
  FakeRunContext whole = context("whole");
  FRUGAL_ASSERT_OK(prune(options(0.5))->run(whole));
  int threads = 1;
  for (const int64_t finished : {0, 1, 2}) {
    const test::ThreadCount count(threads++);
    FakeRunContext run = context(base::str_cat("resumed", finished));
    for (int64_t layer = 0; layer < finished; ++layer) {
      const std::string file = base::str_cat("layer-0000", layer, ".safetensors");
      fs::copy_file(whole.resume_folder() / file, run.resume_folder() / file);
    }
    FRUGAL_ASSERT_OK(prune(options(0.5))->run(run));
    EXPECT_EQ(hash(run), hash(whole)) << finished << " layers finished";
  }
}

Json masked(const char* pattern, const char* solver) {
  return {{"pattern", pattern},
          {"solver", solver},
          {"calibration", "text"},
          {"windows", 12},
          {"sequence_length", 32}};
}

int64_t zeros_in(const format::Checkpoint& checkpoint, const std::string& name) {
  const std::vector<float> values = checkpoint.values(name).value();
  return std::count(values.begin(), values.end(), 0.0f);
}

TEST_F(PruneRun, PatternsAreExactInEveryMatrix) {
  for (const char* pattern : {"50%", "2:4"}) {
    for (const char* solver : {"mask_refit", "sparsegpt", "wanda", "magnitude"}) {
      FakeRunContext run = context(base::str_cat(solver, pattern));
      FRUGAL_ASSERT_OK(prune(masked(pattern, solver))->run(run));
      FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result,
                                  format::Checkpoint::open(run.output_folder()));
      const auto names = architecture::layer_matrices(result.config());
      double zeros = 0;
      for (const std::string& name : names) {
        const int64_t size = static_cast<int64_t>(result.values(name)->size());
        EXPECT_EQ(zeros_in(result, name), size / 2) << name << " " << solver;
        zeros += static_cast<double>(size / 2);
      }
      EXPECT_EQ(*run.value("zeros"), zeros);
      EXPECT_EQ(*run.value("sparsity"), 0.5);
      EXPECT_EQ(run.tables.at("layer_error").size(), names.size());
      for (const Json& row : run.tables.at("layer_error")) {
        EXPECT_TRUE(row["error_after"].is_number());
        if (std::string_view(solver) != "mask_refit") continue;
        EXPECT_LT(row["error_after"].get<double>(), row["error_before"].get<double>());
      }
    }
  }
}

// The zeros of whole rows or columns [rows, columns]; -1 where a row or column is neither whole nor
// without any.
std::pair<int64_t, int64_t> whole_zeros(const std::vector<float>& values, int64_t columns) {
  const at::Tensor zero = at::tensor(values).view({-1, columns}).eq(0);
  const int64_t rows = zero.all(1).sum().item<int64_t>();
  const int64_t across = zero.all(0).sum().item<int64_t>();
  const int64_t all = zero.sum().item<int64_t>();
  if (all == rows * columns) return {rows, 0};
  return all == across * zero.size(0) ? std::pair{int64_t{0}, across}
                                      : std::pair{int64_t{-1}, int64_t{-1}};
}

TEST_F(PruneRun, WholeRowsAndColumnsOfEveryMatrix) {
  for (const char* pattern : {"rows 25%", "columns 25%"}) {
    for (const char* solver : {"mask_refit", "wanda", "magnitude"}) {
      FakeRunContext run = context(base::str_cat(solver, pattern));
      FRUGAL_ASSERT_OK(prune(masked(pattern, solver))->run(run));
      FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result,
                                  format::Checkpoint::open(run.output_folder()));
      const auto names = architecture::layer_matrices(result.config());
      const bool by_rows = std::string_view(pattern).starts_with("rows");
      for (const std::string& name : names) {
        const std::vector<int64_t> shape = result.info(name)->shape;
        const auto expected =
            by_rows ? std::pair{shape[0] / 4, int64_t{0}} : std::pair{int64_t{0}, shape[1] / 4};
        EXPECT_EQ(whole_zeros(*result.values(name), shape[1]), expected) << name << solver;
      }
      EXPECT_EQ(*run.value("sparsity"), 0.25);
      for (const Json& row : run.tables.at("layer_error")) {
        EXPECT_EQ(row["pattern"], pattern);
        if (std::string_view(solver) != "mask_refit") continue;
        // Nothing makes up for a row; columns are made up for.
        const double before = row["error_before"], after = row["error_after"];
        EXPECT_LE(after, before * (by_rows ? 1 + 1e-5 : 1));
        EXPECT_EQ(after < before * (1 - 1e-5), !by_rows) << row["matrix"];
      }
    }
  }
}

// One matrix of a stack by columns, another by weights, a third as it is: each as alone, since
// matrices share their inputs and nothing else.
TEST_F(PruneRun, PatternsOfAStackDoNotMix) {
  Json mixed = masked("none", "mask_refit"), alone = mixed;
  alone["overrides"] = {{"model.layers.0.*q_proj.weight", "columns 25%"}};
  mixed["overrides"] = {{"model.layers.0.*q_proj.weight", "columns 25%"},
                        {"model.layers.0.*k_proj.weight", "50%"}};
  FakeRunContext one = context("one"), two = context("two");
  FRUGAL_ASSERT_OK(prune(alone)->run(one));
  FRUGAL_ASSERT_OK(prune(mixed)->run(two));
  const format::Checkpoint a = format::Checkpoint::open(one.output_folder()).value();
  const format::Checkpoint b = format::Checkpoint::open(two.output_folder()).value();
  const std::string q = "model.layers.0.self_attn.q_proj.weight";
  const std::string k = "model.layers.0.self_attn.k_proj.weight";
  const std::string v = "model.layers.0.self_attn.v_proj.weight";
  EXPECT_EQ(a.values(q).value(), b.values(q).value());
  EXPECT_EQ(whole_zeros(*b.values(q), 32), (std::pair<int64_t, int64_t>{0, 8}));
  EXPECT_EQ(zeros_in(b, k), 16 * 32 / 2);
  EXPECT_EQ(b.values(v).value(), input_->values(v).value());
}

// Inputs that no neuron of the next stage reads go first, and the model stays what it was.
TEST_F(PruneRun, ColumnsOfZerosCostNothing) {
  model::Decoder decoder = model::Decoder::load(*input_, {}).value();
  for (int64_t layer = 0; layer < 3; ++layer) {
    const std::string name = weight_name(layer, "mlp.down_proj");
    const at::Tensor down = decoder.parameters().at(name).clone();
    for (int64_t j = 0; j < 32; ++j) down.select(1, (3 * j + layer) % 128).zero_();
    decoder.set_parameter(name, down);
  }
  fs::copy(input_->folder(), folder_.path() / "silent", fs::copy_options::recursive);
  input_.emplace(test::save_toy(decoder, folder_.path() / "silent"));
  for (const char* solver : {"mask_refit", "wanda", "magnitude"}) {
    FakeRunContext run = context(solver);
    Json options = masked("none", solver);
    options["overrides"] = {{"*.down_proj.weight", "columns 25%"}};
    FRUGAL_ASSERT_OK(prune(options)->run(run));
    // Compensation solves a system whose answer is the old weights; fp32 forwards differ by some
    // 1e-6.
    EXPECT_LT(largest_difference(decoder, load(run.output_folder()), windows_), 1e-4) << solver;
  }
}

TEST_F(PruneRun, WandaAndMagnitudeLeaveTheKeptWeightsAlone) {
  for (const char* solver : {"wanda", "magnitude"}) {
    FakeRunContext run = context(solver);
    FRUGAL_ASSERT_OK(prune(masked("2:4", solver))->run(run));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result,
                                format::Checkpoint::open(run.output_folder()));
    const auto names = architecture::layer_matrices(result.config());
    for (const std::string& name : names) {
      const std::vector<float> before = input_->values(name).value();
      const std::vector<float> after = result.values(name).value();
      for (size_t i = 0; i < after.size(); ++i) {
        ASSERT_TRUE(after[i] == 0 || after[i] == before[i]) << name;
      }
    }
  }
}

TEST_F(PruneRun, LayersOverrideThePattern) {
  FakeRunContext run = context("run");
  Json options = masked("50%", "mask_refit");
  options["overrides"] = {{"model.layers.0.*", "none"},
                          {"*.down_proj.weight", "75%"},
                          {"model.layers.2.mlp.down_proj.weight", "1:4"}};
  FRUGAL_ASSERT_OK(prune(options)->run(run));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result,
                              format::Checkpoint::open(run.output_folder()));
  const std::string down = "mlp.down_proj";
  EXPECT_EQ(result.values("model.layers.0.self_attn.q_proj.weight").value(),
            input_->values("model.layers.0.self_attn.q_proj.weight").value());
  for (int64_t layer = 0; layer < 3; ++layer)
    EXPECT_EQ(zeros_in(result, weight_name(layer, down)), 32 * 128 * 3 / 4);
  const std::vector<float> last = result.values(weight_name(2, down)).value();
  for (size_t i = 0; i < last.size(); i += 4)
    EXPECT_EQ(std::count(last.begin() + static_cast<int64_t>(i),
                         last.begin() + static_cast<int64_t>(i) + 4, 0.0f),
              3);
}

TEST_F(PruneRun, MaskOptionsReachTheSolver) {
  FakeRunContext plain = context("plain");
  FRUGAL_ASSERT_OK(prune(masked("50%", "mask_refit"))->run(plain));
  std::vector<std::string> hashes{hash(plain)};
  const std::vector<Json> changes = {{{"mask_score", "magnitude"}},
                                     {{"scope", "matrix"}},
                                     {{"scope", "block"}, {"solver", "sparsegpt"}},
                                     {{"solver", "sparsegpt"}},
                                     {{"solver", "sparsegpt"}, {"mask_block", 8}},
                                     {{"solver", "sparsegpt"}, {"refit", true}},
                                     {{"solver", "wanda"}},
                                     {{"solver", "wanda"}, {"refit", true}},
                                     {{"refit_steps", 2}},
                                     {{"alpha", 0.0}},
                                     {{"beta", 0.0}},
                                     {{"damping", 0.3}}};
  for (const Json& change : changes) {
    Json changed = masked("50%", "mask_refit");
    changed.update(change);
    FakeRunContext run = context(base::str_cat("run", hashes.size()));
    FRUGAL_ASSERT_OK(prune(changed)->run(run));
    EXPECT_EQ(std::count(hashes.begin(), hashes.end(), hash(run)), 0)
        << change.dump() << " changes nothing";
    hashes.push_back(hash(run));
    EXPECT_EQ(run.warnings.empty(), !change.contains("refit_steps"));
  }
}

TEST_F(PruneRun, MaskWithoutText) {
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(prune({{"pattern", "50%"}, {"solver", "magnitude"}})->run(run));
  EXPECT_FALSE(run.value("mean_relative_error").has_value());
  EXPECT_TRUE(run.tables.at("layer_error")[0]["error_after"].is_null());
  EXPECT_EQ(*run.value("sparsity"), 0.5);
}

TEST_F(PruneRun, NothingMaskedIsTheIdentity) {
  FakeRunContext run = context("run");
  Json options = masked("none", "mask_refit");
  options["overrides"] = {{"*", "none"}};
  FRUGAL_ASSERT_OK(prune(options)->run(run));
  EXPECT_EQ(largest_difference(load(input_->folder()), load(run.output_folder()), windows_), 0);
}

TEST_F(PruneRun, ResumedMaskIsByteEqualAtAnyThreadCount) {
  const Json options = masked("2:4", "mask_refit");
  FakeRunContext whole = context("whole");
  FRUGAL_ASSERT_OK(prune(options)->run(whole));
  int threads = 1;
  for (const int64_t finished : {0, 1, 2}) {
    const test::ThreadCount count(threads++);
    FakeRunContext run = context(base::str_cat("resumed", finished));
    for (int64_t layer = 0; layer < finished; ++layer) {
      const std::string file = base::str_cat("layer-0000", layer, ".safetensors");
      fs::copy_file(whole.resume_folder() / file, run.resume_folder() / file);
    }
    FRUGAL_ASSERT_OK(prune(options)->run(run));
    EXPECT_EQ(hash(run), hash(whole)) << finished << " layers finished";
  }
}

Json headed(const char* by) {
  return {{"heads", 0.5},
          {"heads_by", by},
          {"calibration", "text"},
          {"windows", 12},
          {"sequence_length", 32}};
}

TEST_F(PruneRun, SpilledActivationsGiveTheSameBytes) {
  for (const Json& what : {options(0.5), masked("50%", "mask_refit"),
                           Json{{"channels", 0.75},
                                {"multiple_of", 8},
                                {"calibration", "text"},
                                {"windows", 12},
                                {"sequence_length", 32}}}) {
    FakeRunContext whole = context("whole"), spilled = context("spilled");
    FRUGAL_ASSERT_OK(prune(what)->run(whole));
    Json limited = what;
    limited["activation_memory"] = 20'000;  // of some 120 KB
    FRUGAL_ASSERT_OK(prune(limited)->run(spilled));
    EXPECT_EQ(hash(spilled), hash(whole)) << what;
    fs::remove_all(folder_.path() / "whole");
    fs::remove_all(folder_.path() / "spilled");
  }
}

TEST_F(PruneRun, HeadsGoWithTheirRowsAndColumns) {
  for (const char* by : {"query", "group"}) {
    for (const char* score : {"obs", "obs_greedy", "activation", "magnitude"}) {
      FakeRunContext run = context(base::str_cat(by, score));
      Json options = headed(by);
      options["score"] = score;
      FRUGAL_ASSERT_OK(prune(options)->run(run));
      FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result,
                                  format::Checkpoint::open(run.output_folder()));
      const bool groups = std::string_view(by) == "group";
      EXPECT_EQ(result.config().layers.front().attention.heads, 2);
      EXPECT_EQ(result.config().layers.front().attention.key_value_heads, groups ? 1 : 2);
      EXPECT_EQ(result.config().layers.front().attention.head_size, 8);
      const auto shape = [&](const char* matrix) {
        return result.info(weight_name(1, matrix))->shape;
      };
      EXPECT_EQ(shape("self_attn.q_proj"), (std::vector<int64_t>{16, 32}));
      EXPECT_EQ(shape("self_attn.k_proj"), (std::vector<int64_t>{groups ? 8 : 16, 32}));
      EXPECT_EQ(shape("self_attn.o_proj"), (std::vector<int64_t>{32, 16}));
      const at::NoGradGuard no_grad;
      EXPECT_TRUE(at::isfinite(load(run.output_folder()).logits(test::toy_batch(windows_)))
                      .all()
                      .item<bool>());
    }
  }
}

// One query head of each key/value head, and one key/value head with both of its own, is not read.
TEST_F(PruneRun, HeadsThatNobodyReadsCostNothing) {
  for (const bool groups : {false, true}) {
    model::Decoder decoder = model::Decoder::load(*input_, {}).value();
    for (int64_t layer = 0; layer < 3; ++layer) {
      const std::string name = weight_name(layer, "self_attn.o_proj");
      const at::Tensor o = decoder.parameters().at(name).clone();
      if (groups) {
        o.narrow(1, layer % 2 * 16, 16).zero_();
      } else {
        o.narrow(1, layer % 2 * 8, 8).zero_();
        o.narrow(1, 16 + (layer + 1) % 2 * 8, 8).zero_();
      }
      decoder.set_parameter(name, o);
    }
    const fs::path silent = folder_.path() / (groups ? "silent_groups" : "silent");
    fs::copy(input_->folder(), silent, fs::copy_options::recursive);
    const format::Checkpoint input = test::save_toy(decoder, silent);
    for (const char* score : {"obs", "obs_greedy", "magnitude"}) {
      FakeRunContext run(folder_.path() / base::str_cat(score, groups ? "_groups" : ""), input);
      run.sources["text"] = source_of(text_);
      Json options = headed(groups ? "group" : "query");
      options["score"] = score;
      FRUGAL_ASSERT_OK(prune(options)->run(run));
      // As for neurons.
      EXPECT_LT(largest_difference(decoder, load(run.output_folder()), windows_), 1e-4)
          << score << groups;
    }
  }
}

TEST_F(PruneRun, HeadsAndNeuronsTogetherResumeByteEqual) {
  Json options = headed("query");
  options["ffn"] = 0.5;
  FakeRunContext whole = context("whole");
  FRUGAL_ASSERT_OK(prune(options)->run(whole));
  EXPECT_EQ(*whole.value("heads_kept"), 2);
  EXPECT_EQ(*whole.value("neurons_kept"), 64);
  FakeRunContext run = context("resumed");
  fs::copy_file(whole.resume_folder() / "layer-00000.safetensors",
                run.resume_folder() / "layer-00000.safetensors");
  FRUGAL_ASSERT_OK(prune(options)->run(run));
  EXPECT_EQ(hash(run), hash(whole));
}

TEST_F(PruneRun, DroppedLayersAreThoseNamed) {
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(prune({{"drop_layer_indices", {1}}})->run(run));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result,
                              format::Checkpoint::open(run.output_folder()));
  EXPECT_EQ(result.config().layer_count(), 2);
  EXPECT_EQ(result.values("model.layers.1.mlp.up_proj.weight").value(),
            input_->values("model.layers.2.mlp.up_proj.weight").value());
  EXPECT_EQ(*run.value("layers_kept"), 2);
}

// A layer that writes nothing has no influence and is the one to go; the model stays what it was.
TEST_F(PruneRun, TheLayerThatDoesNothingGoes) {
  model::Decoder decoder = model::Decoder::load(*input_, {}).value();
  for (const char* matrix : {"self_attn.o_proj", "mlp.down_proj"}) {
    const std::string name = weight_name(1, matrix);
    decoder.set_parameter(name, at::zeros_like(decoder.parameters().at(name)));
  }
  fs::copy(input_->folder(), folder_.path() / "idle", fs::copy_options::recursive);
  input_.emplace(test::save_toy(decoder, folder_.path() / "idle"));
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(prune({{"drop_layers", 1},
                          {"protect_first", 0},
                          {"protect_last", 0},
                          {"calibration", "text"},
                          {"windows", 12},
                          {"sequence_length", 32}})
                       ->run(run));
  const std::vector<Json>& rows = run.tables.at("layer_influence");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_NEAR(rows[1]["influence"].get<double>(), 0, 1e-12);
  EXPECT_FALSE(rows[1]["kept"].get<bool>());
  EXPECT_GT(rows[0]["influence"].get<double>(), 1e-3);
  EXPECT_EQ(largest_difference(decoder, load(run.output_folder()), windows_), 0);
}

TEST_F(PruneRun, GatesStopTheJobAndSayWhere) {
  const Json channels = {{"channels", 0.75},
                         {"multiple_of", 8},
                         {"calibration", "text"},
                         {"windows", 12},
                         {"sequence_length", 32}};
  const auto refused = [&](Json chosen, const char* name, const Json& value, const char* text) {
    chosen[name] = value;
    FakeRunContext run = context("run");
    FRUGAL_EXPECT_ERROR(prune(chosen)->run(run), absl::StatusCode::kFailedPrecondition, text);
    EXPECT_TRUE(fs::is_empty(run.output_folder()));
    fs::remove_all(folder_.path() / "run");
  };
  refused(options(0.5), "max_layer_error", 1e-9,
          "model.layers.0.mlp.down_proj.weight: the relative output error with 64 of 128 neurons");
  refused(masked("50%", "wanda"), "max_layer_error", 1e-9,
          "model.layers.0.self_attn.q_proj.weight: the relative output error with pattern 50%");
  for (const Json& kind : {options(0.5), masked("50%", "mask_refit"), channels})
    refused(kind, "min_tokens", 1000, "saw 384 calibration tokens, min_tokens is 1000");
}

// The record that a mask leaves of one matrix with the second moment `hessian` [32, 32], and what
// the pass says of it.
struct Recorded {
  absl::Status solved;
  Json row;
  std::vector<std::string> warnings;
};
Recorded recorded(const at::Tensor& hessian) {
  test::TemporaryFolder folder;
  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  MaskOptions options;
  options.targets[name].pattern = layerwise::parse_pattern("50%").value();
  layerwise::StageProblem problem;
  problem.names = {name};
  problem.row_counts = {4};
  problem.weights = test::random_matrix(1, "weights", 4, 32);
  problem.statistics.tokens = 10;
  problem.statistics.mean_square = at::ones({32}, at::kDouble);
  problem.statistics.hessian = hessian;
  const layerwise::LayerStore store(folder.path(), "stamp");
  options.drift_strength = {0, 0};
  MaskSolver solver(std::move(options), store);
  Recorded result{solver.solve(problem).status(), {}, {}};
  if (!result.solved.ok()) return result;
  FRUGAL_EXPECT_OK(solver.store_layer(0));
  FakeRunContext context(folder.path(),
                         test::save_toy(test::toy_decoder({.layers = 1}), folder.path() / "model"));
  FRUGAL_EXPECT_OK(report_errors(context, store));
  result.row = context.tables.at("layer_error").at(0);
  result.warnings = context.warnings;
  return result;
}
// Two columns see `covariance`, of variance 1: above 1 the moment is indefinite.
at::Tensor indefinite(double covariance) {
  at::Tensor hessian = at::eye(32, at::kDouble);
  hessian[0][1] = covariance;
  hessian[1][0] = covariance;
  return hessian;
}

TEST(MaskSolver, StatisticsThatCannotBeFactorizedFallBackToWanda) {
  const Recorded found = recorded(indefinite(5));  // no damping lifts an eigenvalue of -4
  FRUGAL_ASSERT_OK(found.solved);
  EXPECT_TRUE(found.row["fell_back"].get<bool>());
  EXPECT_EQ(found.row["steps"], 0);  // no refit
  EXPECT_EQ(found.row["zeros"].get<int64_t>() * 2, found.row["weights"].get<int64_t>());
  EXPECT_TRUE(found.row["dead_columns"].is_null());
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_THAT(found.warnings[0], testing::HasSubstr("Wanda's mask without a refit"));
}

TEST(MaskSolver, RecoveriesAndDeadColumnsAreCounted) {
  at::Tensor hessian = indefinite(1.05);
  hessian[5][5] = 0;
  const Recorded found = recorded(hessian);
  FRUGAL_ASSERT_OK(found.solved);
  EXPECT_FALSE(found.row["fell_back"].get<bool>());
  EXPECT_GT(found.row["recoveries"].get<int64_t>(), 0);
  EXPECT_EQ(found.row["dead_columns"], 1);
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_THAT(found.warnings[0], testing::HasSubstr("dead_columns"));
}

TEST(MaskSolver, AnUndefinedErrorIsAFailure) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  FRUGAL_EXPECT_ERROR(recorded(at::full({32, 32}, nan, at::kDouble)).solved,
                      absl::StatusCode::kFailedPrecondition, "is nan");
}

TEST(PruneRealModel, CompensationAndObsPay) {
  FRUGAL_SHARED_DATA_OR_SKIP(folder, "novels-7m/hf");
  FRUGAL_SHARED_DATA_OR_SKIP(calibration, "english-novels-100/Burnett_Garden_1911.txt");
  FRUGAL_SHARED_DATA_OR_SKIP(held_out, "english-novels-100/Bennet_Helen_1910.txt");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint input, format::Checkpoint::open(folder));
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const text::Windows windows,
      layerwise::load_calibration(input, source_of(held_out), {.windows = 60, .length = 256}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const model::Decoder original, model::Decoder::load(input, {}));
  test::TemporaryFolder work;
  std::map<std::string, std::vector<double>> found;  // of each window
  const std::map<std::string, Json> cases = {
      {"plain", {{"score", "activation"}, {"compensate", false}}},
      {"compensated", {{"score", "activation"}, {"alpha", 0.0}, {"beta", 0.0}}},
      {"obs", {{"score", "obs"}}}};
  for (const auto& [name, chosen] : cases) {
    FakeRunContext run(work.path() / name, input);
    run.sources["text"] = source_of(calibration);
    Json options = {
        {"ffn", 0.75}, {"calibration", "text"}, {"windows", 16}, {"sequence_length", 128}};
    options.update(chosen);
    FRUGAL_ASSERT_OK(prune(options)->run(run));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result,
                                format::Checkpoint::open(run.output_folder()));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const model::Decoder changed, model::Decoder::load(result, {}));
    found[name] = test::window_divergences(original, changed, windows);
  }
  EXPECT_GT(test::paired_z(found["plain"], found["compensated"]), 4);
  EXPECT_GT(test::paired_z(found["compensated"], found["obs"]), 4);
}

}  // namespace
}  // namespace frugal::passes
