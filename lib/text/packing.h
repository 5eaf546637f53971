// Packed training sequences: whole documents side by side in rows of equal length.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "text/dataset.h"
#include "text/tokenizer.h"

namespace frugal::text {

struct PackedTokens;

// Sequences that can be had in any order, wherever they lie.
class SequenceReader {
 public:
  virtual ~SequenceReader() = default;
  virtual int64_t count() const = 0;
  virtual int64_t tokens_each() const = 0;
  // Those numbers of `rows`, in this order. Errors: of reading.
  virtual absl::StatusOr<PackedTokens> read(std::span<const int64_t> rows) const = 0;
};

// Sequences in memory. Documents follow each other; attention must not cross `segments` and loss
// counts where `loss_mask` is 1.
struct PackedTokens final : SequenceReader {
  int64_t sequences = 0;
  int64_t length = 0;        // tokens per sequence
  std::vector<TokenId> ids;  // [sequences, length]
  std::vector<int32_t>
      segments;  // [sequences, length], document number inside the sequence, from 0; padding = -1
  std::vector<int32_t> positions;  // [sequences, length], position inside the document
  std::vector<uint8_t>
      loss_mask;  // [sequences, length]: 1 where predicting ids[t] (from t-1) counts

  int64_t count() const override { return sequences; }
  int64_t tokens_each() const override { return length; }
  absl::StatusOr<PackedTokens> read(std::span<const int64_t> rows) const override;
};

struct PackOptions {
  int64_t length = 256;         // tokens per sequence
  bool loss_on_prompt = false;  // false: only completion tokens count where there is a prompt
  bool add_bos = true;          // where the tokenizer has one
  bool add_eos = true;          // behind each document, where the tokenizer has one
  uint64_t seed = 1;            // order of documents
};

// First-fit packing of whole documents in a random order; longer ones are cut into pieces of
// `length`, each a segment of its own. Every row of length `length` holds at least one document;
// the rest is padding. Ids and the index of the rows go to files without a name in `folder` (which
// must exist): memory holds one record, or a window of a text, whatever the size of the data.
// Errors: those of stream_examples; no tokens; a full disk.
absl::StatusOr<std::unique_ptr<const SequenceReader>> pack(const DataSource& source,
                                                           const Tokenizer& tokenizer,
                                                           const PackOptions& options,
                                                           const std::filesystem::path& folder);

// The same of whatever `examples` gives to the sink.
absl::StatusOr<std::unique_ptr<const SequenceReader>> pack(
    const std::function<absl::Status(ExampleSink&)>& examples, const Tokenizer& tokenizer,
    const PackOptions& options, const std::filesystem::path& folder);

}  // namespace frugal::text
