// Sums over many rows, computed in parallel: float32 within a task, so that the kernels can be used, and float64 across
// tasks, so that rounding errors do not grow with their number.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace batch_cam {

// Calls body(task, sums) for each task, which adds to `length` floats that are zero at the start of the task. Returns
// the sums over all tasks. Each thread has its own sums; they are added at the end.
template <typename Body>
std::vector<double> sumOverTasks(int64_t tasks, int64_t length, Body body) {
  std::vector<std::unique_ptr<std::vector<double>>> perThread(at::get_num_threads());
  at::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    auto sums = std::make_unique<std::vector<double>>(length);
    std::vector<float> part(length);
    for (int64_t task = begin; task < end; ++task) {
      std::fill(part.begin(), part.end(), 0.0f);
      body(task, part.data());
      for (int64_t i = 0; i < length; ++i) (*sums)[i] += part[i];
    }
    perThread[at::get_thread_num()] = std::move(sums);
  });
  std::vector<double> total(length);
  for (const auto& sums : perThread)
    if (sums)
      for (int64_t i = 0; i < length; ++i) total[i] += (*sums)[i];
  return total;
}

}  // namespace batch_cam
