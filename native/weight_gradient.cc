#include <ATen/Parallel.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "convolution.h"
#include "kernels/table.h"
#include "product.h"
#include "typed.h"

namespace batch_cam {
namespace {

using at::Tensor;

constexpr int64_t kSums = 640 << 10;     // bytes of float32 sums that a thread keeps beside what it multiplies
constexpr int64_t kPatches = 900 << 10;  // bytes of patches at a time
constexpr int64_t kChunk = 1024;         // pixels at a time where the columns are divided

const BFloat16* halves(const Tensor& tensor) { return dataOf<BFloat16>(tensor); }

int64_t even(int64_t count) { return count + count % 2; }

// What one place of the kernel sees from a range of output pixels: rows of x, or of zeros outside of the image.
class Rows {
 public:
  Rows(const Tensor& x, const Geometry& geometry) : g_(geometry), pixels_(halves(x)), zeros_(geometry.inner) {}

  // Interleaved channels from `channel` on, for `count` pixels from `first` on, into columns of a matrix `width` wide.
  void layOut(int64_t place, int64_t channel, int64_t channels, int64_t first, int64_t count, int64_t width,
              BFloat16* out) {
    rows_.clear();
    const int64_t r = place / g_.kernel, s = place % g_.kernel;
    int64_t image = first / (g_.outHeight * g_.outWidth);
    int64_t row = first / g_.outWidth % g_.outHeight, column = first % g_.outWidth;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t h = row * g_.stride - g_.padding + r, w = column * g_.stride - g_.padding + s;
      const bool inside = h >= 0 && h < g_.height && w >= 0 && w < g_.width;
      const int64_t pixel = (image * g_.height + h) * g_.width + w;
      rows_.push_back(inside ? pixels_ + pixel * g_.inner + channel : zeros_.data());
      if (++column < g_.outWidth) continue;
      column = 0;
      if (++row < g_.outHeight) continue;
      row = 0;
      ++image;
    }
    if (count % 2 == 1) rows_.push_back(zeros_.data());
    kernels().interleaveRows(channels, even(count) / 2, rows_.data(), 2 * width, out);
  }

 private:
  const Geometry& g_;
  const BFloat16* pixels_;
  std::vector<BFloat16> zeros_;
  std::vector<const BFloat16*> rows_;
};

// Each thread takes images, a few at a time, and sums a gradient of its own: for large maps and few weights.
Tensor byImages(const Tensor& x, const Tensor& dy, const Geometry& g) {
  const int64_t pixels = g.outHeight * g.outWidth, columns = g.patch();
  const int64_t group = std::max<int64_t>(1, kPatches / (pixels * columns * 2));
  const int64_t groups = (g.images + group - 1) / group;
  std::vector<std::unique_ptr<std::vector<float>>> perThread(at::get_num_threads());
  at::parallel_for(0, groups, 1, [&](int64_t begin, int64_t end) {
    const ProductScope scope;
    auto sums = std::make_unique<std::vector<float>>(g.outer * columns);
    Rows rows(x, g);
    const int64_t stride = even(group * pixels);
    std::vector<BFloat16> patches(stride * columns), gradient(stride * g.outer);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i * group * pixels;
      const int64_t count = std::min(group, g.images - i * group) * pixels;
      for (int64_t place = 0; place < g.kernel * g.kernel; ++place)
        rows.layOut(place, 0, g.inner, first, count, columns, patches.data() + 2 * place * g.inner);
      transposed({count, g.outer}, halves(dy) + first * g.outer, stride, gradient.data());
      product({g.outer, columns, count}, gradient.data(), stride, patches.data(), sums->data(), true);
    }
    perThread[at::get_thread_num()] = std::move(sums);
  });
  const Tensor total = at::zeros({g.outer, columns}, at::kFloat);
  float* to = total.data_ptr<float>();
  for (const auto& sums : perThread)
    if (sums)
      for (size_t k = 0; k < sums->size(); ++k) to[k] += (*sums)[k];
  return total;
}

// Each thread takes columns of the gradient, over all images: for small maps and many weights.
Tensor byColumns(const Tensor& x, const Tensor& dy, const Geometry& g) {
  const int64_t stride = even(g.outPixels());
  const Tensor gradient = at::empty({g.outer, stride}, dy.options());
  auto* turnedRows = static_cast<BFloat16*>(gradient.data_ptr());
  // Blocks of whole vectors, so that no thread writes next to another.
  const int64_t block = 32, blocks = (g.outPixels() + block - 1) / block;
  at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * block, last = std::min(end * block, g.outPixels());
    transposed({last - first, g.outer}, halves(dy) + first * g.outer, stride, turnedRows + first);
  });
  const int64_t width = std::min<int64_t>(g.inner, 128), parts = (g.inner + width - 1) / width;
  const Tensor total = at::empty({g.outer, g.patch()}, at::kFloat);
  at::parallel_for(0, g.kernel * g.kernel * parts, 1, [&](int64_t begin, int64_t end) {
    const ProductScope scope;
    Rows rows(x, g);
    std::vector<BFloat16> patches(kChunk * width);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t place = task / parts, channel = task % parts * width;
      const int64_t columns = std::min(width, g.inner - channel);
      for (int64_t first = 0; first < g.outPixels(); first += kChunk) {
        const int64_t count = std::min(kChunk, g.outPixels() - first);
        rows.layOut(place, channel, columns, first, count, columns, patches.data());
        product({g.outer, columns, count}, turnedRows + first, stride, patches.data(),
                total.data_ptr<float>() + place * g.inner + channel, first > 0, g.patch());
      }
    }
  });
  return total;
}

}  // namespace

Tensor weightGradientMatrix(const Tensor& x, const Tensor& dy, const Geometry& g) {
  return g.outer * g.patch() * 4 <= kSums ? byImages(x, dy, g) : byColumns(x, dy, g);
}

}  // namespace batch_cam
