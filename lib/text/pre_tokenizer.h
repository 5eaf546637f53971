// Pre-tokenizers of tokenizer.json: Split, Digits, Whitespace, WhitespaceSplit, Punctuation,
// BertPreTokenizer, CharDelimiterSplit, ByteLevel, Metaspace, Sequence. They cut a text into the
// segments that the model sees one by one.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/json.h"
#include "base/status.h"
#include "text/regex.h"

namespace frugal::text {

class PreTokenizer {
 public:
  // `json` null: the whole text is one segment. Errors: Unimplemented for a component we do not
  // know (named).
  static absl::StatusOr<PreTokenizer> parse(const base::Json& json);

  // Where a text stands in what is encoded.
  enum class Place {
    kStart,      // it begins the whole input (Metaspace's prepend_scheme "first")
    kInside,     // behind an added token
    kContinued,  // it goes on from a cut: nothing is put in front of it
  };

  // Calls `segment` for the segments of `text`, in order; they live as long as the call.
  using Segment = absl::FunctionRef<void(std::string_view)>;
  void split(std::string_view text, Place place, Segment segment) const;

  // Offsets in `text`, which may go on, between segments: cut there, the two halves (the second one
  // kContinued) have together the segments of the whole, whatever follows. Ascending; some may be
  // left out.
  std::vector<size_t> cuts(std::string_view text, Place place) const;

  // Whether no step cuts a text but at spaces, if there are any left, so that what is between them
  // is for the model alone to cut.
  bool leaves_words_whole() const;
  // Whether spaces become "▁" here and cut nothing.
  bool marks_spaces() const;

  // llama.cpp's name of this pre-tokenizer ("gpt-2", "llama-bpe", "qwen2", "smollm", "gpt-4o"),
  // empty where it has none.
  std::string llamacpp_name() const;

  bool byte_level() const { return byte_level_; }
  bool prepends_space() const;

 private:
  enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
  struct Step {
    enum class Kind { kSplit, kDigits, kAddPrefixSpace, kMetaspace };
    Kind kind = Kind::kSplit;
    std::shared_ptr<const Regex> pattern;
    Behavior behavior = Behavior::kIsolated;
    bool invert = false;
    std::string replacement;     // Metaspace: usually "▁"
    std::string prepend_scheme;  // Metaspace: always, first, never
  };

  absl::Status add(const base::Json& json, int depth);
  absl::Status add_split(const base::Json& json);
  absl::Status add_pattern(Step::Kind kind, std::string_view pattern, Behavior behavior,
                           bool invert = false);
  absl::Status add_delimiter(const base::Json& json);
  absl::Status add_byte_level(const base::Json& json);
  absl::Status add_metaspace(const base::Json& json);
  static absl::StatusOr<Behavior> parse_behavior(const base::Json& json);
  struct Piece {
    size_t begin;
    size_t end;
    bool match;
  };
  // Whether a step keeps `piece` and the one before it together.
  static bool joins(Behavior behavior, const Piece& before, const Piece& piece);
  // Calls `part(begin, end)` for what the step makes of `text`.
  static void cut(const Step& step, std::string_view text,
                  absl::FunctionRef<void(size_t, size_t)> part);
  // `text` as the step writes it; `storage` where that is something else.
  static std::string_view rewrite(const Step& step, std::string_view text, Place place,
                                  std::string& storage);
  void apply(size_t step, std::string_view text, Place place, Segment segment) const;

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

// The pattern of llama.cpp's pre-tokenizer `name`; empty where there is none.
std::string_view pre_tokenizer_pattern(std::string_view name);

// What llama.cpp does where a file names a pre-tokenizer (llama-vocab.cpp).
struct NamedPreTokenizer {
  base::Json component;        // of tokenizer.json
  bool ignore_merges = false;  // a segment that is a piece is taken whole
  bool add_bos = false;        // where the file does not say
};
// By one of llama.cpp's names; several may mean one pattern. Errors: Unimplemented for a pattern
// that frugal does not have, with the names that are read.
absl::StatusOr<NamedPreTokenizer> named_pre_tokenizer(std::string_view name);

}  // namespace frugal::text
