// Any bytes as a GGUF file: a value or an error, and every accepted tensor lies inside the file.
// What an import makes of it: a config and its tensors, a tokenizer whose ids are its own, or
// errors.
#include "artifact/gguf/gguf_config_reader.h"
#include "artifact/gguf/gguf_tokenizer_reader.h"
#include "artifact/gguf/gguf_weights_reader.h"
#include "format/gguf.h"
#include "memory_file.h"
#include "text/regex.h"
#include "tokenizer_checks.h"

namespace {

void read_model(const frugal::artifact::GgufValues& values) {
  const auto config = frugal::artifact::read_gguf_config(values);
  if (config.ok()) (void)frugal::artifact::plan_gguf_weights(values, *config);
}

void read_tokenizer(const frugal::artifact::GgufValues& values) {
  const auto pieces = values.texts("tokenizer.ggml.tokens");
  const int64_t rows =
      pieces.ok() && *pieces != nullptr ? static_cast<int64_t>((*pieces)->size()) : 0;
  auto tokenizer = frugal::artifact::read_gguf_tokenizer(values, rows);
  if (!tokenizer.ok()) return;
  auto parts = frugal::text::build_parts(std::move(tokenizer->definition), "fuzz");
  if (!parts.ok()) return;
  if (!frugal::text::apply_special_tokens(tokenizer->special, "fuzz", *parts).ok()) return;
  try {
    frugal::fuzz::check_tokenizer(frugal::text::PipelineTokenizer(*std::move(parts)));
  } catch (const frugal::text::PatternLimit&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const frugal::fuzz::MemoryFile input(data, size);
  const auto file = frugal::format::GgufFile::open(input.path());
  if (!file.ok()) return 0;
  volatile unsigned sum = 0;
  for (const auto& tensor : file->tensors()) {
    for (const std::byte byte : file->bytes(tensor)) sum = sum + static_cast<unsigned>(byte);
  }
  const frugal::artifact::GgufValues values(*file, "fuzz");
  read_model(values);
  read_tokenizer(values);
  return 0;
}
