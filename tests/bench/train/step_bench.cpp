// Where a training step's time goes, for small models.
//
//   step_bench [key=value ...]
//     width=256 layers=4 heads=4 groups=2 forward=768 vocabulary=1024   the student
//     length=128 batch=16 documents=1 accumulation=1 precision=fp32|bf16 steps=20 chunk=512
//     teacher=0|1 (distill from a model of the same shape)
//
// Prints one line: parameters, tokens/s, tokens per CPU second (what counts on a shared machine),
// milliseconds per step by phase. Run with OMP_WAIT_POLICY=PASSIVE.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/random.h"
#include "train/trainer.h"

namespace {

using namespace frugal;

std::map<std::string, int64_t> read_options(int count, char** arguments, bool& bf16) {
  std::map<std::string, int64_t> options = {
      {"width", 256},       {"layers", 4},   {"heads", 4},  {"groups", 2},    {"forward", 768},
      {"vocabulary", 1024}, {"length", 128}, {"batch", 16}, {"documents", 1}, {"accumulation", 1},
      {"steps", 20},        {"chunk", 512},  {"teacher", 0}};
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    const size_t equals = argument.find('=');
    const std::string key(argument.substr(0, equals));
    if (equals == std::string_view::npos || (key != "precision" && !options.contains(key))) {
      std::fprintf(stderr, "step_bench: unknown argument '%s'\n", arguments[i]);
      std::exit(2);
    }
    if (key == "precision") {
      bf16 = argument.substr(equals + 1) == "bf16";
    } else {
      options[key] = std::atoll(arguments[i] + equals + 1);
    }
  }
  return options;
}

architecture::ModelConfig make_config(std::map<std::string, int64_t>& o) {
  const base::Json json = {{"architectures", {"LlamaForCausalLM"}},
                           {"model_type", "llama"},
                           {"hidden_size", o["width"]},
                           {"intermediate_size", o["forward"]},
                           {"num_hidden_layers", o["layers"]},
                           {"num_attention_heads", o["heads"]},
                           {"num_key_value_heads", o["groups"]},
                           {"vocab_size", o["vocabulary"]},
                           {"max_position_embeddings", o["length"]},
                           {"rms_norm_eps", 1e-5},
                           {"rope_theta", 10000.0},
                           {"tie_word_embeddings", true},
                           {"hidden_act", "silu"},
                           {"bos_token_id", 0},
                           {"eos_token_id", 0}};
  return architecture::parse_model_config(json, "step_bench").value();
}

// Random ids; each row holds `documents` documents of equal length.
text::PackedTokens make_data(std::map<std::string, int64_t>& o) {
  text::PackedTokens data;
  data.sequences = 64;
  data.length = o["length"];
  base::RandomStream stream(1, "step_bench");
  const int64_t piece = data.length / o["documents"];
  for (int64_t i = 0; i < data.sequences * data.length; ++i) {
    const int64_t t = i % data.length;
    data.ids.push_back(
        static_cast<text::TokenId>(stream.below(static_cast<uint64_t>(o["vocabulary"]))));
    data.segments.push_back(static_cast<int32_t>(t / piece));
    data.positions.push_back(static_cast<int32_t>(t % piece));
    data.loss_mask.push_back(1);
  }
  return data;
}

}  // namespace

int main(int count, char** arguments) {
  bool bf16 = false;
  std::map<std::string, int64_t> o = read_options(count, arguments, bf16);
  const architecture::ModelConfig config = make_config(o);
  model::Decoder student = model::Decoder::create(config, 1, at::kCPU).value();
  const model::Decoder teacher = model::Decoder::create(config, 2, at::kCPU).value();
  train::TrainOptions options;
  options.batch_sequences = o["batch"];
  options.accumulation = o["accumulation"];
  options.chunk_tokens = o["chunk"];
  options.precision = bf16 ? train::Precision::kBf16 : train::Precision::kFp32;
  options.distillation_weight = o["teacher"] != 0 ? 0.5 : 0.0;
  const text::PackedTokens data = make_data(o);
  options.steps = 3;  // warm
  if (!train::train(student, &teacher, data, nullptr, options, {}, nullptr).ok()) return 1;
  options.steps = o["steps"];
  const std::clock_t begin = std::clock();
  const auto result = train::train(student, &teacher, data, nullptr, options, {}, nullptr);
  if (!result.ok()) {
    std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
    return 1;
  }
  const double cpu_seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  const double per_step = 1000.0 / static_cast<double>(o["steps"]);
  std::printf(
      "%.2fM parameters, %lld x %lld tokens, %s: %.0f tokens/s, %.0f per CPU second; ms/step: "
      "teacher %.1f forward %.1f backward %.1f "
      "optimizer %.1f\n",
      static_cast<double>(config.parameter_count()) / 1e6, static_cast<long long>(o["batch"]),
      static_cast<long long>(o["length"]), bf16 ? "bf16" : "fp32", result->tokens_per_second,
      static_cast<double>(result->tokens) / cpu_seconds, result->teacher_seconds * per_step,
      result->forward_seconds * per_step, result->backward_seconds * per_step,
      result->optimizer_seconds * per_step);
  return 0;
}
