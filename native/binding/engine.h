// The state of one JavaScript environment (the main thread or a worker), and what all files of binding/ share: error
// handling, and the tables of the functions that they export to JavaScript.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <node_api.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ops/failure.h"

namespace batch_cam {

// A tensor's handle in JavaScript is an int32, which V8 stores without allocating memory. Its lower 22 bits are a slot
// of the table. The upper bits are a generation that grows when the slot is reused, so that a stale handle is an error.
constexpr int kSlotBits = 22;
constexpr int32_t kSlotMask = (1 << kSlotBits) - 1;
constexpr int32_t kGenerations = 512;
constexpr int32_t kNoTensor = -1;  // the handle of an undefined tensor

// The tensors that JavaScript holds.
class TensorTable {
 public:
  int32_t add(at::Tensor tensor);
  const at::Tensor& at(int32_t handle) const;  // throws if the tensor was released
  void release(int32_t handle);
  void clear();
  int64_t live() const { return live_; }

 private:
  std::vector<at::Tensor> slots_;
  std::vector<int16_t> generations_;
  std::vector<int32_t> free_;
  int64_t live_ = 0;
};

struct Calls;  // the state of calls to operators: calls.h

struct Engine {
  explicit Engine(napi_env environment);
  ~Engine();

  napi_env env;
  TensorTable tensors;
  at::Generator generator;
  std::unique_ptr<Calls> calls;
  double* arena = nullptr;  // arguments and results; the memory of a Float64Array of JavaScript
  size_t arenaLength = 0;
  napi_ref arenaReference = nullptr;
  std::string error;                              // the message of the last failed call
  const char* errorKind = "";                     // and its kind
  std::unique_ptr<c10::WarningHandler> warnings;  // of this thread; libtorch keeps a pointer to it
  int64_t reportedBytes = 0;                      // the tensor memory that was last reported to V8
  int64_t mostBytes = 0;                          // the maximum since mostSince
  std::chrono::steady_clock::time_point mostSince = std::chrono::steady_clock::now();
};

Engine& engineOf(napi_env env);

// Calls `body`. A C++ exception must not reach V8: it is noted in the engine, and `fallback` is returned.
template <typename Result, typename Body>
Result guarded(Engine& engine, Result fallback, Body body);

// The message of an error without libtorch's stack trace.
std::string firstLine(const std::exception& error);
// The kind of an error, as src/engine/native-error.ts lists them: that of a Failure, otherwise the type of libtorch's
// exception. Most errors of libtorch are a plain c10::Error, of which only the sentence says what is wrong.
const char* kindOf(const std::exception& error);
const char* nameOf(FailureKind kind);
// A tensor in messages: "Float[2, 3]".
std::string describe(const at::Tensor& tensor);

// Bytes that the tensors of this thread use: their values, and the objects that libtorch allocates for each.
int64_t tensorMemory(const Engine& engine);

// Tells V8 how much memory the tensors of this thread use, so that it runs its garbage collector in time.
void reportExternalMemory(Engine& engine);
// Tells V8 that the garbage collector freed `bytes` of it.
void reportCollected(Engine& engine, int64_t bytes);

using Callback = napi_value (*)(napi_env, napi_callback_info);
struct Binding {
  const char* name;
  Callback callback;
};

// One function for each file: the names and callbacks that it exports to JavaScript.
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
    engine.errorKind = kindOf(error);
  } catch (...) {
    engine.error = "unknown native failure";
    engine.errorKind = "other";
  }
  return fallback;
}

}  // namespace batch_cam
