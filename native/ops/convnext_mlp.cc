// ConvNeXt-V2's MLP with its norm and its shortcut as one operator. Of each sample (or as many small ones as a cache
// holds) the hidden layer, four times as wide as the map, lives and dies in the second-level cache; the backward pass
// makes it again.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <vector>

#include "kernels/table.h"
#include "memory/buffer.h"
#include "ops/double_backward.h"
#include "ops/dtypes.h"
#include "ops/small_product.h"

namespace batch_cam {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kCache = 1400 << 10;  // bytes of the second level that one group's buffers may take

enum Parameter {
  kNormWeight,
  kNormBias,
  kFc1Weight,
  kFc1Bias,
  kGrnWeight,
  kGrnBias,
  kFc2Weight,
  kFc2Bias,
  kParameters
};
using Parameters = std::array<Tensor, kParameters>;

struct Eps {
  double norm;
  double grn;
};

// The same in libtorch's operators, for what is differentiated twice.
Tensor composed(const Tensor& x, const Tensor& residual, const Parameters& p, const Eps& eps) {
  const auto cast = [&](const Tensor& t) { return t.to(x.scalar_type()); };
  const Tensor normed =
      at::layer_norm(x, {x.size(3)}, cast(p[kNormWeight]), cast(p[kNormBias]), eps.norm, /*cudnn_enable=*/false);
  const Tensor g = at::gelu(at::linear(normed, cast(p[kFc1Weight]), cast(p[kFc1Bias]))).to(at::kFloat);
  const Tensor squared = g.square().sum({1, 2}, /*keepdim=*/true);
  const Tensor dead = squared.eq(0);
  const Tensor energy = squared.masked_fill(dead, 1).sqrt().masked_fill(dead, 0);
  const Tensor response = energy / (energy.mean({3}, /*keepdim=*/true) + eps.grn);
  const Tensor scaled = at::addcmul(p[kGrnBias], g, response * p[kGrnWeight] + 1);
  return residual + at::linear(cast(scaled), cast(p[kFc2Weight]), cast(p[kFc2Bias]));
}

struct Sizes {
  explicit Sizes(const Tensor& x, const Tensor& fc1)
      : samples(x.size(0)), pixels(x.size(1) * x.size(2)), channels(x.size(3)), hidden(fc1.size(0)) {}
  int64_t samples, pixels, channels, hidden;

  // Samples of a group, which together fill a cache, and no more than leave a group for each thread.
  int64_t group(int64_t bytesOfHidden) const {
    const int64_t fitting = kCache / std::max<int64_t>(1, pixels * hidden * bytesOfHidden);
    const int64_t each = (samples + at::get_num_threads() - 1) / at::get_num_threads();
    return std::max<int64_t>(1, std::min(fitting, each));
  }
};

const float* floats(const Tensor& tensor) { return tensor.const_data_ptr<float>(); }

template <typename T>
constexpr at::ScalarType dtypeOf() {
  return sizeof(T) == 2 ? at::kBFloat16 : at::kFloat;
}

// A matrix (inner, columns) as the right operand of products; rows of 16 bits come in pairs.
template <typename T>
Tensor rightOperand(const Tensor& matrix) {
  const Tensor source = matrix.to(dtypeOf<T>()).contiguous();
  const int64_t inner = source.size(0);
  const Tensor packed = at::empty({inner + inner % 2, source.size(1)}, source.options());
  kernelsOf<T>().interleave({inner, source.size(1)}, dataOf<T>(source), dataOf<T>(packed));
  return packed;
}

// 1 + weight R and the norms' mean + eps of one sample: R = norm / (mean norm + eps).
float scalesOf(const Sizes& sizes, const float* norms, const float* weight, double eps, float* scale) {
  double sum = 0;
  for (int64_t c = 0; c < sizes.hidden; ++c) sum += norms[c];
  const float whole = static_cast<float>(sum / static_cast<double>(sizes.hidden) + eps);
  for (int64_t c = 0; c < sizes.hidden; ++c) scale[c] = 1.0f + weight[c] * norms[c] / whole;
  return whole;
}

template <typename T>
struct Forward {
  Sizes sizes;
  const Parameters& p;
  Eps eps;
  Tensor fc1, fc2;

