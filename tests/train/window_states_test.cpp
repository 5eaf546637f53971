#include "train/window_states.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <atomic>

#include "support/toy_model.h"
#include "tensor/aten.h"

namespace frugal::train {
namespace {

using namespace frugal::test;

constexpr int64_t kWidth = 32, kCount = 3, kLength = 8;
constexpr int64_t kEach = kLength * kWidth * 4;  // bytes of a window's states

TEST(WindowStates, IdsAreThoseOfTheWindow) {
  const text::Windows windows = toy_windows(kCount, kLength);
  const at::Tensor ids = window_ids(windows, 1, at::kCPU);
  EXPECT_EQ(ids.sizes(), at::IntArrayRef({1, kLength}));
  EXPECT_EQ(ids.scalar_type(), at::kLong);
  for (int64_t t = 0; t < kLength; ++t)
    EXPECT_EQ(ids[0][t].item<int64_t>(), windows.ids[kLength + t]);
}

TEST(WindowStates, EveryWindowComesOnce) {
  std::vector<std::atomic<int>> seen(37);
  for_each_window(at::kCPU, 37, [&](int64_t i) { ++seen[i]; });
  for (const auto& count : seen) EXPECT_EQ(count, 1);
  for_each_window(at::kCPU, 0, [](int64_t) { FAIL() << "there is no window"; });
}

TEST(WindowStates, AreTheModelsWithoutAGraph) {
  const model::Decoder decoder = toy_decoder({.layers = 1});
  const text::Windows windows = toy_windows(kCount, kLength);
  const WindowStates states(decoder, windows, 0);
  const at::NoGradGuard no_grad;
  for (int64_t i = 0; i < kCount; ++i) {
    text::Windows one = windows;
    one.count = 1;
    one.ids.assign(windows.ids.begin() + i * kLength, windows.ids.begin() + (i + 1) * kLength);
    const at::Tensor found = states.get(i);
    EXPECT_EQ(found.sizes(), at::IntArrayRef({kLength, kWidth}));
    EXPECT_FALSE(found.requires_grad());
    EXPECT_TRUE(at::equal(found, decoder.hidden(toy_batch(one))[0])) << i;
  }
}

TEST(WindowStates, WhatIsKeptIsGivenBackAsLongAsAllFit) {
  const model::Decoder decoder = toy_decoder({.layers = 1});
  const text::Windows windows = toy_windows(kCount, kLength);
  const at::Tensor marked = at::full({kLength, kWidth}, 4711.0F);
  WindowStates all(decoder, windows, kCount * kEach), none(decoder, windows, kCount * kEach - 1);
  for (WindowStates* const states : {&all, &none}) states->keep(1, marked);
  EXPECT_TRUE(all.get(1).is_same(marked));
  EXPECT_FALSE(at::equal(none.get(1), marked));     // one byte too few: none is kept
  EXPECT_TRUE(at::equal(all.get(0), none.get(0)));  // not seen yet: computed
}

}  // namespace
}  // namespace frugal::train
