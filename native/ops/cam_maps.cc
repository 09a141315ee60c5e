// Class activation maps of a batch, from their weights to maps of the image's size in [0, 1], in one pass for each
// image: relu(sum of alpha_k A_k), bilinear, (M - min) / (max - min + eps).
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

namespace batch_cam {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

std::vector<Step> stepsOf(int64_t from, int64_t to) {
  std::vector<Step> steps;
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  for (int64_t i = 0; i < to; ++i) {
    const double at = std::max(0.0, (static_cast<double>(i) + 0.5) * scale - 0.5);  // corners are not aligned
    const int64_t low = std::min(static_cast<int64_t>(at), from - 1);
    steps.push_back({low, std::min(low + 1, from - 1), static_cast<float>(at - static_cast<double>(low))});
  }
  return steps;
}

// How maps become images, with the steps that it points to.
class Sizing {
 public:
  Sizing(const Tensor& raw, const Tensor& maps)
      : rows_(stepsOf(raw.size(1), maps.size(1))),
        columns_(stepsOf(raw.size(2), maps.size(2))),
        resize_{raw.size(1), raw.size(2), maps.size(1), maps.size(2), rows_.data(), columns_.data()} {}
  Sizing(const Sizing&) = delete;
  Sizing& operator=(const Sizing&) = delete;

  const Resize& resize() const { return resize_; }
  int64_t pixels() const { return resize_.high * resize_.wide; }
  int64_t across() const { return resize_.height * resize_.wide; }

 private:
  std::vector<Step> rows_, columns_;
  Resize resize_;
};

Extent extentOf(const Tensor& activations) { return {activations.size(2) * activations.size(3), activations.size(1)}; }

template <typename T>
void mapsOf(const Tensor& activations, const Tensor& alpha, float eps, const Tensor& maps, const Tensor& raw) {
  const Extent extent = extentOf(activations);
  const Sizing sizing(raw, maps);
  at::parallel_for(0, activations.size(0), 1, [&](int64_t begin, int64_t end) {
    std::vector<float> across(sizing.across());
    for (int64_t i = begin; i < end; ++i) {
      float *own = dataOf<float>(raw) + i * extent.rows, *out = dataOf<float>(maps) + i * sizing.pixels();
      kernelsOf<T>().weightedSum(extent, dataOf<T>(activations) + i * extent.rows * extent.channels,
                                 dataOf<float>(alpha) + i * extent.channels, own);
      kernels().float32.rectify(extent.rows, own);
      kernels().resize(sizing.resize(), own, across.data(), out);
      kernels().normalise(sizing.pixels(), eps, out);
    }
  });
}

struct Gradients {
  Tensor activations, alpha;
};

template <typename T>
void gradientsOf(const Tensor& activations, const Tensor& alpha, const Tensor& raw, float eps, const Tensor& dmaps,
                 const Tensor& draw, const Gradients& of) {
  const Extent extent = extentOf(activations);
  const Sizing sizing(raw, dmaps);
  at::parallel_for(0, activations.size(0), 1, [&](int64_t begin, int64_t end) {
    std::vector<float> across(sizing.across()), sized(sizing.pixels()), gradient(sizing.pixels()), own(extent.rows);
    for (int64_t i = begin; i < end; ++i) {
      const float *map = dataOf<float>(raw) + i * extent.rows, *from = dataOf<float>(dmaps) + i * sizing.pixels();
      const float* given = draw.defined() ? dataOf<float>(draw) + i * extent.rows : nullptr;
      kernels().resize(sizing.resize(), map, across.data(), sized.data());
      std::copy(from, from + sizing.pixels(), gradient.begin());
      kernels().normaliseBackward(sizing.pixels(), eps, sized.data(), gradient.data());
      for (int64_t p = 0; p < extent.rows; ++p) own[p] = given == nullptr ? 0 : given[p];
      kernels().resizeBackward(sizing.resize(), gradient.data(), across.data(), own.data());
      for (int64_t p = 0; p < extent.rows; ++p)
        if (map[p] <= 0) own[p] = 0;
      const int64_t at = i * extent.rows * extent.channels;
      kernelsOf<T>().weightedSumBackward(extent, dataOf<T>(activations) + at,
                                         dataOf<float>(alpha) + i * extent.channels, own.data(),
                                         of.activations.defined() ? dataOf<T>(of.activations) + at : nullptr,
                                         of.alpha.defined() ? dataOf<float>(of.alpha) + i * extent.channels : nullptr);
    }
  });
}

// The same in libtorch's operators, for what is differentiated twice: maps, then raw maps, flat.
Tensor composed(const Tensor& activations, const Tensor& alpha, at::IntArrayRef size, double eps) {
  const Tensor flat = activations.flatten(2).to(at::kFloat), weights = alpha.unsqueeze(1);
  // Apart from a value of its own each map is summed and resized, so that a constant one stays constant.
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
    inDtype(activations,
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
    inDtype(activations, [&](auto value) {
      gradientsOf<decltype(value)>(activations, alpha, raw, static_cast<float>(eps), dmaps, draw, of);
    });
    return {of.activations, of.alpha, Tensor(), Tensor(), Tensor()};
  }
};

std::tuple<Tensor, Tensor> camMaps(const Tensor& activations, const Tensor& alpha, int64_t height, int64_t width,
                                   double eps) {
  TORCH_CHECK(activations.dim() == 4 && activations.numel() > 0 && height > 0 && width > 0,
              "activations must be (B, K, h, w) with values, got shape ", activations.sizes());
  TORCH_CHECK(activations.scalar_type() == at::kFloat || activations.scalar_type() == at::kBFloat16, "dtype ",
              activations.scalar_type(), " has no kernel of maps");
  TORCH_CHECK(alpha.sizes() == activations.sizes().slice(0, 2) && alpha.scalar_type() == at::kFloat,
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
