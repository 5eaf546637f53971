#include "grid_properties.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>

#include "grid/half.h"

namespace frugal::grid {
namespace {

using Bytes = std::vector<std::byte>;

Bytes random_bytes(base::RandomStream& random, int64_t count) {
  Bytes bytes(static_cast<size_t>(count));
  for (std::byte& value : bytes) value = static_cast<std::byte>(random.below(256));
  return bytes;
}

// A golden file read front to back.
class Golden {
 public:
  explicit Golden(const std::string& file) {
    std::ifstream stream(std::string(FRUGAL_GOLDEN) + "/" + file, std::ios::binary);
    data_.assign(std::istreambuf_iterator<char>(stream), {});
    EXPECT_GT(data_.size(), 4u) << file;
  }
  template <typename T>
  std::vector<T> take(int64_t count) {
    std::vector<T> values(static_cast<size_t>(count));
    const size_t size = values.size() * sizeof(T);
    if (position_ + size > data_.size()) throw std::out_of_range("golden file ends early");
    std::memcpy(values.data(), data_.data() + position_, size);
    position_ += size;
    return values;
  }
  bool at_end() const { return position_ == data_.size(); }

 private:
  std::vector<char> data_;
  size_t position_ = 0;
};

std::vector<float> decode_codes(const Grid& grid, const std::byte* parameters,
                                const std::vector<uint8_t>& codes) {
  std::vector<float> decoded(codes.size());
  grid.decode(parameters, codes.data(), decoded.data());
  return decoded;
}

}  // namespace

std::shared_ptr<const Grid> grid_or_die(std::string_view name, int64_t row_columns) {
  auto grid = find_grid(name, row_columns);
  if (!grid.ok()) throw std::runtime_error(grid.status().ToString());
  return *grid;
}

std::vector<float> normal_weights(base::RandomStream& random, int64_t count, double sigma) {
  std::vector<float> x(static_cast<size_t>(count));
  for (float& value : x) value = static_cast<float>(random.normal() * sigma);
  return x;
}

std::vector<float> heavy_weights(base::RandomStream& random, int64_t count) {
  std::vector<float> x = normal_weights(random, count);
  for (float& value : x) {
    if (random.bernoulli(0.03)) value *= 6;
  }
  return x;
}

std::vector<float> uneven_importance(base::RandomStream& random, int64_t count) {
  std::vector<float> importance(static_cast<size_t>(count));
  for (float& value : importance) value = static_cast<float>(std::exp(2 * random.normal()));
  return importance;
}

double weighted_error(const Grid& grid, const std::vector<float>& x,
                      const std::vector<float>& importance, const std::byte* parameters) {
  std::vector<uint8_t> codes(x.size());
  grid.encode(x.data(), parameters, codes.data());
  const std::vector<float> decoded = decode_codes(grid, parameters, codes);
  double mean_square = 0;
  for (const float value : x)
    mean_square += static_cast<double>(value) * value / static_cast<double>(x.size());
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double weight = (importance.empty() ? 1.0 : importance[i]) *
                          std::sqrt(2 * mean_square + static_cast<double>(x[i]) * x[i]);
    const double error = static_cast<double>(x[i]) - decoded[i];
    sum += weight * error * error;
  }
  return sum;
}

void expect_golden_decode(const Grid& grid, const std::string& file) {
  const GridSpec& spec = grid.spec();
  Golden golden(file);
  const uint32_t count = golden.take<uint32_t>(1)[0];
  for (uint32_t b = 0; b < count; ++b) {
    const auto block = golden.take<std::byte>(spec.block_bytes);
    const auto expected = golden.take<float>(spec.block_columns);
    Bytes parameters(static_cast<size_t>(spec.parameter_bytes));
    std::vector<uint8_t> codes(static_cast<size_t>(spec.block_columns));
    grid.unpack(block.data(), parameters.data(), codes.data());
    const std::vector<float> decoded = decode_codes(grid, parameters.data(), codes);
    for (size_t i = 0; i < decoded.size(); ++i) {
      if (std::isnan(expected[i]) && std::isnan(decoded[i])) continue;
      ASSERT_EQ(std::bit_cast<uint32_t>(decoded[i]), std::bit_cast<uint32_t>(expected[i]))
          << spec.name << " block " << b << " element " << i << ": " << decoded[i] << " for "
          << expected[i];
    }
  }
  EXPECT_TRUE(golden.at_end());
}

