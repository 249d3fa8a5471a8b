// How a layer's columns stand in panels, and its weights packed for the forward and for the backward products.
//
// A panel of a gated cell holds one vector of units with all its gates side by side, so that a tile leaves its product
// with everything that the gates need still in registers. Units are padded to whole vectors; padded weights are zero,
// and so are padded states and gradients.
#pragma once
#include "cells.h"
#include "job.h"

namespace statecast {
namespace SC_NAMESPACE {

// Hands out pieces of a block of memory, each on a cache line; with a null block it only counts.
struct Arena {
  uintptr_t block;
  int64_t used = 0;
  explicit Arena(const void* memory) : block(reinterpret_cast<uintptr_t>(memory)) {}
  template <class T>
  T* take(int64_t n) {
    T* piece = reinterpret_cast<T*>(block + static_cast<uintptr_t>(used));
    used += (n * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
    return piece;
  }
};

template <class V, class Cell>
struct Layout {
  using T = typename V::Number;
  using K = Factors<V>;
  using E = typename K::Element;
  static constexpr int C = Cell::columns, W = V::W;
  static constexpr int units = IsRnn<Cell>::value ? C * W : W;  // of a panel
  int64_t inputs, hidden, panels, padded;
  int64_t input_depth, hidden_depth;  // elements of a product's depth
  explicit Layout(const Job& j)
      : inputs(j.inputs),
        hidden(j.hidden),
        panels((j.hidden + units - 1) / units),
        padded(panels * units),
        input_depth(K::elements(j.inputs)),
        hidden_depth(K::elements(j.hidden)) {}

  // First unit of vector v of panel p, and the first column of its gate in W or U.
  static SC_INLINE int64_t unit(int64_t p, int v) { return IsRnn<Cell>::value ? (p * C + v) * W : p * W; }
  SC_INLINE int64_t gate(int v) const {
    return IsRnn<Cell>::value ? 0 : (v < Cell::gates ? v : Cell::gates - 1) * hidden;
  }
  int64_t row() const { return Cell::gates * hidden; }  // a row of W or U
  // How many of a vector's columns the transposed products read: a small network's one panel is mostly padding.
  SC_INLINE int64_t depth(int64_t p, int v) const {
    const int64_t left = hidden - unit(p, v);
    return !K::same || panels > 1 || left >= W ? W : left > 0 ? left : 0;
  }
  template <class Columns>
  Runs runs() const {
    Runs r;
    for (int i = 0; i < Columns::count; ++i) {
      const int64_t first = Columns::at(i) * W, end = first + depth(0, Columns::at(i));
      const int64_t begin = first / K::block * K::block, whole = (end + K::block - 1) / K::block * K::block;
      r.add(begin / K::numbers, (whole - begin) / K::numbers);
    }
    return r;
  }

  // to [panel][row of w, in elements][Columns::count * W].
  template <class Columns>
  void pack(const T* w, int64_t rows, E* to) const {
    for (int64_t p = 0; p < panels; ++p)
      for (int64_t k = 0; k < K::elements(rows); ++k)
        for (int i = 0; i < Columns::count; ++i, to += W) {
          const int v = Columns::at(i);
          const int64_t left = hidden - unit(p, v);
          const T* columns = w + gate(v) + unit(p, v);
          K::at(k, [&](int64_t r) {
            return left > 0 && r < rows ? V::load_n(columns + r * row(), left) : V::set(0);
          }).store(to);
        }
  }

  // The transpose, for `product`: to [panel of outputs][panel, vector, unit][outputs], for w [n, row()].
  template <class Columns>
  void pack_transposed(const T* w, int64_t n, E* to) const {
    const Split split(n, W);
    const Runs r = runs<Columns>();
    for (int64_t o = 0, vector = 0; o < split.panels; vector += split.width(o), ++o)
      for (int64_t p = 0; p < panels; ++p)
        for (int64_t run = 0; run < r.count; to += r.length[run++] * split.width(o) * W)
          pack_run<Columns>(w, n, p, r.first[run], r.length[run], vector * W, split.width(o) * W, to);
  }
  // One run: to [length][width], of the outputs from `first` on; columns between those of the cell have no weight.
  template <class Columns>
  void pack_run(const T* w, int64_t n, int64_t p, int64_t begin, int64_t length, int64_t first, int64_t width,
                E* to) const {
    if constexpr (!K::same) std::memset(to, 0, static_cast<size_t>(length * width) * sizeof(E));
    for (int i = 0; i < Columns::count; ++i) {
      const int v = Columns::at(i);
      const int64_t at = v * W / K::numbers - begin, count = depth(p, v), left = hidden - unit(p, v);
      if (at < 0 || at >= length) continue;
      for (int64_t k = 0; k < width; ++k)
        K::spread(w + (first + k) * row() + gate(v) + unit(p, v), first + k < n ? left : 0, count,
                  to + at * width + k, width);
    }
  }
  template <class Columns>
  int64_t transposed(int64_t n) const {
    return (n + W - 1) / W * W * panels * runs<Columns>().total;
  }
};

// What the forward products read, in one block: it is also what `statecast_network_pack` leaves for later steps.
template <class V, class Cell>
struct Packed {
  using T = typename V::Number;
  using E = typename Factors<V>::Element;
  T* bias;
  E *input, *recurrent, *candidate = nullptr;
  Packed(const Layout<V, Cell>& l, Arena& arena) {
    bias = arena.take<T>(l.panels * l.C * V::W);
    input = arena.take<E>(l.panels * l.input_depth * Cell::Input::count * V::W);
    recurrent = arena.take<E>(l.panels * l.hidden_depth * Cell::Recurrent::count * V::W);
    if constexpr (Cell::columns == 3 && Cell::gates == 3) candidate = arena.take<E>(l.panels * l.hidden_depth * V::W);
  }
  void fill(const Layout<V, Cell>& l, const statecast_inputs& in) {
    const T* b = static_cast<const T*>(in.b.data);
    for (int64_t p = 0; p < l.panels; ++p)
      for (int v = 0; v < l.C; ++v) {
        const bool second = v >= Cell::gates && !IsRnn<Cell>::value;  // n's recurrent half has a bias of its own
        const T* from = second ? static_cast<const T*>(in.bn.data) : b + l.gate(v);
        const int64_t left = l.hidden - l.unit(p, v);
        (left > 0 ? V::load_n(from + l.unit(p, v), left) : V::set(0)).store(bias + (p * l.C + v) * V::W);
      }
    l.template pack<typename Cell::Input>(static_cast<const T*>(in.W.data), l.inputs, input);
    l.template pack<typename Cell::Recurrent>(static_cast<const T*>(in.U.data), l.hidden, recurrent);
    if constexpr (Cell::columns == 3 && Cell::gates == 3)
      l.template pack<Columns<1, 2>>(static_cast<const T*>(in.U.data), l.hidden, candidate);
  }
};

}  // namespace SC_NAMESPACE
}  // namespace statecast
