// What looks at a model without changing it, over a model of every family (tests/golden/families):
// evaluate, measure and inspect. Their numbers are those of plain forwards over whole windows,
// which tests/model/families_test.cpp holds to transformers'.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "architecture/gguf_names.h"
#include "architecture/tensors.h"
#include "evaluate/items.h"
#include "evaluate/perplexity.h"
#include "fake_context.h"
#include "format/inspect.h"
#include "model/decoder.h"
#include "passes/evaluate/evaluate_pass.h"
#include "passes/export/export_pass.h"
#include "passes/measure/measure_pass.h"
#include "passes/quantize/quantize_pass.h"
#include "support/family_checkpoint.h"
#include "support/toy_checkpoint.h"

namespace frugal::passes {
namespace {

using base::Json;

class JudgedFamilies : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    golden_ = test::read_family(GetParam());
    test::write_family(golden_, model_);
    text_.text = {test::write_toy_text(folder_.path(), 300).string()};
  }

  // Plans and runs `pass` on the checkpoint in `input`; what it said is in the context.
  FakeRunContext apply(std::unique_ptr<pass::Pass> pass, const Json& options,
                       const std::filesystem::path& input, const std::string& name) {
    const auto checkpoint = format::Checkpoint::open(input).value();
    set_options(*pass, options);
    FakeCheckContext check;
    check.sources = sources();
    check.models["original"] = info(format::Checkpoint::open(model_).value());
    pass::ModelInfo planned = info(checkpoint);
    EXPECT_EQ(pass->check(check, planned), absl::OkStatus()) << name;
    FakeRunContext run(folder_.path() / name, checkpoint);
    run.sources = sources();
    run.models["original"] = model_;
    EXPECT_EQ(pass->run(run), absl::OkStatus()) << name;
    return run;
  }

  std::filesystem::path rounded() {
    return apply(make_quantize_pass(),
                 {{"method", "rtn"}, {"grid", "q4_0"}, {"embeddings", "keep"}, {"head", "keep"}},
                 model_, "rounded")
        .output_folder();
  }
  Json exported(const std::filesystem::path& input, const std::string& format) {
    const auto folder =
        apply(make_export_pass(), {{"format", Json::array({format})}}, input, format)
            .output_folder();
    return format::inspect(std::filesystem::directory_iterator(folder)->path()).value();
  }

  // ln p of all ids at all positions of `ids`, [T, V] in fp64.
  static at::Tensor log_probabilities(const model::Decoder& decoder,
                                      std::span<const text::TokenId> ids) {
    const at::NoGradGuard no_grad;
    const std::vector<int64_t> row(ids.begin(), ids.end());
    return decoder.logits({at::tensor(row, at::kLong).unsqueeze(0), {}})[0]
        .to(at::kDouble)
        .log_softmax(-1);
  }

  static std::vector<text::TokenId> encoded(const text::Tokenizer& tokenizer,
                                            const std::string& text) {
    std::vector<text::TokenId> ids = tokenizer.encode(text, /*add_special=*/false);
    if (const auto bos = tokenizer.vocabulary().bos) ids.insert(ids.begin(), *bos);
    return ids;
  }

  int64_t weight_count() const {
    int64_t count = 0;
    for (const auto& [name, shape] : golden_.tensors) {
      count += std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
    }
    return count;
  }

  DataSources sources() const {
    text::DataSource labels, descriptions;
    labels.builtin = descriptions.builtin = "storefront";
    labels.split = descriptions.split = "test";
    labels.task = "sentiment";
    descriptions.task = "description";
    return {{"text", text_}, {"labels", labels}, {"descriptions", descriptions}};
  }
  static pass::ModelInfo info(const format::Checkpoint& checkpoint) {
    pass::ModelInfo info;
    info.name = "model";
    info.config = checkpoint.config();
    info.has_tokenizer = true;
    info.tokenizer_folder = checkpoint.folder();
    info.dtype = "F32";
    info.size_bytes = checkpoint.weight_bytes();
    for (const auto& [weight, entry] : checkpoint.quantized()) info.grids[weight] = entry.grid;
    return info;
  }

  test::FamilyGolden golden_;
  const test::TemporaryFolder folder_;
  const std::filesystem::path model_ = folder_.path() / "model";
  text::DataSource text_;
};

