// Autocast. It has a file of its own because its header includes every operator of libtorch's, which takes longer to
// compile than all that stands here.
#include <ATen/autocast_mode.h>

#include "binding/engine.h"
#include "binding/values.h"

namespace batch_cam {
namespace {

void setAutocast(bool enabled, at::ScalarType dtype) {
  at::autocast::set_autocast_enabled(at::kCPU, enabled);
  at::autocast::set_autocast_dtype(at::kCPU, dtype);
}

// enterAutocast(enabled, dtype): writes the state before to the arena: [enabled, dtype].
napi_value enterAutocast(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Engine& engine = engineOf(env);
  engine.arena[0] = at::autocast::is_autocast_enabled(at::kCPU);
  engine.arena[1] = static_cast<double>(at::autocast::get_autocast_dtype(at::kCPU));
  setAutocast(arguments.boolean(0), static_cast<at::ScalarType>(arguments.integer(1)));
  at::autocast::increment_nesting();
  return undefined(env);
}

// leaveAutocast(enabled, dtype): back to the state before.
napi_value leaveAutocast(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  setAutocast(arguments.boolean(0), static_cast<at::ScalarType>(arguments.integer(1)));
  // Weights are cast once in an outermost scope; they change between two.
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  return undefined(env);
}

}  // namespace

std::vector<Binding> autocastBindings() { return {{"enterAutocast", enterAutocast}, {"leaveAutocast", leaveAutocast}}; }

}  // namespace batch_cam
