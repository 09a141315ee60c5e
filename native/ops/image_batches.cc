// A batch of images as a model takes it, in one pass from the bytes of a data set: (x / 255 - mean) / std for each
// channel; and the same of images that are changed on the way.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <vector>

namespace batch_cam {
namespace {

using at::Tensor;

// Images of a data set, the places of those that are wanted, and how a batch of them lies.
struct Source {
  Source(const Tensor& images, const Tensor& indices, const Tensor& mean, const Tensor& std, bool channelsLast)
      : channels(images.size(1)),
        height(images.size(2)),
        width(images.size(3)),
        count(indices.numel()),
        channelsLast(channelsLast),
        images_(images),
        indices_(indices) {
    TORCH_CHECK(images.dim() == 4 && images.scalar_type() == at::kByte && images.is_contiguous() && images.numel() > 0,
                "images must be contiguous uint8 (N, C, H, W) with values, got ", images.scalar_type(), images.sizes());
    TORCH_CHECK(indices.dim() == 1 && indices.scalar_type() == at::kInt && indices.is_contiguous(),
                "indices must be int32 (B), got ", indices.scalar_type(), indices.sizes());
    for (const Tensor& of : {mean, std})
      TORCH_CHECK(of.scalar_type() == at::kFloat && of.is_contiguous() && of.sizes() == images.sizes().slice(1, 1),
                  "mean and std must be float32 of shape [", channels, "], got ", of.sizes());
    for (int64_t i = 0; i < count; ++i)
      TORCH_CHECK_INDEX(index(i) >= 0 && index(i) < images.size(0), "index ", index(i), " is not one of ",
                        images.size(0), " images");
  }

  int64_t pixels() const { return height * width; }
  int64_t pixelStep() const { return channelsLast ? channels : 1; }
  int64_t channelStep() const { return channelsLast ? 1 : pixels(); }

  // What make() gives each thread is called for each image: with its place in the batch, its bytes, and where it goes.
  template <typename Make>
  Tensor batch(Make make) const {
    const Tensor out = at::empty({count, channels, height, width}, at::TensorOptions(at::kFloat),
                                 channelsLast ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
    const int64_t size = channels * pixels();
    at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      auto one = make();
      for (int64_t i = begin; i < end; ++i)
        one(i, images_.const_data_ptr<uint8_t>() + index(i) * size, out.data_ptr<float>() + i * size);
    });
    return out;
  }

  const int64_t channels, height, width, count;
  const bool channelsLast;

 private:
  int32_t index(int64_t i) const { return indices_.const_data_ptr<int32_t>()[i]; }

  const Tensor images_, indices_;
};

// As libtorch computes it, operation by operation.
std::vector<float> tableOf(const Tensor& mean, const Tensor& std) {
  const int64_t channels = mean.size(0);
  std::vector<float> table(channels * 256);
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t value = 0; value < 256; ++value) {
      const float share = static_cast<float>(value) / 255.0f;
      table[c * 256 + value] = (share - mean.const_data_ptr<float>()[c]) / std.const_data_ptr<float>()[c];
    }
  return table;
}

void gatherOne(const Source& of, const uint8_t* from, const std::vector<float>& table, float* to) {
  for (int64_t c = 0; c < of.channels; ++c, from += of.pixels()) {
    const float* shades = table.data() + c * 256;
    float* out = to + c * of.channelStep();
    for (int64_t p = 0; p < of.pixels(); ++p) out[p * of.pixelStep()] = shades[from[p]];
  }
}

Tensor gatherImages(const Tensor& images, const Tensor& indices, const Tensor& mean, const Tensor& std,
                    bool channelsLast) {
  const Source source(images, indices, mean, std, channelsLast);
  const std::vector<float> table = tableOf(mean, std);
  return source.batch(
      [&] { return [&](int64_t, const uint8_t* from, float* to) { gatherOne(source, from, table, to); }; });
}

struct Change {
  const float* geometry;     // (2, 3): from places of the new image to those of the old one, from -1 to 1
  const float* shades;       // what each of 256 shades becomes, in [0, 1]
  int64_t shadeStep;         // from one channel's to the next's
  const int32_t* rectangle;  // top, left, bottom, right; empty where nothing is erased
};

// (x - mean) / std as x gain - offset, for each channel.
struct Scale {
  const float *gain, *offset;
};

// Where the pixels of a line come from: four neighbours each and their shares, the border going on beyond the edge.
struct Line {
  explicit Line(int64_t width) : corners(4 * width), shares(4 * width) {}
  std::vector<int32_t> corners;
  std::vector<float> shares;
};

