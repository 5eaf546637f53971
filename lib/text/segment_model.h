// What turns one piece of normalized text into ids.
#pragma once

#include <string_view>
#include <vector>

#include "text/merge_symbols.h"
#include "text/word_boundaries.h"

namespace frugal::text {

class SegmentModel {
 public:
  virtual ~SegmentModel() = default;
  // Appends the ids of `segment` (valid UTF-8) to `ids`.
  virtual void encode(std::string_view segment, MergeScratch& scratch,
                      std::vector<TokenId>& ids) const = 0;

  // Where segments may be taken apart: the ids of the parts are together those of the whole.
  const WordBoundaries& boundaries() const { return boundaries_; }

 protected:
  WordBoundaries boundaries_;
};

}  // namespace frugal::text
