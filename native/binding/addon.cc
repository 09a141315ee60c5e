// The addon's entry point. Each JavaScript environment (the main thread or a worker) that loads the addon gets an
// Engine of its own, and all functions of binding/ as properties of its exports.
#include <ATen/Parallel.h>
#include <node_api.h>

#include "binding/engine.h"
#include "memory/allocator.h"

namespace {

using batch_cam::Binding;
using batch_cam::Engine;

void define(napi_env env, napi_value exports, const std::vector<Binding>& bindings) {
  for (const Binding& binding : bindings) {
    napi_value function;
    napi_create_function(env, binding.name, NAPI_AUTO_LENGTH, binding.callback, nullptr, &function);
    napi_set_named_property(env, exports, binding.name, function);
  }
}

// Called when the environment ends.
void destroy(napi_env, void* data, void*) {
  auto* engine = static_cast<Engine*>(data);
  if (engine->warnings) c10::WarningUtils::set_warning_handler(nullptr);
  delete engine;
}

}  // namespace

NAPI_MODULE_INIT() {
  batch_cam::installAllocator();
  auto* engine = new Engine(env);
  if (napi_set_instance_data(env, engine, destroy, nullptr) != napi_ok) {
    delete engine;
    napi_throw_error(env, "E_NATIVE", "batch-cam: the addon could not keep its state");
    return nullptr;
  }
  define(env, exports, batch_cam::dispatchBindings());
  define(env, exports, batch_cam::tensorBindings());
  define(env, exports, batch_cam::autogradBindings());
  define(env, exports, batch_cam::autocastBindings());
  define(env, exports, batch_cam::runtimeBindings());
  define(env, exports, batch_cam::profilerBindings());
  define(env, exports, batch_cam::warningBindings());
  return exports;
}
