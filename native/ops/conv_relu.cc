// batch_cam::conv_relu(x, weight, bias, stride, padding, pool): y = relu(conv(x, weight) + bias), followed by
// max-pooling over windows of 2x2 pixels if `pool` is set. x is (N, C, H, W), float32 or bfloat16; the weight (K, C, k,
// k) and the bias (K) are float32. The result is channels-last, in x's dtype. An odd last row or column is not pooled,
// as in torch.
//
// Caller: src/nn/fused/conv-norm.ts, for the layers of a plain convolutional network. Such a network spends much of its
// time in the two passes of max-pooling over memory. Here the convolution's output is not kept for the backward pass:
// with pooling a one-byte code for each result says which pixel it came from (kernels/relu_pool.h), and without pooling
// y itself says where the ReLU was active. The gradient with respect to the bias is summed in the same pass.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <cstring>

#include "kernels/table.h"
#include "ops/convolution.h"
#include "ops/double_backward.h"
#include "ops/dtypes.h"
#include "ops/failure.h"
#include "ops/parallel_sums.h"

namespace batch_cam {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A channels-last tensor (N, K, height, width).
Tensor empty(const Geometry& g, int64_t height, int64_t width, at::ScalarType dtype) {
  return at::empty({g.images, g.outer, height, width}, at::TensorOptions(dtype), at::MemoryFormat::ChannelsLast);
}

// The pairs of rows of the convolution's output that are pooled to one row each: offsets of their first elements.
struct RowPairs {
  explicit RowPairs(const Geometry& g) : g_(g), height(g.outHeight / 2), width(g.outWidth / 2) {}

  Extent pooled() const { return {width, g_.outer}; }
  int64_t upper(int64_t image, int64_t row) const { return (image * g_.outHeight + 2 * row) * g_.outWidth * g_.outer; }
  int64_t lower(int64_t image, int64_t row) const { return upper(image, row) + g_.outWidth * g_.outer; }
  int64_t pooledAt(int64_t image, int64_t row) const { return (image * height + row) * width * g_.outer; }

 private:
  const Geometry& g_;

 public:
  const int64_t height, width;
};

template <typename T>
void poolImages(const Tensor& z, const RowPairs& rows, const Tensor& y, const Tensor& codes) {
  auto* codesOut = codes.defined() ? static_cast<uint8_t*>(codes.data_ptr()) : nullptr;
  at::parallel_for(0, z.size(0) * rows.height, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / rows.height, row = i % rows.height;
      const int64_t to = rows.pooledAt(image, row);
      kernelsOf<T>().reluPool(rows.pooled(), dataOf<T>(z) + rows.upper(image, row),
                              dataOf<T>(z) + rows.lower(image, row), dataOf<T>(y) + to,
                              codesOut == nullptr ? nullptr : codesOut + to);
    }
  });
}

template <typename T>
void reluInPlace(const Tensor& z) {
  at::parallel_for(0, z.numel(), 1 << 15,
                   [&](int64_t begin, int64_t end) { kernelsOf<T>().relu(end - begin, dataOf<T>(z) + begin); });
}

template <typename T>
Tensor pooledForward(const Tensor& x, const Tensor& operand, const Tensor& bias, const Geometry& g,
                     const Tensor& codes) {
  const RowPairs rows(g);
  const Tensor y = empty(g, rows.height, rows.width, x.scalar_type());
  const Tensor z = forwardPass(x, operand, bias, g);
  poolImages<T>(z.contiguous(at::MemoryFormat::ChannelsLast), rows, y, codes);
  return y;
}

template <typename T>
Tensor reluForward(const Tensor& x, const Tensor& operand, const Tensor& bias, const Geometry& g) {
  const Tensor z = forwardPass(x, operand, bias, g).contiguous(at::MemoryFormat::ChannelsLast);
  reluInPlace<T>(z);
  return z;
}

// The gradient with respect to the convolution's output and the bias.
struct OutputGradients {
  Tensor dz, bias;
};

Tensor toTensor(const std::vector<double>& sums) {
  return at::tensor(at::ArrayRef<double>(sums), at::kDouble).to(at::kFloat);
}

