// Depthwise convolution over pixels whose channels lie last: stride 1, as many pixels out as in.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <memory>
#include <vector>

#include "kernels/table.h"
#include "memory/buffer.h"
#include "ops/double_backward.h"
#include "ops/dtypes.h"

namespace batch_cam {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Layout {
  Layout(const Tensor& x, int64_t kernel) {
    const int64_t lanes = kernels().lanes;
    const int64_t channels = x.size(3);
    image = {x.size(1), x.size(2), channels, (channels + lanes - 1) / lanes * lanes, kernel};
  }
  PaddedImage image;

  int64_t pixels() const { return image.height * image.width * image.channels; }
  int64_t framed() const {
    const int64_t border = image.kernel / 2 * 2;
    return (image.height + border) * (image.width + border) * image.padded;
  }
};

// (C, 1, k, k) as (k, k, padded channels), turned by half a turn where the gradient asks for it.
Buffer<float> kernelOf(const Tensor& weight, const PaddedImage& image, bool turned) {
  const Tensor source = weight.to(at::kFloat).contiguous();
  const float* from = source.const_data_ptr<float>();
  const int64_t places = image.kernel * image.kernel;
  Buffer<float> made(places * image.padded);
  for (int64_t c = 0; c < image.channels; ++c)
    for (int64_t i = 0; i < places; ++i) made[(turned ? places - 1 - i : i) * image.padded + c] = from[c * places + i];
  return made;
}

template <typename T>
Tensor convolved(const Tensor& x, const Tensor& weight, const float* bias) {
  const Layout layout(x, weight.size(2));
  const Buffer<float> kernel = kernelOf(weight, layout.image, /*turned=*/false);
  const Tensor out = at::empty_like(x);
  at::parallel_for(0, x.size(0), 1, [&](int64_t begin, int64_t end) {
    Buffer<float> framed(layout.framed());
    for (int64_t n = begin; n < end; ++n) {
      kernelsOf<T>().frame(layout.image, dataOf<T>(x) + n * layout.pixels(), framed.data());
      kernelsOf<T>().depthwise(layout.image, framed.data(), kernel.data(), bias, dataOf<T>(out) + n * layout.pixels());
    }
  });
  return out;
}

struct Gradients {
  Tensor x, weight, bias;
};

struct Sums {
  explicit Sums(const PaddedImage& image) : weight(image.kernel * image.kernel * image.padded), bias(image.channels) {}
  Buffer<float> weight, bias;
};

template <typename T>
Gradients gradientsOf(const Tensor& x, const Tensor& weight, const Tensor& dy, bool ofInput) {
  const Layout layout(x, weight.size(2));
  const Buffer<float> kernel = kernelOf(weight, layout.image, /*turned=*/true);
  const Tensor dx = ofInput ? at::empty_like(x) : Tensor();
  std::vector<std::unique_ptr<Sums>> perThread(at::get_num_threads());
  const auto& kernelOfT = kernelsOf<T>();
  at::parallel_for(0, x.size(0), 1, [&](int64_t begin, int64_t end) {
    auto& sums = perThread[at::get_thread_num()];
    if (!sums) sums = std::make_unique<Sums>(layout.image);
    Buffer<float> framed(layout.framed()), gradient(layout.framed());
    for (int64_t n = begin; n < end; ++n) {
      const T* dyOfImage = dataOf<T>(dy) + n * layout.pixels();
      kernelOfT.frame(layout.image, dataOf<T>(x) + n * layout.pixels(), framed.data());
      kernelOfT.frame(layout.image, dyOfImage, gradient.data());
      kernels().depthwiseWeight(layout.image, framed.data(), gradient.data(), sums->weight.data());
      kernelOfT.columnSums({layout.image.height * layout.image.width, layout.image.channels}, dyOfImage,
                           sums->bias.data());
      if (ofInput)
        kernelOfT.depthwise(layout.image, gradient.data(), kernel.data(), nullptr, dataOf<T>(dx) + n * layout.pixels());
    }
  });
  const Tensor dweight = at::zeros(weight.sizes(), at::kFloat);
  const Tensor dbias = at::zeros({layout.image.channels}, at::kFloat);
  const int64_t places = layout.image.kernel * layout.image.kernel;
  for (const auto& sums : perThread) {
    if (!sums) continue;
    for (int64_t c = 0; c < layout.image.channels; ++c) {
      dataOf<float>(dbias)[c] += sums->bias[c];
      for (int64_t i = 0; i < places; ++i)
        dataOf<float>(dweight)[c * places + i] += sums->weight[i * layout.image.padded + c];
    }
  }
  return {dx, dweight, dbias};
}

Tensor depthwiseConv(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias);

Tensor turnedBack(const Tensor& weight) { return weight.flip({2, 3}); }

// dweight[c, r, s] = sum of dy[n, h, w, c] x[n, h + r, w + s, c]: bilinear, so that its derivatives are convolutions
// again.
struct DepthwiseWeight : torch::autograd::Function<DepthwiseWeight> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& dy, const Tensor& weight) {
    context->save_for_backward({x, dy});
    return inDtype(x, [&](auto value) { return gradientsOf<decltype(value)>(x, weight, dy, false).weight; });
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor& turn = gradients[0];
    Tensor dx, ddy;
    if (context->needs_input_grad(0)) dx = depthwiseConv(saved[1], turnedBack(turn), std::nullopt);
    if (context->needs_input_grad(1)) ddy = depthwiseConv(saved[0], turn, std::nullopt);
    return {dx, ddy, Tensor()};
  }
};

