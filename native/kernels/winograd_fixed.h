// Winograd's convolution F(4x4, 3x3) of bfloat16 images with products of 16-bit integers. winograd.h has the method;
// ops/winograd_fixed.cc has the scales, and the proof that no sum overflows.
//
// The instruction vpdpwssd multiplies pairs of 16-bit integers and adds them to 32-bit sums, at twice the rate of
// float32 products. In bfloat16 the products would be as fast, but the transforms multiply the rounding errors of their
// eight significant bits: the error would be five times that of a plain bfloat16 convolution. Integers of one scale for
// a tile have 11 to 12 significant bits at the root mean square, and the result is as accurate as that of a plain
// bfloat16 convolution, whose weights are rounded (0.9 to 1.1 of its error for values of a normal distribution, with
// and without a ReLU, also if channels differ by a factor e).
//
// The kernels exist at levels whose processors have vpdpwssd. Caller: ops/winograd_fixed.cc.
#pragma once

#include "kernels/table.h"
#include "kernels/vector.h"
#include "kernels/winograd.h"

#ifdef __AVX512VNNI__

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

// The rows of Bᵀ and G are divided by these norms, so that all 36 elements use the range of the integers: the sum of
// the magnitudes of a row of Bᵀ, and the root of the sum of the squares of a row of G.
constexpr float kInputNorm[] = {kProductOfSquares + kSumOfSquares + 1,
                                kP* kQ2 + kQ2 + kP + 1,
                                kP* kQ2 + kQ2 + kP + 1,
                                kQ* kP2 + kP2 + kQ + 1,
                                kQ* kP2 + kP2 + kQ + 1,
                                kProductOfSquares + kSumOfSquares + 1};
// √(1 + p² + p⁴) / |a| and √(1 + q² + q⁴) / |b|, rounded up.
constexpr float kWeightNorm[] = {kGain0, 0.72260f, 0.72260f, 0.37971f, 0.37971f, 1};
static_assert(0.72260f * 0.72260f >= (1 + kP2 + kP2 * kP2) * kGainP * kGainP, "kWeightNorm is too small");
static_assert(0.37971f * 0.37971f >= (1 + kQ2 + kQ2 * kQ2) * kGainQ * kGainQ, "kWeightNorm is too small");

// Rounds to an integer: the low 16 bits of the sum are the integer's, because the sum's last bit is worth one.
inline Words roundedToInteger(Vector value, Vector scale) { return (Words)(value * scale + 12582912.0f); }

// The larger of two magnitudes, given by their bits; NaN is above infinity.
inline Words largerBits(Words a, Words b) { return (Words)_mm512_max_epu32((__m512i)a, (__m512i)b); }

// Adds the squares of a vector to `squares`, and takes its magnitudes into `most`.
inline void takeMagnitudes(Vector value, Vector& squares, Words& most) {
  squares += value * value;
  most = largerBits(most, (Words)value & 0x7fffffff);
}

