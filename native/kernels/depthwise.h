// Depthwise convolution of one channels-last image with a kernel of 3x3, 5x5 or 7x7, stride 1 and padding k / 2, and
// the gradient of its weight. The gradient with respect to the input is the same convolution with the kernel rotated by
// 180 degrees.
//
// Caller: ops/depthwise.cc. Vectors hold neighbouring channels. `pad` converts the image to float32 once, so that the
// convolution needs no tests for the image's edges and no conversions.
#pragma once

#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

template <typename T>
void pad(const DepthwiseImage& image, const T* x, float* out) {
  const int64_t border = image.kernel / 2;
  const int64_t width = image.width + 2 * border;
  const int64_t line = width * image.paddedChannels;
  memset(out, 0, static_cast<size_t>((image.height + 2 * border) * line) * sizeof(float));
  for (int64_t h = 0; h < image.height; ++h) {
    float* to = out + (h + border) * line + border * image.paddedChannels;
    for (int64_t w = 0; w < image.width; ++w, to += image.paddedChannels, x += image.channels)
      forEachVector(image.channels, [&](int64_t c, int64_t lanes) { store(to + c, load(x + c, lanes)); });
  }
}

// Computes `Columns` neighbouring output pixels of one vector of channels; their sums stay in registers.
template <int Columns, typename T>
inline void depthwiseColumns(const DepthwiseImage& image, const float* from, const float* weight, Vector start,
                             int64_t lanes, T* y) {
  const int64_t kernel = image.kernel;
  const int64_t line = (image.width + 2 * (kernel / 2)) * image.paddedChannels;
  Vector sums[Columns];
  for (int i = 0; i < Columns; ++i) sums[i] = start;
  for (int64_t r = 0; r < kernel; ++r)
    for (int64_t s = 0; s < kernel; ++s) {
      const Vector factor = load(weight + (r * kernel + s) * image.paddedChannels);
      const float* at = from + r * line + s * image.paddedChannels;
      for (int i = 0; i < Columns; ++i) sums[i] += load(at + i * image.paddedChannels) * factor;
    }
  for (int i = 0; i < Columns; ++i) store(y + i * image.channels, sums[i], lanes);
}

template <typename T>
void depthwise(const DepthwiseImage& image, const float* padded, const float* weight, const float* bias, T* y) {
  const int64_t line = (image.width + 2 * (image.kernel / 2)) * image.paddedChannels;
  forEachVector(image.channels, [&](int64_t c, int64_t lanes) {
    const Vector start = bias == nullptr ? Vector{} : load(bias + c, lanes);
    for (int64_t h = 0; h < image.height; ++h) {
      const float* from = padded + h * line + c;
      T* to = y + h * image.width * image.channels + c;
      int64_t w = 0;
      const auto columns = [&](auto count) {
        constexpr int kColumns = decltype(count)::value;
        for (; w + kColumns <= image.width; w += kColumns)
          depthwiseColumns<kColumns>(image, from + w * image.paddedChannels, weight + c, start, lanes,
                                     to + w * image.channels);
      };
      columns(Constant<14>{});
      columns(Constant<7>{});
      columns(Constant<4>{});
      columns(Constant<1>{});
    }
  });
}

// The gradient of row r of the kernel: each output gradient is loaded once, and multiplied with `Side` neighbours.
template <int Side>
inline void depthwiseWeightRow(const DepthwiseImage& image, const float* padded, const float* dy, int64_t r,
                               float* weight) {
  const int64_t border = image.kernel / 2;
  const int64_t line = (image.width + 2 * border) * image.paddedChannels;
  Vector sums[Side] = {};
  for (int64_t h = 0; h < image.height; ++h) {
    const float* gradient = dy + (h + border) * line + border * image.paddedChannels;
    const float* at = padded + (h + r) * line;
    for (int64_t w = 0; w < image.width; ++w, gradient += image.paddedChannels, at += image.paddedChannels) {
      const Vector factor = load(gradient);
      for (int s = 0; s < Side; ++s) sums[s] += factor * load(at + s * image.paddedChannels);
    }
  }
  for (int s = 0; s < Side; ++s) {
    float* to = weight + (r * Side + s) * image.paddedChannels;
    store(to, load(to) + sums[s]);
  }
}

void depthwiseWeight(const DepthwiseImage& image, const float* padded, const float* dy, float* weight) {
  for (int64_t c = 0; c < image.paddedChannels; c += kLanes)
    for (int64_t r = 0; r < image.kernel; ++r) {
      if (image.kernel == 7) depthwiseWeightRow<7>(image, padded + c, dy + c, r, weight + c);
      if (image.kernel == 5) depthwiseWeightRow<5>(image, padded + c, dy + c, r, weight + c);
      if (image.kernel == 3) depthwiseWeightRow<3>(image, padded + c, dy + c, r, weight + c);
    }
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
