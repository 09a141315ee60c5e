// Layer norm over the channels of each row: xhat = (x - mean) rstd with rstd = 1 / sqrt(variance + eps), and
// out = xhat weight + bias. The gradient, with g = dy weight: dx = rstd (g - mean(g) - xhat mean(g xhat)).
//
// Caller: ops/convnext_mlp_*.cc, which needs the norm as the first step of a block that stays in the cache.
// The variance is the mean of (x - mean)², from a second pass over the row, which is in the first-level cache by then.
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
    forEachVector(channels, [&](int64_t c, int64_t lanes) { sum += load(x + c, lanes); });
    const float centre = laneSum(sum) / static_cast<float>(channels);
    Vector squares{};
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector distance = load(x + c, lanes) - centre;
      Vector square = distance * distance;
      if (lanes < kLanes)
        for (int64_t i = lanes; i < kLanes; ++i) square[i] = 0;
      squares += square;
    });
    const float scale = 1.0f / __builtin_sqrtf(laneSum(squares) / static_cast<float>(channels) + norm.eps);
    mean[row] = centre;
    rstd[row] = scale;
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector hat = (load(x + c, lanes) - centre) * scale;
      store(out + c, hat * load(norm.weight + c, lanes) + load(norm.bias + c, lanes), lanes);
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
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector gradient = load(dy + c, lanes);
      const Vector hat = (load(x + c, lanes) - centre) * scale;  // unused lanes are multiplied by zero gradients
      const Vector weighted = gradient * load(weight + c, lanes);
      store(dweight + c, load(dweight + c, lanes) + gradient * hat, lanes);
      store(dbias + c, load(dbias + c, lanes) + gradient, lanes);
      sum += weighted;
      dot += weighted * hat;
    });
    const float meanOfSum = laneSum(sum) * share;
    const float meanOfDot = laneSum(dot) * share;
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector hat = (load(x + c, lanes) - centre) * scale;
      const Vector weighted = load(dy + c, lanes) * load(weight + c, lanes);
      store(dx + c, (weighted - meanOfSum - hat * meanOfDot) * scale, lanes);
    });
  }
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
