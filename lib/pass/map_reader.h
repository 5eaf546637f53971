// Typed access to one map of a document; every mistake becomes a problem with its place.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pass/document.h"

namespace frugal::pass {

class MapReader {
 public:
  // `what` names the map in messages: "a step", "data 'reviews'". Problems: not a map, keys that
  // are not in `known`. `map` must outlive the reader.
  MapReader(const Node& map, std::string what, const std::vector<std::string>& known,
            Problems& problems);

  // The value of `key`; null where it is absent, or where it has no value (a problem).
  const Node* get(std::string_view key) const;
  // The same, where its absence is a problem too; `meaning` says what it is for.
  const Node* require(std::string_view key, std::string_view meaning) const;
  // Each leaves `out` as it is where the key is absent or wrong.
  void text(std::string_view key, std::string& out) const;
  void truth(std::string_view key, bool& out) const;
  void integer(std::string_view key, int64_t minimum, std::string_view unit, int64_t& out) const;
  void choice(std::string_view key, const std::vector<std::string>& allowed,
              std::string& out) const;

  // Reports that `node`, the value of `key`, is not what was `expected`.
  void wrong(const Node& node, std::string_view key, std::string_view expected) const;
  // Of the value of `key`, or of the map where it is absent.
  Position position_of(std::string_view key) const;

 private:
  const Node& map_;
  std::string what_;
  Problems& problems_;
};

}  // namespace frugal::pass
