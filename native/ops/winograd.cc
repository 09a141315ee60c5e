// The forward pass of Winograd's convolution, and its gradient with respect to the input, which is a convolution too.
#include "ops/winograd.h"

#include <ATen/record_function.h>

#include "kernels/amx.h"
#include "ops/winograd_fixed.h"
#include "ops/winograd_tiles.h"

namespace batch_cam {
namespace {

using at::Tensor;
using namespace winograd;

// The largest number of floats in a block's transformed tiles, so that they fit in the second-level cache together with
// a panel of the weight.
constexpr int64_t kBlockFloats = 160 << 10;
// The largest total number of tiles for which the products of a whole panel fit in the cache.
constexpr int64_t kFewTiles = 128;
// The number of inner channels of a panel that convolvePanelByPanel transforms at a time.
constexpr int64_t kInnerBlock = 64;

// The operands of one convolution: y = relu(conv(x, weight) + bias + add).
template <typename T>
struct Pass {
  const TileGrid<T>& tiles;
  const WeightView& weight;
  const ConvPostOps& postOps;
  const T* x;
  T* y;

  // Transforms the input tiles from `first` on to `out`: for each element a matrix (count, inner channels).
  void transformInput(int64_t first, int64_t count, int64_t elementStride, float* out) const {
    const TransformLayout layout{elementStride, 0, weight.inner};
    for (int64_t i = 0; i < count; ++i)
      kernelsOf<T>().winogradInputTransform(tiles.tile(first + i, x, tiles.padding), layout, out + i * weight.inner);
  }

