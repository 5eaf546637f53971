// Tested by: tests/chat/template_test.cpp
#include "chat/interpreter.h"

#include <algorithm>

#include "chat/conditions.h"
#include "chat/filters.h"
#include "chat/lexer.h"
#include "chat/loop.h"
#include "chat/nested.h"
#include "chat/operations.h"
#include "chat/printing.h"

namespace frugal::chat {
namespace {

using Kind = Expression::Kind;

// Variables of a block; macros keep the scopes alive that they were defined in.
class Scope {
 public:
  explicit Scope(std::shared_ptr<Scope> outer) : outer_(std::move(outer)) {}

  // `seen`: raised by the number of variables that were looked at.
  const Value* find(int variable, int64_t& seen) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->outer_.get()) {
      seen += static_cast<int64_t>(scope->variables_.size());
      for (const auto& [name, value] : scope->variables_) {
        if (name == variable) return &value;
      }
    }
    return nullptr;
  }
  void set(int variable, Value value) {
    for (auto& [name, held] : variables_) {
      if (name == variable) {
        held = std::move(value);
        return;
      }
    }
    variables_.emplace_back(variable, std::move(value));
  }

 private:
  std::shared_ptr<Scope> outer_;
  std::vector<std::pair<int, Value>> variables_;
};
using ScopePtr = std::shared_ptr<Scope>;

enum class Flow { kOn, kBreak, kContinue };

struct Output {
  std::string text;
  bool is_main = false;
  std::vector<Span> generated;
};

class Interpreter {
 public:
  Interpreter(const Program& program, Workspace& workspace,
              std::vector<std::optional<Value>> variables)
      : program_(program), workspace_(workspace), variables_(std::move(variables)) {}

  absl::StatusOr<Rendered> run() {
    Output output{.is_main = true};
    const ScopePtr scope = enter(nullptr, program_.hidden);
    FRUGAL_RETURN_IF_ERROR(execute(program_.body, scope, output).status());
    return Rendered{std::move(output.text), std::move(output.generated)};
  }

  absl::StatusOr<Value> call_macro(const Callable& callable, const std::vector<int>& hidden,
                                   const ScopePtr& defined_in, const Arguments& arguments);

 private:
  // -- Bookkeeping

  ScopePtr enter(const ScopePtr& outer, const std::vector<int>& hidden) {
    auto scope = std::make_shared<Scope>(outer);
    for (const int variable : hidden) scope->set(variable, unknown(variable));
    return scope;
  }

  Value unknown(int variable) const {
    return undefined(
        base::str_cat("'", program_.names[static_cast<size_t>(variable)], "' is undefined"));
  }

  Value look_up(int variable, const Scope& scope) {
    if (const Value* found = scope.find(variable, variables_seen_)) return *found;
    const auto& given = variables_[static_cast<size_t>(variable)];
    return given ? *given : unknown(variable);
  }

  // The first place that an error passes is where it happened.
  absl::Status locate(const absl::Status& status, Position at) {
    if (std::exchange(located_, true)) return status;
    return absl::Status(status.code(),
                        base::str_cat(described(at), base::as_std(status.message())));
  }

  absl::Status check() {
    if (depth_ > workspace_.limits().depth)
      return base::resource_exhausted("macros and expressions within each other deeper than ",
                                      workspace_.limits().depth);
    return workspace_.work(1 + std::exchange(variables_seen_, 0) / 64);
  }

  absl::Status write(Output& output, std::string_view text) {
    FRUGAL_RETURN_IF_ERROR(workspace_.charge(static_cast<int64_t>(text.size())));
    output.text += text;
    if (output.is_main &&
        static_cast<int64_t>(output.text.size()) > workspace_.limits().output_bytes)
      return base::resource_exhausted(
          "a text of more than ",
          base::format_bytes(static_cast<double>(workspace_.limits().output_bytes)));
    return absl::OkStatus();
  }

  // -- Expressions

  absl::StatusOr<Value> evaluate(const ExpressionPtr& expression, const ScopePtr& scope) {
    const Nested nested(depth_);
    absl::Status status = check();
    if (!status.ok()) return locate(status, expression->at);
    absl::StatusOr<Value> value = evaluate_kind(*expression, scope);
    if (!value.ok()) return locate(value.status(), expression->at);
    return value;
  }