INSTANTIATE_TEST_SUITE_P(Golden, JudgedFamilies, testing::ValuesIn(test::golden_families()),
                         [](const auto& tested) {
                           std::string name = tested.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Two orders of evaluation in fp32 (tests/model/families_test.cpp): logits, and with them
// log-probabilities and their means, are this far apart at most.
constexpr double kEquivalent = 1e-4;

// Sum of ln p of every id but the first.
double total(const at::Tensor& log_probabilities, std::span<const text::TokenId> ids) {
  double sum = 0;
  for (size_t t = 0; t + 1 < ids.size(); ++t) {
    sum += log_probabilities[static_cast<int64_t>(t)][ids[t + 1]].item<double>();
  }
  return sum;
}

TEST_P(JudgedFamilies, PerplexityAndDivergenceAreThoseOfWholeWindows) {
  const auto small = rounded();
  const FakeRunContext judged = apply(
      make_evaluate_pass(),
      {{"perplexity", "text"}, {"protocol", "gptq-32"}, {"windows", 3}, {"reference", "original"}},
      small, "judged");
  const auto decoder = model::Decoder::load(format::Checkpoint::open(small).value(), {}).value();
  const auto original = model::Decoder::load(format::Checkpoint::open(model_).value(), {}).value();
  const auto tokenizer = text::load_tokenizer(model_).value();
  const auto windows =
      evaluate::scored_windows(text::load_examples(text_).value(), *tokenizer,
                               evaluate::parse_protocol("gptq-32").value(), {.windows = 3})
          .value();
  double nll = 0, divergence = 0;
  for (int64_t window = 0; window < windows.count(); ++window) {
    const auto ids = windows.window(window);
    const at::Tensor own = log_probabilities(decoder, ids);
    const at::Tensor reference = log_probabilities(original, ids);
    nll -= total(own, ids);
    const at::Tensor each = (reference.exp() * (reference - own)).sum(-1);
    divergence += each.narrow(0, 0, each.size(0) - 1).sum().item<double>();
  }
  const auto tokens = static_cast<double>(windows.count() * 31);
  EXPECT_NEAR(std::log(judged.value("perplexity").value()), nll / tokens, kEquivalent);
  EXPECT_NEAR(judged.value("kld/mean").value(), divergence / tokens, kEquivalent);
  EXPECT_GT(divergence / tokens, 10 * kEquivalent);  // or the line before would say nothing
}

TEST_P(JudgedFamilies, LabelsAreComparedByWholeTexts) {
  const FakeRunContext judged = apply(
      make_evaluate_pass(), {{"tasks", {"labels"}}, {"limit", 3}, {"batch", 2}}, model_, "judged");
  const auto decoder = model::Decoder::load(format::Checkpoint::open(model_).value(), {}).value();
  const auto tokenizer = text::load_tokenizer(model_).value();
  text::DataSource source = sources().at("labels");
  source.limit = 3;
  const auto examples = text::load_examples(source).value();
  ASSERT_EQ(judged.written_items.at("labels").size(), examples.size());
  for (size_t i = 0; i < examples.size(); ++i) {
    const auto item =
        evaluate::classification_item(judged.written_items.at("labels")[i], "item").value();
    std::vector<double> totals;
    size_t length = 0;
    for (const std::string& label : item.labels) {
      const auto ids = encoded(*tokenizer, examples[i].prompt + label);
      totals.push_back(total(log_probabilities(decoder, ids), ids));
      length = std::max(length, ids.size());
    }
    // What stands before the labels is the same text.
    for (size_t label = 1; label < totals.size(); ++label) {
      EXPECT_NEAR(item.scores[label] - item.scores[0], totals[label] - totals[0],
                  kEquivalent * static_cast<double>(length));
    }
  }
}

TEST_P(JudgedFamilies, TextsAreTheLikeliestContinuations) {
  constexpr size_t kNewTokens = 4;
  const FakeRunContext judged = apply(
      make_evaluate_pass(),
      {{"tasks", {"descriptions"}}, {"limit", 3}, {"max_new_tokens", kNewTokens}, {"batch", 2}},
      model_, "judged");
  const auto decoder = model::Decoder::load(format::Checkpoint::open(model_).value(), {}).value();
  const auto tokenizer = text::load_tokenizer(model_).value();
  ASSERT_EQ(judged.written_items.at("descriptions").size(), 3u);
  size_t compared = 0;
  for (const Json& line : judged.written_items.at("descriptions")) {
    // Without a cache or padding: each id is the likeliest of a forward over all before it.
    const auto item = evaluate::generation_item(line, "item").value();
    std::vector<text::TokenId> ids = encoded(*tokenizer, item.prompt), made;
    while (made.size() < kNewTokens) {
      const auto [values, best] = log_probabilities(decoder, ids)[-1].topk(2);
      if ((values[0] - values[1]).item<double>() < 2 * kEquivalent) break;  // rounding decides
      made.push_back(static_cast<text::TokenId>(best[0].item<int64_t>()));
      if (made.back() == 0) break;  // the end of a text
      ids.push_back(made.back());
    }
    compared += made.size();
    if (!made.empty() && made.back() == 0) made.pop_back();
    EXPECT_THAT(item.generated, testing::StartsWith(tokenizer->decode(made)));
  }
  EXPECT_GT(compared, kNewTokens);
}

TEST_P(JudgedFamilies, SpeedIsMeasuredBeyondAWindow) {
  const FakeRunContext measured = apply(make_measure_pass(),
                                        {{"prompt_tokens", 24},
                                         {"generated_tokens", 4},
                                         {"batch", {1, 3}},
                                         {"repeats", 2},
                                         {"seconds_minimum", 0},
                                         {"idle_seconds", 0}},
                                        model_, "measured");
  for (const char* name : {"tokens_per_second", "prefill_tokens_per_second/batch_3",
                           "decode_tokens_per_second/batch_3", "latency_p95/batch_1"}) {
    EXPECT_GT(measured.value(name).value_or(0), 0) << name;
  }
  EXPECT_EQ(measured.tables.at("speed").size(), 2u * 2u * 2u);  // batches, phases, repeats
}

TEST_P(JudgedFamilies, InspectCountsWhatIsThere) {
  const int64_t count = weight_count();
  const Json plain = format::inspect(model_).value();
  EXPECT_EQ(plain.at("architecture"), golden_.config.at("architectures").at(0));
  EXPECT_EQ(plain.at("parameters"), count);
  EXPECT_EQ(plain.at("weight_bytes"), 4 * count);
  const auto small = rounded();
  const Json codes = format::inspect(small).value();
  EXPECT_EQ(codes.at("architecture"), golden_.config.at("architectures").at(0));
  EXPECT_EQ(codes.at("parameters"), count);
  // The matrices of the layers but for routers, 18 bytes for 32 weights; the rest as it was.
  const auto config = architecture::parse_model_config(golden_.config, "golden").value();
  const std::vector<architecture::Tensor> tensors = architecture::tensors(config);
  const Json& matrices = codes.at("types").at("q4_0");
  EXPECT_EQ(matrices.at("tensors"),
            std::count_if(tensors.begin(), tensors.end(),
                          [](const auto& tensor) { return tensor.is_stage_matrix(); }));
  EXPECT_EQ(matrices.at("bytes"), matrices.at("parameters").get<int64_t>() / 32 * 18);
  if (architecture::gguf_architecture(config).ok()) {  // else the exporter refuses
    const Json gguf = exported(small, "gguf");
    EXPECT_EQ(gguf.at("kind"), "gguf");
    // Llama 3's scaling of rotary frequencies is a tensor there, a factor for each pair of a head;
    // longrope's are two.
    const int64_t factors = GetParam() == "llama"           ? 64 / 4 / 2
                            : GetParam() == "phi3-longrope" ? 2 * 64 / 2 / 2
                            : GetParam() == "phi3-partial"  ? 2 * 64 / 2 / 2 / 2
                                                            : 0;
    EXPECT_EQ(gguf.at("parameters"), count + factors);
    EXPECT_EQ(gguf.at("weight_bytes"), codes.at("weight_bytes").get<int64_t>() + 4 * factors);
  }
  EXPECT_EQ(exported(model_, "onnx").at("kind"), "onnx");
  EXPECT_EQ(exported(small, "huggingface").at("weight_bytes"), 4 * count);
}

}  // namespace
}  // namespace frugal::passes
