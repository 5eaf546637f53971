// What one thread does, in code that nvcc and the host compiler both take: the CUDA kernels are
// built from these functions, and so is the emulation on which the tests hold them against
// sweep_reference.cpp where there is no GPU.
//
// Every operation here rounds as the CPU's does: products and sums are separate (nvcc -fmad=false,
// gcc -ffp-contract=off), fused multiply-adds are written as fmaf, divisions and square roots are
// IEEE's (nvcc's defaults; never -use_fast_math). The bits then agree with the CPU kernels.
//
// A *team* is the 32 lanes of one warp, which work on one row. `team.each(body)` runs body(lane) on
// every lane and lets all of them finish (__syncwarp) before anything after it. Rules that keep
// teams free of races: shared memory is touched inside `each` only; no lane reads what another
// lane writes in the same `each`; variables set inside get the same value on every lane.
#pragma once

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__CUDACC__)
#define FRUGAL_STEP __device__ __forceinline__
#define FRUGAL_SIZE __host__ __device__ inline
#else
#define FRUGAL_STEP inline
#define FRUGAL_SIZE inline
#endif

namespace frugal::kernels::cuda {

constexpr int kLanes = 32;

FRUGAL_STEP uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
FRUGAL_STEP float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// fp16 as grid/half.h has it: exact to float; from float to nearest even, saturated at 65504.
FRUGAL_STEP float half_to_float(uint32_t half) {
  const uint32_t sign = (half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) {
    const uint32_t payload = (magnitude & 0x3ffu) << 13;
    return float_of(sign | 0x7f800000u | payload | (payload != 0 ? 0x400000u : 0));
  }
  const float value = float_of(magnitude << 13) * 0x1p112f;
  return float_of(sign | bits_of(value));
}
FRUGAL_STEP uint32_t float_to_half(float value) {
  if (value > 65504.0f) value = 65504.0f;
  if (value < -65504.0f) value = -65504.0f;
  const uint32_t bits = bits_of(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  if (magnitude < 0x38800000u) {  // below 2^-14: adding 1/2 lets the adder round at 2^-24
    return sign | (bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u);
  }
  const uint32_t odd = (magnitude >> 13) & 1u;
  return sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13);
}
FRUGAL_STEP float round_to_half(float value) { return half_to_float(float_to_half(value)); }

FRUGAL_STEP float load_half(const uint8_t* bytes) {
  return half_to_float(static_cast<uint32_t>(bytes[0]) | static_cast<uint32_t>(bytes[1]) << 8);
}
FRUGAL_STEP void store_half(float value, uint8_t* bytes) {
  const uint32_t half = float_to_half(value);
  bytes[0] = static_cast<uint8_t>(half & 255u);
  bytes[1] = static_cast<uint8_t>(half >> 8);
}

FRUGAL_STEP float inverse_scale(float scale) { return scale == 0.0f ? 0.0f : 1.0f / scale; }
FRUGAL_STEP bool finite(float value) { return fabsf(value) <= FLT_MAX; }

struct Levels {
  const float* levels;
  const float* midpoints;
  int count;
  int uniform;
  float low;
  float high;
};

// Grid::nearest_code: ties to even for uniform levels, else to the lower; NaN gives the lowest.
FRUGAL_STEP int nearest_code(const Levels& table, float y) {
  if (table.uniform != 0) {
    const float raised = y > table.low ? y : table.low;
    return static_cast<int>(rintf(raised > table.high ? table.high : raised) - table.low);
  }
  int step = 1;
  while (2 * step < table.count) step *= 2;
  int below = 0;  // midpoints below y: a binary search without branches
  for (; step > 0; step /= 2) {
    const int probe = below + step - 1;
    if (probe < table.count - 1 && y > table.midpoints[probe]) below += step;
  }
  return below;
}
FRUGAL_STEP float level_of(const Levels& table, int code) {
  return table.uniform != 0 ? table.low + static_cast<float>(code) : table.levels[code];
}
FRUGAL_STEP float nearest_level(const Levels& table, float y) {
  return level_of(table, nearest_code(table, y));
}

}  // namespace frugal::kernels::cuda
