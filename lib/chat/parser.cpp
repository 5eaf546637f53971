#include "chat/parser.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "chat/conditions.h"
#include "chat/filters.h"
#include "chat/lexer.h"
#include "chat/scopes.h"
#include "chat/unicode.h"

namespace frugal::chat {
namespace {

using Kind = Expression::Kind;
using Names = std::initializer_list<std::string_view>;

constexpr std::string_view kUnsupportedTags[] = {"block",  "extends", "include",
                                                 "import", "from",    "autoescape"};

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  absl::StatusOr<Program> run() {
    FRUGAL_ASSIGN_OR_RETURN(program_.body, block({}));
    if (program_.names.size() > kMaxNames)
      return base::resource_exhausted("a template with ", program_.names.size(),
                                      " names of variables; at most ", kMaxNames, " are taken");
    return std::move(program_);
  }

 private:
  // -- Tokens

  const Token& peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  const Token& take() {
    const Token& token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool is_operator(std::string_view text, size_t ahead = 0) const {
    return peek(ahead).kind == Token::Kind::kOperator && peek(ahead).text == text;
  }
  bool is_name(std::string_view text, size_t ahead = 0) const {
    return peek(ahead).kind == Token::Kind::kName && peek(ahead).text == text;
  }
  bool is_name_of(Names names) const {
    return std::any_of(names.begin(), names.end(), [&](auto name) { return is_name(name); });
  }
  bool skip_operator(std::string_view text) {
    const bool found = is_operator(text);
    if (found) take();
    return found;
  }
  bool skip_name(std::string_view text) {
    const bool found = is_name(text);
    if (found) take();
    return found;
  }

  static std::string shown(const Token& token) {
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

  absl::Status failure(const Token& token, std::string_view what) const {
    return base::invalid_argument(described(token.at), what);
  }
  absl::Status unexpected(std::string_view expected) const {
    return failure(peek(), base::str_cat("expected ", expected, ", found ", shown(peek())));
  }
  absl::Status expect_operator(std::string_view text) {
    if (skip_operator(text)) return absl::OkStatus();
    return unexpected(base::str_cat("'", text, "'"));
  }
  absl::StatusOr<std::string> expect_any_name() {
    if (peek().kind != Token::Kind::kName) return unexpected("a name");
    return take().text;
  }
  absl::Status expect_block_end() {
    if (peek().kind != Token::Kind::kBlockEnd) return unexpected("'%}'");
    take();
    return absl::OkStatus();
  }

  // -- Depth: of what is being parsed here, of what was parsed in Expression::depth

  class Nested {
   public:
    explicit Nested(int& depth) : depth_(++depth) {}
    ~Nested() { --depth_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    int& depth_;
  };
  absl::Status too_deep(Position at) const {
    return base::resource_exhausted(described(at), "nested deeper than ", kMaxSourceDepth);
  }
  static absl::Status too_many(Position at) {
    return base::resource_exhausted(described(at), "more than ", kMaxArguments, " arguments");
  }
  absl::Status check_depth() const {
    return depth_ > kMaxSourceDepth ? too_deep(peek().at) : absl::OkStatus();
  }

  template <typename... Parts>
  absl::StatusOr<ExpressionPtr> make(Kind kind, Position at, Parts... parts) {
    auto made = std::make_unique<Expression>();
    made->kind = kind;
    made->at = at;
    (made->operands.push_back(std::move(parts)), ...);
    return finish(std::move(made));
  }
  absl::StatusOr<ExpressionPtr> finish(ExpressionPtr made) const {
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
  absl::StatusOr<ExpressionPtr> constant(Position at, Value value) {
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr made, make(Kind::kConstant, at));
    made->constant = std::move(value);
    return made;
  }

  static Value text_value(std::string text) {
    auto data = std::make_shared<TextData>();
    data->length = count_characters(text);
    data->bytes = std::move(text);
    return Value(Text(std::move(data)));
  }

  int number_of(const std::string& name) {
    const auto [found, added] = numbers_.try_emplace(name, static_cast<int>(program_.names.size()));
    if (added) program_.names.push_back(name);
    return found->second;
  }

  // -- Expressions, from the loosest operator to the tightest

  absl::StatusOr<ExpressionPtr> expression(bool conditional = true) {
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
      FRUGAL_ASSIGN_OR_RETURN(left, make(Kind::kConditional, at, std::move(left), std::move(test),
                                         std::move(otherwise)));
    }
    return left;
  }

  absl::StatusOr<ExpressionPtr> disjunction() {
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr left, conjunction());
    while (is_name("or")) {
      const Position at = take().at;
      FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr right, conjunction());
      FRUGAL_ASSIGN_OR_RETURN(left, make(Kind::kOr, at, std::move(left), std::move(right)));
    }
    return left;
  }

