// Batch norm in training, as passes over memory. With n rows (pixels) for each channel,
//
//   mean = sum(x) / n, variance = sum((x - mean)²) / n, rstd = 1 / sqrt(variance + eps), xhat = (x - mean) rstd,
//   y = relu(xhat weight + bias + add).
//
// The gradient, with dz = dy where y > 0: dweight = sum(dz xhat), dbias = sum(dz), dadd = dz, and
// dx = weight rstd (dz - dbias / n - xhat dweight / n).
//
// libtorch computes the norm, the sum and the ReLU in separate passes over memory; here the forward pass reads x twice
// and writes y once, and the backward pass is two passes too. Maps of an earlier stage are differentiated twice through
// this norm; with a kernel for the double backward, what a map's second order adds to a ResNet-18 step falls from 0.49
// to 0.28 of the step.
#include "ops/batch_norm_passes.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <cmath>
#include <vector>

#include "kernels/table.h"
#include "ops/dtypes.h"
#include "ops/parallel_sums.h"

namespace batch_cam {
namespace {

using at::Tensor;

// The number of rows of a chunk. Sums over a chunk are float32, and sums of chunks float64. Chunks of float32 tensors
// are short, so that the results are as precise as those of libtorch, which sums in float64 throughout.
template <typename T>
constexpr int64_t kChunkRows = sizeof(T) == 2 ? 512 : 32;

// A channels-last tensor (N, C, H, W) as a matrix of pixels by channels.
Extent extentOf(const Tensor& x) { return {x.numel() / x.size(1), x.size(1)}; }

// Calls body(the chunk's extent, offset of its first element, sums) for all chunks, in parallel. There are `count` sums
// for each channel: sums is (count, channels).
template <typename T, typename Body>
std::vector<double> sumOverChunks(Extent extent, int64_t count, Body body) {
  const int64_t channels = extent.channels, chunks = (extent.rows + kChunkRows<T> - 1) / kChunkRows<T>;
  return sumOverTasks(chunks, count * channels, [&](int64_t chunk, float* sums) {
    const int64_t row = chunk * kChunkRows<T>;
    body(Extent{std::min(kChunkRows<T>, extent.rows - row), channels}, row * channels, sums);
  });
}

// Two sums for each channel.
struct Sums {
  std::vector<double> first, second;
};

// The same for two sums: body(the chunk's extent, offset of its first element, first sums, second sums).
template <typename T, typename Body>
Sums sumTwoOverChunks(Extent extent, Body body) {
  const int64_t channels = extent.channels;
  const auto both =
      sumOverChunks<T>(extent, 2, [&](Extent part, int64_t at, float* sums) { body(part, at, sums, sums + channels); });
  return {{both.begin(), both.begin() + channels}, {both.begin() + channels, both.end()}};
}

// Calls body(extent, offset of the first element) for runs of chunks, in parallel.
template <typename T, typename Body>
void forEachChunk(Extent extent, Body body) {
  at::parallel_for(0, (extent.rows + kChunkRows<T> - 1) / kChunkRows<T>, 1, [&](int64_t begin, int64_t end) {
    const int64_t row = begin * kChunkRows<T>;
    body(Extent{std::min(end * kChunkRows<T>, extent.rows) - row, extent.channels}, row * extent.channels);
  });
}

// The means over the first 512 rows: values near the means, so that the variances lose no digits.
template <typename T>
std::vector<float> originOf(const Tensor& x) {
  const Extent extent = extentOf(x);
  const Extent first{std::min<int64_t>(extent.rows, 512), extent.channels};
  std::vector<float> origin(extent.channels), sum(extent.channels), squares(extent.channels);
  kernelsOf<T>().moments(first, dataOf<T>(x), origin.data(), sum.data(), squares.data());
  for (int64_t c = 0; c < extent.channels; ++c) origin[c] = sum[c] / static_cast<float>(first.rows);
  return origin;
}

template <typename T>
BatchNormStatistics statisticsOf(const Tensor& x, const RunningStatistics& running, double eps) {
  const Extent extent = extentOf(x);
  // Sums x - origin and its square: with origin near the mean, no digits are lost if the mean is large compared to the
  // standard deviation.
  const std::vector<float> origin = originOf<T>(x);
  const T* values = dataOf<T>(x);
  const Sums sums = sumTwoOverChunks<T>(extent, [&](Extent part, int64_t at, float* sum, float* squares) {
    kernelsOf<T>().moments(part, values + at, origin.data(), sum, squares);
  });
  const Tensor mean = at::empty({extent.channels}, at::kFloat), rstd = at::empty({extent.channels}, at::kFloat);
  const double count = static_cast<double>(extent.rows);
  for (int64_t c = 0; c < extent.channels; ++c) {
    const double meanOffset = sums.first[c] / count;
    // Not std::max(0, variance), which would replace NaN by zero.
    double variance = sums.second[c] / count - meanOffset * meanOffset;
    if (variance < 0) variance = 0;
    dataOf<float>(mean)[c] = static_cast<float>(origin[c] + meanOffset);
    // Zero for a constant channel with eps = 0, as in libtorch.
    dataOf<float>(rstd)[c] = variance + eps == 0 ? 0 : static_cast<float>(1 / std::sqrt(variance + eps));
    float& movingMean = dataOf<float>(running.mean)[c];
    float& movingVariance = dataOf<float>(running.variance)[c];
    movingMean = static_cast<float>((1 - running.momentum) * movingMean + running.momentum * (origin[c] + meanOffset));
    movingVariance =
        static_cast<float>((1 - running.momentum) * movingVariance + running.momentum * variance * count / (count - 1));
  }
  return {mean, rstd};
}

template <typename T>
Tensor normalised(const Tensor& x, const BatchNormStatistics& statistics, const Tensor& weight, const Tensor& bias,
                  const Tensor& add, bool relu) {
  const Tensor scale = statistics.rstd * weight;
  const Tensor shift = bias - statistics.mean * scale;
  const Tensor y = at::empty_like(x);
  forEachChunk<T>(extentOf(x), [&](Extent part, int64_t at) {
    const NormPostOps<T> postOps{add.defined() ? dataOf<T>(add) + at : nullptr, relu};
    kernelsOf<T>().scaleShiftAddRelu(part, dataOf<T>(x) + at, dataOf<float>(scale), dataOf<float>(shift), postOps,
                                     dataOf<T>(y) + at);
  });
  return y;
}

template <typename T>
BatchNormGradients gradientsOf(const Tensor& dy, const Tensor& y, const Tensor& x,
                               const BatchNormStatistics& statistics, const Tensor& weight, bool needsAdd) {
  const Extent extent = extentOf(x);
  const auto dataAt = [](const Tensor& t, int64_t at) { return t.defined() ? dataOf<T>(t) + at : nullptr; };
  // dz is written only if it is a result of its own; without a ReLU it is dy.
  const Tensor dz = needsAdd && y.defined() ? at::empty_like(dy) : Tensor();
  const Sums sums = sumTwoOverChunks<T>(extent, [&](Extent part, int64_t at, float* sum, float* dot) {
    kernelsOf<T>().reluBackwardMoments(part, dataOf<T>(dy) + at, dataAt(y, at), dataOf<T>(x) + at,
                                       dataOf<float>(statistics.mean), dataAt(dz, at), sum, dot);
  });
  const Tensor dweight = at::empty({extent.channels}, at::kFloat), dbias = at::empty({extent.channels}, at::kFloat);
  std::vector<float> gain(extent.channels), slope(extent.channels), offset(extent.channels);
  const double count = static_cast<double>(extent.rows);
  for (int64_t c = 0; c < extent.channels; ++c) {
    const double rstd = dataOf<float>(statistics.rstd)[c], mean = dataOf<float>(statistics.mean)[c];
    const double factor = dataOf<float>(weight)[c] * rstd, perSquare = factor * rstd * rstd * sums.second[c] / count;
    dataOf<float>(dweight)[c] = static_cast<float>(sums.second[c] * rstd);
    dataOf<float>(dbias)[c] = static_cast<float>(sums.first[c]);
    gain[c] = static_cast<float>(factor);
    slope[c] = static_cast<float>(perSquare);
    offset[c] = static_cast<float>(factor * sums.first[c] / count - perSquare * mean);
  }
  const Tensor dx = at::empty_like(x);
  const Tensor& masked = dz.defined() ? dz : dy;
  const Tensor mask = dz.defined() ? Tensor() : y;
  forEachChunk<T>(extent, [&](Extent part, int64_t at) {
    kernelsOf<T>().normBackward(part, dataOf<T>(masked) + at, dataAt(mask, at), dataOf<T>(x) + at,
                                {gain.data(), slope.data(), offset.data()}, dataOf<T>(dx) + at);
  });
  return {dx, dweight, dbias, needsAdd ? masked : Tensor()};
}

// The double backward. The backward pass computed dx and dz; u and v are the gradients with respect to them. For each
// channel, with S = sum(u), Z = sum(dz), A = sum(u xhat), B = sum(dz xhat) and P = sum(u dz),
//
//   F = sum(u dx) = weight rstd (P - S Z / n - A B / n).
//
// Its derivatives with respect to
//   dz are     weight rstd (u - S / n - xhat A / n), the form of dx itself, because the norm's Jacobian is symmetric;
//   weight are F / weight;
//   x are      -F rstd xhat / n - weight rstd² / n (B u + A dz - (S B + Z A) / n - 2 A B xhat / n).
//
// The gradient with respect to dy is that with respect to dz, plus v, where y > 0. This struct holds the derivatives'
// coefficients.
struct DoubleBackwardFactors {
  std::vector<float> gain, slope, offset, ofU, ofGradient, ofX, constant;
  Tensor weight;