  absl::StatusOr<Value> evaluate_kind(const Expression& expression, const ScopePtr& scope) {
    switch (expression.kind) {
      case Kind::kConstant:
        return expression.constant;
      case Kind::kName:
        return look_up(expression.variable, *scope);
      case Kind::kTuple:
      case Kind::kList:
        return make_sequence(expression, scope);
      case Kind::kDictionary:
        return make_dictionary(expression, scope);
      case Kind::kAttribute:
      case Kind::kItem:
        return access(expression, scope);
      case Kind::kSlice:
        return make_slice(expression, scope);
      case Kind::kCall:
        return make_call(expression, scope, nullptr);
      case Kind::kFilter:
        return apply_filter(expression, scope);
      case Kind::kTest:
        return apply_test(expression, scope);
      case Kind::kNot: {
        FRUGAL_ASSIGN_OR_RETURN(const Value value, evaluate(expression.operands[0], scope));
        FRUGAL_ASSIGN_OR_RETURN(const bool holds, truth(value));
        return Value(!holds);
      }
      case Kind::kSign: {
        FRUGAL_ASSIGN_OR_RETURN(const Value value, evaluate(expression.operands[0], scope));
        return negate(value, expression.name == "-");
      }
      case Kind::kArithmetic:
        return compute(expression, scope);
      case Kind::kConcatenate:
        return concatenate(expression, scope);
      case Kind::kCompare:
        return compare(expression, scope);
      case Kind::kAnd:
      case Kind::kOr:
        return choose(expression, scope);
      case Kind::kConditional:
        return decide(expression, scope);
    }
    return base::internal("an expression of no kind");
  }

  absl::StatusOr<std::vector<Value>> evaluate_all(const std::vector<ExpressionPtr>& expressions,
                                                  const ScopePtr& scope) {
    std::vector<Value> values;
    values.reserve(expressions.size());
    for (const ExpressionPtr& expression : expressions) {
      FRUGAL_ASSIGN_OR_RETURN(values.emplace_back(), evaluate(expression, scope));
    }
    return values;
  }

  absl::StatusOr<Value> make_sequence(const Expression& expression, const ScopePtr& scope) {
    FRUGAL_ASSIGN_OR_RETURN(std::vector<Value> items, evaluate_all(expression.operands, scope));
    return expression.kind == Kind::kList ? workspace_.list(std::move(items))
                                          : workspace_.tuple(std::move(items));
  }

  absl::StatusOr<Value> make_dictionary(const Expression& expression, const ScopePtr& scope) {
    std::vector<std::pair<Value, Value>> entries;
    for (size_t i = 0; i < expression.operands.size(); i += 2) {
      FRUGAL_ASSIGN_OR_RETURN(const Value key, evaluate(expression.operands[i], scope));
      FRUGAL_ASSIGN_OR_RETURN(const Value value, evaluate(expression.operands[i + 1], scope));
      FRUGAL_RETURN_IF_ERROR(set_key(workspace_, entries, key, value));
    }
    return workspace_.dictionary(std::move(entries));
  }

  absl::StatusOr<Value> access(const Expression& expression, const ScopePtr& scope) {
    FRUGAL_ASSIGN_OR_RETURN(const Value object, evaluate(expression.operands[0], scope));
    if (expression.kind == Kind::kAttribute)
      return get_attribute(workspace_, object, expression.constant);
    FRUGAL_ASSIGN_OR_RETURN(const Value key, evaluate(expression.operands[1], scope));
    return get_item(workspace_, object, key);
  }

  absl::StatusOr<Value> make_slice(const Expression& expression, const ScopePtr& scope) {
    Value parts[4];
    for (size_t i = 0; i < 4; ++i) {
      if (expression.operands[i] == nullptr) continue;
      FRUGAL_ASSIGN_OR_RETURN(parts[i], evaluate(expression.operands[i], scope));
    }
    return slice(workspace_, parts[0], parts[1], parts[2], parts[3]);
  }

