// Structural similarity of two images and its gradient, all of it in the cache: windows by rows, then by columns.
#pragma once

#include "kernels/table.h"
#include "kernels/vector.h"

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

// The lanes of a sum that belong to the image.
inline float sumOfFirst(Vector value, int64_t lanes) {
  float sum = 0;
  for (int64_t i = 0; i < lanes; ++i) sum += value[i];
  return sum;
}

inline float meanOf(int64_t count, const float* values) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += values[i];
  return static_cast<float>(sum / static_cast<double>(count));
}

struct Moments {
  Vector mean;
  Vector variance;
};

// Mean and variance of the values below a window, `step` floats apart. They are taken around the window's middle value,
// so that the variance keeps its digits where the values are large and hardly differ. It is never negative, and the
// middle weight is in effect one minus the others, so that the weights add up to exactly one. The window is symmetric.
inline Moments momentsBelow(const Windows& of, const float* in, int64_t step) {
  const int64_t last = of.side - 1;
  const Vector centre = load(in + last / 2 * step);
  Vector sum{}, squares{};
  for (int64_t t = 0; t < last / 2; ++t) {
    const Vector before = load(in + t * step) - centre, after = load(in + (last - t) * step) - centre;
    sum += (before + after) * of.taps[t];
    squares += (before * before + after * after) * of.taps[t];
  }
  return {centre + sum, squares - sum * sum};
}

inline void momentsAlongRows(const Windows& of, int64_t rows, int64_t columns, const float* in, float* means,
                             float* variances) {
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < columns; i += kLanes) {
      const int64_t at = row * of.stride + i;
      const Moments moments = momentsBelow(of, in + at, 1);
      store(means + at, moments.mean);
      store(variances + at, moments.variance);
    }
}

// The moments of whole windows from those of their rows: the variance is the mean of the rows' variances, plus the
// variance of their means.
inline Moments momentsOfWindows(const Windows& of, const float* means, const float* variances) {
  Moments moments = momentsBelow(of, means, of.stride);
  for (int64_t t = 0; t < of.side; ++t) moments.variance += load(variances + t * of.stride) * of.taps[t];
  return moments;
}

// x + y and x - y, each image minus its mean.
inline void sumAndDifference(const SsimShape& shape, int64_t stride, const float* x, float meanX, const float* y,
                             float meanY, float* sum, float* difference) {
  for (int64_t row = 0; row < shape.height; ++row)
    eachVector(shape.width, [&](int64_t i, int64_t lanes) {
      const int64_t from = row * shape.width + i, to = row * stride + i;
      const Vector a = take(x + from, lanes) - meanX, b = take(y + from, lanes) - meanY;
      put(sum + to, a + b, lanes);
      put(difference + to, a - b, lanes);
    });
}

// SSIM at one position and its derivatives by the mean and the variance of p = x + y and of m = x - y below the window.
// With 2 mean_x mean_y = (mean_p² - mean_m²) / 2, and the like for squares and variances, both factors of SSIM take the
// form 1 - 2 q / (p + q + 2 c) with p, q >= 0, which lies in [-1, 1] however it is rounded.
struct Similarity {
  Vector value, byMeanP, byMeanM, byVarianceP, byVarianceM;
};

inline Similarity similarityOf(const SsimShape& shape, Vector meanP, Vector meanM, Vector varianceP, Vector varianceM) {
  const Vector squareP = meanP * meanP + 2 * shape.c1, squareM = meanM * meanM;
  const Vector contrastP = varianceP + 2 * shape.c2;
  const Vector perSquare = 1.0f / (squareP + squareM), perVariance = 1.0f / (contrastP + varianceM);
  const Vector luminance = 1.0f - 2.0f * squareM / (squareP + squareM);
  const Vector structure = 1.0f - 2.0f * varianceM / (contrastP + varianceM);
  const Vector ofLuminance = 4.0f * structure * perSquare * perSquare;
  const Vector ofStructure = 2.0f * luminance * perVariance * perVariance;
  return {luminance * structure, ofLuminance * squareM * meanP, -ofLuminance * squareP * meanM, ofStructure * varianceM,
          -ofStructure * contrastP};
}

