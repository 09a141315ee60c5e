// Memory of a kernel's own for the length of a call, on the boundary of a cache line: the vectors and tiles of numbers
// that cross one are read twice.
#pragma once

#include <ATen/ATen.h>

#include <cstring>

namespace batch_cam {

template <typename T>
class Scratch {
 public:
  // Zeros.
  explicit Scratch(int64_t count) : bytes_(at::empty({count * static_cast<int64_t>(sizeof(T))}, at::kByte)) {
    std::memset(bytes_.data_ptr(), 0, bytes_.nbytes());
  }
  T* data() const { return static_cast<T*>(bytes_.data_ptr()); }
  int64_t size() const { return bytes_.numel() / static_cast<int64_t>(sizeof(T)); }

 private:
  at::Tensor bytes_;
};

}  // namespace batch_cam
