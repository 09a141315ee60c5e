// libtorch's warnings (TORCH_WARN). They are passed to JavaScript instead of being printed; each line of libtorch's
// source warns only once in the process, like Python's warnings.
#include <c10/util/Exception.h>

#include <mutex>
#include <set>
#include <string>

#include "binding/engine.h"
#include "binding/values.h"

namespace batch_cam {
namespace {

// Whether a line of libtorch's source warns for the first time in this process.
bool isFirst(const c10::Warning& warning) {
  static std::mutex mutex;
  static std::set<std::string> seen;
  const auto& location = warning.source_location();
  const std::lock_guard<std::mutex> lock(mutex);
  return seen.insert(std::string(location.file) + ':' + std::to_string(location.line)).second;
}

// Calls a JavaScript function for each warning. libtorch has one handler for each thread, and each JavaScript
// environment has a thread of its own.
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
      napi_get_and_clear_last_exception(env_, &thrown);  // a warning must not make the operator fail
    }
    napi_close_handle_scope(env_, scope);
  }

 private:
  napi_env env_;
  napi_ref listener_ = nullptr;
};

// onWarning(listener): listener(text) is called for all later warnings of this thread.
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
