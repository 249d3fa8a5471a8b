// A layer forward: for each step, for each panel of units, for each tile of rows: products, gates, new state.
//
// Rows are independent, so a job takes its rows through all steps with no barrier. Where a job has too few rows to fill
// a tile, the input products of several steps are done together beforehand, and the step that depends on the one before
// it is left with the recurrent product alone.
#pragma once
#include "weights.h"

namespace statecast {
namespace SC_NAMESPACE {

// Rows of states, and the same rows as factors of a product: one array where products multiply the numbers themselves.
template <class V>
struct Rows {
  using T = typename V::Number;
  using K = Factors<V>;
  using E = typename K::Element;
  T* numbers = nullptr;
  E* factors = nullptr;
  int64_t width = 0, depth = 0;  // of a row, in numbers and in elements

  Rows() = default;
  Rows(Arena& arena, int64_t rows, int64_t width_) : width(width_), depth(K::elements(width_)) {
    numbers = arena.take<T>(rows * width);
    if constexpr (K::same)
      factors = numbers;
    else
      factors = arena.take<E>((rows + K::beyond) * depth);
  }
  SC_INLINE T* at(int64_t row) const { return numbers + row * width; }
  SC_INLINE const E* factor(int64_t row) const { return factors + row * depth; }
  // What `put` never writes is zero in the factors: a product reads it.
  void clear(int64_t rows) const {
    if constexpr (!K::same) std::memset(factors, 0, static_cast<size_t>((rows + K::beyond) * depth) * sizeof(E));
  }
  // A vector of a row from unit k on, of which `left` are units and not padding, which may be no number and is no factor.
  SC_INLINE void put(V x, int64_t row, int64_t k, int64_t left) const {
    x.store(at(row) + k);
    if constexpr (!K::same) K::store(x, left, factors + row * depth + k / K::numbers);
  }
  void copy(const Rows& from, int64_t row) const {
    std::memcpy(at(row), from.numbers, static_cast<size_t>(width) * sizeof(T));
    if constexpr (!K::same) std::memcpy(factors + row * depth, from.factors, static_cast<size_t>(depth) * sizeof(E));
  }
};

template <class V, class Cell>
struct Forward {
  using T = typename V::Number;
  using K = Factors<V>;
  using E = typename K::Element;
  static constexpr int C = Cell::columns, W = V::W;
  static constexpr bool rnn = IsRnn<Cell>::value;
  static constexpr bool two_products = Cell::columns == 3 && Cell::gates == 3;
  static constexpr bool has_c = Cell::gates == 4;
  static constexpr bool has_aux = !rnn;       // the state that backward needs beside the gates: c or h before the step
  static constexpr int64_t together = 48;     // steps whose input products are done at once
  // The products of a tile of M rows are the same code for rows alike and for others, where they are sums of one order
  // in any case: then it is compiled once.
  template <bool alike, int M>
  static constexpr bool in_one_order = alike && !(sums_in_order<V, M, Cell::Input::count> &&
                                                  sums_in_order<V, M, Cell::Recurrent::count>);
  static constexpr int64_t large = 24 << 20;  // bytes

  const Job& j;
  Layout<V, Cell> l;
  Packed<V, Cell> w;
  bool ahead;       // input products beforehand
  bool past_cache;  // the tape is too large to stay in a cache until then
  T *slots, *c, *c_reset;
  Rows<V> h, next, reset_state, h_reset;
  E* x_factors;

  Forward(const Job& job, Arena& arena, bool keeps) : j(job), l(job), w(l, arena) { take(arena, keeps); }
  Forward(const Job& job, Arena& arena, const Packed<V, Cell>& packed) : j(job), l(job), w(packed) {
    take(arena, false);
  }

  void take(Arena& arena, bool keeps) {
    ahead = j.rows < 4 && j.steps > 1;
    const uintptr_t places =
        keeps ? reinterpret_cast<uintptr_t>(j.out->gates.data) | reinterpret_cast<uintptr_t>(j.out->aux.data) : 1;
    past_cache = places % 64 == 0 && gates_elements(j) * int64_t{sizeof(T)} > large;
    const int64_t kept_here = keeps ? 0 : ahead ? together : two_products ? 1 : 0;
    slots = arena.take<T>(kept_here * slot());
    h = Rows<V>(arena, j.rows, l.padded);
    next = Rows<V>(arena, j.rows, l.padded);
    c = arena.take<T>(has_c ? j.rows * l.padded : 0);
    reset_state = Rows<V>(arena, two_products ? j.rows : 0, l.padded);
    h_reset = Rows<V>(arena, 1, l.padded);
    c_reset = arena.take<T>(has_c ? l.padded : 0);
    const int64_t rows = ahead ? (together + K::beyond) * j.rows : j.rows + K::beyond;
    x_factors = arena.take<E>(K::same ? 0 : rows * l.input_depth);
  }

