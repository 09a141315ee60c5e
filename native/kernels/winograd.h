// The transforms of Winograd's convolution F(4x4, 3x3) (Winograd, 1980; Lavin and Gray, arXiv 1509.09308) for one tile.
// A 4x4 tile Y of the output, the 6x6 tile d of the input below it and the 3x3 kernel g are related by
//
//   Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A,
//
// where ⊙ multiplies element by element. Summed over input channels, the 36 element-wise products become 36 matrix
// products (panel_product.h): 36 multiplications for each tile and pair of channels instead of 144. In one dimension
// the method multiplies two polynomials by their values at the points 0, p, -p, q, -q and infinity. The matrices are,
// with p = 3/4 and q = 3/2:
//
//        | p²q²    0    -(p²+q²)    0      1   0 |        | 1/c    0     0   |
//        |  0    -pq²     -q²       p      1   0 |        | 1/a   p/a   p²/a |
//   Bᵀ = |  0     pq²     -q²      -p      1   0 |    G = | 1/a  -p/a   p²/a |
//        |  0    -qp²     -p²       q      1   0 |        | 1/b   q/b   q²/b |
//        |  0     qp²     -p²      -q      1   0 |        | 1/b  -q/b   q²/b |
//        |  0     p²q²     0    -(p²+q²)   0   1 |        |  0     0     1   |
//
//   with a = 2p² (p² - q²), b = 2q² (q² - p²) and c = p²q², and
//
//        | 1  1   1   1   1  0 |
//   Aᵀ = | 0  p  -p   q  -q  0 |
//        | 0  p²  p²  q²  q² 0 |
//        | 0  p³ -p³  q³ -q³ 1 |
//
// The gradient with respect to the weight follows from the same formula: dg = Gᵀ [(A dY Aᵀ) ⊙ (Bᵀ d B)] G, summed over
// all tiles. The gradient with respect to the input is a convolution of dY with the kernels rotated by 180 degrees.
//
// Images are float32 or bfloat16, the transform domain float32. The points are chosen for it: with ±3/4 and ±3/2
// rounding errors are two to four times those of a direct sum; with the usual points ±1 and ±2 they are twice as large
// again. Errors are relative to the largest value of a tile, so that they can exceed small values of the same tile. A
// value that is not finite makes the whole tile not finite.
//
// Callers: ops/winograd.cc and ops/winograd_weight_gradient.cc, which also say why: a ResNet-18 training step in
// float32 takes 0.6 of the time that it takes with oneDNN's convolutions on a processor without AMX.
#pragma once

#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

// The points p and q, their squares, and the coefficients that occur in B and G.
constexpr float kP = 0.75f, kQ = 1.5f;
constexpr float kP2 = kP * kP, kQ2 = kQ * kQ;
constexpr float kSumOfSquares = kP2 + kQ2, kProductOfSquares = kP2 * kQ2;
constexpr float kGain0 = 1 / kProductOfSquares;        // 1/c
constexpr float kGainP = 1 / (2 * kP2 * (kP2 - kQ2));  // 1/a
constexpr float kGainQ = 1 / (2 * kQ2 * (kQ2 - kP2));  // 1/b

// Each of the following functions multiplies one of the matrices with a vector: from(i) returns element i of the
// argument, to(i, value) stores element i of the result. Rows for p and -p share their even and odd parts.

// Bᵀ d.
template <typename From, typename To>
inline void multiplyByBT(From from, To to) {
  const Vector d0 = from(0), d1 = from(1), d2 = from(2), d3 = from(3), d4 = from(4), d5 = from(5);
  to(0, d4 - d2 * kSumOfSquares + d0 * kProductOfSquares);
  const Vector evenP = d4 - d2 * kQ2, oddP = (d3 - d1 * kQ2) * kP;
  to(1, evenP + oddP);
  to(2, evenP - oddP);
  const Vector evenQ = d4 - d2 * kP2, oddQ = (d3 - d1 * kP2) * kQ;
  to(3, evenQ + oddQ);
  to(4, evenQ - oddQ);
  to(5, d5 - d3 * kSumOfSquares + d1 * kProductOfSquares);
}

