// Any bytes as a SentencePiece model: a tokenizer or an error; every id that it gives is one of its
// own.
#include "text/origins.h"
#include "tokenizer_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace frugal;
  const std::string_view content(reinterpret_cast<const char*>(data), size);
  auto parts = text::read_sentencepiece_model(content, {}, "fuzz");
  if (parts.ok()) fuzz::check_tokenizer(text::PipelineTokenizer(*std::move(parts)));
  return 0;
}
