// Every pass over a model of every family (tests/golden/families): what is equivalent by
// construction must stay so, what is chosen must load again.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "architecture/tensors.h"
#include "artifact/importer.h"
#include "fake_context.h"
#include "model/decoder.h"
#include "passes/distill/distill_pass.h"
#include "passes/evaluate/evaluate_pass.h"
#include "passes/export/export_pass.h"
#include "passes/finetune/finetune_pass.h"
#include "passes/prune/prune_pass.h"
#include "passes/quantize/quantize_pass.h"
#include "passes/rotate/rotate_pass.h"
#include "passes/smooth/smooth_pass.h"
#include "passes/tune/tune_pass.h"
#include "support/family_checkpoint.h"
#include "support/toy_checkpoint.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

using architecture::Role;
using base::Json;

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class FamilyPasses : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    golden_ = test::read_family(GetParam());
    test::write_family(golden_, folder_.path() / "input");
    input_.emplace(format::Checkpoint::open(folder_.path() / "input").value());
    text_.text = {write_toy_text(folder_.path(), 1500).string()};
  }

  pass::ModelInfo info() const {
    pass::ModelInfo info;
    info.name = "model";
    info.config = input_->config();
    info.has_tokenizer = true;
    info.tokenizer_folder = input_->folder();
    info.dtype = "F32";
    info.size_bytes = input_->weight_bytes();
    return info;
  }

  // Checks and runs; the folder of the result.
  absl::StatusOr<std::filesystem::path> apply(std::unique_ptr<pass::Pass> pass, const Json& options,
                                              const std::string& name,
                                              const format::Checkpoint& input) {
    set_options(*pass, options);
    FakeCheckContext check;
    check.sources["text"] = text_;
    check.models["input"] = info();
    pass::ModelInfo planned = info();
    for (const auto& [weight, entry] : input.quantized()) planned.grids[weight] = entry.grid;
    FRUGAL_RETURN_IF_ERROR(base::annotate(pass->check(check, planned), "check"));
    FakeRunContext run(folder_.path() / name, input);
    run.sources["text"] = text_;
    run.models["input"] = input_->folder();
    FRUGAL_RETURN_IF_ERROR(base::annotate(pass->run(run), "run"));
    return run.output_folder();
  }
  absl::StatusOr<std::filesystem::path> apply(std::unique_ptr<pass::Pass> pass, const Json& options,
                                              const std::string& name) {
    return apply(std::move(pass), options, name, *input_);
  }

  at::Tensor logits(const std::filesystem::path& folder) const {
    const at::NoGradGuard no_grad;
    const auto checkpoint = format::Checkpoint::open(folder).value();
    const model::Decoder decoder = model::Decoder::load(checkpoint, {}).value();
    return decoder.logits({at::tensor(golden_.prompts[0], at::kLong).unsqueeze(0), {}});
  }
  // Largest difference from the input's logits over the largest of those.
  double distance(const std::filesystem::path& folder) const {
    const at::Tensor before = logits(input_->folder());
    return ((logits(folder) - before).abs().max() / before.abs().max()).item<double>();
  }
  bool has_norms_behind() const {
    return input_->config().layers.front().after_attention.has_value();
  }

  bool has_experts() const {
    const auto& layers = input_->config().layers;
    return std::any_of(layers.begin(), layers.end(),
                       [](const auto& layer) { return layer.experts.has_value(); });
  }
  // What the plan says where the family cannot do `kind`.
  std::optional<std::string> refusal(std::string_view kind) const {
    const architecture::ModelConfig& config = input_->config();
    const std::set<std::string_view> dense = {"smooth", "channels"};
    if (has_experts() && dense.contains(kind)) return "does not know experts";
    if (kind == "ffn" && GetParam() == "qwen3-moe-mixed") return "one share goes for all layers";
    const bool centered = config.final_norm.centered;
    if (kind == "rotate" && (has_norms_behind() || centered)) return "set residual: false";
    if (kind == "channels" && centered) return "(LayerNorm)";
    if (kind == "heads" && GetParam() == "gpt2") return "has no head size";
    const architecture::Layer& first = config.layers.front();
    if (kind == "smooth" && !first.before_attention) return "has no weight before stage";
    if (kind == "heads" && first.attention.norm_spans_heads) return "norms the queries and keys";
    if (kind == "gguf" && GetParam() == "mistral") return "no sliding window";
    if (kind == "gguf" && GetParam() == "qwen3-moe-mixed") return "llama.cpp's qwen3moe";
    return std::nullopt;
  }
  bool is_refused(std::string_view kind,
                  const absl::StatusOr<std::filesystem::path>& result) const {
    const std::optional<std::string> word = refusal(kind);
    if (!word) {
      EXPECT_TRUE(result.ok()) << kind << ": " << result.status();
      return !result.ok();
    }
    FRUGAL_EXPECT_ERROR(result, absl::StatusCode::kUnimplemented, *word);
    EXPECT_TRUE(std::string(result.status().message()).starts_with("check: ")) << "not by the plan";
    return true;
  }

  test::FamilyGolden golden_;
  const test::TemporaryFolder folder_;
  std::optional<format::Checkpoint> input_;
  text::DataSource text_;
};

