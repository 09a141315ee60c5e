// Tensors as JavaScript sees them: creation from bytes, reading and writing of bytes, description and release.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cstring>

#include "binding/engine.h"
#include "binding/values.h"
#include "memory/allocator.h"

namespace batch_cam {
namespace {

// The memory of a TypedArray.
struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
};

Bytes bytesOf(napi_env env, napi_value typedArray) {
  void* data = nullptr;
  size_t length = 0;
  size_t offset = 0;
  napi_value buffer;
  napi_typedarray_type type;
  Bytes bytes;
  if (napi_get_typedarray_info(env, typedArray, &type, &length, &data, &buffer, &offset) == napi_ok) {
    // Bytes of an element, by napi_typedarray_type.
    constexpr size_t kWidths[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};
    bytes = {static_cast<uint8_t*>(data), length * kWidths[type]};
  }
  return bytes;
}

// bindArena(buffer: Float64Array): sets the argument buffer, once for each environment.
napi_value bindArena(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Engine& engine = engineOf(env);
  const Bytes bytes = bytesOf(env, arguments[0]);
  napi_create_reference(env, arguments[0], 1, &engine.arenaReference);
  engine.arena = reinterpret_cast<double*>(bytes.data);
  engine.arenaLength = bytes.length / sizeof(double);
  return undefined(env);
}

// fromBytes(data: TypedArray, dtype): the handle of a new tensor. The arena holds its rank and shape.
napi_value fromBytes(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Engine& engine = engineOf(env);
  return integer(env, guarded(engine, -1, [&] {
                   const auto dtype = static_cast<at::ScalarType>(arguments.integer(1));
                   std::vector<int64_t> shape(static_cast<size_t>(engine.arena[0]));
                   for (size_t i = 0; i < shape.size(); ++i) shape[i] = static_cast<int64_t>(engine.arena[i + 1]);
                   at::Tensor tensor = at::empty(shape, dtype);
                   const Bytes bytes = bytesOf(env, arguments[0]);
                   expect(bytes.length == tensor.nbytes(), FailureKind::kShape, "shape ", tensor.sizes(), " needs ",
                          tensor.nbytes(), " bytes, got ", bytes.length);
                   if (bytes.length > 0) std::memcpy(tensor.data_ptr(), bytes.data, bytes.length);
                   return engine.tensors.add(std::move(tensor));
                 }));
}

// readBytes(handle, offset, target: TypedArray) and writeBytes(handle, offset, source: TypedArray).
template <bool Write>
napi_value copyBytes(napi_env env, napi_callback_info info) {
  Arguments<3> arguments(env, info);
  Engine& engine = engineOf(env);
  return integer(
      env, guarded(engine, -1, [&] {
        const at::Tensor& tensor = engine.tensors.at(arguments.integer(0));
        const double offset = arguments.number(1);
        const Bytes bytes = bytesOf(env, arguments[2]);
        expect(tensor.is_contiguous() && tensor.device().is_cpu(), FailureKind::kOther,
               "only the bytes of a contiguous tensor on the CPU can be read or written");
        expect(offset >= 0 && offset + static_cast<double>(bytes.length) <= static_cast<double>(tensor.nbytes()),
               FailureKind::kOther, "bytes ", offset, " to ", offset + bytes.length, " are outside of a tensor of ",
               tensor.nbytes(), " bytes");
        if (bytes.length == 0) return 0;
        auto* data = static_cast<uint8_t*>(tensor.data_ptr()) + static_cast<size_t>(offset);
        if (Write) {
          std::memcpy(data, bytes.data, bytes.length);
          tensor.unsafeGetTensorImpl()->bump_version();
        } else {
          std::memcpy(bytes.data, data, bytes.length);
        }
        return 0;
      }));
}

// describeTensor(handle): writes dtype, device type, device index, requires grad, is leaf, is contiguous, rank and
// shape to the arena.
napi_value describeTensor(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Engine& engine = engineOf(env);
  return integer(env, guarded(engine, -1, [&] {
                   const at::Tensor& tensor = engine.tensors.at(arguments.integer(0));
                   expect(static_cast<size_t>(tensor.dim()) + 7 <= engine.arenaLength, FailureKind::kShape,
                          "too many dimensions");
                   double* out = engine.arena;
                   *out++ = static_cast<double>(tensor.scalar_type());
                   *out++ = static_cast<double>(tensor.device().type());
                   *out++ = static_cast<double>(tensor.device().index());
                   *out++ = tensor.requires_grad();
                   *out++ = tensor.is_leaf();
                   *out++ = tensor.is_contiguous();
                   *out++ = static_cast<double>(tensor.dim());
                   for (const int64_t size : tensor.sizes()) *out++ = static_cast<double>(size);
                   return 0;
                 }));
}

// versionOf(handle): the number of times that the tensor was changed in place.
napi_value versionOf(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Engine& engine = engineOf(env);
  return integer(env, guarded(engine, -1, [&] {
                   return static_cast<int32_t>(engine.tensors.at(arguments.integer(0))._version() & 0x7fffffff);
                 }));
}

// release(count, collected): releases the tensors whose handles are in the arena. `collected` says whether V8's garbage
// collector found them unreachable.
napi_value release(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Engine& engine = engineOf(env);
  const int64_t before = tensorMemory(engine);
  const int32_t result = guarded(engine, -1, [&] {
    const int32_t count = arguments.integer(0);
    expect(count >= 0 && static_cast<size_t>(count) <= engine.arenaLength, FailureKind::kOther, "a list is cut short");
    for (int32_t i = 0; i < count; ++i) engine.tensors.release(static_cast<int32_t>(engine.arena[i]));
    return 0;
  });
  if (arguments.boolean(1)) reportCollected(engine, before - tensorMemory(engine));
  return integer(env, result);
}

}  // namespace

std::vector<Binding> tensorBindings() {
  return {{"bindArena", bindArena},        {"fromBytes", fromBytes},           {"readBytes", copyBytes<false>},
          {"writeBytes", copyBytes<true>}, {"describeTensor", describeTensor}, {"release", release},
          {"versionOf", versionOf}};
}

}  // namespace batch_cam
