#include "energy/cpu_table.h"

#include <cmath>

#include "energy/cpu_table_text.h"
#include "support/shared_data.h"

namespace frugal::energy {
namespace {

using Match = ThreadPower::Match;

constexpr const char* kSmall = R"(
sources: { maker: "data sheets" }
generations:
  one:
    name: Example 1000
    vendor: Example
    family: 7
    models: "0x10-0x1f"
    source: maker
    cpus:
      "Example 1100": { year: 2020, cores: 8, threads: 16, tdp_watts: 32 }
      "Example 1200": { year: 2021, cores: 8, threads: 16, tdp_watts: 64 }
      "Example 1300": { year: 2021, cores: 8, threads: 16, tdp_watts: 128, max_watts: 192 }
)";

CpuIdentity example(std::string name) {
  return {.name = std::move(name), .vendor = "Example", .family = 7, .model = 0x12};
}

TEST(CpuTable, TheBuiltInOneIsValidAndPlausible) {
  FRUGAL_EXPECT_OK(parse_cpu_table(kCpuTableText, "configs/cpus.yaml").status());
  size_t parts = 0;
  for (const CpuGeneration& generation : built_in_cpus().generations) {
    EXPECT_THAT(generation.source, testing::HasSubstr("http")) << generation.name;
    for (const CpuPart& part : generation.parts) {
      const double watts = part.tdp_watts / static_cast<double>(part.threads);
      EXPECT_GT(watts, 0.5) << part.name;
      EXPECT_LT(watts, 20) << part.name;
      ++parts;
    }
  }
  EXPECT_GE(parts, 200u);
}

TEST(CpuTable, FindsEachPartByItsOwnName) {
  for (const CpuGeneration& generation : built_in_cpus().generations) {
    for (const CpuPart& part : generation.parts) {
      const ThreadPower power = thread_power({.name = part.name});
      EXPECT_EQ(power.match, Match::kPart) << part.name;
      EXPECT_DOUBLE_EQ(power.watts, part.tdp_watts / static_cast<double>(part.threads))
          << part.name;
      EXPECT_LT(power.range.low, power.watts);
      EXPECT_GT(power.range.high, power.watts);
    }
  }
}

TEST(CpuTable, ReadsNamesAsKernelsWriteThem) {
  const auto watts = [](std::string name) { return thread_power({.name = std::move(name)}); };
  EXPECT_DOUBLE_EQ(watts("AMD EPYC 7763 64-Core Processor").watts, 280.0 / 128);
  EXPECT_DOUBLE_EQ(watts("Intel(R) Xeon(R) Platinum 8480+").watts, 350.0 / 112);
  EXPECT_DOUBLE_EQ(watts("Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz").watts, 120.0 / 28);
  EXPECT_DOUBLE_EQ(watts("INTEL(R) XEON(R) PLATINUM 8592+").watts, 350.0 / 128);
  EXPECT_DOUBLE_EQ(watts("13th Gen Intel(R) Core(TM) i9-13900K").watts, 125.0 / 32);
  EXPECT_DOUBLE_EQ(watts("AMD Ryzen 9 7950X3D 16-Core Processor").watts,
                   120.0 / 32);  // not the 7950X
  EXPECT_EQ(watts("AMD EPYC 77639 64-Core Processor").match, Match::kUnknown);
}

TEST(CpuTable, ACloudsNameIsMatchedByFamilyAndModel) {
  const CpuIdentity cpu{.name = "AMD EPYC",
                        .vendor = "AuthenticAMD",
                        .family = 25,
                        .model = 17,
                        .guest = true,
                        .threads_per_core = 1};
  const ThreadPower power = thread_power(cpu);
  EXPECT_EQ(power.match, Match::kGeneration);
  EXPECT_THAT(power.basis, testing::AllOf(testing::HasSubstr("AMD EPYC 9004 (Genoa)"),
                                          testing::HasSubstr("whole core")));
  // Within what the generation's parts have: 360 W / 192 threads to 320 W / 32 threads.
  EXPECT_GT(power.watts, 360.0 / 192);
  EXPECT_LT(power.watts, 320.0 / 32);
  EXPECT_LE(power.range.low, 360.0 / 192);
  EXPECT_GE(power.range.high, 320.0 / 32);
}

TEST(CpuTable, AGenerationIsItsMedianWithTheDoubtOfItsParts) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const CpuTable table, parse_cpu_table(kSmall, "t"));
  const ThreadPower power = thread_power(example("Example"), table);
  EXPECT_EQ(power.match, Match::kGeneration);
  EXPECT_DOUBLE_EQ(power.watts, 4);  // 2, 4 and 8 W
  const auto together = [](double a, double b) {
    return std::exp(std::sqrt(std::log(a) * std::log(a) + std::log(b) * std::log(b)));
  };
  EXPECT_NEAR(power.range.low, 4 / together(2, 1 / 0.9), 1e-12);
  EXPECT_NEAR(power.range.high, 4 * together(2, 2.0 * 1.5), 1e-12);
}

