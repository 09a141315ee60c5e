// A batch of images as a model takes it, in one pass from the bytes of a data set: (x / 255 - mean) / std for each
// channel, which takes 256 values.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <vector>

namespace batch_cam {
namespace {

using at::Tensor;

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

struct Places {
  int64_t channels, pixels;
  bool channelsLast;
};

void gatherOne(const uint8_t* from, const std::vector<float>& table, const Places& of, float* to) {
  const int64_t step = of.channelsLast ? of.channels : 1;
  for (int64_t c = 0; c < of.channels; ++c, from += of.pixels) {
    const float* shades = table.data() + c * 256;
    float* out = to + (of.channelsLast ? c : c * of.pixels);
    for (int64_t p = 0; p < of.pixels; ++p) out[p * step] = shades[from[p]];
  }
}

Tensor gatherImages(const Tensor& images, const Tensor& indices, const Tensor& mean, const Tensor& std,
                    bool channelsLast) {
  TORCH_CHECK(images.dim() == 4 && images.scalar_type() == at::kByte && images.is_contiguous(),
              "images must be contiguous uint8 (N, C, H, W), got ", images.scalar_type(), images.sizes());
  TORCH_CHECK(indices.dim() == 1 && indices.scalar_type() == at::kInt && indices.is_contiguous(),
              "indices must be int32 (B), got ", indices.scalar_type(), indices.sizes());
  for (const Tensor& of : {mean, std})
    TORCH_CHECK(of.scalar_type() == at::kFloat && of.is_contiguous() && of.sizes() == images.sizes().slice(1, 1),
                "mean and std must be float32 of shape [", images.size(1), "], got ", of.sizes());
  const int64_t count = indices.size(0), total = images.size(0);
  const int32_t* at = indices.const_data_ptr<int32_t>();
  for (int64_t i = 0; i < count; ++i)
    TORCH_CHECK_INDEX(at[i] >= 0 && at[i] < total, "index ", at[i], " is not one of ", total, " images");
  const Places places{images.size(1), images.size(2) * images.size(3), channelsLast};
  const std::vector<float> table = tableOf(mean, std);
  const Tensor out = at::empty({count, images.size(1), images.size(2), images.size(3)}, at::TensorOptions(at::kFloat),
                               channelsLast ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
  const int64_t size = places.channels * places.pixels;
  const uint8_t* from = images.const_data_ptr<uint8_t>();
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      gatherOne(from + at[i] * size, table, places, out.data_ptr<float>() + i * size);
  });
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def("gather_images(Tensor images, Tensor indices, Tensor mean, Tensor std, bool channels_last) -> Tensor",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(gatherImages)));
}

}  // namespace batch_cam
