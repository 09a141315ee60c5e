#include "ops/winograd.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <vector>

#include "kernels/table.h"
#include "ops/dtypes.h"

namespace batch_cam {
namespace {

using at::Tensor;

constexpr int64_t kPoints = 36, kSide = 4, kTaps = 9;
constexpr int64_t kGap = 16;  // numbers between the points, which would else fall on the same lines of a cache
constexpr int64_t kValuesOfBlock = 160 << 10;
constexpr int64_t kValuesOfChunk = 1 << 20;
constexpr int64_t kFewSquares = 128;  // as many as leave room in a cache for a panel's results

int64_t dividedUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Channels of a panel: the most whole vectors that divide them all.
int64_t panelOf(int64_t channels) {
  for (int64_t columns = kPanel; columns > 16; columns -= 16)
    if (channels % columns == 0) return columns;
  return 16;
}

float* numbers(const Tensor& tensor) { return dataOf<float>(tensor); }

Tensor room(int64_t count) { return at::empty({count}, at::kFloat); }

// Squares of results of a whole batch, and the map that they are made of.
struct Squares {
  WinogradMap map;
  int64_t images, outHeight, outWidth, padding;
  int64_t down, across;
  std::vector<float> zeros;

  Squares(int64_t images_, std::array<int64_t, 3> size, std::array<int64_t, 2> out, int64_t padding_)
      : images(images_),
        outHeight(out[0]),
        outWidth(out[1]),
        padding(padding_),
        down(dividedUp(out[0], kSide)),
        across(dividedUp(out[1], kSide)),
        zeros(size[2]) {
    map = {size[0], size[1], size[2], zeros.data()};
  }

  int64_t count() const { return images * down * across; }
  int64_t image(int64_t square) const { return square / (down * across); }
  int64_t top(int64_t square) const { return square / across % down * kSide; }
  int64_t left(int64_t square) const { return square % across * kSide; }
  SquareOfMap at(int64_t square, const float* pixels, int64_t border) const {
    const float* of = pixels + image(square) * map.height * map.width * map.channels;
    return {&map, of, top(square) - border, left(square) - border};
  }
};

// A weight (K, C, 3, 3) as a pass reads it: for the gradient of the input the roles of its channels change, and each
// kernel is read from its end.
struct Weight {
  float* values;
  int64_t inner, outer, columns;
  bool turned;

  Weight(const Tensor& weight, bool turned_)
      : values(numbers(weight)),
        inner(weight.size(turned_ ? 0 : 1)),
        outer(weight.size(turned_ ? 1 : 0)),
        columns(panelOf(outer)),
        turned(turned_) {}

  int64_t panels() const { return outer / columns; }
  int64_t toInner() const { return turned ? outer * kTaps : kTaps; }
  int64_t toOuter() const { return turned ? kTaps : inner * kTaps; }
  float* at(int64_t k, int64_t c) const { return values + k * toOuter() + c * toInner(); }
  KernelPlaces places(int64_t count, int64_t point) const {
    return {count, toInner(), toOuter(), turned, point, columns};
  }
};

// All of a weight, or its gradient, at the points: matrices (inner, columns) for each panel of outer channels and each
// point.
struct Panels {
  const Weight& weight;
  int64_t stride;
  Tensor values;

  explicit Panels(const Weight& weight_)
      : weight(weight_),
        stride(weight.inner * weight.columns + kGap),
        values(room(weight.panels() * kPoints * stride)) {}

  float* at(int64_t panel, int64_t point) const { return numbers(values) + (panel * kPoints + point) * stride; }

  // body(places, where they begin in the weight, and at the first point) over parts of it, in parallel.
  template <typename Body>
  void eachPart(Body body) const {
    constexpr int64_t kInnerAtOnce = 32;
    const int64_t perOuter = weight.outer / kOuterAtOnce;
    at::parallel_for(0, dividedUp(weight.inner, kInnerAtOnce) * perOuter, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t k = i % perOuter * kOuterAtOnce, c = i / perOuter * kInnerAtOnce;
        body(weight.places(std::min(kInnerAtOnce, weight.inner - c), stride), weight.at(k, c),
             at(k / weight.columns, 0) + c * weight.columns + k % weight.columns);
      }
    });
  }
};

// What a pass over values reads and writes.
struct Pass {
  const Squares& squares;
  const Weight& weight;
  const Epilogue& epilogue;
  const float* x;
  float* y;

  // Squares from `first` on at the points, `stride` numbers from point to point.
  void toPoints(int64_t first, int64_t count, int64_t stride, float* values) const {
    const PointsLayout layout{stride, 0, weight.inner};
    for (int64_t i = 0; i < count; ++i)
      kernels().winogradInput(squares.at(first + i, x, squares.padding), layout, values + i * weight.inner);
  }

