// The backward pass of the MLP of a ConvNeXt-V2 block; convnext_mlp_forward.cc has the formula. With u the gradient
// with respect to the result of GRN, s = 1 + weight_grn R, m = mean(n) + eps and D_c = sum over pixels of u g, all for
// one sample:
//
//   dg = u s + g k,  k_c = (weight_c D_c / m - sum over c' of (weight_c' D_c' n_c') / (H m²)) / n_c,
//   dweight_grn = n / m D,  dbias_grn = sum over pixels of u,  dh = dg gelu'(h).
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "kernels/table.h"
#include "memory/aligned_buffer.h"
#include "ops/convnext_mlp.h"
#include "ops/convnext_mlp_group.h"
#include "ops/small_product.h"

namespace batch_cam {
namespace {

using at::Tensor;
using namespace mlp;

// One backward pass. If `ofParameters` is false, it computes the gradient with
// respect to x alone, without the products of the weights' gradients.
template <typename T>
struct Backward {
  const Sizes sizes;
  const MlpParameters& p;
  const MlpEps eps;
  const Tensor& x;
  const MlpHidden& kept;
  const Tensor& dout;
  const bool ofParameters;
  const MlpSlopes& slopes;
  const Tensor dx;

  Backward(const Tensor& input, const MlpHidden& hidden, const Tensor& gradient, const MlpParameters& parameters,
           const MlpEps& given, bool withParameters, const MlpSlopes& found)
      : sizes(input, parameters[kFc1Weight]),
        p(parameters),
        eps(given),
        x(input),
        kept(hidden),
        dout(gradient),
        ofParameters(withParameters),
        slopes(found),
        dx(at::empty_like(input)) {}

  // A thread's buffers for one group of samples.
  struct Buffers {
    Buffers(const Sizes& sizes, int64_t samples, int64_t rows)
        : normed(rows * sizes.channels),
          transposedRows(rows * sizes.channels),
          g(rows * sizes.hidden),
          derivative(rows * sizes.hidden),
          pairs(rows * sizes.hidden),
          hidden(rows * sizes.hidden),
          statistics(2 * rows),
          scale(samples * sizes.hidden),
          coefficient(samples * sizes.hidden),
          dot(sizes.hidden) {}
    Scratch<T> normed, transposedRows, g, derivative, pairs;
    Scratch<float> hidden, statistics, scale, coefficient, dot;
  };

  void computeGroup(int64_t first, int64_t count, int64_t bufferRows, Buffers& b, ParameterSums& sums) const {
    const auto& kernel = kernelsOf<T>();
    const Extent narrow{count * sizes.pixels, sizes.channels};
    const int64_t even = narrow.rows + narrow.rows % 2;
    const int64_t offset = first * sizes.pixels * sizes.channels;
    const T* input = dataOf<T>(x) + offset;
    const T* gradient = dataOf<T>(dout) + offset;
    float* rstd = b.statistics.data() + bufferRows;
    const LayerNormWeights norm{floats(p[kNormWeight]), floats(p[kNormBias]), static_cast<float>(eps.norm)};

    // The hidden layer, and the gradient with respect to fc2's weight and bias.
    kernel.layerNorm(narrow, input, norm, b.normed.data(), b.statistics.data(), rstd);
    const int64_t wide = narrow.rows * sizes.hidden, wideOffset = first * sizes.pixels * sizes.hidden;
    if (kept.layer.defined()) {
      kernel.widen(wide, dataOf<T>(kept.layer) + wideOffset, b.hidden.data());
    } else {
      product({narrow.rows, sizes.hidden, sizes.channels}, b.normed.data(), sizes.channels,
              dataOf<T>(kept.operands.fc1), b.hidden.data(), false);
    }
    recomputeHidden(first, count, b);
    if (ofParameters) {
      transposeForProduct(narrow, gradient, even, b.transposedRows.data());
      product({sizes.channels, sizes.hidden, narrow.rows}, b.transposedRows.data(), even, b.pairs.data(),
              sums.fc2Weight.data(), true);
      kernel.columnSums(narrow, gradient, sums.fc2Bias.data());
    }

    // The gradient with respect to the hidden layer, through GRN and GELU, and with respect to fc1's weight.
    product({narrow.rows, sizes.hidden, sizes.channels}, gradient, sizes.channels, dataOf<T>(kept.operands.fc2Back),
            b.hidden.data(), false);
    if (slopes.u.defined()) kernel.convert(wide, b.hidden.data(), dataOf<T>(slopes.u) + wideOffset);
    backwardGrnAndGelu(first, count, b, sums);
    if (ofParameters) {
      transposeForProduct<T>(narrow, b.normed.data(), even, b.transposedRows.data());
      product({sizes.channels, sizes.hidden, narrow.rows}, b.transposedRows.data(), even,
              rightOperandOf(b.derivative.data(), b.pairs.data()), sums.fc1Weight.data(), true);
    }

    // The gradient with respect to the norm's input.
    product({narrow.rows, sizes.channels, sizes.hidden}, b.derivative.data(), sizes.hidden,
            dataOf<T>(kept.operands.fc1Back), b.hidden.data(), false);
    if (slopes.dnormed.defined())
      std::copy_n(b.hidden.data(), narrow.rows * sizes.channels, dataOf<float>(slopes.dnormed) + offset);
    kernel.layerNormBackward(narrow, input, b.hidden.data(), b.statistics.data(), rstd, floats(p[kNormWeight]),
                             dataOf<T>(dx) + offset, sums.normWeight.data(), sums.normBias.data());
  }

