// batch_cam::depthwise_conv(x, weight, bias): y[n, h, w, c] = bias[c] + sum over r, s of
// x[n, h + r - b, w + s - b, c] weight[c, 0, r, s] with b = k / 2, for x (N, H, W, C) in float32 or bfloat16, a weight
// (C, 1, k, k) with k = 3, 5 or 7 and an optional float32 bias (C). It can be differentiated to any order.
//
// Caller: the ConvNeXt-V2 block (src/models/convnext-v2/convnext-block.ts). The block's images are
// channels-last, and this kernel reads and writes that layout in x's dtype with sums in float32, without copies. The
// work is divided among threads by images.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <memory>
#include <vector>

#include "kernels/table.h"
#include "memory/aligned_buffer.h"
#include "ops/double_backward.h"
#include "ops/dtypes.h"
#include "ops/failure.h"

namespace batch_cam {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The sizes of one image, in x's layout and padded (see kernels/depthwise.h).
struct Layout {
  Layout(const Tensor& x, int64_t kernel) {
    const int64_t lanes = kernels().lanes;
    const int64_t channels = x.size(3);
    image = {x.size(1), x.size(2), channels, (channels + lanes - 1) / lanes * lanes, kernel};
  }
  DepthwiseImage image;

  int64_t pixels() const { return image.height * image.width * image.channels; }
  int64_t padded() const {
    const int64_t border = image.kernel / 2 * 2;
    return (image.height + border) * (image.width + border) * image.paddedChannels;
  }
};

// A weight (C, 1, k, k) as (k, k, paddedChannels), rotated by 180 degrees for the gradient with respect to the input.
Buffer<float> kernelOf(const Tensor& weight, const DepthwiseImage& image, bool rotated180) {
  const Tensor source = weight.to(at::kFloat).contiguous();
  const float* from = source.const_data_ptr<float>();
  const int64_t positions = image.kernel * image.kernel;
  Buffer<float> made(positions * image.paddedChannels);
  for (int64_t c = 0; c < image.channels; ++c)
    for (int64_t i = 0; i < positions; ++i)
      made[(rotated180 ? positions - 1 - i : i) * image.paddedChannels + c] = from[c * positions + i];
  return made;
}

template <typename T>
Tensor convolved(const Tensor& x, const Tensor& weight, const float* bias) {
  const Layout layout(x, weight.size(2));
  const Buffer<float> kernel = kernelOf(weight, layout.image, /*rotated180=*/false);
  const Tensor out = at::empty_like(x);
  at::parallel_for(0, x.size(0), 1, [&](int64_t begin, int64_t end) {
    Buffer<float> padded(layout.padded());
    for (int64_t n = begin; n < end; ++n) {
      kernelsOf<T>().pad(layout.image, dataOf<T>(x) + n * layout.pixels(), padded.data());
      kernelsOf<T>().depthwise(layout.image, padded.data(), kernel.data(), bias, dataOf<T>(out) + n * layout.pixels());
    }
  });
  return out;
}

struct Gradients {
  Tensor x, weight, bias;
};

// The sums of one thread: the weight's gradient (k, k, paddedChannels) and the bias's.
struct Sums {
  explicit Sums(const DepthwiseImage& image)
      : weight(image.kernel * image.kernel * image.paddedChannels), bias(image.channels) {}
  Buffer<float> weight, bias;
};

template <typename T>
Gradients gradientsOf(const Tensor& x, const Tensor& weight, const Tensor& dy, bool ofInput) {
  const Layout layout(x, weight.size(2));
  const Buffer<float> kernel = kernelOf(weight, layout.image, /*rotated180=*/true);
  const Tensor dx = ofInput ? at::empty_like(x) : Tensor();
  std::vector<std::unique_ptr<Sums>> perThread(at::get_num_threads());
  const auto& kernelsOfT = kernelsOf<T>();
  at::parallel_for(0, x.size(0), 1, [&](int64_t begin, int64_t end) {
    auto& sums = perThread[at::get_thread_num()];
    if (!sums) sums = std::make_unique<Sums>(layout.image);
    Buffer<float> padded(layout.padded()), gradient(layout.padded());
    for (int64_t n = begin; n < end; ++n) {
      const T* dyOfImage = dataOf<T>(dy) + n * layout.pixels();
      kernelsOfT.pad(layout.image, dataOf<T>(x) + n * layout.pixels(), padded.data());
      kernelsOfT.pad(layout.image, dyOfImage, gradient.data());
      kernelsOfT.depthwiseWeight(layout.image, padded.data(), gradient.data(), sums->weight.data());
      kernelsOfT.columnSums({layout.image.height * layout.image.width, layout.image.channels}, dyOfImage,
                            sums->bias.data());
      if (ofInput)
        kernelsOfT.depthwise(layout.image, gradient.data(), kernel.data(), nullptr,
                             dataOf<T>(dx) + n * layout.pixels());
    }
  });
  const Tensor dweight = at::zeros(weight.sizes(), at::kFloat);
  const Tensor dbias = at::zeros({layout.image.channels}, at::kFloat);
  const int64_t positions = layout.image.kernel * layout.image.kernel;
  for (const auto& sums : perThread) {
    if (!sums) continue;
    for (int64_t c = 0; c < layout.image.channels; ++c) {
      dataOf<float>(dbias)[c] += sums->bias[c];
      for (int64_t i = 0; i < positions; ++i)
        dataOf<float>(dweight)[c * positions + i] += sums->weight[i * layout.image.paddedChannels + c];
    }
  }
  return {dx, dweight, dbias};
}

Tensor depthwiseConv(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias);

Tensor rotated180(const Tensor& weight) { return weight.flip({2, 3}); }

// The gradient with respect to the weight: dweight[c, r, s] = sum over n, h, w of dy[n, h, w, c] x[n, h + r - b, w + s
// - b, c]. It is bilinear in x and dy, so that its derivatives are depthwise convolutions again.
struct DepthwiseWeight : torch::autograd::Function<DepthwiseWeight> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& dy, const Tensor& weight) {
    context->save_for_backward({x, dy});
    return dispatchDtype(x, [&](auto value) { return gradientsOf<decltype(value)>(x, weight, dy, false).weight; });
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor& direction = gradients[0];
    Tensor dx, ddy;
    if (context->needs_input_grad(0)) dx = depthwiseConv(saved[1], rotated180(direction), std::nullopt);
    if (context->needs_input_grad(1)) ddy = depthwiseConv(saved[0], direction, std::nullopt);
    return {dx, ddy, Tensor()};
  }
};

