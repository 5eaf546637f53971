// Small data for training tests.
#pragma once

#include "base/random.h"
#include "model/toy.h"
#include "text/packing.h"

namespace frugal::train::toy {

inline at::Tensor random_tensor(at::IntArrayRef shape, std::string_view name, double scale = 1.0) {
  base::RandomStream stream(11, name);
  at::Tensor values = at::empty(shape, at::kFloat);
  for (int64_t i = 0; i < values.numel(); ++i) {
    values.mutable_data_ptr<float>()[i] = static_cast<float>(scale * stream.normal());
  }
  return values;
}

// Sequences of a language that can be learned: each id is the one before plus 1 or 2, modulo the
// vocabulary.
inline text::PackedTokens packed(int64_t sequences, int64_t length,
                                 std::string_view name = "data") {
  text::PackedTokens data;
  data.sequences = sequences;
  data.length = length;
  base::RandomStream stream(13, name);
  for (int64_t row = 0; row < sequences; ++row) {
    auto id = static_cast<text::TokenId>(stream.below(model::toy::kVocabulary));
    for (int64_t t = 0; t < length; ++t) {
      data.ids.push_back(id);
      data.segments.push_back(0);
      data.positions.push_back(static_cast<int32_t>(t));
      data.loss_mask.push_back(t > 0);
      id = static_cast<text::TokenId>((id + 1 + static_cast<text::TokenId>(stream.below(2))) %
                                      model::toy::kVocabulary);
    }
  }
  return data;
}

}  // namespace frugal::train::toy
