#include "model/products.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "kernels/bf16_product.h"
#include "tensor/aten.h"
#include "tensor/precision.h"
#include "tensor/tiles.h"

namespace frugal::model {
namespace {

using kernels::kPanel;

// Edge of the square tiles of a sum of fp32 products: large enough for the GEMM to run at speed,
// small enough to feed all threads.
int64_t tile_edge(int64_t columns) {
  return columns <= 128 ? 64 : columns <= 1024 ? 128 : columns <= 4096 ? 256 : 512;
}

struct Span {
  int64_t begin, size;
};
std::vector<Span> spans(int64_t total, int64_t edge) {
  std::vector<Span> result;
  for (int64_t begin = 0; begin < total; begin += edge) {
    result.push_back({begin, std::min(edge, total - begin)});
  }
  return result;
}

// The products of such values are exact in TF32: 8 or 11 bits of significand each,
// and TF32 keeps 11.
bool exact_in_tf32(const at::Tensor& chunk) {
  return chunk.scalar_type() == at::kBFloat16 || chunk.scalar_type() == at::kHalf;
}

// TF32 products where asked for; else nothing is touched, which many threads may do at once.
class Tf32Scope {
 public:
  explicit Tf32Scope(bool wanted) {
    if (wanted) scope_.emplace(true);
  }