  int64_t slot() const { return j.rows * l.panels * C * W; }  // elements of the gates of one step
  static int64_t gates_elements(const Job& job) { return job.steps * job.batch * Layout<V, Cell>(job).panels * C * W; }
  static int64_t aux_elements(const Job& job) {
    return has_aux ? job.steps * job.batch * Layout<V, Cell>(job).padded : 0;
  }

  // Rows of a state [rows, H] into padded rows; null is zero.
  void pad(const void* from, int64_t rows, const Rows<V>& to, int64_t first = 0) const {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t k = 0; k < l.padded; k += W) {
        const T* row = static_cast<const T*>(from) + r * l.hidden;
        to.put(from && k < l.hidden ? V::load_n(row + k, l.hidden - k) : V::set(0), first + r, k, l.hidden - k);
      }
  }
  void pad(const void* from, int64_t rows, T* to) const {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t k = 0; k < l.padded; k += W) {
        const T* row = static_cast<const T*>(from) + r * l.hidden;
        (from && k < l.hidden ? V::load_n(row + k, l.hidden - k) : V::set(0)).store(to + r * l.padded + k);
      }
  }
  void unpad(const T* from, void* to) const {
    for (int64_t r = 0; to && r < j.rows; ++r)
      for (int64_t k = 0; k < l.hidden; k += W)
        V::load(from + r * l.padded + k).store_n(static_cast<T*>(to) + (j.first + r) * l.hidden + k, l.hidden - k);
  }
  static const void* offset(const void* p, int64_t n) { return p ? static_cast<const T*>(p) + n : nullptr; }

  void run() {
    const statecast_inputs& in = *j.in;
    w.fill(l, in);
    h.clear(j.rows);
    next.clear(j.rows);
    h_reset.clear(1);
    if constexpr (two_products) reset_state.clear(j.rows);
    pad(offset(in.h.data, j.first * l.hidden), j.rows, h);
    pad(in.h_reset.data, 1, h_reset);
    if constexpr (has_c) {
      pad(offset(in.c.data, j.first * l.hidden), j.rows, c);
      pad(in.c_reset.data, 1, c_reset);
    }
    for (int64_t t = 0; t < j.steps; ++t) {
      if (ahead && t % together == 0) inputs_ahead(t);
      const int64_t row = t * j.batch + j.first;
      if (in.reset.data) reset(static_cast<const uint8_t*>(in.reset.data) + row);
      const T* x = static_cast<const T*>(in.x.data) + row * l.inputs;
      T* y = static_cast<T*>(j.out->y.data) + row * l.hidden;
      T* aux = has_aux && j.out->aux.data ? static_cast<T*>(j.out->aux.data) + row * l.padded : nullptr;
      step(x, slot_at(t), aux, y, in.mask.data ? static_cast<const uint8_t*>(in.mask.data) + row : nullptr);
    }
    unpad(h.numbers, j.out->h.data);
    if constexpr (has_c) unpad(c, j.out->c.data);
    if (past_cache) end_of_streams();
  }

  // Where step t's gates are put; null where nobody needs them.
  T* slot_at(int64_t t) const {
    if (j.out->gates.data)
      return static_cast<T*>(j.out->gates.data) + t * j.batch * l.panels * C * W + j.first * l.panels * C * W;
    if (ahead) return slots + t % together * slot();
    return two_products ? slots : nullptr;
  }

  void reset(const uint8_t* flags) {
    for (int64_t r = 0; r < j.rows; ++r) {
      if (!flags[r]) continue;
      h.copy(h_reset, r);
      if constexpr (has_c) std::memcpy(c + r * l.padded, c_reset, l.padded * sizeof(T));
    }
  }

