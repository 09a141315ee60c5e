// The second derivative of the MLP of a ConvNeXt-V2 block: the gradient of S = <z, dx>, where dx is the gradient with
// respect to x that convnext_mlp_backward.cc computes from e, the gradient of the block's output. Training with maps of
// an earlier layer needs it for each block behind that layer. libtorch's operators take about three times as long for
// it as this kernel.
//
// S is the derivative of <e, out> in the direction z. Written with tangents (t for the derivative of a value in that
// direction) and the names of convnext_mlp_forward.cc, for one sample:
//
//   tn = weight rstd (z - mean(z) - xhat mean(z xhat)),  th = tn fc1ᵀ,  tg = gelu'(h) th,
//   tN = (sum of g tg) / N,  tR = tN / m - N mean(tN) / m²  with N = norms and m = mean(N) + eps,
//   ty = tg s + g ts  with s = 1 + w R and ts = w tR,  S = <e, ty fc2ᵀ> = <u, ty>  with u = e fc2.
//
// So the gradient with respect to e is ty fc2ᵀ. The others follow from S backwards, with D = sum of u g and
// E = sum of u tg over the pixels, q = mean(w D N) / m², a = w D / m - q, and
//
//   k = a / N,   l = (w E / m - w D mean(tN) / m² + b - a tN / N) / N,
//   b = mean(2 w D N mean(tN) / m³ - w D tN / m² - w E N / m²)   (means over the channels):
//
//   gradient of th:  dth = gelu'(h) (u s + g k), which is the first derivative with respect to h,
//   gradient of h:   dh = gelu'(h) (u ts + tg k + g l) + gelu''(h) th (u s + g k),
//   dw = E R + D tR,  dfc1 = dthᵀ tn + dhᵀ n,  dfc2 = eᵀ ty,  and for the layer norm dth fc1 and dh fc1.
//
// A channel that is zero at every pixel has N = 0; its a, tN and l count as zero, as in the first derivative.
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

// The gradients of one pass with respect to x and e, and what it reads.
template <typename T>
struct Second {
  const Sizes sizes;
  const MlpParameters& p;
  const MlpEps eps;
  const Tensor &x, &e, &z;
  const MlpHidden& kept;
  const MlpSlopes& slopes;
  const bool ofParameters;
  const Tensor dx, de;

  Second(const Tensor& input, const MlpHidden& hidden, const MlpSlopes& found, const Tensor& gradient,
         const Tensor& direction, const MlpParameters& parameters, const MlpEps& given, bool withParameters)
      : sizes(input, parameters[kFc1Weight]),
        p(parameters),
        eps(given),
        x(input),
        e(gradient),
        z(direction),
        kept(hidden),
        slopes(found),
        ofParameters(withParameters),
        dx(at::empty_like(input)),
        de(at::empty_like(input)) {}

  // A thread's buffers for one group of samples. Matrices with two parts hold a value and, `rows` rows later, its
  // tangent or the gradient of its tangent, so that one product computes both.
  struct Buffers {
    Buffers(const Sizes& sizes, int64_t samples, int64_t rowCount)
        : rows(rowCount),
          normed(2 * rows * sizes.channels),
          transposedRows(rows * sizes.channels),
          derivative(rows * sizes.hidden),
          bend(rows * sizes.hidden),
          gradients(2 * rows * sizes.hidden),
          gradientPairs(rows * sizes.hidden),
          tangentPairs(rows * sizes.hidden),
          y(rows * sizes.hidden),
          yPairs(rows * sizes.hidden),
          hidden(2 * rows * sizes.hidden),
          u(rows * sizes.hidden),
          narrow(rows * sizes.channels),
          statistics(2 * rows),
          sums(3 * sizes.hidden),
          tangent(sizes.hidden),
          inverse(sizes.hidden),
          scale(samples * sizes.hidden),
          scaleTangent(samples * sizes.hidden),
          coefficient(samples * sizes.hidden),
          coefficientOfNorm(samples * sizes.hidden) {}
    const int64_t rows;
    Scratch<T> normed, transposedRows, derivative, bend, gradients, gradientPairs, tangentPairs, y, yPairs;
    Scratch<float> hidden, u, narrow, statistics, sums, tangent, inverse, scale, scaleTangent, coefficient,
        coefficientOfNorm;
  };

