// A whole network for one time step over rows of a table of states: front, stack, head and skip in one pass.
//
// Rows go through in blocks that stay in the nearest caches. Everything that a step reads but the states lies in one
// block of memory that `pack` made; `Arrays` names its pieces, in the order in which a step needs them. A row's bits
// depend on that row alone, not on how many others are observed with it, nor on the number of threads.
#pragma once
#include "choose.h"
#include "dense.h"
#include "follow.h"
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

template <class V>
struct Arrays {
  using T = typename V::Number;
  const Net& net;
  const statecast_network& n;
  double *origin, *unit;
  T *level, *spread, *deviation, *ring_gain, *output_gain;
  Arena rest;  // layers, dense layers, head, what is known ahead, skip
  Arrays(const Net& net_, void* block) : net(net_), n(*net_.sizes), rest(block) {
    origin = rest.take<double>(n.targets);
    unit = rest.take<double>(n.targets);
    level = rest.take<T>(n.targets);
    spread = rest.take<T>(n.targets);
    deviation = rest.take<T>(n.targets);
    ring_gain = rest.take<T>(n.targets);
    output_gain = rest.take<T>(n.horizon * n.targets);
  }
  Job layer(int64_t k, int64_t rows) const {
    static const statecast_outputs nothing{};  // is kept
    Job j{};
    j.out = &nothing;
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

  // The same, before the arrays of a member; `each` is what `bytes_of_member` tells.
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
  // Packs a member's arrays, which are next in `from`, and returns what follows them; null: only passes over their room.
  const void* const* member(const void* const* from) {
    for (int64_t k = 0; k < n.layers; ++k) {
      Job j = layer(k, 1);
      void* to = weights(j);
      if (!from) continue;
      statecast_inputs in{};
      in.W = *from++;
      in.U = *from++;
      in.b = *from++;
      in.bn = *from++;
      j.in = &in;
      choose<V, Pack>(j, to);
    }
    const auto fill = [&](const Matrix<V>& m, bool biased) {
      if (!from) return;
      const void* w = *from++;
      m.fill(w, biased ? *from++ : nullptr);
    };
    for (int64_t k = 0; k < n.dense; ++k) fill(dense(k), true);
    fill(head(), true);
    if (n.future) {
      fill(state_ahead(), true);
      fill(known(), false);
      T* step = step_ahead();
      if (from) std::memcpy(step, *from++, static_cast<size_t>(n.horizon * n.mixed) * sizeof(T));
      fill(mix(), false);
    }
    for (int64_t d = 0; d < n.targets && n.skip; ++d) {
      const Matrix<V> m = skip();
      if (from) m.fill(static_cast<const T*>(*from) + d * n.skip * n.horizon, nullptr);
    }
    return from && n.skip ? from + 1 : from;
  }
};

template <class V>
struct Observe {
  using T = typename V::Number;
  const Net& net;
  const statecast_network& n;
  const statecast_observations& o;
  const statecast_following* following;
  Arrays<V> arrays;
  Arena arena;
  int64_t rows, each, member_bytes;  // rows of a block, numbers of a forecast
  T *x, *other, *third, *lasts, *levels, *scales, *linear, *mixed, *own;
  T **here, **next;  // the rows of this block, and of the one after it
  char* scratch;

  Observe(const Net& net_, const statecast_observations& o_, const statecast_following* following_, int64_t rows_,
          void* memory)
      : net(net_),
        n(*net_.sizes),
        o(o_),
        following(following_),
        arrays(net_, net_.arrays),
        arena(memory),
        rows(rows_) {
    each = n.horizon * net.numbers;
    member_bytes = n.members > 1 ? Arrays<V>::bytes_of_member(net) : 0;
    x = arena.take<T>(rows * net.widest);
    other = arena.take<T>(rows * net.widest);
    third = n.members > 1 ? arena.take<T>(rows * net.widest) : x;  // where x is read again by the next member
    own = arena.take<T>(n.members > 1 ? rows * each : 0);
    lasts = arena.take<T>(rows * net.ring);  // of one target at a time
    levels = arena.take<T>(rows * n.targets);
    scales = arena.take<T>(rows * n.targets);
    linear = arena.take<T>(n.skip ? rows * n.horizon : 0);
    mixed = arena.take<T>(n.future ? n.horizon * n.mixed + n.mixed * rows : 0);
    here = arena.take<T*>(rows);
    next = arena.take<T*>(rows);
    int64_t most = 0;
    for (int64_t k = 0; k < n.layers; ++k) most = larger(most, choose<V, StepBytes>(arrays.layer(k, rows)));
    scratch = arena.take<char>(most);
  }