  Forward(const Tensor& x, const Parameters& parameters, const Eps& given)
      : sizes(x, parameters[kFc1Weight]),
        p(parameters),
        eps(given),
        fc1(rightOperand<T>(parameters[kFc1Weight].t())),
        fc2(rightOperand<T>(parameters[kFc2Weight].t())) {}

  Tensor run(const Tensor& x, const Tensor& residual, const Tensor& norms) const {
    const Tensor out = at::empty_like(residual);
    const int64_t group = sizes.group(sizeof(float) + sizeof(T));
    const int64_t groups = (sizes.samples + group - 1) / group;
    at::parallel_for(0, groups, 1, [&](int64_t begin, int64_t end) {
      const ProductScope scope;
      const int64_t rows = group * sizes.pixels;
      Buffer<T> normed(rows * sizes.channels), g(rows * sizes.hidden);
      Buffer<float> hidden(rows * sizes.hidden), y(rows * sizes.channels), statistics(2 * rows), scale(sizes.hidden);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i * group;
        const int64_t count = std::min(group, sizes.samples - first);
        const int64_t offset = first * sizes.pixels * sizes.channels;
        const Extent narrow{count * sizes.pixels, sizes.channels};
        const LayerNormWeights norm{floats(p[kNormWeight]), floats(p[kNormBias]), static_cast<float>(eps.norm)};
        const auto& kernel = kernelsOf<T>();
        kernel.layerNorm(narrow, dataOf<T>(x) + offset, norm, normed.data(), statistics.data(),
                         statistics.data() + rows);
        product({narrow.rows, sizes.hidden, sizes.channels}, normed.data(), sizes.channels, dataOf<T>(fc1),
                hidden.data(), false);
        for (int64_t sample = 0; sample < count; ++sample) {
          const Extent wide{sizes.pixels, sizes.hidden};
          float* h = hidden.data() + sample * sizes.pixels * sizes.hidden;
          float* norms_ = dataOf<float>(norms) + (first + sample) * sizes.hidden;
          std::fill_n(norms_, sizes.hidden, 0.0f);
          kernel.geluSquares(wide, h, floats(p[kFc1Bias]), norms_);
          for (int64_t c = 0; c < sizes.hidden; ++c) norms_[c] = std::sqrt(norms_[c]);
          scalesOf(sizes, norms_, floats(p[kGrnWeight]), eps.grn, scale.data());
          kernel.scaleShift(wide, h, scale.data(), floats(p[kGrnBias]),
                            g.data() + sample * sizes.pixels * sizes.hidden);
        }
        product({narrow.rows, sizes.channels, sizes.hidden}, g.data(), sizes.hidden, dataOf<T>(fc2), y.data(), false);
        kernel.addBias(narrow, y.data(), floats(p[kFc2Bias]), dataOf<T>(residual) + offset, dataOf<T>(out) + offset);
      }
    });
    return out;
  }
};

// Sums of one thread.
struct Gradients {
  explicit Gradients(const Sizes& sizes)
      : normWeight(sizes.channels),
        normBias(sizes.channels),
        fc1Weight(sizes.channels * sizes.hidden),
        fc1Bias(sizes.hidden),
        grnWeight(sizes.hidden),
        grnBias(sizes.hidden),
        fc2Weight(sizes.channels * sizes.hidden),
        fc2Bias(sizes.channels) {}
  // fc1Weight is (channels, hidden), the transpose of the weight
  Buffer<float> normWeight, normBias, fc1Weight, fc1Bias, grnWeight, grnBias, fc2Weight, fc2Bias;

  std::array<Buffer<float>*, kParameters> all() {
    return {&normWeight, &normBias, &fc1Weight, &fc1Bias, &grnWeight, &grnBias, &fc2Weight, &fc2Bias};
  }
};