  void computeGroup(int64_t first, int64_t count, Buffers& b, ParameterSums& sums) const {
    const auto& kernel = kernelsOf<T>();
    const Extent narrow{count * sizes.pixels, sizes.channels};
    const int64_t offset = first * sizes.pixels * sizes.channels, part = narrow.rows * sizes.channels;
    float *mean = b.statistics.data(), *rstd = mean + b.rows;
    const T *input = dataOf<T>(x) + offset, *gradient = dataOf<T>(e) + offset, *direction = dataOf<T>(z) + offset;
    const LayerNormWeights norm{floats(p[kNormWeight]), floats(p[kNormBias]), static_cast<float>(eps.norm)};
    kernel.layerNorm(narrow, input, norm, b.normed.data(), mean, rstd);
    kernel.layerNormTangent(narrow, input, direction, mean, rstd, norm.weight, b.normed.data() + part);
    hiddenAndTangent(first, narrow.rows, b);
    kernel.widen(narrow.rows * sizes.hidden, dataOf<T>(slopes.u) + first * sizes.pixels * sizes.hidden, b.u.data());
    throughGrnAndGelu(first, count, b, sums);

    product({narrow.rows, sizes.channels, sizes.hidden}, b.y.data(), sizes.hidden, dataOf<T>(kept.operands.fc2),
            b.narrow.data(), false);
    kernel.convert(part, b.narrow.data(), dataOf<T>(de) + offset);
    product({narrow.rows, sizes.channels, sizes.hidden}, b.gradients.data(), sizes.hidden,
            dataOf<T>(kept.operands.fc1Back), b.narrow.data(), false);
    kernel.layerNormSecond(
        narrow, {input, direction, mean, rstd, norm.weight, floats(slopes.dnormed) + offset, b.narrow.data()},
        dataOf<T>(dx) + offset, sums.normWeight.data(), sums.normBias.data());
    if (ofParameters) addWeightGradients(narrow, gradient, b, sums);
  }

  // The hidden layer and its tangent: from the copy and one product, or from one product of both.
  void hiddenAndTangent(int64_t first, int64_t rows, Buffers& b) const {
    const int64_t part = rows * sizes.channels, wide = rows * sizes.hidden;
    if (kept.layer.defined()) {
      kernelsOf<T>().widen(wide, dataOf<T>(kept.layer) + first * sizes.pixels * sizes.hidden, b.hidden.data());
      product({rows, sizes.hidden, sizes.channels}, b.normed.data() + part, sizes.channels,
              dataOf<T>(kept.operands.fc1), b.hidden.data() + wide, false);
    } else {
      product({2 * rows, sizes.hidden, sizes.channels}, b.normed.data(), sizes.channels, dataOf<T>(kept.operands.fc1),
              b.hidden.data(), false);
    }
  }

  void addWeightGradients(Extent narrow, const T* gradient, Buffers& b, ParameterSums& sums) const {
    const int64_t even = narrow.rows + narrow.rows % 2, part = narrow.rows * sizes.channels;
    const auto add = [&](const T* rows, const T* right, float* to) {
      transposeForProduct<T>(narrow, rows, even, b.transposedRows.data());
      product({sizes.channels, sizes.hidden, narrow.rows}, b.transposedRows.data(), even, right, to, true);
    };
    const T* ofTangent = b.gradients.data() + narrow.rows * sizes.hidden;
    add(gradient, rightOperandOf(b.y.data(), b.yPairs.data()), sums.fc2Weight.data());
    add(b.normed.data(), rightOperandOf(b.gradients.data(), b.gradientPairs.data()), sums.fc1Weight.data());
    add(b.normed.data() + part, rightOperandOf(ofTangent, b.tangentPairs.data()), sums.fc1Weight.data());
  }

  // From the hidden layer, its tangent and u to their gradients.
  void throughGrnAndGelu(int64_t first, int64_t count, Buffers& b, ParameterSums& sums) const {
    const Extent wide{count * sizes.pixels, sizes.hidden};
    const int64_t part = wide.rows * sizes.hidden;
    float *g = b.hidden.data(), *dg = g + part;
    for (int64_t sample = 0; sample < count; ++sample) {
      const int64_t at = sample * sizes.pixels * sizes.hidden;
      std::fill(b.sums.begin(), b.sums.end(), 0.0f);
      kernelsOf<T>().geluTangent({sizes.pixels, sizes.hidden}, floats(p[kFc1Bias]), b.u.data() + at, g + at, dg + at,
                                 b.derivative.data() + at, b.bend.data() + at, b.sums.data());
      factorsOf(first + sample, sample * sizes.hidden, b, sums);
    }
    const MlpSecond<T> of{b.u.data(),
                          g,
                          dg,
                          b.derivative.data(),
                          b.bend.data(),
                          b.scale.data(),
                          b.scaleTangent.data(),
                          b.coefficient.data(),
                          b.coefficientOfNorm.data(),
                          b.gradients.data(),
                          b.gradientPairs.data(),
                          b.gradients.data() + part,
                          b.tangentPairs.data(),
                          b.y.data(),
                          b.yPairs.data()};
    kernelsOf<T>().grnGeluSecond(wide, sizes.pixels, of, sums.fc1Bias.data());
  }

