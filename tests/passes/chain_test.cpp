// Options of quantize that hand on to each other: GPTAQ inside the walk, and zeros that have to
// outlive what comes after the solver.
#include <ATen/core/grad_mode.h>

#include <map>

#include "layerwise/rounding/gptaq.h"
#include "layerwise/rounding/order.h"
#include "layerwise/rounding/pre_correct.h"
#include "layerwise/walk/calibration.h"
#include "layerwise/walk/statistics.h"
#include "model/decoder.h"
#include "passes/fake_context.h"
#include "passes/quantize/quantize_pass.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

namespace fs = std::filesystem;
using base::Json;

class Chain : public testing::Test {
 protected:
  void make(const test::ToyShape& shape) {
    input_.emplace(toy_checkpoint(folder_.path() / "input", shape));
    text_.text = {write_toy_text(folder_.path()).string()};
  }

  FakeRunContext quantized(const std::string& name, const Json& options) {
    FakeRunContext context(folder_.path() / name, input_);
    context.sources["text"] = text_;
    const std::unique_ptr<pass::Pass> pass = make_quantize_pass();
    set_options(*pass, options);
    const absl::Status status = pass->run(context);
    EXPECT_TRUE(status.ok()) << name << ": " << status;
    return context;
  }

  static Json options(const char* grid) {
    return {{"grid", grid},          {"calibration", "text"}, {"windows", 12},
            {"sequence_length", 32}, {"head", "keep"},        {"embeddings", "keep"}};
  }

  test::TemporaryFolder folder_;
  std::optional<format::Checkpoint> input_;
  text::DataSource text_;
};

// The input of each stage of the only layer, [tokens, in].
std::vector<at::Tensor> stage_inputs(const model::Decoder& decoder, const model::Batch& batch) {
  const at::NoGradGuard no_grad;
  const model::AttentionContexts contexts = decoder.attention_contexts(batch);
  const model::LayerParameters small = decoder.layer_parameters(0);
  model::LayerState state = decoder.runner().begin(0, decoder.embed(batch.ids), small);
  std::vector<at::Tensor> inputs;
  for (size_t stage = 0; stage < decoder.stages(0).size(); ++stage) {
    inputs.push_back(state.input.matrix());
    std::vector<at::Tensor> outputs;
    for (const architecture::Tensor& matrix : decoder.stages(0)[stage].matrices) {
      outputs.push_back(at::linear(state.input.rows, decoder.parameters().at(matrix.name)));
    }
    decoder.runner().advance(state, {0, stage}, outputs, small, contexts);
  }
  return inputs;
}

// Codes of a stage by the method's own functions, from activations of whole forwards.
std::vector<uint8_t> expected_codes(const at::Tensor& weights, const at::Tensor& x,
                                    const at::Tensor& original, double alpha) {
  using namespace layerwise;
  const InputStatistics statistics = gather_statistics({x}, Needs::kHessian, "test").value();
  const Drift drift{.input = gather_drift({original}, {x}, {x}), .output = {}, .residual = {}};
  const at::Tensor order = column_order(statistics.mean_square, 32, ColumnOrder::kGroupAware);
  const Factor factor =
      factorize(statistics.hessian, order, {.damping = damping_for(x.size(1), x.size(0))}).value();
  const at::Tensor goal = pre_correct(weights, drift, factor, {.alpha = alpha, .beta = 0});
  return gptaq(weights, goal, drift.input, alpha, statistics.mean_square, factor,
               grid::find_grid("q4_0", weights.size(1)).value(), {.sweeps = 8, .refits = 4})
      .matrix.codes;
}

double share_of_equal(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  EXPECT_EQ(a.size(), b.size());
  int64_t equal = 0;
  for (size_t i = 0; i < a.size(); ++i) equal += a[i] == b[i] ? 1 : 0;
  return static_cast<double>(equal) / static_cast<double>(a.size());
}

