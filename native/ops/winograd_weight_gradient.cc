// The weight gradient of Winograd's convolution: dg = Gᵀ [sum over tiles of (A dY Aᵀ) ⊙ (Bᵀ d B)] G. The sums over
// tiles are 36 matrix products (inner channels, tiles) x (tiles, outer channels).
#include <ATen/record_function.h>

#include "ops/winograd.h"
#include "ops/winograd_tiles.h"

namespace batch_cam {
namespace {

using at::Tensor;
using namespace winograd;

// The number of floats in the transformed tiles of a chunk. Chunks limit the memory of the transformed values, which
// take 36/16 of the memory of the images.
constexpr int64_t kChunkFloats = 1 << 20;

template <typename T>
struct WeightGradientSums {
  const WeightView& weight;  // the gradient that is computed
  const TileGrid<T>&inputs, &gradients;
  TransformedWeight<float> sums;
  int64_t chunk;  // tiles
  TransformLayout inputLayout, gradientLayout;
  Tensor inputValues, gradientValues;

  WeightGradientSums(const WeightView& weight_, const TileGrid<T>& inputs_, const TileGrid<T>& gradients_)
      : weight(weight_),
        inputs(inputs_),
        gradients(gradients_),
        sums(weight, weight.inner),
        chunk(std::min(inputs.count(),
                       std::max<int64_t>(48, kChunkFloats / (kWinogradElements * (weight.inner + weight.outer))))),
        inputLayout{chunk * weight.inner + kElementPadding, 0, weight.inner},
        gradientLayout{chunk * weight.panelColumns + kElementPadding,
                       kWinogradElements * (chunk * weight.panelColumns + kElementPadding), weight.panelColumns},
        inputValues(scratch<float>(kWinogradElements * inputLayout.elementStride)),
        gradientValues(scratch<float>(weight.panels() * gradientLayout.panelStride)) {}

  // Adds the products of the tiles from `first` on.
  void addChunk(int64_t first, const T* x, const T* dy) const {
    const int64_t count = std::min(chunk, inputs.count() - first);
    const auto& kernel = kernelsOf<T>();
    at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        kernel.winogradInputTransform(inputs.tile(first + i, x, inputs.padding), inputLayout,
                                      data(inputValues) + i * weight.inner);
        kernel.winogradOutputGradientTransform(gradients.tile(first + i, dy, 0), gradientLayout,
                                               data(gradientValues) + i * weight.panelColumns);
      }
    });
    const PanelProductShape shape{weight.inner, count, weight.panelColumns, 1, weight.inner, first > 0};
    at::parallel_for(0, weight.panels() * kWinogradElements, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        kernels().panelProduct(shape, data(inputValues) + i % kWinogradElements * inputLayout.elementStride,
                               data(gradientValues) + i * gradientLayout.elementStride,
                               sums.at(i / kWinogradElements, i % kWinogradElements));
    });
  }

  void run(const T* x, const T* dy) const {
    for (int64_t first = 0; first < inputs.count(); first += chunk) addChunk(first, x, dy);
    sums.forEachPart([](const WeightLayout& layout, int64_t, float* to, const float* from) {
      kernels().winogradWeightGradientTransform(layout, from, to);
    });
  }
};

template <typename T>
void sumOver(const Tensor& x, const Tensor& dy, const Geometry& g, const WeightView& dweight) {
  const std::array<int64_t, 2> out{g.outHeight, g.outWidth};
  const TileGrid<T> inputs(g.images, {g.height, g.width, g.inner}, out, g.padding);
  const TileGrid<T> gradients(g.images, {g.outHeight, g.outWidth, g.outer}, out, 0);
  WeightGradientSums<T>(dweight, inputs, gradients).run(dataOf<T>(x), dataOf<T>(dy));
}

}  // namespace

Tensor winogradWeightGradient(const Tensor& x, const Tensor& dy, const Geometry& g) {
  RECORD_FUNCTION("batch_cam::winograd", {});
  const Tensor dweight = at::empty({g.outer, g.inner, kWinogradKernel, kWinogradKernel}, at::kFloat);
  dispatchDtype(x, [&](auto value) { sumOver<decltype(value)>(x, dy, g, WeightView(dweight, /*rotated180=*/false)); });
  return dweight;
}

}  // namespace batch_cam