template <typename T>
struct Backward {
  const Sizes sizes;
  const Parameters& p;
  const Eps eps;
  const Tensor& x;
  const Tensor& norms;
  const Tensor& dout;
  const Tensor fc1, fc1Back, fc2Back;
  const Tensor dx;

  Backward(const Tensor& input, const Tensor& norms_, const Tensor& gradient, const Parameters& parameters,
           const Eps& given)
      : sizes(input, parameters[kFc1Weight]),
        p(parameters),
        eps(given),
        x(input),
        norms(norms_),
        dout(gradient),
        fc1(rightOperand<T>(parameters[kFc1Weight].t())),
        fc1Back(rightOperand<T>(parameters[kFc1Weight])),
        fc2Back(rightOperand<T>(parameters[kFc2Weight])),
        dx(at::empty_like(input)) {}

  // What one group of samples needs; `rows` is even.
  struct Buffers {
    Buffers(const Sizes& sizes, int64_t rows)
        : normed(rows * sizes.channels),
          turned(rows * sizes.channels),
          g(rows * sizes.hidden),
          slope(rows * sizes.hidden),
          pairs(rows * sizes.hidden),
          hidden(rows * sizes.hidden),
          statistics(2 * rows),
          scale(sizes.hidden),
          coefficient(sizes.hidden),
          dot(sizes.hidden) {}
    Buffer<T> normed, turned, g, slope, pairs;
    Buffer<float> hidden, statistics, scale, coefficient, dot;
  };

  void groupOf(int64_t first, int64_t count, int64_t rowsOfBuffers, Buffers& b, Gradients& sums) const {
    const auto& kernel = kernelsOf<T>();
    const Extent narrow{count * sizes.pixels, sizes.channels};
    const int64_t even = narrow.rows + narrow.rows % 2;
    const int64_t offset = first * sizes.pixels * sizes.channels;
    const T* input = dataOf<T>(x) + offset;
    const T* gradient = dataOf<T>(dout) + offset;
    float* rstd = b.statistics.data() + rowsOfBuffers;
    const LayerNormWeights norm{floats(p[kNormWeight]), floats(p[kNormBias]), static_cast<float>(eps.norm)};

    kernel.layerNorm(narrow, input, norm, b.normed.data(), b.statistics.data(), rstd);
    product({narrow.rows, sizes.hidden, sizes.channels}, b.normed.data(), sizes.channels, dataOf<T>(fc1),
            b.hidden.data(), false);
    slopes(first, count, b);
    transposed(narrow, gradient, even, b.turned.data());
    product({sizes.channels, sizes.hidden, narrow.rows}, b.turned.data(), even, b.pairs.data(), sums.fc2Weight.data(),
            true);
    kernel.columnSums(narrow, gradient, sums.fc2Bias.data());

    product({narrow.rows, sizes.hidden, sizes.channels}, gradient, sizes.channels, dataOf<T>(fc2Back), b.hidden.data(),
            false);
    responses(first, count, b, sums);
    transposed<T>(narrow, b.normed.data(), even, b.turned.data());
    product({sizes.channels, sizes.hidden, narrow.rows}, b.turned.data(), even, b.pairs.data(), sums.fc1Weight.data(),
            true);

    product({narrow.rows, sizes.channels, sizes.hidden}, b.slope.data(), sizes.hidden, dataOf<T>(fc1Back),
            b.hidden.data(), false);
    kernel.layerNormBackward(narrow, input, b.hidden.data(), b.statistics.data(), rstd, floats(p[kNormWeight]),
                             dataOf<T>(dx) + offset, sums.normWeight.data(), sums.normBias.data());
  }

  // The hidden layer again: gelu, its slope, and the normalised values in pairs.
  void slopes(int64_t first, int64_t count, Buffers& b) const {
    const Extent part{sizes.pixels, sizes.hidden};
    for (int64_t sample = 0; sample < count; ++sample) {
      scaleOf(first + sample, b);
      const int64_t at = sample * sizes.pixels * sizes.hidden;
      kernelsOf<T>().geluSlope(part, b.hidden.data() + at, floats(p[kFc1Bias]), b.scale.data(), floats(p[kGrnBias]),
                               b.g.data() + at, b.slope.data() + at, b.pairs.data() + at);
    }
  }

