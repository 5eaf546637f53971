// WikiText's pages as ordinary text: its Python preprocessing in lm-evaluation-harness, rule by
// rule.
#pragma once

#include <string>
#include <string_view>

namespace frugal::tasks {

// The page without the marks of its tokenization (" @-@ ", " , ", "( a )", "= = ="). `page` is
// valid UTF-8.
std::string wikitext_text(std::string_view page);

}  // namespace frugal::tasks
