// Which instruction sets this compiler can build loops for, and which this machine can run.
#pragma once

// GCC compiles functions for another instruction set after `#pragma GCC target`; clang ignores it.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FRUGAL_X86_TARGETS 1
#else
#define FRUGAL_X86_TARGETS 0
#endif

namespace frugal::grid {

inline bool always_available() { return true; }
#if FRUGAL_X86_TARGETS
inline bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
inline bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
inline bool has_avx512_bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
#endif

}  // namespace frugal::grid
