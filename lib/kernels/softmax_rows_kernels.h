// The builds of the softmax, and what they share.
#pragma once

#include "grid/instruction_sets.h"
#include "kernels/softmax_rows.h"

namespace frugal::kernels {

inline constexpr int kSoftmaxLanes = 16;

// exp(x) = 2ⁿ exp(r) with n the integer next to x / ln 2 and r = x − n ln 2, |r| ≤ ln 2 / 2; ln 2
// in two parts, of which n times the first is exact. Taylor up to r⁷: the rest is below 6e-9.
inline constexpr float kLowestExponent = -104.0F;  // e⁻¹⁰⁴ < 2⁻¹⁵⁰: rounds to zero
inline constexpr float kLog2e = 1.44269504F;
inline constexpr float kLn2High = 0.693359375F;
inline constexpr float kLn2Low = -2.12194440e-4F;
inline constexpr float kTaylor[] = {1.0F / 5040, 1.0F / 720, 1.0F / 120, 1.0F / 24,
                                    1.0F / 6,    0.5F,       1.0F,       1.0F};

float softmax_reference(float* x, int64_t count, float scale);
void probabilities_reference(float* x, int64_t count, float scale, float log_sum);
void softmax_gradient_reference(const float* p, float* g, int64_t count, float scale);
#if FRUGAL_X86_TARGETS
float softmax_avx512(float* x, int64_t count, float scale);
void probabilities_avx512(float* x, int64_t count, float scale, float log_sum);
void softmax_gradient_avx512(const float* p, float* g, int64_t count, float scale);
#endif

}  // namespace frugal::kernels
