// Unicode's normalization forms (Unicode Standard Annex 15), with the characters of Unicode 9 as
// Hugging Face's tokenizers have them.
#pragma once

#include <string>
#include <string_view>

namespace frugal::text {

// `text` (valid UTF-8) in the form "NFC", "NFD", "NFKC" or "NFKD".
std::string normalize_unicode(std::string_view text, std::string_view form);

}  // namespace frugal::text
