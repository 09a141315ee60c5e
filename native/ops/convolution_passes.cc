// The three passes of a convolution. For each the fastest of four kernels is chosen by shape and dtype: Winograd,
// oneDNN, a matrix product with the image's patches, or (weight gradients in bfloat16) the tile registers of AMX.
#include "ops/convolution.h"

#include <ATen/Parallel.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/table.h"
#include "ops/dtypes.h"
#include "ops/failure.h"
#include "ops/positions.h"
#include "ops/winograd.h"

namespace batch_cam {
namespace {

using at::Tensor;

// Which passes are computed as a matrix product with the image's patches instead of by oneDNN. Measured on two AMX
// cores in bfloat16, for ResNet-18's shapes at 28x28, in milliseconds:
//
//   pass             channels     output  oneDNN  product
//   weight gradient  512 to 512   4x4     16.4    2.8
//   weight gradient  256 to 256   7x7      4.8    2.9
//   weight gradient  128 to 256, stride 2  3.5    1.7
//   weight gradient   64 to 64    28x28    2.4    19
//   forward          512 to 512   4x4      5.3    2.8
//   forward          256 to 256   7x7      1.2    2.9
//
// The choice is a function of the shape and not a measurement at run time, so that runs can be repeated bit for bit.
bool usesProductForWeight(const Geometry& g, at::ScalarType dtype) {
  // oneDNN's float32 kernel for 1x1 and few channels was observed to read outside of its memory.
  if (g.isPointwise()) return true;
  if (g.inner < 16 || g.outer < 16) return false;
  if (dtype == at::kBFloat16 && supportsAmxWeightGradient(g)) return true;
  return g.outHeight * g.outWidth <= 64;
}

// The same for the forward pass and the gradient with respect to the input.
bool usesProductForValues(const Geometry& g) {
  // oneDNN's bfloat16 kernel was observed to read uninitialised memory for outputs that are one pixel wide.
  if (g.outWidth == 1 && g.kernel > 1) return true;
  return g.inner >= 256 && g.outer >= 256 && g.outHeight * g.outWidth <= 25;
}

bool usesWinograd(const Geometry& g, const Tensor& x) { return supportsWinograd(g, x.scalar_type()); }

// Channels-last images (N, C, H, W) as (N, H, W, C), without a copy.
Tensor pixelsOf(const Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast).permute({0, 2, 3, 1}); }

// The image's patches, (output pixels, positions x channels): the pixels under the kernel at each output pixel, with
// zeros outside of the image.
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
  // The result must not be a view, because the output of an autograd function may be changed in place.
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
  if (x.scalar_type() == at::kBFloat16 && supportsAmxWeightGradient(g))
    return positionsLast<float>(amxWeightGradient(pixelsOf(x), pixelsOf(dy), g), weight.sizes());
  const Tensor rows = pixelsOf(dy).view({g.outPixels(), g.outer});
  return positionsLast<T>(at::mm(rows.t(), patchesOf<T>(x, g)), weight.sizes());
}

// Collects pointers to all copies of an input pixel in the patches: their gradients add up to the pixel's gradient.
template <typename T>
void collectCopies(const Geometry& g, int64_t image, int64_t row, int64_t column, const T* patches,
                   std::vector<const T*>& copies) {
  copies.clear();
  for (int64_t r = 0; r < g.kernel; ++r) {
    const int64_t h = row + g.padding - r;
    if (h < 0 || h % g.stride != 0 || h / g.stride >= g.outHeight) continue;
    for (int64_t s = 0; s < g.kernel; ++s) {
      const int64_t w = column + g.padding - s;
      if (w < 0 || w % g.stride != 0 || w / g.stride >= g.outWidth) continue;
      const int64_t pixel = (image * g.outHeight + h / g.stride) * g.outWidth + w / g.stride;
      copies.push_back(patches + pixel * g.patch() + (r * g.kernel + s) * g.inner);
    }
  }
}

