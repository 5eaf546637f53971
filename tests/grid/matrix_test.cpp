#include <cmath>

#include "grid_properties.h"
#include "support/openmp.h"

namespace frugal::grid {
namespace {

TEST(Matrix, PackAndUnpackAreInverse) {
  base::RandomStream random(1, "matrix/pack");
  for (const char* name :
       {"q8_0", "q4_0",  "iq4_nl", "q4_k",     "int4:g64:asym", "int8:row", "q2_k",          "q3_k",
        "q5_k", "q6_k",  "q4_1",   "q5_0",     "q5_1",          "int2:row", "int3:g64:asym", "nf4",
        "fp8",  "mxfp4", "nvfp4",  "nvfp4:e0", "q2_0",          "tq2_0"}) {
    const int64_t rows = 5, columns = 512;
    const auto grid = grid_or_die(name, columns);
    const auto weights = normal_weights(random, rows * columns);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const QuantizedMatrix matrix,
                                round_to_nearest(grid, weights.data(), rows, columns, {}, true));
    const std::vector<std::byte> blocks = pack_matrix(matrix);
    EXPECT_EQ(static_cast<int64_t>(blocks.size()), rows * matrix.row_bytes());
    FRUGAL_ASSERT_OK_AND_ASSIGN(const QuantizedMatrix back,
                                unpack_matrix(grid, rows, columns, blocks));
    EXPECT_EQ(back.codes, matrix.codes);
    EXPECT_EQ(back.parameters, matrix.parameters);
  }
}

TEST(Matrix, DecodeIsNearTheWeights) {
  base::RandomStream random(2, "matrix/decode");
  const auto weights = normal_weights(random, 4 * 256);
  for (const auto& [name, relative] : {std::pair{"q8_0", 0.01},
                                       {"q4_0", 0.13},
                                       {"iq4_nl", 0.12},
                                       {"q4_k", 0.12},
                                       {"q4_1", 0.11},
                                       {"q5_0", 0.065},
                                       {"q5_1", 0.055},
                                       {"q5_k", 0.06},
                                       {"q6_k", 0.03},
                                       {"q3_k", 0.24},
                                       {"q2_k", 0.4},
                                       {"fp8:g64", 0.035},
                                       {"nf4:g32", 0.12},
                                       {"nvfp4", 0.11},
                                       {"mxfp4", 0.14},
                                       {"q2_0", 0.45},
                                       {"tq2_0", 0.5}}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(
        const QuantizedMatrix matrix,
        round_to_nearest(grid_or_die(name), weights.data(), 4, 256, {}, true));
    std::vector<float> decoded(weights.size());
    decode_matrix(matrix, decoded.data());
    double error = 0, power = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      error += std::pow(static_cast<double>(decoded[i]) - weights[i], 2);
      power += std::pow(static_cast<double>(weights[i]), 2);
    }
    // Step / sqrt(12) with the step of 32 normal weights (largest about 2.4 sigma), and a fifth
    // more.
    EXPECT_LT(std::sqrt(error / power), relative) << name;
    EXPECT_GT(error, 0) << name;
  }
}

TEST(Matrix, RoundToNearestDoesNotDependOnThreads) {
  base::RandomStream random(3, "matrix/threads");
  const auto weights = heavy_weights(random, 33 * 256);
  const auto importance = uneven_importance(random, 256);
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  const auto one = round_to_nearest(grid_or_die("q4_k"), weights.data(), 33, 256, importance, true);
  omp_set_num_threads(2);
  const auto two = round_to_nearest(grid_or_die("q4_k"), weights.data(), 33, 256, importance, true);
  omp_set_num_threads(before);
  EXPECT_EQ(one->codes, two->codes);
  EXPECT_EQ(one->parameters, two->parameters);
}

TEST(Matrix, MistakesAreNamed) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  const auto grid = grid_or_die("q4_k");
  std::vector<float> weights(2 * 256, 0.5f);
  FRUGAL_EXPECT_ERROR(
      check_columns(grid->spec(), 128, "layers.0.q"), kInvalid,
      "layers.0.q: rows of 128 columns do not fit grid 'q4_k', whose blocks have 256");
  FRUGAL_EXPECT_ERROR(round_to_nearest(grid, weights.data(), 4, 128, {}, true), kInvalid,
                      "do not fit");
  FRUGAL_EXPECT_ERROR(round_to_nearest(grid, weights.data(), 2, 256, std::vector<float>(5), true),
                      kInvalid, "importance has 5 entries for 256 columns");
  weights[300] = std::nanf("");
  FRUGAL_EXPECT_ERROR(round_to_nearest(grid, weights.data(), 2, 256, {}, true), kInvalid,
                      "row 1 holds NaN");
  weights[300] = 0;
  weights[2] = INFINITY;
  FRUGAL_EXPECT_ERROR(round_to_nearest(grid, weights.data(), 2, 256, {}, true), kInvalid,
                      "row 0 holds NaN");
  const std::vector<std::byte> blocks(144);
  FRUGAL_EXPECT_ERROR(unpack_matrix(grid, 2, 256, blocks), kInvalid, "takes 288 bytes, found 144");
  FRUGAL_EXPECT_ERROR(unpack_matrix(grid, int64_t{1} << 60, int64_t{1} << 60, blocks), kInvalid,
                      "found 144");
  FRUGAL_EXPECT_ERROR(unpack_matrix(grid, -1, 256, blocks), kInvalid, "-1 rows");
}

}  // namespace
}  // namespace frugal::grid
