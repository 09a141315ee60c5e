// A cache of memory blocks for large tensors. A training step allocates and frees the same sizes again and again; with
// new memory from the operating system each time, a step had 21,000 page faults, which cost more time than filling the
// memory. A plain SimpleCNN step in float32 took 131 ms without the cache and 87 ms with it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace batch_cam {

constexpr size_t kLargeBlock = size_t{64} << 10;  // smaller blocks are malloc's, which reuses them by itself

// A block of at least `bytes`, aligned to 64 bytes. All blocks, in use and cached, take at most 1.5 times the largest
// amount that was ever in use, plus 64 MiB; beyond that the blocks that have been cached longest are returned to the
// system. Throws c10::OutOfMemoryError if the system has too little memory even after all cached blocks were returned.
void* acquireBlock(size_t bytes);
void releaseBlock(void* block);

int64_t cachedBytes();  // bytes of cached blocks
// Returns all cached blocks to the system.
void emptyBlockCache();

}  // namespace batch_cam
