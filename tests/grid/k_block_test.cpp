#include "grid/k_block.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <vector>

namespace frugal::grid {
namespace {

std::vector<uint8_t> some_codes(int mask) {
  std::vector<uint8_t> codes(kKColumns);
  for (int i = 0; i < kKColumns; ++i) codes[i] = static_cast<uint8_t>((i * 37 + i / 7) & mask);
  return codes;
}

int bit_at(const std::vector<std::byte>& bytes, int byte, int bit) {
  return (std::to_integer<int>(bytes[byte]) >> bit) & 1;
}

TEST(BitPairs, LieWhereTheHeaderSays) {
  const std::vector<uint8_t> codes = some_codes(63);
  for (const int shift : {0, 2, 4}) {
    std::vector<std::byte> bytes(64);
    pack_bit_pairs(codes.data(), shift, bytes.data());
    for (int h = 0; h < 2; ++h) {
      for (int l = 0; l < 32; ++l) {
        for (int j = 0; j < 4; ++j) {
          const int stored = (std::to_integer<int>(bytes[32 * h + l]) >> (2 * j)) & 3;
          EXPECT_EQ(stored, (codes[128 * h + 32 * j + l] >> shift) & 3);
        }
      }
    }
    std::vector<uint8_t> back(kKColumns, 64);
    unpack_bit_pairs(bytes.data(), shift, back.data());
    for (int i = 0; i < kKColumns; ++i) EXPECT_EQ(back[i], 64 | (codes[i] & (3 << shift)));
  }
}

TEST(BitPlane, LiesWhereTheHeaderSays) {
  const std::vector<uint8_t> codes = some_codes(31);
  for (const int shift : {2, 4}) {
    std::vector<std::byte> bytes(32);
    pack_bit_plane(codes.data(), shift, bytes.data());
    for (int column = 0; column < kKColumns; ++column)
      EXPECT_EQ(bit_at(bytes, column % 32, column / 32), (codes[column] >> shift) & 1);
    std::vector<uint8_t> back(kKColumns, 64);
    unpack_bit_plane(bytes.data(), shift, back.data());
    for (int i = 0; i < kKColumns; ++i) EXPECT_EQ(back[i], 64 | (codes[i] & (1 << shift)));
  }
}

TEST(LowNibbles, LieWhereTheHeaderSays) {
  const std::vector<uint8_t> codes = some_codes(63);
  for (const int run : {32, 64}) {
    std::vector<std::byte> bytes(128);
    pack_low_nibbles(codes.data(), run, bytes.data());
    for (int column = 0; column < kKColumns; ++column) {
      const int pair = column / (2 * run), inside = column % (2 * run);
      const int byte = std::to_integer<int>(bytes[pair * run + inside % run]);
      EXPECT_EQ(inside < run ? byte & 15 : byte >> 4, codes[column] & 15) << run << " " << column;
    }
    std::vector<uint8_t> back(kKColumns, 255);
    unpack_low_nibbles(bytes.data(), run, back.data());
    for (int i = 0; i < kKColumns; ++i) EXPECT_EQ(back[i], codes[i] & 15);
  }
}

TEST(SubScaleCode, IsTheNearestInRange) {
  EXPECT_EQ(sub_scale_code(2.6f, 1.0f, 0, 63), 3.0f);
  EXPECT_EQ(sub_scale_code(1.3f, 0.5f, 0, 63), 3.0f);
  EXPECT_EQ(sub_scale_code(-5.0f, 1.0f, 0, 63), 0.0f);
  EXPECT_EQ(sub_scale_code(-5.0f, 1.0f, -32, 31), -5.0f);
  EXPECT_EQ(sub_scale_code(99.0f, 1.0f, 0, 63), 63.0f);
  EXPECT_EQ(sub_scale_code(std::numeric_limits<float>::quiet_NaN(), 1.0f, -32, 31), -32.0f);
}

TEST(KBlock, GroupsAreItsColumnsInOrder) {
  std::vector<float> x(kKColumns), weights(kKColumns);
  for (int i = 0; i < kKColumns; ++i) {
    x[i] = static_cast<float>(i);
    weights[i] = static_cast<float>(-i);
  }
  for (const int groups : {8, 16}) {
    KBlock block;
    block.x = x;
    block.weights = weights;
    block.groups = groups;
    EXPECT_EQ(block.columns(), kKColumns / groups);
    for (int j = 0; j < groups; ++j) {
      EXPECT_EQ(block.group_x(j).size(), static_cast<size_t>(block.columns()));
      EXPECT_EQ(block.group_x(j).front(), static_cast<float>(j * block.columns()));
      EXPECT_EQ(block.group_weights(j).back(), static_cast<float>(-(j + 1) * block.columns() + 1));
    }
  }
}

}  // namespace
}  // namespace frugal::grid
