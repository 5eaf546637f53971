// The stream that any tokenizer has: it waits for the whole text.
#include <memory>
#include <string>
#include <utility>

#include "text/tokenizer.h"

namespace frugal::text {
namespace {

class WholeText final : public EncodingStream {
 public:
  explicit WholeText(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  void feed(std::string_view part, std::vector<TokenId>&) override { text_ += part; }
  void finish(std::vector<TokenId>& ids) override {
    const std::vector<TokenId> all = tokenizer_.encode(std::exchange(text_, ""), false);
    ids.insert(ids.end(), all.begin(), all.end());
  }

 private:
  const Tokenizer& tokenizer_;
  std::string text_;
};

}  // namespace

std::unique_ptr<EncodingStream> Tokenizer::stream(size_t) const {
  return std::make_unique<WholeText>(*this);
}

}  // namespace frugal::text
