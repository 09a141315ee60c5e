// One Engine per JavaScript environment (main thread or worker): its tensors, its generator, its argument buffer.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/util/Exception.h>
#include <node_api.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace batch_cam {

// A handle is an int32 that V8 keeps unboxed: a slot number, and a generation that unmasks a stale handle.
constexpr int kSlotBits = 22;
constexpr int32_t kSlotMask = (1 << kSlotBits) - 1;
constexpr int32_t kGenerations = 512;
constexpr int32_t kNoTensor = -1;

class TensorTable {
 public:
  int32_t add(at::Tensor tensor);
  const at::Tensor& at(int32_t handle) const;  // throws for a handle that is not alive
  void release(int32_t handle);
  void clear();
  int64_t live() const { return live_; }

 private:
  std::vector<at::Tensor> slots_;
  std::vector<int16_t> generations_;
  std::vector<int32_t> free_;
  int64_t live_ = 0;
};

struct Operator {
  c10::OperatorHandle handle;
  bool singleTensor;  // returns exactly one tensor: its handle is the call's return value
};

struct Engine {
  explicit Engine(napi_env environment);

  napi_env env;
  TensorTable tensors;
  at::Generator generator;
  std::vector<Operator> operators;
  std::vector<std::string> strings;
  std::vector<c10::IValue> stack;
  double* arena = nullptr;  // arguments in, results out; memory of a Float64Array that JavaScript writes directly
  size_t arenaLength = 0;
  napi_ref arenaReference = nullptr;
  std::string error;
  std::unique_ptr<c10::WarningHandler> warnings;  // of this thread; libtorch points to it
  int64_t reportedBytes = 0;                      // to V8, and what that is found from
  int64_t mostBytes = 0;
  std::chrono::steady_clock::time_point mostSince = std::chrono::steady_clock::now();
};

Engine& engineOf(napi_env env);

// Runs `body`; a C++ exception becomes engine.error and `fallback`, so that no exception crosses into V8.
template <typename Result, typename Body>
Result guarded(Engine& engine, Result fallback, Body body);

std::string firstLine(const std::exception& error);
std::string describe(const at::Tensor& tensor);

// Bytes that the tensors of this thread take: their values and what each needs beside them.
int64_t weight(const Engine& engine);

// Tells V8 what the tensors of this thread weigh, so that its collector knows when to run, and what its run freed.
void reportExternalMemory(Engine& engine);
void reportCollected(Engine& engine, int64_t bytes);

using Callback = napi_value (*)(napi_env, napi_callback_info);
struct Binding {
  const char* name;
  Callback callback;
};

// Each file exports the table of what it binds.
std::vector<Binding> dispatchBindings();
std::vector<Binding> tensorBindings();
std::vector<Binding> autogradBindings();
std::vector<Binding> autocastBindings();
std::vector<Binding> runtimeBindings();
std::vector<Binding> profilerBindings();
std::vector<Binding> warningBindings();

template <typename Result, typename Body>
Result guarded(Engine& engine, Result fallback, Body body) {
  try {
    return body();
  } catch (const std::exception& error) {
    engine.error = firstLine(error);
  } catch (...) {
    engine.error = "unknown native failure";
  }
  return fallback;
}

}  // namespace batch_cam
