// Winograd's convolution of bfloat16 images with products of 16-bit integers.
//
// A transformed tile u and a transformed weight v are rounded to integers with one scale for each tile and one for each
// output channel. Sums of products over S = kFixedInner channels are exact in 32 bits, and are added in float32. The
// scales follow from bounds that need no pass over the transforms:
//
//   |u|₂ <= N and |u| <= M over S channels, where N is the largest norm of a pixel of the tile and M its largest
//   magnitude: a row of Bᵀ is divided by the sum of its magnitudes, so that u is a mean of pixels with signs;
//   |v|₂ <= F and |v| <= 3 m, where F is the norm of the kernels of S inner channels and m their largest magnitude:
//   a row of G is divided by its norm (Cauchy and Schwarz).
//
// With norms of at most kLargestNorm after scaling, the sum of products is at most kLargestNorm² by Cauchy and Schwarz,
// and rounding adds at most √S / 2 to a norm: (46000 + 4)² < 2³¹. Magnitudes are at most kLargest < 2¹⁵.
#include "ops/winograd_fixed.h"

#include <cmath>
#include <limits>

namespace batch_cam {
namespace winograd {
namespace {

using at::Tensor;

constexpr float kLargestNorm = 46000, kLargest = 32700;
static_assert(kFixedInner == 64, "the bound of rounding assumes 64 channels");
// The largest number of bytes of a block: its transformed tiles and the products of one panel.
constexpr int64_t kBlockBytes = 640 << 10;
// As in winograd.cc: the largest number of tiles for which all of them are multiplied with a panel at once.
constexpr int64_t kFewTiles = 128;

// A factor for values of a norm and a magnitude, and its inverse. Squares that may have overflowed or vanished are
// replaced by a bound: `count` values of the largest magnitude. Values that are not finite make the inverse NaN.
struct Scale {
  float factor, inverse;

  Scale(const Magnitudes& of, float count, float reach) {
    const bool finite = of.largest <= std::numeric_limits<float>::max();
    const bool exact = of.squares > 1e-30f && of.squares < 1e37f;
    const float norm = exact ? std::sqrt(of.squares) : std::sqrt(count) * of.largest;
    const float most = std::min(kLargestNorm / norm, kLargest / (reach * of.largest));
    factor = finite ? std::min(most, 1e37f) : 0;
    inverse = finite ? 1 / factor : std::numeric_limits<float>::quiet_NaN();
  }
};

void takeLarger(Magnitudes& into, const Magnitudes& other) {
  into.squares = std::max(into.squares, other.squares);
  // A NaN is larger than all, and stays.
  if (into.largest >= other.largest || std::isnan(into.largest)) return;
  into.largest = other.largest;
}

// The scales of the output channels, and their inverses, each (outer).
struct WeightScales {
  std::vector<float> factors, inverses;

  explicit WeightScales(const WeightView& weight) : factors(weight.outer), inverses(weight.outer) {
    constexpr float kCount = kFixedInner * kWinogradTaps;
    constexpr int64_t kChannels = 16;  // of a task: its sums stay in the first-level cache
    at::parallel_for(0, dividedUp(weight.outer, kChannels), 1, [&](int64_t begin, int64_t end) {
      std::vector<Magnitudes> most;
      for (int64_t k = begin * kChannels; k < std::min(end * kChannels, weight.outer); k += kChannels) {
        const int64_t count = std::min(kChannels, weight.outer - k);
        most.assign(count, {0, 0});
        for (int64_t c = 0; c < weight.inner; c += kFixedInner)
          take(weight, {k, count}, {c, std::min(kFixedInner, weight.inner - c)}, most);
        for (int64_t i = 0; i < count; ++i) {
          const Scale scale(most[i], kCount, /*reach=*/3);
          factors[k + i] = scale.factor;
          inverses[k + i] = scale.inverse;
        }
      }
    });
  }

 private:
  struct Range {
    int64_t first, count;
  };

