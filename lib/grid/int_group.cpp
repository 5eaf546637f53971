// Plain integers in groups along a row: int4 and int8.
//
// Symmetric: w = scale * (q - 2^(bits-1)). Block: f16 scale, codes. Asymmetric: w = scale * (q -
// zero), 0 <= zero < 2^bits. Block: f16 scale, u8 zero, codes. Codes are u8, or two per byte with
// the earlier column in the low nibble (an odd last column leaves the high nibble 0): the value
// order of ONNX MatMulNBits.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "grid/flat_grid.h"
#include "grid/half.h"
#include "grid/registry.h"
#include "grid/scale_search.h"

namespace frugal::grid {
namespace {

constexpr int64_t kDefaultGroup = 32;
constexpr int64_t kLargestGroup = 1 << 20;

struct IntOptions {
  int bits = 4;
  int64_t group = kDefaultGroup;
  bool by_row = false;
  bool asymmetric = false;
};

int64_t code_bytes(const IntOptions& options) { return (options.group * options.bits + 7) / 8; }

void pack_codes(const IntOptions& options, const uint8_t* codes, std::byte* bytes) {
  if (options.bits == 8) {
    std::memcpy(bytes, codes, static_cast<size_t>(options.group));
    return;
  }
  for (int64_t i = 0; i < options.group; i += 2) {
    const int high = i + 1 < options.group ? codes[i + 1] : 0;
    bytes[i / 2] = static_cast<std::byte>(codes[i] | high << 4);
  }
}

void unpack_codes(const IntOptions& options, const std::byte* bytes, uint8_t* codes) {
  if (options.bits == 8) {
    std::memcpy(codes, bytes, static_cast<size_t>(options.group));
    return;
  }
  for (int64_t i = 0; i < options.group; ++i) {
    codes[i] = static_cast<uint8_t>(bytes[i / 2]) >> (i % 2 * 4) & 15;
  }
}

std::string canonical_name(const IntOptions& options) {
  return base::str_cat("int", options.bits,
                       options.by_row ? std::string(":row") : base::str_cat(":g", options.group),
                       options.asymmetric ? ":asym" : "");
}

GridSpec int_spec(const IntOptions& options) {
  const int parameters = options.asymmetric ? 3 : 2;
  const int half = 1 << (options.bits - 1);
  return {.name = canonical_name(options),
          .block_columns = options.group,
          .group_columns = options.group,
          .block_bytes = parameters + code_bytes(options),
          .parameter_bytes = parameters,
          .levels = options.asymmetric ? integer_levels(0, 2 * half - 1)
                                       : integer_levels(-half, half - 1),
          .affine = options.asymmetric,
          .uniform = true,
          .free_scale = true,
          .holds_zero = options.asymmetric,  // the code that equals the zero point
          .ggml_type = std::nullopt};
}

class SymmetricInt final : public FlatGrid {
 public:
  explicit SymmetricInt(const IntOptions& options)
      : FlatGrid(int_spec(options)), options_(options) {}

  void pack(const std::byte* parameters, const uint8_t* codes, std::byte* block) const override {
    std::memcpy(block, parameters, 2);
    pack_codes(options_, codes, block + 2);
  }
  void unpack(const std::byte* block, std::byte* parameters, uint8_t* codes) const override {
    std::memcpy(parameters, block, 2);
    unpack_codes(options_, block + 2, codes);
  }

 protected:
  float plain_scale(std::span<const float> x) const override {
    const float largest = signed_maximum(x);
    return options_.bits == 8 ? std::fabs(largest) / 127 : largest / -8;  // as Q8_0, Q4_0
  }

 private:
  IntOptions options_;
};

// Parameters: f16 scale, u8 zero point.
class AsymmetricInt final : public Grid {
 public:
  explicit AsymmetricInt(const IntOptions& options) : Grid(int_spec(options)), options_(options) {}

  void fit(std::span<const float> x, std::span<const float> importance, bool search,
           std::byte* parameters) const override {
    const ScaleAndZero plain = plain_rule(x);
    thread_local std::vector<float> weights;
    if (search && search_weights(x, importance, weights)) {
      write(search_scale_and_zero(x, weights, table(), plain), parameters);
    } else {
      write(plain, parameters);
    }
  }

