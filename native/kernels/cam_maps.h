// What a class activation map is made of, each step with its gradient: the weighted sum over channels, bilinear
// resizing, and scaling to [0, 1].
#pragma once

#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

// The distance of each pixel from the first is what is summed, so that a constant map is constant to the last bit.
template <typename T>
void weightedSum(Extent extent, const T* a, const float* alpha, float* map) {
  const int64_t channels = extent.channels;
  Vector first{};
  eachVector(channels, [&](int64_t c, int64_t lanes) { first += take(a + c, lanes) * take(alpha + c, lanes); });
  const float base = sumOf(first);
  for (int64_t pixel = 0; pixel < extent.rows; ++pixel) {
    const T* at = a + pixel * channels;
    Vector sum{};
    eachVector(channels, [&](int64_t c, int64_t lanes) {
      sum += (take(at + c, lanes) - take(a + c, lanes)) * take(alpha + c, lanes);
    });
    map[pixel] = sumOf(sum) + base;
  }
}

// da = alpha * dmap, unless it is null; dalpha += sum of a * dmap over pixels, unless it is null.
template <typename T>
void weightedSumBackward(Extent extent, const T* a, const float* alpha, const float* dmap, T* da, float* dalpha) {
  const int64_t channels = extent.channels;
  eachVector(channels, [&](int64_t c, int64_t lanes) {
    const Vector weight = take(alpha + c, lanes);
    Vector sum{};
    for (int64_t pixel = 0; pixel < extent.rows; ++pixel) {
      const int64_t at = pixel * channels + c;
      if (da != nullptr) put(da + at, weight * dmap[pixel], lanes);
      if (dalpha != nullptr) sum += take(a + at, lanes) * dmap[pixel];
    }
    if (dalpha != nullptr) put(dalpha + c, take(dalpha + c, lanes) + sum, lanes);
  });
}

// Along the rows, then from row to row. Between equal values there is that value, to the last bit.
void resize(const Resize& of, const float* map, float* across, float* out) {
  float* to = across;
  for (int64_t h = 0; h < of.height; ++h, map += of.width)
    for (int64_t i = 0; i < of.wide; ++i) {
      const Step& step = of.columns[i];
      *to++ = map[step.low] + step.part * (map[step.high] - map[step.low]);
    }
  for (int64_t row = 0; row < of.high; ++row, out += of.wide) {
    const Step& step = of.rows[row];
    const float *upper = across + step.low * of.wide, *lower = across + step.high * of.wide;
    eachVector(of.wide, [&](int64_t i, int64_t lanes) {
      const Vector first = take(upper + i, lanes);
      put(out + i, first + step.part * (take(lower + i, lanes) - first), lanes);
    });
  }
}

void resizeBackward(const Resize& of, const float* dout, float* across, float* dmap) {
  memset(across, 0, static_cast<size_t>(of.height * of.wide) * sizeof(float));
  for (int64_t row = 0; row < of.high; ++row, dout += of.wide) {
    const Step& step = of.rows[row];
    float *upper = across + step.low * of.wide, *lower = across + step.high * of.wide;
    eachVector(of.wide, [&](int64_t i, int64_t lanes) {
      const Vector gradient = take(dout + i, lanes);
      put(upper + i, take(upper + i, lanes) + gradient * (1 - step.part), lanes);
      put(lower + i, take(lower + i, lanes) + gradient * step.part, lanes);
    });
  }
  for (int64_t h = 0; h < of.height; ++h, dmap += of.width)
    for (int64_t i = 0; i < of.wide; ++i) {
      const Step& step = of.columns[i];
      dmap[step.low] += *across * (1 - step.part);
      dmap[step.high] += *across++ * step.part;
    }
}

struct Range {
  float low, high;
  float gain(float eps) const { return high > low ? 1 / (high - low + eps) : 0; }
};

inline Range rangeOf(int64_t count, const float* values) {
  Vector low = splat(values[0]), high = low;
  eachVector(count, [&](int64_t i, int64_t lanes) {
    const Vector value =
        lanes == kLanes ? load(values + i) : choose(laneMask(lanes), loadFirst(values + i, lanes), low);
    low = choose((Words)(value < low), value, low);
    const Vector upper = lanes == kLanes ? value : choose(laneMask(lanes), value, high);
    high = choose((Words)(upper > high), upper, high);
  });
  Range range{low[0], high[0]};
  for (int64_t i = 1; i < kLanes; ++i) {
    if (low[i] < range.low) range.low = low[i];
    if (high[i] > range.high) range.high = high[i];
  }
  return range;
}

void normalise(int64_t count, float eps, float* map) {
  const Range range = rangeOf(count, map);
  const float gain = range.gain(eps);
  eachVector(count, [&](int64_t i, int64_t lanes) { put(map + i, (take(map + i, lanes) - range.low) * gain, lanes); });
}

// What low and high get is shared among their ties.
void normaliseBackward(int64_t count, float eps, const float* map, float* gradient) {
  const Range range = rangeOf(count, map);
  const float gain = range.gain(eps);
  const Vector one = splat(1.0f), zero = splat(0);
  Vector sums{}, alongs{}, lowest{}, highest{};
  eachVector(count, [&](int64_t i, int64_t lanes) {
    const Vector value = take(map + i, lanes), slope = take(gradient + i, lanes);
    const Words inside = laneMask(lanes);
    sums += slope;
    alongs += slope * (value - range.low);
    lowest += choose((Words)(value == splat(range.low)) & inside, one, zero);
    highest += choose((Words)(value == splat(range.high)) & inside, one, zero);
  });
  const float ofHigh = -sumOf(alongs) * gain * gain, ofLow = -sumOf(sums) * gain - ofHigh;
  const float lows = sumOf(lowest), highs = sumOf(highest);
  const Vector toLow = splat(lows > 0 ? ofLow / lows : 0), toHigh = splat(highs > 0 ? ofHigh / highs : 0);
  eachVector(count, [&](int64_t i, int64_t lanes) {
    const Vector value = take(map + i, lanes);
    const Vector shared = choose((Words)(value == splat(range.low)), toLow, zero) +
                          choose((Words)(value == splat(range.high)), toHigh, zero);
    put(gradient + i, take(gradient + i, lanes) * gain + shared, lanes);
  });
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
