// Matrix products of a network's step: dense layers, the head, the skip; and what activates a dense layer.
#pragma once
#include "tile.h"
#include "weights.h"

namespace statecast {
namespace SC_NAMESPACE {

// out [rows, n] = (add ? out : bias) + x [rows, depth] times weights.
template <class V>
struct Matrix {
  using T = typename V::Number;
  int64_t depth, n;
  T *weights, *bias;
  Matrix(int64_t depth_, int64_t n_, Arena& arena) : depth(depth_), n(n_) {
    weights = arena.take<T>((n + V::W - 1) / V::W * V::W * depth);
    bias = arena.take<T>(n);
  }
  void fill(const void* w, const void* b) const {
    const Split split(n, V::W);
    T* to = weights;
    for (int64_t p = 0, first = 0; p < split.panels && n > 0; first += split.width(p) * V::W, ++p)
      for (int64_t k = 0; k < depth; ++k)
        for (int64_t c = first; c < first + split.width(p) * V::W; ++c)
          *to++ = c < n ? static_cast<const T*>(w)[k * n + c] : T(0);
    for (int64_t c = 0; c < n; ++c) bias[c] = b ? static_cast<const T*>(b)[c] : T(0);
  }
  void apply(const T* x, int64_t rows, T* out, bool add = false) const {
    if (n == 0) return;
    for (int64_t r = 0; r < rows && !add; ++r) std::memcpy(out + r * n, bias, static_cast<size_t>(n) * sizeof(T));
    Runs whole;
    whole.add(0, depth);
    product<V, true>(Panels<T>{const_cast<T*>(x), rows, depth, 1}, 0, rows, whole, weights, n, out, n, true);
  }
};

template <class V>
SC_INLINE V activate(V x, int32_t kind) {
  using T = typename V::Number;
  switch (kind) {
    case STATECAST_TANH:
      return tanh(x);
    case STATECAST_RELU:
      return positive(x);
    case STATECAST_SIGMOID:
      return sigmoid(x);
    case STATECAST_GELU: {
      const V inner = V::set(static_cast<T>(0.7978845608028654)) * (x + V::set(static_cast<T>(0.044715)) * x * x * x);
      return V::set(0.5f) * x * (V::set(1) + tanh(inner));
    }
    case STATECAST_SILU:
      return x * sigmoid(x);
  }
  return x;
}

}  // namespace SC_NAMESPACE
}  // namespace statecast