INSTANTIATE_TEST_SUITE_P(Golden, FamilyPasses,
                         testing::Values("mistral", "qwen2", "qwen3", "gemma2", "gemma3", "phi3",
                                         "phi3-partial", "olmo2", "smollm3", "granite", "mixtral",
                                         "qwen3-moe-mixed", "olmoe", "gpt2", "mixtral-stacked"),
                         test_name);

// Two orders of evaluation in fp32 (tests/model/families_test.cpp), weights rounded to fp32 between
// them.
constexpr double kEquivalent = 1e-4;

const Json kText = {
    {"calibration", "text"}, {"windows", 6}, {"sequence_length", 32}, {"min_expert_tokens", 0}};
Json with_text(Json options) {
  options.update(kText);
  return options;
}

TEST_P(FamilyPasses, RotationsAreEquivalent) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto heads,
                              apply(make_rotate_pass(), {{"residual", false}}, "heads"));
  EXPECT_LT(distance(heads), kEquivalent);
  const auto all = apply(make_rotate_pass(), Json::object(), "all");
  if (is_refused("rotate", all)) return;
  EXPECT_LT(distance(*all), kEquivalent);
}

TEST_P(FamilyPasses, SmoothingIsEquivalent) {
  for (const char* method : {"awq", "smoothquant"}) {
    Json options = with_text({{"method", method}});
    if (method == std::string("awq")) options["grid"] = "int4:g32";
    const auto folder = apply(make_smooth_pass(), options, method);
    if (is_refused("smooth", folder)) continue;
    EXPECT_LT(distance(*folder), kEquivalent) << method;
  }
}

// Channels that no weight uses go without a trace: gains, epsilon and the scale of the embedding
// make up for the width.
TEST_P(FamilyPasses, UnusedChannelsGoWithoutATrace) {
  model::Decoder decoder = model::Decoder::load(*input_, {}).value();
  const int64_t width = input_->config().hidden_size;
  std::vector<int64_t> unused;
  for (int64_t channel = 1; channel < width; channel += 2) unused.push_back(channel);
  for (const auto& [name, use] : architecture::stream_uses(input_->config())) {
    if (use == architecture::StreamUse::kGains) continue;
    const int64_t side = use == architecture::StreamUse::kWrites ? 0 : -1;
    decoder.set_parameter(
        name, decoder.parameters().at(name).index_fill(side, at::tensor(unused, at::kLong), 0));
  }
  const auto emptied = folder_.path() / "emptied";
  std::filesystem::create_directories(emptied);
  FRUGAL_ASSERT_OK(decoder.save(emptied, format::DType::kF32));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, format::Checkpoint::open(emptied));
  const auto folder =
      apply(make_prune_pass(),
            {{"channels", 0.5}, {"multiple_of", 1}, {"score", "magnitude"}, {"compensate", false}},
            "narrow", checkpoint);
  if (is_refused("channels", folder)) return;
  const at::Tensor before = logits(emptied), after = logits(*folder);
  EXPECT_LT(((after - before).abs().max() / before.abs().max()).item<double>(), kEquivalent);
}