inline float largestOf(Words most) {
  const uint32_t bits = _mm512_reduce_max_epu32((__m512i)most);
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

void pixelMagnitudes(Extent extent, const BFloat16* x, Magnitudes* out) {
  for (int64_t row = 0; row < extent.rows; ++row, x += extent.channels) {
    float squares = 0;
    Words most{};
    for (int64_t first = 0; first < extent.channels; first += kFixedInner) {
      const int64_t end = first + kFixedInner < extent.channels ? first + kFixedInner : extent.channels;
      Vector sum{};
      for (int64_t c = first; c < end; c += kLanes) takeMagnitudes(load(x + c), sum, most);
      const float total = _mm512_reduce_add_ps((__m512)sum);
      squares = squares > total ? squares : total;
    }
    out[row] = {squares, largestOf(most)};
  }
}

Magnitudes rowMagnitudes(int64_t count, const float* x) {
  Vector squares{};
  Words most{};
  forEachVector(count, [&](int64_t i, int64_t lanes) { takeMagnitudes(load(x + i, lanes), squares, most); });
  return {_mm512_reduce_add_ps((__m512)squares), largestOf(most)};
}

void columnMagnitudes(int64_t count, const float* x, float* squares, float* most) {
  forEachVector(count, [&](int64_t i, int64_t lanes) {
    Vector sum = load(squares + i, lanes);
    Words magnitude = (Words)load(most + i, lanes);
    takeMagnitudes(load(x + i, lanes), sum, magnitude);
    store(squares + i, sum, lanes);
    store(most + i, (Vector)magnitude, lanes);
  });
}

void winogradFixedInputTransform(const MapTile<BFloat16>& tile, const TransformLayout& layout, float scale,
                                 int16_t* out) {
  const BFloat16* pixels[kWinogradElements];
  pixelsOf(tile, kWinogradInput, pixels);
  for (int64_t c = 0; c < tile.map->channels; c += kLanes)
    transformBoth<kWinogradInput, kWinogradInput>(
        [](auto from, auto to) { multiplyByBT(from, to); },
        [&](int row, int column) { return load(pixels[row * kWinogradInput + column] + c); },
        [&](int row, int column, Vector value) {
          const Vector factor = splat(scale / (kInputNorm[row] * kInputNorm[column]));
          const Halves halves = __builtin_convertvector(roundedToInteger(value, factor), Halves);
          memcpy(out + c + (row * kWinogradInput + column) * layout.elementStride, &halves, sizeof halves);
        });
}

// The transform of one inner channel's kernels for a vector of outer channels, as integers.
template <typename To>
inline void fixedKernels(const WeightLayout& layout, const float* weight, Vector scale, To to) {
  float taps[kWinogradTaps][kLanes];
  for (int64_t i = 0; i < kLanes; ++i)
    for (int tap = 0; tap < kWinogradTaps; ++tap) taps[tap][i] = weight[i * layout.outerStride + tap];
  transformBoth<kWinogradKernel, kWinogradInput>([](auto from, auto to) { multiplyByG(from, to); },
                                                 [&](int row, int column) {
                                                   const int tap = row * kWinogradKernel + column;
                                                   return load(taps[layout.rotated180 ? kWinogradTaps - 1 - tap : tap]);
                                                 },
                                                 [&](int row, int column, Vector value) {
                                                   const Vector factor =
                                                       scale * (1 / (kWeightNorm[row] * kWeightNorm[column]));
                                                   to(row * kWinogradInput + column, roundedToInteger(value, factor));
                                                 });
}

void winogradFixedWeightTransform(const WeightLayout& layout, const float* weight, const float* scales, int32_t* out) {
  static_assert(kOuterBlock == 16, "one vector");
  const Vector scale = load(scales);
  for (int64_t inner = 0; inner < layout.inner; inner += 2, out += layout.rowStride) {
    Words first[kWinogradElements];
    fixedKernels(layout, weight + inner * layout.innerStride, scale,
                 [&](int element, Words value) { first[element] = value & 0xffff; });
    fixedKernels(layout, weight + (inner + 1) * layout.innerStride, scale, [&](int element, Words value) {
      const Words pair = first[element] | (value << 16);
      memcpy(out + element * layout.elementStride, &pair, sizeof pair);
    });
  }
}

// sum += the products of pairs. GCC 12 copies and spills all sums of a block if the intrinsic function is used.
inline void addProducts(__m512i& sum, __m512i a, __m512i b) { asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b)); }

// A block of Rows x (Width vectors) of c, for up to kFixedInner inner channels.
template <int Rows, int Width>
inline void pairBlock(const PanelProductShape& shape, int64_t pairs, const int16_t* a, const int32_t* b, float* c,
                      float factor, bool add) {
  __m512i sums[Rows][Width];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j) sums[i][j] = _mm512_setzero_si512();
  for (int64_t k = 0; k < pairs; ++k, a += 2, b += shape.columns) {
    __m512i row[Width];
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j) row[j] = _mm512_loadu_si512(b + j * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      int32_t pair;
      memcpy(&pair, a + i * shape.rowStride, sizeof pair);
      const __m512i both = _mm512_set1_epi32(pair);
#pragma GCC unroll 4
      for (int j = 0; j < Width; ++j) addProducts(sums[i][j], both, row[j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j) {
      float* to = c + i * shape.columns + j * kLanes;
      const Vector value = (Vector)_mm512_cvtepi32_ps(sums[i][j]) * factor;
      store(to, add ? load(to) + value : value);
    }
}

// All rows of c for Width vectors of columns, and all inner channels.
template <int Width>
inline void pairColumns(const PanelProductShape& shape, const int16_t* a, const int32_t* b, float* c, float factor) {
  int64_t row = 0;
  const auto rows = [&](auto count) {
    constexpr int kRows = decltype(count)::value;
    for (; row + kRows <= shape.rows; row += kRows)
      for (int64_t k = 0; k < shape.inner; k += kFixedInner) {
        const int64_t inner = k + kFixedInner < shape.inner ? kFixedInner : shape.inner - k;
        pairBlock<kRows, Width>(shape, inner / 2, a + row * shape.rowStride + k, b + k / 2 * shape.columns,
                                c + row * shape.columns, factor, shape.add || k > 0);
      }
  };
  rows(Constant<6>{});
  rows(Constant<4>{});
  rows(Constant<2>{});
  rows(Constant<1>{});
}

void fixedPanelProduct(const PanelProductShape& shape, int element, const int16_t* a, const int32_t* b, float* c) {
  const int row = element / kWinogradInput, column = element % kWinogradInput;
  const float factor = kInputNorm[row] * kInputNorm[column] * kWeightNorm[row] * kWeightNorm[column];
  int64_t at = 0;
  const auto columns = [&](auto count) {
    constexpr int kWidth = decltype(count)::value;
    for (; at + kWidth * kLanes <= shape.columns; at += kWidth * kLanes)
      pairColumns<kWidth>(shape, a, b + at, c + at, factor);
  };
  columns(Constant<4>{});
  columns(Constant<3>{});
  columns(Constant<2>{});
  columns(Constant<1>{});
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam

#endif
