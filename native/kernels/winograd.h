// Convolution by 3x3 as products of values at points (Winograd, 1980; Lavin and Gray, arXiv 1509.09308): a square of
// 4x4 results is made of 6x6 values, by 36 products for each pair of channels where 144 are usual. In one dimension a
// kernel and a piece of the input are polynomials, known by their values at 0, ±p, ±q and infinity. The points are
// chosen for float32: with ±3/4 and ±3/2 rounding errors are two to four times those of a plain sum, with the usual ±1
// and ±2 twice that. Errors are relative to the largest value of a square, which can drown the others; what is not
// finite reaches all of it.
#pragma once

#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

constexpr float kNear = 0.75f, kFar = 1.5f;
constexpr float kNear2 = kNear * kNear, kFar2 = kFar * kFar;
constexpr float kSum = kNear2 + kFar2, kProduct = kNear2 * kFar2;
// What the values of the kernel are divided by, at 0, ±near and ±far.
constexpr float kAtZero = 1 / kProduct;
constexpr float kAtNear = 1 / (2 * kNear2 * (kNear2 - kFar2)), kAtFar = 1 / (2 * kFar2 * (kFar2 - kNear2));

constexpr int kPoints = 6, kResults = 4, kTaps = 3;

// from(i) and to(i, value) say where the values lie.
template <typename From, typename To>
inline void inputLine(From from, To to) {
  const Vector d0 = from(0), d1 = from(1), d2 = from(2), d3 = from(3), d4 = from(4), d5 = from(5);
  to(0, d4 - d2 * kSum + d0 * kProduct);
  const Vector nearEven = d4 - d2 * kFar2, nearOdd = (d3 - d1 * kFar2) * kNear;
  to(1, nearEven + nearOdd);
  to(2, nearEven - nearOdd);
  const Vector farEven = d4 - d2 * kNear2, farOdd = (d3 - d1 * kNear2) * kFar;
  to(3, farEven + farOdd);
  to(4, farEven - farOdd);
  to(5, d5 - d3 * kSum + d1 * kProduct);
}

template <typename From, typename To>
inline void resultLine(From from, To to) {
  const Vector near = from(1) + from(2), nearDifference = (from(1) - from(2)) * kNear;
  const Vector far = from(3) + from(4), farDifference = (from(3) - from(4)) * kFar;
  to(0, from(0) + near + far);
  to(1, nearDifference + farDifference);
  to(2, near * kNear2 + far * kFar2);
  to(3, nearDifference * kNear2 + farDifference * kFar2 + from(5));
}

// The transpose of resultLine: what gradients of results become.
template <typename From, typename To>
inline void gradientLine(From from, To to) {
  const Vector d0 = from(0), d1 = from(1), d2 = from(2), d3 = from(3);
  to(0, d0);
  const Vector nearEven = d0 + d2 * kNear2, nearOdd = (d1 + d3 * kNear2) * kNear;
  to(1, nearEven + nearOdd);
  to(2, nearEven - nearOdd);
  const Vector farEven = d0 + d2 * kFar2, farOdd = (d1 + d3 * kFar2) * kFar;
  to(3, farEven + farOdd);
  to(4, farEven - farOdd);
  to(5, d3);
}

template <typename From, typename To>
inline void kernelLine(From from, To to) {
  const Vector g0 = from(0), g1 = from(1), g2 = from(2);
  to(0, g0 * kAtZero);
  const Vector nearEven = (g0 + g2 * kNear2) * kAtNear, nearOdd = g1 * (kNear * kAtNear);
  to(1, nearEven + nearOdd);
  to(2, nearEven - nearOdd);
  const Vector farEven = (g0 + g2 * kFar2) * kAtFar, farOdd = g1 * (kFar * kAtFar);
  to(3, farEven + farOdd);
  to(4, farEven - farOdd);
  to(5, g2);
}

// The transpose of kernelLine.
template <typename From, typename To>
inline void kernelGradientLine(From from, To to) {
  const Vector near = (from(1) + from(2)) * kAtNear, far = (from(3) + from(4)) * kAtFar;
  to(0, from(0) * kAtZero + near + far);
  to(1, (from(1) - from(2)) * (kNear * kAtNear) + (from(3) - from(4)) * (kFar * kAtFar));
  to(2, near * kNear2 + far * kFar2 + from(5));
}

// Both dimensions of a square: columns first, then rows.
template <int Inner, int Outer, typename Line, typename From, typename To>
inline void inBoth(Line line, From from, To to) {
  Vector half[Outer][Inner];
#pragma GCC unroll 8
  for (int column = 0; column < Inner; ++column)
    line([&](int row) { return from(row, column); }, [&](int row, Vector value) { half[row][column] = value; });
#pragma GCC unroll 8
  for (int row = 0; row < Outer; ++row)
    line([&](int column) { return half[row][column]; }, [&](int column, Vector value) { to(row, column, value); });
}

