// Every solver on every grid with every pattern: each runs and keeps its promises, or is refused
// by check with a reason. Grids come from the registry, so that a new one is covered by itself.
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "passes/fake_context.h"
#include "passes/quantize/quantize_pass.h"
#include "support/every_grid.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

namespace fs = std::filesystem;
using base::Json;

struct Solver {
  const char* name;
  Json options;
  bool calibrated = true;
  bool keeps_zeros = true;  // whether it may go with a pattern
};

std::vector<Solver> solvers() {
  const Json tuned = {{"tune_steps", 1}, {"tune_windows", 2}, {"held_out_windows", 1}};
  return {{"rtn by weights", {{"method", "rtn"}}, /*calibrated=*/false},
          {"rtn", {{"method", "rtn"}}},
          {"gptq", Json::object()},
          {"gptq in act order", {{"order", "act"}}},
          {"gptaq", {{"drift_correction", "gptaq"}}, true, /*keeps_zeros=*/false},
          {"two-sided Hessian", {{"hessian", "two_sided"}, {"gradient_windows", 2}}},
          {"learned rounding", {{"rounding_iterations", 2}}, true, /*keeps_zeros=*/false},
          {"tuned scales", tuned}};
}

// What a pattern promises of a matrix [rows, columns]; `input` is the matrix before.
using Promise = std::function<bool(const at::Tensor& zero, const at::Tensor& input)>;
struct Sparsity {
  const char* name;
  Json options;
  Promise holds;
};

std::vector<Sparsity> sparsities() {
  const auto share = [](const at::Tensor& all, double least) {
    return all.to(at::kDouble).mean().item<double>() >= least;
  };
  return {{"dense", Json::object(), [](const at::Tensor&, const at::Tensor&) { return true; }},
          {"2:4",
           {{"pattern", "2:4"}},
           [](const at::Tensor& zero, const at::Tensor&) {
             return zero.view({-1, 4}).sum(1).ge(2).all().item<bool>();
           }},
          {"half",
           {{"pattern", "50%"}},
           [=](const at::Tensor& zero, const at::Tensor&) { return share(zero, 0.5); }},
          {"rows",
           {{"pattern", "rows 25%"}},
           [=](const at::Tensor& zero, const at::Tensor&) { return share(zero.all(1), 0.25); }},
          {"columns",
           {{"pattern", "columns 25%"}},
           [=](const at::Tensor& zero, const at::Tensor&) { return share(zero.all(0), 0.25); }},
          {"zeros that come",
           {{"keep_zeros", true}},
           [](const at::Tensor& zero, const at::Tensor& input) {
             return at::logical_or(zero, input.ne(0)).all().item<bool>();
           }}};
}

// A one-layer toy of which the matrices `on_grid` are quantized.
struct Toy {
  test::ToyShape shape;
  std::vector<std::string> on_grid;  // ends of names
  std::optional<format::Checkpoint> checkpoint = std::nullopt;
};

class Combinations : public testing::Test {
 protected:
  void SetUp() override {
    for (Toy* toy : {&small_, &wide_}) {
      const fs::path folder = folder_.path() / (toy == &small_ ? "small" : "wide");
      toy_checkpoint(folder, toy->shape);  // with a tokenizer
      toy->shape.vocabulary = kToyVocabulary;
      model::Decoder decoder = test::toy_decoder(toy->shape);
      for (const std::string& name : architecture::layer_matrices(decoder.config())) {
        const at::Tensor& weights = decoder.parameters().at(name);
        const at::Tensor kept =
            test::random_matrix(1, name, weights.size(0), weights.size(1)).gt(-1);
        decoder.set_parameter(name, weights * kept);  // a sixth are zeros that come
      }
      toy->checkpoint.emplace(test::save_toy(decoder, folder));
    }
    text_.text = {write_toy_text(folder_.path(), 600).string()};
  }

  // The smallest toy whose rows fit.
  Toy& toy_for(const std::string& grid) {
    const int64_t block = grid::find_grid(grid, small_.shape.width).value()->spec().block_columns;
    return small_.shape.width % block == 0 ? small_ : wide_;
  }