  // The inputs of this job's rows at some steps as factors, from the first row of the first of them on.
  const E* as_factors(const T* x, int64_t steps) const {
    if constexpr (K::same) {
      return x;
    } else {
      for (int64_t k = 0; k < steps; ++k)
        for (int64_t r = 0; r < j.rows; ++r)
          K::row(x + (k * j.batch + r) * l.inputs, l.inputs, x_factors + (k * j.rows + r) * l.input_depth);
      return x_factors;
    }
  }
  int64_t factors_of_step() const { return (K::same ? j.batch : j.rows) * l.input_depth; }

  void inputs_ahead(int64_t t) {
    const int64_t steps = j.steps - t < together ? j.steps - t : together;
    const E* first = as_factors(static_cast<const T*>(j.in->x.data) + (t * j.batch + j.first) * l.inputs, steps);
    const int64_t between = j.out->gates.data ? j.batch * l.panels * C * W : slot();
    for (int64_t row = 0; row < j.rows; ++row)
      for (int64_t p = 0; p < l.panels; ++p)
        row_tiles<V>(steps, [&](int64_t k, auto m) {
          constexpr int M = decltype(m)::value;
          V z[M][C];
          start(z, m, p);
          into_tiles(z);
          input<false>(z, first + k * factors_of_step() + row * l.input_depth, factors_of_step(), p);
          out_of_tiles(z);
          T* to = slot_at(t) + k * between + (p * j.rows + row) * C * W;
          SC_ROW_BY_ROW (r, m)
            for (int v = 0; v < C; ++v) z[r][v].store(to + r * between + v * W);
        });
  }

  template <int M, class H>
  SC_INLINE void start(V (&z)[M][C], H m, int64_t p) const {
    SC_EACH (v, C) {
      const V b = V::load(w.bias + (p * C + v) * W);
      SC_ROWS (r, m) z[r][v] = b;
    }
  }
  template <bool alike, int M>
  SC_INLINE void input(V (&z)[M][C], const E* x, int64_t row, int64_t p) const {
    constexpr int n = Cell::Input::count * W;
    multiply<typename Cell::Input, Dense<Cell::Input::count>, alike>(z, x, row, 1, l.input_depth,
                                                                     w.input + p * l.input_depth * n, n);
  }

  // What a step reads and writes, for all of its tiles; null where nobody needs it.
  struct Step {
    const E* inputs;
    T *gates, *aux, *y;
    const uint8_t* mask;
  };

  // One step of all rows. Where `alike`, the bits of a row do not depend on how many rows there are.
  template <bool alike = false>
  void step(const T* x, T* gates, T* aux, T* y, const uint8_t* mask) {
    const Step s{ahead ? nullptr : as_factors(x, 1), gates, aux, y, mask};
    for (int64_t p = 0; p < l.panels; ++p)
      row_tiles<V>(j.rows, [&](int64_t row, auto m) { tile<in_one_order<alike, decltype(m)::value>>(s, p, row, m); });
    if constexpr (two_products) candidates<alike>(s);
    const Rows<V> swapped = h;
    h = next;
    next = swapped;
  }

  // A tile is a function of its own: constants of the gates, kept in registers from one tile to the next, would push
  // the product's sums out to memory.
  template <bool alike, class M_>
  SC_APART void tile(const Step& s, int64_t p, int64_t row, M_ m) {
    V z[M_::value][C];
    T* gates = s.gates;
    if (gates && !past_cache) prefetch(gates + (p * j.rows + row) * C * W, m.count() * C * W);
    if (ahead)
      SC_ROWS (r, m)
        SC_EACH (v, C) z[r][v] = V::load(gates + (p * j.rows + row + r) * C * W + v * W);
    else
      start(z, m, p);
    into_tiles(z);
    if (!ahead) input<alike>(z, s.inputs + row * l.input_depth, l.input_depth, p);
    constexpr int n = Cell::Recurrent::count * W;
    multiply<typename Cell::Recurrent, Dense<Cell::Recurrent::count>, alike>(
        z, h.factor(row), h.depth, 1, l.hidden_depth, w.recurrent + p * l.hidden_depth * n, n);
    out_of_tiles(z);
    SC_ROW_BY_ROW (r, m) {
      if constexpr (two_products)
        open(z[r], p, row + r, gates);
      else
        close(z[r], p, row + r, s);
    }
  }

  SC_INLINE void open(V* z, int64_t p, int64_t row, T* gates) {
    V reset_h;
    Cell::open(z, V::load(h.at(row) + p * W), reset_h);
    reset_state.put(reset_h, row, p * W, l.hidden - p * W);
    SC_EACH (v, C) z[v].store(gates + (p * j.rows + row) * C * W + v * W);
  }