  // A row of the block that is worked on.
  T* row(int64_t r) const { return here[r]; }
  void locate(int64_t first, int64_t some, T** to) const {
    for (int64_t r = 0; r < some; ++r) to[r] = row_of<T>(o, first + r);
  }
  Target<T> target(T* row, int64_t d) const {
    const int64_t* at = net.columns;
    return {row + at[0] + d, row + at[1] + d, row + at[2] + d, row + at[3] + d, row + at[4] + d, row + at[5] + d,
            n.targets};
  }

  void run(int64_t first, int64_t count) {
    const auto some_of = [&](int64_t done) { return count - done < rows ? count - done : rows; };
    locate(first, some_of(0), here);
    for (int64_t done = 0; done < count; done += rows) {
      const int64_t some = some_of(done), after = done + some < count ? some_of(done + some) : 0;
      // Rows of a large table lie anywhere in memory: the next block's are fetched while this one is worked on.
      locate(first + done + some, after, next);
      for (int64_t r = 0; r < after; ++r) soon(next[r], o.stride);
      if (o.values)
        for (int64_t r = 0; r < some; ++r) front(first + done + r, row(r), x + r * net.inputs);
      for (int64_t m = 0; m < n.members; ++m) member(m, first + done, some);
      if (following) follow_rows(*following, o, here, first + done, some);
      T** free = here;
      here = next;
      next = free;
    }
  }

  // A member's step; forecasts are the mean of all members'.
  void member(int64_t m, int64_t first, int64_t some) {
    Arrays<V> a = arrays.of_member(m, member_bytes);
    T* out = stack(a, m, some);
    if (!o.forecast) return;
    T* all = static_cast<T*>(o.forecast) + first * each;
    emit(a, first, some, out, m ? own : all);
    if (m == 0) return;
    const T share = m == n.members - 1 ? T(1) / static_cast<T>(n.members) : T(1);
    for (int64_t i = 0; i < some * each; ++i) all[i] = (all[i] + own[i]) * share;
  }

  // Moves a row's front, and writes the stack's input.
  void front(int64_t at, T* state, T* to) const {
    const int64_t moved = (net.ring - 1) * n.targets;
    for (int k = 4; k < 6; ++k) {  // the ring and its mask
      T* part = state + net.columns[k];
      std::memmove(part, part + n.targets, static_cast<size_t>(moved) * sizeof(T));
    }
    T* more = to + n.lags * n.targets;  // of the features after the lags
    const int64_t marks = n.missing ? 2 * n.targets : 0;
    for (int64_t d = 0; d < n.targets; ++d) {
      const double value = o.values[at * n.targets + d];
      const bool there = value == value;
      const Target<T> t = target(state, d);
      t.update(there ? static_cast<T>((value - arrays.origin[d]) / arrays.unit[d]) : T(0), there, n.normalize,
               static_cast<T>(n.decay), net.ring);
      T level, scale;
      t.look(n.normalize, net.ring, level, scale);
      lags(t, level, scale, d, to);
      if (n.missing) {
        more[d] = *t.since == 0;
        more[n.targets + d] = log_plus_1(*t.since);
      }
      if (n.level_input) {
        more[marks + d] = (level - arrays.level[d]) / arrays.deviation[d];
        more[marks + n.targets + d] = logarithm(scale / larger(arrays.spread[d], T(1e-8)));
      }
    }
    const T* told = static_cast<const T*>(o.covariates) + at * n.covariates;
    if (n.covariates)
      std::memcpy(more + marks + (n.level_input ? 2 * n.targets : 0), told,
                  static_cast<size_t>(n.covariates) * sizeof(T));
    if (n.statics)
      std::memcpy(state + net.columns[7 + 2 * n.layers], told + n.covariates - n.statics,
                  static_cast<size_t>(n.statics) * sizeof(T));
  }
  void lags(const Target<T>& t, T level, T scale, int64_t d, T* to) const {
    const V top = V::set(20), bottom = V::set(-20);
    T* line = n.targets == 1 ? to : lasts;
    t.template relative<V>(net.ring - n.lags, net.ring, level, scale, arrays.ring_gain[d], line);
    for (int64_t k = 0; k < n.lags; k += V::W)
      clamp(bottom, top, V::load_n(line + k, n.lags - k)).store_n(line + k, n.lags - k);
    for (int64_t k = 0; k < n.lags && n.targets > 1; ++k) to[k * n.targets + d] = line[k];
  }

