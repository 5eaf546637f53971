// Attention as ONNX nodes, by ONNX Runtime's GroupQueryAttention or in standard operators; and
// where tokens stand. Internal to export.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "artifact/onnx/graph_nodes.h"
#include "artifact/onnx/graph_rotary.h"

namespace frugal::artifact {

class GraphAttention {
 public:
  // Calls of add() expect add_mask() and rotary.add() before them, in this order.
  GraphAttention(GraphNodes& to, const GraphRotary& rotary, const OnnxOptions& options)
      : to_(to), rotary_(rotary), standard_(options.standard_operators) {}

  // What attention makes of the input "attention_mask" [B, tokens], once for all layers; and the
  // nodes "mask_length", "one" and "axis_one".
  void add_mask();

  // [B, new tokens]: how many tokens stand ahead of each new one.
  std::string places();

  // query, key, value [B, T, heads * D], not yet turned.
  struct Inputs {
    std::string query, key, value;
  };
  // output = what the layer's queries see, [B, T, heads * D]; and its caches.
  void add(int64_t layer, const Inputs& inputs, const std::string& output);

 private:
  void add_lengths();
  void add_standard_mask();
  std::string mask(std::optional<int64_t> window);
  std::string turned(int64_t layer, const std::string& input, int64_t heads);
  void add_grouped(int64_t layer, const Inputs& inputs, const std::string& output);
  void add_standard(int64_t layer, const Inputs& inputs, const std::string& output);
  void add_capped(int64_t layer, const Inputs& inputs, const std::string& output);
  std::string cached(int64_t layer, const std::string& input, const std::string& kind);
  std::string grouped_queries(int64_t layer, const std::string& query);
  std::string capped_shares(int64_t layer, const std::string& scores, const std::string& stem);

  GraphNodes& to_;
  const GraphRotary& rotary_;
  const bool standard_;
  bool has_places_ = false, has_cap_constants_ = false;
  std::map<int64_t, std::string> window_masks_;  // by window
};

}  // namespace frugal::artifact