// The gradient of all patches, and the sum of each pixel's copies in them.
template <typename T>
Tensor inputGradientByProduct(const Tensor& dy, const Tensor& matrix, const Geometry& g) {
  const Tensor patches = at::mm(pixelsOf(dy).view({g.outPixels(), g.outer}), matrix);
  if (g.isPointwise() && g.stride == 1)
    return patches.view({g.images, g.height, g.width, g.inner}).permute({0, 3, 1, 2});
  const Tensor dx = at::empty({g.images, g.height, g.width, g.inner}, dy.options());
  at::parallel_for(0, g.images * g.height, 1, [&](int64_t begin, int64_t end) {
    std::vector<const T*> copies;
    for (int64_t line = begin; line < end; ++line)
      for (int64_t column = 0; column < g.width; ++column) {
        collectCopies(g, line / g.height, line % g.height, column, dataOf<T>(patches), copies);
        kernelsOf<T>().sumOfRows(g.inner, copies.data(), static_cast<int64_t>(copies.size()),
                                 dataOf<T>(dx) + (line * g.width + column) * g.inner);
      }
  });
  return dx.permute({0, 3, 1, 2});
}

// The weight gradient that oneDNN returned, as contiguous float32 (K, C, k, k).
template <typename T>
Tensor asWeight(const Tensor& gradient) {
  if (!gradient.is_contiguous(at::MemoryFormat::ChannelsLast)) return gradient.to(at::kFloat).contiguous();
  return positionsLast<T>(gradient.permute({0, 2, 3, 1}).flatten(1), gradient.sizes());
}

// One gradient, computed by oneDNN: with respect to the input if `which` is 0, and to the weight if it is 1.
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
  expect(x.dim() == 4 && weight.dim() == 4 && weight.size(1) == x.size(1) && weight.size(2) == weight.size(3),
         FailureKind::kShape, "weight must have the shape (K, C, k, k) for x of shape (N, C, H, W), got ",
         weight.sizes(), " for ", x.sizes());
  expect(weight.scalar_type() == at::kFloat, FailureKind::kDtype, "weight must be of dtype float32, got ",
         weight.scalar_type());
  expect(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16, FailureKind::kDtype, "dtype ",
         x.scalar_type(), " is not supported: x must be float32 or bfloat16");
  expect(stride >= 1 && padding >= 0 && padding < weight.size(2), FailureKind::kShape,
         "padding must be of a size below the kernel's, got ", padding);
  expect(weight.numel() > 0, FailureKind::kShape, "weight holds no value, got shape ", weight.sizes());
  expect(std::min(x.size(2), x.size(3)) + 2 * padding >= weight.size(2), FailureKind::kShape, "the kernel of ",
         weight.sizes(), " does not fit x of shape ", x.sizes());
}

Tensor operandOf(const Tensor& weight, const Tensor& x, const Geometry& g) {
  if (usesWinograd(g, x)) return weight.contiguous();
  const Tensor matrix =
      dispatchDtype(x, [&](auto value) { return positionsFirst<decltype(value)>(weight, x.options()); });
  if (usesProductForValues(g)) return matrix;
  return matrix.view({g.outer, g.kernel, g.kernel, g.inner}).permute({0, 3, 1, 2});
}

Tensor forwardPass(const Tensor& x, const Tensor& operand, const Tensor& bias, const Geometry& g) {
  if (usesWinograd(g, x)) return winogradForward(x, operand, g, {bias, Tensor(), false});
  const Tensor offset = bias.defined() ? bias.to(x.scalar_type()) : bias;
  if (!usesProductForValues(g)) return at::conv2d(x, operand, offset, g.stride, g.padding);
  return dispatchDtype(x, [&](auto value) { return forwardByProduct<decltype(value)>(x, operand, offset, g); });
}

Tensor inputPass(const Tensor& x, const Tensor& operand, const Tensor& dy, const Geometry& g) {
  if (usesWinograd(g, x)) return winogradInputGradient(dy, operand, g);
  if (!usesProductForValues(g)) return backwardPass(x, operand, dy, g, 0);
  return dispatchDtype(dy, [&](auto value) { return inputGradientByProduct<decltype(value)>(dy, operand, g); });
}

Tensor weightPass(const Tensor& x, const Tensor& weight, const Tensor& dy, const Geometry& g) {
  return dispatchDtype(x, [&](auto value) {
    using T = decltype(value);
    if (usesWinograd(g, x)) return winogradWeightGradient(x, dy, g);
    if (usesProductForWeight(g, x.scalar_type())) return weightGradientByProduct<T>(x, dy, weight, g);
    return asWeight<T>(backwardPass(x, weight.to(x.scalar_type()), dy, g, 1));
  });
}

}  // namespace batch_cam