  float scaleOf(int64_t sample, Buffers& b) const {
    return scalesOf(sizes, floats(norms) + sample * sizes.hidden, floats(p[kGrnWeight]), eps.grn, b.scale.data());
  }

  // From the gradient of the normalised values, in b.hidden, to that of the first product's result, in b.slope and
  // b.pairs.
  void responses(int64_t first, int64_t count, Buffers& b, Gradients& sums) const {
    const auto& kernel = kernelsOf<T>();
    const float* weight = floats(p[kGrnWeight]);
    const Extent part{sizes.pixels, sizes.hidden};
    for (int64_t sample = 0; sample < count; ++sample) {
      const int64_t at = sample * sizes.pixels * sizes.hidden;
      const float* energy = floats(norms) + (first + sample) * sizes.hidden;
      std::fill(b.dot.begin(), b.dot.end(), 0.0f);
      kernel.sumAndDot(part, b.hidden.data() + at, b.g.data() + at, sums.grnBias.data(), b.dot.data());
      const float whole = scaleOf(first + sample, b);
      double common = 0;
      for (int64_t c = 0; c < sizes.hidden; ++c) {
        sums.grnWeight[c] += energy[c] / whole * b.dot[c];
        common += static_cast<double>(weight[c]) * b.dot[c] * energy[c];
      }
      const float shared = static_cast<float>(common / (static_cast<double>(sizes.hidden) * whole * whole));
      for (int64_t c = 0; c < sizes.hidden; ++c)
        b.coefficient[c] = energy[c] == 0 ? 0 : (weight[c] * b.dot[c] / whole - shared) / energy[c];
      kernel.geluBackward(part, b.hidden.data() + at, b.g.data() + at, b.scale.data(), b.coefficient.data(),
                          b.slope.data() + at, b.pairs.data() + at, sums.fc1Bias.data());
    }
  }

  variable_list run() const {
    // Pairs of rows must not reach over a sample's end: an odd sample stands alone.
    const bool odd = sizeof(T) == 2 && sizes.pixels % 2 == 1;
    const int64_t group = odd ? 1 : sizes.group(sizeof(float) + 3 * sizeof(T));
    const int64_t groups = (sizes.samples + group - 1) / group;
    const int64_t rows = group * sizes.pixels + 1;
    std::vector<std::unique_ptr<Gradients>> perThread(at::get_num_threads());
    at::parallel_for(0, groups, 1, [&](int64_t begin, int64_t end) {
      const ProductScope scope;
      auto& sums = perThread[at::get_thread_num()];
      if (!sums) sums = std::make_unique<Gradients>(sizes);
      Buffers buffers(sizes, rows);
      for (int64_t i = begin; i < end; ++i)
        groupOf(i * group, std::min(group, sizes.samples - i * group), rows, buffers, *sums);
    });
    return gathered(perThread);
  }

  variable_list gathered(const std::vector<std::unique_ptr<Gradients>>& perThread) const {
    variable_list gradients(kParameters);
    for (int i = 0; i < kParameters; ++i) {
      const bool turned = i == kFc1Weight;
      const Tensor total =
          at::zeros(turned ? at::IntArrayRef({sizes.channels, sizes.hidden}) : p[i].sizes(), at::kFloat);
      for (const auto& sums : perThread) {
        if (!sums) continue;
        const Buffer<float>& own = *sums->all()[i];
        float* to = dataOf<float>(total);
        for (size_t k = 0; k < own.size(); ++k) to[k] += own[k];
      }
      gradients[i] = turned ? total.t().contiguous() : total;
    }
    return gradients;
  }
};