  // From the first product, in b.hidden: GELU to b.g, its derivative to b.derivative, and the result of GRN, as the
  // right operand of a product, to b.pairs.
  void recomputeHidden(int64_t first, int64_t count, Buffers& b) const {
    for (int64_t sample = 0; sample < count; ++sample)
      scalesOf(sizes, floats(kept.norms) + (first + sample) * sizes.hidden, floats(p[kGrnWeight]), eps.grn,
               b.scale.data() + sample * sizes.hidden);
    kernelsOf<T>().biasGeluScaled({count * sizes.pixels, sizes.hidden}, sizes.pixels, b.hidden.data(),
                                  floats(p[kFc1Bias]), b.scale.data(), floats(p[kGrnBias]), b.g.data(),
                                  b.derivative.data(), b.pairs.data());
  }

  // From the gradient with respect to the result of GRN, in b.hidden, to the gradient with respect to the result of the
  // first product, in b.derivative and, as the right operand of a product, in b.pairs.
  void backwardGrnAndGelu(int64_t first, int64_t count, Buffers& b, ParameterSums& sums) const {
    const auto& kernel = kernelsOf<T>();
    const float* weight = floats(p[kGrnWeight]);
    const Extent part{sizes.pixels, sizes.hidden};
    for (int64_t sample = 0; sample < count; ++sample) {
      const int64_t at = sample * sizes.pixels * sizes.hidden;
      const float* energy = floats(kept.norms) + (first + sample) * sizes.hidden;
      float* const coefficient = b.coefficient.data() + sample * sizes.hidden;
      std::fill(b.dot.begin(), b.dot.end(), 0.0f);
      kernel.sumAndDot(part, b.hidden.data() + at, b.g.data() + at, sums.grnBias.data(), b.dot.data());
      const float denominator = denominatorOf(sizes, energy, eps.grn);
      double common = 0;
      const float inverse = 1.0f / denominator;
      for (int64_t c = 0; c < sizes.hidden; ++c) {
        sums.grnWeight[c] += energy[c] * inverse * b.dot[c];
        common += static_cast<double>(weight[c]) * b.dot[c] * energy[c];
      }
      const float shared = static_cast<float>(common / (static_cast<double>(sizes.hidden) * denominator * denominator));
      for (int64_t c = 0; c < sizes.hidden; ++c)
        coefficient[c] = energy[c] == 0 ? 0 : (weight[c] * b.dot[c] * inverse - shared) / energy[c];
    }
    kernel.grnGeluBackward({count * sizes.pixels, sizes.hidden}, sizes.pixels, b.hidden.data(), b.g.data(),
                           b.scale.data(), b.coefficient.data(), b.derivative.data(), b.pairs.data(),
                           sums.fc1Bias.data());
  }

  std::vector<Tensor> run() const {
    const int64_t group = sizes.group(sizeof(float) + 3 * sizeof(T));
    const int64_t groups = (sizes.samples + group - 1) / group;
    const int64_t rows = group * sizes.pixels + 1;
    std::vector<std::unique_ptr<ParameterSums>> perThread(at::get_num_threads());
    at::parallel_for(0, groups, 1, [&](int64_t begin, int64_t end) {
      const ProductScope scope;
      auto& sums = perThread[at::get_thread_num()];
      if (!sums) sums = std::make_unique<ParameterSums>(sizes);
      Buffers buffers(sizes, group, rows);
      for (int64_t i = begin; i < end; ++i)
        computeGroup(i * group, std::min(group, sizes.samples - i * group), rows, buffers, *sums);
    });
    std::vector<Tensor> gradients{dx};
    if (ofParameters) {
      const std::vector<Tensor> totals = totalsOf(sizes, perThread);
      gradients.insert(gradients.end(), totals.begin(), totals.end());
    }
    gradients.resize(1 + kMlpParameters);
    return gradients;
  }
};

}  // namespace

std::vector<Tensor> mlpBackward(const Tensor& x, const MlpHidden& hidden, const Tensor& dout,
                                const MlpParameters& parameters, const MlpEps& eps, bool ofParameters,
                                const MlpSlopes& slopes) {
  return dispatchDtype(x, [&](auto value) {
    return Backward<decltype(value)>(x, hidden, dout, parameters, eps, ofParameters, slopes).run();
  });
}

}  // namespace batch_cam
