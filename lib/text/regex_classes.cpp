#include "text/regex_classes.h"

#include <array>

#include "base/text.h"

namespace frugal::text {
namespace {

// Characters of Unicode 15 and 16, by category.
constexpr std::string_view kLu = R"(\x{1C89}\x{A7CB}-\x{A7CC}\x{A7DA}\x{A7DC}\x{10D50}-\x{10D65})";
constexpr std::string_view kLl =
    R"(\x{1C8A}\x{A7CD}\x{A7DB}\x{10D70}-\x{10D85}\x{1DF25}-\x{1DF2A})";
constexpr std::string_view kLm = R"(\x{10D4E}\x{10D6F}\x{16D40}-\x{16D42}\x{16D6B}-\x{16D6C})"
                                 R"(\x{1E030}-\x{1E06D}\x{1E4EB})";
constexpr std::string_view kLo =
    R"(\x{105C0}-\x{105F3}\x{10D4A}-\x{10D4D}\x{10D4F}\x{10EC2}-\x{10EC4})"
    R"(\x{1123F}-\x{11240}\x{11380}-\x{11389}\x{1138B}\x{1138E})"
    R"(\x{11390}-\x{113B5}\x{113B7}\x{113D1}\x{113D3}\x{11BC0}-\x{11BE0})"
    R"(\x{11F02}\x{11F04}-\x{11F10}\x{11F12}-\x{11F33}\x{1342F})"
    R"(\x{13441}-\x{13446}\x{13460}-\x{143FA}\x{16100}-\x{1611D})"
    R"(\x{16D43}-\x{16D6A}\x{18CFF}\x{1B132}\x{1B155}\x{1E4D0}-\x{1E4EA})"
    R"(\x{1E5D0}-\x{1E5ED}\x{1E5F0}\x{2B739}\x{2EBF0}-\x{2EE5D})"
    R"(\x{31350}-\x{323AF})";
constexpr std::string_view kM =
    R"(\x{897}\x{CF3}\x{ECE}\x{10D69}-\x{10D6D}\x{10EFC}-\x{10EFF}\x{11241})"
    R"(\x{113B8}-\x{113C0}\x{113C2}\x{113C5}\x{113C7}-\x{113CA})"
    R"(\x{113CC}-\x{113D0}\x{113D2}\x{113E1}-\x{113E2}\x{11F00}-\x{11F01})"
    R"(\x{11F03}\x{11F34}-\x{11F3A}\x{11F3E}-\x{11F42}\x{11F5A}\x{13440})"
    R"(\x{13447}-\x{13455}\x{1611E}-\x{1612F}\x{1E08F}\x{1E4EC}-\x{1E4EF})"
    R"(\x{1E5EE}-\x{1E5EF})";
constexpr std::string_view kNd = R"(\x{10D40}-\x{10D49}\x{116D0}-\x{116E3}\x{11BF0}-\x{11BF9})"
                                 R"(\x{11F50}-\x{11F59}\x{16130}-\x{16139}\x{16D70}-\x{16D79})"
                                 R"(\x{1CCF0}-\x{1CCF9}\x{1E4F0}-\x{1E4F9}\x{1E5F1}-\x{1E5FA})";
constexpr std::string_view kNo = R"(\x{1D2C0}-\x{1D2D3})";
constexpr std::string_view kP =
    R"(\x{1B4E}-\x{1B4F}\x{1B7F}\x{10D6E}\x{113D4}-\x{113D5}\x{113D7}-\x{113D8})"
    R"(\x{11B00}-\x{11B09}\x{11BE1}\x{11F43}-\x{11F4F}\x{16D6D}-\x{16D6F})"
    R"(\x{1E5FF})";
constexpr std::string_view kS =
    R"(\x{2427}-\x{2429}\x{2FFC}-\x{2FFF}\x{31E4}-\x{31E5}\x{31EF})"
    R"(\x{10D8E}-\x{10D8F}\x{1CC00}-\x{1CCEF}\x{1CD00}-\x{1CEB3}\x{1F6DC})"
    R"(\x{1F774}-\x{1F776}\x{1F77B}-\x{1F77F}\x{1F7D9}\x{1F8B2}-\x{1F8BB})"
    R"(\x{1F8C0}-\x{1F8C1}\x{1FA75}-\x{1FA77}\x{1FA87}-\x{1FA89}\x{1FA8F})"
    R"(\x{1FAAD}-\x{1FAAF}\x{1FABB}-\x{1FABF}\x{1FAC6}\x{1FACE}-\x{1FACF})"
    R"(\x{1FADA}-\x{1FADC}\x{1FADF}\x{1FAE8}-\x{1FAE9}\x{1FAF7}-\x{1FAF8})"
    R"(\x{1FBCB}-\x{1FBEF})";

constexpr std::string_view kWhiteSpace = R"(\t-\r\x{85}\p{Z})";
// Oniguruma counts Latin-1's powers and fractions among the letters of words.
constexpr std::string_view kWord =
    R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";

std::string later_members(std::string_view category) {
  if (category == "L" || category == "Alphabetic") return base::str_cat(kLu, kLl, kLm, kLo);
  if (category == "N") return base::str_cat(kNd, kNo);
  struct Entry {
    std::string_view category, members;
  };
  constexpr std::array kEntries = {Entry{"Lu", kLu}, Entry{"Ll", kLl}, Entry{"Lm", kLm},
                                   Entry{"Lo", kLo}, Entry{"M", kM},   Entry{"Nd", kNd},
                                   Entry{"No", kNo}, Entry{"P", kP},   Entry{"S", kS}};
  for (const Entry& entry : kEntries) {
    if (entry.category == category) return std::string(entry.members);
  }
  return "";
}

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\' && at_ + 1 < pattern_.size()) {
        escape();
        continue;
      }
      if (c == '[' && !in_class_)
        in_class_ = true;
      else if (c == ']' && in_class_)
        in_class_ = false;
      out_ += c;
      ++at_;
    }
    return std::move(out_);
  }

 private:
  // Inside a class complements stay: they cannot be written there, and no tokenizer has them.
  void escape() {
    const char kind = pattern_[at_ + 1];
    const bool complement = kind >= 'A' && kind <= 'Z';
    const bool can = !in_class_ || !complement;
    const std::string_view listed = kind == 's' || kind == 'S'   ? kWhiteSpace
                                    : kind == 'w' || kind == 'W' ? kWord
                                    : kind == 'd' || kind == 'D' ? R"(\p{Nd})"
                                                                 : std::string_view();
    if (!listed.empty() && can) return members(Translator(listed).expanded(), complement, 2);
    if ((kind == 'p' || kind == 'P') && can && category(complement)) return;
    out_ += pattern_.substr(at_, 2);
    at_ += 2;
  }

  // \p{L}
  bool category(bool complement) {
    const size_t end = pattern_.find('}', at_);
    if (end == pattern_.npos || pattern_[at_ + 2] != '{') return false;
    const std::string later = later_members(pattern_.substr(at_ + 3, end - at_ - 3));
    if (later.empty()) return false;
    const std::string own = base::str_cat("\\p", pattern_.substr(at_ + 2, end + 1 - at_ - 2));
    members(base::str_cat(own, later), complement, end + 1 - at_);
    return true;
  }

  // The members of a class, with what is later beside each category.
  std::string expanded() {
    in_class_ = true;
    return run();
  }

  void members(const std::string& list, bool complement, size_t length) {
    out_ += in_class_ ? list : base::str_cat(complement ? "[^" : "[", list, "]");
    at_ += length;
  }

  std::string_view pattern_;
  size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
};

}  // namespace

std::string with_unicode_classes(std::string_view pattern) { return Translator(pattern).run(); }

}  // namespace frugal::text
