// Normalizers of tokenizer.json: NFC and its kin, Prepend, Replace, Strip, StripAccents, Lowercase,
// Nmt, Precompiled, Sequence; and those of SentencePiece.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "text/character_map.h"
#include "text/regex.h"

namespace frugal::text {

class Normalizer {
 public:
  // `json` null: no normalizer. Errors: Unimplemented for a component we do not know (named).
  static absl::StatusOr<Normalizer> parse(const base::Json& json);

  // SentencePiece's normalizer; `map` null: characters stay as they are.
  static Normalizer sentencepiece(std::shared_ptr<const CharacterMap> map,
                                  bool remove_extra_whitespace, bool add_dummy_prefix,
                                  bool escape_whitespace);

  // `continued`: the text goes on from a cut, in front of which there is no space.
  std::string apply(std::string_view text, bool continued = false) const;
  // Whether a text may be cut in front of any ASCII character that is not behind a space: the
  // halves, the second one continued, then become together what the whole becomes.
  bool can_continue() const;
  bool empty() const { return steps_.empty(); }
  bool prepends_space() const;  // puts "▁" in front of a text

 private:
  struct Step {
    enum class Kind {
      kUnicode,
      kPrepend,
      kReplace,
      kStrip,
      kStripAccents,
      kLowercase,
      kNmt,
      kPrecompiled,   // Hugging Face's way
      kCharacterMap,  // SentencePiece's way
      kRemoveExtraWhitespace
    };
    Kind kind;
    std::string text = {};  // of Prepend, or what Replace writes; the form's name for kUnicode
    std::shared_ptr<const Regex> pattern = nullptr;
    bool left = false, right = false;  // Strip
    std::shared_ptr<const CharacterMap> map = nullptr;
  };
  absl::Status add_replace(const base::Json& json);
  absl::Status add_strip(const base::Json& json);
  absl::Status add_precompiled(const base::Json& json);
  static std::string apply(const Step& step, std::string text, bool continued);
  absl::Status add(const base::Json& json, int depth);
  std::vector<Step> steps_;
};

// The pattern of a Split or Replace: {"String": …} or {"Regex": …}.
absl::StatusOr<Regex> parse_pattern(const base::Json& json, std::string_view where);

}  // namespace frugal::text
