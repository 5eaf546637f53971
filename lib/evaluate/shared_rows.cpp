#include "evaluate/shared_rows.h"

#include <algorithm>
#include <numeric>

namespace frugal::evaluate {
namespace {

using Ids = std::vector<text::TokenId>;
using Requests = std::vector<tasks::EncodedRequest>;

size_t common(std::span<const text::TokenId> a, std::span<const text::TokenId> b) {
  const size_t most = std::min(a.size(), b.size());
  size_t length = 0;
  while (length < most && a[length] == b[length]) ++length;
  return length;
}

// What the model reads of a request: all but the last id.
std::span<const text::TokenId> input_of(const tasks::EncodedRequest& request) {
  return std::span(request.ids).first(request.ids.size() - 1);
}

// What all requests of a question begin with.
size_t stem_of(const Requests& requests) {
  size_t length = input_of(requests.front()).size();
  for (const tasks::EncodedRequest& request : requests)
    length = std::min(length, common(input_of(requests.front()), input_of(request)));
  return length;
}

// How much of a question may be a prefix: every place that is asked for must lie behind it.
size_t longest_prefix(const Requests& requests) {
  size_t length = stem_of(requests);
  for (const tasks::EncodedRequest& request : requests)
    length = std::min(length, input_of(request).size() - static_cast<size_t>(request.scored));
  return length;
}

class RowBuilder {
 public:
  RowBuilder(size_t question, std::span<const text::TokenId> stem, size_t prefix)
      : prefix_(static_cast<int64_t>(prefix)), whole_stem_(static_cast<int64_t>(stem.size())) {
    row_.question = question;
    for (size_t place = prefix; place < stem.size(); ++place) add(stem[place], place);
    row_.stem = row_.size();
  }

  void add_request(const tasks::EncodedRequest& request, size_t number) {
    const std::span<const text::TokenId> input = input_of(request);
    const int64_t begin = row_.size();
    for (size_t place = static_cast<size_t>(whole_stem_); place < input.size(); ++place) {
      add(input[place], place);
      row_.branch_begins.push_back(begin);
    }
    const auto end = static_cast<int64_t>(request.ids.size());
    for (int64_t target = end - request.scored; target < end; ++target) {
      const int64_t place = target - 1;
      const int64_t index = place < whole_stem_ ? place - prefix_ : begin + (place - whole_stem_);
      row_.queries.push_back({index, request.ids[static_cast<size_t>(target)], number});
    }
  }
  SharedRow take() { return std::move(row_); }

 private:
  void add(text::TokenId id, size_t place) {
    row_.ids.push_back(id);
    row_.places.push_back(static_cast<int64_t>(place));
  }
  SharedRow row_;
  int64_t prefix_, whole_stem_;
};

void add_apart(const Requests& requests, size_t question, SharedGroup& group) {
  for (size_t i = 0; i < requests.size(); ++i) {
    RowBuilder row(question, input_of(requests[i]), 0);
    row.add_request(requests[i], i);
    group.rows.push_back(row.take());
  }
}

SharedRow row_of(const Requests& requests, size_t question, size_t prefix) {
  RowBuilder row(question, input_of(requests.front()).first(stem_of(requests)), prefix);
  for (size_t i = 0; i < requests.size(); ++i) row.add_request(requests[i], i);
  return row.take();
}

class Sharing {
 public:
  Sharing(std::span<const Requests> questions, const SharingOptions& options)
      : questions_(questions), options_(options) {}

  std::vector<SharedGroup> run() {
    std::vector<size_t> sharing;
    for (size_t q = 0; q < questions_.size(); ++q) {
      if (!questions_[q].empty() && may_share(questions_[q]))
        sharing.push_back(q);
      else
        add_apart(questions_[q], q, alone_);
    }
    std::stable_sort(sharing.begin(), sharing.end(), [&](size_t a, size_t b) {
      return std::ranges::lexicographical_compare(questions_[a].front().ids,
                                                  questions_[b].front().ids);
    });
    for (size_t begin = 0; begin < sharing.size();) begin = take_group(sharing, begin);
    if (!alone_.rows.empty()) groups_.push_back(std::move(alone_));
    for (SharedGroup& group : groups_) {
      std::stable_sort(group.rows.begin(), group.rows.end(),
                       [](const auto& a, const auto& b) { return a.size() > b.size(); });
    }
    return std::move(groups_);
  }

 private:
  bool may_share(const Requests& requests) const {
    if (!options_.share) return false;
    const size_t stem = stem_of(requests);
    size_t branched = 0;
    for (const tasks::EncodedRequest& request : requests)
      branched += input_of(request).size() - stem;
    if (static_cast<int64_t>(branched) > options_.most_branched) return false;
    return options_.most_seen == 0 || static_cast<int64_t>(stem + branched) <= options_.most_seen;
  }

  // Neighbors in the order of their ids share most. A group goes on while that costs its prefix no
  // more than a quarter.
  size_t take_group(const std::vector<size_t>& order, size_t begin) {
    const Requests& first = questions_[order[begin]];
    size_t prefix = longest_prefix(first), start = 0, end = begin + 1;
    for (; end < order.size(); ++end) {
      const Requests& next = questions_[order[end]];
      const size_t shared =
          std::min({prefix, longest_prefix(next), common(first.front().ids, next.front().ids)});
      if (shared < static_cast<size_t>(options_.least_prefix)) break;
      if (end == begin + 1) start = shared;
      if (4 * shared < 3 * start) break;
      prefix = shared;
    }
    if (end == begin + 1) {
      alone_.rows.push_back(row_of(first, order[begin], 0));
      return end;
    }
    SharedGroup& group = groups_.emplace_back();
    group.prefix.assign(first.front().ids.begin(),
                        first.front().ids.begin() + static_cast<std::ptrdiff_t>(prefix));
    for (size_t i = begin; i < end; ++i)
      group.rows.push_back(row_of(questions_[order[i]], order[i], prefix));
    return end;
  }

  std::span<const Requests> questions_;
  const SharingOptions& options_;
  SharedGroup alone_;  // without a prefix
  std::vector<SharedGroup> groups_;
};

}  // namespace

std::vector<SharedGroup> share_rows(std::span<const Requests> questions,
                                    const SharingOptions& options) {
  return Sharing(questions, options).run();
}

}  // namespace frugal::evaluate