struct ConvNextMlp : torch::autograd::Function<ConvNextMlp> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& residual, const Tensor& normWeight,
                        const Tensor& normBias, const Tensor& fc1Weight, const Tensor& fc1Bias, const Tensor& grnWeight,
                        const Tensor& grnBias, const Tensor& fc2Weight, const Tensor& fc2Bias, double normEps,
                        double grnEps) {
    const Parameters p{normWeight, normBias, fc1Weight, fc1Bias, grnWeight, grnBias, fc2Weight, fc2Bias};
    const Eps eps{normEps, grnEps};
    const Tensor norms = at::empty({x.size(0), fc1Weight.size(0)}, at::kFloat);
    const Tensor out =
        inDtype(x, [&](auto value) { return Forward<decltype(value)>(x, p, eps).run(x, residual, norms); });
    variable_list saved{x, residual, norms};
    saved.insert(saved.end(), p.begin(), p.end());
    context->save_for_backward(saved);
    context->saved_data["normEps"] = normEps;
    context->saved_data["grnEps"] = grnEps;
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor& x = saved[0];
    const Tensor& residual = saved[1];
    Parameters p;
    std::copy_n(saved.begin() + 3, kParameters, p.begin());
    const Eps eps{context->saved_data["normEps"].toDouble(), context->saved_data["grnEps"].toDouble()};
    if (at::GradMode::is_enabled()) {
      variable_list inputs{x, residual};
      inputs.insert(inputs.end(), p.begin(), p.end());
      variable_list result = gradientsWithGraph(context, inputs, gradients[0], [&](const variable_list& of) {
        Parameters aliases;
        std::copy_n(of.begin() + 2, kParameters, aliases.begin());
        return composed(of[0], of[1], aliases, eps);
      });
      result.resize(result.size() + 2);  // of the two numbers
      return result;
    }
    const Tensor dout = gradients[0].contiguous();
    variable_list result = inDtype(x, [&](auto value) {
      const Backward<decltype(value)> pass(x, saved[2], dout, p, eps);
      const variable_list of = pass.run();
      variable_list all{pass.dx, dout};
      all.insert(all.end(), of.begin(), of.end());
      return all;
    });
    result.resize(result.size() + 2);  // of the two numbers
    return result;
  }
};

void expectMlp(const Tensor& x, const Tensor& residual, const Tensor& fc1, const Tensor& fc2) {
  TORCH_CHECK(x.dim() == 4 && x.sizes() == residual.sizes(), "x and residual must be of one shape (N, H, W, C), got ",
              x.sizes(), " and ", residual.sizes());
  TORCH_CHECK(x.scalar_type() == residual.scalar_type() && hasProducts(x.scalar_type()), "dtype ", x.scalar_type(),
              " has no products of small matrices here");
  TORCH_CHECK(fc1.dim() == 2 && fc2.dim() == 2 && fc1.size(1) == x.size(3) && fc2.size(1) == fc1.size(0) &&
                  fc2.size(0) == x.size(3),
              "weights of shape ", fc1.sizes(), " and ", fc2.sizes(), " do not fit x of shape ", x.sizes());
}

Tensor convnextMlp(const Tensor& x, const Tensor& residual, const Tensor& normWeight, const Tensor& normBias,
                   const Tensor& fc1Weight, const Tensor& fc1Bias, const Tensor& grnWeight, const Tensor& grnBias,
                   const Tensor& fc2Weight, const Tensor& fc2Bias, double normEps, double grnEps) {
  expectMlp(x, residual, fc1Weight, fc2Weight);
  return ConvNextMlp::apply(x.contiguous(), residual.contiguous(), normWeight, normBias, fc1Weight, fc1Bias, grnWeight,
                            grnBias, fc2Weight, fc2Bias, normEps, grnEps);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def(
      "convnext_mlp(Tensor x, Tensor residual, Tensor norm_weight, Tensor norm_bias, Tensor fc1_weight, Tensor "
      "fc1_bias, "
      "Tensor grn_weight, Tensor grn_bias, Tensor fc2_weight, Tensor fc2_bias, float norm_eps, float grn_eps) -> "
      "Tensor",
      torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(convnextMlp)));
}

}  // namespace batch_cam
