// Batch norm over rows of channels, with what follows it: a shortcut that is added, a ReLU.
#pragma once

#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

// body(Constant<n>, channel, lanes) for each block of n vectors, whose sums stay in registers while the rows go by.
template <typename Body>
inline void eachBlock(int64_t channels, Body body) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) body(Constant<4>{}, c, kLanes);
  for (; c + kLanes <= channels; c += kLanes) body(Constant<1>{}, c, kLanes);
  if (c < channels) body(Constant<1>{}, c, channels - c);
}

template <typename T>
void moments(Extent extent, const T* x, const float* origin, float* sum, float* squares) {
  eachBlock(extent.channels, [&](auto width, int64_t c, int64_t lanes) {
    constexpr int kWidth = decltype(width)::value;
    Vector centre[kWidth], first[kWidth] = {}, second[kWidth] = {};
    for (int i = 0; i < kWidth; ++i) centre[i] = take(origin + c + i * kLanes, lanes);
    const T* at = x + c;
    for (int64_t row = 0; row < extent.rows; ++row, at += extent.channels)
      for (int i = 0; i < kWidth; ++i) {
        const Vector distance = take(at + i * kLanes, lanes) - centre[i];
        first[i] += distance;
        second[i] += distance * distance;
      }
    for (int i = 0; i < kWidth; ++i) {
      put(sum + c + i * kLanes, take(sum + c + i * kLanes, lanes) + first[i], lanes);
      put(squares + c + i * kLanes, take(squares + c + i * kLanes, lanes) + second[i], lanes);
    }
  });
}

// NaN stays NaN.
inline Vector rectified(Vector x) { return choose((Words)(x < splat(0)), splat(0), x); }

template <typename T>
void scaleShiftAct(Extent extent, const T* x, const float* scale, const float* shift, const Following<T>& following,
                   T* y) {
  const int64_t channels = extent.channels;
  const T* add = following.add;
  for (int64_t row = 0; row < extent.rows; ++row) {
    eachVector(channels, [&](int64_t c, int64_t lanes) {
      const int64_t at = row * channels + c;
      Vector value = take(x + at, lanes) * take(scale + c, lanes) + take(shift + c, lanes);
      if (add != nullptr) value += take(add + at, lanes);
      put(y + at, following.relu ? rectified(value) : value, lanes);
    });
  }
}

// What a ReLU lets through of dy; all of it where y is null.
template <typename T>
inline Vector passed(const T* dy, const T* y, int64_t at, int64_t lanes) {
  const Vector gradient = take(dy + at, lanes);
  return y == nullptr ? gradient : choose((Words)(take(y + at, lanes) <= splat(0)), splat(0), gradient);
}

template <typename T>
void actMoments(Extent extent, const T* dy, const T* y, const T* x, const float* mean, T* dz, float* sum, float* dot) {
  const int64_t channels = extent.channels;
  eachBlock(channels, [&](auto width, int64_t c, int64_t lanes) {
    constexpr int kWidth = decltype(width)::value;
    Vector centre[kWidth], first[kWidth] = {}, second[kWidth] = {};
    for (int i = 0; i < kWidth; ++i) centre[i] = take(mean + c + i * kLanes, lanes);
    for (int64_t row = 0; row < extent.rows; ++row)
      for (int i = 0; i < kWidth; ++i) {
        const int64_t at = row * channels + c + i * kLanes;
        const Vector gradient = passed(dy, y, at, lanes);
        if (dz != nullptr) put(dz + at, gradient, lanes);
        first[i] += gradient;
        second[i] += gradient * (take(x + at, lanes) - centre[i]);
      }
    for (int i = 0; i < kWidth; ++i) {
      put(sum + c + i * kLanes, take(sum + c + i * kLanes, lanes) + first[i], lanes);
      put(dot + c + i * kLanes, take(dot + c + i * kLanes, lanes) + second[i], lanes);
    }
  });
}

template <typename T>
void normBackward(Extent extent, const T* dy, const T* y, const T* x, const NormGradient& norm, T* dx) {
  const int64_t channels = extent.channels;
  for (int64_t row = 0; row < extent.rows; ++row) {
    eachVector(channels, [&](int64_t c, int64_t lanes) {
      const int64_t at = row * channels + c;
      const Vector gradient = passed(dy, y, at, lanes);
      const Vector value = take(norm.gain + c, lanes) * gradient - take(norm.slope + c, lanes) * take(x + at, lanes) -
                           take(norm.offset + c, lanes);
      put(dx + at, value, lanes);
    });
  }
}

template <typename T>
void normTwiceMoments(Extent extent, const NormTwice<T>& of, const float* mean, float* sums) {
  const int64_t channels = extent.channels;
  eachVector(channels, [&](int64_t c, int64_t lanes) {
    const Vector centre = take(mean + c, lanes);
    Vector made[kTwiceSums] = {};
    for (int64_t row = 0; row < extent.rows; ++row) {
      const int64_t at = row * channels + c;
      const Vector u = take(of.u + at, lanes), gradient = passed(of.dy, of.y, at, lanes);
      const Vector distance = take(of.x + at, lanes) - centre;
      made[0] += u;
      made[1] += gradient;
      made[2] += u * distance;
      made[3] += gradient * distance;
      made[4] += u * gradient;
    }
    for (int i = 0; i < kTwiceSums; ++i) {
      float* to = sums + i * channels + c;
      put(to, take(to, lanes) + made[i], lanes);
    }
  });
}

template <typename T>
void normTwice(Extent extent, const NormTwice<T>& of, const NormTwiceGradient& norm, T* ddy, T* dx) {
  const int64_t channels = extent.channels;
  for (int64_t row = 0; row < extent.rows; ++row) {
    eachVector(channels, [&](int64_t c, int64_t lanes) {
      const int64_t at = row * channels + c;
      const Vector u = take(of.u + at, lanes), x = take(of.x + at, lanes);
      const Vector gradient = passed(of.dy, of.y, at, lanes);
      const auto [gain, slope, offset] = norm.ofDz;
      Vector ddz = take(gain + c, lanes) * u - take(slope + c, lanes) * x - take(offset + c, lanes);
      if (of.v != nullptr) ddz += take(of.v + at, lanes);
      const bool all = of.y == nullptr;
      put(ddy + at, all ? ddz : choose((Words)(take(of.y + at, lanes) <= splat(0)), splat(0), ddz), lanes);
      const Vector value = take(norm.ofU + c, lanes) * u + take(norm.ofGradient + c, lanes) * gradient +
                           take(norm.ofX + c, lanes) * x + take(norm.constant + c, lanes);
      put(dx + at, value, lanes);
    });
  }
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
