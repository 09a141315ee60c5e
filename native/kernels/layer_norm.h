// Layer norm over the channels of each row.
#pragma once

#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

template <typename T>
void layerNorm(Extent extent, const T* x, const LayerNormWeights& norm, T* out, float* mean, float* rstd) {
  const int64_t channels = extent.channels;
  for (int64_t row = 0; row < extent.rows; ++row, x += channels, out += channels) {
    Vector sum{};
    eachVector(channels, [&](int64_t c, int64_t lanes) { sum += take(x + c, lanes); });
    const float centre = sumOf(sum) / static_cast<float>(channels);
    Vector squares{};
    eachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector distance = take(x + c, lanes) - centre;
      Vector square = distance * distance;
      if (lanes < kLanes)
        for (int64_t i = lanes; i < kLanes; ++i) square[i] = 0;
      squares += square;
    });
    const float scale = 1.0f / __builtin_sqrtf(sumOf(squares) / static_cast<float>(channels) + norm.eps);
    mean[row] = centre;
    rstd[row] = scale;
    eachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector hat = (take(x + c, lanes) - centre) * scale;
      put(out + c, hat * take(norm.weight + c, lanes) + take(norm.bias + c, lanes), lanes);
    });
  }
}

template <typename T>
void layerNormBackward(Extent extent, const T* x, const float* dy, const float* mean, const float* rstd,
                       const float* weight, T* dx, float* dweight, float* dbias) {
  const int64_t channels = extent.channels;
  const float share = 1.0f / static_cast<float>(channels);
  for (int64_t row = 0; row < extent.rows; ++row, x += channels, dy += channels, dx += channels) {
    const float centre = mean[row];
    const float scale = rstd[row];
    Vector sum{};
    Vector dot{};
    eachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector gradient = take(dy + c, lanes);
      const Vector hat = (take(x + c, lanes) - centre) * scale;  // lanes past the end meet zero gradients
      const Vector weighted = gradient * take(weight + c, lanes);
      put(dweight + c, take(dweight + c, lanes) + gradient * hat, lanes);
      put(dbias + c, take(dbias + c, lanes) + gradient, lanes);
      sum += weighted;
      dot += weighted * hat;
    });
    const float meanOfSum = sumOf(sum) * share;
    const float meanOfDot = sumOf(dot) * share;
    eachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector hat = (take(x + c, lanes) - centre) * scale;
      const Vector weighted = take(dy + c, lanes) * take(weight + c, lanes);
      put(dx + c, (weighted - meanOfSum - hat * meanOfDot) * scale, lanes);
    });
  }
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
