// Calls of ATen operators by name, through the boxed interface of libtorch's dispatcher.
#include <sstream>
#include <vector>

#include "binding/calls.h"
#include "binding/engine.h"
#include "binding/in_place.h"
#include "binding/marshal.h"
#include "binding/values.h"

namespace batch_cam {
namespace {

bool isWritten(const c10::Argument& argument) {
  return argument.alias_info() != nullptr && argument.alias_info()->isWrite();
}

// Adds the tensors of an argument: itself, or those of a list.
void addTensors(std::vector<at::Tensor>& tensors, const c10::IValue& value) {
  if (value.isTensor() && value.toTensor().defined()) tensors.push_back(value.toTensor());
  if (value.isTensorList())
    for (const at::Tensor& tensor : value.toTensorList()) tensors.push_back(tensor);
}

// resolve(name, overload): the operator's index for `run`, or -1 if this libtorch does not have it.
napi_value resolve(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Engine& engine = engineOf(env);
  const std::string name = arguments.string(0);
  const std::string overload = arguments.string(1);
  return integer(env, guarded(engine, -1, [&] {
                   const auto found = c10::Dispatcher::singleton().findSchema({name, overload});
                   if (!found) return -1;
                   const auto& returns = found->schema().returns();
                   const bool returnsTensor =
                       returns.size() == 1 && returns[0].type()->kind() == c10::TypeKind::TensorType;
                   engine.calls->operators.push_back({*found, returnsTensor, windowArguments(found->schema())});
                   return static_cast<int32_t>(engine.calls->operators.size() - 1);
                 }));
}

// The tensors in the lists that an operator writes to, as the fused optimizers do. libtorch increments the version of a
// tensor argument that is written to, but not the versions of tensors in a list: `call` does.
std::vector<at::Tensor> writtenLists(const Engine& engine, const c10::FunctionSchema& schema) {
  std::vector<at::Tensor> written;
  for (size_t i = 0; i < schema.arguments().size(); ++i)
    if (isWritten(schema.arguments()[i]) && engine.calls->stack[i].isTensorList())
      addTensors(written, engine.calls->stack[i]);
  return written;
}

// The kind of an operator's failure. Its arguments are read again, because the call has consumed them.
const char* kindOfCall(Engine& engine, const c10::FunctionSchema& schema, const std::exception& error) {
  std::vector<at::Tensor> tensors, written;
  try {
    readArguments(engine, schema);
    for (size_t i = 0; i < schema.arguments().size(); ++i) {
      addTensors(tensors, engine.calls->stack[i]);
      if (isWritten(schema.arguments()[i])) addTensors(written, engine.calls->stack[i]);
    }
  } catch (const std::exception&) {
    return kindOf(error);  // an argument was disposed or does not fit the buffer
  }
  const auto refusal = refusedCall(tensors, written);
  return refusal ? nameOf(*refusal) : kindOf(error);
}

// Calls an operator with the arguments in the arena. Returns the handle of its tensor, or 0 with the results in the
// arena if it does not return exactly one tensor; -1 on failure. If `discard` is set, the result is an argument and is
// not returned.
int32_t call(Engine& engine, int32_t index, bool discard) {
  if (index < 0) return -1;  // this libtorch does not have it; src/engine/dispatch.ts says which one it is
  const Operator& op = engine.calls->operators.at(static_cast<size_t>(index));
  engine.calls->stack.clear();
  try {
    readArguments(engine, op.handle.schema());
    if (op.windows) limitWindows(engine.calls->stack, *op.windows);
    const std::vector<at::Tensor> written =
        discard ? writtenLists(engine, op.handle.schema()) : std::vector<at::Tensor>();
    op.handle.callBoxed(&engine.calls->stack);
    for (const at::Tensor& tensor : written) tensor.unsafeGetTensorImpl()->bump_version();
    int32_t result = 0;
    if (!discard) {
      if (op.singleTensor) {
        const at::Tensor& tensor = engine.calls->stack[0].toTensor();
        result = engine.tensors.add(tensor);
      } else {
        writeResults(engine);
      }
    }
    engine.calls->stack.clear();
    return result;
  } catch (const std::exception& error) {
    engine.calls->stack.clear();
    engine.error = describeCall(engine, op.handle.schema()) + ": " + firstLine(error);
    engine.errorKind = kindOfCall(engine, op.handle.schema(), error);
    engine.calls->stack.clear();
    return -1;
  }
}

// run(operator): see call. The message of a failure is that of lastError().
napi_value run(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Engine& engine = engineOf(env);
  const int32_t result = call(engine, arguments.integer(0), false);
  reportExternalMemory(engine);
  return integer(env, result);
}

// runInPlace(operator): the same for operators that write to an argument; 0, or -1 on failure.
napi_value runInPlace(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  return integer(env, call(engineOf(env), arguments.integer(0), true));
}

// schemas(): the schemas of all operators of this libtorch, as text.
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

// schemaOf(operator): the schema of an operator that `resolve` found, as text.
napi_value schemaOf(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Engine& engine = engineOf(env);
  const auto index = static_cast<size_t>(arguments.integer(0));
  std::ostringstream text;
  guarded(engine, 0, [&] {
    text << engine.calls->operators.at(index).handle.schema();
    return 0;
  });
  return string(env, text.str());
}

// internString(text): the index by which operators receive this string.
napi_value internString(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Engine& engine = engineOf(env);
  engine.calls->strings.push_back(arguments.string(0));
  return integer(env, static_cast<int32_t>(engine.calls->strings.size() - 1));
}

}  // namespace

std::vector<Binding> dispatchBindings() {
  return {{"resolve", resolve}, {"run", run},           {"runInPlace", runInPlace},
          {"schemas", schemas}, {"schemaOf", schemaOf}, {"internString", internString}};
}

}  // namespace batch_cam