  // Runs a member's layers where there are values, and returns the stack's output of every row. What members remember
  // lies side by side, part by part.
  T* stack(Arrays<V>& a, int64_t m, int64_t some) {
    T *in = x, *out = other;
    for (int64_t k = 0; k < n.layers + n.dense; ++k) {
      const int64_t width = net.units[k], before = k ? net.units[k - 1] : net.inputs;
      if (k < n.layers) {
        Job j = a.layer(k, some);
        j.scratch = scratch;
        const void* weights = a.weights(j);
        const StateRows<T> s{here, net.columns[6 + 2 * k] + m * width, net.columns[7 + 2 * k] + m * width};
        if (o.values) choose<V, StepRows>(j, s, weights, const_cast<const T*>(in), out);
      } else {
        const Matrix<V> dense = a.dense(k - n.layers);
        if (!o.values) continue;
        dense.apply(in, some, out);
        for (int64_t i = 0; i < some * width; i += V::W)
          activate(V::load_n(out + i, some * width - i), n.activation).store_n(out + i, some * width - i);
      }
      if (!o.values) continue;
      if (n.residual && width == before)
        for (int64_t i = 0; i < some * width; i += V::W)
          (V::load_n(out + i, some * width - i) + V::load_n(in + i, some * width - i))
              .store_n(out + i, some * width - i);
      T* free = in == x ? third : in;
      in = out;
      out = free;
    }
    const size_t bytes = static_cast<size_t>(net.outputs) * sizeof(T);
    for (int64_t r = 0; r < some; ++r) {
      T* kept = row(r) + net.columns[6 + 2 * n.layers] + m * net.outputs;
      std::memcpy(o.values ? kept : in + r * net.outputs, o.values ? in + r * net.outputs : kept, bytes);
    }
    return in;
  }

  // forecast [H, D, O] of each row = level + scale gain (head + skip).
  void emit(Arrays<V>& a, int64_t first, int64_t some, const T* out, T* to) const {
    const int64_t width = net.numbers / n.targets;
    a.head().apply(out, some, to);
    if (n.future) ahead(a, first, some, out, to);
    const bool plain = net.numbers == 1;  // the skip's product goes straight to the head's
    for (int64_t i = 0; n.levels > 0 && i < some * each; i += width) order(to + i);
    for (int64_t d = 0; d < n.targets; ++d) {
      for (int64_t r = 0; r < some; ++r) {
        const Target<T> t = target(row(r), d);
        T &level = levels[r * n.targets + d], &scale = scales[r * n.targets + d];
        t.look(n.normalize, net.ring, level, scale);
        static_cast<T*>(o.scale)[(first + r) * n.targets + d] = scale;
        if (n.skip)
          t.template relative<V>(net.ring - n.skip, net.ring, level, scale, arrays.ring_gain[d], lasts + r * n.skip);
      }
      if (n.skip && plain)
        a.skip().apply(lasts, some, to, true);
      else if (n.skip)
        a.skip().apply(lasts, some, linear);
      for (int64_t r = 0; r < some; ++r)
        into_units(levels[r * n.targets + d], scales[r * n.targets + d], d,
                   n.skip && !plain ? linear + r * n.horizon : nullptr, to + r * each);
    }
  }
  // One target's numbers of a row: level + scale gain (number + linear), in place.
  void into_units(T level, T scale, int64_t d, const T* linear, T* row) const {
    const int64_t width = net.numbers / n.targets;
    if (net.numbers == 1) {
      const V middle = V::set(level), unit = V::set(scale);
      for (int64_t h = 0; h < n.horizon; h += V::W) {
        const int64_t left = n.horizon - h;
        const V gain = unit * V::load_n(arrays.output_gain + h, left);
        fma(gain, V::load_n(row + h, left), middle).store_n(row + h, left);
      }
      return;
    }
    for (int64_t h = 0; h < n.horizon; ++h)
      for (int64_t q = 0; q < width; ++q) {
        T& value = row[(h * n.targets + d) * width + q];
        const T relative = linear ? value + linear[h] : value;
        value = level + scale * arrays.output_gain[h * n.targets + d] * relative;
      }
  }

