// How many threads OpenMP takes. clang 19 uses GCC's runtime here (cmake/FrugalBuild.cmake), but
// finds no header of it.
#pragma once

#if __has_include(<omp.h>)
#include <omp.h>
#else
extern "C" {
int omp_get_max_threads() noexcept;
void omp_set_num_threads(int threads) noexcept;
}
#endif
