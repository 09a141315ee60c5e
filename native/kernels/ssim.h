// SSIM, the structural similarity of two images (Wang et al., 2004), and its gradient with respect to the first one:
//
//   SSIM = (2 µx µy + C1) (2 σxy + C2) / ((µx² + µy² + C1) (σx² + σy² + C2)),
//
// with means, variances and the covariance under a window at each position, averaged over all positions. The window is
// the outer product of a row of weights, the taps, with itself, so that it is applied along rows and then along
// columns.
//
// The moments are computed of p = x + y and m = x - y instead of x and y. With 2 µx µy = (µp² - µm²) / 2 and
// µx² + µy² = (µp² + µm²) / 2, and the same for variances, both factors take the form (P - M + 2 C) / (P + M + 2 C)
// = 1 - 2 M / (P + M + 2 C) with P, M >= 0. Rounding cannot move that out of [-1, 1].
//
// Caller: ops/map_distance.cc, one pair of images at a time: all planes of an image stay in the cache, while the
// composition of libtorch's operators reads and writes each of them in memory.
#pragma once

#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

// The window, and the layout of the planes that it is applied to. `stride` is a multiple of the vector's lanes.
struct Windows {
  const float* taps;
  int64_t side;
  int64_t stride;
};

// out[row][i] = sum over t of taps[t] in[row][i + t]. The last vector of a row also writes the row's unused end.
inline void convolveRows(const Windows& of, int64_t rows, int64_t columns, const float* in, float* out) {
  for (int64_t row = 0; row < rows; ++row, in += of.stride, out += of.stride)
    for (int64_t i = 0; i < columns; i += kLanes) {
      Vector sum{};
      for (int64_t t = 0; t < of.side; ++t) sum += load(in + i + t) * of.taps[t];
      store(out + i, sum);
    }
}

// out[row][i] = sum over t of taps[t] in[row + t][i].
inline void convolveColumns(const Windows& of, int64_t rows, int64_t columns, const float* in, float* out) {
  for (int64_t row = 0; row < rows; ++row, in += of.stride, out += of.stride)
    for (int64_t i = 0; i < columns; i += kLanes) {
      Vector sum{};
      for (int64_t t = 0; t < of.side; ++t) sum += load(in + i + t * of.stride) * of.taps[t];
      store(out + i, sum);
    }
}

// The sizes of a row and of a plane. A plane holds an image and side - 1 more rows and columns, which the gradient
// needs. The last vector of a plane may read up to side + 2 kLanes floats more; the lanes computed from them are not
// used.
inline int64_t strideOf(const SsimShape& shape) {
  return (shape.width + shape.side - 1 + kLanes - 1) / kLanes * kLanes;
}
inline int64_t planeOf(const SsimShape& shape) {
  return strideOf(shape) * (shape.height + shape.side - 1) + shape.side + 2 * kLanes;
}

int64_t ssimScratch(const SsimShape& shape) { return 9 * planeOf(shape); }

// The sum of the first `lanes` lanes: the others are beyond the end of the row.
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

// Mean and variance of `side` values that are `step` floats apart, weighted by the symmetric taps. The values are taken
// relative to the middle one, which makes the variance of large, nearly equal values precise; the difference between
// the mean square and the squared mean would lose all digits. The middle value's own weight is not used, so that the
// weights in effect add up to exactly one, and the variance is never negative.
inline Moments momentsUnder(const Windows& of, const float* in, int64_t step) {
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

// Means and variances of each row's part of the window.
inline void momentsAlongRows(const Windows& of, int64_t rows, int64_t columns, const float* in, float* means,
                             float* variances) {
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < columns; i += kLanes) {
      const int64_t at = row * of.stride + i;
      const Moments moments = momentsUnder(of, in + at, 1);
      store(means + at, moments.mean);
      store(variances + at, moments.variance);
    }
}

// The moments of whole windows from those of their rows: the variance is the mean of the rows' variances plus the
// variance of the rows' means.
inline Moments momentsOfWindows(const Windows& of, const float* means, const float* variances) {
  Moments moments = momentsUnder(of, means, of.stride);
  for (int64_t t = 0; t < of.side; ++t) moments.variance += load(variances + t * of.stride) * of.taps[t];
  return moments;
}

// p = x + y and m = x - y, where each image's mean is subtracted first.
inline void sumAndDifference(const SsimShape& shape, int64_t stride, const float* x, float meanX, const float* y,
                             float meanY, float* sum, float* difference) {
  for (int64_t row = 0; row < shape.height; ++row)
    forEachVector(shape.width, [&](int64_t i, int64_t lanes) {
      const int64_t from = row * shape.width + i, to = row * stride + i;
      const Vector a = load(x + from, lanes) - meanX, b = load(y + from, lanes) - meanY;
      store(sum + to, a + b, lanes);
      store(difference + to, a - b, lanes);
    });
}

// SSIM at one position, and its derivatives with respect to the means and the variances of p and of m.
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

// The gradient of each position's SSIM by the pixels under its window. By a pixel with the values p and m it is the tap
// times (constant + perP p + perM m).
struct Slopes {
  float* constant;
  float* perP;
  float* perM;
};

// The mean SSIM over all positions. Writes the slopes unless they are null.
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
      store(slopes->constant + at, (of.byMeanP + of.byMeanM) * scale - perP * p.mean - perM * m.mean, lanes);
      store(slopes->perP + at, perP, lanes);
      store(slopes->perM + at, perM, lanes);
    }
  return total / count;
}

// dx = the slopes of all windows that contain each pixel. slopePlanes: constant, perP, perM, each surrounded by zeros;
// `planes` are four planes of scratch memory.
inline void gradientOfSsim(const SsimShape& shape, const Windows& windows, const float* slopePlanes,
                           float* const planes[4], const float* p, const float* m, float* dx) {
  const int64_t stride = windows.stride, plane = planeOf(shape);
  for (int64_t i = 0; i < 3; ++i) {
    convolveRows(windows, shape.height + shape.side - 1, shape.width, slopePlanes + i * plane, planes[0]);
    convolveColumns(windows, shape.height, shape.width, planes[0], planes[i + 1]);
  }
  for (int64_t row = 0; row < shape.height; ++row)
    forEachVector(shape.width, [&](int64_t i, int64_t lanes) {
      const int64_t from = row * stride + i;
      const Vector slope =
          load(planes[1] + from) + load(p + from) * load(planes[2] + from) + load(m + from) * load(planes[3] + from);
      store(dx + row * shape.width + i, slope, lanes);
    });
}

// The planes of the scratch memory: p, m, the means and variances of their rows (4), and the slopes (3).
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
  // A pixel's gradient is a sum over all windows that contain it. The slopes are surrounded by zeros, so that this sum
  // is again a convolution with the window.
  float* const slopePlanes = scratch + 6 * plane;
  memset(slopePlanes, 0, static_cast<size_t>(3 * plane) * sizeof(float));
  const int64_t inset = (side - 1) * stride + side - 1;
  const Slopes slopes{slopePlanes + inset, slopePlanes + plane + inset, slopePlanes + 2 * plane + inset};
  const double mean = meanSimilarity(shape, windows, rows, meanX + meanY, meanX - meanY, &slopes);
  gradientOfSsim(shape, windows, slopePlanes, rows, p, m, dx);
  return static_cast<float>(mean);
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
