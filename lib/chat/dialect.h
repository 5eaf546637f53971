// How a template is read and run: what the environments differ in that Jinja is used with.
#pragma once

#include <string_view>

namespace frugal::chat {

struct Dialect {
  std::string_view kind = "chat template";  // as messages call it; of static storage
  // A newline behind a block goes, and so does white space before a block on its line.
  bool trim_blocks = true;
  bool keep_last_newline = false;
  // Printing, testing, comparing, filtering or looping over what is undefined is an error, as with
  // StrictUndefined, and not an empty text.
  bool strict = false;
};

}  // namespace frugal::chat