  // The factors of GRN for one sample, from the sums of geluTangent: s, ts, k and l. Adds the gradient of GRN's weight.
  void factorsOf(int64_t sample, int64_t at, Buffers& b, ParameterSums& sums) const {
    const int64_t hidden = sizes.hidden;
    const float *n = floats(kept.norms) + sample * hidden, *w = floats(p[kGrnWeight]);
    const float *D = b.sums.data(), *E = D + hidden, *F = E + hidden;
    const float m = denominatorOf(sizes, n, eps.grn), ofM = 1.0f / m, share = 1.0f / static_cast<float>(hidden);
    scalesOf(sizes, n, w, eps.grn, b.scale.data() + at);
    double tangents = 0;
    for (int64_t c = 0; c < hidden; ++c) {
      b.inverse[c] = n[c] == 0 ? 0.0f : 1.0f / n[c];
      b.tangent[c] = F[c] * b.inverse[c];
      tangents += b.tangent[c];
    }
    const float mean = static_cast<float>(tangents) * share;
    double product = 0, ofMean = 0;
    for (int64_t c = 0; c < hidden; ++c) {
      const float wD = w[c] * D[c];
      product += wD * n[c];
      ofMean += (2 * wD * mean * ofM - w[c] * E[c]) * n[c] - wD * b.tangent[c];
    }
    const float scaled = share * ofM * ofM, q = static_cast<float>(product) * scaled;
    const float common = static_cast<float>(ofMean) * scaled;
    for (int64_t c = 0; c < hidden; ++c) {
      const float response = (b.tangent[c] - n[c] * mean * ofM) * ofM;
      const float wD = w[c] * D[c] * ofM, a = wD - q, inverse = b.inverse[c];
      b.scaleTangent[at + c] = w[c] * response;
      b.coefficient[at + c] = a * inverse;
      b.coefficientOfNorm[at + c] =
          (w[c] * E[c] * ofM - wD * mean * ofM + common - a * b.tangent[c] * inverse) * inverse;
      sums.grnWeight[c] += E[c] * n[c] * ofM + D[c] * response;
    }
  }

  std::vector<Tensor> run() const {
    const int64_t group = sizes.group(3 * sizeof(float) + 8 * sizeof(T));
    const int64_t groups = (sizes.samples + group - 1) / group, rows = group * sizes.pixels + 1;
    std::vector<std::unique_ptr<ParameterSums>> perThread(at::get_num_threads());
    at::parallel_for(0, groups, 1, [&](int64_t begin, int64_t end) {
      const ProductScope scope;
      auto& sums = perThread[at::get_thread_num()];
      if (!sums) sums = std::make_unique<ParameterSums>(sizes);
      Buffers buffers(sizes, group, rows);
      for (int64_t i = begin; i < end; ++i)
        computeGroup(i * group, std::min(group, sizes.samples - i * group), buffers, *sums);
    });
    std::vector<Tensor> gradients{dx, de};
    if (ofParameters) {
      const std::vector<Tensor> totals = totalsOf(sizes, perThread);
      gradients.insert(gradients.end(), totals.begin(), totals.end());
      // S depends on neither.
      gradients[2 + kGrnBias] = Tensor();
      gradients[2 + kFc2Bias] = Tensor();
    }
    gradients.resize(2 + kMlpParameters);
    return gradients;
  }
};

}  // namespace

std::vector<Tensor> mlpSecond(const Tensor& x, const MlpHidden& hidden, const MlpSlopes& slopes, const Tensor& dout,
                              const Tensor& z, const MlpParameters& parameters, const MlpEps& eps, bool ofParameters) {
  return dispatchDtype(x, [&](auto value) {
    return Second<decltype(value)>(x, hidden, slopes, dout, z, parameters, eps, ofParameters).run();
  });
}

}  // namespace batch_cam