void locate(const Source& of, const float* geometry, int64_t row, Line& line) {
  const float height = static_cast<float>(of.height), width = static_cast<float>(of.width);
  const float y = (2 * static_cast<float>(row) + 1) / height - 1, step = 2 / width;
  const float startX = geometry[1] * y + geometry[2], startY = geometry[4] * y + geometry[5];
  const int32_t wide = static_cast<int32_t>(of.width), lastX = wide - 1, lastY = static_cast<int32_t>(of.height) - 1;
  for (int32_t column = 0; column < wide; ++column) {
    const float x = (static_cast<float>(column) + 0.5f) * step - 1;
    const float fromX = ((geometry[0] * x + startX + 1) * width - 1) / 2;
    const float fromY = ((geometry[3] * x + startY + 1) * height - 1) / 2;
    const float atX = std::min(std::max(fromX, 0.0f), width - 1), atY = std::min(std::max(fromY, 0.0f), height - 1);
    const int32_t x0 = static_cast<int32_t>(atX), y0 = static_cast<int32_t>(atY);  // none is negative
    const float dx = atX - static_cast<float>(x0), dy = atY - static_cast<float>(y0);
    const int32_t upper = y0 * wide, lower = std::min(y0 + 1, lastY) * wide, right = std::min(x0 + 1, lastX);
    int32_t* corners = line.corners.data() + 4 * column;
    float* shares = line.shares.data() + 4 * column;
    corners[0] = upper + x0, corners[1] = upper + right, corners[2] = lower + x0, corners[3] = lower + right;
    shares[0] = (1 - dy) * (1 - dx), shares[1] = (1 - dy) * dx, shares[2] = dy * (1 - dx), shares[3] = dy * dx;
  }
}

void changeOne(const Source& of, const uint8_t* from, const Change& change, const Scale& scale, Line& line, float* to) {
  const int64_t pixelStep = of.pixelStep(), channelStep = of.channelStep();
  const int32_t* const grey = change.rectangle;
  for (int64_t row = 0; row < of.height; ++row, to += of.width * pixelStep) {
    locate(of, change.geometry, row, line);
    const bool erasing = row >= grey[0] && row < grey[2];
    for (int64_t c = 0; c < of.channels; ++c) {
      const uint8_t* const plane = from + c * of.pixels();
      const float* const shades = change.shades + c * change.shadeStep;
      const int32_t* corners = line.corners.data();
      const float *shares = line.shares.data(), gain = scale.gain[c], offset = scale.offset[c];
      float* out = to + c * channelStep;
      for (int64_t column = 0; column < of.width; ++column, corners += 4, shares += 4, out += pixelStep) {
        const float value = shares[0] * shades[plane[corners[0]]] + shares[1] * shades[plane[corners[1]]] +
                            shares[2] * shades[plane[corners[2]]] + shares[3] * shades[plane[corners[3]]];
        *out = value * gain - offset;
      }
      if (!erasing) continue;
      for (int64_t column = std::max(grey[1], 0); column < std::min<int64_t>(grey[3], of.width); ++column)
        to[c * channelStep + column * pixelStep] = 0.5f * gain - offset;
    }
  }
}

Tensor augmentImages(const Tensor& images, const Tensor& indices, const Tensor& geometry, const Tensor& shades,
                     const Tensor& rectangles, const Tensor& mean, const Tensor& std, bool channelsLast) {
  const Source source(images, indices, mean, std, channelsLast);
  TORCH_CHECK(geometry.scalar_type() == at::kFloat && geometry.is_contiguous() && geometry.numel() == 6 * source.count,
              "geometry must be float32 (B, 2, 3), got ", geometry.sizes());
  const bool shared = shades.dim() == 2 && shades.size(0) == 1;
  TORCH_CHECK(shades.scalar_type() == at::kFloat && shades.is_contiguous() && shades.dim() == 2 &&
                  shades.size(1) == 256 && (shared || shades.size(0) == source.count * source.channels),
              "shades must be float32 (B C, 256) or (1, 256), got ", shades.sizes());
  TORCH_CHECK(
      rectangles.scalar_type() == at::kInt && rectangles.is_contiguous() && rectangles.numel() == 4 * source.count,
      "rectangles must be int32 (B, 4), got ", rectangles.sizes());
  const Tensor gain = std.reciprocal(), offset = mean / std;
  const Scale scale{gain.const_data_ptr<float>(), offset.const_data_ptr<float>()};
  return source.batch([&] {
    return [&, line = Line(source.width)](int64_t i, const uint8_t* from, float* to) mutable {
      const int64_t shadeStep = shared ? 0 : 256;
      const Change change{geometry.const_data_ptr<float>() + 6 * i,
                          shades.const_data_ptr<float>() + i * source.channels * shadeStep, shadeStep,
                          rectangles.const_data_ptr<int32_t>() + 4 * i};
      changeOne(source, from, change, scale, line, to);
    };
  });
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def("gather_images(Tensor images, Tensor indices, Tensor mean, Tensor std, bool channels_last) -> Tensor",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(gatherImages)));
  library.def(
      "augment_images(Tensor images, Tensor indices, Tensor geometry, Tensor shades, Tensor rectangles, Tensor "
      "mean, "
      "Tensor std, bool channels_last) -> Tensor",
      torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(augmentImages)));
}

}  // namespace batch_cam
