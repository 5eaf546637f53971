// Tested by: tests/chat/template_test.cpp
#include "chat/scopes.h"

#include <algorithm>
#include <deque>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"

namespace frugal::chat {
namespace {

// The names of a scope, or what one branch of an 'if' adds to them. jinja2/idtracking.py.
class Symbols {
 public:
  enum class Load { kGiven, kOwn };  // kOwn: undefined until assigned

  Symbols(const Symbols* outer, const Symbols* base) : outer_(outer), base_(base) {}

  void load(int name) {
    if (!mentions(name)) names_.emplace(name, Load::kGiven);
  }
  void parameter(int name) { names_[name] = Load::kGiven; }
  void store(int name) {
    stores_.insert(name);
    if (within_scope(name)) return;
    names_.emplace(name, outer_mentions(name) ? Load::kGiven : Load::kOwn);
  }

  // What some branch assigns is read from around the scope where another branch was taken.
  void merge(const std::deque<Symbols>& branches) {
    absl::flat_hash_set<int> stores;
    for (const Symbols& branch : branches) {
      for (const int name : branch.stores_) {
        if (!stored(name)) stores.insert(name);
      }
    }
    for (const Symbols& branch : branches) {
      for (const auto& [name, load] : branch.names_) names_[name] = load;
      stores_.insert(branch.stores_.begin(), branch.stores_.end());
    }
    for (const int name : stores) names_[name] = Load::kGiven;
  }

  std::vector<int> own() const {
    std::vector<int> found;
    for (const auto& [name, load] : names_) {
      if (load == Load::kOwn) found.push_back(name);
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  const Symbols* outer() const { return outer_; }

 private:
  bool within_scope(int name) const {
    for (const Symbols* level = this; level != nullptr; level = level->base_) {
      if (level->names_.contains(name)) return true;
    }
    return false;
  }
  bool stored(int name) const {
    for (const Symbols* level = this; level != nullptr; level = level->base_) {
      if (level->stores_.contains(name)) return true;
    }
    return false;
  }
  bool outer_mentions(int name) const {
    for (const Symbols* level = outer_; level != nullptr; level = level->outer_) {
      if (level->names_.contains(name)) return true;
    }
    return false;
  }
  bool mentions(int name) const { return within_scope(name) || outer_mentions(name); }

  const Symbols* outer_;
  const Symbols* base_;
  absl::flat_hash_map<int, Load> names_;
  absl::flat_hash_set<int> stores_;
};

void visit(const ExpressionPtr& expression, Symbols& symbols);

void visit(const CallArguments& arguments, Symbols& symbols) {
  for (const ExpressionPtr& value : arguments.positional) visit(value, symbols);
  for (const auto& [name, value] : arguments.keywords) visit(value, symbols);
  visit(arguments.positional_rest, symbols);
  visit(arguments.keyword_rest, symbols);
}

void visit(const ExpressionPtr& expression, Symbols& symbols) {
  if (expression == nullptr) return;
  if (expression->kind == Expression::Kind::kName) symbols.load(expression->variable);
  for (const ExpressionPtr& operand : expression->operands) visit(operand, symbols);
  visit(expression->arguments, symbols);
}

void visit(const Target& target, Symbols& symbols, bool parameter) {
  for (const Target& part : target.parts) visit(part, symbols, parameter);
  if (target.kind == Target::Kind::kAttribute) symbols.load(target.variable);
  if (target.kind != Target::Kind::kName) return;
  if (parameter)
    symbols.parameter(target.variable);
  else
    symbols.store(target.variable);
}

void visit(const Block& block, Symbols& symbols);

void visit_if(const Statement& statement, Symbols& symbols) {
  visit(statement.branches[0].first, symbols);
  std::deque<Symbols> branches;
  const auto branch = [&]() -> Symbols& {
    return branches.emplace_back(symbols.outer(), &symbols);
  };
  visit(statement.branches[0].second, branch());
  Symbols& rest = branch();
  for (size_t i = 1; i < statement.branches.size(); ++i) {
    visit(statement.branches[i].first, rest);
    std::deque<Symbols> one;
    visit(statement.branches[i].second, one.emplace_back(rest.outer(), &rest));
    rest.merge(one);
  }
  visit(statement.otherwise, branch());
  symbols.merge(branches);
}

// What a statement mentions in the scope that it stands in.
void visit(const Statement& statement, Symbols& symbols) {
  switch (statement.kind) {
    case Statement::Kind::kIf:
      return visit_if(statement, symbols);
    case Statement::Kind::kSet:
      visit(statement.expression, symbols);
      return visit(statement.target, symbols, false);
    case Statement::Kind::kSetBlock:
    case Statement::Kind::kMacro:
      return visit(statement.target, symbols, false);
    case Statement::Kind::kWith:
      for (const auto& [target, value] : statement.assignments) visit(value, symbols);
      return;
    case Statement::Kind::kOutput:
    case Statement::Kind::kFor:
    case Statement::Kind::kCallBlock:
    case Statement::Kind::kFilterBlock:
      return visit(statement.expression, symbols);
    default:
      return;
  }
}

void visit(const Block& block, Symbols& symbols) {
  for (const auto& statement : block) visit(*statement, symbols);
}

void descend(Block& block, const Symbols& outer, int loop);

// The names of a scope that are its own; `symbols` has its parameters.
std::vector<int> scope(Block& body, Symbols& symbols, int loop) {
  visit(body, symbols);
  descend(body, symbols, loop);
  return symbols.own();
}

void descend(Statement& statement, const Symbols& outer, int loop) {
  Symbols symbols(&outer, nullptr);
  switch (statement.kind) {
    case Statement::Kind::kIf:  // no scope of its own
      for (auto& [condition, body] : statement.branches) descend(body, outer, loop);
      return descend(statement.otherwise, outer, loop);
    case Statement::Kind::kFor: {
      if (loop >= 0) symbols.parameter(loop);
      visit(statement.target, symbols, true);
      statement.hidden = scope(statement.body, symbols, loop);
      Symbols otherwise(&outer, nullptr);
      statement.hidden_otherwise = scope(statement.otherwise, otherwise, loop);
      return;
    }
    case Statement::Kind::kMacro:
    case Statement::Kind::kCallBlock: {
      Callable& callable = statement.callable;
      for (const Parameter& parameter : callable.parameters) symbols.parameter(parameter.variable);
      for (const Parameter& parameter : callable.parameters) visit(parameter.fallback, symbols);
      statement.hidden = scope(callable.body, symbols, loop);
      return;
    }
    case Statement::Kind::kWith:
      for (const auto& [target, value] : statement.assignments) visit(target, symbols, true);
      [[fallthrough]];
    case Statement::Kind::kSetBlock:
    case Statement::Kind::kFilterBlock:
    case Statement::Kind::kGeneration:
      statement.hidden = scope(statement.body, symbols, loop);
      return;
    default:
      return;
  }
}

void descend(Block& block, const Symbols& outer, int loop) {
  for (const auto& statement : block) descend(*statement, outer, loop);
}

}  // namespace

void find_hidden(Program& program) {
  const auto found = std::find(program.names.begin(), program.names.end(), "loop");
  const int loop =
      found == program.names.end() ? -1 : static_cast<int>(found - program.names.begin());
  Symbols symbols(nullptr, nullptr);
  program.hidden = scope(program.body, symbols, loop);
}

}  // namespace frugal::chat
