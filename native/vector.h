// One register of numbers for the instruction set that this translation unit is compiled for, and exp-like functions.
//
// Every instruction set offers the same few operations, so that tiles and cells are written once. ROWS is the height of
// a register tile: ROWS x 4 accumulators, 4 weights and a broadcast value fill the registers; BUSY is how many sums
// must be under way at once so that none waits for the one before. Nothing here may come from the standard library's
// inline code: the linker could keep a copy compiled for a processor that is not there.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "prefetch.h"

#if defined(SC_AVX512) || defined(SC_AVX2)
#include <immintrin.h>
#elif defined(SC_NEON)
#include <arm_neon.h>
#endif

#if defined(STATECAST_SANITIZE)  // quickness of compiling counts
#define SC_INLINE inline
#define SC_UNROLL
#define SC_APART
#elif defined(_MSC_VER)
#define SC_INLINE __forceinline
#define SC_UNROLL
#define SC_APART
#else
#define SC_INLINE inline __attribute__((always_inline))
#define SC_UNROLL _Pragma("GCC unroll 16")
#define SC_APART __attribute__((noinline))
#endif
// A loop over a few numbers that must end up in registers.
#define SC_EACH(k, n) SC_UNROLL for (int k = 0; k < n; ++k)
// The rows of a register tile, whose height m is known to the compiler, or those of a matrix tile, which is memory; one
// by one where each row takes long.
#if defined(SC_AMX)
#define SC_ROW_BY_ROW(r, m) _Pragma("GCC unroll 1") for (int r = 0, r##_end = m.count(); r < r##_end; ++r)
#define SC_ROWS(r, m) SC_ROW_BY_ROW(r, m)
#else
#define SC_ROW_BY_ROW(r, m) for (int r = 0; r < decltype(m)::value; ++r)
#define SC_ROWS(r, m) SC_UNROLL SC_ROW_BY_ROW(r, m)
#endif

