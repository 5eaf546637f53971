#include "tasks/python_random.h"

#include <gtest/gtest.h>

namespace frugal::tasks {
namespace {

// Values of CPython 3.11.

TEST(PythonRandom, DrawsAsCPython) {
  PythonRandom random(1234);
  EXPECT_EQ(random.uniform(), 0.9664535356921388);
  EXPECT_EQ(random.uniform(), 0.4407325991753527);
  PythonRandom bits(1234);
  EXPECT_EQ(bits.next(), 4150886329u);
  PythonRandom wide(uint64_t{1} << 40);
  EXPECT_EQ(wide.uniform(), 0.1036394562812375);
}

TEST(PythonRandom, SamplesAsCPython) {
  PythonRandom random(1234);
  EXPECT_EQ(random.sample(10, 3), (std::vector<size_t>{7, 1, 0}));                       // a pool
  EXPECT_EQ(random.sample(7473, 5), (std::vector<size_t>{742, 7462, 6610, 4769, 286}));  // a set
  EXPECT_EQ(random.sample(100, 8),
            (std::vector<size_t>{85, 88, 10, 12, 98, 45, 30, 2}));  // a pool again: 21 + 4^3
  EXPECT_EQ(random.sample(3, 3), (std::vector<size_t>{0, 2, 1}));
  EXPECT_EQ(random.sample(5, 0), std::vector<size_t>());
}

TEST(PythonRandom, ChoosesAsCPython) {
  PythonRandom random(0);
  std::vector<size_t> chosen;
  for (int i = 0; i < 6; ++i) chosen.push_back(random.choice(1000));
  EXPECT_EQ(chosen, (std::vector<size_t>{844, 757, 420, 258, 511, 404}));
}

}  // namespace
}  // namespace frugal::tasks
