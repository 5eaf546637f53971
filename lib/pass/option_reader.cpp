#include "pass/option_reader.h"

#include <algorithm>

#include "pass/option_visitor.h"
#include "pass/value_reader.h"

namespace frugal::pass {
void read_options(Pass& pass, const Node& map, const std::vector<std::string>& elsewhere,
                  Problems& problems, Positions& positions) {
  const std::string owner = base::str_cat("pass '", pass.info().name, "'");
  if (!map.is_map() && map.kind != Node::Kind::kNull) {
    problems.add(map.position, "the options of ", owner, " are ", describe(map),
                 ", expected a group of keys");
    return;
  }
  std::vector<std::string> known;
  std::map<std::string, std::string, std::less<>> renamed;  // former name: present name
  visit(pass, [&](const OptionInfo& info, auto& value) {
    known.emplace_back(info.name);
    for (const std::string_view former : info.former_names) renamed.emplace(former, info.name);
    if (const Node* node = map.find(info.name)) {
      positions[std::string(info.name)] = node->position;
      if (node->kind == Node::Kind::kNull) {
        problems.add(node->position, "option '", info.name, "' has no value");
      } else {
        ValueReader(info, problems).read(*node, value);
      }
    } else if (info.required &&
               std::find(elsewhere.begin(), elsewhere.end(), info.name) == elsewhere.end()) {
      problems.add(map.position, owner, " needs the option '", info.name, "': ", info.help);
    }
  });
  for (const Member& member : map.members) {
    if (std::find(known.begin(), known.end(), member.key) != known.end()) continue;
    if (const auto now = renamed.find(member.key); now != renamed.end()) {
      problems.add(member.position, owner, ": option '", member.key, "' is now called '",
                   now->second, "'");
      continue;
    }
    problems.add(member.position, owner, " has no option '", member.key, "'",
                 known.empty() ? "; it takes none" : base::suggestion(member.key, known));
  }
}

base::Json options_json(Pass& pass) {
  base::Json out = base::Json::object();
  visit(pass, [&](const OptionInfo& info, auto& value) {
    if constexpr (kIsOpen<std::decay_t<decltype(value)>>) {
      if (!value) return;
    }
    out[std::string(info.name)] = to_json(value);
  });
  for (const Pass::ImpliedData& implied : pass.implied_data())
    out[std::string(implied.option)] = std::string(implied.data);
  return out;
}

std::vector<std::string> precision_options(Pass& pass) {
  std::vector<std::string> out;
  visit(pass, [&](const OptionInfo& info, auto&) {
    if (info.is_precision) out.emplace_back(info.name);
  });
  return out;
}

std::vector<Reference> references(Pass& pass) {
  std::vector<Reference> out;
  const auto add = [&](const OptionInfo& info, const std::string& name, Reference::Kind kind) {
    if (!name.empty()) out.push_back({std::string(info.name), name, kind, info.takes_artifacts});
  };
  visit(pass, [&](const OptionInfo& info, auto& value) {
    using T = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<T, ModelReference>) {
      add(info, value.name, Reference::Kind::kModel);
    } else if constexpr (std::is_same_v<T, DataReference>) {
      add(info, value.name, Reference::Kind::kData);
    } else if constexpr (std::is_same_v<T, std::vector<DataReference>>) {
      for (const DataReference& item : value) add(info, item.name, Reference::Kind::kData);
    }
  });
  for (const Pass::ImpliedData& implied : pass.implied_data())
    out.push_back({std::string(implied.option), std::string(implied.data), Reference::Kind::kData});
  return out;
}

}  // namespace frugal::pass
