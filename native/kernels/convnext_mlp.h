// What stands between the two products of ConvNeXt-V2's MLP: GELU, global response normalisation, biases, layouts.
#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

void geluSquares(Extent extent, float* h, const float* bias, float* squares) {
  const int64_t channels = extent.channels;
  for (int64_t row = 0; row < extent.rows; ++row, h += channels) {
    eachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector g = gelu(take(h + c, lanes) + take(bias + c, lanes)).value;
      put(h + c, g, lanes);
      put(squares + c, take(squares + c, lanes) + g * g, lanes);
    });
  }
}

template <typename T>
void scaleShift(Extent extent, const float* g, const float* scale, const float* shift, T* out) {
  const int64_t channels = extent.channels;
  for (int64_t row = 0; row < extent.rows; ++row, g += channels, out += channels) {
    eachVector(channels, [&](int64_t c, int64_t lanes) {
      put(out + c, take(g + c, lanes) * take(scale + c, lanes) + take(shift + c, lanes), lanes);
    });
  }
}

template <typename T>
void geluSlope(Extent extent, const float* h, const float* bias, const float* scale, const float* shift, T* g, T* slope,
               T* y) {
  const int64_t channels = extent.channels;
  eachPair(extent, [&](int64_t row, bool both) {
    eachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector b = take(bias + c, lanes), gain = take(scale + c, lanes), offset = take(shift + c, lanes);
      const auto one = [&](int64_t at) {
        const Gelu made = gelu(take(h + at, lanes) + b);
        put(g + at, made.value, lanes);
        put(slope + at, made.slope, lanes);
        return made.value * gain + offset;
      };
      const Vector first = one(row * channels + c);
      const Vector second = both ? one((row + 1) * channels + c) : Vector{};
      putPair(extent, row, c, {first, second, both}, lanes, y);
    });
  });
}

template <typename T>
void sumAndDot(Extent extent, const float* dy, const T* g, float* sum, float* dot) {
  const int64_t channels = extent.channels;
  for (int64_t row = 0; row < extent.rows; ++row, dy += channels, g += channels) {
    eachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector gradient = take(dy + c, lanes);
      put(sum + c, take(sum + c, lanes) + gradient, lanes);
      put(dot + c, take(dot + c, lanes) + gradient * take(g + c, lanes), lanes);
    });
  }
}

template <typename T>
void geluBackward(Extent extent, const float* dy, const T* g, const float* scale, const float* coefficient, T* slope,
                  T* dhPairs, float* sum) {
  const int64_t channels = extent.channels;
  eachPair(extent, [&](int64_t row, bool both) {
    eachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector gain = take(scale + c, lanes), factor = take(coefficient + c, lanes);
      const auto one = [&](int64_t at) {
        const Vector dh = (take(dy + at, lanes) * gain + take(g + at, lanes) * factor) * take(slope + at, lanes);
        put(slope + at, dh, lanes);
        return dh;
      };
      const Vector first = one(row * channels + c);
      const Vector second = both ? one((row + 1) * channels + c) : Vector{};
      putPair(extent, row, c, {first, second, both}, lanes, dhPairs);
      put(sum + c, take(sum + c, lanes) + first + second, lanes);
    });
  });
}

template <typename T>
void addBias(Extent extent, const float* y, const float* bias, const T* residual, T* out) {
  const int64_t channels = extent.channels;
  for (int64_t row = 0; row < extent.rows; ++row, y += channels, residual += channels, out += channels) {
    eachVector(channels, [&](int64_t c, int64_t lanes) {
      put(out + c, take(y + c, lanes) + take(bias + c, lanes) + take(residual + c, lanes), lanes);
    });
  }
}

template <typename T>
void columnSums(Extent extent, const T* x, float* sum) {
  for (int64_t row = 0; row < extent.rows; ++row, x += extent.channels) {
    eachVector(extent.channels,
               [&](int64_t c, int64_t lanes) { put(sum + c, take(sum + c, lanes) + take(x + c, lanes), lanes); });
  }
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