// What the windows give back to the pixels: slopes that all pixels below a window take alike, and those that each takes
// in proportion to its own p or m.
struct Slopes {
  float* constant;
  float* perP;
  float* perM;
};

// The mean over all positions, and its slopes unless they are null.
inline double meanSimilarity(const SsimShape& shape, const Windows& windows, const float* const rows[4], float shiftP,
                             float shiftM, const Slopes* slopes) {
  const int64_t outHeight = shape.height - shape.side + 1, outWidth = shape.width - shape.side + 1;
  const double count = static_cast<double>(outHeight * outWidth);
  const float scale = static_cast<float>(1 / count);
  double total = 0;
  for (int64_t row = 0; row < outHeight; ++row)
    for (int64_t i = 0; i < outWidth; i += kLanes) {
      const int64_t at = row * windows.stride + i, lanes = outWidth - i < kLanes ? outWidth - i : kLanes;
      const Moments p = momentsOfWindows(windows, rows[0] + at, rows[1] + at);
      const Moments m = momentsOfWindows(windows, rows[2] + at, rows[3] + at);
      const Similarity of = similarityOf(shape, p.mean + shiftP, m.mean + shiftM, p.variance, m.variance);
      total += sumOfFirst(of.value, lanes);
      if (slopes == nullptr) continue;
      const Vector perP = of.byVarianceP * (2 * scale), perM = of.byVarianceM * (2 * scale);
      put(slopes->constant + at, (of.byMeanP + of.byMeanM) * scale - perP * p.mean - perM * m.mean, lanes);
      put(slopes->perP + at, perP, lanes);
      put(slopes->perM + at, perM, lanes);
    }
  return total / count;
}

// Planes of the scratch memory: p, m, means and variances of their rows, and three of slopes.
float ssim(const SsimShape& shape, const float* x, const float* y, const float* taps, float* scratch, float* dx) {
  const int64_t stride = strideOf(shape), plane = planeOf(shape), side = shape.side;
  const Windows windows{taps, side, stride};
  float *const p = scratch, *const m = scratch + plane;
  float* const rows[4] = {scratch + 2 * plane, scratch + 3 * plane, scratch + 4 * plane, scratch + 5 * plane};
  const int64_t pixels = shape.height * shape.width;
  const float meanX = meanOf(pixels, x), meanY = meanOf(pixels, y);
  sumAndDifference(shape, stride, x, meanX, y, meanY, p, m);
  momentsAlongRows(windows, shape.height, shape.width - side + 1, p, rows[0], rows[1]);
  momentsAlongRows(windows, shape.height, shape.width - side + 1, m, rows[2], rows[3]);
  if (dx == nullptr)
    return static_cast<float>(meanSimilarity(shape, windows, rows, meanX + meanY, meanX - meanY, nullptr));
  // There are zeros all around the slopes, so that a sum over the windows above a pixel is a sum like the others.
  float* const sloping = scratch + 6 * plane;
  memset(sloping, 0, static_cast<size_t>(3 * plane) * sizeof(float));
  const int64_t inset = (side - 1) * stride + side - 1;
  const Slopes slopes{sloping + inset, sloping + plane + inset, sloping + 2 * plane + inset};
  const double mean = meanSimilarity(shape, windows, rows, meanX + meanY, meanX - meanY, &slopes);
  for (int64_t i = 0; i < 3; ++i) {
    alongRows(windows, shape.height + side - 1, shape.width, sloping + i * plane, rows[0]);
    alongColumns(windows, shape.height, shape.width, rows[0], rows[i + 1]);
  }
  for (int64_t row = 0; row < shape.height; ++row)
    eachVector(shape.width, [&](int64_t i, int64_t lanes) {
      const int64_t from = row * stride + i;
      const Vector slope =
          load(rows[1] + from) + load(p + from) * load(rows[2] + from) + load(m + from) * load(rows[3] + from);
      put(dx + row * shape.width + i, slope, lanes);
    });
  return static_cast<float>(mean);
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
