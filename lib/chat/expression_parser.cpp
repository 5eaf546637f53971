#include "chat/expression_parser.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "chat/conditions.h"
#include "chat/unicode.h"

namespace frugal::chat {

absl::Status ExpressionParser::too_deep(Position at) const {
  return base::resource_exhausted(described(at), "nested deeper than ", kMaxSourceDepth);
}

absl::Status ExpressionParser::too_many(Position at) {
  return base::resource_exhausted(described(at), "more than ", kMaxArguments, " arguments");
}

absl::Status ExpressionParser::check_depth() const {
  return depth_ > kMaxSourceDepth ? too_deep(peek().at) : absl::OkStatus();
}

absl::StatusOr<ExpressionPtr> ExpressionParser::finish(ExpressionPtr made) const {
  const auto deepen = [&](const ExpressionPtr& part) {
    if (part != nullptr) made->depth = std::max(made->depth, 1 + part->depth);
  };
  for (const ExpressionPtr& part : made->operands) deepen(part);
  for (const ExpressionPtr& part : made->arguments.positional) deepen(part);
  for (const auto& [name, part] : made->arguments.keywords) deepen(part);
  deepen(made->arguments.positional_rest);
  deepen(made->arguments.keyword_rest);
  if (made->depth > kMaxSourceDepth) return too_deep(made->at);
  return made;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::constant(Position at, Value value) {
  FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr made, make(Kind::kConstant, at));
  made->constant = std::move(value);
  return made;
}

Value ExpressionParser::text_value(std::string text) {
  auto data = std::make_shared<TextData>();
  data->length = count_characters(text);
  data->bytes = std::move(text);
  return Value(Text(std::move(data)));
}

int ExpressionParser::number_of(const std::string& name) {
  const auto [found, added] = numbers_.try_emplace(name, static_cast<int>(program_.names.size()));
  if (added) program_.names.push_back(name);
  return found->second;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::expression(bool conditional) {
  const Nested nested(depth_);
  FRUGAL_RETURN_IF_ERROR(check_depth());
  if (!conditional) return disjunction();
  const Position at = peek().at;
  FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr left, disjunction());
  while (skip_name("if")) {
    const bool outer = std::exchange(lenient_, true);
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr test, disjunction());
    ExpressionPtr otherwise;
    if (skip_name("else")) {
      FRUGAL_ASSIGN_OR_RETURN(otherwise, expression());
    }
    lenient_ = outer;
    FRUGAL_ASSIGN_OR_RETURN(
        left, make(Kind::kConditional, at, std::move(left), std::move(test), std::move(otherwise)));
  }
  return left;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::disjunction() {
  FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr left, conjunction());
  while (is_name("or")) {
    const Position at = take().at;
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr right, conjunction());
    FRUGAL_ASSIGN_OR_RETURN(left, make(Kind::kOr, at, std::move(left), std::move(right)));
  }
  return left;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::conjunction() {
  FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr left, negation());
  while (is_name("and")) {
    const Position at = take().at;
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr right, negation());
    FRUGAL_ASSIGN_OR_RETURN(left, make(Kind::kAnd, at, std::move(left), std::move(right)));
  }
  return left;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::negation() {
  if (!is_name("not")) return comparison();
  const Nested nested(depth_);
  FRUGAL_RETURN_IF_ERROR(check_depth());
  const Position at = take().at;
  FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr operand, negation());
  return make(Kind::kNot, at, std::move(operand));
}

std::string ExpressionParser::comparison_operator() {
  for (const std::string_view op : {"==", "!=", "<", "<=", ">", ">="}) {
    if (skip_operator(op)) return std::string(op);
  }
  if (skip_name("in")) return "in";
  if (is_name("not") && is_name("in", 1)) {
    take();
    take();
    return "not in";
  }
  return "";
}