  // A panel's results for them.
  void fromPoints(int64_t first, int64_t count, int64_t panel, int64_t stride, const float* results) const {
    for (int64_t i = 0; i < count; ++i)
      kernels().winogradResult(results + i * weight.columns, stride, weight.columns, resultAt(first + i, panel));
  }

  WinogradResult resultAt(int64_t square, int64_t panel) const {
    const int64_t top = squares.top(square), left = squares.left(square), channel = panel * weight.columns;
    const int64_t pixel = (squares.image(square) * squares.outHeight + top) * squares.outWidth + left;
    const int64_t at = pixel * weight.outer + channel;
    const auto& [bias, add, relu] = epilogue;
    return {y + at,
            std::min(kSide, squares.outHeight - top),
            std::min(kSide, squares.outWidth - left),
            squares.outWidth * weight.outer,
            weight.outer,
            bias.defined() ? numbers(bias) + channel : nullptr,
            add.defined() ? numbers(add) + at : nullptr,
            relu};
  }
};

// Where squares are many: blocks of them with all their channels, in a cache, meet the weight panel by panel.
void blockByBlock(const Pass& pass) {
  const Weight& weight = pass.weight;
  const Panels panels(weight);
  panels.eachPart(
      [](const KernelPlaces& places, const float* from, float* to) { kernels().winogradKernel(places, from, to); });
  const int64_t all = pass.squares.count(), threads = at::get_num_threads();
  const int64_t fitting = std::clamp<int64_t>(kValuesOfBlock / (kPoints * weight.inner), 48, 96);
  const int64_t size = dividedUp(all, dividedUp(dividedUp(all, fitting), threads) * threads);
  const int64_t atPoint = size * weight.inner + kGap, resultsAtPoint = size * weight.columns + kGap;
  const int64_t each = kPoints * (atPoint + resultsAtPoint);
  const Tensor memory = room(threads * each);
  at::parallel_for(0, dividedUp(all, size), 1, [&](int64_t begin, int64_t end) {
    float* values = numbers(memory) + at::get_thread_num() * each;
    float* results = values + kPoints * atPoint;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i * size, count = std::min(size, all - first);
      pass.toPoints(first, count, atPoint, values);
      for (int64_t panel = 0; panel < weight.panels(); ++panel) {
        for (int64_t point = 0; point < kPoints; ++point)
          kernels().panelProduct({count, weight.inner, weight.columns, weight.inner, 1, false},
                                 values + point * atPoint, panels.at(panel, point), results + point * resultsAtPoint);
        pass.fromPoints(first, count, panel, resultsAtPoint, results);
      }
    }
  });
}

// Where the weight is larger than what it is applied to: its values at the points are made piece by piece in a cache,
// met by all squares, and never written to memory.
void panelByPanel(const Pass& pass) {
  constexpr int64_t kInnerAtOnce = 64;
  const Weight& weight = pass.weight;
  const int64_t all = pass.squares.count(), atPoint = all * weight.inner + kGap;
  const Tensor values = room(kPoints * atPoint);
  at::parallel_for(0, all, 1, [&](int64_t begin, int64_t end) {
    pass.toPoints(begin, end - begin, atPoint, numbers(values) + begin * weight.inner);
  });
  const int64_t kernelAtPoint = kInnerAtOnce * weight.columns + kGap, resultsAtPoint = all * weight.columns + kGap;
  const int64_t each = kPoints * (kernelAtPoint + resultsAtPoint);
  const Tensor memory = room(at::get_num_threads() * each);
  at::parallel_for(0, weight.panels(), 1, [&](int64_t begin, int64_t end) {
    float* kernel = numbers(memory) + at::get_thread_num() * each;
    float* results = kernel + kPoints * kernelAtPoint;
    for (int64_t panel = begin; panel < end; ++panel) {
      for (int64_t c = 0; c < weight.inner; c += kInnerAtOnce) {
        const int64_t count = std::min(kInnerAtOnce, weight.inner - c);
        for (int64_t k = 0; k < weight.columns; k += kOuterAtOnce)
          kernels().winogradKernel(weight.places(count, kernelAtPoint), weight.at(panel * weight.columns + k, c),
                                   kernel + k);
        for (int64_t point = 0; point < kPoints; ++point)
          kernels().panelProduct({all, count, weight.columns, weight.inner, 1, c > 0},
                                 numbers(values) + point * atPoint + c, kernel + point * kernelAtPoint,
                                 results + point * resultsAtPoint);
      }
      pass.fromPoints(0, all, panel, resultsAtPoint, results);
    }
  });
}

