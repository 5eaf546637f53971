#include "grid/group_options.h"

#include <algorithm>
#include <charconv>

namespace frugal::grid {
namespace {

constexpr int64_t kSmallestGroup = 2;  // 1 would be a scale for every weight
constexpr int64_t kLargestGroup = 1 << 20;

absl::Status parse_group(std::string_view text, std::string_view name, GroupOptions& options) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + 1, end, options.group);
  if (error != std::errc() || stop != end || options.group < kSmallestGroup ||
      options.group > kLargestGroup) {
    return base::invalid_argument("grid '", name, "': group '", text, "' is not g<N> with N from ",
                                  kSmallestGroup, " to ", kLargestGroup,
                                  "; write for example ':g32'");
  }
  return absl::OkStatus();
}

absl::Status take_row(std::string_view name, const GridRequest& request, GroupOptions& options) {
  if (request.row_columns <= 0 || request.row_columns > kLargestGroup) {
    return base::invalid_argument("grid '", name, "' needs the row length of the matrix, found ",
                                  request.row_columns, ", expected 1 to ", kLargestGroup);
  }
  options.by_row = true;
  options.group = request.row_columns;
  return absl::OkStatus();
}

absl::Status parse_option(std::string_view option, std::string_view name,
                          const GridRequest& request, Asymmetry asymmetry, GroupOptions& options) {
  if (option == "asym" && asymmetry == Asymmetry::kAllowed) {
    options.asymmetric = true;
    return absl::OkStatus();
  }
  if (option == "row") return take_row(name, request, options);
  if (option.size() > 1 && option.front() == 'g') return parse_group(option, name, options);
  std::vector<std::string> known = {"g32", "g64", "g128", "row"};
  if (asymmetry == Asymmetry::kAllowed) known.emplace_back("asym");
  return base::invalid_argument("grid '", name, "': unknown option '", option, "'",
                                base::suggestion(option, known));
}

}  // namespace

std::string GroupOptions::suffix() const {
  return base::str_cat(by_row ? std::string(":row") : base::str_cat(":g", group),
                       asymmetric ? ":asym" : "");
}

absl::StatusOr<GroupOptions> parse_group_options(std::string_view family,
                                                 const GridRequest& request, int64_t default_group,
                                                 Asymmetry asymmetry) {
  const std::string name = base::str_cat(family, request.suffix);
  GroupOptions options{.group = default_group};
  std::vector<std::string> seen;
  std::string_view rest = request.suffix;
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const std::string_view option = rest.substr(0, rest.find(':'));
    rest.remove_prefix(option.size());
    FRUGAL_RETURN_IF_ERROR(parse_option(option, name, request, asymmetry, options));
    seen.emplace_back(option == "asym" ? "asym" : "group");
  }
  if (seen.size() > 2 || (seen.size() == 2 && seen[0] == seen[1])) {
    return base::invalid_argument(
        "grid '", name,
        "' gives an option twice; at most one of ':g<N>' and ':row', and one "
        "':asym'");
  }
  if (options.group == 0) FRUGAL_RETURN_IF_ERROR(take_row(name, request, options));
  return options;
}

int64_t packed_bytes(int bits, int64_t count) { return (count * bits + 7) / 8; }

void pack_bits(int bits, const uint8_t* codes, int64_t count, std::byte* bytes) {
  std::fill_n(bytes, packed_bytes(bits, count), std::byte{0});
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = i * bits / 8;
    const unsigned shifted = static_cast<unsigned>(codes[i]) << (i * bits % 8);
    bytes[at] |= static_cast<std::byte>(shifted & 255);
    if (shifted > 255) bytes[at + 1] |= static_cast<std::byte>(shifted >> 8);
  }
}

void unpack_bits(int bits, const std::byte* bytes, int64_t count, uint8_t* codes) {
  const int64_t size = packed_bytes(bits, count);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = i * bits / 8;
    const unsigned high = at + 1 < size ? static_cast<unsigned>(bytes[at + 1]) << 8 : 0;
    codes[i] = static_cast<uint8_t>((static_cast<unsigned>(bytes[at]) | high) >> (i * bits % 8) &
                                    ((1u << bits) - 1));
  }
}

}  // namespace frugal::grid