 private:
  std::optional<tensor::Float32MatmulScope> scope_;
};

// The kernel for products of this precision where `values` lie; null: LibTorch's.
const kernels::Bf16Kernel* packed_kernel(const at::Tensor& values, Precision precision) {
  if (precision == Precision::kFloat32 || !values.is_cpu()) return nullptr;
  return kernels::fast_bf16_kernel();
}

uint32_t* words_of(const at::Tensor& packed, int64_t panel) {
  return reinterpret_cast<uint32_t*>(packed.data_ptr<int32_t>()) + panel * packed.stride(0);
}

at::Tensor empty_panels(int64_t vectors, int64_t length) {
  return at::empty({kernels::panel_count(vectors), kernels::pair_count(length), kPanel}, at::kInt);
}

kernels::PackSource source_of(const at::Tensor& values, const at::Tensor& minus) {
  return {.values = values.const_data_ptr<float>(),
          .stride = values.stride(0),
          .minus = minus.defined() ? minus.const_data_ptr<float>() : nullptr,
          .minus_stride = minus.defined() ? minus.stride(0) : 0,
          .rows = values.size(0),
          .columns = values.size(1)};
}

at::Tensor fp32_rows(const at::Tensor& x) {
  return x.defined() ? x.to(at::kFloat).contiguous() : x;
}

at::Tensor pack(const kernels::Bf16Kernel& kernel, const at::Tensor& matrix, Vectors vectors) {
  const bool rows = vectors == Vectors::kRows;
  const at::Tensor words = empty_panels(matrix.size(rows ? 0 : 1), matrix.size(rows ? 1 : 0));
  const kernels::PackSource source = source_of(matrix, {});
  const auto pack_panel = rows ? kernel.pack_rows : kernel.pack_columns;
  for (int64_t panel = 0; panel < words.size(0); ++panel)
    pack_panel(source, panel, words_of(words, panel));
  return words;
}

// All products of the vectors in two packed matrices, of which there are `rows` and `columns`.
at::Tensor packed_products(const at::Tensor& a, int64_t rows, const at::Tensor& b,
                           int64_t columns) {
  const at::Tensor out = at::empty({rows, columns}, at::kFloat);
  float* const data = out.data_ptr<float>();
  for (int64_t i = 0; i < a.size(0); ++i) {
    for (int64_t j = 0; j < b.size(0); ++j) {
      const int64_t row = i * kPanel, column = j * kPanel;
      kernels::fast_bf16_kernel()->multiply(
          words_of(a, i), words_of(b, j), a.size(1), std::min(kPanel, rows - row),
          std::min(kPanel, columns - column), data + row * columns + column, columns);
    }
  }
  return out;
}

at::Tensor tile_product(const at::Tensor& left, Span rows, const at::Tensor& right, Span columns) {
  const at::Tensor a = left.narrow(1, rows.begin, rows.size).to(at::kFloat);
  const at::Tensor b = right.narrow(1, columns.begin, columns.size).to(at::kFloat);
  return at::mm(a.t(), b);
}

void add_packed(const at::Tensor& left, const at::Tensor& right, bool symmetric,
                const at::Tensor& sum) {
  const int64_t across = right.size(0);
  tensor::for_each_tile(left.size(0) * across, [&](int64_t tile) {
    const int64_t i = tile / across, j = tile % across;
    if (symmetric && j < i) return;
    const int64_t row = i * kPanel, column = j * kPanel;
    const at::Tensor block = sum.narrow(0, row, std::min(kPanel, sum.size(0) - row))
                                 .narrow(1, column, std::min(kPanel, sum.size(1) - column));
    const at::Tensor product = at::empty(block.sizes(), at::kFloat);
    kernels::fast_bf16_kernel()->multiply(words_of(left, i), words_of(right, j), left.size(1),
                                          product.size(0), product.size(1),
                                          product.data_ptr<float>(), product.stride(0));
    block.add_(product);
  });
}

void add_tiles(const at::Tensor& left, const at::Tensor& right, bool symmetric,
               const at::Tensor& sum) {
  const std::vector<Span> rows = spans(left.size(1), tile_edge(left.size(1)));
  const std::vector<Span> columns = spans(right.size(1), tile_edge(right.size(1)));
  const auto across = static_cast<int64_t>(columns.size());
  tensor::for_each_tile(static_cast<int64_t>(rows.size()) * across, [&](int64_t tile) {
    const Span r = rows[static_cast<size_t>(tile / across)];
    const Span c = columns[static_cast<size_t>(tile % across)];
    if (symmetric && c.begin < r.begin) return;
    sum.narrow(0, r.begin, r.size).narrow(1, c.begin, c.size).add_(tile_product(left, r, right, c));
  });
}

// A BLAS does not promise XᵀX to be symmetric to the last bit.
at::Tensor mirrored(const at::Tensor& sum) { return sum.triu().add_(sum.triu(1).t()); }

}  // namespace

at::Tensor vector_products(const at::Tensor& a, Vectors a_vectors, const at::Tensor& b,
                           Vectors b_vectors, Precision precision) {
  const bool a_rows = a_vectors == Vectors::kRows, b_rows = b_vectors == Vectors::kRows;
  const kernels::Bf16Kernel* const kernel = packed_kernel(a, precision);
  if (kernel == nullptr) {
    const Tf32Scope scope(precision == Precision::kRounded && !a.is_cpu());
    return at::mm(a_rows ? a : a.t(), b_rows ? b.t() : b);
  }
  TORCH_CHECK(a.size(a_rows ? 1 : 0) == b.size(b_rows ? 1 : 0), "vectors of ", a.sizes(), " and ",
              b.sizes(), " differ in length");
  return packed_products(pack(*kernel, fp32_rows(a), a_vectors), a.size(a_rows ? 0 : 1),
                         pack(*kernel, fp32_rows(b), b_vectors), b.size(b_rows ? 0 : 1));
}

TokenFactor::TokenFactor(const at::Tensor& x, Precision precision, const at::Tensor& minus)
    : tokens_(x.size(0)), columns_(x.size(1)), precision_(precision) {
  TORCH_CHECK(!minus.defined() || minus.sizes() == x.sizes(), "a difference of ", x.sizes(),
              " and ", minus.sizes());
  const kernels::Bf16Kernel* const kernel = packed_kernel(x, precision);
  if (kernel == nullptr) {
    values_ = minus.defined() ? x - minus : x;
    tf32_ = precision == Precision::kRounded || exact_in_tf32(values_);
    return;
  }
  const at::Tensor values = fp32_rows(x), subtracted = fp32_rows(minus);
  words_ = empty_panels(columns_, tokens_);
  const kernels::PackSource source = source_of(values, subtracted);
  tensor::for_each_tile(words_.size(0), [&](int64_t panel) {
    kernel->pack_columns(source, panel, words_of(words_, panel));
  });
}

void ProductSum::add(const TokenFactor& left, const TokenFactor& right) {
  TORCH_CHECK(left.tokens() == right.tokens() && left.words_.defined() == right.words_.defined(),
              "factors of ", left.tokens(), " and ", right.tokens(), " tokens do not fit together");
  const int64_t m = left.columns(), n = right.columns();
  const at::Tensor& where = left.words_.defined() ? left.words_ : left.values_;
  if (!sum_.defined()) sum_ = at::zeros({m, n}, where.options().dtype(at::kDouble));
  if (left.words_.defined()) {
    add_packed(left.words_, right.words_, symmetric_, sum_);
  } else if (sum_.is_cpu()) {
    add_tiles(left.values_, right.values_, symmetric_, sum_);
  } else {  // whole products, one chunk after the other
    const tensor::Float32MatmulScope precision(left.tf32_ && right.tf32_);
    sum_.add_(tile_product(left.values_, {0, m}, right.values_, {0, n}));
  }
}

at::Tensor ProductSum::take() {
  const at::Tensor sum = std::exchange(sum_, {});
  if (!symmetric_ || !sum.defined()) return sum.defined() ? sum.cpu() : sum;
  if (!sum.is_cpu()) return mirrored(sum).cpu();
  // Tile by tile in place, so that a wide H is not there twice.
  const std::vector<Span> edges = spans(sum.size(0), tile_edge(sum.size(0)));
  tensor::for_each_tile(static_cast<int64_t>(edges.size()), [&](int64_t tile) {
    const Span r = edges[static_cast<size_t>(tile)];
    const at::Tensor own = sum.narrow(0, r.begin, r.size).narrow(1, r.begin, r.size);
    own.copy_(mirrored(own));
    for (const Span& c : edges) {
      if (c.begin <= r.begin) continue;
      sum.narrow(0, c.begin, c.size)
          .narrow(1, r.begin, r.size)
          .copy_(sum.narrow(0, r.begin, r.size).narrow(1, c.begin, c.size).t());
    }
  });
  return sum;
}

StageProduct::StageProduct(const at::Tensor& stacked, const std::vector<int64_t>& row_counts,
                           Precision precision)
    : row_counts_(row_counts), tf32_(precision == Precision::kRounded && !stacked.is_cpu()) {
  matrices_ = stacked.split_with_sizes(row_counts, 0);
  const kernels::Bf16Kernel* const kernel = packed_kernel(stacked, precision);
  if (kernel == nullptr) return;
  words_.resize(matrices_.size());
  tensor::for_each_tile(static_cast<int64_t>(matrices_.size()), [&](int64_t m) {
    const auto i = static_cast<size_t>(m);
    words_[i] = pack(*kernel, fp32_rows(matrices_[i]), Vectors::kRows);
  });
  matrices_.clear();
}

std::vector<at::Tensor> StageProduct::apply(const at::Tensor& x) const {
  std::vector<at::Tensor> outputs;
  if (words_.empty()) {
    const Tf32Scope scope(tf32_);
    for (const at::Tensor& matrix : matrices_) outputs.push_back(at::linear(x, matrix));
    return outputs;
  }
  const at::Tensor rows = fp32_rows(x).reshape({-1, x.size(-1)});
  const at::Tensor packed = pack(*kernels::fast_bf16_kernel(), rows, Vectors::kRows);
  for (size_t m = 0; m < words_.size(); ++m) {
    const at::Tensor out = packed_products(packed, rows.size(0), words_[m], row_counts_[m]);
    std::vector<int64_t> shape = x.sizes().vec();
    shape.back() = row_counts_[m];
    outputs.push_back(out.view(shape));
  }
  return outputs;
}

}  // namespace frugal::model
