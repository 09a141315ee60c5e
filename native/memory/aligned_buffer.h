// A std::vector whose memory is aligned to cache lines, for the scratch memory of operators. A vector or tile that
// crosses a cache line's boundary takes two reads; aligned operands halved the time of products in AMX's tile
// registers.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace batch_cam {

constexpr std::align_val_t kCacheLine{64};

template <typename T>
struct CacheLineAllocator {
  using value_type = T;

  CacheLineAllocator() = default;
  template <typename U>
  CacheLineAllocator(const CacheLineAllocator<U>&) {}

  T* allocate(std::size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kCacheLine)); }
  void deallocate(T* data, std::size_t) { ::operator delete(data, kCacheLine); }

  template <typename U>
  bool operator==(const CacheLineAllocator<U>&) const {
    return true;
  }
  template <typename U>
  bool operator!=(const CacheLineAllocator<U>&) const {
    return false;
  }
};

template <typename T>
using Buffer = std::vector<T, CacheLineAllocator<T>>;

}  // namespace batch_cam