TEST_P(FamilyPasses, StructuresGo) {
  const std::map<std::string, Json> kinds = {{"heads", {{"heads", 0.5}}},
                                             {"ffn", {{"ffn", 0.5}, {"multiple_of", 16}}},
                                             {"channels", {{"channels", 0.5}}},
                                             {"depth", {{"drop_layers", 1}}},
                                             {"mask", {{"pattern", "2:4"}}}};
  for (const auto& [name, options] : kinds) {
    const auto folder = apply(make_prune_pass(), with_text(options), name);
    if (is_refused(name, folder)) continue;
    EXPECT_TRUE(logits(*folder).isfinite().all().item<bool>()) << name;
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto pruned, format::Checkpoint::open(*folder));
    if (name == "mask") continue;
    EXPECT_LT(pruned.config().parameter_count(), input_->config().parameter_count()) << name;
  }
}

TEST_P(FamilyPasses, EveryRecipeQuantizes) {
  const Json tuned = {
      {"tune_steps", 1}, {"tune_windows", 2}, {"held_out_windows", 1}, {"gradient_windows", 2}};
  Json best = tuned, lowbit = tuned;
  best["recipe"] = "best";
  lowbit["recipe"] = "lowbit";
  lowbit["rounding_iterations"] = 2;
  const std::map<std::string, Json> recipes = {
      {"rtn", {{"method", "rtn"}}},
      {"fast", Json::object()},
      {"two-sided", {{"hessian", "two_sided"}, {"gradient_windows", 2}}},
      {"best", best},
      {"lowbit", lowbit}};
  for (const auto& [name, recipe] : recipes) {
    Json options = with_text(recipe);
    options["grid"] = "q8_0";
    const auto result = apply(make_quantize_pass(), options, name);
    if (is_refused(name, result)) continue;
    const std::filesystem::path& folder = *result;
    // Steps of 1/127 of the largest weight of 32: below 1/254 of it each, a fifth of what random
    // signs of 100 columns and seven layers leave.
    // A token whose experts change by it moves by what they add.
    EXPECT_LT(distance(folder), has_experts() ? 0.5 : 0.1) << name;
    EXPECT_GT(distance(folder), 0) << name;
  }
}

TEST_P(FamilyPasses, SizeTargetsOfExpertsAreMet) {
  if (!has_experts()) GTEST_SKIP() << GetParam() << " has no experts";
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto folder,
      apply(make_quantize_pass(),
            with_text({{"target_bits", 6}, {"candidates", {"q4_0", "q8_0"}}, {"swaps", 2}}),
            "target"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto chosen, format::Checkpoint::open(folder));
  std::map<std::string, int64_t> grids;
  double bits = 0, weights = 0;
  for (const auto& [name, entry] : chosen.quantized()) {
    const int64_t count = entry.rows * entry.columns;
    ++grids[entry.grid];
    bits += static_cast<double>(count) * (entry.grid == "q4_0" ? 4.5 : 8.5);
    weights += static_cast<double>(count);
  }
  EXPECT_LE(bits, 6 * weights);
  EXPECT_GT(grids["q4_0"], 0);
  EXPECT_GT(grids["q8_0"], 0);
  is_refused("gguf",
             apply(make_export_pass(), {{"format", Json::array({"gguf"})}}, "gguf", chosen));
}

TEST_P(FamilyPasses, IntegerProductsAndTuning) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto integers,
      apply(make_quantize_pass(), with_text({{"grid", "int8:row"}, {"activations", "int8"}}),
            "w8a8"));
  EXPECT_TRUE(logits(integers).isfinite().all().item<bool>());
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto rounded,
      apply(make_quantize_pass(), {{"method", "rtn"}, {"grid", "q4_0"}}, "rounded"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, format::Checkpoint::open(rounded));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tuned, apply(make_tune_pass(),
                                                      {{"original", "input"},
                                                       {"data", "text"},
                                                       {"steps", 2},
                                                       {"windows", 4},
                                                       {"validation_windows", 2},
                                                       {"sequence_length", 32}},
                                                      "tuned", checkpoint));
  EXPECT_TRUE(logits(tuned).isfinite().all().item<bool>());
}

TEST_P(FamilyPasses, Learn) {
  const Json loop = {{"data", "text"}, {"sequence_length", 32}, {"batch_sequences", 2},
                     {"steps", 3},     {"warmup_steps", 1},     {"learning_rate", 0.001}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto finetuned, apply(make_finetune_pass(), loop, "finetuned"));
  EXPECT_GT(distance(finetuned), 0);
  Json distilled = loop;
  distilled["teacher"] = "input";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto student, apply(make_distill_pass(), distilled, "student"));
  EXPECT_TRUE(logits(student).isfinite().all().item<bool>());
}