  void expand(const std::byte* parameters, float* scale, float* offset) const override {
    *scale = load_half(parameters);
    *offset = -(*scale * zero_of(parameters));
  }
  void snap(const float* scale, const float* offset, std::byte* parameters) const override {
    set_group(0, *scale, offset == nullptr ? 0.0f : *offset, parameters);
  }
  void set_group(int64_t /*group*/, float scale, float offset,
                 std::byte* parameters) const override {
    const float stored = round_to_half(scale);
    write({stored, std::nearbyintf(-offset * inverse_scale(stored))}, parameters);
  }
  void multiply(float scale_factor, float /*offset_factor*/, std::byte* parameters) const override {
    store_half(load_half(parameters) * scale_factor, parameters);  // the zero point is no scale
  }

  void pack(const std::byte* parameters, const uint8_t* codes, std::byte* block) const override {
    std::memcpy(block, parameters, 3);
    pack_codes(options_, codes, block + 3);
  }
  void unpack(const std::byte* block, std::byte* parameters, uint8_t* codes) const override {
    std::memcpy(parameters, block, 3);
    unpack_codes(options_, block + 3, codes);
  }
  // 4-bit grids have 4-bit zero points: more could be decoded, but not exported.
  bool valid(const std::byte* parameters) const override {
    return zero_of(parameters) <= spec().levels.back();
  }

 private:
  static float zero_of(const std::byte* parameters) {
    return static_cast<float>(static_cast<uint8_t>(parameters[2]));
  }

  void write(ScaleAndZero values, std::byte* parameters) const {
    store_half(values.scale, parameters);
    const float zero =
        values.zero_point > 0 ? std::min(values.zero_point, spec().levels.back()) : 0.0f;
    parameters[2] = static_cast<std::byte>(static_cast<int>(zero));
  }

  ScaleAndZero plain_rule(std::span<const float> x) const {
    const float low = std::min(0.0f, *std::min_element(x.begin(), x.end()));
    const float high = std::max(0.0f, *std::max_element(x.begin(), x.end()));
    const float scale = round_to_half(high / spec().levels.back() - low / spec().levels.back());
    return {scale,
            std::clamp(std::nearbyintf(-low * inverse_scale(scale)), 0.0f, spec().levels.back())};
  }

  IntOptions options_;
};

absl::Status parse_group(std::string_view text, std::string_view name, IntOptions& options) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + 1, end, options.group);
  if (error != std::errc() || stop != end || options.group < 16 || options.group % 16 != 0 ||
      options.group > kLargestGroup) {
    return base::invalid_argument("grid '", name, "': group '", text,
                                  "' is not g<N> with N a multiple of 16 from 16 to ",
                                  kLargestGroup, "; write for example ':g32'");
  }
  return absl::OkStatus();
}

absl::Status parse_option(std::string_view option, std::string_view name,
                          const GridRequest& request, IntOptions& options) {
  if (option == "asym") {
    options.asymmetric = true;
    return absl::OkStatus();
  }
  if (option == "row") {
    if (request.row_columns <= 0 || request.row_columns > kLargestGroup) {
      return base::invalid_argument("grid '", name, "' needs the row length of the matrix, found ",
                                    request.row_columns, ", expected 1 to ", kLargestGroup);
    }
    options.by_row = true;
    options.group = request.row_columns;
    return absl::OkStatus();
  }
  if (option.size() > 1 && option.front() == 'g') return parse_group(option, name, options);
  const std::vector<std::string> known = {"g32", "g64", "g128", "row", "asym"};
  return base::invalid_argument("grid '", name, "': unknown option '", option, "'",
                                base::suggestion(option, known));
}

absl::StatusOr<std::shared_ptr<const Grid>> make_int(int bits, const GridRequest& request) {
  const std::string name = base::str_cat("int", bits, request.suffix);
  IntOptions options{.bits = bits};
  std::vector<std::string> seen;
  std::string_view rest = request.suffix;
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const std::string_view option = rest.substr(0, rest.find(':'));
    rest.remove_prefix(option.size());
    FRUGAL_RETURN_IF_ERROR(parse_option(option, name, request, options));
    seen.emplace_back(option == "asym" ? "asym" : "group");
  }
  if (seen.size() > 2 || (seen.size() == 2 && seen[0] == seen[1])) {
    return base::invalid_argument(
        "grid '", name,
        "' gives an option twice; at most one of ':g<N>' and ':row', and one "
        "':asym'");
  }
  if (options.asymmetric) return std::make_shared<AsymmetricInt>(options);
  return std::make_shared<SymmetricInt>(options);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Grid>> make_int4(const GridRequest& request) {
  return make_int(4, request);
}
absl::StatusOr<std::shared_ptr<const Grid>> make_int8(const GridRequest& request) {
  return make_int(8, request);
}

}  // namespace frugal::grid
