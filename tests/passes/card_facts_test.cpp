#include "passes/export/card_facts.h"

#include <gtest/gtest.h>

namespace frugal::passes {
namespace {

using base::Json;

Json facts(Json source) {
  architecture::ModelConfig config;
  config.source = std::move(source);
  return card_facts(config);
}

Json with_card(Json card) { return facts({{"frugal", {{"card", std::move(card)}}}}); }

TEST(CardFacts, AreWhatTheModelSays) {
  EXPECT_EQ(with_card({{"general.license", "apache-2.0"},
                       {"general.languages", {"en", "de"}},
                       {"general.tags", {"chat"}},
                       {"general.base_model.0.repo_url", "https://huggingface.co/maker/small"}}),
            (Json{{"base_model", "maker/small"},
                  {"license", "apache-2.0"},
                  {"languages", {"en", "de"}},
                  {"tags", {"chat"}}}));
  // The model's own repository before that of its base.
  EXPECT_EQ(with_card({{"general.repo_url", "https://huggingface.co/maker/small-chat/"},
                       {"general.base_model.0.repo_url", "https://huggingface.co/maker/small"}}),
            (Json{{"base_model", "maker/small-chat"}}));
}

TEST(CardFacts, NothingIsMadeUp) {
  EXPECT_EQ(facts({{"hidden_size", 8}}), Json::object());
  EXPECT_EQ(facts(nullptr), Json::object());
  EXPECT_EQ(facts({{"frugal", 3}}), Json::object());
  EXPECT_EQ(with_card("text"), Json::object());
  // A path may look like a repository.
  EXPECT_EQ(facts({{"_name_or_path", "models/small"}}), (Json{{"loaded_from", "models/small"}}));
  for (const char* url : {"https://example.org/maker/small", "https://huggingface.co/small",
                          "https://huggingface.co/a/b/c", "https://huggingface.co/../etc", ""}) {
    EXPECT_EQ(with_card({{"general.repo_url", url}}), Json::object()) << url;
  }
}

}  // namespace
}  // namespace frugal::passes
