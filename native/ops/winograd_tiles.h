// The data structures that the passes of Winograd's convolution share: the tiles of a batch of images, and the weight
// in its own layout and in the transform domain. Only winograd*.cc include this file.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <vector>

#include "kernels/table.h"
#include "ops/dtypes.h"
#include "ops/winograd.h"

namespace batch_cam {
namespace winograd {

// The number of floats of padding between two of the 36 elements. Without them the elements of a tile would be a power
// of two apart, and compete for the same lines of the cache.
constexpr int64_t kElementPadding = 16;

inline int64_t dividedUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The width of a panel: the largest multiple of 16 up to kMaxPanelColumns that divides the channels.
inline int64_t panelColumnsOf(int64_t channels) {
  for (int64_t columns = kMaxPanelColumns; columns > 16; columns -= 16)
    if (channels % columns == 0) return columns;
  return 16;
}

inline float* data(const at::Tensor& tensor) { return dataOf<float>(tensor); }

// Memory for `count` values of a type.
template <typename T>
at::Tensor scratch(int64_t count) {
  return at::empty({count * static_cast<int64_t>(sizeof(T))}, at::kByte);
}

// The output's size and the padding of one convolution.
struct Output {
  int64_t height, width, padding;
};

// The tiles of all images of a batch. The output (outHeight x outWidth) is divided into tiles of 4x4; tile(i, ...) is
// the part of the map (height x width) that tile i is computed from.
template <typename T>
struct TileGrid {
  MapShape<T> map;
  int64_t images, outHeight, outWidth, padding;
  int64_t down, across;  // tiles of one image
  std::vector<T> zeros;

  // `size` is the map's height, width and channels; `out` the output's height and width.
  TileGrid(int64_t images_, std::array<int64_t, 3> size, std::array<int64_t, 2> out, int64_t padding_)
      : images(images_),
        outHeight(out[0]),
        outWidth(out[1]),
        padding(padding_),
        down(dividedUp(out[0], kWinogradOutput)),
        across(dividedUp(out[1], kWinogradOutput)),
        zeros(size[2]) {
    map = {size[0], size[1], size[2], zeros.data()};
  }

  int64_t count() const { return images * down * across; }
  int64_t image(int64_t tile) const { return tile / (down * across); }
  int64_t top(int64_t tile) const { return tile / across % down * kWinogradOutput; }
  int64_t left(int64_t tile) const { return tile % across * kWinogradOutput; }
  MapTile<T> tile(int64_t index, const T* pixels, int64_t border) const {
    const T* of = pixels + image(index) * map.height * map.width * map.channels;
    return {&map, of, top(index) - border, left(index) - border};
  }
};

// A weight (K, C, 3, 3) as one pass reads it. The forward pass reads from C inner to K outer channels. For the gradient
// by the input the roles of the channels are exchanged, and each kernel is rotated by 180 degrees.
struct WeightView {
  float* values;
  int64_t inner, outer, panelColumns;
  bool rotated180;

  WeightView(const at::Tensor& weight, bool rotated180_)
      : values(data(weight)),
        inner(weight.size(rotated180_ ? 0 : 1)),
        outer(weight.size(rotated180_ ? 1 : 0)),
        panelColumns(panelColumnsOf(outer)),
        rotated180(rotated180_) {}

  int64_t panels() const { return outer / panelColumns; }
  int64_t innerStride() const { return rotated180 ? outer * kWinogradTaps : kWinogradTaps; }
  int64_t outerStride() const { return rotated180 ? kWinogradTaps : inner * kWinogradTaps; }
  float* at(int64_t k, int64_t c) const { return values + k * outerStride() + c * innerStride(); }
  // The layout of `count` inner channels, whose transform has `elementStride` floats from element to element.
  WeightLayout layout(int64_t count, int64_t elementStride) const {
    return {count, innerStride(), outerStride(), rotated180, elementStride, panelColumns};
  }
};

// A whole weight, or its gradient, in the transform domain: for each panel of outer channels and each of the 36
// elements a matrix (inner, panelColumns).
// If an element of T holds two inner channels, a matrix has inner / 2 rows.
template <typename T>
struct TransformedWeight {
  const WeightView& weight;
  int64_t rows, elementStride;
  at::Tensor values;

  TransformedWeight(const WeightView& weight_, int64_t rows_)
      : weight(weight_),
        rows(rows_),
        elementStride(rows * weight.panelColumns + kElementPadding),
        values(scratch<T>(weight.panels() * kWinogradElements * elementStride)) {}

  T* at(int64_t panel, int64_t element) const {
    return dataOf<T>(values) + (panel * kWinogradElements + element) * elementStride;
  }

  // Calls body(layout, the part's first outer channel, its first kernel, its first element) for parts of the weight, in
  // parallel.
  template <typename Body>
  void forEachPart(Body body) const {
    constexpr int64_t kInnerBlock = 32;
    const int64_t outerBlocks = weight.outer / kOuterBlock;
    at::parallel_for(0, dividedUp(weight.inner, kInnerBlock) * outerBlocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t k = i % outerBlocks * kOuterBlock, c = i / outerBlocks * kInnerBlock;
        body(weight.layout(std::min(kInnerBlock, weight.inner - c), elementStride), k, weight.at(k, c),
             at(k / weight.panelColumns, 0) + c * rows / weight.inner * weight.panelColumns + k % weight.panelColumns);
      }
    });
  }
};

// The factors of an output tile's products: one for the tile, and one for each channel or null.
struct OutputScale {
  float scale;
  const float* scales;
};

// Transforms products to the output, y = relu(Aᵀ m A + bias + add).
template <typename T>
struct OutputWriter {
  const TileGrid<T>& tiles;
  const WeightView& weight;
  const ConvPostOps& postOps;
  T* y;

  // The products of one tile and panel.
  void operator()(int64_t tile, int64_t panel, int64_t elementStride, const float* products,
                  const OutputScale& scale) const {
    const int64_t top = tiles.top(tile), left = tiles.left(tile), channel = panel * weight.panelColumns;
    const int64_t pixel = (tiles.image(tile) * tiles.outHeight + top) * tiles.outWidth + left;
    const int64_t at = pixel * weight.outer + channel;
    const auto& [bias, add, relu] = postOps;
    kernelsOf<T>().winogradOutputTransform(
        products, elementStride, weight.panelColumns,
        {y + at, std::min<int64_t>(kWinogradOutput, tiles.outHeight - top),
         std::min<int64_t>(kWinogradOutput, tiles.outWidth - left), tiles.outWidth * weight.outer, weight.outer,
         bias.defined() ? data(bias) + channel : nullptr, add.defined() ? dataOf<T>(add) + at : nullptr, relu,
         scale.scale, scale.scales});
  }
};

}  // namespace winograd
}  // namespace batch_cam
