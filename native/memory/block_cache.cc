#include "memory/block_cache.h"

#include "memory/system_memory.h"

#include <c10/util/Exception.h>
#include <c10/util/llvmMathExtras.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iomanip>
#include <mutex>
#include <new>
#include <sstream>
#include <string>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace batch_cam {
namespace {

constexpr size_t kHeader = 64;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kSlack = size_t{64} << 20;
constexpr size_t kGuarded = size_t{256} << 20;

// The header before a block's data. It has the links of the two lists that a cached block belongs to: all cached blocks
// by age, and those of its size class.
struct Block {
  size_t capacity;  // including this header
  size_t sizeClass;
  Block* newer;
  Block* older;
  Block* nextOfClass;
  Block* previousOfClass;
};
static_assert(sizeof(Block) <= kHeader);

// Size classes: eight for each power of two, so that at most an eighth of a block is unused.
size_t classOf(size_t bytes) {
  const size_t power = c10::llvm::Log2_64(bytes - 1);
  return power * 8 + ((bytes - 1) >> (power - 3) & 7);
}

size_t capacityOf(size_t sizeClass) { return (9 + sizeClass % 8) << (sizeClass / 8 - 3); }

// Memory of the operating system, or null. Large blocks use huge pages, which makes their page faults cheaper.
void* fromSystem(size_t bytes) {
#ifdef __linux__
  if (bytes >= 2 * kHugePage) {
    void* memory = nullptr;
    if (posix_memalign(&memory, kHugePage, bytes) != 0) return nullptr;
    madvise(memory, bytes, MADV_HUGEPAGE);  // without huge pages, the memory works too, but is slower
    return memory;
  }
#endif
  void* memory = nullptr;
  return posix_memalign(&memory, kHeader, bytes) == 0 ? memory : nullptr;
}

// Whether the system can give a block of memory that will be used as a whole. Linux promises more memory than it has,
// and kills the process when the memory is used, so that a large block is compared with the memory that is left. This
// takes about 50 us; the page faults of the smallest block that is compared take at least 20 ms.
bool isAvailable(size_t bytes) { return bytes < kGuarded || bytes <= availableMemory(); }

std::string gibibytes(size_t bytes) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(2) << static_cast<double>(bytes) / (size_t{1} << 30) << " GiB";
  return text.str();
}

std::string refusal(size_t bytes) {
  const size_t available = availableMemory();
  const std::string reason =
      available < bytes ? gibibytes(available) + " are available" : "the system gives less to one process";
  return c10::str("not enough memory: you tried to allocate ", gibibytes(bytes), ", and ", reason,
                  "; use smaller batches, images or networks, or end other programs");
}

class BlockCache {
 public:
  void* acquire(size_t bytes) {
    const size_t sizeClass = classOf(bytes + kHeader);
    Block* block = take(sizeClass);
    if (block == nullptr) block = make(sizeClass, bytes);
    return reinterpret_cast<char*>(block) + kHeader;
  }

  void release(void* data) {
    auto* block = reinterpret_cast<Block*>(static_cast<char*>(data) - kHeader);
    const std::lock_guard lock(mutex_);
    used_ -= block->capacity;
    keep(block);
    shrinkTo(ceiling(most_));
  }

  void empty() {
    const std::lock_guard lock(mutex_);
    shrinkTo(0);
  }

  int64_t cached() {
    const std::lock_guard lock(mutex_);
    return static_cast<int64_t>(cached_);
  }

 private:
  // A cached block of the class, or null.
  Block* take(size_t sizeClass) {
    const std::lock_guard lock(mutex_);
    Block* block = heads_[sizeClass];
    if (block == nullptr) return nullptr;
    unlink(block);
    used_ += block->capacity;
    most_ = std::max(most_, used_);
    return block;
  }

  // A new block for `bytes`.
  Block* make(size_t sizeClass, size_t bytes) {
    const size_t capacity = capacityOf(sizeClass);
    {
      const std::lock_guard lock(mutex_);
      used_ += capacity;
      shrinkTo(ceiling(std::max(most_, used_)));
    }
    void* memory = isAvailable(bytes) ? fromSystem(capacity) : nullptr;
    if (memory == nullptr) {
      empty();
      trimHeap();
      memory = isAvailable(bytes) ? fromSystem(capacity) : nullptr;
    }
    const std::lock_guard lock(mutex_);
    if (memory == nullptr) {
      used_ -= capacity;
      throw c10::OutOfMemoryError({__func__, __FILE__, static_cast<uint32_t>(__LINE__)}, refusal(bytes));
    }
    most_ = std::max(most_, used_);
    return new (memory) Block{capacity, sizeClass, nullptr, nullptr, nullptr, nullptr};
  }

  // The limit of the total size of all blocks, given the largest amount that was in use.
  static size_t ceiling(size_t most) { return most + most / 2 + kSlack; }

  void keep(Block* block) {
    cached_ += block->capacity;
    block->newer = nullptr;
    block->older = newest_;
    (newest_ == nullptr ? oldest_ : newest_->newer) = block;
    newest_ = block;
    Block*& head = heads_[block->sizeClass];
    block->previousOfClass = nullptr;
    block->nextOfClass = head;
    if (head != nullptr) head->previousOfClass = block;
    head = block;
  }

  void unlink(Block* block) {
    cached_ -= block->capacity;
    (block->newer == nullptr ? newest_ : block->newer->older) = block->older;
    (block->older == nullptr ? oldest_ : block->older->newer) = block->newer;
    (block->previousOfClass == nullptr ? heads_[block->sizeClass] : block->previousOfClass->nextOfClass) =
        block->nextOfClass;
    if (block->nextOfClass != nullptr) block->nextOfClass->previousOfClass = block->previousOfClass;
  }

  // Returns the oldest cached blocks to the system until all blocks take at most `held` bytes.
  void shrinkTo(size_t held) {
    while (oldest_ != nullptr && used_ + cached_ > held) {
      Block* block = oldest_;
      unlink(block);
      free(block);
    }
  }

  std::mutex mutex_;
  std::array<Block*, 64 * 8> heads_{};
  Block* newest_ = nullptr;
  Block* oldest_ = nullptr;
  size_t used_ = 0;  // bytes of blocks in use
  size_t cached_ = 0;
  size_t most_ = 0;  // the maximum of used_
};

BlockCache& cache() {
  static auto* made = new BlockCache;  // never deleted: tensors may exist longer than static objects
  return *made;
}

}  // namespace

void* acquireBlock(size_t bytes) { return cache().acquire(bytes); }
void releaseBlock(void* block) { cache().release(block); }
int64_t cachedBytes() { return cache().cached(); }
void emptyBlockCache() { cache().empty(); }

}  // namespace batch_cam