TEST_F(Chain, GptaqInTheWalkIsGptaqOnTheWalksActivations) {
  make({.layers = 1, .width = 64, .neurons = 96});
  Json given = options("q4_0");
  given["drift_correction"] = "gptaq";
  given["calibration_precision"] = "fp32";
  const FakeRunContext run = quantized("gptaq", given);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto result, format::Checkpoint::open(run.output_folder()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const model::Decoder original, model::Decoder::load(*input_, {}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const model::Decoder changed, model::Decoder::load(result, {}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const text::Windows windows,
      layerwise::load_calibration(*input_, text_, {.windows = 12, .length = 32}));
  const model::Batch batch = test::toy_batch(windows);
  const std::vector<at::Tensor> before = stage_inputs(original, batch);
  const std::vector<at::Tensor> now = stage_inputs(changed, batch);
  for (size_t stage = 0; stage < before.size(); ++stage) {
    std::vector<at::Tensor> weights;
    std::vector<uint8_t> found;
    for (const architecture::Tensor& matrix : original.stages(0)[stage].matrices) {
      const std::string name = matrix.name;
      weights.push_back(original.parameters().at(name));
      FRUGAL_ASSERT_OK_AND_ASSIGN(const grid::QuantizedMatrix codes, result.codes(name));
      found.insert(found.end(), codes.codes.begin(), codes.codes.end());
    }
    const auto codes_at = [&](double alpha) {
      return expected_codes(tensor::concatenate(weights), now[stage], before[stage], alpha);
    };
    // Sums of fp32 in another order: codes next to a tie may differ.
    EXPECT_GT(share_of_equal(found, codes_at(layerwise::kPublishedAlpha)), 0.999) << stage;
    if (stage > 0) {  // behind rounded weights, plain GPTQ is something else
      EXPECT_LT(share_of_equal(found, codes_at(0)), 0.98) << stage;
    }
  }
}

// Zeros in every four of a row, of all matrices: as [weights / 4, 4].
std::map<std::string, at::Tensor> zeros_of(const FakeRunContext& context) {
  const auto result = format::Checkpoint::open(context.output_folder()).value();
  std::map<std::string, at::Tensor> zeros;
  for (const auto& [name, quantized] : result.quantized())
    zeros[name] = at::tensor(result.values(name).value()).eq(0).view({-1, 4});
  return zeros;
}

TEST_F(Chain, ZerosOutliveTheMetricOfBothSidesAndTuning) {
  make({.layers = 2, .width = 32, .neurons = 64});
  for (const char* grid : {"q4_0", "int4:g16:asym"}) {
    Json given = options(grid);
    given["recipe"] = "best";
    given["windows"] = 8;
    given["gradient_windows"] = 8;
    given["held_out_windows"] = 3;
    given["tune_windows"] = 6;
    given["pattern"] = "2:4";
    given["tune_steps"] = 1;  // of nothing: with none at all other windows would be drawn
    given["tune_learning_rate"] = 1e-9;
    const FakeRunContext start = quantized(base::str_cat(grid, " start"), given);
    given["tune_steps"] = 8;
    given["tune_learning_rate"] = 1e-2;
    const FakeRunContext tuned = quantized(base::str_cat(grid, " tuned"), given);
    EXPECT_GT(*tuned.value("best_step"), 0) << grid;
    EXPECT_LT(*tuned.value("kl_after"), *tuned.value("kl_before")) << grid;
    for (const Json& row : tuned.tables.at("layer_error")) EXPECT_GT(row["output_damping"], 0.0);
    const auto before = zeros_of(start), after = zeros_of(tuned);
    EXPECT_EQ(after.size(), 2u * 7u);
    for (const auto& [name, zero] : after) {
      EXPECT_TRUE(zero.sum(1).ge(2).all().item<bool>()) << grid << " " << name;
      // Only the scales have moved: what was zero is, and nothing else became it.
      EXPECT_TRUE(at::equal(zero, before.at(name))) << grid << " " << name;
    }
    given["hessian"] = "one_sided";
    given["tune_steps"] = 0;
    const auto rows_alone = zeros_of(quantized(base::str_cat(grid, " inputs"), given));
    for (const auto& [name, zero] : rows_alone)
      EXPECT_TRUE(zero.sum(1).ge(2).all().item<bool>()) << grid << " " << name;
  }
}

}  // namespace
}  // namespace frugal::passes