void expect_golden_encode(const Grid& grid, const std::string& file) {
  const GridSpec& spec = grid.spec();
  Golden golden(file);
  const uint32_t count = golden.take<uint32_t>(1)[0];
  for (uint32_t b = 0; b < count; ++b) {
    const auto x = golden.take<float>(spec.block_columns);
    const auto expected = golden.take<std::byte>(spec.block_bytes);
    Bytes parameters(static_cast<size_t>(spec.parameter_bytes));
    std::vector<uint8_t> codes(x.size());
    grid.fit(x, {}, /*search=*/false, parameters.data());
    grid.encode(x.data(), parameters.data(), codes.data());
    Bytes block(static_cast<size_t>(spec.block_bytes));
    grid.pack(parameters.data(), codes.data(), block.data());
    // The reference divides by the scale before it is rounded to fp16, we by the one that is
    // decoded. They agree in the first half of the file, where that scale is a value of fp16;
    // elsewhere only the scales (and offsets) must.
    const size_t compared =
        b < count / 2 ? block.size() : static_cast<size_t>(spec.parameter_bytes);
    EXPECT_EQ(std::memcmp(block.data(), expected.data(), compared), 0)
        << spec.name << " block " << b;

    std::vector<uint8_t> reference_codes(x.size());
    grid.unpack(expected.data(), parameters.data(), reference_codes.data());
    const auto reference = decode_codes(grid, parameters.data(), reference_codes);
    const auto ours = decode_codes(grid, parameters.data(), codes);
    for (size_t i = 0; i < x.size(); ++i) {
      // (x / scale carries a rounding of 2^-23: near a tie either neighbor is as near.)
      EXPECT_LE(std::fabs(ours[i] - x[i]), std::fabs(reference[i] - x[i]) * (1 + 1e-4f))
          << b << " " << i;
    }
  }
  EXPECT_TRUE(golden.at_end());
}

Bytes written_block(const Grid& grid, base::RandomStream& random) {
  const GridSpec& spec = grid.spec();
  const auto x = heavy_weights(random, spec.block_columns);
  Bytes parameters(static_cast<size_t>(spec.parameter_bytes));
  std::vector<uint8_t> codes(x.size());
  grid.fit(x, {}, true, parameters.data());
  grid.encode(x.data(), parameters.data(), codes.data());
  Bytes block(static_cast<size_t>(spec.block_bytes));
  grid.pack(parameters.data(), codes.data(), block.data());
  EXPECT_TRUE(grid.readable(block.data())) << spec.name;
  return block;
}

// Of a block's parameters and codes.
int64_t bits_of(const GridSpec& spec) {
  const int64_t code_bits = std::bit_width(spec.levels.size() - 1);
  return spec.parameter_bytes * 8 + code_bits * spec.block_columns;
}

void expect_pack_inverts_unpack(const Grid& grid) {
  const GridSpec& spec = grid.spec();
  base::RandomStream random(1, "grid/pack/" + spec.name);
  for (int round = 0; round < 20; ++round) {
    Bytes block = random_bytes(random, spec.block_bytes);
    // (A grid may have two bit patterns for zero, some for no number, and bits behind the last
    // code: what it wrote itself is packed back.)
    const bool padded = !spec.ggml_type && spec.block_bytes * 8 != bits_of(spec);
    const bool spare = !std::has_single_bit(spec.levels.size());
    if (spare || padded) block = written_block(grid, random);
    Bytes parameters(static_cast<size_t>(spec.parameter_bytes));
    std::vector<uint8_t> codes(static_cast<size_t>(spec.block_columns));
    grid.unpack(block.data(), parameters.data(), codes.data());
    for (const uint8_t code : codes) ASSERT_LT(code, spec.levels.size());
    Bytes packed(block.size());
    grid.pack(parameters.data(), codes.data(), packed.data());
    EXPECT_EQ(packed, block) << spec.name;
  }
}

