// Any text as a pipeline file: problems or values; a YAML tree that is printed and read again is
// the same.
#include "pass/pipeline.h"
#include "pass/yaml.h"

namespace {

// Scalars as text: how a value was written is not kept.
frugal::base::Json values(const frugal::pass::Node& node) {
  using Kind = frugal::pass::Node::Kind;
  frugal::base::Json json;
  if (node.kind == Kind::kScalar) json = node.text;
  if (node.kind == Kind::kSequence) {
    json = frugal::base::Json::array();
    for (const auto& item : node.items) json.push_back(values(item));
  }
  if (node.kind == Kind::kMap) {
    json = frugal::base::Json::object();
    for (const auto& member : node.members) json[member.key] = values(member.value);
  }
  return json;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace frugal;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  pass::Problems problems("fuzz");
  pass::parse_pipeline(text, "/nowhere", {{"name", "value"}}, problems);
  pass::Problems of_tree("fuzz");
  const pass::Node tree = pass::parse_yaml(text, of_tree);
  if (!of_tree.empty() || !tree.is_map()) return 0;
  const base::Json before = values(tree);
  pass::Problems of_copy("copy");
  if (values(pass::parse_yaml(pass::print_yaml(before), of_copy)) != before || !of_copy.empty())
    __builtin_trap();
  return 0;
}
