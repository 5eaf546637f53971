// Decoders of tokenizer.json: pieces back to text. Unlike Hugging Face's, bytes that are no valid
// UTF-8 stay as they are: a character may be cut between two calls.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace frugal::text {

class Decoder {
 public:
  // Errors: Unimplemented for a component we do not know (named).
  static absl::StatusOr<Decoder> parse(const base::Json& json);

  // "▁" -> space, <0xXX> -> byte, and (optionally) one space less at the front.
  static Decoder sentencepiece(bool strip_leading_space);

  std::string decode(std::vector<std::string> pieces) const;

 private:
  struct Step {
    enum class Kind { kByteLevel, kReplace, kByteFallback, kFuse, kStrip, kMetaspace };
    Kind kind;
    std::string from;  // Replace, Strip, Metaspace
    std::string to;
    int64_t start = 0;  // Strip: characters at most, at either end; Metaspace: 1 where the first
                        // piece loses its marks
    int64_t stop = 0;
  };
  absl::Status add(const base::Json& json, int depth);
  static void apply(const Step& step, std::vector<std::string>& pieces);
  std::vector<Step> steps_;
};

}  // namespace frugal::text
