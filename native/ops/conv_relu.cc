// relu(conv(x) + bias), and its maximum over squares of 2x2 pixels: what a plain convolutional network is made of. Only
// what is left of the convolution's result is kept: a quarter, and for each a byte that says which it was.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/tensor.h>
#include <torch/library.h>

#include <cstring>

#include "kernels/table.h"
#include "ops/convolution.h"
#include "ops/double_backward.h"
#include "ops/dtypes.h"
#include "ops/parallel_sums.h"

namespace batch_cam {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Tensor empty(const Geometry& g, int64_t height, int64_t width, at::ScalarType dtype) {
  return at::empty({g.images, g.outer, height, width}, at::TensorOptions(dtype), at::MemoryFormat::ChannelsLast);
}

// Lines of what a convolution gives, in pairs; what an odd side leaves over belongs to none.
struct Lines {
  explicit Lines(const Geometry& g) : g_(g), height(g.outHeight / 2), width(g.outWidth / 2) {}

  Extent pooled() const { return {width, g_.outer}; }
  int64_t upper(int64_t image, int64_t line) const {
    return (image * g_.outHeight + 2 * line) * g_.outWidth * g_.outer;
  }
  int64_t lower(int64_t image, int64_t line) const { return upper(image, line) + g_.outWidth * g_.outer; }
  int64_t pooledAt(int64_t image, int64_t line) const { return (image * height + line) * width * g_.outer; }

 private:
  const Geometry& g_;

 public:
  const int64_t height, width;
};

template <typename T>
void poolImages(const Tensor& z, const Lines& lines, const Tensor& y, const Tensor& codes) {
  auto* picked = codes.defined() ? static_cast<uint8_t*>(codes.data_ptr()) : nullptr;
  at::parallel_for(0, z.size(0) * lines.height, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / lines.height, line = i % lines.height;
      const int64_t to = lines.pooledAt(image, line);
      kernelsOf<T>().rectifyPool(lines.pooled(), dataOf<T>(z) + lines.upper(image, line),
                                 dataOf<T>(z) + lines.lower(image, line), dataOf<T>(y) + to,
                                 picked == nullptr ? nullptr : picked + to);
    }
  });
}

template <typename T>
void rectifyAll(const Tensor& z) {
  at::parallel_for(0, z.numel(), 1 << 15,
                   [&](int64_t begin, int64_t end) { kernelsOf<T>().rectify(end - begin, dataOf<T>(z) + begin); });
}

template <typename T>
Tensor pooledForward(const Tensor& x, const Tensor& operand, const Tensor& bias, const Geometry& g,
                     const Tensor& codes) {
  const Lines lines(g);
  const Tensor y = empty(g, lines.height, lines.width, x.scalar_type());
  const Tensor z = forwardPass(x, operand, bias, g);
  poolImages<T>(z.contiguous(at::MemoryFormat::ChannelsLast), lines, y, codes);
  return y;
}

template <typename T>
Tensor rectifiedForward(const Tensor& x, const Tensor& operand, const Tensor& bias, const Geometry& g) {
  const Tensor z = forwardPass(x, operand, bias, g).contiguous(at::MemoryFormat::ChannelsLast);
  rectifyAll<T>(z);
  return z;
}

struct Passed {
  Tensor dz, bias;
};

Tensor toTensor(const std::vector<double>& sums) {
  return at::tensor(at::ArrayRef<double>(sums), at::kDouble).to(at::kFloat);
}

// What pooling and the ReLU let through of dy, and its sums over pixels.
template <typename T>
Passed unpooled(const Tensor& dy, const Tensor& codes, const Geometry& g) {
  const Lines lines(g);
  const Tensor dz = empty(g, g.outHeight, g.outWidth, dy.scalar_type());
  const auto* picked = static_cast<const uint8_t*>(codes.const_data_ptr());
  const int64_t row = g.outWidth * g.outer, over = (g.outWidth - 2 * lines.width) * g.outer;
  const auto sums = sumOfTasks(g.images, g.outer, [&](int64_t image, float* sum) {
    for (int64_t line = 0; line < lines.height; ++line) {
      const int64_t from = lines.pooledAt(image, line);
      T *upper = dataOf<T>(dz) + lines.upper(image, line), *lower = dataOf<T>(dz) + lines.lower(image, line);
      kernelsOf<T>().unpool(lines.pooled(), dataOf<T>(dy) + from, picked + from, upper, lower);
      for (T* end : {upper + row, lower + row}) std::memset(end - over, 0, over * sizeof(T));
    }
    if (g.outHeight % 2 == 1) std::memset(dataOf<T>(dz) + ((image + 1) * g.outHeight - 1) * row, 0, row * sizeof(T));
    const int64_t first = lines.pooledAt(image, 0);
    kernelsOf<T>().codedSums({lines.height * lines.width, g.outer}, dataOf<T>(dy) + first, picked + first, sum);
  });
  return {dz, toTensor(sums)};
}

