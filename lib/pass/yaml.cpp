#include "pass/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>

namespace frugal::pass {
namespace {

Position position_of(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1, {}}; }

// Builds the tree from yaml-cpp's events. Its own tree (YAML::Node) would have dropped duplicate
// keys by then.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(Problems& problems) : problems_(problems) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    Node node;
    node.position = position_of(mark);
    place(std::move(node));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    problems_.add(position_of(mark),
                  "an alias (*name) is not accepted here; use vars: and ${name}");
    place(Node{});
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    Node node = scalar_node(value, position_of(mark), false);
    node.quoted = tag == "!";  // how yaml-cpp marks quoted and block scalars
    if (!base::is_valid_utf8(value)) problems_.add(node.position, "the text is not valid UTF-8");
    place(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Node::Kind::kSequence);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Node::Kind::kMap);
  }
  void OnMapEnd() override { close(); }

  Node root() && { return std::move(root_); }

 private:
  struct Level {
    Node node;
    bool has_key = false;
    std::string key;
    Position key_position;
    bool drop = false;  // the value of a key that was refused
  };

  void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor == 0) return;
    problems_.add(position_of(mark),
                  "an anchor (&name) is not accepted here; use vars: and ${name}");
  }
  void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    problems_.add(position_of(mark), "the tag '", tag, "' is not accepted; write the plain value");
  }
  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            Node::Kind kind) {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    Level level;
    level.node.kind = kind;
    level.node.position = position_of(mark);
    levels_.push_back(std::move(level));
  }
  void close() {
    Node node = std::move(levels_.back().node);
    levels_.pop_back();
    place(std::move(node));
  }

  void place(Node node) {
    if (levels_.empty()) {
      root_ = std::move(node);
      return;
    }
    Level& level = levels_.back();
    if (level.node.is_sequence()) {
      level.node.items.push_back(std::move(node));
    } else if (!level.has_key) {
      take_key(level, node);
    } else {
      level.has_key = false;
      if (level.drop) return;
      // yaml-cpp puts an absent value where the next token begins.
      if (node.kind == Node::Kind::kNull) node.position = level.key_position;
      level.node.members.push_back({level.key, level.key_position, std::move(node)});
    }
  }

  void take_key(Level& level, const Node& node) {
    level.has_key = true;
    level.drop = true;
    level.key = node.text;
    level.key_position = node.position;
    if (!node.is_scalar()) {
      problems_.add(node.position, "a key must be text, found ", describe(node));
    } else if (node.text == "<<" && !node.quoted) {
      problems_.add(node.position, "merge keys (<<) are not accepted; write the keys out");
    } else if (const auto first =
                   std::find_if(level.node.members.begin(), level.node.members.end(),
                                [&](const Member& member) { return member.key == node.text; });
               first != level.node.members.end()) {
      problems_.add(node.position, "the key '", node.text, "' stands twice; first in line ",
                    first->position.line);
    } else {
      level.drop = false;
    }
  }

  Problems& problems_;
  std::vector<Level> levels_;
  Node root_;
};

// Text that reads back as itself without quotes, in block and in flow context.
bool is_plain(const std::string& text) {
  if (text.empty() || text == "null" || text == "Null" || text == "NULL") return false;
  const auto is_inner = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '/' || c == '-' || c == '+';
  };
  if (!std::all_of(text.begin(), text.end(), is_inner)) return false;
  const char first = text[0];
  if (first == '-' || first == '.' || first == '+') return false;
  for (const char* word : {"true", "false", "yes", "no", "on", "off", "y", "n"}) {
    std::string lower = text;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (lower == word) return false;
  }
  // Anything that starts as a number is quoted, so that no reader takes 1e3 or 0x1F for one.
  return !(first >= '0' && first <= '9');
}

std::string print_scalar(const base::Json& value) {
  if (!value.is_string()) return value.dump();
  const std::string& text = value.get_ref<const std::string&>();
  return is_plain(text) ? text : value.dump();  // JSON's escapes are YAML's
}

bool is_leaf(const base::Json& value) { return !value.is_structured() || value.empty(); }

std::string print_leaf(const base::Json& value) {
  if (value.is_object()) return "{}";
  if (value.is_array()) return "[]";
  return print_scalar(value);
}

bool is_flow(const base::Json& value) {
  return is_leaf(value) || (value.is_array() && std::all_of(value.begin(), value.end(), is_leaf));
}

std::string print_flow(const base::Json& value) {
  if (is_leaf(value)) return print_leaf(value);
  std::string out = "[";
  for (const base::Json& item : value) {
    if (out.size() > 1) out += ", ";
    out += print_leaf(item);
  }
  return out + "]";
}

// The colon must stand within 1024 characters of a key (YAML 1.2, 7.4.2) that no '?' announces.
constexpr size_t kLongestSimpleKey = 512;

void print_block(const base::Json& value, size_t indent, bool first_in_line, std::string& out) {
  const std::string margin(indent, ' ');
  if (value.is_object()) {
    for (const auto& [key, member] : value.items()) {
      if (!first_in_line) out += margin;
      first_in_line = false;
      const std::string name = print_scalar(base::Json(key));
      out += name.size() > kLongestSimpleKey ? "? " + name + "\n" + margin + ":" : name + ":";
      if (is_flow(member)) {
        out += " " + print_flow(member) + "\n";
      } else {
        out += "\n";
        print_block(member, indent + 2, false, out);
      }
    }
    return;
  }
  for (const base::Json& item : value) {
    if (!first_in_line) out += margin;
    first_in_line = false;
    out += "- ";
    if (is_flow(item)) {
      out += print_flow(item) + "\n";
    } else {
      print_block(item, indent + 2, true, out);
    }
  }
}

}  // namespace

Node parse_yaml(std::string_view text, Problems& problems) {
  Builder builder(problems);
  std::istringstream stream{std::string(text)};
  // yaml-cpp reports a syntax error by exception; this is where it becomes a problem like any
  // other.
  try {
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) return Node{};
    Node root = std::move(builder).root();
    if (Builder rest(problems); parser.HandleNextDocument(rest)) {
      problems.add({}, "the file holds more than one YAML document; expected one");
    }
    return root;
  } catch (const YAML::Exception& error) {
    problems.add(position_of(error.mark), "not YAML: ", error.msg);
  }
  return Node{};
}

std::string print_yaml(const base::Json& value) {
  std::string out;
  if (is_flow(value)) {
    out = print_flow(value) + "\n";
  } else {
    print_block(value, 0, false, out);
  }
  return out;
}

}  // namespace frugal::pass