  // `sums` are those of the kernel normDoubleBackwardSums over n rows.
  DoubleBackwardFactors(const std::vector<double>& sums, double n, const BatchNormStatistics& statistics,
                        const Tensor& weight_)
      : weight(at::empty_like(weight_)) {
    const int64_t channels = weight.numel();
    for (auto* of : {&gain, &slope, &offset, &ofU, &ofGradient, &ofX, &constant}) of->resize(channels);
    for (int64_t c = 0; c < channels; ++c) {
      const double mean = dataOf<float>(statistics.mean)[c], rstd = dataOf<float>(statistics.rstd)[c];
      const double factor = dataOf<float>(weight_)[c] * rstd;
      const double S = sums[c], Z = sums[channels + c], P = sums[4 * channels + c];
      const double A = sums[2 * channels + c] * rstd, B = sums[3 * channels + c] * rstd;
      const double rest = P - S * Z / n - A * B / n;
      dataOf<float>(weight)[c] = static_cast<float>(rstd * rest);
      gain[c] = static_cast<float>(factor);
      slope[c] = static_cast<float>(factor * rstd * A / n);
      offset[c] = static_cast<float>(factor * (S - rstd * A * mean) / n);
      const double perX = factor * rstd * rstd * (2 * A * B / n - rest) / n;
      ofU[c] = static_cast<float>(-factor * rstd * B / n);
      ofGradient[c] = static_cast<float>(-factor * rstd * A / n);
      ofX[c] = static_cast<float>(perX);
      constant[c] = static_cast<float>(factor * rstd * (S * B + Z * A) / (n * n) - perX * mean);
    }
  }