// The gradients through pooling and ReLU. Pixels that are not pooled get zeros.
template <typename T>
OutputGradients poolBackward(const Tensor& dy, const Tensor& codes, const Geometry& g) {
  const RowPairs rows(g);
  const Tensor dz = empty(g, g.outHeight, g.outWidth, dy.scalar_type());
  const auto* code = static_cast<const uint8_t*>(codes.const_data_ptr());
  const int64_t rowSize = g.outWidth * g.outer, rest = (g.outWidth - 2 * rows.width) * g.outer;
  const auto sums = sumOverTasks(g.images, g.outer, [&](int64_t image, float* sum) {
    for (int64_t row = 0; row < rows.height; ++row) {
      const int64_t from = rows.pooledAt(image, row);
      T *upper = dataOf<T>(dz) + rows.upper(image, row), *lower = dataOf<T>(dz) + rows.lower(image, row);
      kernelsOf<T>().reluPoolBackward(rows.pooled(), dataOf<T>(dy) + from, code + from, upper, lower);
      for (T* end : {upper + rowSize, lower + rowSize}) std::memset(end - rest, 0, rest * sizeof(T));
    }
    if (g.outHeight % 2 == 1)
      std::memset(dataOf<T>(dz) + ((image + 1) * g.outHeight - 1) * rowSize, 0, rowSize * sizeof(T));
    const int64_t first = rows.pooledAt(image, 0);
    kernelsOf<T>().reluPoolSums({rows.height * rows.width, g.outer}, dataOf<T>(dy) + first, code + first, sum);
  });
  return {dz, toTensor(sums)};
}

// The gradients through the ReLU without pooling.
template <typename T>
OutputGradients reluBackward(const Tensor& dy, const Tensor& y, const Geometry& g) {
  const Tensor dz = at::empty_like(dy);
  const Extent image{g.outHeight * g.outWidth, g.outer};
  const auto sums = sumOverTasks(g.images, g.outer, [&](int64_t i, float* sum) {
    const int64_t at = i * image.rows * image.channels;
    kernelsOf<T>().reluBackward(image, dataOf<T>(dy) + at, dataOf<T>(y) + at, dataOf<T>(dz) + at, sum);
  });
  return {dz, toTensor(sums)};
}

// A function with the derivatives of the operator, for the double backward. The forward pass has decided which values
// the ReLU and the pooling let through (`kept`: y, or the codes); a second decision could differ by rounding.
Tensor composed(const Tensor& x, const Tensor& weight, const Tensor& bias, const Geometry& g, bool pool,
                const Tensor& kept) {
  const Tensor z = convolution(x, weight, g.stride, g.padding) + bias.to(x.scalar_type()).view({-1, 1, 1});
  if (!pool) return at::where(kept.le(0), at::zeros({}, z.options()), z);
  const RowPairs rows(g);
  Tensor y;
  for (int64_t pixel = 0; pixel < kWindowPixels; ++pixel) {
    const Tensor values = z.slice(2, pixel / 2, 2 * rows.height, 2).slice(3, pixel % 2, 2 * rows.width, 2);
    const Tensor part = at::where(kept.eq(pixel), values, at::zeros({}, z.options()));
    y = y.defined() ? y + part : part;
  }
  return y;
}

struct ConvRelu : torch::autograd::Function<ConvRelu> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const Geometry& g, bool pool, bool differentiated) {
    const Tensor operand = operandOf(weight, x, g);
    const RowPairs rows(g);
    const Tensor codes = pool && differentiated ? empty(g, rows.height, rows.width, at::kByte) : Tensor();
    const Tensor y = dispatchDtype(x, [&](auto value) {
      using T = decltype(value);
      return pool ? pooledForward<T>(x, operand, bias, g, codes) : reluForward<T>(x, operand, bias, g);
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
        return composed(of[0], of[1], of[2], g, pool, kept);
      });
      result.resize(6);
      return result;
    }
    const Tensor dy = gradients[0].to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
    const OutputGradients of = dispatchDtype(x, [&](auto value) {
      using T = decltype(value);
      return pool ? poolBackward<T>(dy, kept, g) : reluBackward<T>(dy, kept, g);
    });
    Tensor dx, dweight;
    if (context->needs_input_grad(0)) dx = inputPass(x, operand, of.dz, g);
    if (context->needs_input_grad(1)) dweight = weightPass(x, weight, of.dz, g);
    return {dx, dweight, of.bias, Tensor(), Tensor(), Tensor()};
  }
};

Tensor convRelu(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t stride, int64_t padding, bool pool) {
  checkConvolution(x, weight, stride, padding);
  expect(bias.sizes() == weight.sizes().slice(0, 1) && bias.scalar_type() == at::kFloat, FailureKind::kShape,
         "bias must be float32 of shape [", weight.size(0), "], got ", bias.sizes());
  const Tensor laid = x.contiguous(at::MemoryFormat::ChannelsLast);
  const Geometry g = geometryOf(laid, weight, stride, padding);
  const int64_t least = pool ? 2 : 1;
  expect(g.images > 0 && g.outHeight >= least && g.outWidth >= least, FailureKind::kShape,
         "the output is empty for x of shape ", x.sizes());
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
