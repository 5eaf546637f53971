// The protobuf wire format, read one field at a time without trusting a length.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace frugal::text {

struct WireField {
  enum class Type { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
  uint32_t number = 0;
  Type type = Type::kVarint;
  uint64_t value = 0;      // numbers
  std::string_view bytes;  // kBytes
};

class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : bytes_(bytes) {}
  bool at_end() const { return at_ == bytes_.size(); }
  // Errors: DataLoss where a field does not fit the bytes that are left, groups, field number 0.
  absl::StatusOr<WireField> next();

 private:
  absl::StatusOr<uint64_t> varint();
  absl::StatusOr<std::string_view> take(uint64_t count);
  std::string_view bytes_;
  size_t at_ = 0;
};

}  // namespace frugal::text
