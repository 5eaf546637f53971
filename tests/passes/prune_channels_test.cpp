#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>

#include "base/hash.h"
#include "layerwise/pruning/channels.h"
#include "layerwise/walk/calibration.h"
#include "model/decoder.h"
#include "passes/fake_context.h"
#include "passes/prune/prune_pass.h"
#include "passes/rotate/rotate_pass.h"
#include "support/divergence.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

namespace fs = std::filesystem;
using architecture::StreamUse;
using base::Json;

text::DataSource source_of(const fs::path& path) {
  text::DataSource source;
  source.text = {path.string()};
  return source;
}

std::unique_ptr<pass::Pass> made(std::unique_ptr<pass::Pass> pass, const Json& options) {
  set_options(*pass, options);
  return pass;
}
std::unique_ptr<pass::Pass> prune(const Json& options) { return made(make_prune_pass(), options); }

Json with(const Json& changes = Json::object()) {
  Json all = {{"channels", 0.75},
              {"multiple_of", 8},
              {"calibration", "text"},
              {"windows", 12},
              {"sequence_length", 32}};
  all.update(changes);
  return all;
}

pass::ModelInfo toy_info() {
  pass::ModelInfo info;
  info.name = "toy";
  info.config = test::toy_config({.neurons = 128, .vocabulary = kToyVocabulary});
  info.has_tokenizer = true;
  info.size_bytes = 4 * info.config.parameter_count();
  return info;
}

absl::Status check(const Json& options, pass::ModelInfo& info, FakeCheckContext& context) {
  context.sources["text"] = source_of("unused.txt");
  return prune(options)->check(context, info);
}

TEST(PruneChannelsCheck, NarrowsTheConfig) {
  pass::ModelInfo info = toy_info();
  FakeCheckContext context;
  const Json enough = with({{"windows", 64}});  // 16 tokens for each of 128 neurons
  FRUGAL_ASSERT_OK(check(enough, info, context));
  EXPECT_EQ(info.config.hidden_size, 24);
  EXPECT_EQ(info.config.layers.front().attention.head_size, 8);
  EXPECT_EQ(info.config.layers.front().feed_forward.width, 128);
  EXPECT_DOUBLE_EQ(info.config.final_norm.epsilon, 1e-5 * 32 / 24);
  EXPECT_EQ(info.size_bytes, 4 * info.config.parameter_count());
  EXPECT_TRUE(context.warnings.empty());
  info = toy_info();
  info.config.tied_embeddings = true;
  FRUGAL_ASSERT_OK(check(enough, info, context));
  ASSERT_EQ(context.warnings.size(), 1u);
  EXPECT_NE(context.warnings[0].find("tied to the embedding"), std::string::npos);
}

TEST(PruneChannelsCheck, WarnsOfTooLittleTextForTheRefit) {
  pass::ModelInfo info = toy_info();
  FakeCheckContext context;
  FRUGAL_ASSERT_OK(check(with({{"compensate", false}}), info, context));
  EXPECT_TRUE(context.warnings.empty());
  info = toy_info();
  FRUGAL_ASSERT_OK(check(with(), info, context));
  ASSERT_EQ(context.warnings.size(), 1u);
  EXPECT_NE(context.warnings[0].find("384 calibration tokens"), std::string::npos);
}

TEST(PruneChannelsCheck, RefusesWhatMakesNoSense) {
  const auto refused = [](const Json& changes, const char* why) {
    pass::ModelInfo info = toy_info();
    FakeCheckContext context;
    FRUGAL_EXPECT_ERROR(check(with(changes), info, context), absl::StatusCode::kInvalidArgument,
                        why);
  };
  refused({{"ffn", 0.5}}, "a step for each");
  refused({{"pattern", "columns 25%"}}, "a step for each");
  refused({{"score", "obs_greedy"}}, "take score obs");
  refused({{"alpha", 0.0}, {"beta", 0.0}}, "compensate: false");
  refused({{"multiple_of", 64}}, "larger than the model's 32 channels");
  pass::ModelInfo info = toy_info();
  FakeCheckContext context;
  // 16 is rounded to the default multiple, 32: all of them.
  FRUGAL_EXPECT_ERROR(
      check({{"channels", 0.5}, {"score", "magnitude"}, {"compensate", false}}, info, context),
      absl::StatusCode::kInvalidArgument, "nothing would be removed");
}

