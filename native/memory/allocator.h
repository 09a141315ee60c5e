// The allocator of all tensors on the CPU. It counts the bytes that tensors use, and takes large blocks from the cache
// of block_cache.h.
#pragma once

#include <cstdint>

namespace batch_cam {

// Replaces libtorch's allocator for the whole process; further calls do nothing.
void installAllocator();
int64_t liveBytes();    // bytes of all tensors of the process
int64_t peakBytes();    // the maximum of liveBytes since the last reset
int64_t threadBytes();  // bytes that the calling thread has allocated minus bytes that it has freed
void resetPeakBytes();

constexpr int64_t kNoLimit = int64_t{1} << 62;  // exact as a number of JavaScript

// Lets the calling thread allocate at most `bytes` more than it does now, if it may not allocate even less already.
// Further allocations throw c10::OutOfMemoryError. The result is the previous limit, for restoreLimit.
int64_t narrowLimit(int64_t bytes);
void restoreLimit(int64_t limit);

}  // namespace batch_cam
