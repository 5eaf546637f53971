// A quantity known only within bounds.
#pragma once

namespace frugal::energy {

struct Range {
  double low = 0;
  double high = 0;
  bool operator==(const Range&) const = default;
};

// Both bounds times a factor that is not negative.
inline Range scaled(const Range& range, double factor) {
  return {range.low * factor, range.high * factor};
}

}  // namespace frugal::energy
