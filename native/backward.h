// A layer backward: from the last step to the first, gradients of the gates, then of the state before.
//
// The gates' gradients of a block of steps are kept, in panels: the weights' gradients are one product over the whole
// block, and so is the input's gradient where rows are few. A job sums the weights' gradients for its rows alone;
// `finish` adds the jobs' sums in order, so that the bits do not depend on which thread was first.
#pragma once
#include "forward.h"

namespace statecast {
namespace SC_NAMESPACE {

// Rows of the weights' gradients that share their columns of gates: a bias, the input, and a state.
enum class Side { none, state, reset_state };
template <class Cols, bool has_bias, bool has_input, Side side_>
struct Group {
  using Columns = Cols;
  static constexpr bool bias = has_bias, input = has_input;
  static constexpr Side side = side_;
  template <class L>
  static int64_t rows(const L& l) {
    return bias + (input ? l.inputs : 0) + (side == Side::none ? 0 : l.hidden);
  }
};

template <class V, class Cell>
struct Backward {
  using F = Forward<V, Cell>;
  using T = typename V::Number;
  using K = Factors<V>;
  using E = typename K::Element;
  static constexpr int C = Cell::columns, W = V::W;
  static constexpr bool gru = Cell::gates == 3 && C == 4;

  const Job& j;
  Layout<V, Cell> l;
  int64_t block;  // steps
  bool far;       // what forward left is too large to have stayed in a near cache
  E *recurrent, *candidate, *input, *turned, *strips, *line;
  T *dh, *dc, *d_reset_state, *row_of_left;
  Panels<E> dz;

  template <class Function>
  static void groups(Function&& f) {
    if constexpr (F::two_products) {
      f(Group<Dense<3>, true, true, Side::none>{});
      f(Group<Dense<2>, false, false, Side::state>{});
      f(Group<Columns<1, 2>, false, false, Side::reset_state>{});
    } else if constexpr (gru) {
      f(Group<Dense<3>, true, true, Side::none>{});
      f(Group<Columns<3, 3>, true, false, Side::state>{});
    } else {
      f(Group<Dense<C>, true, true, Side::state>{});
    }
  }
  Backward(const Job& job, Arena& arena) : j(job), l(job) {
    constexpr int64_t together = 256 * K::numbers;
    block = j.rows > 0 ? (together + j.rows - 1) / j.rows : 1;  // an empty batch has gradients too: zeros
    if (block > j.steps) block = j.steps;
    int64_t widest = 0;
    groups([&](auto g) { widest = g.rows(l) > widest ? g.rows(l) : widest; });
    constexpr int64_t near = 1 << 20;  // bytes
    far = j.steps * j.rows * l.panels * C * W * int64_t{sizeof(T)} > near;
    const int64_t depth = K::elements(block * j.rows), gates = K::elements(C * W);
    recurrent = arena.take<E>(l.template transposed<typename Cell::Recurrent>(l.hidden));
    candidate = arena.take<E>(F::two_products ? l.template transposed<Columns<1, 2>>(l.hidden) : 0);
    input = arena.take<E>(j.gradients->dx.data ? l.template transposed<typename Cell::Input>(l.inputs) : 0);
    dh = arena.take<T>(j.rows * l.padded);
    dc = arena.take<T>(F::has_c ? j.rows * l.padded : 0);
    d_reset_state = arena.take<T>(F::two_products ? j.rows * l.padded : 0);
    dz = {arena.take<E>((block * j.rows * l.panels + K::beyond) * gates), block * j.rows, gates, l.panels};
    turned = arena.take<E>(K::same ? 0 : depth * C * W);
    strips = arena.take<E>((widest + K::beyond) * depth);
    row_of_left = arena.take<T>(K::numbers * (1 + l.inputs + l.padded));
    line = arena.take<E>(K::same ? 0 : (K::beyond + 1) * (widest + K::beyond + W));
  }

  // The sums: each group's, then the gradients of the rows that resets put in.
  struct Sums {
    T *group[3], *h_reset, *c_reset;
    int64_t bytes;
    Sums(const Layout<V, Cell>& l, void* memory) {
      Arena arena(memory);
      int k = 0;
      groups([&](auto g) { group[k++] = arena.take<T>(l.panels * g.rows(l) * decltype(g)::Columns::count * W); });
      h_reset = arena.take<T>(l.padded);
      c_reset = arena.take<T>(l.padded);
      bytes = arena.used;
    }
  };