template <typename T>
Passed unrectified(const Tensor& dy, const Tensor& y, const Geometry& g) {
  const Tensor dz = at::empty_like(dy);
  const Extent image{g.outHeight * g.outWidth, g.outer};
  const auto sums = sumOfTasks(g.images, g.outer, [&](int64_t i, float* sum) {
    const int64_t at = i * image.rows * image.channels;
    kernelsOf<T>().rectifyBackward(image, dataOf<T>(dy) + at, dataOf<T>(y) + at, dataOf<T>(dz) + at, sum);
  });
  return {dz, toTensor(sums)};
}

// The same in libtorch's operators, for what is differentiated twice.
Tensor composed(const Tensor& x, const Tensor& weight, const Tensor& bias, const Geometry& g, bool pool) {
  const auto dtype = x.scalar_type();
  const Tensor y = at::relu(at::conv2d(x, weight.to(dtype), bias.to(dtype), g.stride, g.padding));
  return pool ? at::max_pool2d(y, 2) : y;
}

struct ConvRelu : torch::autograd::Function<ConvRelu> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const Geometry& g, bool pool, bool differentiated) {
    const Tensor operand = operandOf(weight, x, g), offset = bias.to(x.scalar_type());
    const Lines lines(g);
    const Tensor codes = pool && differentiated ? empty(g, lines.height, lines.width, at::kByte) : Tensor();
    const Tensor y = inDtype(x, [&](auto value) {
      using T = decltype(value);
      return pool ? pooledForward<T>(x, operand, offset, g, codes) : rectifiedForward<T>(x, operand, offset, g);
    });
    context->save_for_backward({x, weight, bias, operand, pool ? codes : y});
    context->saved_data["stride"] = g.stride;
    context->saved_data["padding"] = g.padding;
    context->saved_data["pool"] = pool;
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &bias = saved[2], &operand = saved[3], &kept = saved[4];
    const bool pool = context->saved_data["pool"].toBool();
    const Geometry g =
        geometryOf(x, weight, context->saved_data["stride"].toInt(), context->saved_data["padding"].toInt());
    if (at::GradMode::is_enabled()) {
      variable_list result = gradientsWithGraph(context, {x, weight, bias}, gradients[0], [&](const variable_list& of) {
        return composed(of[0], of[1], of[2], g, pool);
      });
      result.resize(6);
      return result;
    }
    const Tensor dy = gradients[0].to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
    const Passed passed = inDtype(x, [&](auto value) {
      using T = decltype(value);
      return pool ? unpooled<T>(dy, kept, g) : unrectified<T>(dy, kept, g);
    });
    Tensor dx, dweight;
    if (context->needs_input_grad(0)) dx = inputPass(x, operand, passed.dz, g);
    if (context->needs_input_grad(1)) dweight = weightPass(x, weight, passed.dz, g);
    return {dx, dweight, passed.bias, Tensor(), Tensor(), Tensor()};
  }
};

Tensor convRelu(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t stride, int64_t padding, bool pool) {
  checkConvolution(x, weight, stride, padding);
  TORCH_CHECK(bias.sizes() == weight.sizes().slice(0, 1) && bias.scalar_type() == at::kFloat,
              "bias must be float32 of shape [", weight.size(0), "], got ", bias.sizes());
  const Tensor laid = x.contiguous(at::MemoryFormat::ChannelsLast);
  const Geometry g = geometryOf(laid, weight, stride, padding);
  const int64_t least = pool ? 2 : 1;
  TORCH_CHECK(g.images > 0 && g.outHeight >= least && g.outWidth >= least, "nothing is left of x of shape ", x.sizes());
  const bool differentiated =
      at::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad() || bias.requires_grad());
  return ConvRelu::apply(laid, weight, bias, g, pool, differentiated);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def("conv_relu(Tensor x, Tensor weight, Tensor bias, int stride, int padding, bool pool) -> Tensor",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(convRelu)));
}

}  // namespace batch_cam
