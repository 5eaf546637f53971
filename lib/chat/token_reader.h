// The tokens of a template, one behind the other, and what is said where another one was expected.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "chat/lexer.h"

namespace frugal::chat {

using Names = std::initializer_list<std::string_view>;

class TokenReader {
 protected:
  // The last token is Token::Kind::kEnd.
  explicit TokenReader(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& peek(size_t ahead = 0) const;
  const Token& take();
  bool is_operator(std::string_view text, size_t ahead = 0) const;
  bool is_name(std::string_view text, size_t ahead = 0) const;
  bool is_name_of(Names names) const;
  bool skip_operator(std::string_view text);
  bool skip_name(std::string_view text);
  static std::string shown(const Token& token);
  absl::Status failure(const Token& token, std::string_view what) const;
  absl::Status unexpected(std::string_view expected) const;
  absl::Status expect_operator(std::string_view text);
  absl::StatusOr<std::string> expect_any_name();
  absl::Status expect_block_end();

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace frugal::chat