void expect_snap_inverts_expand(const Grid& grid, int smallest_top_code) {
  const GridSpec& spec = grid.spec();
  const int64_t groups = spec.groups_per_block();
  base::RandomStream random(2, "grid/snap/" + spec.name);
  for (int round = 0; round < 20; ++round) {
    const auto x = normal_weights(random, spec.block_columns);
    Bytes parameters(static_cast<size_t>(spec.parameter_bytes));
    grid.fit(x, {}, true, parameters.data());
    std::vector<float> scale(groups), offset(groups), scale_again(groups), offset_again(groups);
    grid.expand(parameters.data(), scale.data(), offset.data());
    Bytes snapped(parameters.size());
    grid.snap(scale.data(), offset.data(), snapped.data());
    grid.expand(snapped.data(), scale_again.data(), offset_again.data());
    for (int64_t g = 0; g < groups; ++g) {
      if (spec.free_scale) {
        EXPECT_EQ(scale_again[g], scale[g]) << spec.name;
        EXPECT_EQ(offset_again[g], offset[g]) << spec.name;
      } else {
        // Snapping may choose another super-scale: then each sub-scale is off by at most half of
        // it (and fp16's rounding).
        const auto step = [&](const std::vector<float>& values) {
          float largest = 0;
          for (const float value : values) largest = std::max(largest, std::fabs(value));
          return largest / static_cast<float>(smallest_top_code);
        };
        EXPECT_NEAR(scale_again[g], scale[g], 0.51f * step(scale)) << spec.name;
        EXPECT_NEAR(offset_again[g], offset[g], 0.51f * step(offset)) << spec.name;
      }
    }
  }
}

void expect_set_group_keeps_stored_values(const Grid& grid) {
  const GridSpec& spec = grid.spec();
  const int64_t groups = spec.groups_per_block();
  base::RandomStream random(3, "grid/set_group/" + spec.name);
  const auto x = normal_weights(random, spec.block_columns);
  Bytes parameters(static_cast<size_t>(spec.parameter_bytes));
  grid.fit(x, {}, true, parameters.data());
  std::vector<float> scale(groups), offset(groups);
  grid.expand(parameters.data(), scale.data(), offset.data());
  for (int64_t g = 0; g < groups; ++g) {
    Bytes changed = parameters;
    grid.set_group(g, scale[g], offset[g], changed.data());
    EXPECT_EQ(changed, parameters) << spec.name << " group " << g;
    grid.set_group(g, 0, 0, changed.data());
    std::vector<float> scale_after(groups), offset_after(groups);
    grid.expand(changed.data(), scale_after.data(), offset_after.data());
    for (int64_t other = 0; other < groups; ++other) {
      EXPECT_EQ(scale_after[other], other == g ? 0.0f : scale[other]);
      if (other != g) {
        EXPECT_EQ(offset_after[other], offset[other]);
      }
    }
  }
  Bytes doubled = parameters;
  grid.multiply(2, 2, doubled.data());
  std::vector<float> scale_after(groups), offset_after(groups);
  grid.expand(doubled.data(), scale_after.data(), offset_after.data());
  for (int64_t g = 0; g < groups; ++g) {
    EXPECT_EQ(scale_after[g], 2 * scale[g]) << spec.name;
    EXPECT_EQ(offset_after[g], 2 * offset[g]) << spec.name;
  }
}

void expect_encode_is_nearest(const Grid& grid) {
  const GridSpec& spec = grid.spec();
  base::RandomStream random(4, "grid/encode/" + spec.name);
  const auto x = heavy_weights(random, spec.block_columns);
  Bytes parameters(static_cast<size_t>(spec.parameter_bytes));
  grid.fit(x, {}, false, parameters.data());
  std::vector<uint8_t> codes(x.size());
  grid.encode(x.data(), parameters.data(), codes.data());
  std::vector<float> scale(spec.groups_per_block()), offset(spec.groups_per_block());
  grid.expand(parameters.data(), scale.data(), offset.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const int64_t g = static_cast<int64_t>(i) / spec.group_columns;
    EXPECT_EQ(codes[i], grid.nearest_code((x[i] - offset[g]) * inverse_scale(scale[g])));
    const float error = std::fabs(scale[g] * spec.levels[codes[i]] + offset[g] - x[i]);
    for (const float level : spec.levels) {
      // (x - offset) * (1 / scale) is rounded three times at 2^-24.
      const float reach = std::max(std::fabs(spec.levels.front()), std::fabs(spec.levels.back()));
      EXPECT_LE(error, std::fabs(scale[g] * level + offset[g] - x[i]) +
                           std::fabs(scale[g]) * reach * 3 * 0x1p-23f);
    }
  }
}

