// Loops of batch norm in training, over the rows of each channel: sums for the statistics, the normalisation with the
// optional sum and ReLU that follow it in a residual network, the gradient, and the gradient of the gradient.
// ops/batch_norm_passes.cc has the formulas and says why these kernels exist.
#pragma once

#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

// Calls body(Constant<n>, channel, lanes) for each block of n vectors of channels. A kernel then loops over all rows of
// the block and keeps its sums in registers.
template <typename Body>
inline void forEachColumnBlock(int64_t channels, Body body) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) body(Constant<4>{}, c, kLanes);
  for (; c + kLanes <= channels; c += kLanes) body(Constant<1>{}, c, kLanes);
  if (c < channels) body(Constant<1>{}, c, channels - c);
}

template <typename T>
void moments(Extent extent, const T* x, const float* origin, float* sum, float* squares) {
  forEachColumnBlock(extent.channels, [&](auto width, int64_t c, int64_t lanes) {
    constexpr int kWidth = decltype(width)::value;
    Vector centre[kWidth], first[kWidth] = {}, second[kWidth] = {};
    for (int i = 0; i < kWidth; ++i) centre[i] = load(origin + c + i * kLanes, lanes);
    const T* at = x + c;
    for (int64_t row = 0; row < extent.rows; ++row, at += extent.channels)
      for (int i = 0; i < kWidth; ++i) {
        const Vector distance = load(at + i * kLanes, lanes) - centre[i];
        first[i] += distance;
        second[i] += distance * distance;
      }
    for (int i = 0; i < kWidth; ++i) {
      store(sum + c + i * kLanes, load(sum + c + i * kLanes, lanes) + first[i], lanes);
      store(squares + c + i * kLanes, load(squares + c + i * kLanes, lanes) + second[i], lanes);
    }
  });
}

template <typename T>
void scaleShiftAddRelu(Extent extent, const T* x, const float* scale, const float* shift, const NormPostOps<T>& postOps,
                       T* y) {
  const int64_t channels = extent.channels;
  const T* add = postOps.add;
  for (int64_t row = 0; row < extent.rows; ++row) {
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      const int64_t at = row * channels + c;
      Vector value = load(x + at, lanes) * load(scale + c, lanes) + load(shift + c, lanes);
      if (add != nullptr) value += load(add + at, lanes);
      store(y + at, postOps.relu ? reluOf(value) : value, lanes);
    });
  }
}

// The gradient of a ReLU: dy where its output y is above zero, else 0. If y is null there was no ReLU, and it is dy.
template <typename T>
inline Vector reluGradient(const T* dy, const T* y, int64_t at, int64_t lanes) {
  const Vector gradient = load(dy + at, lanes);
  return y == nullptr ? gradient : select((Words)(load(y + at, lanes) <= splat(0)), splat(0), gradient);
}

template <typename T>
void reluBackwardMoments(Extent extent, const T* dy, const T* y, const T* x, const float* mean, T* dz, float* sum,
                         float* dot) {
  const int64_t channels = extent.channels;
  forEachColumnBlock(channels, [&](auto width, int64_t c, int64_t lanes) {
    constexpr int kWidth = decltype(width)::value;
    Vector centre[kWidth], first[kWidth] = {}, second[kWidth] = {};
    for (int i = 0; i < kWidth; ++i) centre[i] = load(mean + c + i * kLanes, lanes);
    for (int64_t row = 0; row < extent.rows; ++row)
      for (int i = 0; i < kWidth; ++i) {
        const int64_t at = row * channels + c + i * kLanes;
        const Vector gradient = reluGradient(dy, y, at, lanes);
        if (dz != nullptr) store(dz + at, gradient, lanes);
        first[i] += gradient;
        second[i] += gradient * (load(x + at, lanes) - centre[i]);
      }
    for (int i = 0; i < kWidth; ++i) {
      store(sum + c + i * kLanes, load(sum + c + i * kLanes, lanes) + first[i], lanes);
      store(dot + c + i * kLanes, load(dot + c + i * kLanes, lanes) + second[i], lanes);
    }
  });
}

template <typename T>
void normBackward(Extent extent, const T* dy, const T* y, const T* x, const NormBackwardFactors& norm, T* dx) {
  const int64_t channels = extent.channels;
  for (int64_t row = 0; row < extent.rows; ++row) {
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      const int64_t at = row * channels + c;
      const Vector gradient = reluGradient(dy, y, at, lanes);
      const Vector value = load(norm.gain + c, lanes) * gradient - load(norm.slope + c, lanes) * load(x + at, lanes) -
                           load(norm.offset + c, lanes);
      store(dx + at, value, lanes);
    });
  }
}

template <typename T>
void normDoubleBackwardSums(Extent extent, const NormDoubleBackward<T>& of, const float* mean, float* sums) {
  const int64_t channels = extent.channels;
  forEachVector(channels, [&](int64_t c, int64_t lanes) {
    const Vector centre = load(mean + c, lanes);
    Vector made[kDoubleBackwardSums] = {};
    for (int64_t row = 0; row < extent.rows; ++row) {
      const int64_t at = row * channels + c;
      const Vector u = load(of.u + at, lanes), gradient = reluGradient(of.dy, of.y, at, lanes);
      const Vector distance = load(of.x + at, lanes) - centre;
      made[0] += u;
      made[1] += gradient;
      made[2] += u * distance;
      made[3] += gradient * distance;
      made[4] += u * gradient;
    }
    for (int i = 0; i < kDoubleBackwardSums; ++i) {
      float* to = sums + i * channels + c;
      store(to, load(to, lanes) + made[i], lanes);
    }
  });
}

template <typename T>
void normDoubleBackward(Extent extent, const NormDoubleBackward<T>& of, const NormDoubleBackwardFactors& norm, T* ddy,
                        T* dx) {
  const int64_t channels = extent.channels;
  for (int64_t row = 0; row < extent.rows; ++row) {
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      const int64_t at = row * channels + c;
      const Vector u = load(of.u + at, lanes), x = load(of.x + at, lanes);
      const Vector gradient = reluGradient(of.dy, of.y, at, lanes);
      const auto [gain, slope, offset] = norm.ofDz;
      Vector ddz = load(gain + c, lanes) * u - load(slope + c, lanes) * x - load(offset + c, lanes);
      if (of.v != nullptr) ddz += load(of.v + at, lanes);
      const bool all = of.y == nullptr;
      store(ddy + at, all ? ddz : select((Words)(load(of.y + at, lanes) <= splat(0)), splat(0), ddz), lanes);
      const Vector value = load(norm.ofU + c, lanes) * u + load(norm.ofGradient + c, lanes) * gradient +
                           load(norm.ofX + c, lanes) * x + load(norm.constant + c, lanes);
      store(dx + at, value, lanes);
    });
  }
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
