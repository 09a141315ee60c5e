// libtorch's warnings (TORCH_WARN), handed to JavaScript instead of printed: one of each place in libtorch's source, as
// Python's own warnings are.
#include <c10/util/Exception.h>

#include <mutex>
#include <set>
#include <string>

#include "binding/engine.h"
#include "binding/values.h"

namespace batch_cam {
namespace {

// Whether a warning is the first one of its place in this process.
bool isFirst(const c10::Warning& warning) {
  static std::mutex mutex;
  static std::set<std::string> seen;
  const auto& place = warning.source_location();
  const std::lock_guard<std::mutex> lock(mutex);
  return seen.insert(std::string(place.file) + ':' + std::to_string(place.line)).second;
}

// libtorch keeps a handler for each thread, and so does each JavaScript environment.
class Listener : public c10::WarningHandler {
 public:
  Listener(napi_env env, napi_value listener) : env_(env) { napi_create_reference(env, listener, 1, &listener_); }

  void process(const c10::Warning& warning) override {
    if (!isFirst(warning)) return;
    napi_handle_scope scope;
    if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
    napi_value listener, text = string(env_, warning.msg()), result;
    napi_get_reference_value(env_, listener_, &listener);
    if (napi_call_function(env_, undefined(env_), listener, 1, &text, &result) == napi_pending_exception) {
      napi_value thrown;
      napi_get_and_clear_last_exception(env_, &thrown);  // a warning must not break the operator that gave it
    }
    napi_close_handle_scope(env_, scope);
  }

 private:
  napi_env env_;
  napi_ref listener_ = nullptr;
};

// onWarning(listener): from here on, listener(text) is called for warnings of this thread.
napi_value onWarning(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Engine& engine = engineOf(env);
  engine.warnings = std::make_unique<Listener>(env, arguments[0]);
  c10::WarningUtils::set_warning_handler(engine.warnings.get());
  return undefined(env);
}

}  // namespace

std::vector<Binding> warningBindings() { return {{"onWarning", onWarning}}; }

}  // namespace batch_cam
