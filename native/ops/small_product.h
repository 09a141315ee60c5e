// Products of small matrices inside one thread: oneDNN's micro-kernels, which take what a cache holds and start no
// threads.
#pragma once

#include <ATen/native/CPUBlas.h>
#include <c10/util/BFloat16.h>

#include <cstdint>

#include "kernels/bfloat16.h"

namespace batch_cam {

// Whether this libtorch and this processor have them.
bool hasProducts(at::ScalarType dtype);

struct ProductShape {
  int64_t rows;
  int64_t columns;
  int64_t inner;
};

// c = a b, or c += a b: a (rows, inner) with `stride` elements from row to row, b (inner, columns) interleaved as
// Kernels<T>::interleave lays it out, c (rows, columns).
void product(const ProductShape& shape, const float* a, int64_t stride, const float* b, float* c, bool add);
void product(const ProductShape& shape, const BFloat16* a, int64_t stride, const BFloat16* b, float* c, bool add);

// To be called by each thread when it has multiplied: tile registers belong to one user at a time.
struct ProductScope {
  ~ProductScope();
};

}  // namespace batch_cam
