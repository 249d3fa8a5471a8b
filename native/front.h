// The front for one row of a table of states: the normaliser, the ring, and the features that they give the stack.
//
// The equations are those of statecast/model/front.py, in its order; conformance tests hold the two together.
#pragma once
#include "vector.h"

namespace statecast {
namespace SC_NAMESPACE {

// The C library's own functions: inline ones of the C++ library could be shared with other instruction sets.
SC_INLINE float root(float x) { return ::sqrtf(x); }
SC_INLINE double root(double x) { return ::sqrt(x); }
SC_INLINE float logarithm(float x) { return ::logf(x); }
SC_INLINE double logarithm(double x) { return ::log(x); }
SC_INLINE float log_plus_1(float x) { return ::log1pf(x); }
SC_INLINE double log_plus_1(double x) { return ::log1p(x); }
SC_INLINE float exponential(float x) { return ::expf(x); }
SC_INLINE double exponential(double x) { return ::exp(x); }
template <class T>
SC_INLINE T larger(T a, T b) {
  return a > b ? a : b;
}
template <class T>
SC_INLINE T magnitude(T x) {
  return x < 0 ? -x : x;
}

// old + rate (now - old), and at rate 1 `now` to the last bit.
template <class T>
SC_INLINE T towards(T old, T now, T rate) {
  return rate == 1 ? now : old + rate * (now - old);
}

// Takes a value of one target in working units into its statistics; `mask` is 0 where it is missing.
template <class T>
SC_INLINE void advance(T& level, T& spread, T& count, T& since, T value, T mask, int32_t normalize, T decay) {
  const T before = count, gap = since + 1;
  count += mask;
  since = gap * (1 - mask);
  const bool last = normalize == STATECAST_LAST;
  if (!(last || normalize == STATECAST_EWMA) || !(mask > 0)) return;
  const T deviation = last ? magnitude(value - level) / root(gap) : magnitude(value - level);
  const T rate = larger(1 / larger(count - 1, T(1)), decay);
  if (before > 0) spread = towards(spread, deviation, rate);
  level = towards(level, value, last ? T(1) : larger(1 / larger(count, T(1)), decay));
}

// One target of one row: its statistics, and its ring, whose values lie `step` numbers apart.
template <class T>
struct Target {
  T *level, *spread, *count, *since, *ring, *mask;
  int64_t step;

  // Takes a value, as `advance` does, which becomes the newest of the ring.
  void update(T value, T observed, int32_t normalize, T decay, int64_t length) const {
    advance(*level, *spread, *count, *since, value, observed, normalize, decay);
    ring[(length - 1) * step] = value;
    mask[(length - 1) * step] = observed;
  }

  // The level and the scale that forecasts are relative to.
  void level_scale(int32_t normalize, T floor, int64_t length, T& at, T& unit) const {
    at = *level;
    unit = *spread;
    if (normalize == STATECAST_NONE) {
      at = 0;
      unit = 1;
      return;
    }
    if (normalize == STATECAST_WINDOW) {
      T values = 0, sum = 0, squares = 0;
      for (int64_t k = 0; k < length; ++k) {
        values += mask[k * step];
        sum += ring[k * step] * mask[k * step];
      }
      if (values > 0) at = sum / values;
      for (int64_t k = 0; k < length; ++k) {
        const T d = (ring[k * step] - sum / larger(values, T(1))) * mask[k * step];
        squares += d * d;
      }
      if (values > 1) unit = root(squares / values);
    }
    unit = larger(unit, floor);
  }

  // to[k] = the ring's k-th value from `first` on, relative to level and scale and in typical deviations.
  template <class V>
  void relative(int64_t first, int64_t length, T at, T unit, T deviation, T* to) const {
    const T scale = 1 / (unit * deviation);
    if (step != 1) {
      for (int64_t k = first; k < length; ++k) to[k - first] = (ring[k * step] - at) * scale * mask[k * step];
      return;
    }
    const V middle = V::set(at), factor = V::set(scale);
    for (int64_t k = first; k < length; k += V::W) {
      const int64_t left = length - k;
      const V value = (V::load_n(ring + k, left) - middle) * factor * V::load_n(mask + k, left);
      value.store_n(to + k - first, left);
    }
  }
};

}  // namespace SC_NAMESPACE
}  // namespace statecast
