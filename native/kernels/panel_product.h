// Float32 matrix products with operands that are in a cache already: c = a b or c += a b (see PanelProductShape).
//
// Caller: ops/winograd.cc and ops/winograd_weight_gradient.cc, for the 36 products of the transform domain. They need
// many small products with any strides of the left operand, called inside of a thread. A product by libtorch starts
// threads, and oneDNN's micro-kernels (ops/small_product.h) exist neither on every processor nor in every libtorch.
#pragma once

#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

// The size of the block of c that is kept in registers: 6 x 4 vectors of the 32 registers of AVX-512, else 6 x 2 of 16.
// The others hold a row of b and a value of a.
constexpr int kPanelVectors = kLanes == 16 ? 4 : 2;
constexpr int kPanelRows = 6;

// A block of Rows x (Width vectors) of c.
template <int Rows, int Width>
inline void productBlock(const PanelProductShape& shape, const float* a, const float* b, float* c) {
  Vector sums[Rows][Width];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j) sums[i][j] = shape.add ? load(c + i * shape.columns + j * kLanes) : Vector{};
  for (int64_t k = 0; k < shape.inner; ++k, a += shape.innerStride, b += shape.columns) {
    Vector row[Width];
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j) row[j] = load(b + j * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      const Vector factor = splat(a[i * shape.rowStride]);
#pragma GCC unroll 4
      for (int j = 0; j < Width; ++j) sums[i][j] += factor * row[j];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j) store(c + i * shape.columns + j * kLanes, sums[i][j]);
}

// All rows of c for Width vectors of columns.
template <int Width>
inline void productColumns(const PanelProductShape& shape, const float* a, const float* b, float* c) {
  int64_t row = 0;
  const auto rows = [&](auto count) {
    constexpr int kRows = decltype(count)::value;
    for (; row + kRows <= shape.rows; row += kRows)
      productBlock<kRows, Width>(shape, a + row * shape.rowStride, b, c + row * shape.columns);
  };
  rows(Constant<kPanelRows>{});
  rows(Constant<4>{});
  rows(Constant<2>{});
  rows(Constant<1>{});
}

void panelProduct(const PanelProductShape& shape, const float* a, const float* b, float* c) {
  int64_t column = 0;
  const auto columns = [&](auto count) {
    constexpr int kWidth = decltype(count)::value;
    for (; column + kWidth * kLanes <= shape.columns; column += kWidth * kLanes)
      productColumns<kWidth>(shape, a, b + column, c + column);
  };
  columns(Constant<kPanelVectors>{});
  if (kPanelVectors > 2) {
    columns(Constant<3>{});
    columns(Constant<2>{});
  }
  columns(Constant<1>{});
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
