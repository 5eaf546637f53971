// Requests that share their beginnings, laid out so that what is shared runs once: a question's
// choices behind one context, and questions behind the examples that all of them begin with. Free
// of LibTorch.
//
// A row is a tree of one fork: a stem, and behind it one branch for each request. Places count
// along each branch; a token sees the prefix, the stem up to itself, and its own branch up to
// itself.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tasks/encoding.h"
#include "text/tokenizer.h"

namespace frugal::evaluate {

struct SharedRow {
  // ln p(target | what is seen by token `index` of the row).
  struct Query {
    int64_t index = 0;
    text::TokenId target = 0;
    size_t request = 0;  // of the question
  };
  size_t question = 0;
  std::vector<text::TokenId> ids;      // behind the prefix
  std::vector<int64_t> places;         // of each id in its sequence
  std::vector<int64_t> branch_begins;  // of each id behind the stem: where its branch begins
  int64_t stem = 0;
  std::vector<Query> queries;

  int64_t size() const { return static_cast<int64_t>(ids.size()); }
  bool forks() const { return size() > stem; }
};

struct SharedGroup {
  std::vector<text::TokenId> prefix;  // of all rows; may be empty
  std::vector<SharedRow> rows;        // the longest first
};

struct SharingOptions {
  bool share = true;      // false: every request has a row of its own
  int64_t most_seen = 0;  // tokens of prefix and row together; beyond it nothing is shared. 0: any
  // Tokens of all branches of a row: what a row's mask and attention cost is their square.
  int64_t most_branched = 4096;
  int64_t least_prefix = 32;  // shorter prefixes are not worth a forward of their own
};

// Every request of every question stands in exactly one row.
std::vector<SharedGroup> share_rows(std::span<const std::vector<tasks::EncodedRequest>> questions,
                                    const SharingOptions& options = {});

}  // namespace frugal::evaluate