void expect_search_never_worse_than_plain(const Grid& grid) {
  const GridSpec& spec = grid.spec();
  base::RandomStream random(5, "grid/search/" + spec.name);
  double searched_total = 0;
  double plain_total = 0;
  for (int round = 0; round < 60; ++round) {
    const auto x = round % 2 == 0 ? normal_weights(random, spec.block_columns)
                                  : heavy_weights(random, spec.block_columns);
    const auto importance =
        round % 3 == 0 ? std::vector<float>() : uneven_importance(random, spec.block_columns);
    Bytes plain(static_cast<size_t>(spec.parameter_bytes));
    Bytes searched(plain.size());
    grid.fit(x, importance, false, plain.data());
    grid.fit(x, importance, true, searched.data());
    const double plain_error = weighted_error(grid, x, importance, plain.data());
    const double searched_error = weighted_error(grid, x, importance, searched.data());
    // The search adds in float: n sums of relative rounding 2^-24 each, on either side.
    const double rounding = 2 * static_cast<double>(spec.block_columns) * 0x1p-24;
    EXPECT_LE(searched_error, plain_error * (1 + rounding)) << spec.name << " round " << round;
    plain_total += plain_error;
    searched_total += searched_error;
  }
  EXPECT_LT(searched_total, 0.97 * plain_total) << spec.name << ": the search finds nothing";
  ::testing::Test::RecordProperty((spec.name + "_search_over_plain").c_str(),
                                  std::to_string(searched_total / plain_total));
}

namespace {

// Parameters of blocks that lie one behind the other, all fitted at once.
Bytes fit_fast_together(const Grid& grid, const std::vector<float>& x,
                        const std::vector<float>& importance) {
  const GridSpec& spec = grid.spec();
  const auto count = static_cast<int64_t>(x.size()) / spec.block_columns;
  Bytes parameters(static_cast<size_t>(count * spec.parameter_bytes));
  std::vector<BlockToFit> blocks;
  for (int64_t b = 0; b < count; ++b) {
    blocks.push_back(
        {.x = &x[b * spec.block_columns],
         .importance = importance.empty() ? nullptr : &importance[b * spec.block_columns],
         .parameters = &parameters[b * spec.parameter_bytes]});
  }
  grid.fit_fast(blocks);
  return parameters;
}

Bytes fitted(const Grid& grid, const std::vector<float>& x, const std::vector<float>& importance,
             ScaleSearch search) {
  if (search == ScaleSearch::kFast) return fit_fast_together(grid, x, importance);
  Bytes parameters(static_cast<size_t>(grid.spec().parameter_bytes));
  grid.fit(x, importance, search == ScaleSearch::kFull, parameters.data());
  return parameters;
}

std::vector<float> block_of(const std::vector<float>& values, int64_t block, int64_t width) {
  if (values.empty()) return {};
  return {values.begin() + block * width, values.begin() + (block + 1) * width};
}

}  // namespace

// More blocks than go side by side, some of them alike in sign, of nothing or of no importance.
void expect_fast_search_never_worse_than_plain(const Grid& grid) {
  const GridSpec& spec = grid.spec();
  constexpr int64_t kBlocks = 37;
  base::RandomStream random(7, "grid/fast/" + spec.name);
  double plain_total = 0, fast_total = 0, full_total = 0;
  for (int round = 0; round < 4; ++round) {
    auto x = heavy_weights(random, kBlocks * spec.block_columns);
    auto importance = round % 2 == 0 ? std::vector<float>()
                                     : uneven_importance(random, kBlocks * spec.block_columns);
    for (int64_t i = 0; i < spec.block_columns; ++i) {
      x[3 * spec.block_columns + i] = std::fabs(x[3 * spec.block_columns + i]);
      x[4 * spec.block_columns + i] = 0;
      x[5 * spec.block_columns + i] = i % 2 == 0 ? -0.5f : 0.5f;  // both extremes of one size
      if (!importance.empty()) importance[6 * spec.block_columns + i] = 0;
    }
    const Bytes together = fit_fast_together(grid, x, importance);
    for (int64_t b = 0; b < kBlocks; ++b) {
      const std::vector<float> block = block_of(x, b, spec.block_columns);
      const std::vector<float> weighted = block_of(importance, b, spec.block_columns);
      const std::byte* const fast = &together[b * spec.parameter_bytes];
      const Bytes alone = fit_fast_together(grid, block, weighted);
      EXPECT_EQ(std::memcmp(fast, alone.data(), alone.size()), 0)
          << spec.name << ": block " << b << " depends on its neighbors";
      Bytes plain(alone.size()), full(alone.size());
      grid.fit(block, weighted, false, plain.data());
      grid.fit(block, weighted, true, full.data());
      // Where no weight counts, none does more than another.
      const bool counts = b != 6 || weighted.empty();
      const double plain_error =
          weighted_error(grid, block, counts ? weighted : std::vector<float>(), plain.data());
      const double fast_error =
          weighted_error(grid, block, counts ? weighted : std::vector<float>(), fast);
      // As in expect_search_never_worse_than_plain.
      const double rounding = 2 * static_cast<double>(spec.block_columns) * 0x1p-24;
      EXPECT_LE(fast_error, plain_error * (1 + rounding)) << spec.name << " block " << b;
      plain_total += plain_error;
      fast_total += fast_error;
      full_total +=
          weighted_error(grid, block, counts ? weighted : std::vector<float>(), full.data());
    }
  }
  EXPECT_LT(fast_total, 0.97 * plain_total) << spec.name << ": the fast search finds nothing";
  ::testing::Test::RecordProperty((spec.name + "_fast_over_full").c_str(),
                                  std::to_string(fast_total / full_total));
}

