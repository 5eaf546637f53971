// Tables of cosines and sines as ONNX nodes and initializers. Internal to export.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "artifact/onnx/graph_nodes.h"
#include "artifact/onnx/rotary.h"

namespace frugal::artifact {

// One pair of tables [positions, R/2] for each rotation; layers share them. Stored, computed in the
// graph where they would be large, or chosen there by the number of tokens ("longrope").
class GraphRotary {
 public:
  // Expects the nodes "mask_length" (tokens, scalar), "one" and "axis_one".
  explicit GraphRotary(GraphNodes& to) : to_(to) {}
  void add();

  struct Tables {
    std::string cosine, sine;  // empty: the layer does not turn
  };
  const Tables& of(int64_t layer) const { return tables_.at(static_cast<size_t>(layer)); }

 private:
  void add_tables(const Rotation& rotation, const Tables& tables, int64_t layer,
                  const std::string& suffix);
  void store(const Tables& tables, int64_t layer, int64_t pairs);
  void compute(const Rotation& rotation, const Tables& tables, int64_t layer,
               const std::string& suffix);
  std::string frequencies(const Rotation& rotation, int64_t layer, const std::string& suffix);
  void add_positions();

  GraphNodes& to_;
  std::vector<Tables> tables_;  // of each layer
  bool has_positions_ = false;
};

}  // namespace frugal::artifact
