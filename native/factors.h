// What products multiply: the numbers themselves, or pairs of them in bfloat16.
//
// The tiles of a product do not care: an element of one side is broadcast, meets a vector of elements of the other, and
// the sums stay float32. A pair holds two numbers that follow each other along the depth of the product, so its
// instruction does twice the work on half the memory. Rounding is to the nearest, ties to even, as the processor does.
#pragma once
#include "vector.h"

#if defined(SC_AMX)
#include "amx.h"
#endif

namespace statecast {
namespace SC_NAMESPACE {

// Numbers as they are: nothing is converted, and no copy is kept.
template <class V>
struct Factors {
  using Element = typename V::Number;
  using Vector = V;
  static constexpr bool same = true;
  static constexpr int numbers = 1;  // of an element
  static constexpr int block = 1;    // of how many numbers a product's depth is a multiple
  static constexpr int beyond = 0;   // rows of memory behind the last one that a tile reads
  struct Session {};                 // what a thread needs while it multiplies
  static constexpr SC_INLINE int64_t elements(int64_t n) { return n; }  // that n numbers of depth take
  // Element k along the depth, from a function that gives a vector of numbers for each row.
  template <class F>
  static SC_INLINE V at(int64_t k, F&& row) {
    return row(k);
  }
  // `count` numbers, of which the first n come from memory and the others are zero, to places `step` apart.
  static SC_INLINE void spread(const Element* from, int64_t n, int64_t count, Element* to, int64_t step) {
    for (int64_t k = 0; k < count; ++k) to[k * step] = k < n ? from[k] : Element(0);
  }
};

#if defined(SC_BF16)
struct Pair {
  uint16_t first, second;
};
struct Pairs {
  __m512bh v;
  static SC_INLINE Pairs load(const Pair* p) { return {reinterpret_cast<__m512bh>(_mm512_loadu_si512(p))}; }
  static SC_INLINE Pairs set(const Pair& x) {
    int bits;
    std::memcpy(&bits, &x, sizeof bits);
    return {reinterpret_cast<__m512bh>(_mm512_set1_epi32(bits))};
  }
  SC_INLINE void store(Pair* p) const { _mm512_storeu_si512(p, reinterpret_cast<__m512i>(v)); }
  SC_INLINE void store_n(Pair* p, int64_t n) const {
    _mm512_mask_storeu_epi32(p, Float::first(n), reinterpret_cast<__m512i>(v));
  }
};
SC_INLINE Float fma(Pairs a, Pairs b, Float c) { return {_mm512_dpbf16_ps(c.v, a.v, b.v)}; }

// Sixteen numbers in bfloat16, of which the first n are kept and the others are zero.
SC_INLINE __m256i rounded(Float x, int64_t n) {
  return reinterpret_cast<__m256i>(_mm512_maskz_cvtneps_pbh(Float::first(n), x.v));
}
// The pairs (low[k], high[k]) of numbers in bfloat16.
SC_INLINE Pairs joined(__m256i low, __m256i high) {
  const __m512i above = _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16);
  return {reinterpret_cast<__m512bh>(_mm512_or_si512(_mm512_cvtepu16_epi32(low), above))};
}

template <>
struct Factors<Float> {
  using Element = Pair;
  using Vector = Pairs;
  static constexpr bool same = false;
  static constexpr int numbers = 2;
#if defined(SC_AMX)
  static constexpr int block = 32, beyond = 15;
  using Session = TilesInUse;
#else
  static constexpr int block = 2, beyond = 0;
  struct Session {};
#endif
  static constexpr SC_INLINE int64_t elements(int64_t n) { return (n + block - 1) / block * (block / 2); }
  template <class F>
  static SC_INLINE Pairs at(int64_t k, F&& row) {
    return joined(rounded(row(2 * k), 16), rounded(row(2 * k + 1), 16));
  }
  static SC_INLINE void spread(const float* from, int64_t n, int64_t count, Pair* to, int64_t step) {
    Pair part[8];
    store(n > 0 ? Float::load_n(from, n) : Float::set(0), 16, part);
    for (int64_t k = 0; k < count / 2; ++k) to[k * step] = part[k];
  }
  // A vector of a row whose numbers go on for n; zeros follow them.
  static SC_INLINE void store(Float x, int64_t n, Pair* to) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), n > 0 ? rounded(x, n) : _mm256_setzero_si256());
  }
  // A whole row of n numbers.
  static SC_INLINE void row(const float* from, int64_t n, Pair* to) {
    for (int64_t k = 0, left = elements(n); left > 0; k += 16, left -= 8) {
      const Float x = k < n ? Float::load_n(from + k, n - k) : Float::set(0);
      const __mmask8 whole = static_cast<__mmask8>(left >= 8 ? 0xff : (1u << left) - 1);
      _mm256_mask_storeu_epi32(to + k / 2, whole, rounded(x, 16));
    }
  }
  // Rows of factors, `stride` elements apart, as factors along the rows: to [elements(rows)][columns], a multiple of 16.
  static void turn(const Pair* from, int64_t stride, int64_t rows, int64_t columns, Pair* to) {
    const auto part = [](const Pair* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); };
    for (int64_t k = 0; k < elements(rows); ++k, from += 2 * stride)
      for (int64_t c = 0; c < columns; c += 16, to += 16) {
        const __m256i none = _mm256_setzero_si256();
        const __m256i low = 2 * k < rows ? part(from + c / 2) : none;
        joined(low, 2 * k + 1 < rows ? part(from + stride + c / 2) : none).store(to);
      }
  }
};
#endif

}  // namespace SC_NAMESPACE
}  // namespace statecast
