// The equations of the cells, one vector of units at a time: forward, and backward from what forward left.
//
// forward: z holds the gates' pre-activations and leaves the gates; h and c are the state before and after.
// backward: a holds the gates as forward left them, `before` the state that the equations need (c for LSTM, h for the
// gated recurrent units); dh comes as the gradient of h' and leaves as its part that reaches h past the products.
#pragma once
#include "job.h"
#include "tile.h"

namespace statecast {
namespace SC_NAMESPACE {

struct Lstm {
  static constexpr int gates = 4, columns = 4;
  using Input = Dense<4>;      // columns of a panel that x W fills
  using Recurrent = Dense<4>;  // and those that h U fills
  template <class V>
  static SC_INLINE void forward(V* z, V& h, V& c) {
    z[0] = sigmoid(z[0]);
    z[1] = sigmoid(z[1]);
    z[2] = tanh(z[2]);
    z[3] = sigmoid(z[3]);
    c = fma(z[1], c, z[0] * z[2]);
    h = z[3] * tanh(c);
  }
  template <class V>
  static SC_INLINE void backward(const V* a, V before, V& dh, V& dc, V* dz) {
    const V one = V::set(1), i = a[0], f = a[1], g = a[2], o = a[3];
    const V squashed = tanh(fma(f, before, i * g));
    const V d = fma(dh * o, one - squashed * squashed, dc);
    dz[0] = d * g * i * (one - i);
    dz[1] = d * before * f * (one - f);
    dz[2] = d * i * (one - g * g);
    dz[3] = dh * squashed * o * (one - o);
    dc = d * f;
    dh = V::set(0);
  }
};

// Columns r, u, and n's two halves: the input's share and the recurrent one, which r multiplies.
struct Gru {
  static constexpr int gates = 3, columns = 4;
  using Input = Dense<3>;
  using Recurrent = Columns<3, 3>;
  template <class V>
  static SC_INLINE void forward(V* z, V& h, V&) {
    z[0] = sigmoid(z[0]);
    z[1] = sigmoid(z[1]);
    z[2] = tanh(fma(z[0], z[3], z[2]));
    h = fma(z[1], h - z[2], z[2]);
  }
  template <class V>
  static SC_INLINE void backward(const V* a, V before, V& dh, V&, V* dz) {
    const V one = V::set(1), r = a[0], u = a[1], n = a[2];
    dz[2] = dh * (one - u) * (one - n * n);
    dz[1] = dh * (before - n) * u * (one - u);
    dz[0] = dz[2] * a[3] * r * (one - r);
    dz[3] = dz[2] * r;
    dh = dh * u;
  }
};

// Two products a step: r and u first, then n from r h.
struct GruResetBefore {
  static constexpr int gates = 3, columns = 3;
  using Input = Dense<3>;
  using Recurrent = Dense<2>;
  using Candidate = Columns<1, 2>;
  template <class V>
  static SC_INLINE void open(V* z, V h, V& reset_state) {
    z[0] = sigmoid(z[0]);
    z[1] = sigmoid(z[1]);
    reset_state = z[0] * h;
  }
  template <class V>
  static SC_INLINE void forward(V* z, V& h, V&) {
    z[2] = tanh(z[2]);
    h = fma(z[1], h - z[2], z[2]);
  }
  template <class V>
  static SC_INLINE void backward(const V* a, V before, V& dh, V&, V* dz) {
    const V one = V::set(1), u = a[1], n = a[2];
    dz[2] = dh * (one - u) * (one - n * n);
    dz[1] = dh * (before - n) * u * (one - u);
    dz[0] = V::set(0);
    dh = dh * u;
  }
  // From the gradient of r h, once it is known.
  template <class V>
  static SC_INLINE void close(V r, V before, V d, V& dh, V& dz) {
    dz = d * before * r * (V::set(1) - r);
    dh = fma(d, r, dh);
  }
};

// A panel holds N vectors of units; each is a cell by itself. Which function squashes it is asked for each vector, so
// that tiles, which are most of the code, are compiled once for both.
template <int N>
struct Rnn {
  static constexpr int gates = 1, columns = N;
  using Input = Dense<N>;
  using Recurrent = Dense<N>;
  template <class V>
  static SC_INLINE void forward(V* z, V& h, bool relu) {
    z[0] = relu ? positive(z[0]) : tanh(z[0]);
    h = z[0];
  }
  template <class V>
  static SC_INLINE void backward(V a, V& dh, V& dz, bool relu) {
    dz = relu ? where_positive(a, dh) : dh * (V::set(1) - a * a);
    dh = V::set(0);
  }
};

static_assert(Lstm::gates == gates_of(STATECAST_LSTM) && Gru::gates == gates_of(STATECAST_GRU) &&
                  GruResetBefore::gates == gates_of(STATECAST_GRU_RESET_BEFORE) &&
                  Rnn<1>::gates == gates_of(STATECAST_RNN_TANH) && Rnn<1>::gates == gates_of(STATECAST_RNN_RELU),
              "job.h tells how many gates a cell has");

template <class Cell>
struct IsRnn {
  static constexpr bool value = false;
};
template <int N>
struct IsRnn<Rnn<N>> {
  static constexpr bool value = true;
};

}  // namespace SC_NAMESPACE
}  // namespace statecast
