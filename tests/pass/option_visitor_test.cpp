#include "pass/option_visitor.h"

#include <gmock/gmock.h>

#include <limits>

namespace frugal::pass {
namespace {

// One option of each type that there is.
class EveryType final : public Pass {
 public:
  const PassInfo& info() const override {
    static const PassInfo kInfo{.name = "every", .summary = "Has every type."};
    return kInfo;
  }
  void visit_options(OptionVisitor& visitor) override {
    visitor.field({.name = "flag", .help = ""}, flag);
    visitor.field({.name = "count", .help = ""}, count);
    visitor.field({.name = "share", .help = ""}, share);
    visitor.field({.name = "text", .help = ""}, text);
    visitor.field({.name = "texts", .help = ""}, texts);
    visitor.field({.name = "counts", .help = ""}, counts);
    visitor.field({.name = "model", .help = ""}, model);
    visitor.field({.name = "data", .help = ""}, data);
    visitor.field({.name = "datas", .help = ""}, datas);
    visitor.field({.name = "patterns", .help = ""}, patterns);
    visitor.field({.name = "open_count", .help = ""}, open_count);
    visitor.field({.name = "open_share", .help = ""}, open_share);
    visitor.field({.name = "open_text", .help = ""}, open_text);
  }
  absl::Status check(CheckContext&, ModelInfo&) const override { return absl::OkStatus(); }
  absl::Status run(RunContext&) const override { return absl::OkStatus(); }

  bool flag = true;
  int64_t count = 7;
  double share = 0.5;
  std::string text = "t";
  std::vector<std::string> texts = {"a", "b"};
  std::vector<int64_t> counts = {1, 8};
  ModelReference model = {"teacher"};
  DataReference data = {"novels"};
  std::vector<DataReference> datas = {{"x"}, {"y"}};
  Assignments patterns = {{{"*down*", "q4_0"}, {"a*", "q8_0"}}};
  std::optional<int64_t> open_count;
  std::optional<double> open_share = 0.25;
  std::optional<std::string> open_text;
};

TEST(OptionVisitor, ReachesEveryTypeOnceAndPrintsIt) {
  EveryType pass;
  base::Json found = base::Json::object();
  std::vector<std::string> open;
  visit(pass, [&]<typename T>(const OptionInfo& info, T& value) {
    EXPECT_FALSE(found.contains(std::string(info.name))) << info.name;
    found[std::string(info.name)] = to_json(value);
    if (kIsOpen<T>) open.emplace_back(info.name);
  });
  EXPECT_EQ(found.dump(),
            R"({"flag":true,"count":7,"share":0.5,"text":"t","texts":["a","b"],"counts":[1,8],)"
            R"("model":"teacher","data":"novels","datas":["x","y"],)"
            R"("patterns":["*down*=q4_0","a*=q8_0"],)"
            R"("open_count":null,"open_share":0.25,"open_text":null})");
  EXPECT_THAT(open, testing::ElementsAre("open_count", "open_share", "open_text"));
}

TEST(OptionVisitor, HandsOnTheOptionsThemselves) {
  EveryType pass;
  visit(pass, [](const OptionInfo&, auto& value) { value = {}; });
  EXPECT_FALSE(pass.flag);
  EXPECT_EQ(pass.count, 0);
  EXPECT_TRUE(pass.datas.empty());
  EXPECT_TRUE(pass.patterns.entries.empty());
  EXPECT_FALSE(pass.open_share.has_value());
}

TEST(OptionVisitor, WhatIsNoNumberIsNull) {
  EXPECT_TRUE(to_json(std::numeric_limits<double>::infinity()).is_null());
  EXPECT_EQ(to_json(std::vector<std::string>()), base::Json::array());
}

}  // namespace
}  // namespace frugal::pass
