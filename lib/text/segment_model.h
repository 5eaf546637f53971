// What turns one piece of normalized text into ids.
#pragma once

#include <string_view>
#include <vector>

#include "text/merge_symbols.h"

namespace frugal::text {

class SegmentModel {
 public:
  virtual ~SegmentModel() = default;
  // Appends the ids of `segment` (valid UTF-8) to `ids`.
  virtual void encode(std::string_view segment, MergeScratch& scratch,
                      std::vector<TokenId>& ids) const = 0;
};

}  // namespace frugal::text
