// Tested by: tests/chat/expression_parser_test.cpp
#include "chat/token_reader.h"

#include <algorithm>

#include "base/text.h"
#include "chat/syntax.h"

namespace frugal::chat {

const Token& TokenReader::peek(size_t ahead) const {
  return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
}

const Token& TokenReader::take() {
  const Token& token = peek();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool TokenReader::is_operator(std::string_view text, size_t ahead) const {
  return peek(ahead).kind == Token::Kind::kOperator && peek(ahead).text == text;
}

bool TokenReader::is_name(std::string_view text, size_t ahead) const {
  return peek(ahead).kind == Token::Kind::kName && peek(ahead).text == text;
}

bool TokenReader::is_name_of(Names names) const {
  return std::any_of(names.begin(), names.end(), [&](auto name) { return is_name(name); });
}

bool TokenReader::skip_operator(std::string_view text) {
  const bool found = is_operator(text);
  if (found) take();
  return found;
}

bool TokenReader::skip_name(std::string_view text) {
  const bool found = is_name(text);
  if (found) take();
  return found;
}

std::string TokenReader::shown(const Token& token) {
  switch (token.kind) {
    case Token::Kind::kData:
      return "text";
    case Token::Kind::kBlockBegin:
      return "'{%'";
    case Token::Kind::kBlockEnd:
      return "'%}'";
    case Token::Kind::kVariableBegin:
      return "'{{'";
    case Token::Kind::kVariableEnd:
      return "'}}'";
    case Token::Kind::kText:
      return "a text";
    case Token::Kind::kEnd:
      return "the end of the template";
    default:
      return base::str_cat("'", token.text, "'");
  }
}

absl::Status TokenReader::failure(const Token& token, std::string_view what) const {
  return base::invalid_argument(described(token.at), what);
}

absl::Status TokenReader::unexpected(std::string_view expected) const {
  return failure(peek(), base::str_cat("expected ", expected, ", found ", shown(peek())));
}

absl::Status TokenReader::expect_operator(std::string_view text) {
  if (skip_operator(text)) return absl::OkStatus();
  return unexpected(base::str_cat("'", text, "'"));
}

absl::StatusOr<std::string> TokenReader::expect_any_name() {
  if (peek().kind != Token::Kind::kName) return unexpected("a name");
  return take().text;
}

absl::Status TokenReader::expect_block_end() {
  if (peek().kind != Token::Kind::kBlockEnd) return unexpected("'%}'");
  take();
  return absl::OkStatus();
}

}  // namespace frugal::chat
