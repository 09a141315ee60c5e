// Convolution whose passes each take the way that is fastest for their shape: oneDNN's kernel, or the image's patches
// as a matrix and one product. oneDNN's weight gradient falls to a fifth of a product's speed where maps are small, and
// all three of its passes do where their weights outweigh their maps. The choice is a rule of the shape, not a
// measurement of the moment, so that a run can be repeated bit for bit.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <torch/library.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/table.h"
#include "ops/convolution.h"
#include "ops/double_backward.h"
#include "ops/dtypes.h"
#include "ops/positions.h"
#include "ops/winograd.h"

namespace batch_cam {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Measured on two AMX cores, for ResNet-18's shapes at 28x28 (milliseconds of oneDNN against a product with its
// patches): weight gradients of 512x512 at 4x4 16.4 against 2.8, of 256x256 at 7x7 4.8 against 2.9, of 128 to 256 with
// stride 2 3.5 against 1.7, but of 64x64 at 28x28 2.4 against 19; forward 512x512 at 4x4 5.3 against 2.8, 256x256 at
// 7x7 1.2 against 2.9.
bool weightByProduct(const Geometry& g, at::ScalarType dtype) {
  // oneDNN's kernel for this one, in float32 and with few channels, has been seen to read outside of its memory.
  if (g.isPointwise()) return true;
  if (g.inner < 16 || g.outer < 16) return false;
  if (dtype == at::kBFloat16 && hasWeightGradientMatrix(g)) return true;
  return g.outHeight * g.outWidth <= 64;
}

bool valuesByProduct(const Geometry& g) {
  // For results one pixel wide oneDNN's bfloat16 kernel has been seen to read memory that nobody wrote.
  if (g.outWidth == 1 && g.kernel > 1) return true;
  return g.inner >= 256 && g.outer >= 256 && g.outHeight * g.outWidth <= 25;
}

bool byPoints(const Geometry& g, const Tensor& x) { return x.scalar_type() == at::kFloat && hasWinograd(g); }

Tensor pixelsOf(const Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast).permute({0, 2, 3, 1}); }

// (output pixels, kernel places x channels): what each place of the kernel sees, zero outside of the image.
template <typename T>
Tensor patchesOf(const Tensor& x, const Geometry& g) {
  const Tensor pixels = pixelsOf(x);
  if (g.isPointwise() && g.stride == 1) return pixels.view({g.outPixels(), g.inner});
  const Tensor patches = at::empty({g.outPixels(), g.patch()}, x.options());
  const T* from = dataOf<T>(pixels);
  const size_t bytes = static_cast<size_t>(g.inner) * sizeof(T);
  at::parallel_for(0, g.images * g.outHeight, 1, [&](int64_t begin, int64_t end) {
    T* to = dataOf<T>(patches) + begin * g.outWidth * g.patch();
    for (int64_t line = begin; line < end; ++line) {
      const int64_t image = line / g.outHeight, top = line % g.outHeight * g.stride - g.padding;
      for (int64_t column = 0; column < g.outWidth; ++column)
        for (int64_t r = 0; r < g.kernel; ++r)
          for (int64_t s = 0; s < g.kernel; ++s, to += g.inner) {
            const int64_t h = top + r, w = column * g.stride - g.padding + s;
            const bool inside = h >= 0 && h < g.height && w >= 0 && w < g.width;
            if (inside) {
              std::memcpy(to, from + ((image * g.height + h) * g.width + w) * g.inner, bytes);
            } else {
              std::memset(to, 0, bytes);
            }
          }
    }
  });
  return patches;
}

template <typename T>
Tensor forwardByProduct(const Tensor& x, const Tensor& matrix, const Tensor& bias, const Geometry& g) {
  const Tensor patches = patchesOf<T>(x, g);
  // No view: what a function of autograd's gives may be changed in place.
  const Tensor y = at::empty({g.images, g.outer, g.outHeight, g.outWidth}, x.options(), at::MemoryFormat::ChannelsLast);
  Tensor rows = pixelsOf(y).view({g.outPixels(), g.outer});
  if (bias.defined()) {
    at::addmm_out(rows, bias, patches, matrix.t());
  } else {
    at::mm_out(rows, patches, matrix.t());
  }
  return y;
}