absl::StatusOr<ExpressionPtr> ExpressionParser::comparison() {
  const Position at = peek().at;
  FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr left, sum());
  std::string op = comparison_operator();
  if (op.empty()) return left;
  auto made = std::make_unique<Expression>();
  made->kind = Kind::kCompare;
  made->at = at;
  made->operands.push_back(std::move(left));
  for (; !op.empty(); op = comparison_operator()) {
    made->operators.push_back(op);
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr right, sum());
    made->operands.push_back(std::move(right));
  }
  return finish(std::move(made));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::binary(const Token& op, ExpressionPtr left,
                                                       ExpressionPtr right) {
  FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr made,
                          make(Kind::kArithmetic, op.at, std::move(left), std::move(right)));
  made->name = op.text;
  return made;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::sum() {
  FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr left, concatenation());
  while (is_operator("+") || is_operator("-")) {
    const Token& op = take();
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr right, concatenation());
    FRUGAL_ASSIGN_OR_RETURN(left, binary(op, std::move(left), std::move(right)));
  }
  return left;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::concatenation() {
  const Position at = peek().at;
  FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr first, product());
  if (!is_operator("~")) return first;
  auto made = std::make_unique<Expression>();
  made->kind = Kind::kConcatenate;
  made->at = at;
  made->operands.push_back(std::move(first));
  while (skip_operator("~")) {
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr next, product());
    made->operands.push_back(std::move(next));
  }
  return finish(std::move(made));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::product() {
  FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr left, power());
  while (is_operator("*") || is_operator("/") || is_operator("//") || is_operator("%")) {
    const Token& op = take();
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr right, power());
    FRUGAL_ASSIGN_OR_RETURN(left, binary(op, std::move(left), std::move(right)));
  }
  return left;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::power() {
  FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr left, unary());
  while (is_operator("**")) {
    const Token& op = take();
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr right, unary());
    FRUGAL_ASSIGN_OR_RETURN(left, binary(op, std::move(left), std::move(right)));
  }
  return left;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::unary(bool with_filter) {
  const Nested nested(depth_);
  FRUGAL_RETURN_IF_ERROR(check_depth());
  ExpressionPtr made;
  if (is_operator("-") || is_operator("+")) {
    const Token& sign = take();
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr operand, unary(false));
    FRUGAL_ASSIGN_OR_RETURN(made, make(Kind::kSign, sign.at, std::move(operand)));
    made->name = sign.text;
  } else {
    FRUGAL_ASSIGN_OR_RETURN(made, primary());
  }
  FRUGAL_ASSIGN_OR_RETURN(made, postfix(std::move(made)));
  if (!with_filter) return made;
  return filtered(std::move(made));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::primary() {
  const Token& token = peek();
  switch (token.kind) {
    case Token::Kind::kName:
      return name();
    case Token::Kind::kText: {
      std::string text;
      while (peek().kind == Token::Kind::kText) text += take().text;
      return constant(token.at, text_value(std::move(text)));
    }
    case Token::Kind::kInteger:
      return integer();
    case Token::Kind::kFloat:
      take();
      return constant(token.at, Value(std::strtod(token.text.c_str(), nullptr)));
    case Token::Kind::kOperator:
      if (token.text == "(") return parenthesized();
      if (token.text == "[") return list();
      if (token.text == "{") return dictionary();
      break;
    default:
      break;
  }
  return unexpected("an expression");
}

absl::StatusOr<ExpressionPtr> ExpressionParser::name() {
  const Token& token = take();
  if (token.text == "true" || token.text == "True") return constant(token.at, Value(true));
  if (token.text == "false" || token.text == "False") return constant(token.at, Value(false));
  if (token.text == "none" || token.text == "None") return constant(token.at, Value());
  if (token.text == "self")
    return base::unimplemented(described(token.at), "'self' is not supported by frugal");
  FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr made, make(Kind::kName, token.at));
  made->name = token.text;
  made->variable = number_of(token.text);
  for (Callable* callable : callables_) {
    callable->reads_caller |= token.text == "caller";
    callable->reads_keywords |= token.text == "kwargs";
    callable->reads_rest |= token.text == "varargs";
  }
  return made;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::integer() {
  const Token& token = take();
  std::string_view digits = token.text;
  int radix = 10;
  if (digits.size() > 2 && digits[0] == '0') {
    const char kind = static_cast<char>(digits[1] | 0x20);
    radix = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
    if (radix != 10) digits.remove_prefix(2);
  }
  int64_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value, radix);
  if (result.ec != std::errc())
    return base::unimplemented(described(token.at), "the integer ", token.text,
                               " needs more than 64 bits; frugal computes with 64");
  return constant(token.at, Value(value));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::parenthesized() {
  take();
  FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr made, tuple(true, {}, true));
  FRUGAL_RETURN_IF_ERROR(expect_operator(")"));
  return made;
}

bool ExpressionParser::ends_tuple(Names ends) const {
  return peek().kind == Token::Kind::kVariableEnd || peek().kind == Token::Kind::kBlockEnd ||
         is_operator(")") || is_name_of(ends);
}

