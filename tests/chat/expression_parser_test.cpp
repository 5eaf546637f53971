#include "chat/expression_parser.h"

#include "chat/lexer.h"
#include "support/shared_data.h"

namespace frugal::chat {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// "{{ expression }}", read up to its end.
class Reader : private ExpressionParser {
 public:
  explicit Reader(std::string_view text)
      : ExpressionParser(tokenize("{{ " + std::string(text) + " }}").value()) {
    take();  // "{{"
  }
  absl::StatusOr<ExpressionPtr> read() {
    FRUGAL_ASSIGN_OR_RETURN(ExpressionPtr made, tuple());
    if (peek().kind != Token::Kind::kVariableEnd) return unexpected("'}}'");
    return made;
  }
};

// The tree with every operation in brackets: "(a + (b * c))".
std::string shown(const Expression& made) {
  using Kind = Expression::Kind;
  const auto part = [&](size_t i) { return shown(*made.operands[i]); };
  switch (made.kind) {
    case Kind::kName:
      return made.name;
    case Kind::kSign:
      return "(" + made.name + part(0) + ")";
    case Kind::kNot:
      return "(not " + part(0) + ")";
    case Kind::kArithmetic:
      return "(" + part(0) + " " + made.name + " " + part(1) + ")";
    case Kind::kAnd:
      return "(" + part(0) + " and " + part(1) + ")";
    case Kind::kOr:
      return "(" + part(0) + " or " + part(1) + ")";
    case Kind::kConditional:
      return "(" + part(0) + " if " + part(1) + (made.operands[2] ? " else " + part(2) : "") + ")";
    case Kind::kFilter:
      return "(" + part(0) + " | " + made.name + ")";
    case Kind::kTest:
      return "(" + part(0) + " is " + made.name + ")";
    case Kind::kItem:
      return part(0) + "[" + part(1) + "]";
    case Kind::kCompare:
    case Kind::kConcatenate:
    case Kind::kTuple: {
      std::string text = "(" + part(0);
      for (size_t i = 1; i < made.operands.size(); ++i) {
        const std::string between = made.kind == Kind::kCompare       ? made.operators[i - 1]
                                    : made.kind == Kind::kConcatenate ? "~"
                                                                      : ",";
        text += " " + between + " " + part(i);
      }
      return text + ")";
    }
    default:
      return "?";
  }
}

std::string tree(std::string_view text) {
  const absl::StatusOr<ExpressionPtr> made = Reader(text).read();
  return made.ok() ? shown(**made) : made.status().ToString();
}

// As jinja2's own trees of the same texts.
TEST(ExpressionParser, OperatorsBindAsInJinja) {
  EXPECT_EQ(tree("a + b * c"), "(a + (b * c))");
  EXPECT_EQ(tree("a - b - c"), "((a - b) - c)");
  EXPECT_EQ(tree("a ** b ** c"), "((a ** b) ** c)");  // from the left, unlike Python
  EXPECT_EQ(tree("-a ** b"), "((-a) ** b)");
  EXPECT_EQ(tree("a ~ b + c ~ d"), "((a ~ b) + (c ~ d))");
  EXPECT_EQ(tree("not a == b and c or d"), "(((not (a == b)) and c) or d)");
  EXPECT_EQ(tree("a < b <= c"), "(a < b <= c)");
  EXPECT_EQ(tree("a + b | upper"), "(a + (b | upper))");
  EXPECT_EQ(tree("a is defined and b"), "((a is defined) and b)");
  EXPECT_EQ(tree("a if b else c if d"), "(a if b else (c if d))");
  EXPECT_EQ(tree("a, b[c]"), "(a , b[c])");
  EXPECT_EQ(tree("(a + b) * c"), "((a + b) * c)");
}

TEST(ExpressionParser, SaysWhatItExpected) {
  FRUGAL_EXPECT_ERROR(Reader("a +").read(), kInvalid, "found '}}'");
  FRUGAL_EXPECT_ERROR(Reader("a |").read(), kInvalid, "expected a name, found '}}'");
  FRUGAL_EXPECT_ERROR(Reader("a b").read(), kInvalid, "expected '}}', found 'b'");
}

}  // namespace
}  // namespace frugal::chat
