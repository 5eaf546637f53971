#include "text/packing.h"

#include <algorithm>
#include <utility>

#include "base/random.h"
#include "base/scratch.h"

namespace frugal::text {
namespace {

namespace fs = std::filesystem;
using base::ScratchArray;
using base::ScratchFile;

// A document, or a part of a long one: `tokens` ids from `offset` on, and as many loss flags behind
// them.
struct Piece {
  int64_t offset = 0;
  int64_t tokens = 0;
};

// The first row with room, in O(log rows): a tree over the rows whose nodes hold the most room
// below them.
class FirstFit {
 public:
  static absl::StatusOr<FirstFit> create(size_t rows, int64_t length, const fs::path& folder) {
    size_t leaves = 1;
    while (leaves < rows) leaves *= 2;
    FRUGAL_ASSIGN_OR_RETURN(auto room, ScratchArray<int64_t>::create(folder, 2 * leaves));
    std::fill(room.values().begin(), room.values().end(), length);
    return FirstFit(std::move(room), leaves);
  }

  // Takes `size` (at most the row length) from the first row that has as much; returns the row.
  size_t place(int64_t size) {
    const std::span<int64_t> room = room_.values();
    size_t node = 1;
    while (node < leaves_) node = room[2 * node] >= size ? 2 * node : 2 * node + 1;
    room[node] -= size;
    const size_t row = node - leaves_;
    while (node > 1) {
      node /= 2;
      room[node] = std::max(room[2 * node], room[2 * node + 1]);
    }
    return row;
  }

 private:
  FirstFit(ScratchArray<int64_t> room, size_t leaves) : room_(std::move(room)), leaves_(leaves) {}
  ScratchArray<int64_t> room_;
  size_t leaves_;
};

// Which pieces lie in which row, in their order there.
struct Rows {
  ScratchArray<int64_t> begins;  // [rows + 1], into `pieces`
  ScratchArray<Piece> pieces;
  int64_t count() const { return static_cast<int64_t>(begins.values().size()) - 1; }
};

absl::StatusOr<Rows> place_in_rows(std::span<const Piece> pieces, int64_t length,
                                   const fs::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(FirstFit fit, FirstFit::create(pieces.size(), length, folder));
  FRUGAL_ASSIGN_OR_RETURN(const auto row_of, ScratchArray<size_t>::create(folder, pieces.size()));
  size_t rows = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    row_of.values()[i] = fit.place(pieces[i].tokens);
    rows = std::max(rows, row_of.values()[i] + 1);
  }
  FRUGAL_ASSIGN_OR_RETURN(auto begins, ScratchArray<int64_t>::create(folder, rows + 1));
  FRUGAL_ASSIGN_OR_RETURN(auto next, ScratchArray<int64_t>::create(folder, rows));
  FRUGAL_ASSIGN_OR_RETURN(auto sorted, ScratchArray<Piece>::create(folder, pieces.size()));
  for (const size_t row : row_of.values()) ++begins.values()[row + 1];
  for (size_t row = 0; row < rows; ++row) {
    next.values()[row] = begins.values()[row];
    begins.values()[row + 1] += begins.values()[row];
  }
  for (size_t i = 0; i < pieces.size(); ++i)
    sorted.values()[static_cast<size_t>(next.values()[row_of.values()[i]]++)] = pieces[i];
  return Rows{std::move(begins), std::move(sorted)};
}

class PackedFile final : public SequenceReader {
 public:
  PackedFile(ScratchFile tokens, Rows rows, int64_t length, TokenId padding)
      : tokens_(std::move(tokens)), rows_(std::move(rows)), length_(length), padding_(padding) {}

  int64_t count() const override { return rows_.count(); }
  int64_t tokens_each() const override { return length_; }

  absl::StatusOr<PackedTokens> read(std::span<const int64_t> rows) const override {
    PackedTokens packed;
    packed.length = length_;
    for (const int64_t row : rows) {
      if (row < 0 || row >= count())
        return base::internal("packing: row ", row, " of ", count(), " was asked for");
      FRUGAL_RETURN_IF_ERROR(append_row(static_cast<size_t>(row), packed));
    }
    return packed;
  }

 private:
  absl::Status append_row(size_t row, PackedTokens& packed) const {
    const auto begins = rows_.begins.values();
    int32_t segment = 0;
    for (int64_t i = begins[row]; i < begins[row + 1]; ++i)
      FRUGAL_RETURN_IF_ERROR(
          append_piece(rows_.pieces.values()[static_cast<size_t>(i)], segment++, packed));
    const auto end = static_cast<size_t>(++packed.sequences * length_);
    packed.ids.resize(end, padding_);
    packed.loss_mask.resize(end, 0);
    packed.segments.resize(end, -1);
    packed.positions.resize(end, 0);
    return absl::OkStatus();
  }