absl::StatusOr<ExpressionPtr> ExpressionParser::tuple(bool conditional, Names ends,
                                                      bool parenthesized) {
  const Position at = peek().at;
  auto made = std::make_unique<Expression>();
  made->kind = Kind::kTuple;
  made->at = at;
  bool is_tuple = false;
  while (true) {
    if (!made->operands.empty()) FRUGAL_RETURN_IF_ERROR(expect_operator(","));
    if (ends_tuple(ends)) break;
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr item, expression(conditional));
    made->operands.push_back(std::move(item));
    if (!is_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!made->operands.empty()) return std::move(made->operands[0]);
    if (!parenthesized) return unexpected("an expression");
  }
  return finish(std::move(made));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::list() {
  auto made = std::make_unique<Expression>();
  made->kind = Kind::kList;
  made->at = take().at;
  while (!is_operator("]")) {
    if (!made->operands.empty()) FRUGAL_RETURN_IF_ERROR(expect_operator(","));
    if (is_operator("]")) break;
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr item, expression());
    made->operands.push_back(std::move(item));
  }
  take();
  return finish(std::move(made));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::dictionary() {
  auto made = std::make_unique<Expression>();
  made->kind = Kind::kDictionary;
  made->at = take().at;
  while (!is_operator("}")) {
    if (!made->operands.empty()) FRUGAL_RETURN_IF_ERROR(expect_operator(","));
    if (is_operator("}")) break;
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr key, expression());
    FRUGAL_RETURN_IF_ERROR(expect_operator(":"));
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr value, expression());
    made->operands.push_back(std::move(key));
    made->operands.push_back(std::move(value));
  }
  take();
  return finish(std::move(made));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::postfix(ExpressionPtr made) {
  while (true) {
    if (is_operator(".") || is_operator("[")) {
      FRUGAL_ASSIGN_OR_RETURN(made, subscript(std::move(made)));
    } else if (is_operator("(")) {
      FRUGAL_ASSIGN_OR_RETURN(made, call(std::move(made)));
    } else {
      return made;
    }
  }
}

absl::StatusOr<ExpressionPtr> ExpressionParser::filtered(ExpressionPtr made) {
  while (true) {
    if (is_operator("|")) {
      FRUGAL_ASSIGN_OR_RETURN(made, filter(std::move(made)));
    } else if (is_name("is")) {
      FRUGAL_ASSIGN_OR_RETURN(made, test(std::move(made)));
    } else if (is_operator("(")) {
      FRUGAL_ASSIGN_OR_RETURN(made, call(std::move(made)));
    } else {
      return made;
    }
  }
}

absl::StatusOr<ExpressionPtr> ExpressionParser::subscript(ExpressionPtr object) {
  const Token& begin = take();
  if (begin.text == "[") return item(begin.at, std::move(object));
  if (peek().kind == Token::Kind::kInteger) {
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr index, integer());
    return make(Kind::kItem, begin.at, std::move(object), std::move(index));
  }
  if (peek().kind != Token::Kind::kName) return unexpected("a name or a number");
  FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr made, make(Kind::kAttribute, begin.at, std::move(object)));
  made->name = take().text;
  made->constant = text_value(made->name);
  return made;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::item(Position at, ExpressionPtr object) {
  ExpressionPtr start, stop, step;
  if (is_operator("]")) {  // x[] is x[()] to Jinja
    take();
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr none, make(Kind::kTuple, at));
    return make(Kind::kItem, at, std::move(object), std::move(none));
  }
  const auto part = [&](ExpressionPtr& into) -> absl::Status {
    if (is_operator(":") || is_operator("]") || is_operator(",")) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(into, expression());
    return absl::OkStatus();
  };
  FRUGAL_RETURN_IF_ERROR(part(start));
  const bool slice = skip_operator(":");
  if (slice) {
    FRUGAL_RETURN_IF_ERROR(part(stop));
    if (skip_operator(":")) FRUGAL_RETURN_IF_ERROR(part(step));
  }
  if (is_operator(","))
    return base::unimplemented(described(peek().at),
                               "several indices between brackets are not supported by frugal");
  FRUGAL_RETURN_IF_ERROR(expect_operator("]"));
  if (!slice && start == nullptr) return unexpected("an expression");
  if (!slice) return make(Kind::kItem, at, std::move(object), std::move(start));
  return make(Kind::kSlice, at, std::move(object), std::move(start), std::move(stop),
              std::move(step));
}

absl::StatusOr<CallArguments> ExpressionParser::arguments() {
  CallArguments made;
  FRUGAL_RETURN_IF_ERROR(expect_operator("("));
  bool first = true;
  while (!is_operator(")")) {
    if (!first) FRUGAL_RETURN_IF_ERROR(expect_operator(","));
    if (is_operator(")")) break;
    first = false;
    FRUGAL_RETURN_IF_ERROR(argument(made));
  }
  take();
  return made;
}

