// batch_cam::cam_maps(activations, alpha, height, width, eps) -> (maps, raw): class activation maps of a batch,
//
//   raw = relu(sum over k of alpha[b, k] activations[b, k]),            (B, h, w)
//   maps = (M - min M) / (max M - min M + eps), M = resize(raw),        (B, height, width), in [0, 1]
//
// for activations (B, K, h, w), float32 or bfloat16, and alpha (B, K), float32. Resizing is bilinear with align_corners
// = false. Both results are float32. A constant map gives zeros and has no gradient.
//
// Caller: src/cam/batch-cam.ts. Most of what guidance added to a training step was the overhead of some three hundred
// calls of small operators. This operator and map_distance replace them, and an image's maps stay in the cache from one
// step to the next.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/upsample_bilinear2d.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "kernels/table.h"
#include "ops/double_backward.h"
#include "ops/dtypes.h"
#include "ops/failure.h"

namespace batch_cam {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// For each of `to` positions, the two of `from` positions that it is interpolated from.
std::vector<Interpolation> interpolationsOf(int64_t from, int64_t to) {
  std::vector<Interpolation> result;
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  for (int64_t i = 0; i < to; ++i) {
    const double at = std::max(0.0, (static_cast<double>(i) + 0.5) * scale - 0.5);  // align_corners = false
    const int64_t low = std::min(static_cast<int64_t>(at), from - 1);
    result.push_back({low, std::min(low + 1, from - 1), static_cast<float>(at - static_cast<double>(low))});
  }
  return result;
}

// The arguments of the resizing kernel, and the vectors that they point to.
class Resizing {
 public:
  Resizing(const Tensor& raw, const Tensor& maps)
      : rows_(interpolationsOf(raw.size(1), maps.size(1))),
        columns_(interpolationsOf(raw.size(2), maps.size(2))),
        resize_{raw.size(1), raw.size(2), maps.size(1), maps.size(2), rows_.data(), columns_.data()} {}
  Resizing(const Resizing&) = delete;
  Resizing& operator=(const Resizing&) = delete;

  const ResizeShape& resize() const { return resize_; }
  int64_t pixels() const { return resize_.outHeight * resize_.outWidth; }
  int64_t scratch() const { return resize_.height * resize_.outWidth; }

 private:
  std::vector<Interpolation> rows_, columns_;
  ResizeShape resize_;
};

Extent extentOf(const Tensor& activations) { return {activations.size(2) * activations.size(3), activations.size(1)}; }

// The forward pass. `maps` and `raw` are allocated by the caller.
template <typename T>
void mapsOf(const Tensor& activations, const Tensor& alpha, float eps, const Tensor& maps, const Tensor& raw) {
  const Extent extent = extentOf(activations);
  const Resizing resizing(raw, maps);
  at::parallel_for(0, activations.size(0), 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(resizing.scratch());
    for (int64_t i = begin; i < end; ++i) {
      float *rawMap = dataOf<float>(raw) + i * extent.rows, *out = dataOf<float>(maps) + i * resizing.pixels();
      kernelsOf<T>().weightedSum(extent, dataOf<T>(activations) + i * extent.rows * extent.channels,
                                 dataOf<float>(alpha) + i * extent.channels, rawMap);
      kernels().float32.relu(extent.rows, rawMap);
      kernels().resize(resizing.resize(), rawMap, scratch.data(), out);
      kernels().normalise(resizing.pixels(), eps, out);
    }
  });
}

// The results of the backward pass; undefined if they are not needed.
struct Gradients {
  Tensor activations, alpha;
};

// The backward pass, from the gradients with respect to maps and raw (undefined: zero). It computes the resized maps
// again, because keeping them would take more memory traffic.
template <typename T>
void gradientsOf(const Tensor& activations, const Tensor& alpha, const Tensor& raw, float eps, const Tensor& dmaps,
                 const Tensor& draw, const Gradients& of) {
  const Extent extent = extentOf(activations);
  const Resizing resizing(raw, dmaps);
  at::parallel_for(0, activations.size(0), 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(resizing.scratch()), sized(resizing.pixels()), gradient(resizing.pixels()),
        gradientOfRaw(extent.rows);
    for (int64_t i = begin; i < end; ++i) {
      const float *rawMap = dataOf<float>(raw) + i * extent.rows, *from = dataOf<float>(dmaps) + i * resizing.pixels();
      const float* direct = draw.defined() ? dataOf<float>(draw) + i * extent.rows : nullptr;
      kernels().resize(resizing.resize(), rawMap, scratch.data(), sized.data());
      std::copy(from, from + resizing.pixels(), gradient.begin());
      kernels().normaliseBackward(resizing.pixels(), eps, sized.data(), gradient.data());
      for (int64_t p = 0; p < extent.rows; ++p) gradientOfRaw[p] = direct == nullptr ? 0 : direct[p];
      kernels().resizeBackward(resizing.resize(), gradient.data(), scratch.data(), gradientOfRaw.data());
      for (int64_t p = 0; p < extent.rows; ++p)
        if (rawMap[p] <= 0) gradientOfRaw[p] = 0;
      const int64_t at = i * extent.rows * extent.channels;
      kernelsOf<T>().weightedSumBackward(extent, dataOf<T>(activations) + at,
                                         dataOf<float>(alpha) + i * extent.channels, gradientOfRaw.data(),
                                         of.activations.defined() ? dataOf<T>(of.activations) + at : nullptr,
                                         of.alpha.defined() ? dataOf<float>(of.alpha) + i * extent.channels : nullptr);
    }
  });
}