Tensor convolved(const Tensor& x, const Weight& weight, const Squares& squares, const Epilogue& epilogue) {
  const Tensor y = at::empty({squares.images, weight.outer, squares.outHeight, squares.outWidth}, x.options(),
                             at::MemoryFormat::ChannelsLast);
  const Pass pass{squares, weight, epilogue, numbers(x), numbers(y)};
  if (squares.count() <= kFewSquares && weight.panels() >= 4) {
    panelByPanel(pass);
  } else {
    blockByBlock(pass);
  }
  return y;
}

// The gradient of a weight, as sums over squares of input times gradient at each point.
struct WeightGradient {
  const Weight& weight;
  const Squares &inputs, &gradients;
  Panels sums;
  int64_t chunk;
  PointsLayout ofInputs, ofGradients;
  Tensor inputValues, gradientValues;

  WeightGradient(const Weight& weight_, const Squares& inputs_, const Squares& gradients_)
      : weight(weight_),
        inputs(inputs_),
        gradients(gradients_),
        sums(weight),
        chunk(std::min(inputs.count(),
                       std::max<int64_t>(48, kValuesOfChunk / (kPoints * (weight.inner + weight.outer))))),
        ofInputs{chunk * weight.inner + kGap, 0, weight.inner},
        ofGradients{chunk * weight.columns + kGap, kPoints * (chunk * weight.columns + kGap), weight.columns},
        inputValues(room(kPoints * ofInputs.point)),
        gradientValues(room(weight.panels() * ofGradients.panel)) {}

  void add(int64_t first, const float* x, const float* dy) const {
    const int64_t count = std::min(chunk, inputs.count() - first);
    const auto& kernel = kernels();
    at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        kernel.winogradInput(inputs.at(first + i, x, inputs.padding), ofInputs,
                             numbers(inputValues) + i * weight.inner);
        kernel.winogradGradient(gradients.at(first + i, dy, 0), ofGradients,
                                numbers(gradientValues) + i * weight.columns);
      }
    });
    const PanelProduct shape{weight.inner, count, weight.columns, 1, weight.inner, first > 0};
    at::parallel_for(0, weight.panels() * kPoints, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        kernel.panelProduct(shape, numbers(inputValues) + i % kPoints * ofInputs.point,
                            numbers(gradientValues) + i * ofGradients.point, sums.at(i / kPoints, i % kPoints));
    });
  }

  void run(const float* x, const float* dy) const {
    for (int64_t first = 0; first < inputs.count(); first += chunk) add(first, x, dy);
    sums.eachPart([](const KernelPlaces& places, float* to, const float* from) {
      kernels().winogradKernelGradient(places, from, to);
    });
  }
};

}  // namespace

bool hasWinograd(const Geometry& g) {
  const bool fits = g.kernel == 3 && g.stride == 1 && g.inner % 16 == 0 && g.outer % 16 == 0;
  // Of fewer squares the weight's way to the points takes longer than they do.
  const int64_t squares = g.images * dividedUp(g.outHeight, kSide) * dividedUp(g.outWidth, kSide);
  return fits && panelOf(g.inner) >= 32 && panelOf(g.outer) >= 32 && squares >= 8;
}

Tensor winogradForward(const Tensor& x, const Tensor& weight, const Geometry& g, const Epilogue& epilogue) {
  RECORD_FUNCTION("batch_cam::winograd", {});
  const Squares squares(g.images, {g.height, g.width, g.inner}, {g.outHeight, g.outWidth}, g.padding);
  return convolved(x, Weight(weight, /*turned=*/false), squares, epilogue);
}

Tensor winogradInputGradient(const Tensor& dy, const Tensor& weight, const Geometry& g) {
  RECORD_FUNCTION("batch_cam::winograd", {});
  const Squares squares(g.images, {g.outHeight, g.outWidth, g.outer}, {g.height, g.width}, 2 - g.padding);
  return convolved(dy, Weight(weight, /*turned=*/true), squares, {});
}

Tensor winogradWeightGradient(const Tensor& x, const Tensor& dy, const Geometry& g) {
  RECORD_FUNCTION("batch_cam::winograd", {});
  const std::array<int64_t, 2> out{g.outHeight, g.outWidth};
  const Squares inputs(g.images, {g.height, g.width, g.inner}, out, g.padding);
  const Squares gradients(g.images, {g.outHeight, g.outWidth, g.outer}, out, 0);
  const Tensor made = at::empty({g.outer, g.inner, 3, 3}, at::kFloat);
  WeightGradient(Weight(made, /*turned=*/false), inputs, gradients).run(numbers(x), numbers(dy));
  return made;
}

}  // namespace batch_cam