  absl::StatusOr<Arguments> evaluate(const CallArguments& given, const ScopePtr& scope) {
    Arguments made;
    FRUGAL_ASSIGN_OR_RETURN(made.positional, evaluate_all(given.positional, scope));
    for (const auto& [name, expression] : given.keywords) {
      FRUGAL_ASSIGN_OR_RETURN(Value value, evaluate(expression, scope));
      made.keywords.emplace_back(name, std::move(value));
    }
    if (given.positional_rest != nullptr) {
      FRUGAL_ASSIGN_OR_RETURN(const Value rest, evaluate(given.positional_rest, scope));
      FRUGAL_ASSIGN_OR_RETURN(const std::vector<Value> items, to_vector(workspace_, rest));
      made.positional.insert(made.positional.end(), items.begin(), items.end());
    }
    if (given.keyword_rest != nullptr) FRUGAL_RETURN_IF_ERROR(spread(given, scope, made));
    return made;
  }

  // **names
  absl::Status spread(const CallArguments& given, const ScopePtr& scope, Arguments& made) {
    FRUGAL_ASSIGN_OR_RETURN(const Value rest, evaluate(given.keyword_rest, scope));
    const auto* dictionary = rest.as<const Dictionary*>();
    if (dictionary == nullptr)
      return base::invalid_argument("'**' needs a dictionary, found a ", type_name(rest));
    for (const auto& [key, value] : (*dictionary)->entries) {
      if (!key.is<Text>()) return base::invalid_argument("'**' needs names that are texts");
      FRUGAL_RETURN_IF_ERROR(workspace_.charge(64));
      made.keywords.emplace_back(key.text(), value);
    }
    return absl::OkStatus();
  }

  // `caller`: the macro of a call block; null: none.
  absl::StatusOr<Value> make_call(const Expression& expression, const ScopePtr& scope,
                                  const Value* caller) {
    FRUGAL_ASSIGN_OR_RETURN(const Value callee, evaluate(expression.operands[0], scope));
    FRUGAL_ASSIGN_OR_RETURN(Arguments arguments, evaluate(expression.arguments, scope));
    if (caller != nullptr) arguments.keywords.emplace_back("caller", *caller);
    return call(workspace_, callee, arguments);
  }

  absl::StatusOr<Value> apply_filter(const Expression& expression, const ScopePtr& scope) {
    Value value;
    if (expression.operands[0] == nullptr) {
      value = block_texts_.back();
    } else {
      FRUGAL_ASSIGN_OR_RETURN(value, evaluate(expression.operands[0], scope));
    }
    if (!takes_undefined(expression.name)) FRUGAL_RETURN_IF_ERROR(check_used(value));
    FRUGAL_ASSIGN_OR_RETURN(const Arguments arguments, evaluate(expression.arguments, scope));
    return call_filter(workspace_, expression.name, value, arguments);
  }

  absl::StatusOr<Value> apply_test(const Expression& expression, const ScopePtr& scope) {
    FRUGAL_ASSIGN_OR_RETURN(const Value value, evaluate(expression.operands[0], scope));
    FRUGAL_ASSIGN_OR_RETURN(const Arguments arguments, evaluate(expression.arguments, scope));
    FRUGAL_ASSIGN_OR_RETURN(const bool holds,
                            call_test(workspace_, expression.name, value, arguments));
    return Value(holds);
  }

  absl::StatusOr<Value> compute(const Expression& expression, const ScopePtr& scope) {
    FRUGAL_ASSIGN_OR_RETURN(const Value left, evaluate(expression.operands[0], scope));
    FRUGAL_ASSIGN_OR_RETURN(const Value right, evaluate(expression.operands[1], scope));
    return arithmetic(workspace_, expression.name, left, right);
  }