  NormDoubleBackwardFactors pointers() const {
    return {{gain.data(), slope.data(), offset.data()}, ofU.data(), ofGradient.data(), ofX.data(), constant.data()};
  }
};

template <typename T>
BatchNormDoubleGradients doubleBackward(const Tensor& u, const Tensor& v, const Tensor& dy, const Tensor& y,
                                        const Tensor& x, const BatchNormStatistics& statistics, const Tensor& weight) {
  const Extent extent = extentOf(x);
  const auto from = [&](int64_t at) {
    const auto start = [&](const Tensor& t) { return t.defined() ? dataOf<T>(t) + at : nullptr; };
    return NormDoubleBackward<T>{start(u), start(v), start(dy), start(y), start(x)};
  };
  const auto sums = sumOverChunks<T>(extent, kDoubleBackwardSums, [&](Extent part, int64_t at, float* to) {
    kernelsOf<T>().normDoubleBackwardSums(part, from(at), dataOf<float>(statistics.mean), to);
  });
  const DoubleBackwardFactors factors(sums, static_cast<double>(extent.rows), statistics, weight);
  const Tensor ddy = at::empty_like(dy), dx = at::empty_like(x);
  forEachChunk<T>(extent, [&](Extent part, int64_t at) {
    kernelsOf<T>().normDoubleBackward(part, from(at), factors.pointers(), dataOf<T>(ddy) + at, dataOf<T>(dx) + at);
  });
  return {ddy, dx, factors.weight};
}

}  // namespace

BatchNormStatistics batchNormStatistics(const Tensor& x, const RunningStatistics& running, double eps) {
  return dispatchDtype(x, [&](auto value) { return statisticsOf<decltype(value)>(x, running, eps); });
}

Tensor batchNormForward(const Tensor& x, const BatchNormStatistics& statistics, const Tensor& weight,
                        const Tensor& bias, const Tensor& add, bool relu) {
  return dispatchDtype(x,
                       [&](auto value) { return normalised<decltype(value)>(x, statistics, weight, bias, add, relu); });
}

BatchNormGradients batchNormBackward(const Tensor& dy, const Tensor& y, const Tensor& x,
                                     const BatchNormStatistics& statistics, const Tensor& weight, bool needsAdd) {
  return dispatchDtype(
      x, [&](auto value) { return gradientsOf<decltype(value)>(dy, y, x, statistics, weight, needsAdd); });
}

BatchNormDoubleGradients batchNormDoubleBackward(const Tensor& u, const Tensor& v, const Tensor& dy, const Tensor& y,
                                                 const Tensor& x, const BatchNormStatistics& statistics,
                                                 const Tensor& weight) {
  return dispatchDtype(x,
                       [&](auto value) { return doubleBackward<decltype(value)>(u, v, dy, y, x, statistics, weight); });
}

}  // namespace batch_cam
