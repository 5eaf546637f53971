#include "artifact/onnx/graph_rotary.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace frugal::artifact {

using base::str_cat;
using format::OnnxType;

void GraphRotary::add() {
  const std::vector<Rotation> known = rotations(to_.info.config);
  std::set<size_t> added;
  for (int64_t layer = 0; layer < to_.info.config.layer_count(); ++layer) {
    const Rotation rotation = rotation_of(to_.info.config, layer);
    if (rotation.pairs() == 0) {
      tables_.emplace_back();
      continue;
    }
    const auto index =
        static_cast<size_t>(std::find(known.begin(), known.end(), rotation) - known.begin());
    const std::string suffix = index == 0 ? "" : str_cat(".", index);
    tables_.push_back({"cosine_cache" + suffix, "sine_cache" + suffix});
    if (added.insert(index).second) add_tables(rotation, tables_.back(), layer, suffix);
  }
}

void GraphRotary::add_tables(const Rotation& rotation, const Tables& tables, int64_t layer,
                             const std::string& suffix) {
  const bool stored =
      !rotation.depends_on_length() && rotary_bytes(to_.info.config) <= kLargestRotaryBytes;
  if (stored) {
    store(tables, layer, rotation.pairs());
  } else {
    compute(rotation, tables, layer, suffix);
  }
}

void GraphRotary::store(const Tables& tables, int64_t layer, int64_t pairs) {
  const std::vector<int64_t> dims = {to_.info.config.context_length, pairs};
  for (const bool sine : {false, true}) {
    to_.initializer(sine ? tables.sine : tables.cosine, OnnxType::kFloat, dims, "",
                    sine ? OnnxContent::kSine : OnnxContent::kCosine);
    to_.graph.sources.back().layer = layer;
  }
}

// Those up to the last token, as a column.
void GraphRotary::add_positions() {
  if (has_positions_) return;
  has_positions_ = true;
  to_.node("Range", "", {to_.zero(), "mask_length", "one"}, {"positions"});
  to_.node("Cast", "", {"positions"}, {"positions.float"},
           {{"to", static_cast<int64_t>(OnnxType::kFloat)}});
  to_.node("Unsqueeze", "", {"positions.float", "axis_one"}, {"positions.column"});
}

// [1, R/2]; of "longrope" the ones for as many tokens as there are.
std::string GraphRotary::frequencies(const Rotation& rotation, int64_t layer,
                                     const std::string& suffix) {
  const auto add = [&](const std::string& name, OnnxContent content) {
    to_.initializer(name, OnnxType::kFloat, {1, rotation.pairs()}, "", content);
    to_.graph.sources.back().layer = layer;
  };
  const std::string name = "rotary_frequencies" + suffix;
  if (!rotation.depends_on_length()) {
    add(name, OnnxContent::kFrequencies);
    return name;
  }
  add(name + ".within", OnnxContent::kFrequencies);
  add(name + ".beyond", OnnxContent::kFrequenciesBeyond);
  to_.constant<int64_t>(name + ".context", {},
                        {rotation.rope.scaling->original_max_position_embeddings});
  to_.node("Greater", "", {"mask_length", name + ".context"}, {name + ".is_beyond"});
  to_.node("Where", "", {name + ".is_beyond", name + ".beyond", name + ".within"}, {name});
  return name;
}

// Position times frequency in fp32, as the stored tables have it.
void GraphRotary::compute(const Rotation& rotation, const Tables& tables, int64_t layer,
                          const std::string& suffix) {
  add_positions();
  const std::string angles = "rotary_angles" + suffix;
  to_.node("Mul", "", {"positions.column", frequencies(rotation, layer, suffix)}, {angles});
  const auto factor = static_cast<float>(rotation.attention_factor());
  if (factor == 1.0F) {
    to_.node("Cos", "", {angles}, {tables.cosine});
    to_.node("Sin", "", {angles}, {tables.sine});
    return;
  }
  const std::string scale = "rotary_scale" + suffix;
  to_.constant<float>(scale, {}, {factor});
  to_.node("Cos", "", {angles}, {tables.cosine + ".plain"});
  to_.node("Sin", "", {angles}, {tables.sine + ".plain"});
  to_.node("Mul", "", {tables.cosine + ".plain", scale}, {tables.cosine});
  to_.node("Mul", "", {tables.sine + ".plain", scale}, {tables.sine});
}

}  // namespace frugal::artifact
