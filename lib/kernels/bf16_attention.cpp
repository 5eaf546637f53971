#include "kernels/bf16_attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/softmax_rows.h"

namespace frugal::kernels {
namespace {

size_t words_for(int64_t vectors, int64_t length) {
  return static_cast<size_t>(panel_count(vectors) * panel_words(length));
}

}  // namespace

Bf16Attention::Bf16Attention(const HeadGroup& group) : Bf16Attention(group, *fast_bf16_kernel()) {}

Bf16Attention::Bf16Attention(const HeadGroup& group, const Bf16Kernel& kernel)
    : group_(group),
      kernel_(kernel),
      scale_(1.0F / std::sqrt(static_cast<float>(group.size))),
      key_rows_(words_for(group.tokens, group.size)),
      value_columns_(words_for(group.size, group.tokens)),
      block_rows_(words_for(kPanel, group.size)),
      weight_words_(words_for(kPanel, keys_of(blocks() - 1))),
      weights_(static_cast<size_t>(kPanel * keys_of(blocks() - 1))) {}

int64_t Bf16Attention::rows_in(int64_t block) const {
  return std::min(kPanel, group_.tokens - block * kPanel);
}

PackSource Bf16Attention::rows_of(HeadRows<const float> heads, int64_t head, int64_t begin,
                                  int64_t count) const {
  return {.values = heads.row(head, begin),
          .stride = heads.stride,
          .rows = count,
          .columns = group_.size};
}

void Bf16Attention::pack_rows(const PackSource& source, Words& words) const {
  for (int64_t panel = 0; panel < panel_count(source.rows); ++panel)
    kernel_.pack_rows(source, panel, words.data() + panel * panel_words(source.columns));
}

void Bf16Attention::pack_columns(const PackSource& source, Words& words) const {
  for (int64_t panel = 0; panel < panel_count(source.columns); ++panel)
    kernel_.pack_columns(source, panel, words.data() + panel * panel_words(source.rows));
}

// out [64, keys_of(block)] = 64 packed rows times all packed keys (or values) that any of them
// sees.
void Bf16Attention::scores(const Words& left, const Words& right, int64_t block,
                           std::vector<float>& out) const {
  for (int64_t j = 0; j <= block; ++j) {
    kernel_.multiply(left.data(), right.data() + j * panel_words(group_.size),
                     pair_count(group_.size), rows_in(block), kPanel, out.data() + j * kPanel,
                     keys_of(block));
  }
}

// out [rows of the block, size] = weights [.., keys] times `right`, packed columns over all tokens;
// weights behind a query's own place are zero.
void Bf16Attention::mix(const std::vector<float>& weights, int64_t block, const Words& right,
                        float* out, int64_t stride) {
  const int64_t keys = std::min(keys_of(block), group_.tokens);
  const PackSource source{
      .values = weights.data(), .stride = keys_of(block), .rows = rows_in(block), .columns = keys};
  kernel_.pack_rows(source, 0, weight_words_.data());
  for (int64_t d = 0; d < panel_count(group_.size); ++d) {
    kernel_.multiply(weight_words_.data(), right.data() + d * panel_words(group_.tokens),
                     pair_count(keys), rows_in(block), std::min(kPanel, group_.size - d * kPanel),
                     out + d * kPanel, stride);
  }
}

// sum [tokens, size] += weightsᵀ times `right`, packed columns of the block's 64 rows.
void Bf16Attention::add_turned(const std::vector<float>& weights, int64_t block, const Words& right,
                               HeadRows<float> sum) {
  const int64_t rows = rows_in(block);
  const PackSource source{
      .values = weights.data(), .stride = keys_of(block), .rows = rows, .columns = keys_of(block)};
  float product[kPanel * kPanel];
  for (int64_t j = 0; j <= block; ++j) {
    kernel_.pack_columns(source, j, weight_words_.data());
    for (int64_t d = 0; d < panel_count(group_.size); ++d) {
      const int64_t columns = std::min(kPanel, group_.size - d * kPanel);
      kernel_.multiply(weight_words_.data(), right.data() + d * panel_words(rows), pair_count(rows),
                       rows_in(j), columns, product, kPanel);
      for (int64_t r = 0; r < rows_in(j); ++r) {
        float* const out = sum.row(0, j * kPanel + r) + d * kPanel;
        for (int64_t c = 0; c < columns; ++c) out[c] += product[r * kPanel + c];
      }
    }
  }
}

void Bf16Attention::forward(HeadRows<const float> query, HeadRows<const float> key,
                            HeadRows<const float> value, HeadRows<float> out, float* log_sums) {
  const SoftmaxKernel& rows = softmax_kernel();
  pack_rows(rows_of(key, 0, 0, group_.tokens), key_rows_);
  pack_columns(rows_of(value, 0, 0, group_.tokens), value_columns_);
  for (int64_t head = 0; head < group_.heads; ++head) {
    for (int64_t block = 0; block < blocks(); ++block) {
      const int64_t begin = block * kPanel, keys = keys_of(block);
      pack_rows(rows_of(query, head, begin, rows_in(block)), block_rows_);
      scores(block_rows_, key_rows_, block, weights_);
      for (int64_t r = 0; r < rows_in(block); ++r) {
        float* const row = weights_.data() + r * keys;
        log_sums[head * group_.tokens + begin + r] = rows.softmax(row, begin + r + 1, scale_);
        std::fill(row + begin + r + 1, row + keys, 0.0F);
      }
      mix(weights_, block, value_columns_, out.row(head, begin), out.stride);
    }
  }
}

void Bf16Attention::backward(HeadRows<const float> query, HeadRows<const float> key,
                             HeadRows<const float> value, const float* log_sums,
                             HeadRows<const float> out_gradient, HeadRows<float> query_gradient,
                             HeadRows<float> key_gradient, HeadRows<float> value_gradient) {
  const SoftmaxKernel& rows = softmax_kernel();
  key_columns_.resize(words_for(group_.size, group_.tokens));
  value_rows_.resize(words_for(group_.tokens, group_.size));
  block_columns_.resize(words_for(group_.size, kPanel));
  gradients_.resize(weights_.size());
  pack_rows(rows_of(key, 0, 0, group_.tokens), key_rows_);
  pack_columns(rows_of(key, 0, 0, group_.tokens), key_columns_);
  pack_rows(rows_of(value, 0, 0, group_.tokens), value_rows_);
  for (int64_t token = 0; token < group_.tokens; ++token) {
    std::fill_n(key_gradient.row(0, token), group_.size, 0.0F);
    std::fill_n(value_gradient.row(0, token), group_.size, 0.0F);
  }
  for (int64_t head = 0; head < group_.heads; ++head) {
    for (int64_t block = 0; block < blocks(); ++block) {
      const int64_t begin = block * kPanel, keys = keys_of(block);
      const PackSource queries = rows_of(query, head, begin, rows_in(block));
      const PackSource outputs = rows_of(out_gradient, head, begin, rows_in(block));
      pack_rows(queries, block_rows_);
      scores(block_rows_, key_rows_, block, weights_);
      pack_rows(outputs, block_rows_);
      scores(block_rows_, value_rows_, block, gradients_);
      for (int64_t r = 0; r < rows_in(block); ++r) {
        float *const p = weights_.data() + r * keys, *const g = gradients_.data() + r * keys;
        const int64_t seen = begin + r + 1;
        rows.probabilities(p, seen, scale_, log_sums[head * group_.tokens + begin + r]);
        rows.gradient(p, g, seen, scale_);
        std::fill(p + seen, p + keys, 0.0F);
        std::fill(g + seen, g + keys, 0.0F);
      }
      pack_columns(outputs, block_columns_);
      add_turned(weights_, block, block_columns_, value_gradient);
      pack_columns(queries, block_columns_);
      add_turned(gradients_, block, block_columns_, key_gradient);
      mix(gradients_, block, key_columns_, query_gradient.row(head, begin), query_gradient.stride);
    }
  }
}

}  // namespace frugal::kernels