absl::Status ExpressionParser::argument(CallArguments& made) {
  const Token& begin = peek();
  if (made.positional.size() + made.keywords.size() >= kMaxArguments) return too_many(begin.at);
  const bool rest = made.positional_rest != nullptr, keyword_rest = made.keyword_rest != nullptr;
  const bool is_keyword = begin.kind == Token::Kind::kName && is_operator("=", 1);
  const bool in_order = is_operator("*")    ? !rest && !keyword_rest
                        : is_operator("**") ? !keyword_rest
                        : is_keyword        ? !keyword_rest
                                            : !rest && !keyword_rest && made.keywords.empty();
  if (!in_order) return failure(begin, "an argument out of order");
  if (skip_operator("*")) {
    FRUGAL_ASSIGN_OR_RETURN(made.positional_rest, expression());
  } else if (skip_operator("**")) {
    FRUGAL_ASSIGN_OR_RETURN(made.keyword_rest, expression());
  } else if (is_keyword) {
    take();
    take();
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr value, expression());
    const bool twice = std::any_of(made.keywords.begin(), made.keywords.end(),
                                   [&](const auto& k) { return k.first == begin.text; });
    if (twice) return failure(begin, base::str_cat("the argument '", begin.text, "' twice"));
    made.keywords.emplace_back(begin.text, std::move(value));
  } else {
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr value, expression());
    made.positional.push_back(std::move(value));
  }
  return absl::OkStatus();
}

absl::StatusOr<ExpressionPtr> ExpressionParser::call(ExpressionPtr callee) {
  auto made = std::make_unique<Expression>();
  made->kind = Kind::kCall;
  made->at = peek().at;
  made->operands.push_back(std::move(callee));
  FRUGAL_ASSIGN_OR_RETURN(made->arguments, arguments());
  return finish(std::move(made));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::filter(ExpressionPtr object) {
  take();
  return filter_name(std::move(object));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::filter_name(ExpressionPtr object) {
  auto made = std::make_unique<Expression>();
  made->kind = Kind::kFilter;
  made->at = peek().at;
  made->operands.push_back(std::move(object));
  FRUGAL_ASSIGN_OR_RETURN(made->name, dotted_name());
  FRUGAL_RETURN_IF_ERROR(check_known("filter", made->name, made->at, filter_support(made->name)));
  if (is_operator("(")) {
    FRUGAL_ASSIGN_OR_RETURN(made->arguments, arguments());
  }
  return finish(std::move(made));
}

absl::StatusOr<std::string> ExpressionParser::dotted_name() {
  FRUGAL_ASSIGN_OR_RETURN(std::string made, expect_any_name());
  while (skip_operator(".")) {
    FRUGAL_ASSIGN_OR_RETURN(const std::string part, expect_any_name());
    made += "." + part;
  }
  return made;
}

absl::Status ExpressionParser::check_known(std::string_view kind, std::string_view name,
                                           Position at, Support support) const {
  if (support == Support::kMissing)
    return base::unimplemented(described(at), kind, " '", name, "' is not supported by frugal");
  if (support == Support::kUnknown && !lenient_)
    return base::invalid_argument(described(at), "there is no ", kind, " '", name, "'");
  return absl::OkStatus();
}

absl::StatusOr<ExpressionPtr> ExpressionParser::test(ExpressionPtr object) {
  const Position at = take().at;
  const bool negated = skip_name("not");
  auto made = std::make_unique<Expression>();
  made->kind = Kind::kTest;
  made->at = peek().at;
  made->operands.push_back(std::move(object));
  FRUGAL_ASSIGN_OR_RETURN(made->name, dotted_name());
  FRUGAL_RETURN_IF_ERROR(check_known("test", made->name, made->at, test_support(made->name)));
  if (is_operator("(")) {
    FRUGAL_ASSIGN_OR_RETURN(made->arguments, arguments());
  } else if (begins_argument()) {
    if (is_name("is")) return failure(peek(), "tests cannot be chained with 'is'");
    const Nested nested(depth_);
    FRUGAL_RETURN_IF_ERROR(check_depth());
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr value, primary());
    FRUGAL_ASSIGN_OR_RETURN(value, postfix(std::move(value)));
    made->arguments.positional.push_back(std::move(value));
  }
  FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr result, finish(std::move(made)));
  if (!negated) return result;
  return make(Kind::kNot, at, std::move(result));
}

bool ExpressionParser::begins_argument() const {
  switch (peek().kind) {
    case Token::Kind::kName:
      return !is_name_of({"else", "or", "and"});
    case Token::Kind::kText:
    case Token::Kind::kInteger:
    case Token::Kind::kFloat:
      return true;
    default:
      return is_operator("[") || is_operator("{");
  }
}

}  // namespace frugal::chat
