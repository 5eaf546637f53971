#include "text/wire.h"

namespace frugal::text {

absl::StatusOr<uint64_t> WireReader::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at_ == bytes_.size()) return base::data_loss("protobuf: a number is cut off at byte ", at_);
    const auto byte = static_cast<unsigned char>(bytes_[at_++]);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return base::data_loss("protobuf: a number of more than ten bytes before byte ", at_);
}

absl::StatusOr<std::string_view> WireReader::take(uint64_t count) {
  if (count > bytes_.size() - at_) {
    return base::data_loss("protobuf: a field of ", count, " bytes at byte ", at_, ", where ",
                           bytes_.size() - at_, " are left");
  }
  const std::string_view taken = bytes_.substr(at_, count);
  at_ += count;
  return taken;
}

absl::StatusOr<WireField> WireReader::next() {
  FRUGAL_ASSIGN_OR_RETURN(const uint64_t tag, varint());
  WireField field;
  field.number = static_cast<uint32_t>(tag >> 3);
  if (field.number == 0 || tag >> 32 != 0)
    return base::data_loss("protobuf: no field number before byte ", at_);
  const auto little_endian = [](std::string_view bytes) {
    uint64_t value = 0;
    for (size_t i = bytes.size(); i-- > 0;)
      value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
  };
  switch (tag & 7) {
    case 0: {
      FRUGAL_ASSIGN_OR_RETURN(field.value, varint());
      break;
    }
    case 1: {
      FRUGAL_ASSIGN_OR_RETURN(const std::string_view bytes, take(8));
      field.value = little_endian(bytes);
      break;
    }
    case 2: {
      FRUGAL_ASSIGN_OR_RETURN(const uint64_t size, varint());
      FRUGAL_ASSIGN_OR_RETURN(field.bytes, take(size));
      break;
    }
    case 5: {
      FRUGAL_ASSIGN_OR_RETURN(const std::string_view bytes, take(4));
      field.value = little_endian(bytes);
      break;
    }
    default:
      return base::data_loss("protobuf: wire type ", tag & 7, " before byte ", at_,
                             " is not in use");
  }
  field.type = static_cast<WireField::Type>(tag & 7);
  return field;
}

}  // namespace frugal::text
