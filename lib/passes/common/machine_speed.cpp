#include "passes/common/machine_speed.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/text.h"
#include "model/products.h"
#include "tensor/tiles.h"

namespace frugal::passes {
namespace {

constexpr int64_t kRows = 512, kColumns = 768, kInner = 768;  // of a walk's chunk and a small layer
constexpr double kOperations = 2.0 * kRows * kColumns * kInner;

struct Factors {
  at::Tensor left, right;  // [kRows, kInner], [kColumns, kInner]
};

Factors factors(at::ScalarType type, const at::Device& device) {
  const auto options = at::TensorOptions(type).device(device);
  return {at::full({kRows, kInner}, 0.5, options), at::full({kColumns, kInner}, 0.25, options)};
}

void multiply(Arithmetic arithmetic, const Factors& of) {
  using model::Vectors;
  if (arithmetic == Arithmetic::kRounded || arithmetic == Arithmetic::kFloat32) {
    model::vector_products(of.left, Vectors::kRows, of.right, Vectors::kRows,
                           arithmetic == Arithmetic::kRounded ? model::Precision::kRounded
                                                              : model::Precision::kFloat32);
  } else {
    at::mm(of.left, of.right.t());
  }
}

at::ScalarType type_of(Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::kFloat64) return at::kDouble;
  return arithmetic == Arithmetic::kBfloat16 ? at::kBFloat16 : at::kFloat;
}

// Seconds of `rounds` products on every thread at once; a GPU runs them behind each other.
double window_seconds(Arithmetic arithmetic, const at::Device& device, const Factors& of,
                      int64_t threads, int64_t rounds) {
  const auto begin = std::chrono::steady_clock::now();
  tensor::for_each_tile(threads, [&](int64_t) {
    for (int64_t i = 0; i < rounds; ++i) multiply(arithmetic, of);
  });
  // Reading waits for what the device has been given.
  if (!device.is_cpu()) at::zeros({1}, of.left.options()).item();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

bool usable(const at::Device& device) {
  if (device.is_cpu()) return true;
  try {
    at::zeros({1}, at::TensorOptions(at::kFloat).device(device));
    return true;
  } catch (const c10::Error&) {
    return false;
  }
}

double median(std::array<double, 3> values) {
  std::ranges::nth_element(values, values.begin() + 1);
  return values[1];
}

double measure(Arithmetic arithmetic, const at::Device& device) {
  constexpr double kWindow = 0.015;  // seconds
  const int64_t threads = device.is_cpu() ? at::get_num_threads() : 1;
  const Factors of = factors(type_of(arithmetic), device);
  int64_t rounds = 1;
  double seconds = window_seconds(arithmetic, device, of, threads, rounds);  // warms up
  while (seconds < kWindow) {
    const double factor = std::clamp(1.2 * kWindow / std::max(seconds, 1e-9), 2.0, 100.0);
    rounds = static_cast<int64_t>(factor * static_cast<double>(rounds));
    seconds = window_seconds(arithmetic, device, of, threads, rounds);
  }
  std::array<double, 3> windows{seconds};
  for (size_t i = 1; i < windows.size(); ++i)
    windows[i] = window_seconds(arithmetic, device, of, threads, rounds);
  return kOperations * static_cast<double>(rounds * threads) / median(windows);
}

// Seconds for one weight, all threads at work, each on a matrix of its own: how a search is cut
// into pieces for threads shows in small matrices alone.
double measure_rounding(const std::shared_ptr<const grid::Grid>& grid, int64_t columns,
                        grid::ScaleSearch search) {
  constexpr int64_t kWeights = 1 << 15;
  const int64_t rows = std::max<int64_t>(1, kWeights / columns);
  const int64_t threads = at::get_num_threads();
  base::RandomStream random(1, "rounding speed");
  std::vector<float> weights(static_cast<size_t>(rows * columns));
  for (float& weight : weights) weight = static_cast<float>(0.02 * random.normal());
  std::atomic<bool> done = true;
  const auto round = [&] {
    const auto begin = std::chrono::steady_clock::now();
    tensor::for_each_tile(threads, [&](int64_t) {
      if (!grid::round_to_nearest(grid, weights.data(), rows, columns, {}, search).ok())
        done = false;
    });
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  round();  // warms up
  std::array<double, 3> windows;
  for (double& seconds : windows) seconds = round();
  return done ? median(windows) / static_cast<double>(rows * columns * threads) : 0;
}

}  // namespace

double rounding_seconds(const std::string& grid, int64_t columns, grid::ScaleSearch search) {
  static std::mutex mutex;
  static std::map<std::pair<std::string, grid::ScaleSearch>, double> measured;
  const auto found = grid::find_grid(grid, columns);
  if (!found.ok() || !grid::check_columns((*found)->spec(), columns, grid).ok()) return 0;
  const std::lock_guard lock(mutex);
  const auto [place, is_new] = measured.try_emplace({grid, search}, 0.0);
  if (is_new) place->second = measure_rounding(*found, columns, search);
  return place->second;
}

std::optional<double> product_speed(Arithmetic arithmetic, const at::Device& device) {
  static std::mutex mutex;
  static std::map<std::pair<Arithmetic, std::string>, std::optional<double>> measured;
  const std::lock_guard lock(mutex);
  const auto [place, is_new] = measured.try_emplace({arithmetic, device.str()});
  if (is_new && usable(device)) place->second = measure(arithmetic, device);
  return place->second;
}

namespace {

std::optional<double> share_of(double share, std::optional<double> speed) {
  return speed ? std::optional(share * *speed) : std::nullopt;
}

}  // namespace

// Shares that whole jobs reached of the products' speed: SmolLM2-135M and Gemma-3-270M, `fast`.
std::optional<double> walk_speed(model::Precision precision, const at::Device& device) {
  constexpr double kShare = 0.8;
  const bool rounded = precision == model::Precision::kRounded;
  return share_of(kShare,
                  product_speed(rounded ? Arithmetic::kRounded : Arithmetic::kFloat32, device));
}

std::optional<double> sweep_speed(const at::Device& device) {
  constexpr double kShare = 0.3;
  return share_of(kShare, product_speed(Arithmetic::kFloat32, device));
}

std::optional<double> writing_speed(const at::Device& device) {
  constexpr double kShare = 0.7;
  return share_of(kShare, product_speed(Arithmetic::kFloat32, device));
}

std::optional<double> training_speed(bool bf16, const at::Device& device) {
  constexpr double kShare = 0.5;
  return share_of(kShare,
                  product_speed(bf16 ? Arithmetic::kBfloat16 : Arithmetic::kFloat32, device));
}

std::optional<double> seconds_of(double operations, std::optional<double> speed) {
  return speed ? std::optional(operations / *speed) : std::nullopt;
}

std::string speed_text(std::optional<double> operations_per_second) {
  if (!operations_per_second) return "at an unknown speed";
  return base::str_cat("at ", std::llround(*operations_per_second / 1e9),
                       " GFLOP/s, measured just now");
}

}  // namespace frugal::passes
