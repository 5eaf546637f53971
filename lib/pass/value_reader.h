// Reads the value of one option, and says what is wrong with it. Internal to this room.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pass/document.h"
#include "pass/option_text.h"
#include "pass/options.h"

namespace frugal::pass {

class ValueReader {
 public:
  ValueReader(const OptionInfo& info, Problems& problems) : info_(info), problems_(problems) {}

  void read(const Node& node, bool& value);
  void read(const Node& node, int64_t& value);
  void read(const Node& node, double& value);
  void read(const Node& node, std::string& value);
  void read(const Node& node, ModelReference& value) { read_name(node, "a model", value.name); }
  void read(const Node& node, DataReference& value) { read_name(node, "data", value.name); }
  void read(const Node& node, Assignments& value);
  template <typename T>
  void read(const Node& node, std::optional<T>& value) {
    T given{};
    whole_ = false;  // there is no default that could be written out
    const size_t before = problems_.size();
    read(node, given);
    if (problems_.size() == before) value = std::move(given);
  }
  template <typename T>
  void read(const Node& node, std::vector<T>& value) {
    std::vector<T> out;
    whole_ = false;
    if (node.is_scalar()) {
      for (const Node& item : split_loose(node)) read(item, out.emplace_back());
    } else if (node.is_sequence()) {
      for (const Node& item : node.items) read(item, out.emplace_back());
    } else {
      return wrong_type(node, base::str_cat("a ", type_text(value)));
    }
    value = std::move(out);
  }

 private:
  // A default may lie outside the range (0 = all, "" = none), and writing it out changes nothing.
  template <typename T>
  bool is_default(const T& found, const T& value) const {
    return whole_ && found == value;
  }
  static std::vector<Node> split_loose(const Node& node);
  std::string text_kind() const;
  void wrong_type(const Node& node, std::string_view expected);
  bool in_range(const Node& node, double value);
  bool in_choices(const Node& node, const std::string& value);
  void read_name(const Node& node, std::string_view what, std::string& name);

  const OptionInfo& info_;
  Problems& problems_;
  bool whole_ = true;  // false while reading the values of a list
};

}  // namespace frugal::pass
