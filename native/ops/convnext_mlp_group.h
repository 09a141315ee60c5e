// What the passes of the ConvNeXt-V2 MLP have in common: they divide a batch into groups of samples, prepare operands
// of products, compute the scales of GRN, and add up the gradients of the parameters. Only convnext_mlp_*.cc include
// this file.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "kernels/table.h"
#include "memory/aligned_buffer.h"
#include "ops/convnext_mlp.h"
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

// The right operand of a product among the two copies of a matrix that the kernels write: by rows, and in the layout of
// interleavePairs, which in float32 is the same and is not written.
inline const float* rightOperandOf(const float* rows, const float*) { return rows; }
inline const BFloat16* rightOperandOf(const BFloat16*, const BFloat16* pairs) { return pairs; }

// mean(norms) + eps of one sample.
inline float denominatorOf(const Sizes& sizes, const float* norms, double eps) {
  double sum = 0;
  for (int64_t c = 0; c < sizes.hidden; ++c) sum += norms[c];
  return static_cast<float>(sum / static_cast<double>(sizes.hidden) + eps);
}

// scale = 1 + weight R of one sample, with R = norms / (mean(norms) + eps).
inline void scalesOf(const Sizes& sizes, const float* norms, const float* weight, double eps, float* scale) {
  const float denominator = denominatorOf(sizes, norms, eps);
  for (int64_t c = 0; c < sizes.hidden; ++c) scale[c] = 1.0f + weight[c] * norms[c] / denominator;
}

// The gradients with respect to the parameters, as sums of one thread.
struct ParameterSums {
  explicit ParameterSums(const Sizes& sizes)
      : normWeight(sizes.channels),
        normBias(sizes.channels),
        fc1Weight(sizes.channels * sizes.hidden),
        fc1Bias(sizes.hidden),
        grnWeight(sizes.hidden),
        grnBias(sizes.hidden),
        fc2Weight(sizes.channels * sizes.hidden),
        fc2Bias(sizes.channels) {}
  // Both weights' gradients are (channels, hidden); for fc1 that is the transpose of the weight.
  Buffer<float> normWeight, normBias, fc1Weight, fc1Bias, grnWeight, grnBias, fc2Weight, fc2Bias;

  std::array<Buffer<float>*, kMlpParameters> all() {
    return {&normWeight, &normBias, &fc1Weight, &fc1Bias, &grnWeight, &grnBias, &fc2Weight, &fc2Bias};
  }
};

// The sums of all threads, in the order of MlpParameter and the shapes of the parameters.
inline std::vector<Tensor> totalsOf(const Sizes& sizes, const std::vector<std::unique_ptr<ParameterSums>>& perThread) {
  std::vector<Tensor> gradients(kMlpParameters);
  for (int i = 0; i < kMlpParameters; ++i) {
    Tensor sum;
    for (const auto& sums : perThread) {
      if (!sums) continue;
      const Buffer<float>& own = *sums->all()[i];
      if (!sum.defined()) sum = at::zeros({static_cast<int64_t>(own.size())}, at::kFloat);
      float* const to = dataOf<float>(sum);
      for (size_t k = 0; k < own.size(); ++k) to[k] += own[k];
    }
    if (i == kFc1Weight) sum = sum.view({sizes.channels, sizes.hidden}).t().contiguous();
    if (i == kFc2Weight) sum = sum.view({sizes.channels, sizes.hidden});
    gradients[i] = sum;
  }
  return gradients;
}

}  // namespace mlp
}  // namespace batch_cam
