// A batch of changed images in one pass from the bytes of a data set: moved by an affine map, brightened, a rectangle
// made grey, normalised.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>

namespace batch_cam {
namespace {

using at::Tensor;

struct Change {
  const float* geometry;     // (2, 3): from places of the new image to those of the old one, from -1 to 1
  float brightness;          // factor
  const int32_t* rectangle;  // top, left, bottom, right; empty where nothing is erased
};

struct Image {
  int64_t channels, height, width;
  const float *gain, *offset;  // of (x - mean) / std
  bool channelsLast;

  int64_t pixels() const { return height * width; }
};

// Where the pixels of a line come from: four neighbours each and their shares, the border going on beyond the edge.
struct Line {
  explicit Line(int64_t width) : corners(4 * width), shares(4 * width) {}
  std::vector<int32_t> corners;
  std::vector<float> shares;
};

void locate(const Image& of, const float* geometry, int64_t row, Line& line) {
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

void changeOne(const Image& of, const uint8_t* from, const Change& change, Line& line, float* to) {
  const float factor = change.brightness / 255;
  const int64_t pixelStep = of.channelsLast ? of.channels : 1, channelStep = of.channelsLast ? 1 : of.pixels();
  const int32_t* const grey = change.rectangle;
  for (int64_t row = 0; row < of.height; ++row, to += of.width * pixelStep) {
    locate(of, change.geometry, row, line);
    const bool erasing = row >= grey[0] && row < grey[2];
    for (int64_t c = 0; c < of.channels; ++c) {
      const uint8_t* const plane = from + c * of.pixels();
      const int32_t* corners = line.corners.data();
      const float *shares = line.shares.data(), gain = of.gain[c], offset = of.offset[c];
      float* out = to + c * channelStep;
      for (int64_t column = 0; column < of.width; ++column, corners += 4, shares += 4, out += pixelStep) {
        const float value =
            shares[0] * static_cast<float>(plane[corners[0]]) + shares[1] * static_cast<float>(plane[corners[1]]) +
            shares[2] * static_cast<float>(plane[corners[2]]) + shares[3] * static_cast<float>(plane[corners[3]]);
        *out = std::min(value * factor, 1.0f) * gain - offset;
      }
      if (!erasing) continue;
      for (int64_t column = std::max(grey[1], 0); column < std::min<int64_t>(grey[3], of.width); ++column)
        to[c * channelStep + column * pixelStep] = 0.5f * gain - offset;
    }
  }
}

void check(const Tensor& images, const Tensor& indices, const Tensor& geometry, const Tensor& brightness,
           const Tensor& rectangles) {
  TORCH_CHECK(images.dim() == 4 && images.scalar_type() == at::kByte && images.is_contiguous() && images.numel() > 0,
              "images must be contiguous uint8 (N, C, H, W) with values, got ", images.scalar_type(), images.sizes());
  TORCH_CHECK(indices.dim() == 1 && indices.scalar_type() == at::kInt && indices.is_contiguous(),
              "indices must be int32 (B), got ", indices.scalar_type(), indices.sizes());
  const int64_t count = indices.size(0);
  TORCH_CHECK(geometry.scalar_type() == at::kFloat && geometry.is_contiguous() && geometry.numel() == 6 * count,
              "geometry must be float32 (B, 2, 3), got ", geometry.sizes());
  TORCH_CHECK(brightness.scalar_type() == at::kFloat && brightness.is_contiguous() && brightness.numel() == count,
              "brightness must be float32 (B), got ", brightness.sizes());
  TORCH_CHECK(rectangles.scalar_type() == at::kInt && rectangles.is_contiguous() && rectangles.numel() == 4 * count,
              "rectangles must be int32 (B, 4), got ", rectangles.sizes());
  for (int64_t i = 0; i < count; ++i) {
    const int32_t index = indices.const_data_ptr<int32_t>()[i];
    TORCH_CHECK_INDEX(index >= 0 && index < images.size(0), "index ", index, " is not one of ", images.size(0),
                      " images");
  }
}

Tensor augmentImages(const Tensor& images, const Tensor& indices, const Tensor& geometry, const Tensor& brightness,
                     const Tensor& rectangles, const Tensor& mean, const Tensor& std, bool channelsLast) {
  check(images, indices, geometry, brightness, rectangles);
  for (const Tensor& of : {mean, std})
    TORCH_CHECK(of.scalar_type() == at::kFloat && of.is_contiguous() && of.sizes() == images.sizes().slice(1, 1),
                "mean and std must be float32 of shape [", images.size(1), "], got ", of.sizes());
  const Tensor gain = std.reciprocal(), offset = mean / std;
  const Image image{
      images.size(1), images.size(2), images.size(3), gain.const_data_ptr<float>(), offset.const_data_ptr<float>(),
      channelsLast};
  const int64_t count = indices.size(0), size = image.channels * image.pixels();
  const Tensor out = at::empty({count, image.channels, image.height, image.width}, at::TensorOptions(at::kFloat),
                               channelsLast ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    Line line(image.width);
    for (int64_t i = begin; i < end; ++i) {
      const Change change{geometry.const_data_ptr<float>() + 6 * i, brightness.const_data_ptr<float>()[i],
                          rectangles.const_data_ptr<int32_t>() + 4 * i};
      changeOne(image, images.const_data_ptr<uint8_t>() + indices.const_data_ptr<int32_t>()[i] * size, change, line,
                out.data_ptr<float>() + i * size);
    }
  });
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def(
      "augment_images(Tensor images, Tensor indices, Tensor geometry, Tensor brightness, Tensor rectangles, Tensor "
      "mean, "
      "Tensor std, bool channels_last) -> Tensor",
      torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(augmentImages)));
}

}  // namespace batch_cam
