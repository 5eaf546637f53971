#include "tasks/wikitext.h"

#include <utility>

#include "chat/unicode.h"
#include "tasks/python_text.h"

namespace frugal::tasks {
namespace {

// re.sub(r"\(\s*([^\)]*?)\s*\)", r"(\1)"): what stands between two marks loses the white space
// around it.
void tighten(std::string& text, char open, char close) {
  std::string out;
  size_t done = 0;
  for (size_t at = text.find(open); at != std::string::npos; at = text.find(open, done)) {
    const size_t end = text.find(close, at + 1);
    if (end == std::string::npos) break;
    const std::string_view inside = std::string_view(text).substr(at + 1, end - at - 1);
    out.append(text, done, at + 1 - done)
        .append(chat::strip(inside, chat::Sides::kBoth))
        .push_back(close);
    done = end + 1;
  }
  text = out.append(text, done);
}

// re.sub(r"/' [0-9]/", r"/'[0-9]/"), which puts the pattern itself in the place of the digit.
void replace_digits_between_slashes(std::string& text) {
  for (char digit = '0'; digit <= '9'; ++digit)
    text = replace_all(text, std::string("/' ") + digit + "/", "/'[0-9]/");
}

}  // namespace

std::string wikitext_text(std::string_view page) {
  using Pair = std::pair<std::string_view, std::string_view>;
  std::string text(page);
  text = replace_all(text, "s '", "s'");
  replace_digits_between_slashes(text);
  for (const auto& [from, to] : {Pair{" @-@ ", "-"}, Pair{" @,@ ", ","}, Pair{" @.@ ", "."},
                                 Pair{" : ", ": "}, Pair{" ; ", "; "}, Pair{" . ", ". "},
                                 Pair{" ! ", "! "}, Pair{" ? ", "? "}, Pair{" , ", ", "}})
    text = replace_all(text, from, to);
  for (const auto& [open, close] : {std::pair{'(', ')'}, std::pair{'[', ']'}, std::pair{'{', '}'},
                                    std::pair{'"', '"'}, std::pair{'\'', '\''}})
    tighten(text, open, close);
  for (const auto& [from, to] : {Pair{"= = = =", "===="}, Pair{"= = =", "==="}, Pair{"= =", "=="},
                                 Pair{" \xC2\xB0 ", "\xC2\xB0"}, Pair{" \n", "\n"},
                                 Pair{"\n ", "\n"}, Pair{" N ", " 1 "}, Pair{" 's", "'s"}})
    text = replace_all(text, from, to);
  return text;
}

}  // namespace frugal::tasks