  absl::Status append_piece(const Piece& piece, int32_t segment, PackedTokens& packed) const {
    const size_t before = packed.ids.size();
    const auto tokens = static_cast<size_t>(piece.tokens);
    packed.ids.resize(before + tokens);
    packed.loss_mask.resize(before + tokens);
    const auto ids = std::as_writable_bytes(std::span(packed.ids).subspan(before));
    FRUGAL_RETURN_IF_ERROR(tokens_.read(piece.offset, ids));
    FRUGAL_RETURN_IF_ERROR(
        tokens_.read(piece.offset + static_cast<int64_t>(ids.size()),
                     std::as_writable_bytes(std::span(packed.loss_mask).subspan(before))));
    packed.segments.insert(packed.segments.end(), tokens, segment);
    for (size_t i = 0; i < tokens; ++i) packed.positions.push_back(static_cast<int32_t>(i));
    return absl::OkStatus();
  }

  ScratchFile tokens_;
  Rows rows_;
  int64_t length_;
  TokenId padding_;
};

// Turns examples into pieces as they come.
class Packer final : public ExampleSink {
 public:
  Packer(const Tokenizer& tokenizer, const PackOptions& options, ScratchFile tokens,
         ScratchFile index)
      : tokenizer_(tokenizer),
        options_(options),
        tokens_(std::move(tokens)),
        index_(std::move(index)),
        text_(tokenizer.stream()) {}

  absl::StatusOr<bool> take(Example example) override {
    const EncodedExample encoded = encode_example(tokenizer_, example);
    if (!example.chat) FRUGAL_RETURN_IF_ERROR(begin_document());
    for (size_t i = 0; i < encoded.ids.size(); ++i) {
      FRUGAL_RETURN_IF_ERROR(add(encoded.ids[i], options_.loss_on_prompt || answers(encoded, i)));
    }
    return example.chat ? end_pieces() : end_document();
  }

  absl::Status take_part(std::string_view part) override {
    if (!in_text_) FRUGAL_RETURN_IF_ERROR(begin_document());
    in_text_ = true;
    text_->feed(part, settled_);
    return add_settled();
  }

  absl::StatusOr<bool> end_text(std::string) override {
    if (!in_text_) FRUGAL_RETURN_IF_ERROR(begin_document());
    in_text_ = false;
    text_->finish(settled_);
    FRUGAL_RETURN_IF_ERROR(add_settled());
    return end_document();
  }

  absl::StatusOr<std::unique_ptr<const SequenceReader>> finish(const fs::path& folder) && {
    const auto count = static_cast<size_t>(index_.size_bytes()) / sizeof(Piece);
    if (count == 0)
      return base::invalid_argument("packing: no tokens in ", documents_, " examples");
    FRUGAL_ASSIGN_OR_RETURN(const auto pieces, ScratchArray<Piece>::create(folder, count));
    FRUGAL_RETURN_IF_ERROR(index_.read(0, std::as_writable_bytes(pieces.values())));
    base::RandomStream(options_.seed, "text/pack").shuffle(pieces.values());
    FRUGAL_ASSIGN_OR_RETURN(Rows rows, place_in_rows(pieces.values(), options_.length, folder));
    const Vocabulary& vocabulary = tokenizer_.vocabulary();
    const TokenId padding = vocabulary.padding.value_or(vocabulary.eos.value_or(0));
    return std::make_unique<const PackedFile>(std::move(tokens_), std::move(rows), options_.length,
                                              padding);
  }

 private:
  // Whether id `i` is what the model is to say.
  static bool answers(const EncodedExample& encoded, size_t i) {
    const auto at = static_cast<int64_t>(i);
    return at >= encoded.prompt_tokens ||
           std::any_of(
               encoded.earlier_answers.begin(), encoded.earlier_answers.end(),
               [&](const auto& answer) { return at >= answer.first && at < answer.second; });
  }

  absl::Status begin_document() {
    const Vocabulary& vocabulary = tokenizer_.vocabulary();
    return options_.add_bos && vocabulary.bos ? add(*vocabulary.bos, false) : absl::OkStatus();
  }

  absl::StatusOr<bool> end_document() {
    const Vocabulary& vocabulary = tokenizer_.vocabulary();
    if (options_.add_eos && vocabulary.eos) FRUGAL_RETURN_IF_ERROR(add(*vocabulary.eos, true));
    return end_pieces();
  }

  absl::StatusOr<bool> end_pieces() {
    if (!ids_.empty()) FRUGAL_RETURN_IF_ERROR(end_piece());
    ++documents_;
    return true;
  }

  absl::Status add_settled() {
    for (const TokenId id : settled_) FRUGAL_RETURN_IF_ERROR(add(id, true));
    settled_.clear();
    return absl::OkStatus();
  }