TEST(CpuTable, APartIsItsTdpWithTheDoubtOfTheLoad) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const CpuTable table, parse_cpu_table(kSmall, "t"));
  const ThreadPower power = thread_power(example("Example 1300 8-Core"), table);
  EXPECT_EQ(power.match, Match::kPart);
  EXPECT_DOUBLE_EQ(power.watts, 8);
  EXPECT_NEAR(power.range.low, 8 * 0.9, 1e-12);
  EXPECT_NEAR(power.range.high, 8 * 2.0 * 1.5, 1e-12);  // its socket may draw 192 W
  EXPECT_EQ(power.basis, "128 W / 16 threads of Example 1300 (data sheets, 2021)");
}

TEST(CpuTable, ThreadsThatAreSwitchedOffShareNothing) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const CpuTable table, parse_cpu_table(kSmall, "t"));
  CpuIdentity cpu = example("Example 1200");
  cpu.threads_per_core = 1;
  EXPECT_DOUBLE_EQ(thread_power(cpu, table).watts, 8);  // 64 W / 8 cores
  cpu.guest = true;  // may not know that its thread has a sibling
  EXPECT_DOUBLE_EQ(thread_power(cpu, table).watts, 4);
  cpu.threads_per_core = 2;
  const ThreadPower sibling = thread_power(cpu, table);
  cpu.threads_per_core = 1;
  EXPECT_GT(thread_power(cpu, table).range.high, sibling.range.high);
}

TEST(CpuTable, AnUnknownCpuKeepsFourWattsWithAWideRangeAndSaysSo) {
  const ThreadPower power =
      thread_power({.name = "Imaginary 3", .vendor = "Nobody", .family = 1, .model = 2});
  EXPECT_EQ(power.match, Match::kUnknown);
  EXPECT_EQ(power.watts, kAssumedWattsPerThread);
  EXPECT_THAT(power.basis, testing::AllOf(testing::HasSubstr("CPU unknown: Imaginary 3"),
                                          testing::HasSubstr("--hardware")));
  for (const CpuGeneration& generation : built_in_cpus().generations) {
    for (const CpuPart& part : generation.parts) {
      const double watts = part.tdp_watts / static_cast<double>(part.threads);
      EXPECT_GE(watts, power.range.low) << part.name;
      EXPECT_LE(watts, power.range.high) << part.name;
    }
  }
}

TEST(CpuTable, ErrorsNameThePlace) {
  const auto replaced = [](std::string_view from, std::string_view to) {
    std::string text = kSmall;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return parse_cpu_table(text.replace(at, from.size(), to), "t").status();
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(replaced("0x10-0x1f", "ten"), kInvalid, "t:8:5: 'models' is 'ten'");
  FRUGAL_EXPECT_ERROR(replaced("source: maker", "source: nobody"), kInvalid,
                      "`sources` does not name");
  FRUGAL_EXPECT_ERROR(replaced("threads: 16", "threads: 4"), kInvalid,
                      "'threads' is below 'cores'");
  FRUGAL_EXPECT_ERROR(replaced("max_watts: 192", "max_watts: 100"), kInvalid, "below 'tdp_watts'");
  FRUGAL_EXPECT_ERROR(replaced("tdp_watts: 32", "tdp_watts: 0.3"), kInvalid,
                      "kilowatts? Then it is 300");
  FRUGAL_EXPECT_ERROR(replaced("tdp_watts: 32", "tdp: 32"), kInvalid, "unknown key 'tdp'");
  const std::string twice = base::str_cat(
      kSmall, "  two:\n    name: Again\n    vendor: Example\n    family: 7\n    models: \"0x1f\"\n",
      "    source: maker\n    cpus:\n      \"E\": { year: 2020, cores: 1, threads: 1, tdp_watts: 5 "
      "}\n");
  FRUGAL_EXPECT_ERROR(parse_cpu_table(twice, "t").status(), kInvalid, "belong to Example 1000");
}

}  // namespace
}  // namespace frugal::energy
