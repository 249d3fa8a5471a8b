// Memory that will be read and written soon: advice to the processor, which changes no result.
#pragma once
#include <cstdint>

#if defined(_MSC_VER) && (defined(_M_X64) || defined(_M_IX86))
#include <intrin.h>
#endif

namespace statecast {
namespace {

template <class T>
inline void prefetch(const T* numbers, int64_t count) {
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

// Memory that a later step reads, to be fetched a little at a time: the processor can wait for a few lines only, and
// what it asks for between pieces of arithmetic costs no time.
class Ahead {
 public:
  void add(const void* from, int64_t bytes) {
    if (count_ == 3 || !from) return;
    at_[count_] = static_cast<const char*>(from);
    end_[count_++] = static_cast<const char*>(from) + bytes;
  }
  // Into how many pieces the arithmetic is split.
  void divide(int64_t pieces) {
    int64_t lines = 0;
    for (int k = 0; k < count_; ++k) lines += (end_[k] - at_[k] + 63) / 64;
    each_ = pieces > 0 ? (lines + pieces - 1) / pieces : 0;
  }
  // Between two pieces.
  void fetch() {
    for (int64_t k = 0; k < each_ && part_ < count_; ++k) {
#if defined(__GNUC__)
      __builtin_prefetch(at_[part_], 0, 2);
#endif
      at_[part_] += 64;
      if (at_[part_] >= end_[part_]) ++part_;
    }
  }

 private:
  const char *at_[3] = {}, *end_[3] = {};
  int64_t each_ = 0;
  int count_ = 0, part_ = 0;
};

}  // namespace
}  // namespace statecast
