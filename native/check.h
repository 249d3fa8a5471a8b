// Whether the arrays of a call are as long as its sizes say.
//
// A call lists what each array must hold, and goes through the list before it reads or writes any of them. Lengths are
// compared in bytes, so that an array of narrower elements is found out as well.
#pragma once
#include <cstdint>
#include <initializer_list>

#include "statecast.h"

namespace statecast {
namespace {

inline int64_t bytes_of(int32_t dtype) { return dtype == STATECAST_FLOAT64 ? 8 : 4; }

// The product of an element's size and of the numbers of elements on each axis; -1 where it is out of range.
inline int64_t product(int64_t element, std::initializer_list<int64_t> axes) {
  int64_t bytes = element;
  for (int64_t size : axes) {
    if (size < 0) return -1;
    if (size == 0) return 0;
    if (bytes > (int64_t{1} << 62) / size) return -1;
    bytes *= size;
  }
  return bytes;
}

// An array of a call, and what it must hold.
struct Demand {
  const void* data;
  int64_t bytes, length, element;
  bool optional;

  int32_t status() const {
    if (!data && (optional || length == 0)) return STATECAST_OK;
    if (!data) return STATECAST_NULL;
    if (length < 0 || bytes != length) return STATECAST_BAD_LENGTH;
    const bool aligned = length == 0 || reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(element) == 0;
    return aligned ? STATECAST_OK : STATECAST_BAD_LENGTH;
  }
};
template <class A>
Demand needs(const A& array, int64_t element, std::initializer_list<int64_t> axes) {
  return {array.data, array.bytes, product(element, axes), element, false};
}
template <class A>
Demand may_have(const A& array, int64_t element, std::initializer_list<int64_t> axes) {
  return {array.data, array.bytes, product(element, axes), element, true};
}

inline int32_t check(std::initializer_list<Demand> demands) {
  for (const Demand& demand : demands)
    if (const int32_t status = demand.status()) return status;
  return STATECAST_OK;
}

}  // namespace
}  // namespace statecast
