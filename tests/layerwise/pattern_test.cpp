#include "layerwise/pruning/pattern.h"

#include <limits>

#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

TEST(Pattern, ReadsAndWritesItsText) {
  struct Case {
    const char *text, *canonical;
    Pattern pattern;
  };
  for (const Case& c :
       {Case{"50%", "50%", {.fraction = 0.5}}, Case{"0.5", "50%", {.fraction = 0.5}},
        Case{" 12.5 % ", "12.5%", {.fraction = 0.125}}, Case{"none", "none", {}},
        Case{"0", "none", {}}, Case{"2:4", "2:4", {.kept = 2, .group = 4}},
        Case{"4:8", "4:8", {.kept = 4, .group = 8}}, Case{"1:32", "1:32", {.kept = 1, .group = 32}},
        Case{"rows 25%", "rows 25%", {.fraction = 0.25, .of = PatternOf::kRows}},
        Case{" columns  0.125", "columns 12.5%", {.fraction = 0.125, .of = PatternOf::kColumns}},
        Case{"rows 0%", "none", {}}}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Pattern found, parse_pattern(c.text));
    EXPECT_EQ(found, c.pattern) << c.text;
    EXPECT_EQ(to_text(found), c.canonical);
    EXPECT_EQ(*parse_pattern(to_text(found)), found);
  }
}

TEST(Pattern, SaysWhatIsWrong) {
  for (const auto& [text, why] : {std::pair{"half", "none that is known"},
                                  {"", "none that is known"},
                                  {"50", "did you mean 50%"},
                                  {"100%", "leave no weight"},
                                  {"-0.1", "negative"},
                                  {"nan", "none that is known"},
                                  {"4:4", "not all"},
                                  {"0:4", "at least one"},
                                  {"2:64", "2 to 32"},
                                  {"2:", "whole numbers"},
                                  {"2:4:8", "whole numbers"},
                                  {"2.5:4", "whole numbers"},
                                  {"rows", "none that is known"},
                                  {"rows ", "none that is known"},
                                  {"rows 2:4", "needs a share"},
                                  {"columns 25", "did you mean columns 25%"},
                                  {"columns 100%", "leave no weight"},
                                  {"channels 25%", "rows 25%"}}) {
    const auto found = parse_pattern(text);
    FRUGAL_EXPECT_ERROR(found.status(), absl::StatusCode::kInvalidArgument, why);
  }
  FRUGAL_EXPECT_ERROR(check_pattern({.kept = 2, .group = 4}, 8, 30, "down"),
                      absl::StatusCode::kInvalidArgument, "rows of 30");
  FRUGAL_EXPECT_OK(check_pattern({.fraction = 0.3}, 8, 30, "down"));
  const Pattern rows{.fraction = 0.9, .of = PatternOf::kRows};
  const Pattern columns{.fraction = 0.01, .of = PatternOf::kColumns};
  FRUGAL_EXPECT_OK(check_pattern(rows, 8, 30, "down"));  // 7.2 of 8
  FRUGAL_EXPECT_ERROR(check_pattern(rows, 4, 30, "down"), absl::StatusCode::kInvalidArgument,
                      "down has 4 rows, of which rows 90% is all");
  FRUGAL_EXPECT_ERROR(check_pattern(columns, 8, 30, "down"), absl::StatusCode::kInvalidArgument,
                      "down has 30 columns, of which columns 1% is not one");
}

int64_t zeros_of(const at::Tensor& mask) { return (mask == 0).sum().item<int64_t>(); }

// Every row, matrix or block of columns has exactly the zeros asked for, and never a higher score
// among them than among the kept.
TEST(ChooseMask, ZerosAreExactAndTheLowest) {
  const at::Tensor scores = random_matrix(1, "scores", 37, 300).abs();
  for (const double fraction : {0.0, 0.1, 1.0 / 3, 0.5, 0.777, 0.999}) {
    const Pattern pattern{.fraction = fraction};
    const at::Tensor rows = choose_mask(scores, pattern, PatternScope::kRow);
    for (int64_t r = 0; r < 37; ++r) {
      EXPECT_EQ(zeros_of(rows[r]), std::llround(300 * fraction));
      const at::Tensor cut = scores[r].masked_select(rows[r] == 0);
      const at::Tensor kept = scores[r].masked_select(rows[r] != 0);
      if (cut.numel() == 0 || kept.numel() == 0) continue;
      EXPECT_LE(cut.max().item<float>(), kept.min().item<float>());
    }
    const at::Tensor whole = choose_mask(scores, pattern, PatternScope::kMatrix);
    EXPECT_EQ(zeros_of(whole), std::llround(37 * 300 * fraction));
    const at::Tensor blocks = choose_mask(scores, pattern, PatternScope::kBlock);
    EXPECT_EQ(zeros_of(blocks), zeros_of(whole));
    for (int64_t begin = 0; begin < 300; begin += 128) {
      const int64_t size = std::min<int64_t>(128, 300 - begin);
      EXPECT_NEAR(zeros_of(blocks.narrow(1, begin, size)), 37 * size * fraction, 1);
    }
    for (const PatternScope scope :
         {PatternScope::kRow, PatternScope::kMatrix, PatternScope::kBlock}) {
      EXPECT_EQ(zeros_of(choose_mask(scores, pattern, scope)), zero_count(pattern, scope, 37, 300));
    }
  }
}

