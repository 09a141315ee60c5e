// Layer norm over the channels of each row: xhat = (x - mean) rstd with rstd = 1 / sqrt(variance + eps), and
// out = xhat weight + bias. The gradient, with g = dy weight: dx = rstd (g - mean(g) - xhat mean(g xhat)).
//
// Callers: ops/convnext_mlp_*.cc, which needs the norm as the first step of a block that stays in the cache, and
// ops/layer_norm.cc.
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
      squares += firstOf(distance * distance, lanes);
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

template <typename T, typename D>
void layerNormBackward(Extent extent, const T* x, const D* dy, const float* mean, const float* rstd,
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

// The sums over a row's channels of z and z xhat.
template <typename T>
inline void tangentSums(int64_t channels, const T* x, const T* z, float mean, float rstd, float* sum, float* dot) {
  Vector total{}, product{};
  forEachVector(channels, [&](int64_t c, int64_t lanes) {
    const Vector direction = load(z + c, lanes);  // zero in unused lanes
    total += direction;
    product += direction * ((load(x + c, lanes) - mean) * rstd);
  });
  *sum = laneSum(total);
  *dot = laneSum(product);
}

template <typename T>
void layerNormTangent(Extent extent, const T* x, const T* z, const float* mean, const float* rstd, const float* weight,
                      T* out) {
  const int64_t channels = extent.channels;
  const float share = 1.0f / static_cast<float>(channels);
  for (int64_t row = 0; row < extent.rows; ++row, x += channels, z += channels, out += channels) {
    float sum, dot;
    tangentSums(channels, x, z, mean[row], rstd[row], &sum, &dot);
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector hat = (load(x + c, lanes) - mean[row]) * rstd[row];
      const Vector tangent = (load(z + c, lanes) - sum * share - hat * (dot * share)) * rstd[row];
      store(out + c, tangent * load(weight + c, lanes), lanes);
    });
  }
}

// With t = rstd (z - mean(z) - xhat c), c = mean(z xhat), v = weight dtangent: the gradient with respect to xhat is
// e = weight dy - rstd c v - rstd mean(v xhat) z, that with respect to rstd is r = sum of v t / rstd, and
// dx = rstd (e - mean(e) - xhat mean(e xhat)) - r rstd² xhat / channels.
template <typename T>
void layerNormSecond(Extent extent, const LayerNormSecond<T>& of, T* dx, float* dweight, float* dbias) {
  const int64_t channels = extent.channels;
  const float share = 1.0f / static_cast<float>(channels);
  for (int64_t row = 0; row < extent.rows; ++row) {
    const int64_t first = row * channels;
    const float mean = of.mean[row], rstd = of.rstd[row];
    float sum, dot;
    tangentSums(channels, of.x + first, of.z + first, mean, rstd, &sum, &dot);
    const float centre = sum * share, slope = dot * share;
    const auto hatOf = [&](int64_t c, int64_t lanes) { return (load(of.x + first + c, lanes) - mean) * rstd; };
    Vector ofHat{}, ofScale{};
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector hat = hatOf(c, lanes), gradient = load(of.dtangent + first + c, lanes);
      const Vector dy = load(of.dy + first + c, lanes);
      const Vector direction = load(of.z + first + c, lanes) - centre - hat * slope;
      const Vector v = gradient * load(of.weight + c, lanes);  // zero in unused lanes
      ofHat += v * hat;
      ofScale += v * direction;
      store(dweight + c, load(dweight + c, lanes) + gradient * direction * rstd + dy * hat, lanes);
      store(dbias + c, load(dbias + c, lanes) + dy, lanes);
    });
    const float meanOfHat = laneSum(ofHat) * share, meanOfScale = laneSum(ofScale) * share;
    const auto gradientOfHat = [&](int64_t c, int64_t lanes) {
      const Vector weight = load(of.weight + c, lanes);
      const Vector direct = weight * load(of.dy + first + c, lanes);
      const Vector v = weight * load(of.dtangent + first + c, lanes);
      return direct - (v * slope + load(of.z + first + c, lanes) * meanOfHat) * rstd;
    };
    Vector total{}, product{};
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector e = gradientOfHat(c, lanes);
      total += e;
      product += e * hatOf(c, lanes);
    });
    const float meanOfSum = laneSum(total) * share, meanOfDot = laneSum(product) * share + meanOfScale * rstd;
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector e = gradientOfHat(c, lanes);
      store(dx + first + c, (e - meanOfSum - hatOf(c, lanes) * meanOfDot) * rstd, lanes);
    });
  }
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
