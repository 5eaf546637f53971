#include "tensor/block_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "tensor/aten.h"

namespace frugal::tensor {
namespace {

constexpr size_t kMebibyte = size_t{1} << 20;

TEST(BlockCache, GivesAWaitingBlockAgain) {
  BlockCache cache;
  void* const first = cache.take(2 * kMebibyte);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0);
  EXPECT_GE(cache.used_bytes(), static_cast<int64_t>(2 * kMebibyte));
  cache.give(first);
  EXPECT_EQ(cache.used_bytes(), 0);
  EXPECT_GE(cache.waiting_bytes(), static_cast<int64_t>(2 * kMebibyte));
  EXPECT_EQ(cache.take(2 * kMebibyte + 1000), first);
  EXPECT_EQ(cache.waiting_bytes(), 0);
  cache.give(first);
  cache.release();
  EXPECT_EQ(cache.waiting_bytes(), 0);
}

TEST(BlockCache, CutsWaitingBlocksAndJoinsNeighbors) {
  BlockCache cache;
  auto* const large = static_cast<unsigned char*>(cache.take(6 * kMebibyte));
  std::memset(large, 7, 6 * kMebibyte);  // resident
  cache.give(large);
  std::vector<unsigned char*> parts;
  for (int i = 0; i < 2; ++i)
    parts.push_back(static_cast<unsigned char*>(cache.take(2 * kMebibyte)));
  for (const unsigned char* const part : parts) {
    EXPECT_TRUE(part >= large && part + 2 * kMebibyte <= large + 6 * kMebibyte);
    EXPECT_EQ(part[kMebibyte], 7);  // the pages that were there
  }
  cache.give(parts[1]);
  cache.give(parts[0]);
  EXPECT_EQ(cache.take(6 * kMebibyte), large);
  EXPECT_EQ(large[5 * kMebibyte], 7);
  EXPECT_EQ(cache.waiting_bytes(), 0);
  cache.give(large);
}

TEST(BlockCache, WhatIsGivenBackIsGone) {
  BlockCache cache;
  auto* const block = static_cast<unsigned char*>(cache.take(4 * kMebibyte));
  std::memset(block, 7, 4 * kMebibyte);
  cache.give(block);
  cache.release();
  ASSERT_EQ(cache.take(4 * kMebibyte), block);  // the addresses are used again
  EXPECT_EQ(block[kMebibyte], 0);               // with fresh pages
  cache.give(block);
}

TEST(BlockCache, LeavesSmallBlocksToMalloc) {
  BlockCache cache;
  void* const data = cache.take(1000);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % 64, 0);
  std::memset(data, 1, 1000);
  EXPECT_EQ(cache.used_bytes(), 0);
  cache.give(data);
  cache.give(nullptr);
  EXPECT_EQ(cache.waiting_bytes(), 0);
}

// What the header promises: mapped bytes never exceed the most that was in use at once.
TEST(BlockCache, MapsNoMoreThanWasInUseAtOnce) {
  std::mt19937 random(5);
  BlockCache cache;
  std::vector<std::pair<unsigned char*, size_t>> held;
  int64_t most = 0;
  for (int i = 0; i < 3000; ++i) {
    if (held.size() < 12 && random() % 2 == 0) {
      const size_t bytes = kMebibyte / 4 + random() % (2 * kMebibyte);
      auto* const data = static_cast<unsigned char*>(cache.take(bytes));
      data[0] = data[bytes - 1] = static_cast<unsigned char>(bytes);
      held.emplace_back(data, bytes);
    } else if (!held.empty()) {
      const auto at = held.begin() + static_cast<std::ptrdiff_t>(random() % held.size());
      const auto mark = static_cast<unsigned char>(at->second);
      ASSERT_TRUE(at->first[0] == mark && at->first[at->second - 1] == mark);
      cache.give(at->first);
      held.erase(at);
    }
    most = std::max(most, cache.used_bytes());
    ASSERT_LE(cache.used_bytes() + cache.waiting_bytes(), most);
  }
  for (const auto& [data, bytes] : held) cache.give(data);
  EXPECT_EQ(cache.used_bytes(), 0);
}

TEST(BlockCache, ServesThreads) {
  BlockCache cache;
  const auto work = [&](size_t seed) {
    for (size_t i = 0; i < 500; ++i) {
      const size_t bytes = (1 + (seed + i) % 3) * kMebibyte / 2;
      auto* const data = static_cast<unsigned char*>(cache.take(bytes));
      data[bytes - 1] = static_cast<unsigned char>(seed);
      ASSERT_EQ(data[bytes - 1], static_cast<unsigned char>(seed));
      cache.give(data);
    }
  };
  std::thread other(work, 1);
  work(2);
  other.join();
  EXPECT_EQ(cache.used_bytes(), 0);
}

TEST(BlockCache, HoldsTensors) {
  const at::Tensor before = at::ones({600, 600});  // from LibTorch's own allocator
  use_block_cache();
  use_block_cache();
  for (const int64_t edge : {0, 3, 600}) {
    at::Tensor value = at::full({edge, edge}, 2.0F);
    EXPECT_EQ(value.sum().item<float>(), static_cast<float>(2 * edge * edge));
    value.resize_({edge + 200, edge + 200}).fill_(1);
    EXPECT_EQ(value.sum().item<float>(), static_cast<float>((edge + 200) * (edge + 200)));
  }
  release_waiting_blocks();
  EXPECT_EQ(before.sum().item<float>(), 360000.0F);
}

}  // namespace
}  // namespace frugal::tensor
