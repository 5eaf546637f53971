// Any text as a tokenizer.json: a tokenizer or an error; every id that it gives is one of its own,
// and what patterns refuse to finish is said by the exception for it.
#include "base/json.h"
#include "text/definition.h"
#include "text/regex.h"
#include "text/tokenizer_json.h"
#include "tokenizer_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace frugal;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto json = base::parse_json(text, "fuzz");
  if (!json.ok()) return 0;
  auto definition = text::parse_tokenizer_json(*json, "fuzz");
  if (!definition.ok()) return 0;
  auto parts = text::build_parts(*std::move(definition), "fuzz");
  if (!parts.ok()) return 0;
  try {
    fuzz::check_tokenizer(text::PipelineTokenizer(*std::move(parts)));
  } catch (const text::PatternLimit&) {
  }
  return 0;
}