TEST(ChooseMask, EveryGroupKeepsItsNumber) {
  const at::Tensor scores = random_matrix(2, "scores", 70, 96).abs();
  for (const auto& [kept, group] : {std::pair<int64_t, int64_t>{2, 4}, {4, 8}, {1, 4}, {7, 32}}) {
    const Pattern pattern{.kept = kept, .group = group};
    const at::Tensor mask = choose_mask(scores, pattern, PatternScope::kMatrix);
    EXPECT_TRUE(mask.view({70, -1, group}).sum(2).eq(kept).all().item<bool>());
    EXPECT_EQ(zeros_of(mask), zero_count(pattern, PatternScope::kRow, 70, 96));
    const at::Tensor s = scores.view({70, -1, group}), m = mask.view({70, -1, group});
    EXPECT_TRUE(s.masked_fill(m == 0, 1e9)
                    .amin(2)
                    .ge(s.masked_fill(m != 0, -1).amax(2))
                    .all()
                    .item<bool>());
  }
}

TEST(ChooseMask, WholeRowsAndColumnsAreExactAndTheLowest) {
  const at::Tensor values = random_matrix(4, "scores", 1, 37).abs();
  for (const double fraction : {0.1, 1.0 / 3, 0.5, 0.9}) {
    for (const PatternOf of : {PatternOf::kRows, PatternOf::kColumns}) {
      const bool rows = of == PatternOf::kRows;
      const Pattern pattern{.fraction = fraction, .of = of};
      const at::Tensor scores = rows ? values.t().contiguous() : values;
      for (const PatternScope scope : {PatternScope::kRow, PatternScope::kBlock}) {
        const at::Tensor mask = choose_mask(scores, pattern, scope);
        EXPECT_EQ(mask.sizes(), scores.sizes());
        EXPECT_EQ(zeros_of(mask), std::llround(37 * fraction));
        EXPECT_LE(scores.masked_select(mask == 0).max().item<float>(),
                  scores.masked_select(mask != 0).min().item<float>());
        EXPECT_EQ(zero_count(pattern, scope, rows ? 37 : 8, rows ? 8 : 37), 8 * zeros_of(mask));
      }
      EXPECT_THROW(choose_mask(scores.t(), pattern, PatternScope::kRow), c10::Error);
    }
  }
}

TEST(ChooseMask, TiesKeepTheLowerColumn) {
  const at::Tensor scores = at::ones({3, 8});
  for (const Pattern& pattern : {Pattern{.fraction = 0.5}, Pattern{.kept = 4, .group = 8}}) {
    const at::Tensor mask = choose_mask(scores, pattern, PatternScope::kRow);
    EXPECT_TRUE(mask.narrow(1, 0, 4).eq(1).all().item<bool>());
    EXPECT_EQ(zeros_of(mask), 12);
  }
}

TEST(ChooseMask, SameAtAnyThreadCount) {
  const at::Tensor scores = random_matrix(3, "scores", 300, 256).abs();
  for (const PatternScope scope :
       {PatternScope::kRow, PatternScope::kMatrix, PatternScope::kBlock}) {
    const ThreadCount one(1);
    const at::Tensor expected = choose_mask(scores, {.fraction = 0.4}, scope);
    const ThreadCount three(3);
    EXPECT_TRUE(choose_mask(scores, {.fraction = 0.4}, scope).equal(expected));
  }
}

TEST(ChooseMask, RefusesNan) {
  at::Tensor scores = at::ones({2, 8});
  scores[1][3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_ANY_THROW(choose_mask(scores, {.fraction = 0.5}, PatternScope::kRow));
}

}  // namespace
}  // namespace frugal::layerwise
