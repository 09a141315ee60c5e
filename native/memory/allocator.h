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

}  // namespace batch_cam
