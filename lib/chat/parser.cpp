#include "chat/parser.h"

#include <algorithm>

#include "chat/expression_parser.h"
#include "chat/lexer.h"
#include "chat/scopes.h"

namespace frugal::chat {
namespace {

constexpr std::string_view kUnsupportedTags[] = {"block",  "extends", "include",
                                                 "import", "from",    "autoescape"};

class Parser : private ExpressionParser {
 public:
  explicit Parser(std::vector<Token> tokens) : ExpressionParser(std::move(tokens)) {}

  absl::StatusOr<Program> run() {
    FRUGAL_ASSIGN_OR_RETURN(program_.body, block({}));
    if (program_.names.size() > kMaxNames)
      return base::resource_exhausted("a template with ", program_.names.size(),
                                      " names of variables; at most ", kMaxNames, " are taken");
    return std::move(program_);
  }

 private:
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

  int loops_ = 0;         // around what is parsed
  bool in_loop_ = false;  // whether break and continue lead somewhere
};

}  // namespace

absl::StatusOr<Program> parse_program(std::string_view source, const Dialect& dialect) {
  if (static_cast<int64_t>(source.size()) > kMaxSourceBytes)
    return base::resource_exhausted("a template of ",
                                    base::format_bytes(static_cast<double>(source.size())),
                                    "; at most ", base::format_bytes(kMaxSourceBytes), " are read");
  if (!base::is_valid_utf8(source)) return base::invalid_argument("the template is not UTF-8");
  FRUGAL_ASSIGN_OR_RETURN(std::vector<Token> tokens, tokenize(source, dialect));
  FRUGAL_ASSIGN_OR_RETURN(Program program, Parser(std::move(tokens)).run());
  program.dialect = dialect;
  find_hidden(program);
  return program;
}

}  // namespace frugal::chat
