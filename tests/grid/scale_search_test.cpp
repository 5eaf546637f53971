#include "grid/scale_search.h"

#include <cmath>
#include <cstring>

#include "grid/half.h"
#include "grid/scale_kernels.h"
#include "grid_properties.h"

namespace frugal::grid {
namespace {

Candidates random_candidates(base::RandomStream& random) {
  Candidates candidates;
  for (int i = 0; i < kCandidates; ++i) {
    candidates.scale[i] = i == 0 ? 0.0f : static_cast<float>(random.normal() * 0.02);
    candidates.offset[i] = i % 2 == 0 ? 0.0f : static_cast<float>(random.normal() * 0.02);
  }
  return candidates;
}

TEST(ScaleSearch, EveryInstructionSetGivesTheSameBits) {
  base::RandomStream random(1, "scale_search/bits");
  for (const char* name :
       {"q4_0", "q8_0", "iq4_nl", "q4_k", "q2_k", "q3_k", "nf4", "fp8", "nvfp4", "q2_0", "tq2_0"}) {
    const auto grid = grid_or_die(name, 64);
    const LevelTable table = grid->table();
    for (const int64_t count : {1, 15, 32, 100}) {
      std::vector<float> x = heavy_weights(random, count);
      if (count == 100) x[7] = std::nanf(""), x[8] = INFINITY, x[9] = -3e38f, x[10] = 1e-40f;
      const auto weights = uneven_importance(random, count);
      const Candidates candidates = random_candidates(random);
      CandidateSums expected, found;
      std::vector<uint8_t> expected_codes(x.size()), codes(x.size());
      const ScaleKernel& plain = scale_kernels().back();
      plain.sums(x.data(), weights.data(), count, candidates, table, expected);
      plain.encode(x.data(), count, 0.013f, -0.02f, table, expected_codes.data());
      for (const ScaleKernel& kernel : scale_kernels()) {
        if (!kernel.available()) continue;
        kernel.sums(x.data(), weights.data(), count, candidates, table, found);
        if (count != 100) {
          EXPECT_EQ(std::memcmp(&found, &expected, sizeof found), 0) << kernel.name << " " << name;
        }
        kernel.encode(x.data(), count, 0.013f, -0.02f, table, codes.data());
        EXPECT_EQ(codes, expected_codes) << kernel.name << " " << name;
      }
      for (int64_t i = 0; i < count; ++i) {
        EXPECT_EQ(codes[i], grid->nearest_code((x[i] + 0.02f) * (1 / 0.013f))) << x[i];
      }
    }
  }
}

TEST(ScaleKernels, EveryBuildIsInTheTable) {
  const ScaleKernel& plain = scale_kernels().back();
  EXPECT_EQ(plain.sums, &plain_sums);
  EXPECT_EQ(plain.correlate, &plain_correlate);
  EXPECT_EQ(plain.encode, &plain_encode);
  EXPECT_EQ(plain.group_scales, &plain_group_scales);
  EXPECT_EQ(plain.group_pairs, &plain_group_pairs);
  EXPECT_EQ(plain.group_sums, &plain_group_sums);
  EXPECT_EQ(plain.group_range, &plain_group_range);
  EXPECT_EQ(plain.group_multiply, &plain_group_multiply);
  EXPECT_EQ(plain.group_weigh, &plain_group_weigh);
  EXPECT_EQ(plain.group_moments, &plain_group_moments);
  EXPECT_TRUE(plain.available());
#if FRUGAL_X86_TARGETS
  ASSERT_EQ(scale_kernels().size(), 3u);
  const ScaleKernel &avx512 = scale_kernels()[0], &avx2 = scale_kernels()[1];
  EXPECT_EQ(avx512.sums, &avx512_sums);
  EXPECT_EQ(avx512.correlate, &avx512_correlate);
  EXPECT_EQ(avx512.encode, &avx512_encode);
  EXPECT_EQ(avx512.group_scales, &avx512_group_scales);
  EXPECT_EQ(avx512.group_pairs, &avx512_group_pairs);
  EXPECT_EQ(avx512.group_sums, &avx512_group_sums);
  EXPECT_EQ(avx512.group_range, &avx512_group_range);
  EXPECT_EQ(avx512.group_multiply, &avx512_group_multiply);
  EXPECT_EQ(avx512.group_weigh, &avx512_group_weigh);
  EXPECT_EQ(avx512.group_moments, &avx512_group_moments);
  EXPECT_EQ(avx512.available(), has_avx512());
  EXPECT_EQ(avx2.sums, &avx2_sums);
  EXPECT_EQ(avx2.correlate, &avx2_correlate);
  EXPECT_EQ(avx2.encode, &avx2_encode);
  EXPECT_EQ(avx2.group_scales, &avx2_group_scales);
  EXPECT_EQ(avx2.group_pairs, &avx2_group_pairs);
  EXPECT_EQ(avx2.group_sums, &avx2_group_sums);
  EXPECT_EQ(avx2.group_range, &avx2_group_range);
  EXPECT_EQ(avx2.group_multiply, &avx2_group_multiply);
  EXPECT_EQ(avx2.group_weigh, &avx2_group_weigh);
  EXPECT_EQ(avx2.group_moments, &avx2_group_moments);
  EXPECT_EQ(avx2.available(), has_avx2());
#else
  EXPECT_EQ(scale_kernels().size(), 1u);
#endif
}

// Nothing, one value, parts of a pack of every width, more than one; what lies behind the codes
// stays.
TEST(ScaleKernels, OddCountsGiveTheSameBits) {
  constexpr uint8_t kUntouched = 0xa5;
  base::RandomStream random(11, "scale_kernels/counts");
  const Candidates candidates = random_candidates(random);
  for (const char* name : {"q8_0", "iq4_nl", "nf4", "fp8", "mxfp4", "tq2_0"}) {
    const auto grid = grid_or_die(name, 64);
    const LevelTable table = grid->table();
    for (const int64_t count : {0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33}) {
      const std::vector<float> x = heavy_weights(random, count);
      const std::vector<float> weights = uneven_importance(random, count);
      std::vector<float> weighted(x.size());
      for (size_t i = 0; i < x.size(); ++i) weighted[i] = weights[i] * x[i];
      CandidateSums sums, plain_sums_found;
      Correlations correlations, plain_correlations;
      std::vector<uint8_t> plain_codes(x.size() + 16, kUntouched);
      plain_sums(x.data(), weights.data(), count, candidates, table, plain_sums_found);
      plain_correlate(x.data(), weighted.data(), weights.data(), count, candidates.scale, table,
                      plain_correlations);
      plain_encode(x.data(), count, 0.01f, 0.002f, table, plain_codes.data());
      for (const ScaleKernel& kernel : scale_kernels()) {
        if (!kernel.available()) continue;
        kernel.sums(x.data(), weights.data(), count, candidates, table, sums);
        EXPECT_EQ(std::memcmp(&sums, &plain_sums_found, sizeof sums), 0)
            << kernel.name << " " << name << " " << count;
        kernel.correlate(x.data(), weighted.data(), weights.data(), count, candidates.scale, table,
                         correlations);
        EXPECT_EQ(std::memcmp(&correlations, &plain_correlations, sizeof correlations), 0)
            << kernel.name << " " << name << " " << count;
        std::vector<uint8_t> codes(x.size() + 16, kUntouched);
        kernel.encode(x.data(), count, 0.01f, 0.002f, table, codes.data());
        EXPECT_EQ(codes, plain_codes) << kernel.name << " " << name << " " << count;
        EXPECT_EQ(std::count(codes.begin() + count, codes.end(), kUntouched), 16) << kernel.name;
      }
    }
  }
}

// By hand: x = 1 and 0.75 with weights 2 and 4 on scale 0.5 meet the levels 2 and 2 (a tie, to the
// even one), residuals 0 and -0.25; on scale 0 all is residual.
TEST(ScaleKernels, SumsOfTwoValuesByHand) {
  const auto grid = grid_or_die("q8_0");
  const float x[] = {1, 0.75f}, weights[] = {2, 4}, weighted[] = {2, 3};
  Candidates candidates;
  candidates.scale[0] = 0.5f;
  for (const ScaleKernel& kernel : scale_kernels()) {
    if (!kernel.available()) continue;
    CandidateSums sums;
    kernel.sums(x, weights, 2, candidates, grid->table(), sums);
    EXPECT_EQ(sums.rr[0], 0.25f) << kernel.name;
    EXPECT_EQ(sums.rt[0], -2) << kernel.name;
    EXPECT_EQ(sums.tt[0], 24) << kernel.name;
    EXPECT_EQ(sums.r[0], -1) << kernel.name;
    EXPECT_EQ(sums.t[0], 12) << kernel.name;
    EXPECT_EQ(sums.rr[1], 4.25f) << kernel.name;
    EXPECT_EQ(sums.tt[1], 0) << kernel.name;
    EXPECT_EQ(sums.r[1], 5) << kernel.name;
    Correlations correlations;
    kernel.correlate(x, weighted, weights, 2, candidates.scale, grid->table(), correlations);
    EXPECT_EQ(correlations.xt[0], 10) << kernel.name;
    EXPECT_EQ(correlations.tt[0], 24) << kernel.name;
    EXPECT_EQ(correlations.t[0], 12) << kernel.name;
    EXPECT_EQ(correlations.xt[1], 0) << kernel.name;
    kernel.sums(x, weights, 0, candidates, grid->table(), sums);
    for (int lane = 0; lane < kCandidates; ++lane)
      EXPECT_TRUE(sums.rr[lane] == 0 && sums.rt[lane] == 0 && sums.tt[lane] == 0 &&
                  sums.r[lane] == 0 && sums.t[lane] == 0)
          << kernel.name;
  }
}

TEST(ScaleSearch, CorrelationsAreTheSumsOfZeroOffsets) {
  base::RandomStream random(9, "scale_search/correlate");
  for (const char* name : {"q4_0", "iq4_nl", "q8_0"}) {
    const auto grid = grid_or_die(name);
    const LevelTable table = grid->table();
    const auto x = heavy_weights(random, 40);
    const auto weights = uneven_importance(random, 40);
    std::vector<float> weighted_x(40);
    for (int i = 0; i < 40; ++i) weighted_x[i] = weights[i] * x[i];
    Candidates candidates = random_candidates(random);
    std::fill_n(candidates.offset, kCandidates, 0.0f);
    Correlations plain;
    scale_kernels().back().correlate(x.data(), weighted_x.data(), weights.data(), 40,
                                     candidates.scale, table, plain);
    for (const ScaleKernel& kernel : scale_kernels()) {
      if (!kernel.available()) continue;
      Correlations found;
      kernel.correlate(x.data(), weighted_x.data(), weights.data(), 40, candidates.scale, table,
                       found);
      EXPECT_EQ(std::memcmp(&found, &plain, sizeof found), 0) << kernel.name << " " << name;
    }
    CandidateSums sums;
    scale_kernel().sums(x.data(), weights.data(), 40, candidates, table, sums);
    for (int c = 0; c < kCandidates; ++c) {
      EXPECT_EQ(plain.tt[c], sums.tt[c]);
      EXPECT_EQ(plain.t[c], sums.t[c]);
      // x t = r t + scale t^2; 40 additions of terms up to 0.5 * 128 * weight (largest some 400).
      EXPECT_NEAR(plain.xt[c], sums.rt[c] + candidates.scale[c] * sums.tt[c],
                  40 * 0x1p-23 * 64 * 400);
    }
  }
}

TEST(ScaleSearch, SumsAreTheirDefinition) {
  base::RandomStream random(2, "scale_search/sums");
  for (const char* name : {"q4_0", "iq4_nl"}) {
    const auto grid = grid_or_die(name);
    const auto x = heavy_weights(random, 50);
    const auto weights = uneven_importance(random, 50);
    const Candidates candidates = random_candidates(random);
    CandidateSums sums;
    scale_kernel().sums(x.data(), weights.data(), 50, candidates, grid->table(), sums);
    for (int c = 0; c < kCandidates; ++c) {
      double rr = 0, rt = 0, tt = 0, r_sum = 0, t_sum = 0, r_size = 0, t_size = 0;
      for (int i = 0; i < 50; ++i) {
        const float shifted = x[i] - candidates.offset[c];
        const double t =
            grid->spec().levels[grid->nearest_code(shifted * inverse_scale(candidates.scale[c]))];
        const double r = shifted - static_cast<double>(candidates.scale[c]) * t;
        rr += weights[i] * r * r, rt += weights[i] * r * t, tt += weights[i] * t * t;
        r_sum += weights[i] * r, t_sum += weights[i] * t;
        r_size += weights[i] * std::fabs(r), t_size += weights[i] * std::fabs(t);
      }
      // 50 additions and three products of relative rounding 2^-24; r itself cancels against x of
      // up to 0.5.
      const double relative = 60 * 0x1p-24;
      const double cancelled = 0.5 * 0x1p-22;
      EXPECT_NEAR(sums.rr[c], rr, relative * rr + 2 * cancelled * r_size);
      EXPECT_NEAR(sums.tt[c], tt, relative * tt);
      EXPECT_NEAR(sums.t[c], t_sum, relative * t_size);
      EXPECT_NEAR(sums.r[c], r_sum, relative * r_size + cancelled * 50 * 8);
      EXPECT_NEAR(sums.rt[c], rt,
                  relative * std::sqrt(rr * tt) + cancelled * t_size + relative * 127 * r_size);
    }
  }
}

// The best that any scale of fp16 can reach, by trying them all: the search cannot beat it and
// comes near.
TEST(ScaleSearch, NearTheBruteForceOptimum) {
  base::RandomStream random(3, "scale_search/brute");
  for (const char* name : {"q4_0", "iq4_nl", "int4:g24", "int4:g5", "q2_0", "tq2_0"}) {
    const auto grid = grid_or_die(name);
    const int64_t columns = grid->spec().block_columns;
    double found_total = 0, best_total = 0;
    for (int round = 0; round < 12; ++round) {
      const auto x = heavy_weights(random, columns);
      const auto importance = uneven_importance(random, columns);
      std::vector<std::byte> parameters(2);
      grid->fit(x, importance, true, parameters.data());
      const double found = weighted_error(*grid, x, importance, parameters.data());
      double best = found * 2;
      const float largest =
          std::fabs(signed_maximum(x)) * 2 / std::fabs(grid->spec().levels.front());
      // (Few levels serve the bulk of the weights and clip the rest.)
      const float smallest = largest / (grid->spec().levels.size() > 4 ? 8 : 64);
      for (uint16_t half = float_to_half(smallest); half_to_float(half) <= largest; ++half) {
        for (const float sign : {1.0f, -1.0f}) {
          store_half(sign * half_to_float(half), parameters.data());
          best = std::min(best, weighted_error(*grid, x, importance, parameters.data()));
        }
      }
      EXPECT_GE(found, best * (1 - 1e-9));
      found_total += found;
      best_total += best;
    }
    // Within a twentieth of the optimum on average: the purpose of 32 candidates with least
    // squares.
    EXPECT_LT(found_total, 1.05 * best_total) << name;
    RecordProperty((std::string(name) + "_over_optimum").c_str(),
                   std::to_string(found_total / best_total));
  }
}

TEST(ScaleSearch, SuperScaleStoresEqualValuesExactly) {
  const std::vector<float> values(8, 0.63f), weights(8, 1.0f);
  const float super = search_super_scale(values, weights, 0, 63);
  EXPECT_NEAR(std::nearbyintf(0.63f / super) * super, 0.63f, 0.63f * 0x1p-11f);
  EXPECT_EQ(search_super_scale(std::vector<float>(8, 0.0f), weights, 0, 63), 0.0f);
}

TEST(ScaleSearch, SuperScaleIsNotWorseThanTheLargestOver63) {
  base::RandomStream random(4, "scale_search/super");
  for (int round = 0; round < 50; ++round) {
    std::vector<float> values(8), weights(8);
    for (int j = 0; j < 8; ++j) {
      values[j] = static_cast<float>(random.uniform() + 0.05);
      weights[j] = static_cast<float>(random.uniform());
    }
    const auto error = [&](float super) {
      double sum = 0;
      for (int j = 0; j < 8; ++j) {
        const double difference =
            values[j] - super * std::min(63.0f, std::nearbyintf(values[j] / super));
        sum += weights[j] * difference * difference;
      }
      return sum;
    };
    const float plain = round_to_half(*std::max_element(values.begin(), values.end()) / 63);
    // A quotient at a tie may round either way: 2^-23 of a step, squared away.
    EXPECT_LE(error(search_super_scale(values, weights, 0, 63)), error(plain) * (1 + 1e-5));
  }
}

TEST(ScaleSearch, SignedSuperScalesStoreBothSigns) {
  const std::vector<float> values = {0.5f, -0.25f, 0.125f, -0.5f}, weights(4, 1.0f);
  const float super = search_super_scale(values, weights, -32, 31);
  for (const float value : values)
    EXPECT_NEAR(std::nearbyintf(value / super) * super, value, 0.5f * 0x1p-11f + 0.005f);
  // Alone, a value is stored exactly: the largest code on either side.
  const float alone = search_super_scale(std::vector<float>{-0.5f}, std::vector<float>{1}, -32, 31);
  EXPECT_EQ(std::nearbyintf(-0.5f / alone) * alone, -0.5f);
}

TEST(ScaleSearch, SignedScalesAreBestOfEachSign) {
  base::RandomStream random(5, "scale_search/signed");
  const auto grid = grid_or_die("q3_k");
  const auto error_of = [&](const std::vector<float>& x, const std::vector<float>& w, float scale) {
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const float level = grid->spec().levels[grid->nearest_code(x[i] * inverse_scale(scale))];
      sum += w[i] * std::pow(static_cast<double>(x[i]) - static_cast<double>(scale) * level, 2);
    }
    return sum;
  };
  double found = 0, best = 0;
  for (int round = 0; round < 30; ++round) {
    const auto x = heavy_weights(random, 16);
    const auto w = uneven_importance(random, 16);
    const SignedScale result = search_signed_scale(x, w, grid->table());
    EXPECT_LE(result.scale * result.opposite, 0.0f);
    const double error = error_of(x, w, result.scale);
    double optimum = error;
    const float top = std::fabs(signed_maximum(x));
    for (float scale = top / 8; scale < top; scale *= 1.002f)
      optimum = std::min({optimum, error_of(x, w, scale), error_of(x, w, -scale)});
    found += error;
    best += optimum;
  }
  // As NearTheBruteForceOptimum.
  EXPECT_LT(found, 1.05 * best);
}

TEST(ScaleSearch, WeightsFollowTheRule) {
  const std::vector<float> x = {1, -2, 0, 3};
  const std::vector<float> importance = {1, 2, 4, 0};
  std::vector<float> weights;
  ASSERT_TRUE(search_weights(x, importance, weights));
  const float sigma = 2 * 14.0f / 4;
  for (int i = 0; i < 4; ++i) {
    const float expected =
        importance[i] / 4 * std::sqrt(sigma + x[i] * x[i]) / 3;  // common factors 4 and 3
    EXPECT_NEAR(weights[i], expected, 1e-6f);
  }
  EXPECT_FALSE(search_weights(std::vector<float>(4, 0.0f), importance, weights));
}

}  // namespace
}  // namespace frugal::grid