  absl::StatusOr<Value> concatenate(const Expression& expression, const ScopePtr& scope) {
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<Value> values,
                            evaluate_all(expression.operands, scope));
    std::string out;
    for (const Value& value : values) {
      FRUGAL_RETURN_IF_ERROR(check_used(value));
      FRUGAL_ASSIGN_OR_RETURN(const std::string text, to_text(workspace_, value));
      FRUGAL_RETURN_IF_ERROR(workspace_.charge(static_cast<int64_t>(text.size())));
      out += text;
    }
    return workspace_.text(std::move(out));
  }

  absl::StatusOr<Value> compare(const Expression& expression, const ScopePtr& scope) {
    FRUGAL_ASSIGN_OR_RETURN(Value left, evaluate(expression.operands[0], scope));
    for (size_t i = 0; i < expression.operators.size(); ++i) {
      FRUGAL_ASSIGN_OR_RETURN(Value right, evaluate(expression.operands[i + 1], scope));
      FRUGAL_ASSIGN_OR_RETURN(const bool holds, relate(expression.operators[i], left, right));
      if (!holds) return Value(false);
      left = std::move(right);
    }
    return Value(true);
  }

  absl::StatusOr<bool> relate(std::string_view op, const Value& left, const Value& right) {
    FRUGAL_RETURN_IF_ERROR(check_used(left));
    FRUGAL_RETURN_IF_ERROR(check_used(right));
    if (op == "==" || op == "!=") {
      FRUGAL_ASSIGN_OR_RETURN(const bool equal, is_equal(workspace_, left, right));
      return equal == (op == "==");
    }
    if (op == "in" || op == "not in") {
      FRUGAL_ASSIGN_OR_RETURN(const bool held, contains(workspace_, right, left));
      return held == (op == "in");
    }
    return is_ordered(workspace_, op, left, right);
  }

  // Filters that have an answer to what is undefined, even to StrictUndefined.
  static bool takes_undefined(std::string_view filter) {
    return filter == "default" || filter == "d" || filter == "items";
  }

  // A strict dialect refuses what is undefined wherever it is used.
  absl::Status check_used(const Value& value) const {
    if (!program_.dialect.strict || !value.is<Undefined>()) return absl::OkStatus();
    return base::invalid_argument(*value.as<Undefined>()->message);
  }

  absl::StatusOr<bool> truth(const Value& value) const {
    FRUGAL_RETURN_IF_ERROR(check_used(value));
    return is_true(value);
  }

  absl::StatusOr<Value> choose(const Expression& expression, const ScopePtr& scope) {
    FRUGAL_ASSIGN_OR_RETURN(Value left, evaluate(expression.operands[0], scope));
    FRUGAL_ASSIGN_OR_RETURN(const bool holds, truth(left));
    if (holds == (expression.kind == Kind::kOr)) return left;
    return evaluate(expression.operands[1], scope);
  }

  absl::StatusOr<Value> decide(const Expression& expression, const ScopePtr& scope) {
    FRUGAL_ASSIGN_OR_RETURN(const Value test, evaluate(expression.operands[1], scope));
    FRUGAL_ASSIGN_OR_RETURN(const bool holds, truth(test));
    if (holds) return evaluate(expression.operands[0], scope);
    if (expression.operands[2] != nullptr) return evaluate(expression.operands[2], scope);
    return undefined(base::str_cat("the inline 'if' in line ", expression.at.line,
                                   " was false and has no 'else'"));
  }

  // -- Statements

  absl::StatusOr<Flow> execute(const Block& block, const ScopePtr& scope, Output& output) {
    for (const auto& statement : block) {
      FRUGAL_ASSIGN_OR_RETURN(const Flow flow, execute(*statement, scope, output));
      if (flow != Flow::kOn) return flow;
    }
    return Flow::kOn;
  }

  absl::StatusOr<Flow> execute(const Statement& statement, const ScopePtr& scope, Output& output) {
    const Nested nested(depth_);
    absl::Status status = check();
    if (!status.ok()) return locate(status, statement.at);
    absl::StatusOr<Flow> flow = execute_kind(statement, scope, output);
    if (!flow.ok()) return locate(flow.status(), statement.at);
    return flow;
  }

  static absl::StatusOr<Flow> on(const absl::Status& status) {
    if (!status.ok()) return status;
    return Flow::kOn;
  }

  absl::StatusOr<Flow> execute_kind(const Statement& statement, const ScopePtr& scope,
                                    Output& output) {
    switch (statement.kind) {
      case Statement::Kind::kText:
        return on(write(output, statement.text));
      case Statement::Kind::kOutput:
        return on(print(statement, scope, output));
      case Statement::Kind::kIf:
        return branch(statement, scope, output);
      case Statement::Kind::kFor:
        return loop(statement, scope, output);
      case Statement::Kind::kSet:
        return on(set(statement, scope));
      case Statement::Kind::kSetBlock:
      case Statement::Kind::kFilterBlock:
        return captured(statement, scope, output);
      case Statement::Kind::kMacro:
        return on(define(statement, scope));
      case Statement::Kind::kCallBlock:
        return on(call_block(statement, scope, output));
      case Statement::Kind::kWith:
        return with(statement, scope, output);
      case Statement::Kind::kGeneration:
        return on(generation(statement, scope, output));
      case Statement::Kind::kBreak:
        return Flow::kBreak;
      case Statement::Kind::kContinue:
        return Flow::kContinue;
    }
    return base::internal("a statement of no kind");
  }

  absl::Status print(const Statement& statement, const ScopePtr& scope, Output& output) {
    FRUGAL_ASSIGN_OR_RETURN(const Value value, evaluate(statement.expression, scope));
    if (value.is<Text>()) return write(output, value.text());
    FRUGAL_RETURN_IF_ERROR(check_used(value));
    FRUGAL_ASSIGN_OR_RETURN(const std::string text, to_text(workspace_, value));
    return write(output, text);
  }

  absl::StatusOr<Flow> branch(const Statement& statement, const ScopePtr& scope, Output& output) {
    for (const auto& [condition, body] : statement.branches) {
      FRUGAL_ASSIGN_OR_RETURN(const Value value, evaluate(condition, scope));
      FRUGAL_ASSIGN_OR_RETURN(const bool holds, truth(value));
      if (holds) return execute(body, scope, output);
    }
    return execute(statement.otherwise, scope, output);
  }

  // Items that a loop's own 'if' lets through, one by one as the loop asks for them.
  class Filtered : public Iterator {
   public:
    Filtered(Interpreter& interpreter, Iterator& source, const Statement& loop, ScopePtr scope)
        : Iterator(&source),
          interpreter_(interpreter),
          source_(source),
          loop_(loop),
          scope_(std::move(scope)) {}
    absl::StatusOr<std::optional<Value>> next(Workspace& workspace) override {
      while (true) {
        FRUGAL_ASSIGN_OR_RETURN(std::optional<Value> item, source_.next(workspace));
        if (!item) return item;
        const ScopePtr scope = interpreter_.enter(scope_, {});
        FRUGAL_RETURN_IF_ERROR(interpreter_.assign(loop_.target, *item, *scope));
        FRUGAL_ASSIGN_OR_RETURN(const Value test, interpreter_.evaluate(loop_.test, scope));
        FRUGAL_ASSIGN_OR_RETURN(const bool holds, interpreter_.truth(test));
        if (holds) return item;
      }
    }

   private:
    Interpreter& interpreter_;
    Iterator& source_;
    const Statement& loop_;
    ScopePtr scope_;
  };

  absl::StatusOr<Loop*> make_loop(const Statement& statement, const ScopePtr& scope) {
    FRUGAL_ASSIGN_OR_RETURN(const Value items, evaluate(statement.expression, scope));
    FRUGAL_RETURN_IF_ERROR(check_used(items));
    FRUGAL_ASSIGN_OR_RETURN(Iterator * source, iterate(workspace_, items));
    std::optional<int64_t> known;
    if (statement.test != nullptr) {
      FRUGAL_ASSIGN_OR_RETURN(const Value held, workspace_.iterator(std::make_unique<Filtered>(
                                                    *this, *source, statement, scope)));
      source = *held.as<Iterator*>();
    } else if (!items.is<Iterator*>()) {
      FRUGAL_ASSIGN_OR_RETURN(known, length(items));
    }
    auto made = std::make_unique<Loop>(*source, known);
    Loop* loop = made.get();
    FRUGAL_RETURN_IF_ERROR(workspace_.object(std::move(made)).status());
    return loop;
  }

  absl::StatusOr<Flow> loop(const Statement& statement, const ScopePtr& scope, Output& output) {
    FRUGAL_ASSIGN_OR_RETURN(Loop * loop, make_loop(statement, scope));
    bool finished_one = false;  // a pass that ends by break or continue does not count, in Jinja
    while (true) {
      FRUGAL_ASSIGN_OR_RETURN(std::optional<Value> item, loop->advance(workspace_));
      if (!item) break;
      const ScopePtr inner = enter(scope, statement.hidden);
      if (loop_variable_ >= 0) inner->set(loop_variable_, Value(static_cast<Object*>(loop)));
      FRUGAL_RETURN_IF_ERROR(assign(statement.target, *item, *inner));
      FRUGAL_ASSIGN_OR_RETURN(const Flow flow, execute(statement.body, inner, output));
      if (flow == Flow::kBreak) break;
      finished_one |= flow == Flow::kOn;
    }
    if (finished_one || statement.otherwise.empty()) return Flow::kOn;
    return execute(statement.otherwise, enter(scope, statement.hidden_otherwise), output);
  }

  absl::Status assign(const Target& target, const Value& value, Scope& scope) {
    switch (target.kind) {
      case Target::Kind::kName:
        scope.set(target.variable, value);
        return absl::OkStatus();
      case Target::Kind::kAttribute: {
        const Value space = look_up(target.variable, scope);
        return set_attribute(workspace_, **space.as<Namespace*>(), target.attribute, value);
      }
      case Target::Kind::kTuple:
        break;
    }
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<Value> parts, unpack(target, value));
    for (size_t i = 0; i < parts.size(); ++i)
      FRUGAL_RETURN_IF_ERROR(assign(target.parts[i], parts[i], scope));
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<Value>> unpack(const Target& target, const Value& value) {
    absl::StatusOr<std::vector<Value>> parts = to_vector(workspace_, value);
    if (!parts.ok()) return locate(parts.status(), target.at);
    if (parts->size() != target.parts.size())
      return locate(base::invalid_argument("expected ", target.parts.size(),
                                           " values to unpack, found ", parts->size()),
                    target.at);
    return parts;
  }

  // Jinja looks at every namespace of a target before it evaluates what is assigned.
  absl::Status check_namespaces(const Target& target, const Scope& scope) {
    for (const Target& part : target.parts) FRUGAL_RETURN_IF_ERROR(check_namespaces(part, scope));
    if (target.kind != Target::Kind::kAttribute) return absl::OkStatus();
    const Value space = look_up(target.variable, scope);
    if (space.is<Namespace*>()) return absl::OkStatus();
    return locate(base::invalid_argument("only namespaces have attributes that can be set; '",
                                         program_.names[static_cast<size_t>(target.variable)],
                                         "' is a ", type_name(space)),
                  target.at);
  }

  absl::Status set(const Statement& statement, const ScopePtr& scope) {
    FRUGAL_RETURN_IF_ERROR(check_namespaces(statement.target, *scope));
    FRUGAL_ASSIGN_OR_RETURN(const Value value, evaluate(statement.expression, scope));
    return assign(statement.target, value, *scope);
  }

  // The text of a block: assigned, or written through a filter.
  absl::StatusOr<Flow> captured(const Statement& statement, const ScopePtr& scope, Output& output) {
    const bool is_set = statement.kind == Statement::Kind::kSetBlock;
    if (is_set) FRUGAL_RETURN_IF_ERROR(check_namespaces(statement.target, *scope));
    const ScopePtr inner = enter(scope, statement.hidden);
    Output block;
    FRUGAL_ASSIGN_OR_RETURN(const Flow flow, execute(statement.body, inner, block));
    if (flow != Flow::kOn) return flow;
    FRUGAL_ASSIGN_OR_RETURN(Value value, workspace_.text(std::move(block.text)));
    if (statement.expression != nullptr) {
      block_texts_.push_back(value);
      absl::StatusOr<Value> filtered = evaluate(statement.expression, inner);
      block_texts_.pop_back();
      if (!filtered.ok()) return filtered.status();
      value = *std::move(filtered);
    }
    if (is_set) return on(assign(statement.target, value, *scope));
    FRUGAL_ASSIGN_OR_RETURN(const std::string text, to_text(workspace_, value));
    return on(write(output, text));
  }

  class Macro : public Object {
   public:
    Macro(Interpreter& interpreter, const Statement& statement, ScopePtr scope)
        : interpreter_(interpreter), statement_(statement), scope_(std::move(scope)) {}
    std::string_view type_name() const override { return "Macro"; }
    bool callable() const override { return true; }
    absl::StatusOr<std::string> print() const override {
      const std::string& name = statement_.callable.name;
      return name.empty() ? "<Macro anonymous>" : base::str_cat("<Macro '", name, "'>");
    }
    absl::StatusOr<std::optional<Value>> attribute(Workspace& workspace,
                                                   std::string_view name) override {
      if (name != "name") return std::nullopt;
      FRUGAL_ASSIGN_OR_RETURN(Value value, workspace.text(statement_.callable.name));
      return value;
    }
    absl::StatusOr<Value> call(Workspace&, const Arguments& arguments) override {
      return interpreter_.call_macro(statement_.callable, statement_.hidden, scope_, arguments);
    }

   private:
    Interpreter& interpreter_;
    const Statement& statement_;
    ScopePtr scope_;
  };

  absl::StatusOr<Value> make_macro(const Statement& statement, const ScopePtr& scope) {
    return workspace_.object(std::make_unique<Macro>(*this, statement, scope));
  }

  absl::Status define(const Statement& statement, const ScopePtr& scope) {
    FRUGAL_ASSIGN_OR_RETURN(Value macro, make_macro(statement, scope));
    scope->set(statement.target.variable, std::move(macro));
    return absl::OkStatus();
  }

  absl::Status call_block(const Statement& statement, const ScopePtr& scope, Output& output) {
    FRUGAL_ASSIGN_OR_RETURN(const Value caller, make_macro(statement, scope));
    absl::StatusOr<Value> value = make_call(*statement.expression, scope, &caller);
    if (!value.ok()) return locate(value.status(), statement.expression->at);
    FRUGAL_ASSIGN_OR_RETURN(const std::string text, to_text(workspace_, *value));
    return write(output, text);
  }

  absl::StatusOr<Flow> with(const Statement& statement, const ScopePtr& scope, Output& output) {
    const ScopePtr inner = enter(scope, statement.hidden);
    for (const auto& [target, expression] : statement.assignments) {
      FRUGAL_ASSIGN_OR_RETURN(const Value value, evaluate(expression, scope));
      FRUGAL_RETURN_IF_ERROR(assign(target, value, *inner));
    }
    return execute(statement.body, inner, output);
  }

  // What the model is to say itself. Places are known only in what is written directly.
  absl::Status generation(const Statement& statement, const ScopePtr& scope, Output& output) {
    const size_t begin = output.text.size();
    FRUGAL_RETURN_IF_ERROR(
        execute(statement.body, enter(scope, statement.hidden), output).status());
    if (output.is_main) output.generated.push_back({begin, output.text.size()});
    return absl::OkStatus();
  }

  absl::Status bind_parameters(const Callable& callable, const ScopePtr& scope,
                               const Arguments& arguments);
  absl::Status bind_special(const Callable& callable, Scope& scope, const Arguments& arguments,
                            std::vector<std::pair<std::string, Value>> keywords);

  int number_of(std::string_view name) const {
    const auto found = std::find(program_.names.begin(), program_.names.end(), name);
    return found == program_.names.end() ? -1 : static_cast<int>(found - program_.names.begin());
  }

  const Program& program_;
  Workspace& workspace_;
  std::vector<std::optional<Value>> variables_;
  std::vector<Value> block_texts_;
  const int loop_variable_ = number_of("loop");
  const int caller_variable_ = number_of("caller");
  const int keywords_variable_ = number_of("kwargs");
  const int rest_variable_ = number_of("varargs");
  int64_t variables_seen_ = 0;  // and not yet charged for
  int depth_ = 0;
  bool located_ = false;
};

