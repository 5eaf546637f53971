// The search for scales that every grid shares.
//
// Sixteen candidate (scale, offset) pairs are tried side by side, one per vector lane; each lane
// adds its sums in element order. So there is no horizontal reduction, and the plain, AVX2 and
// AVX-512 builds of the loop give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace frugal::grid {

inline constexpr int kCandidates = 16;  // per pack

// The levels of a grid in the form the loops need; points into a GridSpec that must outlive it.
struct LevelTable {
  const float* levels = nullptr;     // [count], ascending
  const float* midpoints = nullptr;  // [count - 1]
  int count = 0;
  bool uniform = false;  // levels are low, low + 1, ..., high
  bool float8 = false;   // levels are those of grid/float8.h
  float low = 0;
  float high = 0;
  // The level of largest size; of two the lower.
  float extreme() const { return high > -low ? high : low; }
};

struct Candidates {
  alignas(64) float scale[kCandidates] = {};
  alignas(64) float offset[kCandidates] = {};
};

// For each candidate, with t_i the level nearest to (x_i - offset) / scale and r_i = x_i - offset -
// scale t_i: weighted sums of r^2, r t, t^2, r and t.
struct CandidateSums {
  alignas(64) float rr[kCandidates];
  alignas(64) float rt[kCandidates];
  alignas(64) float tt[kCandidates];
  alignas(64) float r[kCandidates];
  alignas(64) float t[kCandidates];
};

// For each candidate scale, with t_i the level nearest to x_i / scale: weighted sums of x t, t^2
// and t. Half the work of CandidateSums, for the first look at many candidates: an error is then a
// difference of large sums.
struct Correlations {
  alignas(64) float xt[kCandidates];
  alignas(64) float tt[kCandidates];
  alignas(64) float t[kCandidates];
};

// For each of sixteen groups side by side: weighted sums of 1, x and x^2.
struct GroupMoments {
  alignas(64) float weight[kCandidates];
  alignas(64) float first[kCandidates];
  alignas(64) float second[kCandidates];
};

// For each of sixteen groups the codes that explain most: the largest (sum w x t)^2 / sum w t^2.
struct GroupScales {
  alignas(64) float xt[kCandidates];
  alignas(64) float tt[kCandidates];  // not 0
};

// For each of sixteen groups the pair of least sum w (x - scale t - offset)^2, that error, and the
// sums of its codes.
struct GroupPairSums {
  alignas(64) float scale[kCandidates];
  alignas(64) float offset[kCandidates];
  alignas(64) float error[kCandidates];
  alignas(64) float tt[kCandidates];
  alignas(64) float t[kCandidates];
};

// The loops compiled for one instruction set. Those called group_… work on sixteen groups side by
// side (group_pack.h): x and weight are [count][16], and every lane has a scale and an offset of
// its own.
struct ScaleKernel {
  const char* name;
  bool (*available)();
  void (*sums)(const float* x, const float* weight, int64_t count, const Candidates& candidates,
               const LevelTable& table, CandidateSums& out);
  // weighted_x[i] = weight[i] * x[i]; scale [kCandidates].
  void (*correlate)(const float* x, const float* weighted_x, const float* weight, int64_t count,
                    const float* scale, const LevelTable& table, Correlations& out);
  void (*encode)(const float* x, int64_t count, float scale, float offset, const LevelTable& table,
                 uint8_t* codes);
  // Of the candidates [candidates, 16] and what `best` holds already, in every lane the best.
  // inverse: 1 / scale.
  void (*group_scales)(const float* x, const float* weight, int64_t count, const float* inverse,
                       int candidates, const LevelTable& table, GroupScales& best);
  // The same for pairs of a positive scale and an offset of at most `highest` [16].
  void (*group_pairs)(const float* x, const float* weight, int64_t count, const float* inverse,
                      int candidates, const GroupMoments& moments, const float* highest,
                      const LevelTable& table, GroupPairSums& best);
  void (*group_sums)(const float* x, const float* weight, int64_t count, const Candidates& groups,
                     const LevelTable& table, CandidateSums& out);
  void (*group_range)(const float* x, int64_t count, float* low, float* high);  // count >= 1
  // x *= factor [16]; squares [16]: the sums of the new x^2.
  void (*group_multiply)(float* x, int64_t count, const float* factor, float* squares);
  // weight *= sqrt(sigma + x^2), sigma [16].
  void (*group_weigh)(const float* x, int64_t count, const float* sigma, float* weight);
  // shifted = x - offset [16], and its moments.
  void (*group_moments)(const float* x, const float* weight, int64_t count, const float* offset,
                        float* shifted, GroupMoments& out);
};
std::span<const ScaleKernel> scale_kernels();  // most specialised first
const ScaleKernel& scale_kernel();             // the first that this machine can run

// w_i = h_i sqrt(2 mean(x^2) + x_i^2), up to a common factor (the imatrix rule of ggml);
// importance empty: h = 1. `weights` has the size of x. False when every weight is zero or too
// small for any stored scale (nothing to search).
bool search_weights(std::span<const float> x, std::span<const float> importance,
                    std::vector<float>& weights);

// The element of largest magnitude, with its sign; the first of equals.
float signed_maximum(std::span<const float> x);

// A scale that fp16 can hold, for w = scale * t: 2 x 16 candidates (the largest weight meets the
// level of largest size or lies opposite to it, times a factor around 1), the least-squares scale
// of each in closed form, then the best sixteen and `plain_scale` are compared as stored. Never
// worse than plain_scale in sum w (x - decode)^2.
float search_scale(std::span<const float> x, std::span<const float> weights,
                   const LevelTable& table, float plain_scale);

// A scale that fp16 can hold and a zero point in [low, high] for w = scale * (t - zero_point),
// levels low..high.
struct ScaleAndZero {
  float scale = 0;
  float zero_point = 0;
};
ScaleAndZero search_scale_and_zero(std::span<const float> x, std::span<const float> weights,
                                   const LevelTable& table, ScaleAndZero plain);

// Real-valued scale > 0 and offset <= 0 for w = scale * t + offset, levels 0..high: 32 candidate
// ranges, each with its least-squares pair. Also the weighted sums that choosing super-scales
// needs.
struct ScaleAndOffset {
  float scale = 0;
  float offset = 0;
  float scale_weight = 0;   // sum w t^2: how much an error of the scale costs
  float offset_weight = 0;  // sum w
};
ScaleAndOffset search_scale_and_offset(std::span<const float> x, std::span<const float> weights,
                                       const LevelTable& table);

// The same where both are stored as fp16 and the offset may have either sign. Never worse than
// `plain` (as stored) in sum w (x - decode)^2; the weights of the result are not set.
ScaleAndOffset search_stored_pair(std::span<const float> x, std::span<const float> weights,
                                  const LevelTable& table, ScaleAndOffset plain);

// Real-valued scale of either sign for w = scale * t: the best, and the best of the opposite sign.
struct SignedScale {
  float scale = 0;
  float opposite = 0;
  float scale_weight = 0;  // sum w t^2 of the best
};
SignedScale search_signed_scale(std::span<const float> x, std::span<const float> weights,
                                const LevelTable& table);

// A super-scale that fp16 can hold such that sum_j weight_j (value_j - super * n_j)^2 is small, n_j
// = nearest integer in [lowest, highest]; values >= 0 where lowest is 0.
float search_super_scale(std::span<const float> values, std::span<const float> weights, int lowest,
                         int highest);

}  // namespace frugal::grid