  void run() {
    const statecast_gradients& out = *j.gradients;
    const Sums sums(l, j.sums);
    std::memset(j.sums, 0, static_cast<size_t>(sums.bytes));
    l.template pack_transposed<typename Cell::Recurrent>(static_cast<const T*>(j.in->U.data), l.hidden, recurrent);
    if constexpr (F::two_products)
      l.template pack_transposed<Columns<1, 2>>(static_cast<const T*>(j.in->U.data), l.hidden, candidate);
    if (out.dx.data)
      l.template pack_transposed<typename Cell::Input>(static_cast<const T*>(j.in->W.data), l.inputs, input);
    if constexpr (!K::same)  // products read the padding of a row, and rows beyond the last
      std::memset(dz.data, 0, static_cast<size_t>((dz.rows * dz.count + K::beyond) * dz.width) * sizeof(E));
    pad(nullptr, d_reset_state, F::two_products);  // its padding stays zero
    pad(j.tape->dh.data, dh);
    if constexpr (F::has_c) pad(j.tape->dc.data, dc);
    for (int64_t end = j.steps; end > 0; end -= block) {
      const int64_t begin = end > block ? end - block : 0;
      for (int64_t t = end - 1; t >= begin; --t) step(t, (t - begin) * j.rows, sums);
      int k = 0;
      groups([&](auto g) { weights(g, begin, end, sums.group[k++]); });
      if (out.dx.data) inputs(begin, end);
    }
    unpad(dh, out.dh.data);
    if constexpr (F::has_c) unpad(dc, out.dc.data);
  }

  void pad(const void* from, T* to, bool exists = true) const {
    for (int64_t r = 0; exists && r < j.rows; ++r)
      for (int64_t k = 0; k < l.padded; k += W) {
        const T* row = static_cast<const T*>(from) + (j.first + r) * l.hidden;
        (from && k < l.hidden ? V::load_n(row + k, l.hidden - k) : V::set(0)).store(to + r * l.padded + k);
      }
  }
  void unpad(const T* from, void* to) const {
    for (int64_t r = 0; to && r < j.rows; ++r)
      for (int64_t k = 0; k < l.hidden; k += W)
        V::load(from + r * l.padded + k).store_n(static_cast<T*>(to) + (j.first + r) * l.hidden + k, l.hidden - k);
  }

  int64_t at(int64_t t) const { return t * j.batch + j.first; }  // first of this job's rows at step t
  static bool flag(const statecast_array& flags, int64_t k, bool otherwise) {
    return flags.data ? static_cast<const uint8_t*>(flags.data)[k] != 0 : otherwise;
  }
  bool is_present(int64_t t, int64_t row) const { return flag(j.in->mask, at(t) + row, true); }
  bool is_reset(int64_t t, int64_t row) const { return flag(j.in->reset, at(t) + row, false); }
  const T* gates(int64_t t) const {
    return static_cast<const T*>(j.tape->gates.data) + (t * j.batch + j.first) * l.panels * C * W;
  }
  const T* aux(int64_t t, int64_t row) const {
    return static_cast<const T*>(j.tape->aux.data) + (at(t) + row) * l.padded;
  }

  // One step: dz of row 0 stands at `first` of the block.
  void step(int64_t t, int64_t first, const Sums& sums) {
    const T* from = gates(t);
    for (int64_t p = 0; p < l.panels; ++p)
      for (int64_t row = 0; row < j.rows; ++row)
        unit(t, row, p, from + (p * j.rows + row) * C * W, dz.at(p, first + row));
    if constexpr (F::two_products) {
      product<V>(dz, first, j.rows, l.template runs<Columns<1, 2>>(), candidate, l.hidden, d_reset_state, l.padded,
                 false);
      close(t, first);
    }
    Ahead before;
    if (far && t > 0) before = ahead(t - 1);
    product<V>(dz, first, j.rows, l.template runs<typename Cell::Recurrent>(), recurrent, l.hidden, dh, l.padded, true,
               far && t > 0 ? &before : nullptr);
    for (int64_t row = 0; row < j.rows; ++row) {
      if (!is_reset(t, row)) continue;
      move(dh + row * l.padded, sums.h_reset);
      if constexpr (F::has_c) move(dc + row * l.padded, sums.c_reset);
    }
  }
  // What a step reads of this job's rows.
  Ahead ahead(int64_t t) const {
    Ahead a;
    const auto add = [&](const T* from, int64_t width) { a.add(from, j.rows * width * int64_t{sizeof(T)}); };
    add(gates(t), l.panels * C * W);
    if (F::has_aux) add(aux(t, 0), l.padded);
    if (j.tape->dy.data) add(static_cast<const T*>(j.tape->dy.data) + at(t) * l.hidden, l.hidden);
    return a;
  }
  void move(T* row, T* sum) const {
    for (int64_t k = 0; k < l.padded; k += W) {
      (V::load(sum + k) + V::load(row + k)).store(sum + k);
      V::set(0).store(row + k);
    }
  }

