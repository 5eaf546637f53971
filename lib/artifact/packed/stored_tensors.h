// The tensors of a packed folder by name, with the checks that every layout needs.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/safetensors.h"
#include "format/shards.h"

namespace frugal::artifact {

struct StoredView {
  const format::TensorInfo* info = nullptr;
  std::span<const std::byte> bytes;  // valid while the StoredTensors live; may be unaligned
};

class StoredTensors {
 public:
  // `where` names the folder in errors.
  StoredTensors(format::Weights weights, std::string where)
      : weights_(std::move(weights)), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  bool has(std::string_view name) const { return weights_.shard_of.contains(name); }
  const format::TensorInfo* find(std::string_view name) const;  // null: not there
  StoredView view(std::string_view name) const;                 // must be there
  std::vector<std::string> names() const;                       // sorted

  // `name`, which must be there, of one of the types and of one of the shapes. Errors name the
  // tensor, what was found and expected, and `why`: "4 bits, groups of 128".
  absl::StatusOr<StoredView> want(std::string_view name, std::initializer_list<format::DType> types,
                                  const std::vector<std::vector<int64_t>>& shapes,
                                  std::string_view why) const;
  // The numbers of a tensor that want() has given, as fp32.
  static std::vector<float> floats(const StoredView& view);

 private:
  format::Weights weights_;
  std::string where_;
};

// F16, BF16 and F32: the types of scales.
inline constexpr std::initializer_list<format::DType> kScaleTypes = {
    format::DType::kF16, format::DType::kBF16, format::DType::kF32};

}  // namespace frugal::artifact