// Aᵀ m.
template <typename From, typename To>
inline void multiplyByAT(From from, To to) {
  const Vector sumP = from(1) + from(2), differenceP = (from(1) - from(2)) * kP;
  const Vector sumQ = from(3) + from(4), differenceQ = (from(3) - from(4)) * kQ;
  to(0, from(0) + sumP + sumQ);
  to(1, differenceP + differenceQ);
  to(2, sumP * kP2 + sumQ * kQ2);
  to(3, differenceP * kP2 + differenceQ * kQ2 + from(5));
}

// A dy.
template <typename From, typename To>
inline void multiplyByA(From from, To to) {
  const Vector d0 = from(0), d1 = from(1), d2 = from(2), d3 = from(3);
  to(0, d0);
  const Vector evenP = d0 + d2 * kP2, oddP = (d1 + d3 * kP2) * kP;
  to(1, evenP + oddP);
  to(2, evenP - oddP);
  const Vector evenQ = d0 + d2 * kQ2, oddQ = (d1 + d3 * kQ2) * kQ;
  to(3, evenQ + oddQ);
  to(4, evenQ - oddQ);
  to(5, d3);
}

// G g.
template <typename From, typename To>
inline void multiplyByG(From from, To to) {
  const Vector g0 = from(0), g1 = from(1), g2 = from(2);
  to(0, g0 * kGain0);
  const Vector evenP = (g0 + g2 * kP2) * kGainP, oddP = g1 * (kP * kGainP);
  to(1, evenP + oddP);
  to(2, evenP - oddP);
  const Vector evenQ = (g0 + g2 * kQ2) * kGainQ, oddQ = g1 * (kQ * kGainQ);
  to(3, evenQ + oddQ);
  to(4, evenQ - oddQ);
  to(5, g2);
}

// Gᵀ m.
template <typename From, typename To>
inline void multiplyByGT(From from, To to) {
  const Vector sumP = (from(1) + from(2)) * kGainP, sumQ = (from(3) + from(4)) * kGainQ;
  to(0, from(0) * kGain0 + sumP + sumQ);
  to(1, (from(1) - from(2)) * (kP * kGainP) + (from(3) - from(4)) * (kQ * kGainQ));
  to(2, sumP * kP2 + sumQ * kQ2 + from(5));
}

// Applies a matrix M (Outer x Inner) to both dimensions of a tile, M tile Mᵀ: to the columns first, then to the rows.
template <int Inner, int Outer, typename Multiply, typename From, typename To>
inline void transformBoth(Multiply multiply, From from, To to) {
  Vector half[Outer][Inner];
#pragma GCC unroll 8
  for (int column = 0; column < Inner; ++column)
    multiply([&](int row) { return from(row, column); }, [&](int row, Vector value) { half[row][column] = value; });
#pragma GCC unroll 8
  for (int row = 0; row < Outer; ++row)
    multiply([&](int column) { return half[row][column]; }, [&](int column, Vector value) { to(row, column, value); });
}

// Pointers to the side x side pixels of a tile; those outside of the image point to zeros.
template <typename T>
inline void pixelsOf(const MapTile<T>& tile, int64_t side, const T** pixels) {
  const MapShape<T>& map = *tile.map;
  for (int64_t i = 0; i < side; ++i)
    for (int64_t j = 0; j < side; ++j) {
      const int64_t row = tile.top + i, column = tile.left + j;
      const bool inside = row >= 0 && row < map.height && column >= 0 && column < map.width;
      pixels[i * side + j] = inside ? tile.pixels + (row * map.width + column) * map.channels : map.zeros;
    }
}

// Transforms a tile of Side x Side pixels to the transform domain, for all channels.
template <int Side, typename T, typename Multiply>
inline void transformTile(const MapTile<T>& tile, const TransformLayout& layout, Multiply multiply, float* out) {
  const T* pixels[Side * Side];
  pixelsOf(tile, Side, pixels);
  for (int64_t c = 0; c < tile.map->channels; c += kLanes) {
    float* to = out + c / layout.panelColumns * layout.panelStride + c % layout.panelColumns;
    transformBoth<Side, kWinogradInput>(
        multiply, [&](int row, int column) { return load(pixels[row * Side + column] + c); },
        [&](int row, int column, Vector value) {
          store(to + (row * kWinogradInput + column) * layout.elementStride, value);
        });
  }
}

