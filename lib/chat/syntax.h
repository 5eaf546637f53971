// The tree of a parsed template.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "chat/dialect.h"
#include "chat/value.h"

namespace frugal::chat {

struct Position {
  int line = 1;
  int column = 1;  // characters
};

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

// Of calls, filters and tests. `*values` and `**values` are positional_rest and keyword_rest.
struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> keywords;
  ExpressionPtr positional_rest;
  ExpressionPtr keyword_rest;
};

struct Expression {
  enum class Kind {
    kConstant,     // constant
    kName,         // variable, name
    kTuple,        // operands
    kList,         // operands
    kDictionary,   // operands: key, value, key, value, ...
    kAttribute,    // operands[0].name; constant: the name as a text
    kItem,         // operands[0][operands[1]]
    kSlice,        // operands[0][operands[1]:operands[2]:operands[3]], null where left out
    kCall,         // operands[0](arguments)
    kFilter,       // operands[0] | name(arguments)
    kTest,         // operands[0] is name(arguments)
    kNot,          // not operands[0]
    kSign,         // name (+ or -) operands[0]
    kArithmetic,   // operands[0] name operands[1]
    kConcatenate,  // operands ~ ...
    kCompare,      // operands[0] operators[0] operands[1] operators[1] ...
    kAnd,          // operands[0] and operands[1]
    kOr,
    kConditional,  // operands[0] if operands[1] else operands[2], null where left out
  };
  Kind kind = Kind::kConstant;
  Position at;
  int depth = 1;  // 1 + the largest of its parts
  Value constant;
  int variable = -1;  // number of a name (Program::names)
  std::string name;
  std::vector<ExpressionPtr> operands;
  std::vector<std::string> operators;
  CallArguments arguments;
};

struct Statement;
using Block = std::vector<std::unique_ptr<Statement>>;

// What is assigned to: a name, an attribute of a namespace, or several of them.
struct Target {
  enum class Kind { kName, kAttribute, kTuple };
  Kind kind = Kind::kName;
  Position at;
  int variable = -1;
  std::string attribute;
  std::vector<Target> parts;
};

struct Parameter {
  int variable = -1;
  std::string name;
  ExpressionPtr fallback;  // null: none
};

// The parameters and the body of a macro or of a call block.
struct Callable {
  std::string name;  // empty: of a call block
  std::vector<Parameter> parameters;
  Block body;
  bool reads_caller = false;  // names that are given only to bodies that read them
  bool reads_keywords = false;
  bool reads_rest = false;
};

struct Statement {
  enum class Kind {
    kText,         // text
    kOutput,       // expression
    kIf,           // branches, otherwise
    kFor,          // target, expression, test, body, otherwise
    kSet,          // target, expression
    kSetBlock,     // target, body, expression: the filter, or null
    kMacro,        // target, callable
    kCallBlock,    // callable, expression: the call
    kFilterBlock,  // expression: the filter; body
    kWith,         // assignments, body
    kGeneration,   // body
    kBreak,
    kContinue,
  };
  Kind kind = Kind::kText;
  Position at;
  std::string text;
  Target target;
  ExpressionPtr expression;
  ExpressionPtr test;
  Block body;
  Block otherwise;
  std::vector<std::pair<ExpressionPtr, Block>> branches;
  std::vector<std::pair<Target, ExpressionPtr>> assignments;
  Callable callable;
  // Of what has variables of its own (For: of one pass): those that are undefined at its beginning
  // although the conversation may have one of that name (see scopes.h).
  std::vector<int> hidden;
  std::vector<int> hidden_otherwise;
};

// In filters of blocks: the text of the block stands for a missing operand.
struct Program {
  Dialect dialect;
  Block body;
  std::vector<std::string> names;  // of variables, by number
  std::vector<int> hidden;
  bool marks_generation = false;  // has {% generation %}
};

}  // namespace frugal::chat