  // Transforms the products of one panel for these tiles to the output.
  void transformOutput(int64_t first, int64_t count, int64_t panel, int64_t elementStride,
                       const float* products) const {
    const OutputWriter<T> write{tiles, weight, postOps, y};
    for (int64_t i = 0; i < count; ++i)
      write(first + i, panel, elementStride, products + i * weight.panelColumns, {1, nullptr});
  }
};

// The convolution for many tiles. The weight is transformed once. Each thread transforms blocks of tiles that fit in
// its cache, and multiplies a block with one panel of the weight after the other.
template <typename T>
void convolveBlockByBlock(const Pass<T>& pass) {
  const WeightView& weight = pass.weight;
  const TransformedWeight<float> transformed(weight, weight.inner);
  transformed.forEachPart([](const WeightLayout& layout, int64_t, const float* from, float* to) {
    kernels().winogradWeightTransform(layout, from, to);
  });
  const int64_t all = pass.tiles.count(), threads = at::get_num_threads();
  const int64_t fitting = std::clamp<int64_t>(kBlockFloats / (kWinogradElements * weight.inner), 48, 96);
  const int64_t size = dividedUp(all, dividedUp(dividedUp(all, fitting), threads) * threads);
  const int64_t valueStride = size * weight.inner + kElementPadding;
  const int64_t productStride = size * weight.panelColumns + kElementPadding;
  const int64_t perThread = kWinogradElements * (valueStride + productStride);
  const Tensor memory = scratch<float>(threads * perThread);
  at::parallel_for(0, dividedUp(all, size), 1, [&](int64_t begin, int64_t end) {
    float* values = data(memory) + at::get_thread_num() * perThread;
    float* products = values + kWinogradElements * valueStride;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i * size, count = std::min(size, all - first);
      pass.transformInput(first, count, valueStride, values);
      for (int64_t panel = 0; panel < weight.panels(); ++panel) {
        for (int64_t element = 0; element < kWinogradElements; ++element)
          kernels().panelProduct({count, weight.inner, weight.panelColumns, weight.inner, 1, false},
                                 values + element * valueStride, transformed.at(panel, element),
                                 products + element * productStride);
        pass.transformOutput(first, count, panel, productStride, products);
      }
    }
  });
}

// The products of one panel for all tiles: transforms pieces of the panel's weight in the cache, and multiplies each
// with the transformed tiles at once. `weightValues` and `products` are the thread's scratch memory.
template <typename T>
void multiplyPanel(const Pass<T>& pass, int64_t panel, const float* values, int64_t valueStride, float* weightValues,
                   float* products) {
  const WeightView& weight = pass.weight;
  const int64_t all = pass.tiles.count(), weightStride = kInnerBlock * weight.panelColumns + kElementPadding;
  const int64_t productStride = all * weight.panelColumns + kElementPadding;
  for (int64_t c = 0; c < weight.inner; c += kInnerBlock) {
    const int64_t count = std::min(kInnerBlock, weight.inner - c);
    for (int64_t k = 0; k < weight.panelColumns; k += kOuterBlock)
      kernels().winogradWeightTransform(weight.layout(count, weightStride),
                                        weight.at(panel * weight.panelColumns + k, c), weightValues + k);
    for (int64_t element = 0; element < kWinogradElements; ++element)
      kernels().panelProduct({all, count, weight.panelColumns, weight.inner, 1, c > 0},
                             values + element * valueStride + c, weightValues + element * weightStride,
                             products + element * productStride);
  }
}

// The convolution for few tiles and a large weight. All tiles are transformed first. Each thread takes panels of the
// weight; a panel's transform stays in the cache and is never written to memory.
template <typename T>
void convolvePanelByPanel(const Pass<T>& pass) {
  const WeightView& weight = pass.weight;
  const int64_t all = pass.tiles.count(), valueStride = all * weight.inner + kElementPadding;
  const Tensor values = scratch<float>(kWinogradElements * valueStride);
  at::parallel_for(0, all, 1, [&](int64_t begin, int64_t end) {
    pass.transformInput(begin, end - begin, valueStride, data(values) + begin * weight.inner);
  });
  const int64_t weightStride = kInnerBlock * weight.panelColumns + kElementPadding;
  const int64_t productStride = all * weight.panelColumns + kElementPadding;
  const int64_t perThread = kWinogradElements * (weightStride + productStride);
  const Tensor memory = scratch<float>(at::get_num_threads() * perThread);
  at::parallel_for(0, weight.panels(), 1, [&](int64_t begin, int64_t end) {
    float* weightValues = data(memory) + at::get_thread_num() * perThread;
    float* products = weightValues + kWinogradElements * weightStride;
    for (int64_t panel = begin; panel < end; ++panel) {
      multiplyPanel(pass, panel, data(values), valueStride, weightValues, products);
      pass.transformOutput(0, all, panel, productStride, products);
    }
  });
}

template <typename T>
Tensor convolve(const Tensor& x, const WeightView& weight, const Output& output, const ConvPostOps& postOps) {
  if (sizeof(T) == 2 && hasFixedPoint()) return convolveFixed(x, weight, output, postOps);
  const TileGrid<T> tiles(x.size(0), {x.size(2), x.size(3), x.size(1)}, {output.height, output.width}, output.padding);
  const Tensor y = at::empty({tiles.images, weight.outer, tiles.outHeight, tiles.outWidth}, x.options(),
                             at::MemoryFormat::ChannelsLast);
  const Pass<T> pass{tiles, weight, postOps, dataOf<T>(x), dataOf<T>(y)};
  if (tiles.count() <= kFewTiles && weight.panels() >= 4) {
    convolvePanelByPanel(pass);
  } else {
    convolveBlockByBlock(pass);
  }
  return y;
}

}  // namespace

bool supportsWinograd(const Geometry& g, at::ScalarType dtype) {
  if (dtype == at::kBFloat16 && hasAmx()) return false;
  const bool fits = g.kernel == kWinogradKernel && g.stride == 1 && g.inner % 16 == 0 && g.outer % 16 == 0;
  // With fewer than 8 tiles, transforming the weight costs more time than the method saves.
  const int64_t tiles = g.images * dividedUp(g.outHeight, kWinogradOutput) * dividedUp(g.outWidth, kWinogradOutput);
  return fits && panelColumnsOf(g.inner) >= 32 && panelColumnsOf(g.outer) >= 32 && tiles >= 8;
}

Tensor winogradForward(const Tensor& x, const Tensor& weight, const Geometry& g, const ConvPostOps& postOps) {
  RECORD_FUNCTION("batch_cam::winograd", {});
  const Output output{g.outHeight, g.outWidth, g.padding};
  return dispatchDtype(x, [&](auto value) {
    return convolve<decltype(value)>(x, WeightView(weight, /*rotated180=*/false), output, postOps);
  });
}

Tensor winogradInputGradient(const Tensor& dy, const Tensor& weight, const Geometry& g) {
  RECORD_FUNCTION("batch_cam::winograd", {});
  const Output output{g.height, g.width, 2 - g.padding};
  return dispatchDtype(dy, [&](auto value) {
    return convolve<decltype(value)>(dy, WeightView(weight, /*rotated180=*/true), output, {});
  });
}

}  // namespace batch_cam