struct DepthwiseConv : torch::autograd::Function<DepthwiseConv> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& bias) {
    context->save_for_backward({x, weight});
    context->saved_data["hasBias"] = bias.has_value();
    const float* offsets = bias.has_value() ? bias->const_data_ptr<float>() : nullptr;
    return inDtype(x, [&](auto value) { return convolved<decltype(value)>(x, weight, offsets); });
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1];
    const Tensor dy = gradients[0].to(x.scalar_type()).contiguous();
    const bool ofInput = context->needs_input_grad(0), hasBias = context->saved_data["hasBias"].toBool();
    if (at::GradMode::is_enabled())
      return differentiable(x, weight, dy, {ofInput, context->needs_input_grad(1), hasBias});
    const Gradients of = inDtype(x, [&](auto value) { return gradientsOf<decltype(value)>(x, weight, dy, ofInput); });
    return {of.x, of.weight, hasBias ? of.bias : Tensor()};
  }

  // With a graph of its own.
  static variable_list differentiable(const Tensor& x, const Tensor& weight, const Tensor& dy,
                                      std::array<bool, 3> wanted) {
    variable_list result(3);
    if (wanted[0]) result[0] = depthwiseConv(dy, turnedBack(weight), std::nullopt);
    if (wanted[1]) result[1] = DepthwiseWeight::apply(x, dy, weight.detach());
    if (wanted[2]) result[2] = dy.sum({0, 1, 2}, false, at::kFloat);
    return result;
  }
};

Tensor depthwiseConv(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  TORCH_CHECK(x.dim() == 4 && weight.dim() == 4 && weight.size(0) == x.size(3) && weight.size(1) == 1,
              "weight must have the shape (C, 1, k, k) for x of shape (N, H, W, C), got ", weight.sizes(), " for ",
              x.sizes());
  TORCH_CHECK(weight.size(2) == weight.size(3) && (weight.size(2) == 3 || weight.size(2) == 5 || weight.size(2) == 7),
              "weight must have a shape of 3x3, 5x5 or 7x7, got ", weight.sizes());
  TORCH_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16, "dtype ", x.scalar_type(),
              " has no depthwise kernel");
  return DepthwiseConv::apply(x.contiguous(), weight, bias);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def("depthwise_conv(Tensor x, Tensor weight, Tensor? bias=None) -> Tensor",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(depthwiseConv)));
}

}  // namespace batch_cam