namespace statecast {
namespace SC_NAMESPACE {

#if defined(SC_AVX512)
struct Float {
  using Number = float;
#if defined(SC_AMX)
  static constexpr int W = 16, ROWS = 16, BUSY = 1;
#else
  static constexpr int W = 16, ROWS = 6, BUSY = 8;
#endif
  __m512 v;
  static SC_INLINE Float load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static SC_INLINE Float set(float x) { return {_mm512_set1_ps(x)}; }
  static SC_INLINE __mmask16 first(int64_t n) { return static_cast<__mmask16>(n >= 16 ? 0xffff : (1u << n) - 1); }
  static SC_INLINE Float load_n(const float* p, int64_t n) { return {_mm512_maskz_loadu_ps(first(n), p)}; }
  SC_INLINE void store(float* p) const { _mm512_storeu_ps(p, v); }
  SC_INLINE void store_n(float* p, int64_t n) const {
    if (n >= 16) return store(p);  // a masked store waits for its line of memory
    _mm512_mask_storeu_ps(p, first(n), v);
  }
  SC_INLINE void stream(float* p) const { _mm512_stream_ps(p, v); }
};
SC_INLINE Float operator+(Float a, Float b) { return {_mm512_add_ps(a.v, b.v)}; }
SC_INLINE Float operator-(Float a, Float b) { return {_mm512_sub_ps(a.v, b.v)}; }
SC_INLINE Float operator*(Float a, Float b) { return {_mm512_mul_ps(a.v, b.v)}; }
SC_INLINE Float fma(Float a, Float b, Float c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
SC_INLINE Float negative_fma(Float a, Float b, Float c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
// The limit stands first: where x is not a number, x comes back.
SC_INLINE Float clamp(Float low, Float high, Float x) { return {_mm512_max_ps(low.v, _mm512_min_ps(high.v, x.v))}; }
// 2^n for n = x + magic, whose lowest bits are n + 127.
SC_INLINE Float power_of_2(Float shifted) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(shifted.v), 23))};
}
SC_INLINE Float positive(Float x) { return {_mm512_max_ps(_mm512_setzero_ps(), x.v)}; }
SC_INLINE Float where_positive(Float x, Float y) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.v, _mm512_setzero_ps(), _CMP_GT_OQ), y.v)};
}
SC_INLINE Float reciprocal(Float x) {  // 14 bits, and one step of Newton's
  const __m512 r = _mm512_rcp14_ps(x.v);
  return {_mm512_fmadd_ps(r, _mm512_fnmadd_ps(x.v, r, _mm512_set1_ps(1.0f)), r)};
}
SC_INLINE float total(Float x) { return _mm512_reduce_add_ps(x.v); }
#elif defined(SC_AVX2)
struct Float {
  using Number = float;
  static constexpr int W = 8, ROWS = 3, BUSY = 8;
  __m256 v;
  static SC_INLINE Float load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static SC_INLINE Float set(float x) { return {_mm256_set1_ps(x)}; }
  static SC_INLINE __m256i first(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static SC_INLINE Float load_n(const float* p, int64_t n) { return {_mm256_maskload_ps(p, first(n))}; }
  SC_INLINE void store(float* p) const { _mm256_storeu_ps(p, v); }
  SC_INLINE void store_n(float* p, int64_t n) const { _mm256_maskstore_ps(p, first(n), v); }
  SC_INLINE void stream(float* p) const { _mm256_stream_ps(p, v); }
};
SC_INLINE Float operator+(Float a, Float b) { return {_mm256_add_ps(a.v, b.v)}; }
SC_INLINE Float operator-(Float a, Float b) { return {_mm256_sub_ps(a.v, b.v)}; }
SC_INLINE Float operator*(Float a, Float b) { return {_mm256_mul_ps(a.v, b.v)}; }
SC_INLINE Float fma(Float a, Float b, Float c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
SC_INLINE Float negative_fma(Float a, Float b, Float c) { return {_mm256_fnmadd_ps(a.v, b.v, c.v)}; }
SC_INLINE Float clamp(Float low, Float high, Float x) { return {_mm256_max_ps(low.v, _mm256_min_ps(high.v, x.v))}; }
SC_INLINE Float power_of_2(Float shifted) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(shifted.v), 23))};
}
SC_INLINE Float positive(Float x) { return {_mm256_max_ps(_mm256_setzero_ps(), x.v)}; }
SC_INLINE Float where_positive(Float x, Float y) {
  return {_mm256_and_ps(_mm256_cmp_ps(x.v, _mm256_setzero_ps(), _CMP_GT_OQ), y.v)};
}
SC_INLINE Float reciprocal(Float x) { return {_mm256_div_ps(_mm256_set1_ps(1.0f), x.v)}; }
SC_INLINE float total(Float x) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x.v), _mm256_extractf128_ps(x.v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
#elif defined(SC_NEON)
struct Float {
  using Number = float;
  static constexpr int W = 4, ROWS = 6, BUSY = 8;
  float32x4_t v;
  static SC_INLINE Float load(const float* p) { return {vld1q_f32(p)}; }
  static SC_INLINE Float set(float x) { return {vdupq_n_f32(x)}; }
  static SC_INLINE Float load_n(const float* p, int64_t n) {
    if (n >= 4) return load(p);
    float part[4] = {0, 0, 0, 0};
    for (int64_t k = 0; k < n; ++k) part[k] = p[k];
    return load(part);
  }
  SC_INLINE void store(float* p) const { vst1q_f32(p, v); }
  SC_INLINE void stream(float* p) const { store(p); }
  SC_INLINE void store_n(float* p, int64_t n) const {
    if (n >= 4) return store(p);
    float part[4];
    vst1q_f32(part, v);
    for (int64_t k = 0; k < n; ++k) p[k] = part[k];
  }
};
SC_INLINE Float operator+(Float a, Float b) { return {vaddq_f32(a.v, b.v)}; }
SC_INLINE Float operator-(Float a, Float b) { return {vsubq_f32(a.v, b.v)}; }
SC_INLINE Float operator*(Float a, Float b) { return {vmulq_f32(a.v, b.v)}; }
SC_INLINE Float fma(Float a, Float b, Float c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
SC_INLINE Float negative_fma(Float a, Float b, Float c) { return {vfmsq_f32(c.v, a.v, b.v)}; }
SC_INLINE Float clamp(Float low, Float high, Float x) { return {vmaxq_f32(low.v, vminq_f32(high.v, x.v))}; }
SC_INLINE Float power_of_2(Float shifted) {
  return {vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(shifted.v), 23))};
}
SC_INLINE Float positive(Float x) { return {vmaxq_f32(vdupq_n_f32(0), x.v)}; }
SC_INLINE Float where_positive(Float x, Float y) {
  return {vreinterpretq_f32_u32(vandq_u32(vcgtq_f32(x.v, vdupq_n_f32(0)), vreinterpretq_u32_f32(y.v)))};
}
SC_INLINE Float reciprocal(Float x) { return {vdivq_f32(vdupq_n_f32(1.0f), x.v)}; }
SC_INLINE float total(Float x) { return vaddvq_f32(x.v); }
#endif

