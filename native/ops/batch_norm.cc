// Batch norm in training with what follows it in a residual network: y = relu(norm(x) + add), two passes over memory,
// and two for its gradient.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include <vector>

#include "kernels/table.h"
#include "ops/double_backward.h"
#include "ops/dtypes.h"
#include "ops/parallel_sums.h"

namespace batch_cam {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows whose sums are taken in float32; those of many such chunks are added in float64. Short ones for float32, whose
// digits libtorch keeps by summing in float64 throughout.
template <typename T>
constexpr int64_t kChunk = sizeof(T) == 2 ? 512 : 32;

// Pixels by channels of (N, C, H, W) whose channels lie last.
Extent extentOf(const Tensor& x) { return {x.numel() / x.size(1), x.size(1)}; }

// body(rows, first row, float sums) over chunks, in parallel: `count` sums of each channel, one after the other.
template <typename T, typename Body>
std::vector<double> sumsOfChunks(Extent extent, int64_t count, Body body) {
  const int64_t channels = extent.channels, chunks = (extent.rows + kChunk<T> - 1) / kChunk<T>;
  return sumOfTasks(chunks, count * channels, [&](int64_t chunk, float* sums) {
    const int64_t row = chunk * kChunk<T>;
    body(Extent{std::min(kChunk<T>, extent.rows - row), channels}, row * channels, sums);
  });
}

struct Sums {
  std::vector<double> first, second;
};

// The same with body(rows, first row, float sums, float sums), of two.
template <typename T, typename Body>
Sums summed(Extent extent, Body body) {
  const int64_t channels = extent.channels;
  const auto both =
      sumsOfChunks<T>(extent, 2, [&](Extent part, int64_t at, float* sums) { body(part, at, sums, sums + channels); });
  return {{both.begin(), both.begin() + channels}, {both.begin() + channels, both.end()}};
}

template <typename T, typename Body>
void eachChunk(Extent extent, Body body) {
  at::parallel_for(0, (extent.rows + kChunk<T> - 1) / kChunk<T>, 1, [&](int64_t begin, int64_t end) {
    const int64_t row = begin * kChunk<T>;
    body(Extent{std::min(end * kChunk<T>, extent.rows) - row, extent.channels}, row * extent.channels);
  });
}

struct Statistics {
  Tensor mean, rstd;
};

struct Running {
  Tensor mean, variance;
  double momentum;
};

// The means of the first chunk, which takes no time to read.
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
Statistics statisticsOf(const Tensor& x, const Running& running, double eps) {
  const Extent extent = extentOf(x);
  // Squares of distances from about the mean: no digits are lost where a mean is large against the deviation.
  const std::vector<float> origin = originOf<T>(x);
  const T* values = dataOf<T>(x);
  const Sums sums = summed<T>(extent, [&](Extent part, int64_t at, float* sum, float* squares) {
    kernelsOf<T>().moments(part, values + at, origin.data(), sum, squares);
  });
  const Tensor mean = at::empty({extent.channels}, at::kFloat), rstd = at::empty({extent.channels}, at::kFloat);
  const double count = static_cast<double>(extent.rows);
  for (int64_t c = 0; c < extent.channels; ++c) {
    const double distance = sums.first[c] / count;
    // Not max(0, ...), which would hide NaN.
    double variance = sums.second[c] / count - distance * distance;
    if (variance < 0) variance = 0;
    dataOf<float>(mean)[c] = static_cast<float>(origin[c] + distance);
    // Zero where there is nothing to divide by, as libtorch has it.
    dataOf<float>(rstd)[c] = variance + eps == 0 ? 0 : static_cast<float>(1 / std::sqrt(variance + eps));
    float& movingMean = dataOf<float>(running.mean)[c];
    float& movingVariance = dataOf<float>(running.variance)[c];
    movingMean = static_cast<float>((1 - running.momentum) * movingMean + running.momentum * (origin[c] + distance));
    movingVariance =
        static_cast<float>((1 - running.momentum) * movingVariance + running.momentum * variance * count / (count - 1));
  }
  return {mean, rstd};
}

template <typename T>
Tensor normalised(const Tensor& x, const Statistics& statistics, const Tensor& weight, const Tensor& bias,
                  const Tensor& add, bool relu) {
  const Tensor scale = statistics.rstd * weight;
  const Tensor shift = bias - statistics.mean * scale;
  const Tensor y = at::empty_like(x);
  eachChunk<T>(extentOf(x), [&](Extent part, int64_t at) {
    const Following<T> following{add.defined() ? dataOf<T>(add) + at : nullptr, relu};
    kernelsOf<T>().scaleShiftAct(part, dataOf<T>(x) + at, dataOf<float>(scale), dataOf<float>(shift), following,
                                 dataOf<T>(y) + at);
  });
  return y;
}

struct Gradients {
  Tensor x, weight, bias, add;
};

// dz = dy where y > 0; dx = weight rstd (dz - mean(dz) - xhat mean(dz xhat)).
template <typename T>
Gradients gradientsOf(const Tensor& dy, const Tensor& y, const Tensor& x, const Statistics& statistics,
                      const Tensor& weight, bool ofAdd) {
  const Extent extent = extentOf(x);
  const auto at_ = [](const Tensor& t, int64_t at) { return t.defined() ? dataOf<T>(t) + at : nullptr; };
  // Without a ReLU dz is dy itself.
  const Tensor dz = ofAdd && y.defined() ? at::empty_like(dy) : Tensor();
  const Sums sums = summed<T>(extent, [&](Extent part, int64_t at, float* sum, float* dot) {
    kernelsOf<T>().actMoments(part, dataOf<T>(dy) + at, at_(y, at), dataOf<T>(x) + at, dataOf<float>(statistics.mean),
                              at_(dz, at), sum, dot);
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
  eachChunk<T>(extent, [&](Extent part, int64_t at) {
    kernelsOf<T>().normBackward(part, dataOf<T>(masked) + at, at_(mask, at), dataOf<T>(x) + at,
                                {gain.data(), slope.data(), offset.data()}, dataOf<T>(dx) + at);
  });
  return {dx, dweight, dbias, ofAdd ? masked : Tensor()};
}

Tensor meanOf(const Tensor& x) { return x.mean({0, 2, 3}, /*keepdim=*/true); }

// (x - mean) rstd and rstd, operation by operation: the second derivative of libtorch's batch norm takes mean and rstd
// for constants, so that a third one is wrong.
struct Hat {
  Tensor rstd, value;

  Hat(const Tensor& x, double eps) {
    const Tensor distance = x - meanOf(x);
    rstd = (meanOf(distance.square()) + eps).rsqrt();
    value = distance * rstd;
  }
};

// The same in libtorch's operators, for what is differentiated twice by all that it is made of.
Tensor composed(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& add, bool relu, double eps) {
  const Hat hat(x.to(at::kFloat), eps);
  const Tensor normed = (hat.value * weight.view({-1, 1, 1}) + bias.view({-1, 1, 1})).to(x.scalar_type());
  const Tensor sum = add.defined() ? normed + add : normed;
  return relu ? at::relu(sum) : sum;
}

struct Twice {
  Tensor dy, x, weight;
};

// With n values to a channel, S = sum(u), Z = sum(dz), A = sum(u xhat), B = sum(dz xhat), P = sum(u dz):
// sum(u dx) = F = weight rstd (P - S Z / n - A B / n), whose derivatives are
//   by dz: weight rstd (u - S / n - xhat A / n), the gradient's own form, for the norm's Jacobian is symmetric;
//   by weight: F / weight;
//   by x: -F rstd xhat / n - weight rstd² / n (B u + A dz - (S B + Z A) / n - 2 A B xhat / n).
struct TwiceFactors {
  std::vector<float> gain, slope, offset, ofU, ofGradient, ofX, constant;
  Tensor weight;

  // `sums` are those of normTwiceMoments over n rows.
  TwiceFactors(const std::vector<double>& sums, double n, const Statistics& statistics, const Tensor& weight_)
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

  NormTwiceGradient pointers() const {
    return {{gain.data(), slope.data(), offset.data()}, ofU.data(), ofGradient.data(), ofX.data(), constant.data()};
  }
};

template <typename T>
Twice twice(const Tensor& u, const Tensor& v, const Tensor& dy, const Tensor& y, const Tensor& x,
            const Statistics& statistics, const Tensor& weight) {
  const Extent extent = extentOf(x);
  const auto from = [&](int64_t at) {
    const auto start = [&](const Tensor& t) { return t.defined() ? dataOf<T>(t) + at : nullptr; };
    return NormTwice<T>{start(u), start(v), start(dy), start(y), start(x)};
  };
  const auto sums = sumsOfChunks<T>(extent, kTwiceSums, [&](Extent part, int64_t at, float* to) {
    kernelsOf<T>().normTwiceMoments(part, from(at), dataOf<float>(statistics.mean), to);
  });
  const TwiceFactors factors(sums, static_cast<double>(extent.rows), statistics, weight);
  const Tensor ddy = at::empty_like(dy), dx = at::empty_like(x);
  eachChunk<T>(extent, [&](Extent part, int64_t at) {
    kernelsOf<T>().normTwice(part, from(at), factors.pointers(), dataOf<T>(ddy) + at, dataOf<T>(dx) + at);
  });
  return {ddy, dx, factors.weight};
}

Tensor laidOut(const Tensor& gradient, const Tensor& like) {
  return gradient.to(like.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
}

// The gradients of BatchNormAct's input and of what it adds, from dy, with a derivative of their own.
struct BatchNormActGradient : torch::autograd::Function<BatchNormActGradient> {
  static variable_list forward(AutogradContext* context, const Tensor& dy, const Tensor& x, const Tensor& weight,
                               const std::optional<Tensor>& kept, const Statistics& statistics, bool ofAdd,
                               double eps) {
    const Tensor y = kept.value_or(Tensor());
    context->save_for_backward({dy, x, weight, y, statistics.mean, statistics.rstd});
    context->saved_data["eps"] = eps;
    const Gradients of =
        inDtype(x, [&](auto value) { return gradientsOf<decltype(value)>(dy, y, x, statistics, weight, ofAdd); });
    if (!ofAdd) return {of.x};
    // What is given out again as it came would be taken for the argument itself.
    return {of.x, of.add.is_same(dy) ? of.add.clone() : of.add};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &dy = saved[0], &x = saved[1], &weight = saved[2], &y = saved[3];
    const bool ofAdd = gradients.size() > 1 && gradients[1].defined();
    variable_list result(7);
    if (at::GradMode::is_enabled()) {
      const double eps = context->saved_data["eps"].toDouble();
      const variable_list of =
          gradientsWithGraph(context, {dy, x, weight}, at::ones({}, at::kFloat),
                             [&](const variable_list& from) { return pulled(from, y, gradients, eps); });
      std::copy(of.begin(), of.end(), result.begin());
      return result;
    }
    const Tensor u = gradients[0].defined() ? laidOut(gradients[0], x) : at::zeros_like(x);
    const Tensor v = ofAdd ? laidOut(gradients[1], x) : Tensor();
    const Twice of = inDtype(x, [&](auto value) {
      return twice<decltype(value)>(u, v, dy, y, x, {saved[4], saved[5]}, weight);
    });
    result[0] = of.dy;
    result[1] = of.x;
    result[2] = of.weight;
    return result;
  }

  // sum(u dx) + sum(v dz) in libtorch's operators.
  static Tensor pulled(const variable_list& from, const Tensor& y, const variable_list& gradients, double eps) {
    const Tensor dy = from[0].to(at::kFloat), x = from[1].to(at::kFloat);
    const Tensor dz = y.defined() ? dy * y.gt(0) : dy;
    const Hat hat(x, eps);
    const Tensor dx = from[2].view({-1, 1, 1}) * hat.rstd * (dz - meanOf(dz) - hat.value * meanOf(dz * hat.value));
    Tensor sum = gradients[0].defined() ? (gradients[0] * dx).sum() : at::zeros({}, at::kFloat);
    if (gradients.size() > 1 && gradients[1].defined()) sum = sum + (gradients[1] * dz).sum();
    return sum;
  }
};

struct BatchNormAct : torch::autograd::Function<BatchNormAct> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const std::optional<Tensor>& added, const Running& running, bool relu, double eps) {
    const Tensor add = added.value_or(Tensor());
    const Statistics statistics =
        inDtype(x, [&](auto value) { return statisticsOf<decltype(value)>(x, running, eps); });
    const Tensor y =
        inDtype(x, [&](auto value) { return normalised<decltype(value)>(x, statistics, weight, bias, add, relu); });
    context->save_for_backward({x, weight, bias, add, statistics.mean, statistics.rstd, relu ? y : Tensor()});
    context->saved_data["eps"] = eps;
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &bias = saved[2], &add = saved[3], &y = saved[6];
    const Tensor dy = laidOut(gradients[0], x);
    const Statistics statistics{saved[4], saved[5]};
    const bool ofAdd = add.defined() && context->needs_input_grad(3);
    const bool ofWeights = context->needs_input_grad(1) || context->needs_input_grad(2);
    if (at::GradMode::is_enabled() && !ofWeights) {
      const variable_list of =
          BatchNormActGradient::apply(dy, x, weight, y.defined() ? std::optional(y.detach()) : std::nullopt, statistics,
                                      ofAdd, context->saved_data["eps"].toDouble());
      return {of[0], Tensor(), Tensor(), ofAdd ? of[1] : Tensor(), Tensor(), Tensor(), Tensor()};
    }
    if (at::GradMode::is_enabled()) {
      const double eps = context->saved_data["eps"].toDouble();
      const bool relu = y.defined();
      variable_list result =
          gradientsWithGraph(context, {x, weight, bias, add}, gradients[0],
                             [&](const variable_list& of) { return composed(of[0], of[1], of[2], of[3], relu, eps); });
      result.resize(7);
      return result;
    }
    const Gradients of =
        inDtype(x, [&](auto value) { return gradientsOf<decltype(value)>(dy, y, x, statistics, weight, ofAdd); });
    return {of.x, of.weight, of.bias, of.add, Tensor(), Tensor(), Tensor()};
  }
};

Tensor batchNormAct(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& runningMean,
                    const Tensor& runningVariance, const std::optional<Tensor>& add, bool relu, double momentum,
                    double eps) {
  TORCH_CHECK(x.dim() == 4 && x.numel() > x.size(1),
              "x must be (N, C, H, W) with more than one value per channel, got shape ", x.sizes());
  TORCH_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16, "dtype ", x.scalar_type(),
              " has no kernel of batch norm");
  for (const Tensor& of : {weight, bias, runningMean, runningVariance})
    TORCH_CHECK(of.sizes() == x.sizes().slice(1, 1) && of.scalar_type() == at::kFloat && of.is_contiguous(),
                "weights and running statistics must be contiguous float32 of shape [", x.size(1), "], got ",
                of.sizes());
  std::optional<Tensor> shortcut;
  if (add.has_value()) {
    TORCH_CHECK(add->sizes() == x.sizes(), "what is added must have x's shape ", x.sizes(), ", got ", add->sizes());
    shortcut = add->to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
  }
  const Running running{runningMean, runningVariance, momentum};
  return BatchNormAct::apply(x.contiguous(at::MemoryFormat::ChannelsLast), weight, bias, shortcut, running, relu, eps);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def(
      "batch_norm_act(Tensor x, Tensor weight, Tensor bias, Tensor running_mean, Tensor running_var, Tensor? add, bool "
      "relu, "
      "float momentum, float eps) -> Tensor",
      torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(batchNormAct)));
}

}  // namespace batch_cam
