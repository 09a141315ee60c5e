// The weight gradient of a bfloat16 convolution in the tile registers of AMX: dweight = dyᵀ patches(x), a product
// (K, output pixels) x (output pixels, positions x C) with float32 sums. dy is transposed to tiles (16 channels, 32
// pixels), and the rows of x are interleaved in pairs, as the tile instructions require.
//
// Caller: convolution_passes.cc, for channels in multiples of 16. The patches are never written to memory as a whole,
// and all operands are on cache-line boundaries (memory/aligned_buffer.h), which halves the time of the products.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "kernels/amx.h"
#include "kernels/table.h"
#include "memory/aligned_buffer.h"
#include "ops/convolution.h"
#include "ops/dtypes.h"

namespace batch_cam {
namespace {

using at::Tensor;

constexpr int64_t kTileSizeA = kAmxTileRows * kAmxTileInner,
                  kTileSizeC = kAmxTileRows * kAmxTileRows;  // elements of a tile
// The number of tiles along the output pixels that are multiplied at a time. Two rows of tiles of dy of this length
// stay in the first-level cache.
constexpr int64_t kStepsPerBlock = 14;

const BFloat16* data(const Tensor& tensor) { return dataOf<BFloat16>(tensor); }

// The number of tiles of 32 pixels.
int64_t stepsFor(int64_t pixels) { return (pixels + kAmxTileInner - 1) / kAmxTileInner; }

// Pointers to the pixels of an image that is surrounded by a border of zeros, without a copy of the image. The pixel
// under another position of the kernel is then always the same number of pointers away.
class PaddedRows {
 public:
  PaddedRows(Extent image, int64_t channels, int64_t width, int64_t before, int64_t count)
      : image_(image),
        channels_(channels),
        width_(width),
        before_(before),
        zeros_(channels),
        rows_(count, zeros_.data()) {}

  const BFloat16* const* of(const BFloat16* pixels) {
    for (int64_t h = 0; h < image_.rows; ++h) {
      const BFloat16** line = rows_.data() + (h + before_) * width_ + before_;
      for (int64_t w = 0; w < image_.channels; ++w, pixels += channels_) line[w] = pixels;
    }
    return rows_.data();
  }

