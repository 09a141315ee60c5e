// Structural similarity of two images and its gradient, all of it in the cache: windows by rows, then by columns.
#pragma once

#include "table.h"
#include "vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

// Planes of images with `stride` floats from row to row, whole vectors.
struct Windows {
  const float* taps;
  int64_t side;
  int64_t stride;
};

// out[row][i] = sum of taps[t] * in[row][i + t]: whole vectors, the last one of a row into its slack.
inline void alongRows(const Windows& of, int64_t rows, int64_t columns, const float* in, float* out) {
  for (int64_t row = 0; row < rows; ++row, in += of.stride, out += of.stride)
    for (int64_t i = 0; i < columns; i += kLanes) {
      Vector sum{};
      for (int64_t t = 0; t < of.side; ++t) sum += load(in + i + t) * of.taps[t];
      store(out + i, sum);
    }
}

inline void alongColumns(const Windows& of, int64_t rows, int64_t columns, const float* in, float* out) {
  for (int64_t row = 0; row < rows; ++row, in += of.stride, out += of.stride)
    for (int64_t i = 0; i < columns; i += kLanes) {
      Vector sum{};
      for (int64_t t = 0; t < of.side; ++t) sum += load(in + i + t * of.stride) * of.taps[t];
      store(out + i, sum);
    }
}

// Floats of a row and of a plane: an image, of which a gradient needs side - 1 more each way; what a last vector reads
// beyond a row belongs to no lane that counts.
inline int64_t strideOf(const SsimShape& shape) {
  return (shape.width + shape.side - 1 + kLanes - 1) / kLanes * kLanes;
}
inline int64_t planeOf(const SsimShape& shape) {
  return strideOf(shape) * (shape.height + shape.side - 1) + shape.side + 2 * kLanes;
}

int64_t ssimScratch(const SsimShape& shape) { return 9 * planeOf(shape); }

inline void copyRows(const SsimShape& shape, const float* image, int64_t stride, float* out) {
  for (int64_t row = 0; row < shape.height; ++row)
    memcpy(out + row * stride, image + row * shape.width, static_cast<size_t>(shape.width) * sizeof(float));
}

// The lanes of a sum that belong to the image.
inline float sumOfFirst(Vector value, int64_t lanes) {
  float sum = 0;
  for (int64_t i = 0; i < lanes; ++i) sum += value[i];
  return sum;
}

// planes: x, y, x² + y², x y, two of means and gradients each; the last one for what is smoothed by rows.
float ssim(const SsimShape& shape, const float* x, const float* y, const float* taps, float* scratch, float* dx) {
  const int64_t stride = strideOf(shape), plane = planeOf(shape), side = shape.side;
  const int64_t outHeight = shape.height - side + 1, outWidth = shape.width - side + 1;
  const Windows windows{taps, side, stride};
  float* const planes = scratch;
  float* const between = scratch + 8 * plane;
  float *const ownX = planes, *const ownY = planes + plane;
  copyRows(shape, x, stride, ownX);
  copyRows(shape, y, stride, ownY);
  for (int64_t i = 0; i < shape.height * stride; i += kLanes) {
    const Vector a = load(ownX + i), b = load(ownY + i);
    store(planes + 2 * plane + i, a * a + b * b);
    store(planes + 3 * plane + i, a * b);
  }
  for (int64_t p = 0; p < 4; ++p) {
    alongRows(windows, shape.height, outWidth, planes + p * plane, between);
    alongColumns(windows, outHeight, outWidth, between, planes + (4 + p) * plane);
  }
  // The gradients' planes: zeros all around, so that turning the windows around is a sum as before.
  const int64_t inset = (side - 1) * stride + side - 1;
  float* const slopes[] = {planes, planes + plane, planes + 2 * plane};
  if (dx != nullptr) memset(planes, 0, static_cast<size_t>(3 * plane) * sizeof(float));
  const float scale = 1.0f / static_cast<float>(outHeight * outWidth);
  float total = 0;
  for (int64_t row = 0; row < outHeight; ++row)
    for (int64_t i = 0; i < outWidth; i += kLanes) {
      const int64_t at = 4 * plane + row * stride + i, lanes = outWidth - i < kLanes ? outWidth - i : kLanes;
      const Vector meanX = load(planes + at), meanY = load(planes + at + plane);
      const Vector product = meanX * meanY, squares = meanX * meanX + meanY * meanY;
      const Vector a1 = product * 2.0f + shape.c1, b1 = squares + shape.c1;
      const Vector a2 = (load(planes + at + 3 * plane) - product) * 2.0f + shape.c2;
      const Vector b2 = (load(planes + at + 2 * plane) - squares) + shape.c2;
      const Vector luminance = a1 / b1, structure = a2 / b2, value = luminance * structure;
      total += sumOfFirst(value, lanes);
      if (dx == nullptr) continue;
      const Vector both = scale / (b1 * b2);
      const int64_t to = inset + row * stride + i;
      const Vector ofMean = meanY * 2.0f * (a2 - a1) * both + meanX * 2.0f * scale * value * (1.0f / b2 - 1.0f / b1);
      put(slopes[0] + to, ofMean, lanes);
      put(slopes[1] + to, a1 * 2.0f * both, lanes);
      put(slopes[2] + to, value * -scale / b2, lanes);
    }
  if (dx == nullptr) return total * scale;
  float* const smoothed = planes + 4 * plane;
  for (int64_t p = 0; p < 3; ++p) {
    alongRows(windows, shape.height + side - 1, shape.width, slopes[p], between);
    alongColumns(windows, shape.height, shape.width, between, smoothed + p * plane);
  }
  for (int64_t row = 0; row < shape.height; ++row)
    eachVector(shape.width, [&](int64_t i, int64_t lanes) {
      const int64_t at = row * shape.width + i, from = row * stride + i;
      const Vector sum = load(smoothed + from) + take(y + at, lanes) * load(smoothed + plane + from) +
                         take(x + at, lanes) * 2.0f * load(smoothed + 2 * plane + from);
      put(dx + at, sum, lanes);
    });
  return total * scale;
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