absl::StatusOr<Value> Interpreter::call_macro(const Callable& callable,
                                              const std::vector<int>& hidden,
                                              const ScopePtr& defined_in,
                                              const Arguments& arguments) {
  const ScopePtr scope = enter(defined_in, hidden);
  FRUGAL_RETURN_IF_ERROR(bind_parameters(callable, scope, arguments));
  Output output;
  FRUGAL_RETURN_IF_ERROR(execute(callable.body, scope, output).status());
  return workspace_.text(std::move(output.text));
}

absl::Status Interpreter::bind_parameters(const Callable& callable, const ScopePtr& scope,
                                          const Arguments& arguments) {
  std::vector<std::pair<std::string, Value>> keywords = arguments.keywords;
  FRUGAL_RETURN_IF_ERROR(workspace_.work(
      static_cast<int64_t>((keywords.size() + 1) * (callable.parameters.size() + 1) / 16)));
  std::vector<const Parameter*> absent;
  for (size_t i = 0; i < callable.parameters.size(); ++i) {
    const Parameter& parameter = callable.parameters[i];
    if (i < arguments.positional.size()) {
      scope->set(parameter.variable, arguments.positional[i]);
      continue;
    }
    const auto named = std::find_if(keywords.begin(), keywords.end(),
                                    [&](const auto& k) { return k.first == parameter.name; });
    if (named == keywords.end()) {
      scope->set(parameter.variable, unknown(parameter.variable));
      absent.push_back(&parameter);
      continue;
    }
    scope->set(parameter.variable, named->second);
    keywords.erase(named);
  }
  FRUGAL_RETURN_IF_ERROR(bind_special(callable, *scope, arguments, std::move(keywords)));
  for (const Parameter* parameter : absent) {  // defaults may read what comes before them
    Value value = undefined(base::str_cat("parameter '", parameter->name, "' was not provided"));
    if (parameter->fallback != nullptr) {
      FRUGAL_ASSIGN_OR_RETURN(value, evaluate(parameter->fallback, scope));
    }
    scope->set(parameter->variable, std::move(value));
  }
  return absl::OkStatus();
}

