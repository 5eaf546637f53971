// frugal passes.
#include <algorithm>
#include <cstdio>

#include "grid/grid.h"
#include "pass/option_reader.h"
#include "pass/table.h"
#include "passes/registry.h"
#include "session.h"

namespace frugal::tool {
namespace {

base::Json describe(pass::Pass& pass) {
  base::Json options = base::Json::array();
  for (const pass::OptionDescription& option : pass::describe_options(pass)) {
    base::Json item = {{"name", option.name},       {"type", option.type},
                       {"unit", option.unit},       {"range", option.range},
                       {"choices", option.choices}, {"required", option.required},
                       {"help", option.help}};
    item["default"] = option.required ? base::Json(nullptr) : option.default_value;
    options.push_back(std::move(item));
  }
  return {{"name", pass.info().name},
          {"version", pass.info().version},
          {"summary", pass.info().summary},
          {"options", options}};
}

// The grids, below a pass that rounds to one.
std::string grids_of(pass::Pass& pass) {
  const auto options = pass::describe_options(pass);
  const bool rounds = std::any_of(options.begin(), options.end(),
                                  [](const auto& option) { return option.name == "grid"; });
  if (!rounds) return "";
  pass::Table table({"grid", "what it is"});
  for (const grid::GridHelp& help : grid::grid_help()) table.row({help.name, help.summary});
  return "\nGrids\n" + table.text();
}

}  // namespace

int list_passes(const std::string& name, bool json) {
  base::Json described = base::Json::array();
  std::vector<std::string> names;
  pass::Table table({"pass", "what it does"});
  for (const pass::PassFactory factory : passes::registry()) {
    const auto pass = factory();
    names.push_back(pass->info().name);
    if (!name.empty() && pass->info().name != name) continue;
    if (json) {
      described.push_back(describe(*pass));
    } else if (!name.empty()) {
      std::fputs((pass::pass_help(*pass, false) + grids_of(*pass)).c_str(), stdout);
      return pass::kExitDone;
    }
    table.row({pass->info().name, pass->info().summary});
  }
  if (!name.empty() && described.empty()) {
    return fail(base::str_cat("there is no pass '", name, "'", base::suggestion(name, names)),
                pass::kExitUsage);
  }
  const std::string text = json ? described.dump(1) + "\n"
                                : table.text() +
                                      "\n`frugal passes NAME` lists the options of a pass; "
                                      "`frugal NAME --help` shows it as a command.\n";
  std::fputs(text.c_str(), stdout);
  return pass::kExitDone;
}

}  // namespace frugal::tool
