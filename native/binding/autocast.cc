// Autocast. It has a file of its own because its header includes all of libtorch's operators, which takes longer to
// compile than any other file of binding/.
#include <ATen/autocast_mode.h>

#include "binding/engine.h"
#include "binding/values.h"

namespace batch_cam {
namespace {

void setAutocast(bool enabled, at::ScalarType dtype) {
  at::autocast::set_autocast_enabled(at::kCPU, enabled);
  at::autocast::set_autocast_dtype(at::kCPU, dtype);
}

// enterAutocast(enabled, dtype): begins a scope, and writes the previous state to the arena: enabled, dtype.
napi_value enterAutocast(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Engine& engine = engineOf(env);
  engine.arena[0] = at::autocast::is_autocast_enabled(at::kCPU);
  engine.arena[1] = static_cast<double>(at::autocast::get_autocast_dtype(at::kCPU));
  setAutocast(arguments.boolean(0), static_cast<at::ScalarType>(arguments.integer(1)));
  at::autocast::increment_nesting();
  return undefined(env);
}

// leaveAutocast(enabled, dtype): ends a scope, and restores the given state.
napi_value leaveAutocast(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  setAutocast(arguments.boolean(0), static_cast<at::ScalarType>(arguments.integer(1)));
  // Autocast caches the casts of weights. The weights may change after the outermost scope, so that the cache is
  // cleared.
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  return undefined(env);
}

}  // namespace

std::vector<Binding> autocastBindings() { return {{"enterAutocast", enterAutocast}, {"leaveAutocast", leaveAutocast}}; }

}  // namespace batch_cam