struct DepthwiseConv : torch::autograd::Function<DepthwiseConv> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& bias) {
    context->save_for_backward({x, weight});
    context->saved_data["hasBias"] = bias.has_value();
    const float* offsets = bias.has_value() ? bias->const_data_ptr<float>() : nullptr;
    return dispatchDtype(x, [&](auto value) { return convolved<decltype(value)>(x, weight, offsets); });
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1];
    const Tensor dy = gradients[0].to(x.scalar_type()).contiguous();
    const bool ofInput = context->needs_input_grad(0), hasBias = context->saved_data["hasBias"].toBool();
    if (at::GradMode::is_enabled())
      return differentiable(x, weight, dy, {ofInput, context->needs_input_grad(1), hasBias});
    const Gradients of =
        dispatchDtype(x, [&](auto value) { return gradientsOf<decltype(value)>(x, weight, dy, ofInput); });
    return {of.x, of.weight, hasBias ? of.bias : Tensor()};
  }

  // The gradients with a graph, as operators that can be differentiated again.
  static variable_list differentiable(const Tensor& x, const Tensor& weight, const Tensor& dy,
                                      std::array<bool, 3> wanted) {
    variable_list result(3);
    if (wanted[0]) result[0] = depthwiseConv(dy, rotated180(weight), std::nullopt);
    if (wanted[1]) result[1] = DepthwiseWeight::apply(x, dy, weight.detach());
    if (wanted[2]) result[2] = dy.sum({0, 1, 2}, false, at::kFloat);
    return result;
  }
};

Tensor depthwiseConv(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  expect(x.dim() == 4 && weight.dim() == 4 && weight.size(0) == x.size(3) && weight.size(1) == 1, FailureKind::kShape,
         "weight must have the shape (C, 1, k, k) for x of shape (N, H, W, C), got ", weight.sizes(), " for ",
         x.sizes());
  expect(weight.size(2) == weight.size(3) && (weight.size(2) == 3 || weight.size(2) == 5 || weight.size(2) == 7),
         FailureKind::kShape, "weight must have a shape of 3x3, 5x5 or 7x7, got ", weight.sizes());
  expect(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16, FailureKind::kDtype, "dtype ",
         x.scalar_type(), " is not supported: x must be float32 or bfloat16");
  return DepthwiseConv::apply(x.contiguous(), weight, bias);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def("depthwise_conv(Tensor x, Tensor weight, Tensor? bias=None) -> Tensor",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(depthwiseConv)));
}

}  // namespace batch_cam
