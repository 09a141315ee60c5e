// Functions about the engine as a whole: the last error, the random generator, threads, memory, and what this processor
// and this libtorch support.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/core/Tensor.h>
#include <dlfcn.h>
#include <torch/version.h>

#include <algorithm>

#include "binding/engine.h"
#include "binding/values.h"
#include "kernels/select.h"
#include "memory/allocator.h"
#include "memory/block_cache.h"
#include "ops/small_product.h"
#include "ops/winograd.h"

namespace batch_cam {
namespace {

// lastError() and lastErrorKind(): the message and the kind of the last failed call.
napi_value lastError(napi_env env, napi_callback_info) { return string(env, engineOf(env).error); }
napi_value lastErrorKind(napi_env env, napi_callback_info) { return string(env, engineOf(env).errorKind); }

napi_value manualSeed(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  engineOf(env).generator.set_current_seed(static_cast<uint64_t>(arguments.number(0)));
  return undefined(env);
}

// rngState(): a handle of the generator's state, a uint8 tensor.
napi_value rngState(napi_env env, napi_callback_info) {
  Engine& engine = engineOf(env);
  return integer(env, guarded(engine, -1, [&] { return engine.tensors.add(engine.generator.get_state()); }));
}

napi_value setRngState(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Engine& engine = engineOf(env);
  return integer(env, guarded(engine, -1, [&] {
                   engine.generator.set_state(engine.tensors.at(arguments.integer(0)));
                   return 0;
                 }));
}

napi_value setThreads(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  at::set_num_threads(arguments.integer(0));
  return undefined(env);
}

napi_value getThreads(napi_env env, napi_callback_info) { return integer(env, at::get_num_threads()); }

// memory(): writes the numbers of live tensors, bytes, peak bytes and cached bytes to the arena.
napi_value memory(napi_env env, napi_callback_info) {
  Engine& engine = engineOf(env);
  engine.arena[0] = static_cast<double>(engine.tensors.live());
  engine.arena[1] = static_cast<double>(liveBytes());
  engine.arena[2] = static_cast<double>(peakBytes());
  engine.arena[3] = static_cast<double>(cachedBytes());
  return undefined(env);
}

napi_value resetPeak(napi_env env, napi_callback_info) {
  resetPeakBytes();
  return undefined(env);
}

// limitMemory(bytes): lets this thread allocate at most `bytes` more, and returns the previous limit for
// restoreMemoryLimit.
napi_value limitMemory(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  const double bytes = std::min(arguments.number(0), static_cast<double>(kNoLimit));
  return number(env, static_cast<double>(narrowLimit(static_cast<int64_t>(bytes))));
}

napi_value restoreMemoryLimit(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  restoreLimit(static_cast<int64_t>(arguments.number(0)));
  return undefined(env);
}

napi_value emptyCache(napi_env env, napi_callback_info) {
  emptyBlockCache();
  return undefined(env);
}

// Whether libtorch was built with Gloo. If so, it exports the virtual table of ProcessGroupGloo.
bool hasGloo() { return dlsym(RTLD_DEFAULT, "_ZTVN4c10d16ProcessGroupGlooE") != nullptr; }

// supportsWinograd(images, inner, outer, height, width, padding, bfloat16): whether batch_cam::winograd_conv supports a
// 3x3 convolution of these sizes and stride 1, of float32 or bfloat16 images.
napi_value supportsWinograd(napi_env env, napi_callback_info info) {
  Arguments<7> arguments(env, info);
  const auto of = [&](int i) -> int64_t { return arguments.integer(i); };
  const int64_t growth = 2 * of(5) - 2;  // of the output's height and width
  const batch_cam::Geometry geometry{of(0), of(3), of(4), of(1), of(3) + growth, of(4) + growth, of(2), 3, 1, of(5)};
  return boolean(env, batch_cam::supportsWinograd(geometry, arguments.boolean(6) ? at::kBFloat16 : at::kFloat));
}

// capabilities(): an object with the fields of NativeCapabilities in src/engine/addon.ts.
napi_value capabilities(napi_env env, napi_callback_info) {
  napi_value result;
  napi_create_object(env, &result);
  const auto set = [&](const char* name, napi_value value) { napi_set_named_property(env, result, name, value); };
  set("version", string(env, TORCH_VERSION));
  set("cpuCapability", string(env, at::get_cpu_capability()));
  set("mkldnn", boolean(env, at::globalContext().hasMKLDNN()));
  set("mkl", boolean(env, at::globalContext().hasMKL()));
  set("gloo", boolean(env, hasGloo()));
  set("productsFloat32", boolean(env, hasProducts(at::kFloat)));
  set("kernelLevel", string(env, kernelLevel()));
  napi_value levels;
  napi_create_array(env, &levels);
  uint32_t count = 0;
  for (const char* level : kernelLevels()) napi_set_element(env, levels, count++, string(env, level));
  set("kernelLevels", levels);
  set("productsBfloat16", boolean(env, hasProducts(at::kBFloat16)));
  return result;
}

}  // namespace

std::vector<Binding> runtimeBindings() {
  return {{"lastError", lastError},       {"lastErrorKind", lastErrorKind},
          {"manualSeed", manualSeed},     {"rngState", rngState},
          {"setRngState", setRngState},   {"setThreads", setThreads},
          {"limitMemory", limitMemory},   {"restoreMemoryLimit", restoreMemoryLimit},
          {"getThreads", getThreads},     {"memory", memory},
          {"resetPeak", resetPeak},       {"emptyCache", emptyCache},
          {"capabilities", capabilities}, {"supportsWinograd", supportsWinograd}};
}

}  // namespace batch_cam