at::Tensor logits(const model::Decoder& decoder, const text::Windows& windows) {
  const at::NoGradGuard no_grad;
  return decoder.logits(test::toy_batch(windows));
}
double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / a.abs().max()).item<double>();
}
double divergence(const model::Decoder& from, const model::Decoder& to,
                  const text::Windows& windows) {
  const at::Tensor p = at::log_softmax(logits(from, windows), -1);
  const at::Tensor q = at::log_softmax(logits(to, windows), -1);
  return (p.exp() * (p - q)).sum(-1).mean().item<double>();
}

class PruneChannels : public testing::Test {
 protected:
  void SetUp() override {
    input_.emplace(gained_toy(folder_.path() / "input", {.layers = 3, .width = 32, .neurons = 64}));
    text_ = write_toy_text(folder_.path());
  }
  FakeRunContext context(const std::string& name) {
    FakeRunContext result(folder_.path() / name, input_);
    result.sources["text"] = source_of(text_);
    return result;
  }
  static model::Decoder load(const fs::path& folder) {
    return model::Decoder::load(format::Checkpoint::open(folder).value(), {}).value();
  }
  static std::string hash(const FakeRunContext& context) {
    return base::hash_folder(context.output_folder()).value();
  }
  // The channels that a result without changes of its embedding has kept.
  std::vector<int64_t> kept_in(const model::Decoder& narrow) const {
    const at::Tensor before =
        load(input_->folder()).parameters().find("model.embed_tokens.weight")->second;
    const at::Tensor after = narrow.parameters().find("model.embed_tokens.weight")->second;
    std::vector<int64_t> kept;
    for (int64_t i = 0, j = 0; i < after.size(1); ++i, ++j) {
      while (j < before.size(1) && !at::equal(after.select(1, i), before.select(1, j))) ++j;
      kept.push_back(j);
    }
    return kept;
  }
  // The input with zeros at the other channels.
  model::Decoder zeroed(const std::vector<int64_t>& kept) const {
    model::Decoder full = load(input_->folder());
    const at::Tensor removed = at::tensor(layerwise::other_channels(kept, 32), at::kLong);
    const architecture::StreamUses uses = architecture::stream_uses(full.config());
    for (const auto& [name, use] : uses) {
      if (use == StreamUse::kGains) continue;
      full.set_parameter(name, full.parameters().at(name).index_fill(
                                   use == StreamUse::kWrites ? 0 : 1, removed, 0));
    }
    return full;
  }

  test::TemporaryFolder folder_;
  std::optional<format::Checkpoint> input_;
  fs::path text_;
  text::Windows windows_ = test::toy_windows(4, 24, kToyVocabulary);
};

TEST_F(PruneChannels, PlainlyCutItIsTheFullWidthModelWithZeros) {
  for (const char* score : {"activation", "obs", "magnitude"}) {
    FakeRunContext run = context(score);
    FRUGAL_ASSERT_OK(prune(with({{"score", score}, {"compensate", false}}))->run(run));
    const model::Decoder narrow = load(run.output_folder());
    const std::vector<int64_t> kept = kept_in(narrow);
    ASSERT_EQ(kept.size(), 24u);
    ASSERT_LT(kept.back(), 32) << "a column that the input does not have";
    // fp32 forwards whose sums are cut differently: relative differences of some 1e-6.
    EXPECT_LT(largest_difference(logits(zeroed(kept), windows_), logits(narrow, windows_)), 1e-5)
        << score;
    EXPECT_EQ(*run.value("channels_kept"), 24);
    EXPECT_EQ(*run.value("parameters"), static_cast<double>(narrow.config().parameter_count()));
  }
}