  // What is known of the steps ahead, through one hidden layer that they share.
  void ahead(Arrays<V>& a, int64_t first, int64_t some, const T* out, T* to) const {
    const int64_t units = n.horizon * n.mixed;
    T* of_state = mixed + units;
    a.state_ahead().apply(out, some, of_state);
    const Matrix<V> known = a.known();
    const T* step = a.step_ahead();
    const Matrix<V> mix = a.mix();
    for (int64_t r = 0; r < some; ++r) {
      for (int64_t h = 0; h < n.horizon; ++h)
        for (int64_t k = 0; k < n.mixed; k += V::W) {
          const int64_t left = n.mixed - k, at = h * n.mixed + k;
          (V::load_n(of_state + r * n.mixed + k, left) + V::load_n(step + at, left)).store_n(mixed + at, left);
        }
      known.apply(static_cast<const T*>(o.future) + (first + r) * n.horizon * n.future, n.horizon, mixed, true);
      for (int64_t k = 0; k < units; k += V::W) tanh(V::load_n(mixed + k, units - k)).store_n(mixed + k, units - k);
      mix.apply(mixed, n.horizon, to + r * n.horizon * net.numbers, true);
    }
  }

  // Quantiles in ascending order: the middle one, and positive gaps outwards.
  void order(T* q) const {
    const int64_t half = n.levels;
    for (int64_t k = 0; k <= 2 * half; ++k)
      if (k != half) q[k] = larger(q[k], T(0)) + log_plus_1(exponential(-magnitude(q[k])));
    T up = 0, down = 0;
    for (int64_t k = 1; k <= half; ++k) {
      q[half + k] = q[half] + (up += q[half + k]);
      q[half - k] = q[half] - (down += q[half - k]);
    }
  }
};

// The four functions of the table.
template <class V>
struct Observing {
  using T = typename V::Number;
  static constexpr int64_t together = 8 * V::ROWS;  // rows of a block, at most

  static int64_t packed_bytes(const Net& net) { return pack_or_count(net, nullptr, nullptr); }
  static void pack(const Net& net, const void* const* from, void* to) { pack_or_count(net, from, to); }
  static int64_t bytes(const Net& net, const statecast_observations& o, int64_t rows) {
    return Observe<V>(net, o, nullptr, rows < together ? rows : together, nullptr).arena.used;
  }
  static void run(const Net& net, const statecast_observations& o, const statecast_following* following, int64_t first,
                  int64_t rows, void* scratch) {
    Observe<V>(net, o, following, rows < together ? rows : together, scratch).run(first, rows);
  }

  // Fills the block at `to`; where that is null, tells its size. `from` is in the order of statecast_network_pack.
  static int64_t pack_or_count(const Net& net, const void* const* from, void* to) {
    const statecast_network& n = *net.sizes;
    Arrays<V> a(net, to);
    if (to) {
      copy(a.origin, *from++, n.targets);
      copy(a.unit, *from++, n.targets);
      copy(a.level, *from++, n.targets);
      copy(a.spread, *from++, n.targets);
      copy(a.deviation, *from++, n.targets);
      copy(a.ring_gain, *from++, n.targets);
      copy(a.output_gain, *from++, n.horizon * n.targets);
    }
    if (!to) return a.rest.used + n.members * Arrays<V>::bytes_of_member(net);
    for (int64_t m = 0; m < n.members; ++m) from = a.member(from);
    return a.rest.used;
  }
  template <class N>
  static void copy(N* to, const void* from, int64_t count) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(N));
  }
};

}  // namespace SC_NAMESPACE
}  // namespace statecast