template <typename T>
void winogradInputTransform(const MapTile<T>& tile, const TransformLayout& layout, float* out) {
  transformTile<kWinogradInput>(
      tile, layout, [](auto from, auto to) { multiplyByBT(from, to); }, out);
}

template <typename T>
void winogradOutputGradientTransform(const MapTile<T>& tile, const TransformLayout& layout, float* out) {
  transformTile<kWinogradOutput>(
      tile, layout, [](auto from, auto to) { multiplyByA(from, to); }, out);
}

template <typename T>
void winogradOutputTransform(const float* products, int64_t elementStride, int64_t channels,
                             const OutputTile<T>& tile) {
  for (int64_t c = 0; c < channels; c += kLanes) {
    Vector y[kWinogradOutput][kWinogradOutput];
    transformBoth<kWinogradInput, kWinogradOutput>(
        [](auto from, auto to) { multiplyByAT(from, to); },
        [&](int row, int column) { return load(products + (row * kWinogradInput + column) * elementStride + c); },
        [&](int row, int column, Vector value) { y[row][column] = value; });
    const Vector bias = tile.bias == nullptr ? Vector{} : load(tile.bias + c);
    const Vector factors = tile.scales == nullptr ? Vector{} : load(tile.scales + c) * tile.scale;
    for (int64_t row = 0; row < tile.height; ++row)
      for (int64_t column = 0; column < tile.width; ++column) {
        const int64_t at = row * tile.rowStride + column * tile.pixelStride + c;
        Vector value = y[row][column];
        if (tile.scales != nullptr) value *= factors;
        value += bias;
        if (tile.add != nullptr) value += load(tile.add + at);
        if (tile.relu) value = reluOf(value);
        store(tile.y + at, value);
      }
  }
}

// The taps of kLanes kernels are first copied to an array, because inserting single values into the lanes of a vector
// register takes longer.
void winogradWeightTransform(const WeightLayout& layout, const float* weight, float* out) {
  for (int64_t inner = 0; inner < layout.inner; ++inner, weight += layout.innerStride, out += layout.rowStride)
    for (int64_t outer = 0; outer < kOuterBlock; outer += kLanes) {
      float taps[kWinogradTaps][kLanes];
      for (int64_t i = 0; i < kLanes; ++i)
        for (int tap = 0; tap < kWinogradTaps; ++tap) taps[tap][i] = weight[(outer + i) * layout.outerStride + tap];
      const auto loadTap = [&](int row, int column) {
        const int tap = row * kWinogradKernel + column;
        return load(taps[layout.rotated180 ? kWinogradTaps - 1 - tap : tap]);
      };
      const auto storeElement = [&](int row, int column, Vector value) {
        store(out + (row * kWinogradInput + column) * layout.elementStride + outer, value);
      };
      transformBoth<kWinogradKernel, kWinogradInput>([](auto from, auto to) { multiplyByG(from, to); }, loadTap,
                                                     storeElement);
    }
}

void winogradWeightGradientTransform(const WeightLayout& layout, const float* sums, float* weight) {
  for (int64_t inner = 0; inner < layout.inner; ++inner, weight += layout.innerStride, sums += layout.rowStride)
    for (int64_t outer = 0; outer < kOuterBlock; outer += kLanes) {
      float taps[kWinogradTaps][kLanes];
      const auto loadElement = [&](int row, int column) {
        return load(sums + (row * kWinogradInput + column) * layout.elementStride + outer);
      };
      const auto storeTap = [&](int row, int column, Vector value) {
        store(taps[row * kWinogradKernel + column], value);
      };
      transformBoth<kWinogradInput, kWinogradKernel>([](auto from, auto to) { multiplyByGT(from, to); }, loadElement,
                                                     storeTap);
      for (int64_t i = 0; i < kLanes; ++i)
        for (int tap = 0; tap < kWinogradTaps; ++tap) weight[(outer + i) * layout.outerStride + tap] = taps[tap][i];
    }
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
