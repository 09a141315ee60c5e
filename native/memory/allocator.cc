#include "memory/allocator.h"

#include "memory/block_cache.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <atomic>
#include <cstring>

namespace batch_cam {
namespace {

std::atomic<int64_t> live{0};
std::atomic<int64_t> peak{0};
thread_local int64_t bytesOfThread = 0;
thread_local int64_t limitOfThread = kNoLimit;

// The header before a tensor's data, which holds its size. 64 bytes keep the data aligned to cache lines.
constexpr size_t kHeader = 64;

// Adds to the counters.
void count(int64_t change) {
  const int64_t now = live.fetch_add(change, std::memory_order_relaxed) + change;
  bytesOfThread += change;
  int64_t seen = peak.load(std::memory_order_relaxed);
  while (now > seen && !peak.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {
  }
}

bool isLarge(int64_t bytes) { return bytes >= static_cast<int64_t>(kLargeBlock); }

void* acquire(size_t bytes) {
  if (isLarge(static_cast<int64_t>(bytes))) return acquireBlock(bytes + kHeader);
  try {
    return c10::alloc_cpu(bytes + kHeader);
  } catch (const c10::Error&) {
    emptyBlockCache();
    return c10::alloc_cpu(bytes + kHeader);
  }
}

void release(void* data) {
  if (data == nullptr) return;
  char* block = static_cast<char*>(data) - kHeader;
  int64_t bytes;
  std::memcpy(&bytes, block, sizeof bytes);
  count(-bytes);
  if (isLarge(bytes)) return releaseBlock(block);
  c10::free_cpu(block);
}

void expectWithinLimit(int64_t bytes) {
  if (limitOfThread == kNoLimit) return;
  const int64_t left = limitOfThread - bytesOfThread;
  if (bytes <= left) return;
  throw c10::OutOfMemoryError({__func__, __FILE__, static_cast<uint32_t>(__LINE__)},
                              c10::str("not enough memory: you tried to allocate ", bytes,
                                       " bytes, and the limit leaves ", std::max(left, int64_t{0})));
}

class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &release, c10::Device(c10::DeviceType::CPU)};
    const int64_t size = static_cast<int64_t>(bytes);
    expectWithinLimit(size);
    char* block = static_cast<char*>(acquire(bytes));
    std::memcpy(block, &size, sizeof size);
    count(size);
    char* data = block + kHeader;
    return {data, data, &release, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }
};

}  // namespace

void installAllocator() {
  static CountingAllocator* allocator = [] {
    auto* made = new CountingAllocator;  // never deleted: tensors may exist longer than static objects
    c10::SetCPUAllocator(made, /*priority=*/10);
    return made;
  }();
  (void)allocator;
}

int64_t liveBytes() { return live.load(std::memory_order_relaxed); }
int64_t peakBytes() { return peak.load(std::memory_order_relaxed); }
int64_t threadBytes() { return bytesOfThread; }

int64_t narrowLimit(int64_t bytes) {
  const int64_t before = limitOfThread;
  limitOfThread = std::min(before, bytesOfThread + std::min(bytes, kNoLimit));
  return before;
}

void restoreLimit(int64_t limit) { limitOfThread = limit; }
void resetPeakBytes() { peak.store(live.load()); }

}  // namespace batch_cam
