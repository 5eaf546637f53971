#include "tensor/tiles.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <atomic>

#include "tensor/aten.h"

namespace frugal::tensor {
namespace {

constexpr int64_t kRowTile = 64;

// One thread for LibTorch calls of this scope, outside any parallel region.
class SerialScope {
 public:
  SerialScope() : saved_(at::get_num_threads()) {
    if (saved_ > 1) at::set_num_threads(1);
  }
  ~SerialScope() {
    if (saved_ > 1) at::set_num_threads(saved_);
  }
  SerialScope(const SerialScope&) = delete;
  SerialScope& operator=(const SerialScope&) = delete;

 private:
  int saved_;
};

int64_t row_tiles(int64_t rows) { return (rows + kRowTile - 1) / kRowTile; }

at::Tensor tile_of(const at::Tensor& matrix, int64_t tile) {
  const int64_t begin = tile * kRowTile;
  return matrix.narrow(0, begin, std::min(kRowTile, matrix.size(0) - begin));
}

}  // namespace

void for_each_tile(int64_t count, const std::function<void(int64_t)>& body) {
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), count);
  if (threads <= 1 || at::in_parallel_region()) {
    const SerialScope serial;
    const at::NoGradGuard no_grad;
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  std::atomic<int64_t> next{0};
  at::parallel_for(0, threads, 1, [&](int64_t, int64_t) {
    const at::NoGradGuard no_grad;  // a thread-local setting
    for (int64_t i = next++; i < count; i = next++) body(i);
  });
}

at::Tensor matrix_product(const at::Tensor& a, const at::Tensor& b) {
  if (!a.is_cpu()) return at::mm(a, b);
  at::Tensor out = at::empty({a.size(0), b.size(1)}, a.options());
  for_each_tile(row_tiles(a.size(0)), [&](int64_t tile) {
    at::Tensor rows = tile_of(out, tile);
    at::mm_out(rows, tile_of(a, tile), b);
  });
  return out;
}

void subtract_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b) {
  if (!a.is_cpu()) {
    out.addmm_(a, b, 1, -1);
    return;
  }
  for_each_tile(row_tiles(a.size(0)),
                [&](int64_t tile) { tile_of(out, tile).addmm_(tile_of(a, tile), b, 1, -1); });
}

at::Tensor row_products(const at::Tensor& a, const at::Tensor& m, const at::Tensor& b) {
  const at::ScalarType type = at::promote_types(a.scalar_type(), m.scalar_type());
  const at::Tensor am = matrix_product(a.to(type), m.to(type));
  return am.mul_(b).sum(1, false, at::kDouble);
}

}  // namespace frugal::tensor