TEST_F(PruneChannels, ConfigAndShapesAreThoseOfANarrowerModel) {
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(prune(with())->run(run));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result,
                              format::Checkpoint::open(run.output_folder()));
  std::ifstream file(run.output_folder() / "config.json");
  const Json config = Json::parse(file);
  EXPECT_EQ(config["hidden_size"], 24);
  EXPECT_EQ(config["head_dim"], 8);
  EXPECT_EQ(config["num_attention_heads"], 4);
  EXPECT_DOUBLE_EQ(config["rms_norm_eps"].get<double>(), 1e-5 * 32 / 24);
  const auto shape = [&](const char* name) { return result.info(name)->shape; };
  EXPECT_EQ(shape("model.embed_tokens.weight"), (std::vector<int64_t>{kToyVocabulary, 24}));
  EXPECT_EQ(shape("lm_head.weight"), (std::vector<int64_t>{kToyVocabulary, 24}));
  EXPECT_EQ(shape("model.layers.2.self_attn.q_proj.weight"), (std::vector<int64_t>{32, 24}));
  EXPECT_EQ(shape("model.layers.2.self_attn.o_proj.weight"), (std::vector<int64_t>{24, 32}));
  EXPECT_EQ(shape("model.layers.2.mlp.down_proj.weight"), (std::vector<int64_t>{24, 64}));
  EXPECT_EQ(shape("model.norm.weight"), (std::vector<int64_t>{24}));
  EXPECT_TRUE(fs::exists(run.output_folder() / "tokenizer.json"));
  EXPECT_EQ(run.tables.at("layer_error").size(), 3u * 4 + 1);  // four stages a layer, and the head
  EXPECT_FALSE(run.value("mean_relative_error").has_value());  // not known
  for (const Json& row : run.tables.at("layer_error")) {
    EXPECT_TRUE(row["error_after"].is_null());
    EXPECT_GT(row["correction"].get<double>(), 0) << row["matrix"];
  }
}

// The sums of mean |output| over all norms, by a forward of our own here.
TEST_F(PruneChannels, ActivationKeepsTheLargestOverAllNorms) {
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(prune(with({{"score", "activation"}, {"compensate", false}}))->run(run));
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const text::Windows windows,
      layerwise::load_calibration(*input_, source_of(text_), {.windows = 12, .length = 32}));
  const at::NoGradGuard no_grad;
  const model::Decoder decoder = load(input_->folder());
  const model::Batch batch = test::toy_batch(windows);
  const model::AttentionContexts attention = decoder.attention_contexts(batch);
  at::Tensor sums = at::zeros({32}, at::kDouble), x = decoder.embed(batch.ids);
  const auto add = [&](const at::Tensor& output) {
    sums += output.reshape({-1, 32}).to(at::kDouble).abs().mean(0);
  };
  for (int64_t layer = 0; layer < 3; ++layer) {
    const model::LayerParameters small = decoder.layer_parameters(layer);
    model::LayerState state = decoder.runner().begin(layer, x, small);
    for (size_t stage = 0; stage < 4; ++stage) {
      if (stage % 2 == 0) add(state.input.rows);  // attention_in and mlp_in
      std::vector<at::Tensor> outputs;
      for (const architecture::Tensor& matrix : decoder.stages(layer)[stage].matrices) {
        outputs.push_back(at::linear(state.input.rows, decoder.parameters().at(matrix.name)));
      }
      decoder.runner().advance(state, {layer, stage}, outputs, small, attention);
    }
    x = state.residual;
  }
  add(decoder.final_norm(x));
  const at::Tensor expected = std::get<0>(std::get<1>(sums.topk(24)).sort());
  EXPECT_TRUE(at::tensor(kept_in(load(run.output_folder())), at::kLong).equal(expected));
}

