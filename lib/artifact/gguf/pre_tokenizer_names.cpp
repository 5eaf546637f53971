#include "artifact/gguf/pre_tokenizer_names.h"

#include <algorithm>

#include "base/text.h"

namespace frugal::artifact {

const std::vector<std::string>& pre_tokenizer_names() {
  static const std::vector<std::string> kNames = {"default",
                                                  "llama3",
                                                  "llama-v3",
                                                  "llama-bpe",
                                                  "falcon3",
                                                  "falcon-h1",
                                                  "pixtral",
                                                  "midm-2.0",
                                                  "lfm2",
                                                  "deepseek-llm",
                                                  "deepseek-coder",
                                                  "deepseek-v3",
                                                  "youtu",
                                                  "falcon",
                                                  "mpt",
                                                  "starcoder",
                                                  "gpt-2",
                                                  "phi-2",
                                                  "jina-es",
                                                  "jina-de",
                                                  "gigachat",
                                                  "jina-v2-es",
                                                  "jina-v2-de",
                                                  "a.x-4.0",
                                                  "mellum",
                                                  "modern-bert",
                                                  "jina-v1-en",
                                                  "jina-v2-code",
                                                  "roberta-bpe",
                                                  "refact",
                                                  "command-r",
                                                  "qwen2",
                                                  "deepseek-r1-qwen",
                                                  "kormo",
                                                  "qwen35",
                                                  "stablelm2",
                                                  "olmo",
                                                  "dbrx",
                                                  "smaug-bpe",
                                                  "poro-chat",
                                                  "chatglm-bpe",
                                                  "glm4",
                                                  "viking",
                                                  "jais",
                                                  "tekken",
                                                  "smollm",
                                                  "codeshell",
                                                  "bloom",
                                                  "gpt3-finnish",
                                                  "exaone",
                                                  "exaone4",
                                                  "chameleon",
                                                  "minerva-7b",
                                                  "megrez",
                                                  "gpt-4o",
                                                  "llama4",
                                                  "superbpe",
                                                  "trillion",
                                                  "granite-docling",
                                                  "bailingmoe",
                                                  "seed-coder",
                                                  "hunyuan",
                                                  "hunyuan-dense",
                                                  "kimi-k2",
                                                  "grok-2",
                                                  "afmoe",
                                                  "minimax-m2",
                                                  "solar-open"};
  return kNames;
}

absl::Status check_pre_tokenizer_name(std::string_view name) {
  const std::vector<std::string>& names = pre_tokenizer_names();
  if (std::find(names.begin(), names.end(), name) != names.end()) return absl::OkStatus();
  const auto near = base::nearest(name, names);
  return base::invalid_argument("llama.cpp has no pre-tokenizer '", name, "'",
                                near ? base::str_cat("; did you mean '", *near, "'?")
                                     : base::str_cat("; it has ", base::join(names, ", ")));
}

}  // namespace frugal::artifact