template <typename T>
Tensor weightGradientByProduct(const Tensor& x, const Tensor& dy, const Tensor& weight, const Geometry& g) {
  if (x.scalar_type() == at::kBFloat16 && hasWeightGradientMatrix(g))
    return placesLast<float>(weightGradientMatrix(pixelsOf(x), pixelsOf(dy), g), weight.sizes());
  const Tensor rows = pixelsOf(dy).view({g.outPixels(), g.outer});
  return placesLast<T>(at::mm(rows.t(), patchesOf<T>(x, g)), weight.sizes());
}

// Where the patches hold an input pixel.
template <typename T>
void gatherSummands(const Geometry& g, int64_t image, int64_t row, int64_t column, const T* patches,
                    std::vector<const T*>& summands) {
  summands.clear();
  for (int64_t r = 0; r < g.kernel; ++r) {
    const int64_t h = row + g.padding - r;
    if (h < 0 || h % g.stride != 0 || h / g.stride >= g.outHeight) continue;
    for (int64_t s = 0; s < g.kernel; ++s) {
      const int64_t w = column + g.padding - s;
      if (w < 0 || w % g.stride != 0 || w / g.stride >= g.outWidth) continue;
      const int64_t pixel = (image * g.outHeight + h / g.stride) * g.outWidth + w / g.stride;
      summands.push_back(patches + pixel * g.patch() + (r * g.kernel + s) * g.inner);
    }
  }
}

// The gradient of every patch, gathered by the pixels that it was made of.
template <typename T>
Tensor inputGradientByProduct(const Tensor& dy, const Tensor& matrix, const Geometry& g) {
  const Tensor patches = at::mm(pixelsOf(dy).view({g.outPixels(), g.outer}), matrix);
  if (g.isPointwise() && g.stride == 1)
    return patches.view({g.images, g.height, g.width, g.inner}).permute({0, 3, 1, 2});
  const Tensor dx = at::empty({g.images, g.height, g.width, g.inner}, dy.options());
  at::parallel_for(0, g.images * g.height, 1, [&](int64_t begin, int64_t end) {
    std::vector<const T*> summands;
    for (int64_t line = begin; line < end; ++line)
      for (int64_t column = 0; column < g.width; ++column) {
        gatherSummands(g, line / g.height, line % g.height, column, dataOf<T>(patches), summands);
        kernelsOf<T>().sumOfRows(g.inner, summands.data(), static_cast<int64_t>(summands.size()),
                                 dataOf<T>(dx) + (line * g.width + column) * g.inner);
      }
  });
  return dx.permute({0, 3, 1, 2});
}

// The gradient of a weight as oneDNN gives it, as float32 in the weight's own order.
template <typename T>
Tensor inOwnOrder(const Tensor& gradient) {
  if (!gradient.is_contiguous(at::MemoryFormat::ChannelsLast)) return gradient.to(at::kFloat).contiguous();
  return placesLast<T>(gradient.permute({0, 2, 3, 1}).flatten(1), gradient.sizes());
}

Tensor backwardPass(const Tensor& x, const Tensor& operand, const Tensor& dy, const Geometry& g, int64_t which) {
  const auto gradients =
      at::convolution_backward(dy, x, operand, at::OptionalIntArrayRef(), {g.stride, g.stride}, {g.padding, g.padding},
                               {1, 1}, false, {0, 0}, 1, {which == 0, which == 1, false});
  return which == 0 ? std::get<0>(gradients) : std::get<1>(gradients);
}

}  // namespace

Geometry geometryOf(const Tensor& x, const Tensor& weight, int64_t stride, int64_t padding) {
  const int64_t kernel = weight.size(2);
  const auto side = [&](int64_t length) { return (length + 2 * padding - kernel) / stride + 1; };
  return {x.size(0),       x.size(2),      x.size(3), x.size(1), side(x.size(2)),
          side(x.size(3)), weight.size(0), kernel,    stride,    padding};
}

