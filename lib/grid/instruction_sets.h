// Which instruction sets this compiler can build loops for, and which this process may run. Without
// any other header: what a source for another instruction set includes must hold no inline function
// of the standard library, which the linker would take for every caller.
#pragma once

// GCC compiles functions for another instruction set after `#pragma GCC target`; clang ignores it.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FRUGAL_X86_TARGETS 1
#else
#define FRUGAL_X86_TARGETS 0
#endif

namespace frugal::grid {

// Of cpu_level() (grid/cpu_level.h).
inline bool always_available() { return true; }
bool has_avx2();
bool has_avx512();
bool has_avx512_bf16();

}  // namespace frugal::grid
