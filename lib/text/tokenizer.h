// Tokenizers of Hugging Face folders: tokenizer.json (byte-level BPE, SentencePiece-style BPE with
// byte fallback, unigram), tokenizer.model (SentencePiece protobuf, or Llama 3's tiktoken ranks),
// GPT-2's vocab.json + merges.txt. Behavior is that of Hugging Face tokenizers 0.23 and llama.cpp;
// ids are checked against both.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/chat_templates.h"

namespace frugal::text {

using TokenId = int32_t;

enum class PieceType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

// Everything an exporter must carry into another format.
struct Vocabulary {
  enum class Kind { kByteLevelBpe, kSentencePieceBpe, kUnigram };
  Kind kind = Kind::kByteLevelBpe;
  std::vector<std::string>
      pieces;  // by id; byte-level: the printable byte alphabet of GPT-2; else "▁the", "<0x0A>"
  std::vector<float>
      scores;  // by id; SentencePiece (−merge rank for tokenizer.json) and unigram, else empty
  std::vector<PieceType> types;     // by id
  std::vector<std::string> merges;  // "a b" in rank order; byte-level BPE only
  std::string pre_tokenizer;        // llama.cpp's name: "gpt-2", "llama-bpe", "qwen2", "smollm";
                                    // "default" for SPM; empty = unknown
  std::string unnamed_pattern;      // where it is unknown: what llama.cpp has no name for
  std::optional<TokenId> bos, eos, unknown, padding;
  bool add_bos = false;  // encode(text, special=true) puts it in front
  bool add_eos = false;
  bool add_space_prefix = true;  // SentencePiece only
  ChatTemplates chat;            // of the folder; empty: none
  std::string origin;            // the file that the pieces are from; empty: trained here
};

// Encodes a text that comes in parts. All ids together are those of `encode(text, false)` of the
// whole, whatever the parts.
class EncodingStream {
 public:
  virtual ~EncodingStream() = default;
  // Appends to `ids` those that no further text can change.
  virtual void feed(std::string_view part, std::vector<TokenId>& ids) = 0;
  // Appends the rest. The stream is as new afterwards.
  virtual void finish(std::vector<TokenId>& ids) = 0;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Ids of `text` (UTF-8; invalid bytes are encoded as U+FFFD, as Hugging Face does).
  // `add_special`: the post-processor's BOS/EOS. Added tokens inside the text are recognized when
  // `parse_special` (Hugging Face always does).
  virtual std::vector<TokenId> encode(std::string_view text, bool add_special,
                                      bool parse_special = true) const = 0;

  // Text of ids; special tokens are left out when `skip_special`. Bytes may be invalid UTF-8 where
  // a character is cut.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special = true) const = 0;

  virtual const Vocabulary& vocabulary() const = 0;
  int64_t size() const { return static_cast<int64_t>(vocabulary().pieces.size()); }

  // Holds about `window_bytes` of the text, and more where a text has no place to cut it for as
  // long; this one, which any tokenizer can have, holds all of it. Must not outlive the tokenizer.
  static constexpr size_t kWindowBytes = size_t{1} << 16;
  virtual std::unique_ptr<EncodingStream> stream(size_t window_bytes = kWindowBytes) const;
};

// Decodes id by id and yields only whole UTF-8 characters.
class StreamingDecoder {
 public:
  explicit StreamingDecoder(std::shared_ptr<const Tokenizer> tokenizer);
  std::string push(TokenId id);  // the characters completed by this id
  std::string finish();          // what is left, as U+FFFD where incomplete

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<TokenId> ids_;
  size_t emitted_bytes_ = 0;
};

// The tokenizer of a Hugging Face folder, or of a single file given directly. Errors: none found
// (lists what was looked for), unsupported components (named), inconsistent vocabulary.
absl::StatusOr<std::shared_ptr<const Tokenizer>> load_tokenizer(
    const std::filesystem::path& folder_or_file);

// The tokenizer of `folder`, read again only where its files have changed since: checks of many
// steps ask for the same one. Errors: those of load_tokenizer.
absl::StatusOr<std::shared_ptr<const Tokenizer>> shared_tokenizer(
    const std::filesystem::path& folder);

// Whether the tokenizer's ids fit an embedding of `embedding_rows`; the error gives both sizes, the
// first piece without a row, the file it is from and what to do.
absl::Status check_fits(const Tokenizer& tokenizer, int64_t embedding_rows, std::string_view where);

// Trains byte-level BPE with the pre-tokenizer pattern `pre_tokenizer` ("gpt-2", "qwen2",
// "llama-bpe"). Deterministic: ties by pair text. `special` get the first ids. Errors:
// vocabulary_size below 256 + special.
struct BpeTrainerOptions {
  int64_t vocabulary_size = 1024;
  std::string pre_tokenizer = "qwen2";
  std::vector<std::string> special = {"<|endoftext|>"};
};
absl::StatusOr<std::shared_ptr<const Tokenizer>> train_bpe(std::span<const std::string> texts,
                                                           const BpeTrainerOptions& options);

// Whether save_tokenizer can write it. Errors: Unimplemented for other than byte-level BPE.
absl::Status check_can_save(const Tokenizer& tokenizer);

// llama.cpp's names of the pre-tokenizer patterns that are told by their pattern.
std::vector<std::string> named_pre_tokenizers();

// Writes tokenizer.json and tokenizer_config.json that Hugging Face tokenizers and
// onnxruntime-genai load (byte-level).
absl::Status save_tokenizer(const Tokenizer& tokenizer, const std::filesystem::path& folder);

}  // namespace frugal::text
