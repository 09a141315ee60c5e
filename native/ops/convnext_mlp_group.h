// Functions that the passes of the ConvNeXt-V2 MLP have in common: they divide a batch into groups of samples, prepare
// operands of products, compute the scales of GRN, and add up the gradients of the parameters. Only convnext_mlp_*.cc
// include this file.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

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

// Bytes of the second-level cache that the buffers of one group may take. On a processor with 1 MiB of it, neither a
// quarter of this nor three times as much changes the time of a training step.
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

// A buffer that is not filled with zeros first. Its values are undefined until they are written.
template <typename T>
struct Unfilled : CacheLineAllocator<T> {
  template <typename U>
  struct rebind {
    using other = Unfilled<U>;
  };
  template <typename U>
  void construct(U* at) {
    ::new (static_cast<void*>(at)) U;
  }
};
template <typename T>
using Scratch = std::vector<T, Unfilled<T>>;

// A float32 matrix (rows, columns) as T.
template <typename T>
Tensor convertedTo(const Tensor& matrix) {
  const Tensor source = matrix.contiguous(), made = at::empty(matrix.sizes(), dtypeOf<T>());
  kernelsOf<T>().convert(matrix.numel(), floats(source), dataOf<T>(made));
  return made;
}

// A float32 matrix (inner, columns) in the layout of a right operand of ops/small_product.h. `inner` is even for
// bfloat16.
template <typename T>
Tensor rightOperand(const Tensor& matrix) {
  const Tensor source = convertedTo<T>(matrix), packed = at::empty(matrix.sizes(), source.options());
  kernelsOf<T>().interleavePairs({matrix.size(0), matrix.size(1)}, dataOf<T>(source), dataOf<T>(packed));
  return packed;
}

// The same for the transpose of a matrix (columns, inner). In bfloat16 the pairs of a row become those of a column, so
// that words of 32 bits are transposed.
template <typename T>
Tensor transposedRightOperand(const Tensor& matrix) {
  constexpr int64_t kWord = sizeof(float) / sizeof(T);
  const Tensor source = convertedTo<T>(matrix);
  const Tensor packed = at::empty({matrix.size(1), matrix.size(0)}, source.options());
  kernels().float32.transpose({matrix.size(0), matrix.size(1) / kWord},
                              reinterpret_cast<const float*>(dataOf<T>(source)), matrix.size(0),
                              reinterpret_cast<float*>(dataOf<T>(packed)));
  return packed;
}

// Those of the forward pass, and if `differentiated` the others too.
template <typename T>
MlpOperands operandsOf(const MlpParameters& p, bool differentiated) {
  MlpOperands made{transposedRightOperand<T>(p[kFc1Weight]), transposedRightOperand<T>(p[kFc2Weight]), {}, {}};
  if (!differentiated) return made;
  made.fc1Back = rightOperand<T>(p[kFc1Weight]);
  made.fc2Back = rightOperand<T>(p[kFc2Weight]);
  return made;
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
  const float inverse = 1.0f / denominator;
  for (int64_t c = 0; c < sizes.hidden; ++c) scale[c] = 1.0f + weight[c] * norms[c] * inverse;
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
    std::vector<const float*> parts;
    int64_t count = 0;
    for (const auto& sums : perThread) {
      if (!sums) continue;
      parts.push_back(sums->all()[i]->data());
      count = static_cast<int64_t>(sums->all()[i]->size());
    }
    gradients[i] = at::empty({count}, at::kFloat);
    kernels().float32.sumOfRows(count, parts.data(), static_cast<int64_t>(parts.size()), dataOf<float>(gradients[i]));
  }
  gradients[kFc2Weight] = gradients[kFc2Weight].view({sizes.channels, sizes.hidden});
  const Tensor transposed = at::empty({sizes.hidden, sizes.channels}, at::kFloat);
  kernels().float32.transpose({sizes.channels, sizes.hidden}, floats(gradients[kFc1Weight]), sizes.channels,
                              dataOf<float>(transposed));
  gradients[kFc1Weight] = transposed;
  return gradients;
}

}  // namespace mlp
}  // namespace batch_cam
