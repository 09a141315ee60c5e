// Memory of a kernel's own for the length of a call, on the boundary of a cache line: vectors and tiles of numbers that
// cross one are read twice.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace batch_cam {

constexpr std::align_val_t kCacheLine{64};

template <typename T>
struct OnCacheLines {
  using value_type = T;

  OnCacheLines() = default;
  template <typename U>
  OnCacheLines(const OnCacheLines<U>&) {}

  T* allocate(std::size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kCacheLine)); }
  void deallocate(T* data, std::size_t) { ::operator delete(data, kCacheLine); }

  template <typename U>
  bool operator==(const OnCacheLines<U>&) const {
    return true;
  }
  template <typename U>
  bool operator!=(const OnCacheLines<U>&) const {
    return false;
  }
};

template <typename T>
using Buffer = std::vector<T, OnCacheLines<T>>;

}  // namespace batch_cam
