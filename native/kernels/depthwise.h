// Depthwise convolution of one channels-last image with a kernel of 3x3, 5x5 or 7x7, stride 1 and padding k / 2, and
// the gradient of its weight. The gradient with respect to the input is the same convolution with the kernel rotated by
// 180 degrees.
//
// Caller: ops/depthwise.cc. Vectors hold neighbouring channels. `pad` converts the image to float32 once and surrounds
// it with zeros, so that the convolution needs no conversions and no tests for the image's edges. Pairs of bfloat16
// values (vdpbf16ps) would halve the multiplications, but their weights have to be rounded, which made the gradients'
// errors in bfloat16 1.6 times those of libtorch.
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
  for (int64_t h = 0; h < image.height; ++h, x += image.width * image.channels) {
    float* to = out + (h + border) * line + border * image.paddedChannels;
    for (int64_t w = 0; w < image.width; ++w, to += image.paddedChannels)
      forEachVector(image.channels,
                    [&](int64_t c, int64_t lanes) { store(to + c, load(x + w * image.channels + c, lanes)); });
  }
}

// The indices begin to end - 1 of a kernel's rows, or of the words of a row, that are over the image for at least one
// of the outputs `first` to `last`. The others would add zeros, which are most of them in maps smaller than the kernel.
struct KernelRange {
  int64_t begin;
  int64_t end;
};

inline KernelRange positionsOver(int64_t kernel, int64_t first, int64_t last, int64_t size) {
  const int64_t begin = kernel / 2 - last, end = kernel / 2 + size - first;
  return {begin > 0 ? begin : 0, end < kernel ? end : kernel};
}

// sums[i] += the products of Count factors with as many words of a row, from word i on, for i < Sums. Each word is
// loaded once. The factors are a row of the kernel for neighbouring output pixels, or words of a row of the output
// gradient for a row of the kernel's gradient.
template <int Sums, int Count>
inline void addRow(const float* from, int64_t channels, const float* factor, Vector* sums) {
  Vector factors[Count];
#pragma GCC unroll 7
  for (int i = 0; i < Count; ++i) factors[i] = load(factor + i * channels);
#pragma GCC unroll 20
  for (int j = 0; j < Sums + Count - 1; ++j) {
    const Vector value = load(from + j * channels);
#pragma GCC unroll 7
    for (int i = 0; i < Count; ++i) {
      const int at = j - i;
      if (at >= 0 && at < Sums) sums[at] += factors[i] * value;
    }
  }
}

// Computes `Columns` neighbouring output pixels of one vector of channels; their sums stay in registers.
template <int Columns, typename T>
inline void depthwiseColumns(const DepthwiseImage& image, KernelRange rows, KernelRange columns, const float* from,
                             const float* weight, Vector start, int64_t lanes, T* y) {
  constexpr int kWidest = 7;
  const int64_t channels = image.paddedChannels;
  const int64_t line = (image.width + 2 * (image.kernel / 2)) * channels;
  Vector sums[Columns];
#pragma GCC unroll 14
  for (int i = 0; i < Columns; ++i) sums[i] = start;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const float* row = weight + r * image.kernel * channels;
    if (kLanes == 16 && Columns >= 7 && image.kernel == 7) {
      addRow<Columns, kWidest>(from + r * line, channels, row, sums);
      continue;
    }
    for (int64_t s = columns.begin; s < columns.end; ++s) {
      const float* at = from + r * line + s * channels;
      const Vector factor = load(row + s * channels);
#pragma GCC unroll 14
      for (int i = 0; i < Columns; ++i) sums[i] += factor * load(at + i * channels);
    }
  }
#pragma GCC unroll 14
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
      const KernelRange rows = positionsOver(image.kernel, h, h, image.height);
      int64_t w = 0;
      const auto columns = [&](auto count) {
        constexpr int kColumns = decltype(count)::value;
        for (; w + kColumns <= image.width; w += kColumns)
          depthwiseColumns<kColumns>(image, rows, positionsOver(image.kernel, w, w + kColumns - 1, image.width),
                                     from + w * image.paddedChannels, weight + c, start, lanes,
                                     to + w * image.channels);
      };
      columns(Constant<14>{});
      columns(Constant<7>{});
      columns(Constant<4>{});
      columns(Constant<3>{});
      columns(Constant<1>{});
    }
  });
}

// The number of rows of the output gradient that are taken at a time, so that they and the rows of the image
// under the kernel stay in the first-level cache.
constexpr int64_t kGradientRows = 4;

// Adds one row of the output gradient's products with the row of the image below it.
template <int Side>
inline void addWeightLine(const DepthwiseImage& image, const float* padded, const float* dy, Vector* sums) {
  int64_t w = 0;
  const auto columns = [&](auto count) {
    constexpr int kWords = decltype(count)::value;
    for (; w + kWords - 1 < image.width; w += kWords)
      addRow<Side, kWords>(padded + w * image.paddedChannels, image.paddedChannels, dy + w * image.paddedChannels,
                           sums);
  };
  if (kLanes == 16) columns(Constant<7>{});
  columns(Constant<4>{});
  columns(Constant<2>{});
  columns(Constant<1>{});
}

// The gradient of the rows r to r + Rows - 1 of the kernel by some rows of the output gradient. Sums of two rows of the
// kernel alternate, because each addition has to wait for the one before it in the same sum.
template <int Side, int Rows>
inline void depthwiseWeightRows(const DepthwiseImage& image, KernelRange rows, const float* padded, const float* dy,
                                int64_t r, float* weight) {
  constexpr int64_t border = Side / 2;
  const int64_t channels = image.paddedChannels, line = (image.width + 2 * border) * channels;
  Vector sums[Rows][Side] = {};
  for (int64_t h = rows.begin; h < rows.end; ++h)
#pragma GCC unroll 2
    for (int i = 0; i < Rows; ++i) {
      const int64_t under = h + r + i;
      if (under < border || under >= image.height + border) continue;
      addWeightLine<Side>(image, padded + under * line, dy + (h + border) * line + border * channels, sums[i]);
    }
  for (int i = 0; i < Rows; ++i)
    for (int s = 0; s < Side; ++s) {
      float* to = weight + ((r + i) * Side + s) * channels;
      store(to, load(to) + sums[i][s]);
    }
}

template <int Side>
inline void depthwiseWeightOf(const DepthwiseImage& image, const float* padded, const float* dy, float* weight) {
  for (int64_t c = 0; c < image.paddedChannels; c += kLanes)
    for (int64_t h = 0; h < image.height; h += kGradientRows) {
      const KernelRange rows{h, h + kGradientRows < image.height ? h + kGradientRows : image.height};
      for (int64_t r = 0; r + 1 < Side; r += 2)
        depthwiseWeightRows<Side, 2>(image, rows, padded + c, dy + c, r, weight + c);
      depthwiseWeightRows<Side, 1>(image, rows, padded + c, dy + c, Side - 1, weight + c);
    }
}

void depthwiseWeight(const DepthwiseImage& image, const float* padded, const float* dy, float* weight) {
  if (image.kernel == 7) depthwiseWeightOf<7>(image, padded, dy, weight);
  if (image.kernel == 5) depthwiseWeightOf<5>(image, padded, dy, weight);
  if (image.kernel == 3) depthwiseWeightOf<3>(image, padded, dy, weight);
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
