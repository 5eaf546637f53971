// What may follow the name of a grid with one scale per group: ":g<N>" or ":row", and ":asym".
#pragma once

#include <string>
#include <string_view>

#include "grid/registry.h"

namespace frugal::grid {

struct GroupOptions {
  int64_t group = 0;  // columns that share a scale
  bool by_row = false;
  bool asymmetric = false;

  std::string suffix() const;  // canonical: ":g32", ":row:asym"
};

enum class Asymmetry { kNone, kAllowed };

// Parses `request.suffix`. Without a group: `default_group` columns, or the whole row where that is
// 0. Errors: an unknown option (with the nearest one), an option given twice, a group that is no
// number of columns from 2 on, ":row" without a row length.
absl::StatusOr<GroupOptions> parse_group_options(std::string_view family,
                                                 const GridRequest& request, int64_t default_group,
                                                 Asymmetry asymmetry);

// Codes of `bits` bits, one after the other from the low bits of the first byte on; the last byte
// is filled with 0. 4 bits: the earlier column in the low nibble; 3 bits: 8 codes in 3 bytes.
int64_t packed_bytes(int bits, int64_t count);
void pack_bits(int bits, const uint8_t* codes, int64_t count, std::byte* bytes);
void unpack_bits(int bits, const std::byte* bytes, int64_t count, uint8_t* codes);

}  // namespace frugal::grid