void checkConvolution(const Tensor& x, const Tensor& weight, int64_t stride, int64_t padding) {
  TORCH_CHECK(x.dim() == 4 && weight.dim() == 4 && weight.size(1) == x.size(1) && weight.size(2) == weight.size(3),
              "weight must have the shape (K, C, k, k) for x of shape (N, C, H, W), got ", weight.sizes(), " for ",
              x.sizes());
  TORCH_CHECK(weight.scalar_type() == at::kFloat, "weight must be of dtype float32, got ", weight.scalar_type());
  TORCH_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16, "dtype ", x.scalar_type(),
              " has no convolution here");
  TORCH_CHECK(stride >= 1 && padding >= 0 && padding < weight.size(2),
              "padding must be of a size below the kernel's, got ", padding);
  TORCH_CHECK(weight.numel() > 0, "weight holds no value, got shape ", weight.sizes());
  TORCH_CHECK(std::min(x.size(2), x.size(3)) + 2 * padding >= weight.size(2), "the kernel of ", weight.sizes(),
              " does not fit x of shape ", x.sizes());
}

Tensor operandOf(const Tensor& weight, const Tensor& x, const Geometry& g) {
  if (byPoints(g, x)) return weight.contiguous();
  const Tensor matrix = inDtype(x, [&](auto value) { return placesFirst<decltype(value)>(weight, x.options()); });
  if (valuesByProduct(g)) return matrix;
  return matrix.view({g.outer, g.kernel, g.kernel, g.inner}).permute({0, 3, 1, 2});
}

Tensor forwardPass(const Tensor& x, const Tensor& operand, const Tensor& bias, const Geometry& g) {
  if (byPoints(g, x)) return winogradForward(x, operand, g, {bias, Tensor(), false});
  if (!valuesByProduct(g)) return at::conv2d(x, operand, bias, g.stride, g.padding);
  return inDtype(x, [&](auto value) { return forwardByProduct<decltype(value)>(x, operand, bias, g); });
}

Tensor inputPass(const Tensor& x, const Tensor& operand, const Tensor& dy, const Geometry& g) {
  if (byPoints(g, x)) return winogradInputGradient(dy, operand, g);
  if (!valuesByProduct(g)) return backwardPass(x, operand, dy, g, 0);
  return inDtype(dy, [&](auto value) { return inputGradientByProduct<decltype(value)>(dy, operand, g); });
}

Tensor weightPass(const Tensor& x, const Tensor& weight, const Tensor& dy, const Geometry& g) {
  return inDtype(x, [&](auto value) {
    using T = decltype(value);
    if (byPoints(g, x)) return winogradWeightGradient(x, dy, g);
    if (weightByProduct(g, x.scalar_type())) return weightGradientByProduct<T>(x, dy, weight, g);
    return inOwnOrder<T>(backwardPass(x, weight.to(x.scalar_type()), dy, g, 1));
  });
}

namespace {

Tensor channelsLast(const Tensor& gradient, const Tensor& like) {
  return gradient.to(like.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
}

// A convolution is bilinear, and so are its gradients: the three passes are each other's derivatives, to any order.
// Each has an `operand` beside the weight, which is the weight laid out for the passes over values.
struct Convolution : torch::autograd::Function<Convolution> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& operand,
                        const Geometry& g);
  static variable_list backward(AutogradContext* context, const variable_list& gradients);
};

struct InputGradient : torch::autograd::Function<InputGradient> {
  static Tensor forward(AutogradContext* context, const Tensor& dy, const Tensor& weight, const Tensor& operand,
                        const Tensor& x, const Geometry& g);
  static variable_list backward(AutogradContext* context, const variable_list& gradients);
};

struct WeightGradient : torch::autograd::Function<WeightGradient> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& dy, const Tensor& weight,
                        const Geometry& g);
  static variable_list backward(AutogradContext* context, const variable_list& gradients);
};

void keepGeometry(AutogradContext* context, const Geometry& g) {
  context->saved_data["stride"] = g.stride;
  context->saved_data["padding"] = g.padding;
}

Geometry keptGeometry(AutogradContext* context, const Tensor& x, const Tensor& weight) {
  return geometryOf(x, weight, context->saved_data["stride"].toInt(), context->saved_data["padding"].toInt());
}

Tensor Convolution::forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& operand,
                            const Geometry& g) {
  context->save_for_backward({x, weight, operand});
  keepGeometry(context, g);
  return forwardPass(x, operand, Tensor(), g);
}

variable_list Convolution::backward(AutogradContext* context, const variable_list& gradients) {
  const variable_list saved = context->get_saved_variables();
  const Tensor &x = saved[0], &weight = saved[1], &operand = saved[2];
  const Geometry g = keptGeometry(context, x, weight);
  const Tensor dy = channelsLast(gradients[0], x);
  Tensor dx, dweight;
  if (context->needs_input_grad(0)) dx = InputGradient::apply(dy, weight, operand, x.detach(), g);
  if (context->needs_input_grad(1)) dweight = WeightGradient::apply(x, dy, weight.detach(), g);
  return {dx, dweight, Tensor(), Tensor()};
}