// The same with libtorch's operators, for the double backward: maps and raw, flattened into one vector.
Tensor composed(const Tensor& activations, const Tensor& alpha, at::IntArrayRef size, double eps) {
  const Tensor flat = activations.flatten(2).to(at::kFloat), weights = alpha.unsqueeze(1);
  // Sums and resizes each map as the difference from one of its values, so that a constant map stays exactly constant.
  const Tensor first = flat.detach().narrow(2, 0, 1);
  const Tensor sum = at::bmm(weights, flat - first) + at::bmm(weights, first);
  const Tensor raw = at::relu(sum).view({-1, activations.size(2), activations.size(3)});
  const Tensor base = raw.detach().narrow(1, 0, 1).narrow(2, 0, 1);
  const Tensor sized =
      at::upsample_bilinear2d((raw - base).unsqueeze(1), size, /*align_corners=*/false).squeeze(1) + base;
  const Tensor low = sized.amin({1, 2}, true), range = sized.amax({1, 2}, true) - low;
  const Tensor maps = (sized - low) * ((range + eps).reciprocal() * range.detach().gt(0));
  return at::cat({maps.flatten(), raw.flatten()});
}

struct CamMaps : torch::autograd::Function<CamMaps> {
  static variable_list forward(AutogradContext* context, const Tensor& activations, const Tensor& alpha, int64_t height,
                               int64_t width, double eps) {
    const int64_t images = activations.size(0);
    const Tensor maps = at::empty({images, height, width}, at::kFloat);
    const Tensor raw = at::empty({images, activations.size(2), activations.size(3)}, at::kFloat);
    dispatchDtype(activations,
                  [&](auto value) { mapsOf<decltype(value)>(activations, alpha, static_cast<float>(eps), maps, raw); });
    context->save_for_backward({activations, alpha, raw});
    context->saved_data["height"] = height;
    context->saved_data["width"] = width;
    context->saved_data["eps"] = eps;
    context->set_materialize_grads(false);
    return {maps, raw};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &activations = saved[0], &alpha = saved[1], &raw = saved[2];
    const int64_t images = activations.size(0);
    const std::vector<int64_t> size{context->saved_data["height"].toInt(), context->saved_data["width"].toInt()};
    const double eps = context->saved_data["eps"].toDouble();
    const Tensor dmaps = gradients[0].defined() ? gradients[0].to(at::kFloat).contiguous()
                                                : at::zeros({images, size[0], size[1]}, at::kFloat);
    const Tensor draw = gradients[1].defined() ? gradients[1].to(at::kFloat).contiguous() : Tensor();
    if (at::GradMode::is_enabled()) {
      const Tensor flat = at::cat({dmaps.flatten(), (draw.defined() ? draw : at::zeros_like(raw)).flatten()});
      variable_list result = gradientsWithGraph(context, {activations, alpha}, flat, [&](const variable_list& of) {
        return composed(of[0], of[1], size, eps);
      });
      result.resize(5);
      return result;
    }
    const Gradients of{context->needs_input_grad(0) ? at::empty_like(activations) : Tensor(),
                       context->needs_input_grad(1) ? at::zeros_like(alpha) : Tensor()};
    dispatchDtype(activations, [&](auto value) {
      gradientsOf<decltype(value)>(activations, alpha, raw, static_cast<float>(eps), dmaps, draw, of);
    });
    return {of.activations, of.alpha, Tensor(), Tensor(), Tensor()};
  }
};

std::tuple<Tensor, Tensor> camMaps(const Tensor& activations, const Tensor& alpha, int64_t height, int64_t width,
                                   double eps) {
  expect(activations.dim() == 4 && activations.numel() > 0 && height > 0 && width > 0, FailureKind::kShape,
         "activations must be (B, K, h, w) with values, got shape ", activations.sizes());
  expect(activations.scalar_type() == at::kFloat || activations.scalar_type() == at::kBFloat16, FailureKind::kDtype,
         "dtype ", activations.scalar_type(), " is not supported: activations must be float32 or bfloat16");
  expect(alpha.sizes() == activations.sizes().slice(0, 2) && alpha.scalar_type() == at::kFloat, FailureKind::kShape,
         "alpha must be float32 of shape ", activations.sizes().slice(0, 2), ", got ", alpha.sizes());
  const variable_list made =
      CamMaps::apply(activations.contiguous(at::MemoryFormat::ChannelsLast), alpha.contiguous(), height, width, eps);
  return {made[0], made[1]};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def("cam_maps(Tensor activations, Tensor alpha, int height, int width, float eps) -> (Tensor, Tensor)",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(camMaps)));
}

}  // namespace batch_cam
