// Memory that will be read and written soon: advice to the processor, which changes no result.
#pragma once
#include <cstdint>

#if defined(_MSC_VER) && (defined(_M_X64) || defined(_M_IX86))
#include <intrin.h>
#endif

namespace statecast {
namespace {

template <class T>
inline void soon(const T* numbers, int64_t count) {
  const char* p = reinterpret_cast<const char*>(numbers);
  for (int64_t line = 0; line < count * int64_t{sizeof(T)}; line += 64) {
#if defined(__GNUC__)
    __builtin_prefetch(p + line, 1, 2);
#elif defined(_MSC_VER) && (defined(_M_X64) || defined(_M_IX86))
    _mm_prefetch(p + line, _MM_HINT_T1);
#endif
  }
  static_cast<void>(p);
}

}  // namespace
}  // namespace statecast
