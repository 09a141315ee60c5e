// Depthwise convolution of one image whose channels lie last, stride 1, as many pixels out as in.
#pragma once

#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

template <typename T>
void frame(const PaddedImage& image, const T* x, float* out) {
  const int64_t border = image.kernel / 2;
  const int64_t width = image.width + 2 * border;
  const int64_t line = width * image.padded;
  memset(out, 0, static_cast<size_t>((image.height + 2 * border) * line) * sizeof(float));
  for (int64_t h = 0; h < image.height; ++h) {
    float* to = out + (h + border) * line + border * image.padded;
    for (int64_t w = 0; w < image.width; ++w, to += image.padded, x += image.channels)
      eachVector(image.channels, [&](int64_t c, int64_t lanes) { store(to + c, take(x + c, lanes)); });
  }
}

// `Columns` neighbouring results of one vector of channels: each input is loaded once for all of them.
template <int Columns, typename T>
inline void depthwiseColumns(const PaddedImage& image, const float* from, const float* weight, Vector start,
                             int64_t lanes, T* y) {
  const int64_t kernel = image.kernel;
  const int64_t line = (image.width + 2 * (kernel / 2)) * image.padded;
  Vector sums[Columns];
  for (int i = 0; i < Columns; ++i) sums[i] = start;
  for (int64_t r = 0; r < kernel; ++r)
    for (int64_t s = 0; s < kernel; ++s) {
      const Vector factor = load(weight + (r * kernel + s) * image.padded);
      const float* at = from + r * line + s * image.padded;
      for (int i = 0; i < Columns; ++i) sums[i] += load(at + i * image.padded) * factor;
    }
  for (int i = 0; i < Columns; ++i) put(y + i * image.channels, sums[i], lanes);
}

template <typename T>
void depthwise(const PaddedImage& image, const float* framed, const float* weight, const float* bias, T* y) {
  const int64_t line = (image.width + 2 * (image.kernel / 2)) * image.padded;
  eachVector(image.channels, [&](int64_t c, int64_t lanes) {
    const Vector start = bias == nullptr ? Vector{} : take(bias + c, lanes);
    for (int64_t h = 0; h < image.height; ++h) {
      const float* from = framed + h * line + c;
      T* to = y + h * image.width * image.channels + c;
      int64_t w = 0;
      const auto columns = [&](auto count) {
        constexpr int kColumns = decltype(count)::value;
        for (; w + kColumns <= image.width; w += kColumns)
          depthwiseColumns<kColumns>(image, from + w * image.padded, weight + c, start, lanes, to + w * image.channels);
      };
      columns(Constant<14>{});
      columns(Constant<7>{});
      columns(Constant<4>{});
      columns(Constant<1>{});
    }
  });
}

// A row of the kernel at a time: one gradient meets `Side` neighbours.
template <int Side>
inline void depthwiseWeightRow(const PaddedImage& image, const float* framed, const float* dy, int64_t r,
                               float* weight) {
  const int64_t border = image.kernel / 2;
  const int64_t line = (image.width + 2 * border) * image.padded;
  Vector sums[Side] = {};
  for (int64_t h = 0; h < image.height; ++h) {
    const float* gradient = dy + (h + border) * line + border * image.padded;
    const float* at = framed + (h + r) * line;
    for (int64_t w = 0; w < image.width; ++w, gradient += image.padded, at += image.padded) {
      const Vector factor = load(gradient);
      for (int s = 0; s < Side; ++s) sums[s] += factor * load(at + s * image.padded);
    }
  }
  for (int s = 0; s < Side; ++s) {
    float* to = weight + (r * Side + s) * image.padded;
    store(to, load(to) + sums[s]);
  }
}

void depthwiseWeight(const PaddedImage& image, const float* framed, const float* dy, float* weight) {
  for (int64_t c = 0; c < image.padded; c += kLanes)
    for (int64_t r = 0; r < image.kernel; ++r) {
      if (image.kernel == 7) depthwiseWeightRow<7>(image, framed + c, dy + c, r, weight + c);
      if (image.kernel == 5) depthwiseWeightRow<5>(image, framed + c, dy + c, r, weight + c);
      if (image.kernel == 3) depthwiseWeightRow<3>(image, framed + c, dy + c, r, weight + c);
    }
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