  Json options_for(const Toy& toy, const std::string& grid, const Solver& solver,
                   const Sparsity& sparsity) const {
    Json options = {{"grid", grid}, {"overrides", {{"*", "keep"}}}, {"max_layer_error", 2.0}};
    for (const std::string& name : toy.on_grid) options["overrides"]["*" + name] = grid;
    if (solver.calibrated) {
      options["calibration"] = "text";
      options["windows"] = 4;
      options["held_out_windows"] = 1;
      options["sequence_length"] = 24;
    }
    options.update(solver.options);
    options.update(sparsity.options);
    return options;
  }

  absl::Status check(const Toy& toy, const Json& options) {
    const std::unique_ptr<pass::Pass> pass = make_quantize_pass();
    set_options(*pass, options);
    pass::ModelInfo info;
    info.name = "toy";
    info.config = toy.checkpoint->config();
    info.has_tokenizer = true;
    FakeCheckContext context;
    context.sources["text"] = text_;
    return pass->check(context, info);
  }

  void run(const Toy& toy, const Json& options, const Promise& holds, const std::string& what) {
    const std::unique_ptr<pass::Pass> pass = make_quantize_pass();
    set_options(*pass, options);
    const fs::path folder = folder_.path() / "run";
    FakeRunContext context(folder, toy.checkpoint);
    context.sources["text"] = text_;
    const absl::Status status = pass->run(context);
    EXPECT_TRUE(status.ok()) << what << ": " << status;
    if (status.ok()) expect_promises(toy, context.output_folder(), holds, what);
    fs::remove_all(folder);
  }

  void expect_promises(const Toy& toy, const fs::path& folder, const Promise& holds,
                       const std::string& what) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto result, format::Checkpoint::open(folder));
    EXPECT_EQ(result.quantized().size(), toy.on_grid.size()) << what;
    for (const auto& [name, quantized] : result.quantized()) {
      FRUGAL_ASSERT_OK_AND_ASSIGN(const std::vector<float> values, result.values(name));
      FRUGAL_ASSERT_OK_AND_ASSIGN(const std::vector<float> before, toy.checkpoint->values(name));
      const std::vector<int64_t> shape = toy.checkpoint->info(name)->shape;
      const at::Tensor weights = at::tensor(values).view(shape);
      EXPECT_TRUE(at::isfinite(weights).all().item<bool>()) << what << " " << name;
      EXPECT_GT(weights.abs().max().item<float>(), 0) << what << " " << name;
      EXPECT_TRUE(holds(weights.eq(0), at::tensor(before).view(shape))) << what << " " << name;
      FRUGAL_ASSERT_OK_AND_ASSIGN(const grid::QuantizedMatrix codes, result.codes(name));
      std::vector<float> decoded(values.size());
      grid::decode_matrix(codes, decoded.data());
      EXPECT_EQ(decoded, values) << what << " " << name;
    }
  }

  test::ThreadCount threads_{1};  // the toys are too small for more
  test::TemporaryFolder folder_;
  Toy small_{{.layers = 1, .width = 32, .neurons = 32}, {".v_proj.weight", ".down_proj.weight"}};
  Toy wide_{{.layers = 1, .width = 256, .neurons = 32}, {".v_proj.weight"}};
  text::DataSource text_;
};

TEST_F(Combinations, RunOrAreRefusedWithAReason) {
  int64_t ran = 0, refused = 0;
  for (const std::string& grid : test::every_grid()) {
    Toy& toy = toy_for(grid);
    const bool holds_zero = grid::find_grid(grid, toy.shape.width).value()->spec().holds_zero;
    for (const Solver& solver : solvers()) {
      for (const Sparsity& sparsity : sparsities()) {
        const std::string what = grid + ", " + solver.name + ", " + sparsity.name;
        const Json options = options_for(toy, grid, solver, sparsity);
        const bool dense = sparsity.options.empty();
        const absl::Status status = check(toy, options);
        EXPECT_EQ(status.ok(), dense || (holds_zero && solver.keeps_zeros))
            << what << ": " << status;
        if (!status.ok()) {
          EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << what;
          EXPECT_GT(status.message().size(), 20u) << what;
          ++refused;
          continue;
        }
        // Each pattern with every solver on one grid; on the others one pattern and no pattern.
        const bool once = std::string_view(sparsity.name) != "2:4" && !dense;
        if (once && grid != "q4_0" && grid != "int4:g4:asym") continue;
        run(toy, options, sparsity.holds, what);
        ++ran;
      }
    }
  }
  EXPECT_GT(ran, 300);
  EXPECT_GT(refused, 300);
}

}  // namespace
}  // namespace frugal::passes