  // Takes a segment of inner channels into `most`. The kernels of one outer channel are contiguous in the forward pass;
  // otherwise those of one inner channel are.
  static void take(const WeightView& weight, Range outer, Range inner, std::vector<Magnitudes>& most) {
    if (!weight.rotated180) {
      for (int64_t i = 0; i < outer.count; ++i)
        takeLarger(most[i],
                   kernels().rowMagnitudes(inner.count * kWinogradTaps, weight.at(outer.first + i, inner.first)));
      return;
    }
    const int64_t width = outer.count * kWinogradTaps;
    std::vector<float> squares(width), largest(width);
    for (int64_t c = 0; c < inner.count; ++c)
      kernels().columnMagnitudes(width, weight.at(outer.first, inner.first + c), squares.data(), largest.data());
    for (int64_t i = 0; i < outer.count; ++i) {
      Magnitudes sum{0, 0};
      for (int64_t at = i * kWinogradTaps; at < (i + 1) * kWinogradTaps; ++at)
        takeLarger(sum, {sum.squares + squares[at], largest[at]});
      takeLarger(most[i], sum);
    }
  }
};

// The operands of one convolution.
class FixedPass {
 public:
  FixedPass(const Tensor& x, const WeightView& weight, const Output& output, const ConvPostOps& postOps)
      : tiles_(x.size(0), {x.size(2), x.size(3), x.size(1)}, {output.height, output.width}, output.padding),
        weight_(weight),
        scales_(weight),
        x_(dataOf<BFloat16>(x)),
        y_(at::empty({tiles_.images, weight.outer, output.height, output.width}, x.options(),
                     at::MemoryFormat::ChannelsLast)),
        write_{tiles_, weight_, postOps, dataOf<BFloat16>(y_)},
        pixels_(tiles_.images * tiles_.map.height * tiles_.map.width),
        inverses_(tiles_.count()) {
    const int64_t channels = tiles_.map.channels;
    at::parallel_for(0, static_cast<int64_t>(pixels_.size()), 256, [&](int64_t begin, int64_t end) {
      kernels().pixelMagnitudes({end - begin, channels}, x_ + begin * channels, pixels_.data() + begin);
    });
  }

  Tensor run() {
    if (tiles_.count() <= kFewTiles && weight_.panels() >= 4) {
      panelByPanel();
    } else {
      blockByBlock();
    }
    return y_;
  }

 private:
  Magnitudes magnitudesOf(int64_t tile) const {
    const MapShape<BFloat16>& map = tiles_.map;
    const int64_t top = tiles_.top(tile) - tiles_.padding, left = tiles_.left(tile) - tiles_.padding;
    const int64_t bottom = std::min(map.height, top + kWinogradInput);
    const int64_t right = std::min(map.width, left + kWinogradInput);
    Magnitudes most{0, 0};
    for (int64_t row = std::max<int64_t>(0, top); row < bottom; ++row) {
      const Magnitudes* line = pixels_.data() + (tiles_.image(tile) * map.height + row) * map.width;
      for (int64_t column = std::max<int64_t>(0, left); column < right; ++column) takeLarger(most, line[column]);
    }
    return most;
  }

  // Transforms the input tiles from `first` on to `out`: for each element a matrix (count, inner channels).
  void transformInput(int64_t first, int64_t count, int64_t elementStride, int16_t* out) {
    for (int64_t i = 0; i < count; ++i) {
      const Scale scale(magnitudesOf(first + i), kFixedInner, /*reach=*/1);
      inverses_[first + i] = scale.inverse;
      kernels().winogradFixedInputTransform(tiles_.tile(first + i, x_, tiles_.padding),
                                            {elementStride, 0, weight_.inner}, scale.factor, out + i * weight_.inner);
    }
  }

  void transformOutput(int64_t first, int64_t count, int64_t panel, int64_t elementStride, const float* products) {
    const float* inverses = scales_.inverses.data() + panel * weight_.panelColumns;
    for (int64_t i = 0; i < count; ++i)
      write_(first + i, panel, elementStride, products + i * weight_.panelColumns, {inverses_[first + i], inverses});
  }

  // Both orders are those of winograd.cc, which says when each is used.
  void blockByBlock();
  void panelByPanel();

