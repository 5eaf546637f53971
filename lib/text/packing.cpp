#include <algorithm>
#include <numeric>

#include "base/random.h"
#include "text/dataset.h"

namespace frugal::text {
namespace {

struct Document {
  std::vector<TokenId> ids;
  std::vector<uint8_t> loss;
};

// The first row with room, in O(log rows): a tree over the rows whose nodes hold the most room
// below them.
class FirstFit {
 public:
  FirstFit(size_t rows, int64_t length) : leaves_(1) {
    while (leaves_ < rows) leaves_ *= 2;
    room_.assign(2 * leaves_, length);
  }

  // Takes `size` (at most the row length) from the first row that has as much; returns the row.
  size_t place(int64_t size) {
    size_t node = 1;
    while (node < leaves_) node = room_[2 * node] >= size ? 2 * node : 2 * node + 1;
    room_[node] -= size;
    const size_t row = node - leaves_;
    while (node > 1) {
      node /= 2;
      room_[node] = std::max(room_[2 * node], room_[2 * node + 1]);
    }
    return row;
  }

 private:
  size_t leaves_;
  std::vector<int64_t> room_;
};

Document make_document(const Example& example, const Tokenizer& tokenizer,
                       const PackOptions& options) {
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  const EncodedExample encoded = encode_example(tokenizer, example.prompt, example.completion);
  Document document;
  const auto add = [&](TokenId id, bool counts) {
    document.ids.push_back(id);
    document.loss.push_back(counts ? 1 : 0);
  };
  if (options.add_bos && vocabulary.bos) add(*vocabulary.bos, false);
  for (size_t i = 0; i < encoded.ids.size(); ++i) {
    add(encoded.ids[i], options.loss_on_prompt || static_cast<int64_t>(i) >= encoded.prompt_tokens);
  }
  if (options.add_eos && vocabulary.eos) add(*vocabulary.eos, true);
  return document;
}

// Documents no longer than a row; a piece's first id has nothing before it to be predicted from.
void append_pieces(Document document, int64_t length, std::vector<Document>& pieces) {
  const auto size = static_cast<int64_t>(document.ids.size());
  for (int64_t begin = 0; begin < size; begin += length) {
    const int64_t end = std::min(begin + length, size);
    Document piece;
    piece.ids.assign(document.ids.begin() + begin, document.ids.begin() + end);
    piece.loss.assign(document.loss.begin() + begin, document.loss.begin() + end);
    piece.loss.front() = 0;
    pieces.push_back(std::move(piece));
  }
}

void fill_row(const std::vector<const Document*>& documents, TokenId padding, int64_t length,
              PackedTokens& packed) {
  int32_t segment = 0;
  size_t used = 0;
  for (const Document* document : documents) {
    packed.ids.insert(packed.ids.end(), document->ids.begin(), document->ids.end());
    packed.loss_mask.insert(packed.loss_mask.end(), document->loss.begin(), document->loss.end());
    packed.segments.insert(packed.segments.end(), document->ids.size(), segment++);
    for (size_t i = 0; i < document->ids.size(); ++i)
      packed.positions.push_back(static_cast<int32_t>(i));
    used += document->ids.size();
  }
  const size_t rest = static_cast<size_t>(length) - used;
  packed.ids.insert(packed.ids.end(), rest, padding);
  packed.loss_mask.insert(packed.loss_mask.end(), rest, 0);
  packed.segments.insert(packed.segments.end(), rest, -1);
  packed.positions.insert(packed.positions.end(), rest, 0);
}

}  // namespace

EncodedExample encode_example(const Tokenizer& tokenizer, std::string_view prompt,
                              std::string_view completion) {
  EncodedExample encoded;
  std::string both(prompt);
  both += completion;
  encoded.ids = tokenizer.encode(both, false);
  const std::vector<TokenId> alone = tokenizer.encode(prompt, false);
  const size_t common = std::min(alone.size(), encoded.ids.size());
  const auto differ = std::mismatch(
      alone.begin(), alone.begin() + static_cast<std::ptrdiff_t>(common), encoded.ids.begin());
  encoded.prompt_tokens = differ.first - alone.begin();
  return encoded;
}

absl::StatusOr<PackedTokens> pack(const std::vector<Example>& examples, const Tokenizer& tokenizer,
                                  const PackOptions& options) {
  if (options.length < 2) {
    return base::invalid_argument("sequence_length ", options.length,
                                  ": predicting needs at least 2 tokens");
  }
  std::vector<Document> pieces;
  for (const Example& example : examples) {
    append_pieces(make_document(example, tokenizer, options), options.length, pieces);
  }
  if (pieces.empty())
    return base::invalid_argument("packing: no tokens in ", examples.size(), " examples");
  base::RandomStream(options.seed, "text/pack").shuffle(std::span(pieces));
  FirstFit fit(pieces.size(), options.length);
  std::vector<std::vector<const Document*>> rows;
  for (const Document& piece : pieces) {
    const size_t row = fit.place(static_cast<int64_t>(piece.ids.size()));
    if (row >= rows.size()) rows.resize(row + 1);
    rows[row].push_back(&piece);
  }
  PackedTokens packed;
  packed.sequences = static_cast<int64_t>(rows.size());
  packed.length = options.length;
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  const TokenId padding = vocabulary.padding.value_or(vocabulary.eos.value_or(0));
  for (const auto& row : rows) fill_row(row, padding, options.length, packed);
  return packed;
}

}  // namespace frugal::text
