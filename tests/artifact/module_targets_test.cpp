#include "artifact/packed/module_targets.h"

#include <gtest/gtest.h>

#include "support/shared_data.h"

namespace frugal::artifact {
namespace {

TEST(ModuleTargets, NamesClassesAndPatterns) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const ModuleTargets targets,
      ModuleTargets::parse(base::Json{"lm_head", "Embedding", "re:.*mlp\\.down", "re:a.c"}, "x"));
  const auto names = [&](const std::string& module, std::string_view module_class) {
    return targets.names(module, module_class).value();
  };
  EXPECT_TRUE(names("lm_head", "Linear"));
  EXPECT_FALSE(names("model.lm_head", "Linear"));
  EXPECT_TRUE(names("model.embedding", "Embedding"));
  // Like Python's re.match: the beginning must match, the end need not.
  EXPECT_TRUE(names("layers.0.mlp.down_proj", "Linear"));
  EXPECT_FALSE(names("layers.0.mlp.up_proj", "Linear"));
  EXPECT_TRUE(names("abcd", "Linear"));
  EXPECT_FALSE(names("xabc", "Linear"));
}

TEST(ModuleTargets, NoListNamesNothing) {
  EXPECT_FALSE(ModuleTargets::parse(base::Json(), "x").value().names("a", "Linear").value());
}

TEST(ModuleTargets, RefusesWhatIsNoListOfNames) {
  FRUGAL_EXPECT_ERROR(ModuleTargets::parse("Linear", "'targets'"),
                      absl::StatusCode::kInvalidArgument, "'targets' is no list of names");
  FRUGAL_EXPECT_ERROR(ModuleTargets::parse(base::Json{1}, "'targets'"),
                      absl::StatusCode::kInvalidArgument, "something else");
  FRUGAL_EXPECT_ERROR(ModuleTargets::parse(base::Json{"re:("}, "'ignore'"),
                      absl::StatusCode::kInvalidArgument, "'ignore': 're:('");
}

TEST(ModuleTargets, APatternThatBacktracksForEverIsRefused) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ModuleTargets targets,
                              ModuleTargets::parse(base::Json{"re:(a+)+\\d"}, "x"));
  FRUGAL_EXPECT_ERROR(targets.names(std::string(64, 'a'), "Linear"),
                      absl::StatusCode::kInvalidArgument, "takes too long");
}

}  // namespace
}  // namespace frugal::artifact
