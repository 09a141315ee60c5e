// Matrix products with operands that are in a cache already: c = a b or c += a b (see BlockProduct in table.h), for any
// sizes. bfloat16 operands are multiplied by vdpbf16ps, which adds the products of two neighbouring values to a float32
// sum, so they exist at the level avx512bf16 alone.
//
// Caller: ops/small_product.cc. oneDNN has such products too, but libtorch offers those in bfloat16 only with AMX and
// those in float32 only with AVX-512. On an AMD EPYC of the fifth generation these products run at 0.9 to 0.99 of the
// limit that a loop of multiplications in registers reaches, and oneDNN's in float32 at 0.7 to 0.99.
#pragma once

#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

// How a step along the inner dimension multiplies: `kStep` values of a row of a with as many rows of b.
template <typename T>
struct Step;

template <>
struct Step<float> {
  static constexpr int64_t kStep = 1;
  static Vector rowOf(const float* b, int64_t lanes) { return load(b, lanes); }
  static Vector factorOf(const float* a) { return splat(*a); }
  static Vector multiplyAdd(Vector sum, Vector factor, Vector row) { return sum + factor * row; }
};

#ifdef __AVX512BF16__
// Pairs of bfloat16 values are handled as 32-bit words.
template <>
struct Step<BFloat16> {
  static constexpr int64_t kStep = 2;
  static Vector rowOf(const BFloat16* b, int64_t lanes) { return load((const float*)b, lanes); }
  static Vector factorOf(const BFloat16* a) {
    int pair;
    memcpy(&pair, a, sizeof pair);
    return (Vector)_mm512_set1_epi32(pair);
  }
  static Vector multiplyAdd(Vector sum, Vector factor, Vector row) {
    return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)row, (__m512bh)factor);
  }
};
#endif

template <typename T>
constexpr bool hasProduct = kLanes > 4;
#ifndef __AVX512BF16__
template <>
constexpr bool hasProduct<BFloat16> = false;
#endif

// The widest block of c that is kept in registers, and its rows by its width: 24 of the 32 registers of AVX-512, else
// 12 of 16. The others hold a row of b and a value of a.
constexpr int kBlockVectors = kLanes == 16 ? 4 : 2;
constexpr int kBlockSums = kLanes == 16 ? 24 : 12;

// The number of values of a row of a that are multiplied before the next rows of a, so that the part of b that they
// need stays in the first-level cache.
constexpr int64_t kInnerBlock = 256;

// A block of Rows x (Width vectors) of c; the last vector has `lanes` values. `inner` counts steps.
template <typename T, int Rows, int Width>
inline void blockOf(const ProductShape& shape, int64_t inner, const T* a, int64_t stride, const T* b, float* c,
                    int64_t lanes, bool add) {
  constexpr int64_t kStep = Step<T>::kStep;
  const auto lanesOf = [&](int j) { return j == Width - 1 ? lanes : kLanes; };
  Vector sums[Rows][Width];
#pragma GCC unroll 24
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j) sums[i][j] = add ? load(c + i * shape.columns + j * kLanes, lanesOf(j)) : Vector{};
  for (int64_t k = 0; k < inner; ++k, a += kStep, b += kStep * shape.columns) {
    Vector row[Width];
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j) row[j] = Step<T>::rowOf(b + j * kStep * kLanes, lanesOf(j));
#pragma GCC unroll 24
    for (int i = 0; i < Rows; ++i) {
      const Vector factor = Step<T>::factorOf(a + i * stride);
#pragma GCC unroll 4
      for (int j = 0; j < Width; ++j) sums[i][j] = Step<T>::multiplyAdd(sums[i][j], factor, row[j]);
    }
  }
#pragma GCC unroll 24
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j) store(c + i * shape.columns + j * kLanes, sums[i][j], lanesOf(j));
}

// All rows of c for Width vectors of columns.
template <typename T, int Width>
inline void columnsOf(const ProductShape& shape, int64_t inner, const T* a, int64_t stride, const T* b, float* c,
                      int64_t lanes, bool add) {
  int64_t row = 0;
  const auto rows = [&](auto count) {
    constexpr int kRows = decltype(count)::value;
    for (; row + kRows <= shape.rows; row += kRows)
      blockOf<T, kRows, Width>(shape, inner, a + row * stride, stride, b, c + row * shape.columns, lanes, add);
  };
  rows(Constant<kBlockSums / Width>{});
  if (kBlockSums / Width > 6) rows(Constant<6>{});
  rows(Constant<3>{});
  rows(Constant<2>{});
  rows(Constant<1>{});
}

template <typename T>
void product(const ProductShape& shape, const T* a, int64_t stride, const T* b, float* c, bool add) {
  constexpr int64_t kStep = Step<T>::kStep;
  for (int64_t from = 0; from < shape.inner || from == 0; from += kInnerBlock) {
    const int64_t left = shape.inner - from < kInnerBlock ? shape.inner - from : kInnerBlock;
    const int64_t inner = (left + kStep - 1) / kStep;
    const bool sums = add || from > 0;
    int64_t column = 0;
    const auto columns = [&](auto width) {
      constexpr int kWidth = decltype(width)::value;
      const int64_t end = column + kWidth * kLanes, beyond = end > shape.columns ? end - shape.columns : 0;
      columnsOf<T, kWidth>(shape, inner, a + from, stride, b + from * shape.columns + column * kStep, c + column,
                           kLanes - beyond, sums);
      column = end;
    };
    // Narrow blocks are slower, so that five vectors are divided as three and two.
    while (column < shape.columns) {
      const int64_t vectors = (shape.columns - column + kLanes - 1) / kLanes;
      if (kBlockVectors == 4 && (vectors == 4 || vectors > 5)) {
        columns(Constant<kBlockVectors>{});
      } else if (kBlockVectors == 4 && (vectors == 3 || vectors == 5)) {
        columns(Constant<3>{});
      } else if (vectors >= 2) {
        columns(Constant<2>{});
      } else {
        columns(Constant<1>{});
      }
    }
  }
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