 private:
  Extent image_;  // rows and columns of pixels
  int64_t channels_, width_, before_;
  Buffer<BFloat16> zeros_;
  std::vector<const BFloat16*> rows_;
};

// For each output pixel a pointer to the input pixel under one position of the kernel, or to zeros outside of the
// image.
std::vector<const BFloat16*> rowsOf(const Tensor& x, const Geometry& g, int64_t position, const BFloat16* zeros) {
  std::vector<const BFloat16*> rows;
  rows.reserve(stepsFor(g.outPixels()) * kAmxTileInner);
  const int64_t r = position / g.kernel - g.padding, s = position % g.kernel - g.padding;
  const auto row = [&](int64_t image, int64_t h, int64_t w) {
    const bool inside = h >= 0 && h < g.height && w >= 0 && w < g.width;
    return inside ? data(x) + ((image * g.height + h) * g.width + w) * g.inner : zeros;
  };
  for (int64_t image = 0; image < g.images; ++image)
    for (int64_t h = 0; h < g.outHeight; ++h)
      for (int64_t w = 0; w < g.outWidth; ++w) rows.push_back(row(image, h * g.stride + r, w * g.stride + s));
  rows.resize(rows.capacity(), zeros);
  return rows;
}

// total += the sums of all threads; a thread that had no work has none.
void addAll(const std::vector<std::unique_ptr<Buffer<float>>>& perThread, const Tensor& total) {
  float* const to = dataOf<float>(total);
  for (const auto& sums : perThread) {
    if (!sums) continue;
    const float* from = sums->data();
    for (int64_t i = 0, count = total.numel(); i < count; ++i) to[i] += from[i];
  }
}

// The gradient for stride 1 and large outputs. Threads divide the images, and each thread sums a gradient of its own.
// All positions of the kernel read the same padded image, shifted by a number of pixels. Rows are interleaved in pairs,
// so that a shift by an odd number of pixels needs a second copy that starts one pixel later. The shape of the sums is
// (positions, K / 16, C / 16, 16, 16).
Tensor byImages(const Tensor& x, const Tensor& dy, const Geometry& g) {
  const int64_t width = g.width + 2 * g.padding, positions = g.kernel * g.kernel;
  const int64_t steps = stepsFor(g.outHeight * width), count = steps * kAmxTileInner;
  const int64_t pairs = (count + (g.kernel - 1) * (width + 1)) / 2 + 1;
  const int64_t down = g.outer / kAmxTileRows, across = g.inner / kAmxTileRows;
  const Tensor total = at::zeros({positions, down, across, kAmxTileRows, kAmxTileRows}, at::kFloat);
  std::vector<std::unique_ptr<Buffer<float>>> perThread(at::get_num_threads());
  at::parallel_for(0, g.images, 1, [&](int64_t begin, int64_t end) {
    AmxTiles tiles;
    auto sums = std::make_unique<Buffer<float>>(total.numel());
    PaddedRows images({g.height, g.width}, g.inner, width, g.padding, 2 * pairs + 1);
    PaddedRows gradients({g.outHeight, g.outWidth}, g.outer, width, 0, count);
    Buffer<BFloat16> dyTiles(count * g.outer), even(2 * pairs * g.inner), odd(2 * pairs * g.inner);
    for (int64_t i = begin; i < end; ++i) {
      const auto* dyRows = gradients.of(data(dy) + i * g.outHeight * g.outWidth * g.outer);
      for (int64_t step = 0; step < steps; ++step)
        kernels().transposeToAmxTiles(g.outer, dyRows + step * kAmxTileInner, steps * kTileSizeA,
                                      dyTiles.data() + step * kTileSizeA);
      const auto* rows = images.of(data(x) + i * g.height * g.width * g.inner);
      kernels().interleaveRowPairs({pairs, g.inner}, 0, rows, even.data());
      kernels().interleaveRowPairs({pairs, g.inner}, 0, rows + 1, odd.data());
      for (int64_t step = 0; step < steps; step += kStepsPerBlock)
        for (int64_t m = 0; m < down; m += 2)
          for (int64_t position = 0; position < positions; ++position) {
            const int64_t shift = position / g.kernel * width + position % g.kernel + step * kAmxTileInner;
            const BFloat16* pixels = (shift % 2 == 0 ? even : odd).data() + shift / 2 * 2 * g.inner;
            tiles.multiply({std::min<int64_t>(2, down - m), across, std::min(kStepsPerBlock, steps - step)},
                           {dyTiles.data() + (m * steps + step) * kTileSizeA, steps, pixels, 2 * g.inner,
                            sums->data() + (position * down + m) * across * kTileSizeC},
                           true);
          }
    }
    perThread[at::get_thread_num()] = std::move(sums);
  });
  addAll(perThread, total);
  return total.permute({1, 3, 0, 2, 4});
}

// The number of channels of x that byColumns takes at a time: a multiple of 16 that divides them.
int64_t partOf(int64_t channels) {
  for (int64_t part = 128; part > kAmxTileRows; part -= kAmxTileRows)
    if (channels % part == 0) return part;
  return kAmxTileRows;
}

// The gradient for small outputs, or for strides other than 1. Threads divide the columns of the gradient (a position
// of the kernel and a part of the channels), and each sums over all images. The sums are (positions x parts, K / 16,
// part / 16, 16, 16).
Tensor byColumns(const Tensor& x, const Tensor& dy, const Geometry& g) {
  const int64_t steps = stepsFor(g.outPixels()), part = partOf(g.inner), parts = g.inner / part;
  const int64_t down = g.outer / kAmxTileRows, across = part / kAmxTileRows, positions = g.kernel * g.kernel;
  const Buffer<BFloat16> zeros(std::max(g.inner, g.outer));
  const Tensor dyTiles = at::empty({down, steps, kAmxTileRows, kAmxTileInner}, dy.options());
  at::parallel_for(0, steps, 1, [&](int64_t begin, int64_t end) {
    const BFloat16* rows[kAmxTileInner];
    for (int64_t step = begin; step < end; ++step) {
      for (int64_t i = 0; i < kAmxTileInner; ++i) {
        const int64_t pixel = step * kAmxTileInner + i;
        rows[i] = pixel < g.outPixels() ? data(dy) + pixel * g.outer : zeros.data();
      }
      kernels().transposeToAmxTiles(g.outer, rows, steps * kTileSizeA, dataOf<BFloat16>(dyTiles) + step * kTileSizeA);
    }
  });
  const Tensor total = at::empty({positions * parts, down, across, kAmxTileRows, kAmxTileRows}, at::kFloat);
  at::parallel_for(0, positions * parts, 1, [&](int64_t begin, int64_t end) {
    AmxTiles tiles;
    Buffer<BFloat16> patches(kStepsPerBlock * kAmxTileInner * part);
    std::vector<const BFloat16*> rows;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t channel = task % parts * part;
      rows = rowsOf(x, g, task / parts, zeros.data());
      for (int64_t step = 0; step < steps; step += kStepsPerBlock) {
        const int64_t count = std::min(kStepsPerBlock, steps - step);
        kernels().interleaveRowPairs({count * kAmxTileRows, part}, channel, rows.data() + step * kAmxTileInner,
                                     patches.data());
        tiles.multiply({down, across, count},
                       {dataOf<BFloat16>(dyTiles) + step * kTileSizeA, steps, patches.data(), 2 * part,
                        dataOf<float>(total) + task * down * across * kTileSizeC},
                       step > 0);
      }
    }
  });
  return total.permute({1, 3, 0, 2, 4});
}

}  // namespace

bool supportsAmxWeightGradient(const Geometry& g) {
  return hasAmx() && g.outer % kAmxTileRows == 0 && g.inner % kAmxTileRows == 0;
}

Tensor amxWeightGradient(const Tensor& x, const Tensor& dy, const Geometry& g) {
  RECORD_FUNCTION("batch_cam::amx_weight_gradient", {});  // a row of its own in a profile
  const bool large = g.stride == 1 && g.kernel > 1 && g.outHeight * g.outWidth >= 100;
  return (large ? byImages(x, dy, g) : byColumns(x, dy, g)).reshape({g.outer, g.patch()});
}

}  // namespace batch_cam