  // A vector of gradients, to the place that vector v of a panel's row has.
  static SC_INLINE void put(V x, int v, E* row) {
    if constexpr (K::same)
      x.store(row + v * W);
    else
      K::store(x, W, row + v * W / K::numbers);
  }

  SC_INLINE void unit(int64_t t, int64_t row, int64_t p, const T* from, E* to) const {
    V gates_of_step[C], d[C];
    const bool skip = !is_present(t, row);
    SC_EACH (v, C) {
      gates_of_step[v] = V::load(from + v * W);
      d[v] = V::set(0);
    }
    constexpr int cells = F::rnn ? C : 1;
    SC_EACH (v, cells) {
      const int64_t k = l.unit(p, v), place = row * l.padded + k;
      V g = V::load(dh + place), gc = V::set(0);
      if (j.tape->dy.data && k < l.hidden)
        g = g + V::load_n(static_cast<const T*>(j.tape->dy.data) + (at(t) + row) * l.hidden + k, l.hidden - k);
      if (!skip) {
        V before = V::set(0);
        if constexpr (F::has_aux) before = V::load(aux(t, row) + k);
        if constexpr (F::has_c) gc = V::load(dc + place);
        if constexpr (F::rnn)
          Cell::backward(gates_of_step[v], g, d[v], j.cell == STATECAST_RNN_RELU);
        else
          Cell::backward(gates_of_step + v, before, g, gc, d + v);
        if constexpr (F::has_c) gc.store(dc + place);
      }
      g.store(dh + place);
    }
    SC_EACH (v, C) put(d[v], v, to);
  }

  void close(int64_t t, int64_t first) {
    if constexpr (F::two_products)
      for (int64_t p = 0; p < l.panels; ++p)
        for (int64_t row = 0; row < j.rows; ++row) {
          if (!is_present(t, row)) continue;
          const int64_t place = row * l.padded + p * W;
          V g = V::load(dh + place), d;
          Cell::close(V::load(gates(t) + (p * j.rows + row) * C * W), V::load(aux(t, row) + p * W),
                      V::load(d_reset_state + place), g, d);
          g.store(dh + place);
          put(d, 0, dz.at(p, first + row));
        }
  }

  template <class G>
  void weights(G, int64_t begin, int64_t end, T* sums) {
    const int64_t rows = (end - begin) * j.rows, depth = K::elements(rows), m = G::rows(l);
    int64_t t = begin, row = 0;
    for (int64_t k = 0; k < depth; ++k) {
      T* at = row_of_left;
      for (int part = 0; part < K::numbers; ++part, at += m) {
        // A masked step's input may be anything; its gradients are zero, and zero times anything may be no number.
        if (t < end && is_present(t, row))
          describe<G>(t, row, at);
        else
          std::memset(at, 0, static_cast<size_t>(m) * sizeof(T));
        if (++row == j.rows) {
          row = 0;
          ++t;
        }
      }
      put_in_strips<V>(as_elements(m, k), m, k, depth, strips);
    }
    for (int64_t p = 0; p < dz.count; ++p)
      outer<V, typename G::Columns>(strips, m, depth, along_rows(p, rows), K::same ? dz.width : C * W,
                                    sums + p * m * G::Columns::count * W);
  }
  // The row that was described, or the pair of rows, in elements.
  const E* as_elements(int64_t m, int64_t k) const {
    if constexpr (K::same) {
      return row_of_left;
    } else {
      E* to = line + k % (K::beyond + 1) * ((m + K::beyond) / (K::beyond + 1) * (K::beyond + 1));
      for (int64_t c = 0; c < m; c += W)
        K::at(0, [&](int64_t r) { return V::load_n(row_of_left + r * m + c, m - c); }).store_n(to + c, m - c);
      return line;
    }
  }
  // A panel's gradients of a block as factors along its rows.
  const E* along_rows(int64_t p, int64_t rows) const {
    if constexpr (K::same) {
      return dz.at(p, 0);
    } else {
      K::turn(dz.at(p, 0), dz.width, rows, C * W, turned);
      return turned;
    }
  }