// Channels that nothing writes are zero everywhere: without them the model is what it was, with
// the refit, too.
TEST_F(PruneChannels, ChannelsThatNobodyWritesCostNothing) {
  std::vector<int64_t> used;
  for (int64_t j = 0; j < 32; ++j) {
    if (j % 4 != 1) used.push_back(j);
  }
  const model::Decoder decoder = zeroed(used);
  fs::copy(input_->folder(), folder_.path() / "silent", fs::copy_options::recursive);
  input_.emplace(test::save_toy(decoder, folder_.path() / "silent"));
  for (const char* score : {"activation", "obs", "magnitude"}) {
    FakeRunContext run = context(score);
    FRUGAL_ASSERT_OK(prune(with({{"score", score}}))->run(run));
    const model::Decoder narrow = load(run.output_folder());
    EXPECT_EQ(kept_in(narrow), used);
    EXPECT_LT(largest_difference(logits(decoder, windows_), logits(narrow, windows_)), 1e-4);
  }
}

TEST_F(PruneChannels, KeepingAllIsTheIdentity) {
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(prune(with({{"channels", 1.0}}))->run(run));
  EXPECT_LT(largest_difference(logits(load(input_->folder()), windows_),
                               logits(load(run.output_folder()), windows_)),
            1e-4);
}

TEST_F(PruneChannels, TheRefitBeatsCuttingOnTextThatItHasNotSeen) {
  const std::string all = toy_text(8000);
  std::ofstream(folder_.path() / "seen.txt") << all.substr(0, all.size() / 2);
  std::ofstream(folder_.path() / "unseen.txt") << all.substr(all.size() / 2);
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const text::Windows unseen,
      layerwise::load_calibration(*input_, source_of(folder_.path() / "unseen.txt"),
                                  {.windows = 8, .length = 32}));
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const model::Decoder decoder = test::toy_decoder(
        {.layers = 2, .width = 32, .neurons = 64, .vocabulary = kToyVocabulary}, seed);
    const fs::path folder = folder_.path() / base::str_cat("seed", seed);
    fs::copy(input_->folder(), folder, fs::copy_options::recursive);
    const format::Checkpoint input = test::save_toy(decoder, folder);
    std::map<bool, double> found;
    for (const bool refit : {false, true}) {
      FakeRunContext run(folder_.path() / base::str_cat(seed, refit ? "refit" : "cut"), input);
      run.sources["text"] = source_of(folder_.path() / "seen.txt");
      FRUGAL_ASSERT_OK(prune(with({{"compensate", refit}, {"windows", 48}}))->run(run));
      found[refit] = divergence(decoder, load(run.output_folder()), unseen);
    }
    EXPECT_LT(found[true], found[false]) << "seed " << seed;
  }
}

TEST_F(PruneChannels, ResumedRunIsByteEqualAtAnyThreadCount) {
  FakeRunContext whole = context("whole");
  FRUGAL_ASSERT_OK(prune(with())->run(whole));
  int threads = 1;
  for (const int64_t finished : {0, 1, 4}) {  // the fourth is the head
    const test::ThreadCount count(threads++);
    FakeRunContext run = context(base::str_cat("resumed", finished));
    for (int64_t layer = 0; layer < finished; ++layer) {
      const std::string file = base::str_cat("layer-0000", layer, ".safetensors");
      fs::copy_file(whole.resume_folder() / file, run.resume_folder() / file);
    }
    FRUGAL_ASSERT_OK(prune(with())->run(run));
    EXPECT_EQ(hash(run), hash(whole)) << finished << " layers finished";
  }
}

TEST_F(PruneChannels, OptionsReachTheSolver) {
  std::vector<std::string> hashes;
  for (const Json& changes :
       {Json::object(), Json{{"score", "obs"}}, Json{{"score", "magnitude"}}, Json{{"alpha", 0.5}},
        Json{{"beta", 0.0}}, Json{{"damping", 0.3}}, Json{{"compensate", false}},
        Json{{"channels", 0.5}}, Json{{"windows", 6}}}) {
    FakeRunContext run = context(base::str_cat("run", hashes.size()));
    FRUGAL_ASSERT_OK(prune(with(changes))->run(run));
    EXPECT_EQ(std::count(hashes.begin(), hashes.end(), hash(run)), 0)
        << changes.dump() << " changes nothing";
    hashes.push_back(hash(run));
  }
}

