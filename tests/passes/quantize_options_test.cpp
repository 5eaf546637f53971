#include <set>

#include "pass/option_reader.h"
#include "pass/yaml.h"
#include "passes/fake_context.h"
#include "passes/quantize/options.h"
#include "passes/registry.h"

namespace frugal::passes {
namespace {

QuantizeSettings resolved(const base::Json& values) {
  QuantizeOptions options;
  OptionSetter setter(values);
  visit_quantize_options(setter, options);
  EXPECT_TRUE(setter.left().empty()) << setter.left().dump();
  return resolve(options);
}

TEST(QuantizeOptions, ARecipeFillsInWhatIsNotGiven) {
  const QuantizeSettings fast = resolved(base::Json::object());
  EXPECT_EQ(fast.method, "gptq");
  EXPECT_EQ(fast.hessian, "one_sided");
  EXPECT_EQ(fast.windows.windows, 0);
  EXPECT_EQ(fast.tune_steps, 0);
  const QuantizeSettings best = resolved({{"recipe", "best"}});
  EXPECT_EQ(best.hessian, "two_sided");
  EXPECT_EQ(best.windows.windows, 448);
  EXPECT_EQ(best.gradient_windows, 192);
  EXPECT_EQ(best.held_out_windows, 16);
  EXPECT_EQ(best.tune_steps, 8);
  EXPECT_EQ(best.tune_learning_rate, 2e-3);
  EXPECT_EQ(best.rounding_iterations, 0);
  const QuantizeSettings lowbit = resolved({{"recipe", "lowbit"}});
  EXPECT_EQ(lowbit.rounding_iterations, 100);
  EXPECT_EQ(lowbit.tune_steps, 100);
  EXPECT_EQ(resolved({{"recipe", "rtn"}}).method, "rtn");
}

TEST(QuantizeOptions, WhatIsGivenCounts) {
  const QuantizeSettings some = resolved({{"recipe", "best"},
                                          {"windows", 0},
                                          {"hessian", "one_sided"},
                                          {"tune_steps", 0},
                                          {"tune_learning_rate", 1.5e-3},
                                          {"held_out_windows", 8}});
  EXPECT_EQ(some.windows.windows, 0);
  EXPECT_EQ(some.hessian, "one_sided");
  EXPECT_EQ(some.tune_steps, 0);
  EXPECT_EQ(some.tune_learning_rate, 1.5e-3);
  EXPECT_EQ(some.held_out_windows, 8);
  EXPECT_EQ(some.gradient_windows, 192);
}

// The published method has a strength of its own, and rounds row by row; rounding to nearest has no
// Hessian to have two sides.
TEST(QuantizeOptions, MethodsDecideWhatGoesWithThem) {
  const QuantizeSettings gptaq = resolved({{"recipe", "best"}, {"drift_correction", "gptaq"}});
  EXPECT_EQ(gptaq.drift_strength, "fixed");
  EXPECT_EQ(gptaq.alpha, 0.25);
  EXPECT_EQ(gptaq.hessian, "one_sided");
  const QuantizeSettings none = resolved({{"recipe", "best"}, {"drift_correction", "none"}});
  EXPECT_EQ(none.drift_strength, "fixed");
  EXPECT_EQ(none.alpha, 0.5);
  EXPECT_EQ(none.hessian, "two_sided");
  EXPECT_EQ(resolved({{"recipe", "best"}, {"method", "rtn"}}).hessian, "one_sided");
  EXPECT_EQ(resolved({{"order", "act"}}).scales, "static");
  EXPECT_EQ(resolved({{"order", "act"}, {"scales", "dynamic"}}).scales, "dynamic");
  // Solvers that ask for scales block by block search in full; alone, the fast search pays.
  EXPECT_EQ(resolved(base::Json::object()).search(), grid::ScaleSearch::kFull);
  EXPECT_EQ(resolved({{"recipe", "rtn"}}).search(), grid::ScaleSearch::kFast);
  EXPECT_EQ(resolved({{"method", "rtn"}}).search(), grid::ScaleSearch::kFast);
  EXPECT_EQ(resolved({{"recipe", "rtn"}, {"method", "gptq"}}).search(), grid::ScaleSearch::kFull);
  EXPECT_EQ(resolved({{"recipe", "rtn"}, {"scale_search", "full"}}).search(),
            grid::ScaleSearch::kFull);
}

std::string problems_of(const char* name, const std::string& yaml) {
  for (const pass::PassFactory factory : registry()) {
    const std::unique_ptr<pass::Pass> pass = factory();
    if (pass->info().name != name) continue;
    pass::Problems problems("f");
    pass::Positions positions;
    pass::read_options(*pass, pass::parse_yaml(yaml, problems), {}, problems, positions);
    return problems.text();
  }
  return "no such pass";
}

TEST(FormerNames, SayThePresentOnes) {
  const std::string found = problems_of(
      "quantize", "grid: q4_0\nasymmetric: none\nmetric: both\nsweeps: 1\nhessian: both\n");
  EXPECT_NE(found.find("'asymmetric' is now called 'drift_correction'"), std::string::npos)
      << found;
  EXPECT_NE(found.find("'metric' is now called 'hessian'"), std::string::npos) << found;
  EXPECT_NE(found.find("'sweeps' is now called 'descent_passes'"), std::string::npos) << found;
  EXPECT_NE(found.find("'both', which is now called 'two_sided'"), std::string::npos) << found;
  EXPECT_NE(problems_of("prune", "solver: s\n").find("which is now called 'mask_refit'"),
            std::string::npos);
}

// A name must not mean one thing now and another before.
TEST(FormerNames, AreNotPresentOnes) {
  for (const pass::PassFactory factory : registry()) {
    const std::unique_ptr<pass::Pass> pass = factory();
    const std::vector<pass::OptionDescription> options = pass::describe_options(*pass);
    std::set<std::string> present, former;
    for (const pass::OptionDescription& option : options) present.insert(option.name);
    for (const pass::OptionDescription& option : options) {
      for (const std::string& name : option.former_names) {
        EXPECT_FALSE(present.contains(name)) << pass->info().name << ": " << name;
        EXPECT_TRUE(former.insert(name).second) << pass->info().name << ": " << name;
      }
    }
  }
}

}  // namespace
}  // namespace frugal::passes
