// Any ATen operator by name, through the boxed dispatcher.
#include <ATen/core/dispatch/Dispatcher.h>

#include <sstream>
#include <vector>

#include "binding/engine.h"
#include "binding/marshal.h"
#include "binding/values.h"

namespace batch_cam {
namespace {

// resolve(name, overload): number — the operator's index for run, or -1 where this libtorch lacks it.
napi_value resolve(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Engine& engine = engineOf(env);
  const std::string name = arguments.string(0);
  const std::string overload = arguments.string(1);
  return integer(env, guarded(engine, -1, [&] {
                   const auto found = c10::Dispatcher::singleton().findSchema({name, overload});
                   if (!found) return -1;
                   const auto& returns = found->schema().returns();
                   const bool single = returns.size() == 1 && returns[0].type()->kind() == c10::TypeKind::TensorType;
                   engine.operators.push_back({*found, single});
                   return static_cast<int32_t>(engine.operators.size() - 1);
                 }));
}

// The tensors of the lists that an operator writes to. Autograd counts what is written to a tensor, and not what is
// written to one in a list, as the fused optimizers do.
std::vector<at::Tensor> writtenLists(const Engine& engine, const c10::FunctionSchema& schema) {
  std::vector<at::Tensor> written;
  for (size_t i = 0; i < schema.arguments().size(); ++i) {
    const c10::AliasInfo* alias = schema.arguments()[i].alias_info();
    if (alias == nullptr || !alias->isWrite() || !engine.stack[i].isTensorList()) continue;
    for (const at::Tensor& tensor : engine.stack[i].toTensorList()) written.push_back(tensor);
  }
  return written;
}

int32_t call(Engine& engine, int32_t index, bool discard) {
  if (index < 0) return -1;  // this libtorch lacks it: src/engine/dispatch.ts says which
  const Operator& op = engine.operators.at(static_cast<size_t>(index));
  engine.stack.clear();
  try {
    readArguments(engine, op.handle.schema());
    const std::vector<at::Tensor> written =
        discard ? writtenLists(engine, op.handle.schema()) : std::vector<at::Tensor>();
    op.handle.callBoxed(&engine.stack);
    for (const at::Tensor& tensor : written) tensor.unsafeGetTensorImpl()->bump_version();
    int32_t result = 0;
    if (!discard) {
      if (op.singleTensor) {
        const at::Tensor& tensor = engine.stack[0].toTensor();
        result = engine.tensors.add(tensor);
      } else {
        writeResults(engine);
      }
    }
    engine.stack.clear();
    return result;
  } catch (const std::exception& error) {
    engine.stack.clear();
    engine.error = describeCall(engine, op.handle.schema()) + ": " + firstLine(error);
    return -1;
  }
}

// run(operator): the handle of its one tensor, else 0 with the results in the arena; -1 on failure (see lastError).
napi_value run(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Engine& engine = engineOf(env);
  const int32_t result = call(engine, arguments.integer(0), false);
  reportExternalMemory(engine);
  return integer(env, result);
}

// runInPlace(operator): as run, for operators whose result is an argument.
napi_value runInPlace(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  return integer(env, call(engineOf(env), arguments.integer(0), true));
}

// schemas(): every operator of this libtorch as its schema text.
napi_value schemas(napi_env env, napi_callback_info) {
  napi_value list;
  napi_create_array(env, &list);
  uint32_t count = 0;
  for (const c10::OperatorName& name : c10::Dispatcher::singleton().getAllOpNames()) {
    const auto found = c10::Dispatcher::singleton().findSchema(name);
    if (!found) continue;
    std::ostringstream text;
    text << found->schema();
    napi_set_element(env, list, count++, string(env, text.str()));
  }
  return list;
}

// internString(text): number — strings travel to operators by number.
napi_value internString(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Engine& engine = engineOf(env);
  engine.strings.push_back(arguments.string(0));
  return integer(env, static_cast<int32_t>(engine.strings.size() - 1));
}

}  // namespace

std::vector<Binding> dispatchBindings() {
  return {{"resolve", resolve},
          {"run", run},
          {"runInPlace", runInPlace},
          {"schemas", schemas},
          {"internString", internString}};
}

}  // namespace batch_cam