void expect_zero_blocks_decode_to_zero(const Grid& grid) {
  const GridSpec& spec = grid.spec();
  for (const float value : {0.0f, -0.0f, 1e-30f, -1e-38f, 1e-45f}) {
    for (const ScaleSearch search : {ScaleSearch::kNone, ScaleSearch::kFast, ScaleSearch::kFull}) {
      const std::vector<float> x(static_cast<size_t>(spec.block_columns), value);
      const std::vector<float> importance(x.size(), 0.0f);
      const Bytes parameters = fitted(grid, x, importance, search);
      std::vector<uint8_t> codes(x.size());
      grid.encode(x.data(), parameters.data(), codes.data());
      for (const float decoded : decode_codes(grid, parameters.data(), codes))
        EXPECT_EQ(decoded, 0.0f) << spec.name;
    }
  }
}

void expect_extreme_magnitudes_stay_finite(const Grid& grid) {
  const GridSpec& spec = grid.spec();
  base::RandomStream random(6, "grid/extreme/" + spec.name);
  for (const float magnitude : {1e-7f, 1e-3f, 1e3f, 1e7f, 1e20f, 3e38f}) {
    std::vector<float> x = normal_weights(random, spec.block_columns, 0.2);
    for (float& value : x) value = std::clamp(value, -1.0f, 1.0f) * magnitude;
    for (const ScaleSearch search : {ScaleSearch::kNone, ScaleSearch::kFast, ScaleSearch::kFull}) {
      const Bytes parameters =
          fitted(grid, x, uneven_importance(random, spec.block_columns), search);
      std::vector<uint8_t> codes(x.size());
      grid.encode(x.data(), parameters.data(), codes.data());
      const auto decoded = decode_codes(grid, parameters.data(), codes);
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_TRUE(std::isfinite(decoded[i])) << spec.name << " " << magnitude;
        // Saturated or not, a weight of noticeable size keeps its sign (few levels may take it to
        // zero).
        if (magnitude >= 1e-3f && std::fabs(x[i]) > 0.4f * magnitude) {
          if (spec.levels.size() < 8 && decoded[i] == 0) continue;
          EXPECT_EQ(std::signbit(decoded[i]), std::signbit(x[i])) << spec.name;
        }
      }
    }
  }
}

void expect_all_properties(const Grid& grid, int smallest_top_code) {
  const GridSpec& spec = grid.spec();
  EXPECT_EQ(spec.block_columns % spec.group_columns, 0);
  EXPECT_TRUE(std::is_sorted(spec.levels.begin(), spec.levels.end()));
  EXPECT_EQ(find_grid(spec.name, spec.block_columns).value()->spec().name, spec.name);
  expect_pack_inverts_unpack(grid);
  expect_snap_inverts_expand(grid, smallest_top_code);
  expect_set_group_keeps_stored_values(grid);
  expect_encode_is_nearest(grid);
  expect_search_never_worse_than_plain(grid);
  expect_fast_search_never_worse_than_plain(grid);
  expect_zero_blocks_decode_to_zero(grid);
  expect_extreme_magnitudes_stay_finite(grid);
}

}  // namespace frugal::grid
