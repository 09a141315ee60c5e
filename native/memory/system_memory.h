// How much memory the operating system can still give to this process.
#pragma once

#include <cstddef>

namespace batch_cam {

// Bytes that this process can still use, or the largest number if the operating system does not say. It counts swap
// space and memory that only caches files, and respects the limit of a container. The true amount may be a little lower
// but not higher, so that no allocation is refused that would have worked.
size_t availableMemory();

// Returns memory that malloc keeps for later calls to the system.
void trimHeap();

}  // namespace batch_cam
