// Conversion between JavaScript values and C++ values in Node-API callbacks.
#pragma once

#include <node_api.h>

#include <array>
#include <cstdint>
#include <string>

namespace batch_cam {

inline napi_value integer(napi_env env, int32_t value) {
  napi_value result;
  napi_create_int32(env, value, &result);
  return result;
}

inline napi_value number(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

inline napi_value boolean(napi_env env, bool value) {
  napi_value result;
  napi_get_boolean(env, value, &result);
  return result;
}

inline napi_value string(napi_env env, const std::string& value) {
  napi_value result;
  napi_create_string_utf8(env, value.data(), value.size(), &result);
  return result;
}

inline napi_value undefined(napi_env env) {
  napi_value result;
  napi_get_undefined(env, &result);
  return result;
}

// The arguments of a callback. Only src/engine calls these functions, with the types of src/engine/addon.ts; an
// argument of a wrong type reads as zero.
template <size_t Count>
class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info) : env_(env) {
    size_t count = Count;
    napi_get_cb_info(env, info, &count, values_.data(), nullptr, nullptr);
  }
  napi_value operator[](size_t index) const { return values_[index]; }
  int32_t integer(size_t index) const {
    int32_t value = 0;
    napi_get_value_int32(env_, values_[index], &value);
    return value;
  }
  double number(size_t index) const {
    double value = 0;
    napi_get_value_double(env_, values_[index], &value);
    return value;
  }
  bool boolean(size_t index) const {
    bool value = false;
    napi_get_value_bool(env_, values_[index], &value);
    return value;
  }
  std::string string(size_t index) const {
    size_t length = 0;
    napi_get_value_string_utf8(env_, values_[index], nullptr, 0, &length);
    std::string text(length, '\0');
    napi_get_value_string_utf8(env_, values_[index], text.data(), length + 1, &length);
    return text;
  }

 private:
  napi_env env_;
  std::array<napi_value, Count> values_{};
};

}  // namespace batch_cam
