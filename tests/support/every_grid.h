// Every grid of the registry with every form its options take, so that a test which goes over them
// covers a new grid by itself.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "grid/grid.h"

namespace frugal::test {

// Names for find_grid(). Groups are of 4 columns: no format's own, less than the loops take at a
// time, and a divisor of all rows in tests.
inline std::vector<std::string> every_grid() {
  std::vector<std::string> all;
  for (const grid::GridHelp& help : grid::grid_help()) {
    const size_t options = std::min(help.name.find('['), help.name.size());
    const std::string family = help.name.substr(0, options);
    const std::string_view rest = std::string_view(help.name).substr(options);
    std::vector<std::string> forms = {family};
    if (rest == "[:e<k>]") {
      forms.push_back(family + ":e0");
    } else if (!rest.empty()) {
      EXPECT_TRUE(rest == "[:g<N>|:row]" || rest == "[:g<N>|:row][:asym]")
          << help.name << " has options that this list does not know";
      forms.push_back(family + ":g4");
      forms.push_back(family + ":row");
    }
    const size_t symmetric = forms.size();
    for (size_t i = 0; rest.ends_with("[:asym]") && i < symmetric; ++i)
      forms.push_back(forms[i] + ":asym");
    all.insert(all.end(), forms.begin(), forms.end());
  }
  return all;
}

}  // namespace frugal::test
