// Weight gradients of bfloat16 convolutions in tile registers: products of dy, transposed, with the patches of x, which
// are laid out in the cache as the tiles want them.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "kernels/amx.h"
#include "kernels/table.h"
#include "memory/buffer.h"
#include "ops/convolution.h"
#include "ops/dtypes.h"

namespace batch_cam {
namespace {

using at::Tensor;

constexpr int64_t kA = kTileSide * kTileInner, kC = kTileSide * kTileSide;  // numbers of a tile
// Steps along the pixels at a time: two rows of tiles of dy for so many stay in the first cache.
constexpr int64_t kSteps = 14;

const BFloat16* halves(const Tensor& tensor) { return dataOf<BFloat16>(tensor); }

int64_t stepsFor(int64_t pixels) { return (pixels + kTileInner - 1) / kTileInner; }

// The rows of an image's pixels in a frame of zeros, so that moving by a row of the kernel is moving by its `width`.
class FramedRows {
 public:
  FramedRows(Extent image, int64_t channels, int64_t width, int64_t before, int64_t count)
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
  Extent image_;  // lines of pixels
  int64_t channels_, width_, before_;
  Buffer<BFloat16> zeros_;
  std::vector<const BFloat16*> rows_;
};

// What one place of the kernel sees from all output pixels: rows of x, or of zeros outside of the image.
std::vector<const BFloat16*> rowsOf(const Tensor& x, const Geometry& g, int64_t place, const BFloat16* zeros) {
  std::vector<const BFloat16*> rows;
  rows.reserve(stepsFor(g.outPixels()) * kTileInner);
  const int64_t r = place / g.kernel - g.padding, s = place % g.kernel - g.padding;
  const auto row = [&](int64_t image, int64_t h, int64_t w) {
    const bool inside = h >= 0 && h < g.height && w >= 0 && w < g.width;
    return inside ? halves(x) + ((image * g.height + h) * g.width + w) * g.inner : zeros;
  };
  for (int64_t image = 0; image < g.images; ++image)
    for (int64_t h = 0; h < g.outHeight; ++h)
      for (int64_t w = 0; w < g.outWidth; ++w) rows.push_back(row(image, h * g.stride + r, w * g.stride + s));
  rows.resize(rows.capacity(), zeros);
  return rows;
}

// Each thread takes images, and sums a gradient of its own. Where the stride is 1 every place of the kernel sees the
// same framed image, moved: one product each. Pixels lie in pairs there, so that a move by an odd number of pixels
// needs a second layout. The result: (places, K / 16, C / 16, 16, 16).
Tensor byImages(const Tensor& x, const Tensor& dy, const Geometry& g) {
  const int64_t width = g.width + 2 * g.padding, places = g.kernel * g.kernel;
  const int64_t steps = stepsFor(g.outHeight * width), count = steps * kTileInner;
  const int64_t pairs = (count + (g.kernel - 1) * (width + 1)) / 2 + 1;
  const int64_t down = g.outer / kTileSide, across = g.inner / kTileSide;
  const Tensor total = at::zeros({places, down, across, kTileSide, kTileSide}, at::kFloat);
  std::vector<std::unique_ptr<Buffer<float>>> perThread(at::get_num_threads());
  at::parallel_for(0, g.images, 1, [&](int64_t begin, int64_t end) {
    Tiles tiles;
    auto sums = std::make_unique<Buffer<float>>(total.numel());
    FramedRows images({g.height, g.width}, g.inner, width, g.padding, 2 * pairs + 1);
    FramedRows gradients({g.outHeight, g.outWidth}, g.outer, width, 0, count);
    Buffer<BFloat16> turned(count * g.outer), even(2 * pairs * g.inner), odd(2 * pairs * g.inner);
    for (int64_t i = begin; i < end; ++i) {
      const auto* slopes = gradients.of(halves(dy) + i * g.outHeight * g.outWidth * g.outer);
      for (int64_t step = 0; step < steps; ++step)
        kernels().transposeTiles(g.outer, slopes + step * kTileInner, steps * kA, turned.data() + step * kA);
      const auto* rows = images.of(halves(x) + i * g.height * g.width * g.inner);
      kernels().interleaveRows({pairs, g.inner}, 0, rows, even.data());
      kernels().interleaveRows({pairs, g.inner}, 0, rows + 1, odd.data());
      for (int64_t step = 0; step < steps; step += kSteps)
        for (int64_t m = 0; m < down; m += 2)
          for (int64_t place = 0; place < places; ++place) {
            const int64_t move = place / g.kernel * width + place % g.kernel + step * kTileInner;
            const BFloat16* seen = (move % 2 == 0 ? even : odd).data() + move / 2 * 2 * g.inner;
            tiles.multiply({std::min<int64_t>(2, down - m), across, std::min(kSteps, steps - step)},
                           {turned.data() + (m * steps + step) * kA, steps, seen, 2 * g.inner,
                            sums->data() + (place * down + m) * across * kC},
                           true);
          }
    }
    perThread[at::get_thread_num()] = std::move(sums);
  });
  float* const to = dataOf<float>(total);
  for (const auto& sums : perThread) {
    if (!sums) continue;
    const float* from = sums->data();
    for (int64_t i = 0, count = total.numel(); i < count; ++i) to[i] += from[i];
  }
  return total.permute({1, 3, 0, 2, 4});
}

// Channels of x at a time, that fill whole tiles.
int64_t partOf(int64_t channels) {
  for (int64_t part = 128; part > kTileSide; part -= kTileSide)
    if (channels % part == 0) return part;
  return kTileSide;
}

// Each thread takes columns of the gradient, over all images: for small maps and many weights. The result: (places x
// parts, K / 16, part / 16, 16, 16).
Tensor byColumns(const Tensor& x, const Tensor& dy, const Geometry& g) {
  const int64_t steps = stepsFor(g.outPixels()), part = partOf(g.inner), parts = g.inner / part;
  const int64_t down = g.outer / kTileSide, across = part / kTileSide, places = g.kernel * g.kernel;
  const Buffer<BFloat16> zeros(std::max(g.inner, g.outer));
  const Tensor turned = at::empty({down, steps, kTileSide, kTileInner}, dy.options());
  at::parallel_for(0, steps, 1, [&](int64_t begin, int64_t end) {
    const BFloat16* rows[kTileInner];
    for (int64_t step = begin; step < end; ++step) {
      for (int64_t i = 0; i < kTileInner; ++i) {
        const int64_t pixel = step * kTileInner + i;
        rows[i] = pixel < g.outPixels() ? halves(dy) + pixel * g.outer : zeros.data();
      }
      kernels().transposeTiles(g.outer, rows, steps * kA, dataOf<BFloat16>(turned) + step * kA);
    }
  });
  const Tensor total = at::empty({places * parts, down, across, kTileSide, kTileSide}, at::kFloat);
  at::parallel_for(0, places * parts, 1, [&](int64_t begin, int64_t end) {
    Tiles tiles;
    Buffer<BFloat16> patches(kSteps * kTileInner * part);
    std::vector<const BFloat16*> rows;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t channel = task % parts * part;
      rows = rowsOf(x, g, task / parts, zeros.data());
      for (int64_t step = 0; step < steps; step += kSteps) {
        const int64_t count = std::min(kSteps, steps - step);
        kernels().interleaveRows({count * kTileSide, part}, channel, rows.data() + step * kTileInner, patches.data());
        tiles.multiply({down, across, count},
                       {dataOf<BFloat16>(turned) + step * kA, steps, patches.data(), 2 * part,
                        dataOf<float>(total) + task * down * across * kC},
                       step > 0);
      }
    }
  });
  return total.permute({1, 3, 0, 2, 4});
}

}  // namespace

bool hasWeightGradientMatrix(const Geometry& g) {
  return hasTiles() && g.outer % kTileSide == 0 && g.inner % kTileSide == 0;
}

Tensor weightGradientMatrix(const Tensor& x, const Tensor& dy, const Geometry& g) {
  RECORD_FUNCTION("batch_cam::amx_weight_gradient", {});  // a row of its own in a profile
  const bool large = g.stride == 1 && g.kernel > 1 && g.outHeight * g.outWidth >= 100;
  return (large ? byImages(x, dy, g) : byColumns(x, dy, g)).reshape({g.outer, g.patch()});
}

}  // namespace batch_cam
