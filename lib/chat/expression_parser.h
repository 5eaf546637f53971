// Expressions of Jinja, from tokens to trees, by recursive descent.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "chat/filters.h"
#include "chat/limits.h"
#include "chat/nested.h"
#include "chat/syntax.h"
#include "chat/token_reader.h"
#include "chat/value.h"

namespace frugal::chat {

class ExpressionParser : protected TokenReader {
 protected:
  using Kind = Expression::Kind;

  using TokenReader::TokenReader;

  // -- Depth: of what is being parsed here, of what was parsed in Expression::depth

  absl::Status too_deep(Position at) const;
  static absl::Status too_many(Position at);
  absl::Status check_depth() const;
  template <typename... Parts>
  absl::StatusOr<ExpressionPtr> make(Kind kind, Position at, Parts... parts) {
    auto made = std::make_unique<Expression>();
    made->kind = kind;
    made->at = at;
    (made->operands.push_back(std::move(parts)), ...);
    return finish(std::move(made));
  }
  absl::StatusOr<ExpressionPtr> finish(ExpressionPtr made) const;
  absl::StatusOr<ExpressionPtr> constant(Position at, Value value);
  static Value text_value(std::string text);
  int number_of(const std::string& name);

  // -- From the loosest operator to the tightest

  absl::StatusOr<ExpressionPtr> expression(bool conditional = true);
  absl::StatusOr<ExpressionPtr> disjunction();
  absl::StatusOr<ExpressionPtr> conjunction();
  absl::StatusOr<ExpressionPtr> negation();
  // The next comparison operator, taken; empty: there is none.
  std::string comparison_operator();
  absl::StatusOr<ExpressionPtr> comparison();
  absl::StatusOr<ExpressionPtr> binary(const Token& op, ExpressionPtr left, ExpressionPtr right);
  absl::StatusOr<ExpressionPtr> sum();
  absl::StatusOr<ExpressionPtr> concatenation();
  absl::StatusOr<ExpressionPtr> product();
  // Jinja takes powers from the left, unlike Python.
  absl::StatusOr<ExpressionPtr> power();
  absl::StatusOr<ExpressionPtr> unary(bool with_filter = true);
  absl::StatusOr<ExpressionPtr> primary();
  absl::StatusOr<ExpressionPtr> name();
  absl::StatusOr<ExpressionPtr> integer();
  absl::StatusOr<ExpressionPtr> parenthesized();
  bool ends_tuple(Names ends) const;
  // One expression, or several with commas between them: a tuple.
  absl::StatusOr<ExpressionPtr> tuple(bool conditional = true, Names ends = {},
                                      bool parenthesized = false);
  absl::StatusOr<ExpressionPtr> list();
  absl::StatusOr<ExpressionPtr> dictionary();
  absl::StatusOr<ExpressionPtr> postfix(ExpressionPtr made);
  absl::StatusOr<ExpressionPtr> filtered(ExpressionPtr made);
  absl::StatusOr<ExpressionPtr> subscript(ExpressionPtr object);
  absl::StatusOr<ExpressionPtr> item(Position at, ExpressionPtr object);
  absl::StatusOr<CallArguments> arguments();
  absl::Status argument(CallArguments& made);
  absl::StatusOr<ExpressionPtr> call(ExpressionPtr callee);
  // `object | name(arguments)`; `object` is null in front of a block.
  absl::StatusOr<ExpressionPtr> filter(ExpressionPtr object);
  absl::StatusOr<ExpressionPtr> filter_name(ExpressionPtr object);
  absl::StatusOr<std::string> dotted_name();
  // What Jinja does not know is no error within an 'if' unless it is met.
  absl::Status check_known(std::string_view kind, std::string_view name, Position at,
                           Support support) const;
  absl::StatusOr<ExpressionPtr> test(ExpressionPtr object);
  bool begins_argument() const;

  int depth_ = 0;
  bool lenient_ = false;              // within an 'if'
  std::vector<Callable*> callables_;  // whose bodies are being parsed
  base::string_map<int> numbers_;
  Program program_;
};

}  // namespace frugal::chat