// Streams pass by the caches, and are ordered before what follows by this alone.
SC_INLINE void end_of_streams() {
#if defined(SC_AVX512) || defined(SC_AVX2)
  _mm_sfence();
#endif
}

// A few numbers, for any processor and for float64. Where the compiler has vectors of its own they are one: what it may do
// with a loop over them takes it long to find out. Elsewhere they are such a loop, which it may vectorise.
#if defined(__GNUC__)
template <class T, int width>
struct Numbers {
  typedef T type __attribute__((vector_size(width * sizeof(T))));
};
#define SC_AT
#define SC_ALL(k, n)
#else
template <class T, int width>
struct Numbers {
  using type = T[width];
};
#define SC_AT [k]
#define SC_ALL(k, n) for (int k = 0; k < n; ++k)
#endif

template <class T, int width>
struct Plain {
  using Number = T;
  static constexpr int W = width, ROWS = 2, BUSY = 1;
  typename Numbers<T, W>::type v;
  static SC_INLINE Plain load(const T* p) {
    Plain r;
    std::memcpy(&r.v, p, sizeof r.v);
    return r;
  }
  static SC_INLINE Plain set(T x) {
    T all[W];
    for (int k = 0; k < W; ++k) all[k] = x;
    return load(all);
  }
  static SC_INLINE Plain load_n(const T* p, int64_t n) {
    if (n >= W) return load(p);
    T part[W] = {};
    copy(p, n, part);
    return load(part);
  }
  SC_INLINE void store(T* p) const { std::memcpy(p, &v, sizeof v); }
  SC_INLINE void stream(T* p) const { store(p); }
  SC_INLINE void store_n(T* p, int64_t n) const {
    if (n >= W) return store(p);
    T part[W];
    store(part);
    copy(part, n, p);
  }
  static SC_APART void copy(const T* from, int64_t n, T* to) {
    for (int64_t k = 0; k < n; ++k) to[k] = from[k];
  }
};
#define SC_PLAIN(name, arguments, expression)                        \
  template <class T, int W>                                          \
  SC_INLINE Plain<T, W> name arguments {                             \
    const Plain<T, W> zero = Plain<T, W>::set(0);                    \
    static_cast<void>(zero);                                         \
    Plain<T, W> r;                                                   \
    SC_ALL (k, W) r.v SC_AT = expression;                            \
    return r;                                                        \
  }
