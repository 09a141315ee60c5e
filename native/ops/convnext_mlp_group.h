// Functions that both passes of the ConvNeXt-V2 MLP use: they divide a batch into groups of samples, prepare operands
// of products, and compute the scales of GRN. Only convnext_mlp_*.cc include this file.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "kernels/table.h"
#include "ops/dtypes.h"

namespace batch_cam {
namespace mlp {

using at::Tensor;

// Bytes of the second-level cache that the buffers of one group may take.
constexpr int64_t kCacheBytes = 1400 << 10;

// The sizes of a batch: samples of `pixels` pixels, with `channels` and `hidden` channels.
struct Sizes {
  explicit Sizes(const Tensor& x, const Tensor& fc1Weight)
      : samples(x.size(0)), pixels(x.size(1) * x.size(2)), channels(x.size(3)), hidden(fc1Weight.size(0)) {}
  int64_t samples, pixels, channels, hidden;

  // The number of samples of a group: as many as fit in the cache with `bytesOfHidden` bytes for each hidden value, and
  // few enough that every thread has a group.
  int64_t group(int64_t bytesOfHidden) const {
    const int64_t fitting = kCacheBytes / std::max<int64_t>(1, pixels * hidden * bytesOfHidden);
    const int64_t each = (samples + at::get_num_threads() - 1) / at::get_num_threads();
    return std::max<int64_t>(1, std::min(fitting, each));
  }
};

inline const float* floats(const Tensor& tensor) { return tensor.const_data_ptr<float>(); }

template <typename T>
constexpr at::ScalarType dtypeOf() {
  return sizeof(T) == 2 ? at::kBFloat16 : at::kFloat;
}

// A matrix (inner, columns) in the layout of a right operand of ops/small_product.h, with an even number of rows.
template <typename T>
Tensor rightOperand(const Tensor& matrix) {
  const Tensor source = matrix.to(dtypeOf<T>()).contiguous();
  const int64_t inner = source.size(0);
  const Tensor packed = at::empty({inner + inner % 2, source.size(1)}, source.options());
  kernelsOf<T>().interleavePairs({inner, source.size(1)}, dataOf<T>(source), dataOf<T>(packed));
  return packed;
}

// scale = 1 + weight R of one sample, with R = norms / (mean(norms) + eps). Returns mean(norms) + eps.
inline float scalesOf(const Sizes& sizes, const float* norms, const float* weight, double eps, float* scale) {
  double sum = 0;
  for (int64_t c = 0; c < sizes.hidden; ++c) sum += norms[c];
  const float denominator = static_cast<float>(sum / static_cast<double>(sizes.hidden) + eps);
  for (int64_t c = 0; c < sizes.hidden; ++c) scale[c] = 1.0f + weight[c] * norms[c] / denominator;
  return denominator;
}

}  // namespace mlp
}  // namespace batch_cam
