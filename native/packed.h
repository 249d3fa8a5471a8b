// A network's arrays in one block of memory: what `pack` fills from the arrays that a caller hands over, and where each
// piece of it lies, in the order in which a step needs them.
#pragma once
#include "choose.h"
#include "dense.h"
#include "front.h"

namespace statecast {
namespace SC_NAMESPACE {

template <class V, class C>
struct PackedBytes {
  static int64_t run(const Job& j) {
    Arena arena(nullptr);
    Packed<V, C> packed(Layout<V, C>(j), arena);
    return arena.used;
  }
};
template <class V, class C>
struct Pack {
  static void run(const Job& j, void* to) {
    const Layout<V, C> l(j);
    Arena arena(to);
    Packed<V, C>(l, arena).fill(l, *j.in);
  }
};
template <class V, class C>
struct StepBytes {
  static int64_t run(const Job& j) { return StepRows<V, C>::bytes(j); }
};

// The arrays that a caller hands to `pack`, each of which must be as long as the network asks; after the first that is
// not, none is read.
struct Source {
  const statecast_array* next;
  int64_t left;
  int32_t status;
  template <class N>
  const N* take(int64_t count) {
    if (status != STATECAST_OK) return nullptr;
    if (left-- == 0) return refuse<N>(STATECAST_BAD_LENGTH);
    const statecast_array& a = *next++;
    const int64_t bytes = count * static_cast<int64_t>(sizeof(N));
    if (!a.data && bytes > 0) return refuse<N>(STATECAST_NULL);
    const bool aligned = reinterpret_cast<uintptr_t>(a.data) % sizeof(N) == 0;
    if (a.bytes != bytes || !aligned) return refuse<N>(STATECAST_BAD_LENGTH);
    return static_cast<const N*>(a.data);
  }
  template <class N>
  const N* refuse(int32_t why) {
    status = why;
    return nullptr;
  }
};

template <class V>
struct Arrays {
  using T = typename V::Number;
  const Net& net;
  const statecast_network& n;
  double *origin, *unit;
  T *level, *spread, *deviation, *ring_gain, *output_gain, *maps;
  Arena rest;  // layers, dense layers, head, what is known ahead, skip
  Arrays(const Net& net_, void* block) : net(net_), n(*net_.sizes), rest(block) {
    origin = rest.take<double>(n.targets);
    unit = rest.take<double>(n.targets);
    level = rest.take<T>(n.targets);
    spread = rest.take<T>(n.targets);
    deviation = rest.take<T>(n.targets);
    ring_gain = rest.take<T>(n.targets);
    output_gain = rest.take<T>(n.horizon * n.targets);
    maps = rest.take<T>(n.series * map());
  }
  int64_t map() const { return n.targets * n.horizon * n.skip; }  // numbers of a series' map
  Job layer(int64_t k, int64_t rows) const {
    static const statecast_outputs none{};  // backward needs nothing of it
    Job j{};
    j.out = &none;
    j.cell = n.cell;
    j.steps = 1;
    j.batch = j.rows = rows;
    j.inputs = k ? net.units[k - 1] : net.inputs;
    j.hidden = net.units[k];
    return j;
  }
  void* weights(const Job& j) { return rest.take<char>(choose<V, PackedBytes>(j)); }
  Matrix<V> dense(int64_t k) {
    const int64_t at = n.layers + k;
    return Matrix<V>(at ? net.units[at - 1] : net.inputs, net.units[at], rest);
  }
  Matrix<V> head() { return Matrix<V>(net.outputs, n.horizon * net.numbers, rest); }
  Matrix<V> state_ahead() { return Matrix<V>(net.outputs, n.mixed, rest); }
  Matrix<V> known() { return Matrix<V>(n.future, n.mixed, rest); }
  T* step_ahead() { return rest.take<T>(n.horizon * n.mixed); }
  Matrix<V> mix() { return Matrix<V>(n.mixed, net.numbers, rest); }
  Matrix<V> skip() { return Matrix<V>(n.skip, n.horizon, rest); }

  // The same, before the arrays of a member, of which each takes `each` bytes, see `bytes_of_member`.
  Arrays of_member(int64_t member, int64_t each) const {
    Arrays a = *this;
    a.rest.used += member * each;
    return a;
  }
  static int64_t bytes_of_member(const Net& net) {
    Arrays a(net, nullptr);
    const int64_t constants = a.rest.used;
    a.member(nullptr);
    return a.rest.used - constants;
  }
  // Packs a member's arrays, which are next in `from`; null: only passes over their room.
  void member(Source* from) {
    for (int64_t k = 0; k < n.layers; ++k) {
      Job j = layer(k, 1);
      void* to = weights(j);
      if (from) fill(j, *from, to);
    }
    const auto copy = [&](const Matrix<V>& m, bool biased) {
      if (from) fill(m, *from, biased);
    };
    for (int64_t k = 0; k < n.dense; ++k) copy(dense(k), true);
    copy(head(), true);
    if (n.future) {
      copy(state_ahead(), true);
      copy(known(), false);
      T* step = step_ahead();
      if (from) fill(step, *from, n.horizon * n.mixed);
      copy(mix(), false);
    }
    const T* w = from && n.skip ? from->template take<T>(n.targets * n.skip * n.horizon) : nullptr;
    for (int64_t d = 0; d < n.targets && n.skip; ++d) {
      const Matrix<V> m = skip();
      if (w) m.fill(w + d * n.skip * n.horizon, nullptr);
    }
  }
  void constants(Source& from) {
    fill(origin, from, n.targets);
    fill(unit, from, n.targets);
    fill(level, from, n.targets);
    fill(spread, from, n.targets);
    fill(deviation, from, n.targets);
    fill(ring_gain, from, n.targets);
    fill(output_gain, from, n.horizon * n.targets);
    if (n.series) fill(maps, from, n.series * map());
  }
  static void fill(Job& j, Source& from, void* to) {
    const int64_t columns = gates_of(j.cell) * j.hidden;
    const auto array = [&](int64_t count) {
      return statecast_array{from.template take<T>(count), count * int64_t{sizeof(T)}};
    };
    statecast_inputs in{};
    in.W = array(j.inputs * columns);
    in.U = array(j.hidden * columns);
    in.b = array(columns);
    in.bn = array(j.cell == STATECAST_GRU ? j.hidden : 0);
    j.in = &in;
    if (from.status == STATECAST_OK) choose<V, Pack>(j, to);
  }
  static void fill(const Matrix<V>& m, Source& from, bool biased) {
    const T* w = from.template take<T>(m.depth * m.n);
    const T* bias = biased ? from.template take<T>(m.n) : nullptr;
    if (from.status == STATECAST_OK) m.fill(w, bias);
  }
  template <class N>
  static void fill(N* to, Source& from, int64_t count) {
    const N* numbers = from.template take<N>(count);
    if (numbers && count > 0) std::memcpy(to, numbers, static_cast<size_t>(count) * sizeof(N));
  }
};

}  // namespace SC_NAMESPACE
}  // namespace statecast