  absl::Status add(TokenId id, bool counts) {
    ids_.push_back(id);
    loss_.push_back(counts ? 1 : 0);
    return static_cast<int64_t>(ids_.size()) == options_.length ? end_piece() : absl::OkStatus();
  }

  // A piece's first id has nothing before it to be predicted from.
  absl::Status end_piece() {
    loss_.front() = 0;
    const Piece piece{tokens_.size_bytes(), static_cast<int64_t>(ids_.size())};
    FRUGAL_RETURN_IF_ERROR(tokens_.append(std::as_bytes(std::span(ids_))));
    FRUGAL_RETURN_IF_ERROR(tokens_.append(std::as_bytes(std::span(loss_))));
    ids_.clear();
    loss_.clear();
    return index_.append(std::as_bytes(std::span(&piece, 1)));
  }

  const Tokenizer& tokenizer_;
  const PackOptions options_;
  ScratchFile tokens_;
  ScratchFile index_;  // a Piece for each
  std::unique_ptr<EncodingStream> text_;
  std::vector<TokenId> settled_;
  std::vector<TokenId> ids_;  // of the piece that is being filled
  std::vector<uint8_t> loss_;
  bool in_text_ = false;
  int64_t documents_ = 0;
};

}  // namespace

namespace {

// How many of `ids` are those of the text's beginning by itself.
int64_t tokens_before(const Tokenizer& tokenizer, std::string_view beginning,
                      const std::vector<TokenId>& ids) {
  const std::vector<TokenId> alone = tokenizer.encode(beginning, false);
  const size_t common = std::min(alone.size(), ids.size());
  return std::mismatch(alone.begin(), alone.begin() + static_cast<std::ptrdiff_t>(common),
                       ids.begin())
             .first -
         alone.begin();
}

}  // namespace

EncodedExample encode_example(const Tokenizer& tokenizer, std::string_view prompt,
                              std::string_view completion) {
  EncodedExample encoded;
  std::string both(prompt);
  both += completion;
  encoded.ids = tokenizer.encode(both, false);
  encoded.prompt_tokens = tokens_before(tokenizer, prompt, encoded.ids);
  return encoded;
}

EncodedExample encode_example(const Tokenizer& tokenizer, const Example& example) {
  EncodedExample encoded = encode_example(tokenizer, example.prompt, example.completion);
  const std::string_view prompt = example.prompt;
  for (const auto& [begin, end] : example.earlier_answers) {
    encoded.earlier_answers.emplace_back(
        tokens_before(tokenizer, prompt.substr(0, begin), encoded.ids),
        tokens_before(tokenizer, prompt.substr(0, end), encoded.ids));
  }
  return encoded;
}

absl::StatusOr<PackedTokens> PackedTokens::read(std::span<const int64_t> rows) const {
  const auto size = static_cast<size_t>(sequences * length);
  if (ids.size() != size || segments.size() != size || positions.size() != size ||
      loss_mask.size() != size)
    return base::internal("packed arrays do not have ", size, " entries each");
  PackedTokens some;
  some.length = length;
  some.sequences = static_cast<int64_t>(rows.size());
  const auto take = [&](const auto& from, auto& to) {
    for (const int64_t row : rows) {
      const auto begin = from.begin() + row * length;
      to.insert(to.end(), begin, begin + length);
    }
  };
  for (const int64_t row : rows) {
    if (row < 0 || row >= sequences)
      return base::internal("packing: row ", row, " of ", sequences, " was asked for");
  }
  take(ids, some.ids);
  take(segments, some.segments);
  take(positions, some.positions);
  take(loss_mask, some.loss_mask);
  return some;
}

absl::StatusOr<std::unique_ptr<const SequenceReader>> pack(
    const std::function<absl::Status(ExampleSink&)>& examples, const Tokenizer& tokenizer,
    const PackOptions& options, const fs::path& folder) {
  if (options.length < 2) {
    return base::invalid_argument("sequence_length ", options.length,
                                  ": predicting needs at least 2 tokens");
  }
  FRUGAL_ASSIGN_OR_RETURN(ScratchFile tokens, ScratchFile::create(folder));
  FRUGAL_ASSIGN_OR_RETURN(ScratchFile index, ScratchFile::create(folder));
  Packer packer(tokenizer, options, std::move(tokens), std::move(index));
  FRUGAL_RETURN_IF_ERROR(examples(packer));
  return std::move(packer).finish(folder);
}

absl::StatusOr<std::unique_ptr<const SequenceReader>> pack(const DataSource& source,
                                                           const Tokenizer& tokenizer,
                                                           const PackOptions& options,
                                                           const fs::path& folder) {
  return pack([&](ExampleSink& sink) { return stream_examples(source, tokenizer, sink); },
              tokenizer, options, folder);
}

}  // namespace frugal::text