  const TileGrid<BFloat16> tiles_;
  const WeightView& weight_;
  const WeightScales scales_;
  const BFloat16* x_;
  const Tensor y_;
  const OutputWriter<BFloat16> write_;
  std::vector<Magnitudes> pixels_;
  std::vector<float> inverses_;  // of the tiles' scales
};

void FixedPass::blockByBlock() {
  const TransformedWeight<int32_t> transformed(weight_, weight_.inner / 2);
  transformed.forEachPart([&](const WeightLayout& layout, int64_t k, const float* from, int32_t* to) {
    kernels().winogradFixedWeightTransform(layout, from, scales_.factors.data() + k, to);
  });
  const int64_t all = tiles_.count(), threads = at::get_num_threads();
  const int64_t bytes = kWinogradElements * (2 * weight_.inner + 4 * weight_.panelColumns);
  const int64_t fitting = std::clamp<int64_t>(kBlockBytes / bytes, 24, 96);
  const int64_t size = dividedUp(all, dividedUp(dividedUp(all, fitting), threads) * threads);
  const int64_t valueStride = size * weight_.inner + 2 * kElementPadding;
  const int64_t productStride = size * weight_.panelColumns + kElementPadding;
  const Tensor values = scratch<int16_t>(threads * kWinogradElements * valueStride);
  const Tensor products = scratch<float>(threads * kWinogradElements * productStride);
  at::parallel_for(0, dividedUp(all, size), 1, [&](int64_t begin, int64_t end) {
    int16_t* u = dataOf<int16_t>(values) + at::get_thread_num() * kWinogradElements * valueStride;
    float* m = dataOf<float>(products) + at::get_thread_num() * kWinogradElements * productStride;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i * size, count = std::min(size, all - first);
      transformInput(first, count, valueStride, u);
      for (int64_t panel = 0; panel < weight_.panels(); ++panel) {
        for (int element = 0; element < kWinogradElements; ++element)
          kernels().fixedPanelProduct({count, weight_.inner, weight_.panelColumns, weight_.inner, 1, false}, element,
                                      u + element * valueStride, transformed.at(panel, element),
                                      m + element * productStride);
        transformOutput(first, count, panel, productStride, m);
      }
    }
  });
}

void FixedPass::panelByPanel() {
  const int64_t all = tiles_.count(), columns = weight_.panelColumns;
  const int64_t valueStride = all * weight_.inner + 2 * kElementPadding;
  const Tensor values = scratch<int16_t>(kWinogradElements * valueStride);
  const int16_t* u = dataOf<int16_t>(values);
  at::parallel_for(0, all, 1, [&](int64_t begin, int64_t end) {
    transformInput(begin, end - begin, valueStride, dataOf<int16_t>(values) + begin * weight_.inner);
  });
  const int64_t weightStride = kFixedInner / 2 * columns + kElementPadding;
  const int64_t productStride = all * columns + kElementPadding;
  const Tensor weights = scratch<int32_t>(at::get_num_threads() * kWinogradElements * weightStride);
  const Tensor products = scratch<float>(at::get_num_threads() * kWinogradElements * productStride);
  at::parallel_for(0, weight_.panels(), 1, [&](int64_t begin, int64_t end) {
    int32_t* v = dataOf<int32_t>(weights) + at::get_thread_num() * kWinogradElements * weightStride;
    float* m = dataOf<float>(products) + at::get_thread_num() * kWinogradElements * productStride;
    for (int64_t panel = begin; panel < end; ++panel) {
      for (int64_t c = 0; c < weight_.inner; c += kFixedInner) {
        const int64_t count = std::min(kFixedInner, weight_.inner - c);
        for (int64_t k = panel * columns; k < (panel + 1) * columns; k += kOuterBlock)
          kernels().winogradFixedWeightTransform(weight_.layout(count, weightStride), weight_.at(k, c),
                                                 scales_.factors.data() + k, v + k - panel * columns);
        for (int element = 0; element < kWinogradElements; ++element)
          kernels().fixedPanelProduct({all, count, columns, weight_.inner, 1, c > 0}, element,
                                      u + element * valueStride + c, v + element * weightStride,
                                      m + element * productStride);
      }
      transformOutput(0, all, panel, productStride, m);
    }
  });
}

}  // namespace

bool hasFixedPoint() { return kernels().fixedPanelProduct != nullptr; }

Tensor convolveFixed(const Tensor& x, const WeightView& weight, const Output& output, const ConvPostOps& postOps) {
  return FixedPass(x, weight, output, postOps).run();
}

}  // namespace winograd
}  // namespace batch_cam