// The pixels of a square of `side`; those outside of the map are zeros.
inline void squareOf(const SquareOfMap& square, int64_t side, const float** pixels) {
  const WinogradMap& map = *square.map;
  for (int64_t i = 0; i < side; ++i)
    for (int64_t j = 0; j < side; ++j) {
      const int64_t row = square.top + i, column = square.left + j;
      const bool inside = row >= 0 && row < map.height && column >= 0 && column < map.width;
      pixels[i * side + j] = inside ? square.pixels + (row * map.width + column) * map.channels : map.zeros;
    }
}

template <int Side, typename Line>
inline void squareToPoints(const SquareOfMap& square, const PointsLayout& layout, Line line, float* out) {
  const float* pixels[Side * Side];
  squareOf(square, Side, pixels);
  for (int64_t c = 0; c < square.map->channels; c += kLanes) {
    float* to = out + c / layout.columns * layout.panel + c % layout.columns;
    inBoth<Side, kPoints>(
        line, [&](int row, int column) { return load(pixels[row * Side + column] + c); },
        [&](int row, int column, Vector value) { store(to + (row * kPoints + column) * layout.point, value); });
  }
}

void winogradInput(const SquareOfMap& square, const PointsLayout& layout, float* out) {
  squareToPoints<kPoints>(
      square, layout, [](auto from, auto to) { inputLine(from, to); }, out);
}

void winogradGradient(const SquareOfMap& square, const PointsLayout& layout, float* out) {
  squareToPoints<kResults>(
      square, layout, [](auto from, auto to) { gradientLine(from, to); }, out);
}

void winogradResult(const float* points, int64_t stride, int64_t channels, const WinogradResult& result) {
  for (int64_t c = 0; c < channels; c += kLanes) {
    Vector made[kResults][kResults];
    inBoth<kPoints, kResults>([](auto from, auto to) { resultLine(from, to); },
                              [&](int row, int column) { return load(points + (row * kPoints + column) * stride + c); },
                              [&](int row, int column, Vector value) { made[row][column] = value; });
    const Vector bias = result.bias == nullptr ? Vector{} : load(result.bias + c);
    for (int64_t row = 0; row < result.height; ++row)
      for (int64_t column = 0; column < result.width; ++column) {
        const int64_t at = row * result.line + column * result.pixel + c;
        Vector value = made[row][column] + bias;
        if (result.add != nullptr) value += load(result.add + at);
        if (result.relu) value = choose((Words)(value < splat(0)), splat(0), value);
        store(result.y + at, value);
      }
  }
}

constexpr int kKernel = kTaps * kTaps;

// By way of memory: single numbers into a vector's lanes take longer.
void winogradKernel(const KernelPlaces& places, const float* weight, float* out) {
  for (int64_t inner = 0; inner < places.inner; ++inner, weight += places.toInner, out += places.row)
    for (int64_t outer = 0; outer < kOuterAtOnce; outer += kLanes) {
      float taps[kKernel][kLanes];
      for (int64_t i = 0; i < kLanes; ++i)
        for (int tap = 0; tap < kKernel; ++tap) taps[tap][i] = weight[(outer + i) * places.toOuter + tap];
      const auto tapAt = [&](int row, int column) {
        const int tap = row * kTaps + column;
        return load(taps[places.turned ? kKernel - 1 - tap : tap]);
      };
      const auto put = [&](int row, int column, Vector value) {
        store(out + (row * kPoints + column) * places.point + outer, value);
      };
      inBoth<kTaps, kPoints>([](auto from, auto to) { kernelLine(from, to); }, tapAt, put);
    }
}

void winogradKernelGradient(const KernelPlaces& places, const float* points, float* weight) {
  for (int64_t inner = 0; inner < places.inner; ++inner, weight += places.toInner, points += places.row)
    for (int64_t outer = 0; outer < kOuterAtOnce; outer += kLanes) {
      float taps[kKernel][kLanes];
      const auto pointAt = [&](int row, int column) {
        return load(points + (row * kPoints + column) * places.point + outer);
      };
      const auto put = [&](int row, int column, Vector value) { store(taps[row * kTaps + column], value); };
      inBoth<kPoints, kTaps>([](auto from, auto to) { kernelGradientLine(from, to); }, pointAt, put);
      for (int64_t i = 0; i < kLanes; ++i)
        for (int tap = 0; tap < kKernel; ++tap) weight[(outer + i) * places.toOuter + tap] = taps[tap][i];
    }
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