Tensor InputGradient::forward(AutogradContext* context, const Tensor& dy, const Tensor& weight, const Tensor& operand,
                              const Tensor& x, const Geometry& g) {
  context->save_for_backward({dy, weight, operand, x});
  keepGeometry(context, g);
  return inputPass(x, operand, dy, g);
}

variable_list InputGradient::backward(AutogradContext* context, const variable_list& gradients) {
  const variable_list saved = context->get_saved_variables();
  const Tensor &dy = saved[0], &weight = saved[1], &operand = saved[2], &x = saved[3];
  const Geometry g = keptGeometry(context, x, weight);
  const Tensor along = channelsLast(gradients[0], x);
  Tensor ddy, dweight;
  if (context->needs_input_grad(0)) ddy = Convolution::apply(along, weight, operand, g);
  if (context->needs_input_grad(1)) dweight = WeightGradient::apply(along, dy, weight.detach(), g);
  return {ddy, dweight, Tensor(), Tensor(), Tensor()};
}

Tensor WeightGradient::forward(AutogradContext* context, const Tensor& x, const Tensor& dy, const Tensor& weight,
                               const Geometry& g) {
  context->save_for_backward({x, dy});
  keepGeometry(context, g);
  return weightPass(x, weight, dy, g);
}

variable_list WeightGradient::backward(AutogradContext* context, const variable_list& gradients) {
  const variable_list saved = context->get_saved_variables();
  const Tensor &x = saved[0], &dy = saved[1], &along = gradients[0];
  const Geometry g = keptGeometry(context, x, along);
  const Tensor operand = operandOf(along.detach(), x, g);
  Tensor dx, ddy;
  if (context->needs_input_grad(0)) dx = InputGradient::apply(dy, along, operand, x.detach(), g);
  if (context->needs_input_grad(1)) ddy = Convolution::apply(x, along, operand, g);
  return {dx, ddy, Tensor(), Tensor()};
}

Tensor convolution(const Tensor& x, const Tensor& weight, int64_t stride, int64_t padding) {
  checkConvolution(x, weight, stride, padding);
  const Tensor laid = x.contiguous(at::MemoryFormat::ChannelsLast);
  const Geometry g = geometryOf(laid, weight, stride, padding);
  return Convolution::apply(laid, weight, operandOf(weight.detach(), laid, g), g);
}

}  // namespace

// relu(convolution(x, weight) + bias + add) at points, without a graph.
Tensor winogradConv(const Tensor& x, const Tensor& weight, const Tensor& bias, const std::optional<Tensor>& add,
                    int64_t padding, bool relu) {
  checkConvolution(x, weight, /*stride=*/1, padding);
  const Tensor laid = x.contiguous(at::MemoryFormat::ChannelsLast);
  const Geometry g = geometryOf(laid, weight, 1, padding);
  TORCH_CHECK(byPoints(g, laid), "weight of shape ", weight.sizes(), " is not convolved at points with x of shape ",
              x.sizes());
  TORCH_CHECK(bias.scalar_type() == at::kFloat && bias.is_contiguous() && bias.sizes() == at::IntArrayRef({g.outer}),
              "bias must be float32 of shape [", g.outer, "], got ", bias.sizes());
  Epilogue epilogue{bias, Tensor(), relu};
  if (add.has_value()) {
    TORCH_CHECK(add->scalar_type() == at::kFloat &&
                    add->sizes() == at::IntArrayRef({g.images, g.outer, g.outHeight, g.outWidth}),
                "what is added must be float32 of the result's shape, got ", add->sizes());
    epilogue.add = add->contiguous(at::MemoryFormat::ChannelsLast);
  }
  return winogradForward(laid, weight.contiguous(), g, epilogue);
}

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def("winograd_conv(Tensor x, Tensor weight, Tensor bias, Tensor? add, int padding, bool relu) -> Tensor",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(winogradConv)));
  library.def("convolution(Tensor x, Tensor weight, int stride, int padding) -> Tensor",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(convolution)));
}

}  // namespace batch_cam