TEST_P(FamilyPasses, AreExported) {
  for (const char* format : {"onnx", "huggingface", "gguf"}) {
    is_refused(format, apply(make_export_pass(), {{"format", Json::array({format})}}, format));
  }
}

// What is stored as one is written as one again, from codes that lie apart, too; llama.cpp's fused
// tensors are of one type.
TEST_P(FamilyPasses, FusedWeightsKeepTheirForm) {
  std::set<std::string> fused;
  for (const architecture::Tensor& tensor : architecture::tensors(input_->config())) {
    if (tensor.slice && tensor.is_stage_matrix()) fused.insert(tensor.slice->name);
  }
  if (fused.empty()) GTEST_SKIP() << GetParam() << " stores each matrix by itself";
  const auto stored = [](const std::filesystem::path& folder) {
    std::set<std::string> names;
    const auto file = format::SafetensorsFile::open(folder / "model.safetensors").value();
    for (const auto& [name, info] : file.tensors()) names.insert(name);
    return names;
  };
  const std::set<std::string> form = stored(input_->folder());
  EXPECT_THAT(form, testing::IsSupersetOf(fused));
  const Json less =
      has_experts() ? Json{{"experts", 0.5}} : Json{{"ffn", 0.5}, {"multiple_of", 16}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto narrow,
                              apply(make_prune_pass(), with_text(less), "narrow"));
  EXPECT_EQ(stored(narrow), form);
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto rounded,
      apply(make_quantize_pass(), {{"method", "rtn"}, {"grid", "q8_0"}}, "rounded"));
  EXPECT_THAT(stored(rounded), testing::Not(testing::Contains(*fused.begin())));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto codes, format::Checkpoint::open(rounded));
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto exported,
      apply(make_export_pass(), {{"format", Json::array({"huggingface"})}, {"name", "m"}},
            "exported", codes));
  const auto plain = exported / "m-hf";
  EXPECT_EQ(stored(plain), form);
  const at::Tensor before = logits(rounded), after = logits(plain);
  EXPECT_TRUE(at::equal(before, after));
  FRUGAL_EXPECT_OK(
      apply(make_export_pass(), {{"format", Json::array({"gguf"})}}, "gguf-q8", codes).status());
  if (has_experts()) return;  // llama.cpp's stacks are of other parts
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto mixed,
      apply(make_quantize_pass(),
            {{"method", "rtn"}, {"grid", "q8_0"}, {"overrides", {{"*.v_proj.*", "q4_0"}}}},
            "mixed"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto two_types, format::Checkpoint::open(mixed));
  FRUGAL_EXPECT_ERROR(
      apply(make_export_pass(), {{"format", Json::array({"gguf"})}}, "gguf-mixed", two_types),
      absl::StatusCode::kInvalidArgument, "check: cannot write");
}

// Codes of every family go out as packed modules, fused and of experts, and come back.
TEST_P(FamilyPasses, PackedFoldersComeBack) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto rounded,
      apply(
          make_quantize_pass(),
          {{"method", "rtn"}, {"grid", "int4:g32:asym"}, {"embeddings", "keep"}, {"head", "keep"}},
          "rounded"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto codes, format::Checkpoint::open(rounded));
  const Json formats = Json::array({"compressed_tensors", "gptq"});
  const auto exported =
      apply(make_export_pass(), {{"format", formats}, {"name", "m"}}, "exported", codes);
  if (GetParam() == "gpt2") {
    FRUGAL_EXPECT_ERROR(exported, absl::StatusCode::kInvalidArgument, "Conv1D");
    return;
  }
  FRUGAL_ASSERT_OK(exported);
  const at::Tensor before = logits(rounded);
  for (const char* name : {"m-compressed-tensors", "m-gptq"}) {
    const auto back = folder_.path() / base::str_cat("from-", name);
    std::filesystem::create_directories(back);
    FRUGAL_ASSERT_OK(artifact::kPackedImporter.write(*exported / name, back));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto found, format::Checkpoint::open(back));
    for (const auto& [weight, entry] : codes.quantized()) {
      ASSERT_TRUE(found.quantized().contains(weight)) << weight;
      EXPECT_EQ(found.codes(weight)->codes, codes.codes(weight)->codes) << weight;
    }
    EXPECT_TRUE(at::equal(before, logits(back))) << name;
  }
}

}  // namespace
}  // namespace frugal::passes
