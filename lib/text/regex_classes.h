// What a pattern's classes of characters hold: as Oniguruma has them (Hugging Face, Unicode 16), in
// PCRE2's words, whose tables are those of Unicode 14.
#pragma once

#include <string>
#include <string_view>

namespace frugal::text {

// `pattern` with `\s`, `\w`, `\d` and their complements written out, and with the later characters
// of Unicode beside the categories L, Lu, Ll, Lm, Lo, M, N, Nd, No, P and S.
std::string with_unicode_classes(std::string_view pattern);

}  // namespace frugal::text
