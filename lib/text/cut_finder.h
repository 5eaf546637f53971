// Where a text that is not yet whole can be cut for encoding: the ids of the two halves, the second
// one going on, are those of the whole, whatever follows.
//
// A cut lies in front of an ASCII character and behind none that is a space. There
//   - no added token reaches over it or minds what is on its other side,
//   - the normalizer works on both halves as on the whole (nothing combines with ASCII),
//   - and the pre-tokenizer ends a segment, by a match that did not look at the text's end; or,
//   where
//     it knows no segments but by spaces, the model has no piece that could reach over it.
// Where one of these cannot be shown there is no cut: the text is then encoded as a whole.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/added_tokens.h"
#include "text/pipeline_tokenizer.h"

namespace frugal::text {

class CutFinder {
 public:
  // `raw` and `normalized` find the added tokens of `parts`; all three must outlive this.
  CutFinder(const TokenizerParts& parts, const AddedTokenMatcher& raw,
            const AddedTokenMatcher& normalized);

  // The last cut that is found in `text`, 0 where there is none. `continued`: `text` itself goes on
  // from a cut.
  size_t find(std::string_view text, bool continued) const;

 private:
  using Place = PreTokenizer::Place;
  size_t find_in_part(std::string_view text, TextPart part, bool continued) const;
  std::vector<size_t> cuts_of(std::string_view normalized, Place place) const;
  std::vector<size_t> model_cuts(std::string_view normalized) const;

  const TokenizerParts& parts_;
  const AddedTokenMatcher& raw_;
  const AddedTokenMatcher& normalized_;
  bool can_continue_ = false;
  bool model_cuts_ = false;  // nothing but the model's boundaries cuts between words
};

}  // namespace frugal::text
