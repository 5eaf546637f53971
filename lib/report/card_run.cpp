// Tested by: tests/report/card_test.cpp
#include "report/card_run.h"

#include "base/json.h"
#include "base/text.h"
#include "report/markup.h"

namespace frugal::report {
namespace {

using base::str_cat;

std::string llamacpp(const std::string& file) {
  return markdown_block("sh", str_cat("brew install llama.cpp   # or build "
                                      "https://github.com/ggml-org/llama.cpp\n",
                                      "llama-cli -m ", file, " -p \"Hello\"\n", "llama-server -m ",
                                      file, " --port 8080\n"));
}

std::string genai(const std::string& folder) {
  return str_cat(
      markdown_block("sh", "pip install onnxruntime-genai\n"),
      markdown_block("python", str_cat("import onnxruntime_genai as og, sys\n", "model = og.Model(",
                                       folder, ")\n",
                                       "tokenizer = og.Tokenizer(model)\n"
                                       "parameters = og.GeneratorParams(model)\n"
                                       "parameters.set_search_options(max_length=256)\n"
                                       "generator = og.Generator(model, parameters)\n"
                                       "generator.append_tokens(tokenizer.encode(\"Hello\"))\n"
                                       "while not generator.is_done():\n"
                                       "    generator.generate_next_token()\n"
                                       "print(tokenizer.decode(generator.get_sequence(0)))\n")));
}

std::string transformers(std::string_view packages, const std::string& folder) {
  return str_cat(
      markdown_block("sh", str_cat("pip install torch transformers", packages, "\n")),
      markdown_block("python", str_cat("from transformers import pipeline\n",
                                       "generate = pipeline(\"text-generation\", model=", folder,
                                       ")\n", "print(generate(\"Hello\", max_new_tokens=64))\n")));
}

std::string vllm(const std::string& folder) {
  return markdown_block(
      "sh", str_cat("pip install vllm\n", "vllm serve ", folder, " --served-model-name model\n",
                    "curl http://localhost:8000/v1/completions -H 'Content-Type: application/json' "
                    "-d '{\"model\": \"model\", \"prompt\": \"Hello\"}'\n"));
}

}  // namespace

Running running_of(std::string_view format, std::string_view name) {
  const std::string path = str_cat("./", name);
  const std::string word = shell_word(path);
  // A text of JSON is one of Python.
  const std::string text =
      base::Json(path).dump(-1, ' ', true, base::Json::error_handler_t::replace);
  if (format == "gguf") return {"gguf", "llama.cpp", llamacpp(word)};
  if (format == "onnx") return {"onnxruntime-genai", "onnxruntime-genai", genai(text)};
  if (format == "compressed_tensors") {
    return {"transformers", "vLLM, or transformers",
            str_cat(vllm(word), "\n", transformers(" compressed-tensors", text))};
  }
  if (format == "gptq") {
    return {"transformers", "vLLM, or transformers",
            str_cat(vllm(word), "\n", transformers(" optimum gptqmodel", text))};
  }
  return {"transformers", "transformers", transformers("", text)};
}

}  // namespace frugal::report
