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

inline at::Tensor scratch(int64_t count) { return at::empty({count}, at::kFloat); }

// The tiles of all images of a batch. The output (outHeight x outWidth) is divided into tiles of 4x4; tile(i, ...) is
// the part of the map (height x width) that tile i is computed from.
struct TileGrid {
  MapShape map;
  int64_t images, outHeight, outWidth, padding;
  int64_t down, across;  // tiles of one image
  std::vector<float> zeros;

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
  MapTile tile(int64_t index, const float* pixels, int64_t border) const {
    const float* of = pixels + image(index) * map.height * map.width * map.channels;
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
struct TransformedWeight {
  const WeightView& weight;
  int64_t elementStride;
  at::Tensor values;

  explicit TransformedWeight(const WeightView& weight_)
      : weight(weight_),
        elementStride(weight.inner * weight.panelColumns + kElementPadding),
        values(scratch(weight.panels() * kWinogradElements * elementStride)) {}

  float* at(int64_t panel, int64_t element) const {
    return data(values) + (panel * kWinogradElements + element) * elementStride;
  }

  // Calls body(layout, the part's first kernel, its first element) for parts of the weight, in parallel.
  template <typename Body>
  void forEachPart(Body body) const {
    constexpr int64_t kInnerBlock = 32;
    const int64_t outerBlocks = weight.outer / kOuterBlock;
    at::parallel_for(0, dividedUp(weight.inner, kInnerBlock) * outerBlocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t k = i % outerBlocks * kOuterBlock, c = i / outerBlocks * kInnerBlock;
        body(weight.layout(std::min(kInnerBlock, weight.inner - c), elementStride), weight.at(k, c),
             at(k / weight.panelColumns, 0) + c * weight.panelColumns + k % weight.panelColumns);
      }
    });
  }
};

}  // namespace winograd
}  // namespace batch_cam
