#include "grid/cpu_level.h"

#include <algorithm>
#include <cstdlib>

#include "grid/instruction_sets.h"
#include "grid/scale_search.h"
#include "support/shared_data.h"

namespace frugal::grid {
namespace {

TEST(CpuLevel, NamesAreReadBack) {
  for (const CpuLevel level :
       {CpuLevel::kPlain, CpuLevel::kAvx2, CpuLevel::kAvx512, CpuLevel::kAvx512Bf16}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const CpuLevel read, parse_cpu_level(cpu_level_name(level)));
    EXPECT_EQ(read, level);
  }
  FRUGAL_EXPECT_ERROR(parse_cpu_level("avx22"), absl::StatusCode::kInvalidArgument,
                      "unknown CPU level 'avx22'; did you mean 'avx2'?");
}

// scripts/test runs this room with the variable set and without.
TEST(CpuLevel, NoLoopIsChosenAboveTheLevelOfTheEnvironment) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const CpuLevel level, cpu_level());
  if (const char* wanted = std::getenv("FRUGAL_CPU_LEVEL"); wanted != nullptr && *wanted != '\0') {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const CpuLevel highest, parse_cpu_level(wanted));
    EXPECT_LE(level, highest);
  }
  EXPECT_EQ(has_avx2(), level >= CpuLevel::kAvx2);
  EXPECT_EQ(has_avx512(), level >= CpuLevel::kAvx512);
  EXPECT_EQ(has_avx512_bf16(), level >= CpuLevel::kAvx512Bf16);
#if FRUGAL_X86_TARGETS
  EXPECT_EQ(scale_kernel().name, cpu_level_name(std::min(level, CpuLevel::kAvx512)));
#else
  EXPECT_EQ(scale_kernel().name, cpu_level_name(CpuLevel::kPlain));
#endif
}

}  // namespace
}  // namespace frugal::grid
