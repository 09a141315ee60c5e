#include "memory/system_memory.h"

#include <limits>

#ifdef __linux__
#include <dlfcn.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace batch_cam {

#ifdef __linux__
namespace {

// The last number in the line of a file that starts with `name`, as in "MemAvailable:   1024 kB" and "size  4 1048576".
std::optional<size_t> numberIn(const char* path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    if (!(words >> word) || word != name) continue;
    std::optional<size_t> last;
    for (size_t value; words >> value;) last = value;
    return last;
  }
  return std::nullopt;
}

size_t kibibytesIn(const char* path, const char* name) { return numberIn(path, name).value_or(0) << 10; }

// The limit of the container (control group) that this process runs in. libuv knows the places of both versions of
// control groups; a runtime without libuv has no such function.
size_t containerLimit() {
  using Function = uint64_t (*)();
  static const auto limit = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, "uv_get_constrained_memory"));
  const uint64_t bytes = limit == nullptr ? 0 : limit();
  return bytes == 0 ? std::numeric_limits<size_t>::max() : static_cast<size_t>(bytes);
}

}  // namespace

size_t availableMemory() {
  const auto available = numberIn("/proc/meminfo", "MemAvailable:");
  if (!available) return std::numeric_limits<size_t>::max();
  // The cache of ZFS shrinks when memory is needed, and MemAvailable does not count it.
  const size_t ofMachine = (*available << 10) + numberIn("/proc/spl/kstat/zfs/arcstats", "size").value_or(0);
  const size_t limit = containerLimit();
  // Other processes in the container are not counted, nor are the files that it caches.
  const size_t ofContainer = limit - std::min(limit, kibibytesIn("/proc/self/status", "RssAnon:"));
  const size_t swap = kibibytesIn("/proc/meminfo", "SwapFree:");
  const size_t memory = std::min(ofMachine, ofContainer);
  return memory + std::min(swap, std::numeric_limits<size_t>::max() - memory);
}
#else
size_t availableMemory() { return std::numeric_limits<size_t>::max(); }
#endif

void trimHeap() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace batch_cam