#define SC_A Plain<T, W> a
#define SC_B Plain<T, W> b
#define SC_C Plain<T, W> c
#define SC_X a.v SC_AT
#define SC_Y b.v SC_AT
#define SC_Z c.v SC_AT
#define SC_ZERO zero.v SC_AT
SC_PLAIN(operator+, (SC_A, SC_B), SC_X + SC_Y)
SC_PLAIN(operator-, (SC_A, SC_B), SC_X - SC_Y)
SC_PLAIN(operator*, (SC_A, SC_B), SC_X * SC_Y)
SC_PLAIN(operator/, (SC_A, SC_B), SC_X / SC_Y)
SC_PLAIN(fma, (SC_A, SC_B, SC_C), SC_X * SC_Y + SC_Z)
SC_PLAIN(negative_fma, (SC_A, SC_B, SC_C), SC_Z - SC_X * SC_Y)
SC_PLAIN(clamp, (SC_A, SC_B, SC_C), SC_Z < SC_X ? SC_X : (SC_Z > SC_Y ? SC_Y : SC_Z))
SC_PLAIN(positive, (SC_A), SC_X < SC_ZERO ? SC_ZERO : SC_X)
SC_PLAIN(where_positive, (SC_A, SC_B), SC_X > SC_ZERO ? SC_Y : SC_ZERO)
template <class T, int W>
SC_INLINE Plain<T, W> reciprocal(Plain<T, W> x) {
  return Plain<T, W>::set(1) / x;
}
// The sum of all numbers, in one order.
template <class T, int W>
SC_INLINE T total(Plain<T, W> x) {
  T part[W];
  x.store(part);
  for (int half = W / 2; half > 0; half /= 2)
    for (int k = 0; k < half; ++k) part[k] = part[k] + part[k + half];
  return part[0];
}
template <int W>
SC_INLINE Plain<float, W> power_of_2(Plain<float, W> shifted) {
  typename Numbers<uint32_t, W>::type bits;
  std::memcpy(&bits, &shifted.v, sizeof bits);
  SC_ALL (k, W) bits SC_AT = bits SC_AT << 23;
  std::memcpy(&shifted.v, &bits, sizeof bits);
  return shifted;
}

// exp(s x) = 2^n (1 + q) with s = 1 or -1, |r| <= ln 2 / 2 and q = e^r - 1 = r + r^2 p(r); p fitted for the least
// relative error of q. Adding 1.5 * 2^23 rounds to a whole number; 127 more makes its low bits the exponent of 2^n.
template <int sign, class V>
SC_INLINE V reduced_exponential(V x, V& scale) {
  const V magic = V::set(12583039.0f);
  const V shifted = fma(x, V::set(sign * 1.44269504f), magic), n = shifted - magic;
  // |n| < 127, so one constant for ln 2 costs at most 2e-7 of e^r, and that far from where it matters.
  const V r = sign > 0 ? negative_fma(n, V::set(0.693147182f), x) : V::set(0) - fma(n, V::set(0.693147182f), x);
  V p = fma(r, V::set(0.00139464973f), V::set(0.00836661086f));
  p = fma(p, r, V::set(0.0416662805f));
  p = fma(p, r, V::set(0.166665435f));
  p = fma(p, r, V::set(0.5f));
  scale = power_of_2(shifted);
  return fma(r * r, p, r);
}

template <class V>
SC_INLINE V sigmoid(V x) {
  V scale;
  const V q = reduced_exponential<-1>(clamp(V::set(-87), V::set(87), x), scale);
  return reciprocal(fma(scale, q, scale) + V::set(1));
}

// (e^2x - 1) / (e^2x + 1), with e^2x - 1 formed without loss of digits near 0.
template <class V>
SC_INLINE V tanh(V x) {
  V scale;
  const V q = reduced_exponential<1>(clamp(V::set(-20), V::set(20), x + x), scale);
  const V less_one = fma(scale, q, scale - V::set(1));
  return less_one * reciprocal(less_one + V::set(2));
}

template <int W>
SC_INLINE Plain<double, W> sigmoid(Plain<double, W> x) {
  double part[W];
  x.store(part);
  for (int k = 0; k < W; ++k) part[k] = 1 / (1 + std::exp(-part[k]));
  return Plain<double, W>::load(part);
}
template <int W>
SC_INLINE Plain<double, W> tanh(Plain<double, W> x) {
  double part[W];
  x.store(part);
  for (int k = 0; k < W; ++k) part[k] = std::tanh(part[k]);
  return Plain<double, W>::load(part);
}

}  // namespace SC_NAMESPACE
}  // namespace statecast
