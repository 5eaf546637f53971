// What holds for every tokenizer that was accepted.
#pragma once

#include "text/pipeline_tokenizer.h"

namespace frugal::fuzz {

inline void check_tokenizer(const text::PipelineTokenizer& tokenizer) {
  constexpr std::string_view kTexts[] = {
      "", "the  quick\tfox: 12,345 na\u00efve \u4e2d\u6587\n\n<s> </s>",
      "\xff\xfe invalid \xe4\xb8"};
  for (const std::string_view text : kTexts) {
    for (const bool special : {false, true}) {
      const std::vector<text::TokenId> ids = tokenizer.encode(text, special, special);
      for (const text::TokenId id : ids) {
        if (id < 0 || id >= tokenizer.size()) __builtin_trap();
      }
      tokenizer.decode(ids, special);
    }
  }
}

}  // namespace frugal::fuzz
