#include "evaluate/shared_rows.h"

#include <gtest/gtest.h>

#include <set>

#include "base/random.h"

namespace frugal::evaluate {
namespace {

using Ids = std::vector<text::TokenId>;
using tasks::EncodedRequest;
using Questions = std::vector<std::vector<EncodedRequest>>;

// What the model sees when it is asked: the prefix, the stem up to the token, its branch up to it.
Ids seen(const SharedGroup& group, const SharedRow& row, int64_t index) {
  Ids ids = group.prefix;
  const int64_t stem = std::min(index + 1, row.stem);
  ids.insert(ids.end(), row.ids.begin(), row.ids.begin() + stem);
  if (index < row.stem) return ids;
  const int64_t begin = row.branch_begins[static_cast<size_t>(index - row.stem)];
  ids.insert(ids.end(), row.ids.begin() + begin, row.ids.begin() + index + 1);
  return ids;
}

// Every scored id of every request is asked for once, from exactly the ids in front of it, and
// every token stands at its place.
void expect_complete(const Questions& questions, const std::vector<SharedGroup>& groups) {
  std::set<std::tuple<size_t, size_t, size_t>> asked;  // question, request, scored id
  for (const SharedGroup& group : groups) {
    for (const SharedRow& row : group.rows) {
      ASSERT_EQ(row.ids.size(), row.places.size());
      ASSERT_EQ(row.branch_begins.size(), row.ids.size() - static_cast<size_t>(row.stem));
      for (const SharedRow::Query& query : row.queries) {
        const EncodedRequest& request = questions[row.question][query.request];
        const Ids before = seen(group, row, query.index);
        ASSERT_LT(before.size(), request.ids.size());
        EXPECT_EQ(before, Ids(request.ids.begin(),
                              request.ids.begin() + static_cast<std::ptrdiff_t>(before.size())));
        EXPECT_EQ(query.target, request.ids[before.size()]);
        EXPECT_EQ(row.places[static_cast<size_t>(query.index)],
                  static_cast<int64_t>(before.size()) - 1);
        EXPECT_TRUE(asked.emplace(row.question, query.request, before.size()).second);
      }
    }
  }
  size_t expected = 0;
  for (const auto& requests : questions) {
    for (const EncodedRequest& request : requests) expected += static_cast<size_t>(request.scored);
  }
  EXPECT_EQ(asked.size(), expected);
}

int64_t tokens(const std::vector<SharedGroup>& groups) {
  int64_t sum = 0;
  for (const SharedGroup& group : groups) {
    sum += static_cast<int64_t>(group.prefix.size());
    for (const SharedRow& row : group.rows) sum += row.size();
  }
  return sum;
}

TEST(SharedRows, ChoicesShareTheirContext) {
  const Questions questions = {
      {{{1, 2, 3, 10, 11}, 2}, {{1, 2, 3, 10, 12, 13}, 3}, {{1, 2, 3, 20}, 1}}};
  const auto groups = share_rows(questions);
  ASSERT_EQ(groups.size(), 1u);
  ASSERT_EQ(groups[0].rows.size(), 1u);
  const SharedRow& row = groups[0].rows[0];
  EXPECT_EQ(row.stem, 3);
  EXPECT_EQ(row.ids, (Ids{1, 2, 3, 10, 10, 12}));  // of a last id nothing is read
  EXPECT_EQ(row.places, (std::vector<int64_t>{0, 1, 2, 3, 3, 4}));
  expect_complete(questions, groups);
}

TEST(SharedRows, LongBranchesStandApart) {
  const Questions questions = {
      {{{1, 2, 3, 10, 11}, 2}, {{1, 2, 3, 10, 12, 13}, 3}, {{1, 2, 3, 20}, 1}}};
  EXPECT_EQ(share_rows(questions, {.most_branched = 3})[0].rows.size(), 1u);  // 1 + 2 + 0 tokens
  const auto groups = share_rows(questions, {.most_branched = 2});
  EXPECT_EQ(groups[0].rows.size(), 3u);
  expect_complete(questions, groups);
}

TEST(SharedRows, ChoicesOfOneTokenNeedNoBranch) {
  const Questions questions = {{{{1, 2, 10}, 1}, {{1, 2, 11}, 1}}};
  const auto groups = share_rows(questions);
  EXPECT_FALSE(groups[0].rows[0].forks());
  EXPECT_EQ(tokens(groups), 2);
  expect_complete(questions, groups);
}

// Forty tokens of examples, then a question and two choices.
Questions with_examples(int64_t count, uint64_t seed) {
  base::RandomStream random(seed, "test/shared-rows");
  Questions questions;
  for (int64_t q = 0; q < count; ++q) {
    std::vector<EncodedRequest>& requests = questions.emplace_back();
    Ids context;
    for (text::TokenId id = 0; id < 40; ++id) context.push_back(id);
    const auto length = static_cast<int64_t>(1 + random.below(6));
    for (int64_t t = 0; t < length; ++t)
      context.push_back(static_cast<text::TokenId>(random.below(3)));
    for (int choice = 0; choice < 2; ++choice) {
      Ids ids = context;
      const auto scored = static_cast<int64_t>(1 + random.below(4));
      for (int64_t t = 0; t < scored; ++t)
        ids.push_back(static_cast<text::TokenId>(random.below(3)));
      requests.push_back({ids, scored});
    }
  }
  return questions;
}

TEST(SharedRows, ExamplesRunOnceForAllQuestions) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Questions questions = with_examples(7, seed);
    const auto groups = share_rows(questions);
    ASSERT_EQ(groups.size(), 1u);
    EXPECT_GE(groups[0].prefix.size(), 32u);
    for (size_t i = 1; i < groups[0].rows.size(); ++i)
      EXPECT_GE(groups[0].rows[i - 1].size(), groups[0].rows[i].size());
    expect_complete(questions, groups);
  }
}

TEST(SharedRows, ShortBeginningsAreNoPrefix) {
  const Questions questions = with_examples(5, 1);
  const auto groups = share_rows(questions, {.least_prefix = 100});
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_TRUE(groups[0].prefix.empty());
  EXPECT_EQ(groups[0].rows.size(), 5u);
  expect_complete(questions, groups);
}

TEST(SharedRows, NothingIsSharedWhereItMayNot) {
  const Questions questions = with_examples(3, 2);
  for (const SharingOptions& options :
       {SharingOptions{.share = false}, SharingOptions{.most_seen = 40}}) {
    const auto groups = share_rows(questions, options);
    ASSERT_EQ(groups.size(), 1u);
    EXPECT_EQ(groups[0].rows.size(), 6u);
    for (const SharedRow& row : groups[0].rows) EXPECT_FALSE(row.forks());
    expect_complete(questions, groups);
  }
}

// The first scored id is predicted by the last of the context, which therefore is no prefix.
TEST(SharedRows, WhatIsAskedStandsBehindThePrefix) {
  Ids ids(60);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<text::TokenId>(i);
  const Questions questions = {{{ids, 10}}, {{ids, 20}}};
  const auto groups = share_rows(questions);
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0].prefix.size(), 39u);
  expect_complete(questions, groups);
}

}  // namespace
}  // namespace frugal::evaluate
