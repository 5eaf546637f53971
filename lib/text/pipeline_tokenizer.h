// The tokenizer as a pipeline: added tokens → normalizer → added tokens → pre-tokenizer → model;
// back by a decoder.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/added_tokens.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/segment_model.h"
#include "text/tokenizer.h"

namespace frugal::text {

// tokenizer.json without its model's tables (those are in the Vocabulary); null objects where there
// is no such file form.
struct TokenizerSource {
  base::Json normalizer = nullptr;
  base::Json pre_tokenizer = nullptr;
  base::Json post_processor = nullptr;
  base::Json decoder = nullptr;
  std::vector<bool> in_model;  // by id: false for added tokens outside the model's own vocabulary
  bool ignore_merges = false;
};

struct TokenizerParts {
  Vocabulary vocabulary;
  std::vector<AddedToken> added;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Decoder decoder;
  std::shared_ptr<const SegmentModel> model;
  std::vector<TokenId> prefix;  // ids that add_special puts in front and behind
  std::vector<TokenId> suffix;
  TokenizerSource source;
};

class PipelineTokenizer : public Tokenizer {
 public:
  explicit PipelineTokenizer(TokenizerParts parts);
  ~PipelineTokenizer() override;

  std::vector<TokenId> encode(std::string_view text, bool add_special,
                              bool parse_special = true) const override;
  std::string decode(std::span<const TokenId> ids, bool skip_special = true) const override;
  const Vocabulary& vocabulary() const override { return parts_.vocabulary; }
  std::unique_ptr<EncodingStream> stream(size_t window_bytes = kWindowBytes) const override;

  const TokenizerParts& parts() const { return parts_; }

 private:
  struct Workspace;  // buffers, and words that were met
  class Lease;       // of a workspace, for one call or one stream
  class Encoding;
  class Stream;

  TokenizerParts parts_;
  AddedTokenMatcher raw_;         // looked for in the text as it is
  AddedTokenMatcher normalized_;  // looked for behind the normalizer
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_;
  mutable size_t workspaces_ = 0;  // as many as calls ever ran side by side
};

}  // namespace frugal::text
