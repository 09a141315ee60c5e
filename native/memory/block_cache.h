// Memory for large tensors, kept for the next tensor of that size: a training step asks for the same blocks again and
// again, and getting 25 MB afresh from the kernel costs more page faults than filling it costs time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace batch_cam {

constexpr size_t kLargeBlock = size_t{64} << 10;  // malloc takes blocks of 128 KiB from the kernel

// A block of at least `bytes`, aligned to 64. Held memory (in use and kept) stays within 1.5 times the most that was
// ever in use, and 64 MiB more; beyond that the blocks that waited longest go back to the system. Throws c10::Error
// when the system has no memory even after all of them went back.
void* acquireBlock(size_t bytes);
void releaseBlock(void* block);

int64_t cachedBytes();  // kept for reuse, in use by nobody
void emptyBlockCache();

}  // namespace batch_cam
