// The CPU allocator behind every tensor: libtorch's own memory, counted.
#pragma once

#include <cstdint>

namespace batch_cam {

void installAllocator();
int64_t liveBytes();    // bytes of tensor memory in the process
int64_t peakBytes();    // the most that liveBytes has been since the last reset
int64_t threadBytes();  // allocated minus freed by the calling thread
void resetPeakBytes();

}  // namespace batch_cam