  absl::StatusOr<ExpressionPtr> conjunction() {
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr left, negation());
    while (is_name("and")) {
      const Position at = take().at;
      FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr right, negation());
      FRUGAL_ASSIGN_OR_RETURN(left, make(Kind::kAnd, at, std::move(left), std::move(right)));
    }
    return left;
  }

  absl::StatusOr<ExpressionPtr> negation() {
    if (!is_name("not")) return comparison();
    const Nested nested(depth_);
    FRUGAL_RETURN_IF_ERROR(check_depth());
    const Position at = take().at;
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr operand, negation());
    return make(Kind::kNot, at, std::move(operand));
  }

  // The next comparison operator, taken; empty: there is none.
  std::string comparison_operator() {
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

  absl::StatusOr<ExpressionPtr> comparison() {
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

  absl::StatusOr<ExpressionPtr> binary(const Token& op, ExpressionPtr left, ExpressionPtr right) {
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr made,
                            make(Kind::kArithmetic, op.at, std::move(left), std::move(right)));
    made->name = op.text;
    return made;
  }

  absl::StatusOr<ExpressionPtr> sum() {
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr left, concatenation());
    while (is_operator("+") || is_operator("-")) {
      const Token& op = take();
      FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr right, concatenation());
      FRUGAL_ASSIGN_OR_RETURN(left, binary(op, std::move(left), std::move(right)));
    }
    return left;
  }

  absl::StatusOr<ExpressionPtr> concatenation() {
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

  absl::StatusOr<ExpressionPtr> product() {
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr left, power());
    while (is_operator("*") || is_operator("/") || is_operator("//") || is_operator("%")) {
      const Token& op = take();
      FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr right, power());
      FRUGAL_ASSIGN_OR_RETURN(left, binary(op, std::move(left), std::move(right)));
    }
    return left;
  }

  // Jinja takes powers from the left, unlike Python.
  absl::StatusOr<ExpressionPtr> power() {
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr left, unary());
    while (is_operator("**")) {
      const Token& op = take();
      FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr right, unary());
      FRUGAL_ASSIGN_OR_RETURN(left, binary(op, std::move(left), std::move(right)));
    }
    return left;
  }

  absl::StatusOr<ExpressionPtr> unary(bool with_filter = true) {
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

  absl::StatusOr<ExpressionPtr> primary() {
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

  absl::StatusOr<ExpressionPtr> name() {
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

  absl::StatusOr<ExpressionPtr> integer() {
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

  absl::StatusOr<ExpressionPtr> parenthesized() {
    take();
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr made, tuple(true, {}, true));
    FRUGAL_RETURN_IF_ERROR(expect_operator(")"));
    return made;
  }

  bool ends_tuple(Names ends) const {
    return peek().kind == Token::Kind::kVariableEnd || peek().kind == Token::Kind::kBlockEnd ||
           is_operator(")") || is_name_of(ends);
  }

  // One expression, or several with commas between them: a tuple.
  absl::StatusOr<ExpressionPtr> tuple(bool conditional = true, Names ends = {},
                                      bool parenthesized = false) {
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

  absl::StatusOr<ExpressionPtr> list() {
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

  absl::StatusOr<ExpressionPtr> dictionary() {
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

  absl::StatusOr<ExpressionPtr> postfix(ExpressionPtr made) {
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

  absl::StatusOr<ExpressionPtr> filtered(ExpressionPtr made) {
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

  absl::StatusOr<ExpressionPtr> subscript(ExpressionPtr object) {
    const Token& begin = take();
    if (begin.text == "[") return item(begin.at, std::move(object));
    if (peek().kind == Token::Kind::kInteger) {
      FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr index, integer());
      return make(Kind::kItem, begin.at, std::move(object), std::move(index));
    }
    if (peek().kind != Token::Kind::kName) return unexpected("a name or a number");
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr made,
                            make(Kind::kAttribute, begin.at, std::move(object)));
    made->name = take().text;
    made->constant = text_value(made->name);
    return made;
  }

  absl::StatusOr<ExpressionPtr> item(Position at, ExpressionPtr object) {
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

  absl::StatusOr<CallArguments> arguments() {
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

  absl::Status argument(CallArguments& made) {
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

  absl::StatusOr<ExpressionPtr> call(ExpressionPtr callee) {
    auto made = std::make_unique<Expression>();
    made->kind = Kind::kCall;
    made->at = peek().at;
    made->operands.push_back(std::move(callee));
    FRUGAL_ASSIGN_OR_RETURN(made->arguments, arguments());
    return finish(std::move(made));
  }

  // `object | name(arguments)`; `object` is null in front of a block.
  absl::StatusOr<ExpressionPtr> filter(ExpressionPtr object) {
    take();
    return filter_name(std::move(object));
  }

  absl::StatusOr<ExpressionPtr> filter_name(ExpressionPtr object) {
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

  absl::StatusOr<std::string> dotted_name() {
    FRUGAL_ASSIGN_OR_RETURN(std::string made, expect_any_name());
    while (skip_operator(".")) {
      FRUGAL_ASSIGN_OR_RETURN(const std::string part, expect_any_name());
      made += "." + part;
    }
    return made;
  }

  // What Jinja does not know is no error within an 'if' unless it is met.
  absl::Status check_known(std::string_view kind, std::string_view name, Position at,
                           Support support) const {
    if (support == Support::kMissing)
      return base::unimplemented(described(at), kind, " '", name, "' is not supported by frugal");
    if (support == Support::kUnknown && !lenient_)
      return base::invalid_argument(described(at), "there is no ", kind, " '", name, "'");
    return absl::OkStatus();
  }

  absl::StatusOr<ExpressionPtr> test(ExpressionPtr object) {
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

  bool begins_argument() const {
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

  // -- Statements

  // Up to "{%" and one of the names of `ends`, which is the next token then; to the end of the
  // template where there are none.
  absl::StatusOr<Block> block(Names ends) {
    const Nested nested(depth_);
    FRUGAL_RETURN_IF_ERROR(check_depth());
    Block made;
    while (peek().kind != Token::Kind::kEnd) {
      const Token& token = peek();
      if (token.kind == Token::Kind::kBlockBegin) {
        take();
        if (is_name_of(ends)) return made;
        FRUGAL_ASSIGN_OR_RETURN(auto next, statement(ends));
        if (next != nullptr) made.push_back(std::move(next));
        FRUGAL_RETURN_IF_ERROR(expect_block_end());
        continue;
      }
      auto next = std::make_unique<Statement>();
      next->at = token.at;
      take();
      if (token.kind == Token::Kind::kData) {
        next->text = token.text;
      } else {
        next->kind = Statement::Kind::kOutput;
        FRUGAL_ASSIGN_OR_RETURN(next->expression, tuple());
        if (peek().kind != Token::Kind::kVariableEnd) return unexpected("'}}'");
        take();
      }
      made.push_back(std::move(next));
    }
    if (ends.size() > 0) return unexpected(base::str_cat("{% ", *ends.begin(), " %}"));
    return made;
  }

  // The body of a statement whose head was read up to its "%}".
  absl::StatusOr<Block> body(Names ends) {
    skip_operator(":");
    FRUGAL_RETURN_IF_ERROR(expect_block_end());
    return block(ends);
  }

  // A body with variables of its own: what is unknown within an 'if' does not matter within it.
  absl::StatusOr<Block> inner_body(Names ends) {
    const bool outer = std::exchange(lenient_, false);
    absl::StatusOr<Block> made = body(ends);
    lenient_ = outer;
    return made;
  }

  absl::StatusOr<std::unique_ptr<Statement>> statement(Names ends) {
    if (peek().kind != Token::Kind::kName) return unexpected("the name of a tag");
    const Token& tag = peek();
    auto made = std::make_unique<Statement>();
    made->at = tag.at;
    FRUGAL_RETURN_IF_ERROR(fill(*made, tag, ends));
    return made;
  }

  absl::Status fill(Statement& made, const Token& tag, Names ends) {
    if (tag.text == "if") return conditional(made);
    if (tag.text == "for") return loop(made);
    if (tag.text == "set") return set(made);
    if (tag.text == "macro") return macro(made);
    if (tag.text == "call") return call_block(made);
    if (tag.text == "filter") return filter_block(made);
    if (tag.text == "with") return with(made);
    if (tag.text == "generation") return generation(made);
    if (tag.text == "break" || tag.text == "continue") return jump(made);
    if (tag.text == "print") return print(made);
    if (std::find(std::begin(kUnsupportedTags), std::end(kUnsupportedTags), tag.text) !=
        std::end(kUnsupportedTags))
      return base::unimplemented(described(tag.at), "{% ", tag.text,
                                 " %} is not supported by frugal");
    const std::string expected =
        ends.size() > 0 ? base::str_cat("; expected {% ", *ends.begin(), " %} first") : "";
    return failure(tag, base::str_cat("unknown tag '", tag.text, "'", expected));
  }

  absl::Status conditional(Statement& made) {
    made.kind = Statement::Kind::kIf;
    const bool outer = std::exchange(lenient_, true);
    while (true) {
      take();  // if, elif
      FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr condition, tuple(false));
      FRUGAL_ASSIGN_OR_RETURN(Block then, body({"endif", "elif", "else"}));
      made.branches.emplace_back(std::move(condition), std::move(then));
      if (is_name("elif")) continue;
      if (take().text == "else") {
        FRUGAL_ASSIGN_OR_RETURN(made.otherwise, body({"endif"}));
        take();
      }
      lenient_ = outer;
      return absl::OkStatus();
    }
  }

  absl::Status loop(Statement& made) {
    made.kind = Statement::Kind::kFor;
    take();
    ++loops_;
    FRUGAL_ASSIGN_OR_RETURN(made.target, target({"in"}, false));
    if (!skip_name("in")) return unexpected("'in'");
    FRUGAL_ASSIGN_OR_RETURN(made.expression, tuple(false, {"recursive"}));
    if (skip_name("if")) {
      const bool outer = std::exchange(lenient_, false);
      FRUGAL_ASSIGN_OR_RETURN(made.test, expression());
      lenient_ = outer;
    }
    if (is_name("recursive"))
      return base::unimplemented(described(peek().at),
                                 "'recursive' loops are not supported by frugal");
    const bool jumps = std::exchange(in_loop_, true);
    FRUGAL_ASSIGN_OR_RETURN(made.body, inner_body({"endfor", "else"}));
    in_loop_ = jumps;
    if (take().text == "else") {
      FRUGAL_ASSIGN_OR_RETURN(made.otherwise, inner_body({"endfor"}));
      take();
    }
    --loops_;
    return absl::OkStatus();
  }

  absl::Status set(Statement& made) {
    made.kind = Statement::Kind::kSet;
    take();
    FRUGAL_ASSIGN_OR_RETURN(made.target, target({}, true));
    if (skip_operator("=")) {
      FRUGAL_ASSIGN_OR_RETURN(made.expression, tuple());
      return absl::OkStatus();
    }
    made.kind = Statement::Kind::kSetBlock;
    while (is_operator("|")) {
      FRUGAL_ASSIGN_OR_RETURN(made.expression, filter(std::move(made.expression)));
    }
    FRUGAL_ASSIGN_OR_RETURN(made.body, inner_body({"endset"}));
    take();
    return absl::OkStatus();
  }

  // Reads a(, b)*: names, attributes of namespaces where they may be, and tuples of those.
  absl::StatusOr<Target> target(Names ends, bool attributes) {
    const Nested nested(depth_);
    FRUGAL_RETURN_IF_ERROR(check_depth());
    Target made;
    made.at = peek().at;
    bool is_tuple = false;
    while (true) {
      if (!made.parts.empty() && !skip_operator(",")) return unexpected("','");
      if (ends_tuple(ends) || is_operator("=")) break;
      FRUGAL_ASSIGN_OR_RETURN(Target part, simple_target(attributes));
      made.parts.push_back(std::move(part));
      if (!is_operator(",")) break;
      is_tuple = true;
    }
    if (made.parts.empty()) return unexpected("a name");
    if (!is_tuple) return std::move(made.parts[0]);
    made.kind = Target::Kind::kTuple;
    return made;
  }

  absl::StatusOr<Target> simple_target(bool attributes) {
    if (skip_operator("(")) {
      FRUGAL_ASSIGN_OR_RETURN(Target made, target({}, attributes));
      FRUGAL_RETURN_IF_ERROR(expect_operator(")"));
      return made;
    }
    const Token& token = peek();
    FRUGAL_ASSIGN_OR_RETURN(Target made, named_target());
    if (!attributes || !skip_operator(".")) {
      if (loops_ > 0 && token.text == "loop")
        return failure(token, "within a loop nothing can be assigned to 'loop'");
      return made;
    }
    made.kind = Target::Kind::kAttribute;
    FRUGAL_ASSIGN_OR_RETURN(made.attribute, expect_any_name());
    return made;
  }

  absl::StatusOr<Target> named_target() {
    const Token& token = peek();
    FRUGAL_ASSIGN_OR_RETURN(const std::string name, expect_any_name());
    for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
      if (name == constant) return failure(token, base::str_cat("cannot assign to '", name, "'"));
    }
    Target made;
    made.at = token.at;
    made.variable = number_of(name);
    return made;
  }

  absl::Status signature(Callable& callable) {
    FRUGAL_RETURN_IF_ERROR(expect_operator("("));
    while (!is_operator(")")) {
      if (!callable.parameters.empty()) FRUGAL_RETURN_IF_ERROR(expect_operator(","));
      const Token& token = peek();
      if (callable.parameters.size() >= kMaxArguments) return too_many(token.at);
      FRUGAL_ASSIGN_OR_RETURN(const Target named, named_target());
      Parameter parameter{.variable = named.variable, .name = token.text};
      if (skip_operator("=")) {
        FRUGAL_ASSIGN_OR_RETURN(parameter.fallback, expression());
      } else if (!callable.parameters.empty() && callable.parameters.back().fallback != nullptr) {
        return failure(token, "a parameter without a default behind one with a default");
      }
      const bool twice = std::any_of(callable.parameters.begin(), callable.parameters.end(),
                                     [&](const Parameter& p) { return p.name == token.text; });
      if (twice) return failure(token, base::str_cat("the parameter '", token.text, "' twice"));
      callable.parameters.push_back(std::move(parameter));
    }
    take();
    return absl::OkStatus();
  }

  absl::Status callable_body(Callable& callable, std::string_view end) {
    const bool jumps = std::exchange(in_loop_, false);  // they do not lead out of a macro
    callables_.push_back(&callable);
    absl::StatusOr<Block> made = inner_body({end});
    callables_.pop_back();
    in_loop_ = jumps;
    if (!made.ok()) return made.status();
    callable.body = *std::move(made);
    take();
    // What is named as a parameter is not given as a special one.
    for (const Parameter& parameter : callable.parameters) {
      if (parameter.name == "kwargs") callable.reads_keywords = false;
      if (parameter.name == "varargs") callable.reads_rest = false;
      if (parameter.name == "caller")
        return base::unimplemented("a parameter with the name 'caller' is not supported by frugal");
    }
    return absl::OkStatus();
  }

  absl::Status macro(Statement& made) {
    made.kind = Statement::Kind::kMacro;
    take();
    const Token& token = peek();
    FRUGAL_ASSIGN_OR_RETURN(made.target, named_target());
    made.callable.name = token.text;
    FRUGAL_RETURN_IF_ERROR(signature(made.callable));
    return callable_body(made.callable, "endmacro");
  }

  absl::Status call_block(Statement& made) {
    made.kind = Statement::Kind::kCallBlock;
    take();
    if (is_operator("(")) FRUGAL_RETURN_IF_ERROR(signature(made.callable));
    const Token& token = peek();
    FRUGAL_ASSIGN_OR_RETURN(made.expression, expression());
    if (made.expression->kind != Kind::kCall) return failure(token, "expected a call");
    return callable_body(made.callable, "endcall");
  }

  absl::Status filter_block(Statement& made) {
    made.kind = Statement::Kind::kFilterBlock;
    take();
    FRUGAL_ASSIGN_OR_RETURN(made.expression, filter_name(nullptr));
    while (is_operator("|")) {
      FRUGAL_ASSIGN_OR_RETURN(made.expression, filter(std::move(made.expression)));
    }
    FRUGAL_ASSIGN_OR_RETURN(made.body, inner_body({"endfilter"}));
    take();
    return absl::OkStatus();
  }

  absl::Status with(Statement& made) {
    made.kind = Statement::Kind::kWith;
    take();
    while (peek().kind != Token::Kind::kBlockEnd) {
      if (!made.assignments.empty()) FRUGAL_RETURN_IF_ERROR(expect_operator(","));
      FRUGAL_ASSIGN_OR_RETURN(Target variable, simple_target(false));
      FRUGAL_RETURN_IF_ERROR(expect_operator("="));
      FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr value, expression());
      made.assignments.emplace_back(std::move(variable), std::move(value));
    }
    FRUGAL_ASSIGN_OR_RETURN(made.body, inner_body({"endwith"}));
    take();
    return absl::OkStatus();
  }

  absl::Status generation(Statement& made) {
    made.kind = Statement::Kind::kGeneration;
    program_.marks_generation = true;
    take();
    const bool jumps = std::exchange(in_loop_, false);
    FRUGAL_ASSIGN_OR_RETURN(made.body, inner_body({"endgeneration"}));
    in_loop_ = jumps;
    take();
    return absl::OkStatus();
  }

  absl::Status jump(Statement& made) {
    const Token& token = take();
    made.kind = token.text == "break" ? Statement::Kind::kBreak : Statement::Kind::kContinue;
    if (in_loop_) return absl::OkStatus();
    return failure(token, base::str_cat("'", token.text, "' outside of a loop"));
  }

  absl::Status print(Statement& made) {
    made.kind = Statement::Kind::kOutput;
    take();
    FRUGAL_ASSIGN_OR_RETURN(made.expression, expression());
    return absl::OkStatus();
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  int loops_ = 0;         // around what is parsed
  bool in_loop_ = false;  // whether break and continue lead somewhere
  bool lenient_ = false;  // within an 'if'
  std::vector<Callable*> callables_;
  base::string_map<int> numbers_;
  Program program_;
};

}  // namespace

absl::StatusOr<Program> parse_program(std::string_view source) {
  if (static_cast<int64_t>(source.size()) > kMaxSourceBytes)
    return base::resource_exhausted("a template of ",
                                    base::format_bytes(static_cast<double>(source.size())),
                                    "; at most ", base::format_bytes(kMaxSourceBytes), " are read");
  if (!base::is_valid_utf8(source)) return base::invalid_argument("the template is not UTF-8");
  FRUGAL_ASSIGN_OR_RETURN(std::vector<Token> tokens, tokenize(source));
  FRUGAL_ASSIGN_OR_RETURN(Program program, Parser(std::move(tokens)).run());
  find_hidden(program);
  return program;
}

}  // namespace frugal::chat