TEST_F(PruneChannels, ATiedHeadStaysTheEmbedding) {
  input_.emplace(gained_toy(folder_.path() / "tied", {.width = 32, .neurons = 64, .tied = true}));
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(prune(with())->run(run));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result,
                              format::Checkpoint::open(run.output_folder()));
  EXPECT_TRUE(result.config().tied_embeddings);
  EXPECT_EQ(kept_in(load(run.output_folder())).size(), 24u);
  EXPECT_EQ(run.tables.at("layer_error").size(), 3u * 4);
}

TEST_F(PruneChannels, GainsOfAHalfPrecisionModelKeepTheirFactor) {
  const model::Decoder decoder = load(input_->folder());
  const fs::path folder = folder_.path() / "half";
  fs::copy(input_->folder(), folder, fs::copy_options::recursive);
  FRUGAL_ASSERT_OK(decoder.save(folder, format::DType::kBF16));
  FRUGAL_ASSERT_OK_AND_ASSIGN(input_, format::Checkpoint::open(folder));
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(prune(with())->run(run));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result,
                              format::Checkpoint::open(run.output_folder()));
  EXPECT_EQ(result.info("model.norm.weight")->dtype, format::DType::kF32);
  EXPECT_EQ(result.info("model.layers.0.mlp.up_proj.weight")->dtype, format::DType::kBF16);
  const std::vector<int64_t> kept = kept_in(load(run.output_folder()));
  const std::vector<float> before = input_->values("model.norm.weight").value();
  const std::vector<float> after = result.values("model.norm.weight").value();
  for (size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i], static_cast<float>(before[static_cast<size_t>(kept[i])] *
                                           static_cast<float>(std::sqrt(32.0 / 24))));
  }
}

// novels-7m without a quarter of its channels, divergence on held-out text (layerwise/README.md).
TEST(PruneChannelsRealModel, PrincipalDirectionsPayAndSoDoesTheRefit) {
  FRUGAL_SHARED_DATA_OR_SKIP(folder, "novels-7m/hf");
  FRUGAL_SHARED_DATA_OR_SKIP(calibration, "english-novels-100/Burnett_Garden_1911.txt");
  FRUGAL_SHARED_DATA_OR_SKIP(held_out, "english-novels-100/Bennet_Helen_1910.txt");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint input, format::Checkpoint::open(folder));
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const text::Windows windows,
      layerwise::load_calibration(input, source_of(held_out), {.windows = 24, .length = 256}));
  test::TemporaryFolder work;
  const Json text = {{"calibration", "text"}, {"windows", 64}, {"sequence_length", 128}};
  FakeRunContext turn(work.path() / "basis", input);
  turn.sources["text"] = source_of(calibration);
  Json pca = text;
  pca.update({{"kind", "pca"}, {"heads", false}});
  FRUGAL_ASSERT_OK(made(make_rotate_pass(), pca)->run(turn));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const model::Decoder original, model::Decoder::load(input, {}));
  std::map<std::string, std::vector<double>> found;  // of each window
  for (const auto& [name, from, refit] : {std::tuple{"cut", folder, false},
                                          {"turned", turn.output_folder(), false},
                                          {"refitted", turn.output_folder(), true}}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint source, format::Checkpoint::open(from));
    FakeRunContext run(work.path() / name, source);
    run.sources["text"] = source_of(calibration);
    Json options = text;
    options.update({{"channels", 0.75}, {"compensate", refit}});
    FRUGAL_ASSERT_OK(prune(options)->run(run));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result,
                                format::Checkpoint::open(run.output_folder()));
    EXPECT_EQ(result.config().hidden_size, 192);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const model::Decoder changed, model::Decoder::load(result, {}));
    found[name] = test::window_divergences(original, changed, windows);
  }
  EXPECT_LT(test::mean(found["turned"]), 0.5 * test::mean(found["cut"]));  // .067 against .362
  EXPECT_GT(test::paired_z(found["turned"], found["refitted"]), 4);
}

}  // namespace
}  // namespace frugal::passes
