// The content of golden/python.gguf, as golden/make_golden.py wrote it with gguf 0.19.0.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "format/gguf.h"

namespace frugal::format::test {

inline std::vector<std::pair<std::string, GgufValue>> golden_metadata() {
  return {{"general.architecture", std::string("llama")},
          {"k.u8", uint8_t{200}},
          {"k.i8", int8_t{-5}},
          {"k.u16", uint16_t{60000}},
          {"k.i16", int16_t{-30000}},
          {"k.u32", uint32_t{4000000000}},
          {"k.i32", int32_t{-2000000000}},
          {"k.f32", 0.25f},
          {"k.u64", uint64_t{1} << 63},
          {"k.i64", -(int64_t{1} << 62)},
          {"k.f64", 0.1},
          {"k.bool", true},
          {"k.string", std::string("grüße")},
          {"tokenizer.ggml.tokens", std::vector<std::string>{"<s>", "a", "▁b"}},
          {"tokenizer.ggml.scores", std::vector<float>{0.0f, -1.5f, -2.0f}},
          {"tokenizer.ggml.token_type", std::vector<int32_t>{3, 1, 1}},
          {"k.bools", std::vector<bool>{true, false, true}},
          {"tokenizer.ggml.bos_token_id", uint32_t{0}}};
}

}  // namespace frugal::format::test