  template <class G>
  void describe(int64_t t, int64_t row, T* to) const {
    if constexpr (G::bias) *to++ = 1;
    if constexpr (G::input) {
      copy(static_cast<const T*>(j.in->x.data) + (at(t) + row) * l.inputs, l.inputs, to);
      to += l.inputs;
    }
    if constexpr (G::side == Side::state) copy(before(t, row), l.hidden, to);
    if constexpr (G::side == Side::reset_state)
      for (int64_t p = 0; p < l.panels; ++p)
        (V::load(gates(t) + (p * j.rows + row) * C * W) * V::load(aux(t, row) + p * W)).store(to + p * W);
  }
  // The output before a step; null where it is zero.
  const T* before(int64_t t, int64_t row) const {
    if (is_reset(t, row)) return static_cast<const T*>(j.in->h_reset.data);
    if (t > 0) return static_cast<const T*>(j.tape->y.data) + (at(t - 1) + row) * l.hidden;
    return j.in->h.data ? static_cast<const T*>(j.in->h.data) + (j.first + row) * l.hidden : nullptr;
  }
  static SC_INLINE void copy(const T* from, int64_t n, T* to) {
    for (int64_t k = 0; k < n; k += W) (from ? V::load_n(from + k, n - k) : V::set(0)).store_n(to + k, n - k);
  }

  void inputs(int64_t begin, int64_t end) {
    T* dx = static_cast<T*>(j.gradients->dx.data);
    // Rows of several steps follow each other where this job has the whole batch.
    const int64_t steps = j.rows == j.batch ? end - begin : 1;
    for (int64_t t = begin; t < end; t += steps)
      product<V>(dz, (t - begin) * j.rows, steps * j.rows, l.template runs<typename Cell::Input>(), input, l.inputs,
                 dx + at(t) * l.inputs, l.inputs, false);
  }

  static void finish(const Job* jobs, int64_t count) {
    const Layout<V, Cell> l(jobs[0]);
    const statecast_gradients& out = *jobs[0].gradients;
    int k = 0;
    groups([&](auto g) { unpack(g, l, jobs, count, k++); });
    const auto total = [&](bool c, void* to) {
      for (int64_t u = 0; to && u < l.hidden; u += W) {
        V sum = V::set(0);
        for (int64_t i = 0; i < count; ++i) {
          const Sums s(l, jobs[i].sums);
          sum = sum + V::load((c ? s.c_reset : s.h_reset) + u);
        }
        sum.store_n(static_cast<T*>(to) + u, l.hidden - u);
      }
    };
    total(false, out.dh_reset.data);
    if constexpr (F::has_c) total(true, out.dc_reset.data);
  }

  template <class G>
  static void unpack(G, const Layout<V, Cell>& l, const Job* jobs, int64_t count, int index) {
    constexpr int N = G::Columns::count;
    const int64_t m = G::rows(l);
    const statecast_gradients& out = *jobs[0].gradients;
    const T* first = Sums(l, jobs[0].sums).group[index];
    for (int64_t p = 0; p < l.panels; ++p)
      for (int64_t r = 0; r < m; ++r) {
        T* to = destination<G>(l, out, r);
        for (int i = 0; i < N; ++i) {
          const int v = G::Columns::at(i);
          const int64_t left = l.hidden - l.unit(p, v), from = ((p * m + r) * N + i) * W;
          if (left <= 0) continue;
          V sum = V::load(first + from);
          for (int64_t k = 1; k < count; ++k) sum = sum + V::load(Sums(l, jobs[k].sums).group[index] + from);
          if (G::bias && !G::input && r == 0) {  // n's recurrent bias: the other gates' stand in b already
            if (i == N - 1) sum.store_n(static_cast<T*>(out.dbn.data) + l.unit(p, v), left);
          } else {
            sum.store_n(to + l.gate(v) + l.unit(p, v), left);
          }
        }
      }
  }
  template <class G>
  static T* destination(const Layout<V, Cell>& l, const statecast_gradients& out, int64_t r) {
    if (G::bias && r-- == 0) return static_cast<T*>(G::input ? out.db.data : nullptr);
    if (G::input && r < l.inputs) return static_cast<T*>(out.dW.data) + r * l.row();
    return static_cast<T*>(out.dU.data) + (r - (G::input ? l.inputs : 0)) * l.row();
  }
};

}  // namespace SC_NAMESPACE
}  // namespace statecast
