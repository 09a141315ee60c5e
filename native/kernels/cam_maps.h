// The steps of a class activation map and their gradients: the weighted sum over channels, bilinear resizing, and
// normalisation to [0, 1]. A constant map stays constant to the last bit in every step, so that normalisation gives
// zeros and not amplified rounding errors.
//
// Caller: ops/cam_maps.cc, one image at a time, so that an image's maps stay in the cache through all steps.
#pragma once

#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

// Sums each pixel's difference from the first pixel: it is exactly zero for all pixels of a constant map.
template <typename T>
void weightedSum(Extent extent, const T* a, const float* alpha, float* map) {
  const int64_t channels = extent.channels;
  Vector first{};
  forEachVector(channels, [&](int64_t c, int64_t lanes) { first += load(a + c, lanes) * load(alpha + c, lanes); });
  const float base = laneSum(first);
  for (int64_t pixel = 0; pixel < extent.rows; ++pixel) {
    const T* at = a + pixel * channels;
    Vector sum{};
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      sum += (load(at + c, lanes) - load(a + c, lanes)) * load(alpha + c, lanes);
    });
    map[pixel] = laneSum(sum) + base;
  }
}

template <typename T>
void weightedSumBackward(Extent extent, const T* a, const float* alpha, const float* dmap, T* da, float* dalpha) {
  const int64_t channels = extent.channels;
  forEachVector(channels, [&](int64_t c, int64_t lanes) {
    const Vector weight = load(alpha + c, lanes);
    Vector sum{};
    for (int64_t pixel = 0; pixel < extent.rows; ++pixel) {
      const int64_t at = pixel * channels + c;
      if (da != nullptr) store(da + at, weight * dmap[pixel], lanes);
      if (dalpha != nullptr) sum += load(a + at, lanes) * dmap[pixel];
    }
    if (dalpha != nullptr) store(dalpha + c, load(dalpha + c, lanes) + sum, lanes);
  });
}

// Interpolates along the rows, into `resizedRows`, and then between the rows. Between equal values the result is that
// value.
void resize(const ResizeShape& of, const float* map, float* resizedRows, float* out) {
  float* to = resizedRows;
  for (int64_t h = 0; h < of.height; ++h, map += of.width)
    for (int64_t i = 0; i < of.outWidth; ++i) {
      const Interpolation& between = of.columns[i];
      *to++ = map[between.low] + between.weight * (map[between.high] - map[between.low]);
    }
  for (int64_t row = 0; row < of.outHeight; ++row, out += of.outWidth) {
    const Interpolation& between = of.rows[row];
    const float *upper = resizedRows + between.low * of.outWidth, *lower = resizedRows + between.high * of.outWidth;
    forEachVector(of.outWidth, [&](int64_t i, int64_t lanes) {
      const Vector first = load(upper + i, lanes);
      store(out + i, first + between.weight * (load(lower + i, lanes) - first), lanes);
    });
  }
}

void resizeBackward(const ResizeShape& of, const float* dout, float* resizedRows, float* dmap) {
  memset(resizedRows, 0, static_cast<size_t>(of.height * of.outWidth) * sizeof(float));
  for (int64_t row = 0; row < of.outHeight; ++row, dout += of.outWidth) {
    const Interpolation& between = of.rows[row];
    float *upper = resizedRows + between.low * of.outWidth, *lower = resizedRows + between.high * of.outWidth;
    forEachVector(of.outWidth, [&](int64_t i, int64_t lanes) {
      const Vector gradient = load(dout + i, lanes);
      store(upper + i, load(upper + i, lanes) + gradient * (1 - between.weight), lanes);
      store(lower + i, load(lower + i, lanes) + gradient * between.weight, lanes);
    });
  }
  for (int64_t h = 0; h < of.height; ++h, dmap += of.width)
    for (int64_t i = 0; i < of.outWidth; ++i) {
      const Interpolation& between = of.columns[i];
      dmap[between.low] += *resizedRows * (1 - between.weight);
      dmap[between.high] += *resizedRows++ * between.weight;
    }
}

// The smallest and the largest value of a map.
struct Range {
  float low, high;
  float gain(float eps) const { return high > low ? 1 / (high - low + eps) : 0; }
};

inline Range rangeOf(int64_t count, const float* values) {
  Vector low = splat(values[0]), high = low;
  forEachVector(count, [&](int64_t i, int64_t lanes) {
    const Vector value =
        lanes == kLanes ? load(values + i) : select(laneMask(lanes), loadFirst(values + i, lanes), low);
    low = select((Words)(value < low), value, low);
    const Vector upper = lanes == kLanes ? value : select(laneMask(lanes), value, high);
    high = select((Words)(upper > high), upper, high);
  });
  Range range{low[0], high[0]};
  for (int64_t i = 1; i < kLanes; ++i) {
    if (low[i] < range.low) range.low = low[i];
    if (high[i] > range.high) range.high = high[i];
  }
  return range;
}

// Maps the smallest value to 0. The factor is 1 / (high - low + eps), or 0 for a constant map.
void normalise(int64_t count, float eps, float* map) {
  const Range range = rangeOf(count, map);
  const float gain = range.gain(eps);
  forEachVector(count,
                [&](int64_t i, int64_t lanes) { store(map + i, (load(map + i, lanes) - range.low) * gain, lanes); });
}

// The minimum and the maximum also depend on the map: their gradients are divided equally among the pixels that attain
// them.
void normaliseBackward(int64_t count, float eps, const float* map, float* gradient) {
  const Range range = rangeOf(count, map);
  const float gain = range.gain(eps);
  const Vector one = splat(1.0f), zero = splat(0);
  Vector sums{}, products{}, lowCount{}, highCount{};
  forEachVector(count, [&](int64_t i, int64_t lanes) {
    const Vector value = load(map + i, lanes), slope = load(gradient + i, lanes);
    const Words inside = laneMask(lanes);
    sums += slope;
    products += slope * (value - range.low);
    lowCount += select((Words)(value == splat(range.low)) & inside, one, zero);
    highCount += select((Words)(value == splat(range.high)) & inside, one, zero);
  });
  const float ofHigh = -laneSum(products) * gain * gain, ofLow = -laneSum(sums) * gain - ofHigh;
  const float lows = laneSum(lowCount), highs = laneSum(highCount);
  const Vector perLowPixel = splat(lows > 0 ? ofLow / lows : 0), perHighPixel = splat(highs > 0 ? ofHigh / highs : 0);
  forEachVector(count, [&](int64_t i, int64_t lanes) {
    const Vector value = load(map + i, lanes);
    const Vector shared = select((Words)(value == splat(range.low)), perLowPixel, zero) +
                          select((Words)(value == splat(range.high)), perHighPixel, zero);
    store(gradient + i, load(gradient + i, lanes) * gain + shared, lanes);
  });
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
