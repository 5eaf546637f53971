#include "text/tokenizer.h"
#include "text/utf8.h"

namespace frugal::text {

StreamingDecoder::StreamingDecoder(std::shared_ptr<const Tokenizer> tokenizer)
    : tokenizer_(std::move(tokenizer)) {}

std::string StreamingDecoder::push(TokenId id) {
  ids_.push_back(id);
  const std::string text = tokenizer_->decode(ids_);
  std::string out;
  bool whole = true;
  while (emitted_bytes_ < text.size()) {
    const std::string_view rest = std::string_view(text).substr(emitted_bytes_);
    const Utf8Character character = first_character(rest);
    if (character.state == Utf8Character::State::kIncomplete) {
      whole = false;
      break;
    }
    out += character.state == Utf8Character::State::kValid ? rest.substr(0, character.length)
                                                           : kReplacementCharacter;
    emitted_bytes_ += character.length;
  }
  // What is out needs no more context than its last id that shows: decoders treat only the front of
  // a text differently.
  if (whole && ids_.size() > 1) {
    const std::string alone = tokenizer_->decode(std::span(&id, 1));
    if (!alone.empty()) {
      ids_.assign(1, id);
      emitted_bytes_ = alone.size();
    }
  }
  return out;
}

std::string StreamingDecoder::finish() {
  const std::string text = tokenizer_->decode(ids_);
  const bool cut = emitted_bytes_ < text.size();
  ids_.clear();
  emitted_bytes_ = 0;
  return cut ? std::string(kReplacementCharacter) : std::string();
}

}  // namespace frugal::text
