// The forward pass of the MLP of a ConvNeXt-V2 block, for each sample of pixels x channels:
//
//   h = layerNorm(x) fc1ᵀ + b1,  g = gelu(h),
//   n_c = sqrt(sum over pixels of g²),  R = n / (mean over channels of n + eps)          (global response
//   normalisation) out = residual + (g (1 + weight_grn R) + bias_grn) fc2ᵀ + b2.
//
// The hidden layer is four times as wide as the image. libtorch's operators write and read it in memory several times
// in each direction. Here a group of samples is taken through all steps at once, so that its hidden layer stays in the
// second-level cache. The other passes compute it again from x, or read a copy of it, whichever is faster (see
// convnext_mlp.cc).
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>

#include "kernels/table.h"
#include "memory/aligned_buffer.h"
#include "ops/convnext_mlp.h"
#include "ops/convnext_mlp_group.h"
#include "ops/small_product.h"

namespace batch_cam {
namespace {

using at::Tensor;
using namespace mlp;

// One forward pass. Each thread has buffers for a group of samples, and takes one group after the other.
template <typename T>
struct Forward {
  const Sizes sizes;
  const MlpParameters& p;
  const MlpEps eps;
  const Tensor& x;
  const Tensor& residual;
  const MlpHidden& kept;
  const Tensor out;

  Forward(const Tensor& input, const Tensor& shortcut, const MlpParameters& parameters, const MlpEps& given,
          const MlpHidden& hidden)
      : sizes(input, parameters[kFc1Weight]),
        p(parameters),
        eps(given),
        x(input),
        residual(shortcut),
        kept(hidden),
        out(at::empty_like(shortcut)) {}

  struct Buffers {
    Buffers(const Sizes& sizes, int64_t rows)
        : normed(rows * sizes.channels),
          g(rows * sizes.hidden),
          hidden(rows * sizes.hidden),
          y(rows * sizes.channels),
          statistics(2 * rows),
          scale(sizes.hidden) {}
    Scratch<T> normed, g;
    Scratch<float> hidden, y, statistics, scale;
  };

  void computeGroup(int64_t first, int64_t count, int64_t bufferRows, Buffers& b) const {
    const auto& kernel = kernelsOf<T>();
    const int64_t offset = first * sizes.pixels * sizes.channels;
    const Extent narrow{count * sizes.pixels, sizes.channels};
    const LayerNormWeights norm{floats(p[kNormWeight]), floats(p[kNormBias]), static_cast<float>(eps.norm)};
    kernel.layerNorm(narrow, dataOf<T>(x) + offset, norm, b.normed.data(), b.statistics.data(),
                     b.statistics.data() + bufferRows);
    product({narrow.rows, sizes.hidden, sizes.channels}, b.normed.data(), sizes.channels, dataOf<T>(kept.operands.fc1),
            b.hidden.data(), false);
    if (kept.layer.defined())
      kernel.convert(narrow.rows * sizes.hidden, b.hidden.data(),
                     dataOf<T>(kept.layer) + first * sizes.pixels * sizes.hidden);
    for (int64_t sample = 0; sample < count; ++sample) applyGeluAndGrn(first + sample, sample, b);
    product({narrow.rows, sizes.channels, sizes.hidden}, b.g.data(), sizes.hidden, dataOf<T>(kept.operands.fc2),
            b.y.data(), false);
    kernel.addBias(narrow, b.y.data(), floats(p[kFc2Bias]), dataOf<T>(residual) + offset, dataOf<T>(out) + offset);
  }

  // Sample `index` of the batch, which is sample `position` of the group.
  void applyGeluAndGrn(int64_t index, int64_t position, Buffers& b) const {
    const Extent wide{sizes.pixels, sizes.hidden};
    float* h = b.hidden.data() + position * sizes.pixels * sizes.hidden;
    float* ownNorms = dataOf<float>(kept.norms) + index * sizes.hidden;
    std::fill_n(ownNorms, sizes.hidden, 0.0f);
    kernelsOf<T>().biasGeluSquares(wide, h, floats(p[kFc1Bias]), ownNorms);
    for (int64_t c = 0; c < sizes.hidden; ++c) ownNorms[c] = std::sqrt(ownNorms[c]);
    scalesOf(sizes, ownNorms, floats(p[kGrnWeight]), eps.grn, b.scale.data());
    kernelsOf<T>().scaleShift(wide, h, b.scale.data(), floats(p[kGrnBias]),
                              b.g.data() + position * sizes.pixels * sizes.hidden);
  }

  Tensor run() const {
    const int64_t group = sizes.group(sizeof(float) + sizeof(T));
    const int64_t groups = (sizes.samples + group - 1) / group, rows = group * sizes.pixels;
    at::parallel_for(0, groups, 1, [&](int64_t begin, int64_t end) {
      const ProductScope scope;
      Buffers buffers(sizes, rows);
      for (int64_t i = begin; i < end; ++i)
        computeGroup(i * group, std::min(group, sizes.samples - i * group), rows, buffers);
    });
    return out;
  }
};

}  // namespace

MlpOperands mlpOperands(at::ScalarType dtype, const MlpParameters& parameters, bool differentiated) {
  return dtype == at::kBFloat16 ? operandsOf<BFloat16>(parameters, differentiated)
                                : operandsOf<float>(parameters, differentiated);
}

Tensor mlpForward(const Tensor& x, const Tensor& residual, const MlpParameters& parameters, const MlpEps& eps,
                  const MlpHidden& hidden) {
  return dispatchDtype(
      x, [&](auto value) { return Forward<decltype(value)>(x, residual, parameters, eps, hidden).run(); });
}

}  // namespace batch_cam
