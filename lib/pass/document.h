// A tree of values with the place each was written at, and the list of all that is wrong with a
// document. Pipeline files (YAML), resolved options (JSON) and command-line options are read
// through the same tree.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "base/text.h"

namespace frugal::pass {

// Where a value was written: a line and column (from 1), or a label such as "--grid" on a command
// line.
struct Position {
  int line = 0;
  int column = 0;
  std::string label;
};

// Everything wrong with one document; all of it is reported at once, in the order of the text.
class Problems {
 public:
  // `source`: the file's name as the user wrote it, "" for a command line.
  explicit Problems(std::string source) : source_(std::move(source)) {}
  template <typename... Parts>
  void add(const Position& position, const Parts&... parts) {
    add_text(position, base::str_cat(parts...));
  }
  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  const std::string& source() const { return source_; }
  // "file.yaml:3:5: what; expected …", one line per problem.
  std::string text() const;
  // OK when empty, else InvalidArgument with text().
  absl::Status status() const;

 private:
  struct Item {
    Position position;
    std::string text;
  };
  void add_text(const Position& position, std::string text);
  std::string source_;
  std::vector<Item> items_;
};

struct Member;

struct Node {
  enum class Kind { kNull, kScalar, kSequence, kMap };
  Kind kind = Kind::kNull;
  std::string text;             // kScalar, as written (quotes taken off)
  bool quoted = false;          // kScalar: never a number or a boolean
  bool loose = false;           // kScalar from a command line: its type is what the reader wants
  std::vector<Node> items;      // kSequence
  std::vector<Member> members;  // kMap, in the order of the text; keys are unique
  Position position;

  bool is_scalar() const { return kind == Kind::kScalar; }
  bool is_sequence() const { return kind == Kind::kSequence; }
  bool is_map() const { return kind == Kind::kMap; }
  const Node* find(std::string_view key) const;  // kMap; null when absent
};

struct Member {
  std::string key;
  Position position;
  Node value;
};

// What was found, for messages: "the number 7", "the text 'abc'", "a list of 3 values", "nothing".
std::string describe(const Node& node);

// Strict readings of a scalar (YAML 1.2 core: no octal, no yes/no); nullopt where the node is
// something else. `unit` makes suffixes readable: "bytes" 70GiB, "seconds" 2h, any other 20M.
std::optional<bool> as_bool(const Node& node);
std::optional<int64_t> as_integer(const Node& node, std::string_view unit = "");
std::optional<double> as_number(const Node& node, std::string_view unit = "");
// Unquoted numbers, booleans and null are not text, unless the node is loose.
std::optional<std::string> as_text(const Node& node);

Node scalar_node(std::string text, const Position& position, bool loose);
Node node_of(const base::Json& value, const Position& position);
// A plain reading without a schema: unquoted numbers and booleans become such.
base::Json json_of(const Node& node);

}  // namespace frugal::pass