absl::Status Interpreter::bind_special(const Callable& callable, Scope& scope,
                                       const Arguments& arguments,
                                       std::vector<std::pair<std::string, Value>> keywords) {
  const std::string where =
      callable.name.empty() ? "the caller" : base::str_cat("the macro '", callable.name, "'");
  if (callable.reads_caller) {
    const auto given = std::find_if(keywords.begin(), keywords.end(),
                                    [](const auto& k) { return k.first == "caller"; });
    scope.set(caller_variable_,
              given == keywords.end() ? undefined("No caller defined") : given->second);
    if (given != keywords.end()) keywords.erase(given);
  }
  const size_t count = callable.parameters.size();
  if (callable.reads_keywords) {
    std::vector<std::pair<Value, Value>> entries;
    for (auto& [name, value] : keywords) {
      FRUGAL_ASSIGN_OR_RETURN(Value key, workspace_.text(name));
      entries.emplace_back(std::move(key), std::move(value));
    }
    FRUGAL_ASSIGN_OR_RETURN(Value rest, workspace_.dictionary(std::move(entries)));
    scope.set(keywords_variable_, std::move(rest));
  } else if (!keywords.empty()) {
    return base::invalid_argument(where, " takes no argument '", keywords[0].first, "'");
  }
  if (callable.reads_rest) {
    const auto begin = arguments.positional.begin() +
                       static_cast<std::ptrdiff_t>(std::min(count, arguments.positional.size()));
    FRUGAL_ASSIGN_OR_RETURN(Value rest, workspace_.tuple({begin, arguments.positional.end()}));
    scope.set(rest_variable_, std::move(rest));
  } else if (arguments.positional.size() > count) {
    return base::invalid_argument(where, " takes at most ", count, " arguments, found ",
                                  arguments.positional.size());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Rendered> run_program(const Program& program, Workspace& workspace,
                                     std::vector<std::optional<Value>> variables) {
  return Interpreter(program, workspace, std::move(variables)).run();
}

}  // namespace frugal::chat
