// Base64 (RFC 4648), as tiktoken's files and tokenizer.json hold bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace frugal::text {

// Nullopt where `text` is none; empty text is none, too.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace frugal::text
