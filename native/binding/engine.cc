#include "binding/engine.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "binding/calls.h"
#include "memory/allocator.h"

namespace batch_cam {

int32_t TensorTable::add(at::Tensor tensor) {
  int32_t slot;
  if (free_.empty()) {
    expect(slots_.size() < static_cast<size_t>(kSlotMask), FailureKind::kOther, "more than ", kSlotMask,
           " live tensors");
    slot = static_cast<int32_t>(slots_.size());
    slots_.push_back(std::move(tensor));
    generations_.push_back(0);
  } else {
    slot = free_.back();
    free_.pop_back();
    slots_[slot] = std::move(tensor);
  }
  ++live_;
  return (static_cast<int32_t>(generations_[slot]) << kSlotBits) | slot;
}

const at::Tensor& TensorTable::at(int32_t handle) const {
  const size_t slot = static_cast<size_t>(handle & kSlotMask);
  expect(handle >= 0 && slot < slots_.size() && generations_[slot] == (handle >> kSlotBits) && slots_[slot].defined(),
         FailureKind::kDisposed, "a tensor was used after it was disposed");
  return slots_[slot];
}

void TensorTable::release(int32_t handle) {
  at(handle);
  const int32_t slot = handle & kSlotMask;
  slots_[slot].reset();
  generations_[slot] = static_cast<int16_t>((generations_[slot] + 1) % kGenerations);
  free_.push_back(slot);
  --live_;
}

void TensorTable::clear() {
  slots_.clear();
  generations_.clear();
  free_.clear();
  live_ = 0;
}

Engine::Engine(napi_env environment)
    : env(environment), generator(at::detail::createCPUGenerator()), calls(std::make_unique<Calls>()) {
  calls->stack.reserve(32);
}

Engine::~Engine() = default;

Engine& engineOf(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return *static_cast<Engine*>(data);
}

// V8 expects the change since the last report, not the total.
static void report(Engine& engine, int64_t change) {
  int64_t total = 0;
  napi_adjust_external_memory(engine.env, change, &total);
  engine.reportedBytes += change;
}

std::string firstLine(const std::exception& error) {
  const auto* native = dynamic_cast<const c10::Error*>(&error);
  std::string text = native ? native->what_without_backtrace() : error.what();
  const size_t end = text.find('\n');
  return end == std::string::npos ? text : text.substr(0, end);
}

const char* nameOf(FailureKind kind) {
  switch (kind) {
    case FailureKind::kShape:
      return "shape";
    case FailureKind::kDtype:
      return "dtype";
    case FailureKind::kDisposed:
      return "disposed";
    case FailureKind::kUnused:
      return "unused";
    case FailureKind::kRefusedWrite:
      return "refused write";
    case FailureKind::kNoGradView:
      return "no-grad view";
    case FailureKind::kOther:
      break;
  }
  return "other";
}

template <typename Type>
static bool is(const std::exception& error) {
  return dynamic_cast<const Type*>(&error) != nullptr;
}

const char* kindOf(const std::exception& error) {
  if (const auto* known = dynamic_cast<const Failure*>(&error)) return nameOf(known->kind);
  if (is<c10::IndexError>(error)) return "index";
  if (is<c10::TypeError>(error)) return "type";
  if (is<c10::ValueError>(error)) return "value";
  if (is<c10::NotImplementedError>(error)) return "not implemented";
  if (is<c10::LinAlgError>(error)) return "linear algebra";
  if (is<c10::OutOfMemoryError>(error) || is<std::bad_alloc>(error)) return "memory";
  return is<c10::Error>(error) ? "sentence" : "other";
}

std::string describe(const at::Tensor& tensor) {
  std::ostringstream out;
  out << tensor.scalar_type() << tensor.sizes();
  return out.str();
}

int64_t tensorMemory(const Engine& engine) {
  // A tensor object takes 560 bytes, as measured, and its node in an autograd graph about as much.
  constexpr int64_t kObjectBytes = 1024;
  return threadBytes() + kObjectBytes * engine.tensors.live();
}

// Growth is reported at once, so that tensors that only the garbage collector frees are collected in time. Memory that
// the program frees itself is reported as the maximum of the last five seconds: a training step allocates and frees
// hundreds of megabytes, and if V8 were told of each change, it would run two full collections in every step.
void reportExternalMemory(Engine& engine) {
  constexpr int64_t kStep = 4 << 20;
  constexpr auto kWindow = std::chrono::seconds(5);
  const int64_t bytes = tensorMemory(engine);
  engine.mostBytes = std::max(engine.mostBytes, bytes);
  if (std::abs(bytes - engine.reportedBytes) < kStep) return;
  if (bytes < engine.reportedBytes) {
    const auto now = std::chrono::steady_clock::now();
    if (now - engine.mostSince < kWindow) return;
    engine.mostSince = now;
  }
  report(engine, engine.mostBytes - engine.reportedBytes);
  engine.mostBytes = bytes;
}

void reportCollected(Engine& engine, int64_t bytes) {
  engine.mostBytes = std::max(engine.mostBytes - bytes, tensorMemory(engine));
  // Growth of less than kStep bytes was never reported. Subtracting more than was reported would make V8's count
  // negative, at which Node 24 aborts the process.
  report(engine, -std::min(bytes, engine.reportedBytes));
}

}  // namespace batch_cam
