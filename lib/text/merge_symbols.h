// The heart of both kinds of BPE: join the best pair of neighbors until none is left, in O(n log n)
// by a heap whose outdated entries are recognized when they surface.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace frugal::text {

// A symbol covers bytes [begin, end) of the text; its neighbors are linked by index, -1 at the
// ends.
struct Symbol {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t previous = -1;
  int64_t next = -1;
  TokenId id = -1;
  bool alive = true;
  bool frozen = false;  // may not be joined (user-defined pieces of SentencePiece)
};

struct Merge {
  double priority = 0;  // smaller first; ties from left to right
  TokenId id = -1;      // of the joined symbol
};

// Buffers kept between words of one text.
struct MergeScratch {
  struct Candidate {
    double priority;
    int64_t left, right, end;
    TokenId id;
    bool operator<(const Candidate& other) const {  // for a max-heap whose top is the best
      return priority != other.priority ? priority > other.priority : left > other.left;
    }
  };
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
  std::vector<TokenId> ids;
  int64_t looked_up = 0;  // pairs that a merge was looked for, since the object was made

  // Appends a symbol behind the last one.
  void push(int64_t begin, int64_t end, TokenId id, bool frozen = false) {
    const auto index = static_cast<int64_t>(symbols.size());
    if (index > 0) symbols.back().next = index;
    symbols.push_back(Symbol{begin, end, index - 1, -1, id, true, frozen});
  }
};

// Joins `scratch.symbols`. `find(left, right)`: the merge of two neighbors, if there is one.
// `joined(left, right, id)` is called before each join.
template <typename Find, typename Joined>
void merge_symbols(MergeScratch& scratch, const Find& find, const Joined& joined) {
  std::vector<Symbol>& symbols = scratch.symbols;
  auto& heap = scratch.heap;
  heap.clear();
  const auto consider = [&](int64_t left, int64_t right) {
    if (left < 0 || right < 0) return;
    ++scratch.looked_up;
    const std::optional<Merge> merge = find(symbols[left], symbols[right]);
    if (!merge) return;
    heap.push_back({merge->priority, left, right, symbols[right].end, merge->id});
    std::push_heap(heap.begin(), heap.end());
  };
  for (int64_t i = 0; i + 1 < static_cast<int64_t>(symbols.size()); ++i) consider(i, i + 1);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const MergeScratch::Candidate best = heap.back();
    heap.pop_back();
    Symbol& left = symbols[best.left];
    Symbol& right = symbols[best.right];
    // Outdated where either side was joined to something else since.
    if (!left.alive || left.next != best.right || right.end != best.end) continue;
    joined(left, right, best.id);
    left.end = right.end;
    left.id = best.id;
    left.next = right.next;
    right.alive = false;
    if (left.next >= 0) symbols[left.next].previous = best.left;
    consider(left.previous, best.left);
    consider(best.left, left.next);
  }
}

}  // namespace frugal::text