  template <bool alike>
  void candidates(const Step& s) {
    for (int64_t p = 0; p < l.panels; ++p)
      row_tiles<V>(j.rows, [&](int64_t row, auto m) {
        constexpr int M = decltype(m)::value;
        candidate<alike && !sums_in_order<V, M, 1>>(s, p, row, m);
      });
  }
  template <bool alike, class M_>
  SC_APART void candidate(const Step& s, int64_t p, int64_t row, M_ m) {
    V z[M_::value][C];
    SC_ROWS (r, m)
      SC_EACH (v, C) z[r][v] = V::load(s.gates + (p * j.rows + row + r) * C * W + v * W);
    into_tiles(z);
    multiply<typename Cell::Candidate, Dense<1>, alike>(z, reset_state.factor(row), reset_state.depth, 1,
                                                        l.hidden_depth, w.candidate + p * l.hidden_depth * W, W);
    out_of_tiles(z);
    SC_ROW_BY_ROW (r, m) close(z[r], p, row + r, s);
  }

  // From a row's pre-activations to its new state.
  SC_INLINE void close(V* z, int64_t p, int64_t row, const Step& s) {
    const bool present = !s.mask || s.mask[row];
    if constexpr (rnn) {
      SC_EACH (v, C) {
        V none = V::set(0);
        one(z + v, none, l.unit(p, v), row, s.y, present);
      }
    } else {
      const int64_t at = row * l.padded + p * W;
      V before = V::load((has_c ? c : h.numbers) + at);
      if (s.aux) keep(before, s.aux + at);
      V state = before;
      one(z, state, p * W, row, s.y, present);
      if constexpr (has_c) (present ? state : before).store(c + at);
    }
    if (s.gates)
      SC_EACH (v, C) keep(z[v], s.gates + (p * j.rows + row) * C * W + v * W);
  }
  SC_INLINE void keep(V value, T* to) const {
    if (past_cache)
      value.stream(to);
    else
      value.store(to);
  }
  SC_INLINE void one(V* z, V& state, int64_t unit, int64_t row, T* y, bool present) {
    const V before = V::load(h.at(row) + unit);
    V after = before;
    if constexpr (rnn)
      Cell::forward(z, after, j.cell == STATECAST_RNN_RELU);
    else
      Cell::forward(z, after, state);
    if (!present) after = before;
    next.put(after, row, unit, l.hidden - unit);
    if (y && unit < l.hidden) after.store_n(y + row * l.hidden + unit, l.hidden - unit);
  }
};

// Some rows of a table of states, and where in a row a layer's h and c begin.
template <class T>
struct StateRows {
  T* const* rows;
  int64_t h_at, c_at;
  T* at(int64_t r) const { return rows[r]; }
};

// One step for rows of a table of states: each row's h and c are gathered, stepped, and put back.
template <class V, class Cell>
struct StepRows {
  using F = Forward<V, Cell>;
  using T = typename V::Number;

  static int64_t bytes(const Job& j) {
    Arena weights(nullptr), arena(nullptr);
    F f(j, arena, Packed<V, Cell>(Layout<V, Cell>(j), weights));
    return arena.used;
  }
  static void run(const Job& j, const StateRows<T>& rows, const void* weights, const T* x, T* y) {
    const Layout<V, Cell> l(j);
    Arena block(weights), arena(j.scratch);
    F f(j, arena, Packed<V, Cell>(l, block));
    for (int64_t r = 0; r < j.rows; ++r) {
      f.pad(rows.at(r) + rows.h_at, 1, f.h, r);
      if constexpr (F::has_c) f.pad(rows.at(r) + rows.c_at, 1, f.c + r * l.padded);
    }
    f.template step<true>(x, f.slot_at(0), nullptr, y, nullptr);
    for (int64_t r = 0; r < j.rows; ++r)
      for (int64_t k = 0; k < l.hidden; k += V::W) {
        V::load(f.h.at(r) + k).store_n(rows.at(r) + rows.h_at + k, l.hidden - k);
        if constexpr (F::has_c) V::load(f.c + r * l.padded + k).store_n(rows.at(r) + rows.c_at + k, l.hidden - k);
      }
  }
};

}  // namespace SC_NAMESPACE
}  // namespace statecast
