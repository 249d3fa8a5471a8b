// A whole network over rows of a table of states: front, stack, head and skip in one pass for one time step, front and
// stack alone for each of many.
//
// Rows go through in blocks that stay in the nearest caches. Everything that a step reads but the states lies in one
// block of memory, see packed.h. A row's bits depend on that row alone, not on how many others are observed with it,
// nor on the number of threads.
#pragma once
#include "packed.h"
#include "table.h"

namespace statecast {
namespace SC_NAMESPACE {

template <class V>
struct Observe {
  using T = typename V::Number;
  const Net& net;
  const statecast_network& n;
  const statecast_observations& o;
  const statecast_adaptation* adaptation;
  Arrays<V> arrays;
  Arena arena;
  int64_t rows, each, member_bytes;  // rows of a block, numbers of a forecast
  T *x, *other, *third, *lasts, *levels, *scales, *linear, *local, *mixed, *share;
  const double* values;
  T* forecast;
  T **here, **next;  // the rows of this block, and of the one after it
  char* scratch;

  Observe(const Net& net_, const statecast_observations& o_, const statecast_adaptation* adaptation_, int64_t rows_,
          void* memory)
      : net(net_),
        n(*net_.sizes),
        o(o_),
        adaptation(adaptation_),
        arrays(net_, net_.arrays),
        arena(memory),
        rows(rows_) {
    values = static_cast<const double*>(o.values.data);
    forecast = static_cast<T*>(o.forecast.data);
    each = n.horizon * net.numbers;
    member_bytes = n.members > 1 ? Arrays<V>::bytes_of_member(net) : 0;
    x = arena.take<T>(rows * net.widest);
    other = arena.take<T>(rows * net.widest);
    third = n.members > 1 ? arena.take<T>(rows * net.widest) : x;  // where x is read again by the next member
    share = arena.take<T>(n.members > 1 ? rows * each : 0);  // of one member in the forecast
    lasts = arena.take<T>(rows * net.ring);  // of one target at a time
    levels = arena.take<T>(rows * n.targets);
    scales = arena.take<T>(rows * n.targets);
    linear = arena.take<T>(n.skip ? rows * n.horizon : 0);
    local = arena.take<T>(n.series ? rows * n.targets * n.horizon : 0);  // of the series' maps, for all members
    mixed = arena.take<T>(n.future ? n.horizon * n.mixed + n.mixed * rows : 0);
    here = arena.take<T*>(rows);
    next = arena.take<T*>(rows);
    int64_t most = 0;
    for (int64_t k = 0; k < n.layers; ++k) most = larger(most, choose<V, StepBytes>(arrays.layer(k, rows)));
    scratch = arena.take<char>(most);
  }

  // A row of the block that is worked on.
  T* row(int64_t r) const { return here[r]; }
  void locate(int64_t first, int64_t count, T** to) const {
    for (int64_t r = 0; r < count; ++r) to[r] = row_of<T>(o, first + r);
  }
  Target<T> target(T* row, int64_t d) const {
    const int64_t* at = net.columns;
    return {row + at[0] + d, row + at[1] + d, row + at[2] + d, row + at[3] + d, row + at[4] + d, row + at[5] + d,
            n.targets};
  }

  void run(int64_t first, int64_t count, int64_t steps) {
    const auto size_of = [&](int64_t begin) { return count - begin < rows ? count - begin : rows; };
    locate(first, size_of(0), here);
    for (int64_t begin = 0; begin < count; begin += rows) {
      const int64_t size = size_of(begin), after = begin + size < count ? size_of(begin + size) : 0;
      // Rows of a large table lie anywhere in memory: the next block's are fetched while this one is worked on.
      locate(first + begin + size, after, next);
      for (int64_t r = 0; r < after; ++r) prefetch(next[r], o.stride);
      for (int64_t step = 0; step < steps; ++step) {
        if (values)
          for (int64_t r = 0; r < size; ++r) front(step * o.count + first + begin + r, row(r), x + r * net.inputs);
        for (int64_t m = 0; m < n.members; ++m) member(m, first + begin, size);
      }
      if (adaptation) adapt_rows(*adaptation, o, here, first + begin, size);
      T** previous = here;
      here = next;
      next = previous;
    }
  }

  // A member's step; forecasts are the mean of all members'.
  void member(int64_t m, int64_t first, int64_t count) {
    Arrays<V> a = arrays.of_member(m, member_bytes);
    T* out = stack(a, m, count);
    if (!forecast) return;
    T* sum = forecast + first * each;
    emit(a, m, first, count, out, m ? share : sum);
    if (m == 0) return;
    const T factor = m == n.members - 1 ? T(1) / static_cast<T>(n.members) : T(1);
    for (int64_t i = 0; i < count * each; ++i) sum[i] = (sum[i] + share[i]) * factor;
  }

  // Moves a row's front by the at-th line of values and covariates, and writes the stack's input.
  void front(int64_t at, T* state, T* to) const {
    const int64_t older = (net.ring - 1) * n.targets;
    for (int k = 4; k < 6; ++k) {  // the ring and its mask
      T* part = state + net.columns[k];
      std::memmove(part, part + n.targets, static_cast<size_t>(older) * sizeof(T));
    }
    T* more = to + n.lags * n.targets;  // of the features after the lags
    const int64_t marks = n.missing ? 2 * n.targets : 0;
    for (int64_t d = 0; d < n.targets; ++d) {
      const double value = values[at * n.targets + d];
      const bool observed = value == value;
      const Target<T> t = target(state, d);
      t.update(observed ? static_cast<T>((value - arrays.origin[d]) / arrays.unit[d]) : T(0), observed, n.normalize,
               static_cast<T>(n.decay), net.ring);
      T level, scale;
      t.level_scale(n.normalize, floor(), net.ring, level, scale);
      lags(t, level, scale, d, to);
      if (n.missing) {
        more[d] = *t.since == 0;
        more[n.targets + d] = log_plus_1(*t.since);
      }
      if (n.level_input) {
        more[marks + d] = (level - arrays.level[d]) / arrays.deviation[d];
        more[marks + n.targets + d] = logarithm(scale / larger(arrays.spread[d], floor()));
      }
    }
    const T* covariates = static_cast<const T*>(o.covariates.data) + at * n.covariates;
    if (n.covariates)
      std::memcpy(more + marks + (n.level_input ? 2 * n.targets : 0), covariates,
                  static_cast<size_t>(n.covariates) * sizeof(T));
    if (n.statics)
      std::memcpy(state + net.columns[7 + 2 * n.layers], covariates + n.covariates - n.statics,
                  static_cast<size_t>(n.statics) * sizeof(T));
  }
  T floor() const { return static_cast<T>(n.floor); }
  void lags(const Target<T>& t, T level, T scale, int64_t d, T* to) const {
    const V top = V::set(static_cast<T>(n.ceiling)), bottom = V::set(static_cast<T>(-n.ceiling));
    T* line = n.targets == 1 ? to : lasts;
    t.template relative<V>(net.ring - n.lags, net.ring, level, scale, arrays.ring_gain[d], line);
    for (int64_t k = 0; k < n.lags; k += V::W)
      clamp(bottom, top, V::load_n(line + k, n.lags - k)).store_n(line + k, n.lags - k);
    for (int64_t k = 0; k < n.lags && n.targets > 1; ++k) to[k * n.targets + d] = line[k];
  }

  // Runs a member's layers where there are values, and returns the stack's output of every row. The states of
  // members lie side by side, part by part.
  T* stack(Arrays<V>& a, int64_t m, int64_t count) {
    T *in = x, *out = other;
    for (int64_t k = 0; k < n.layers + n.dense; ++k) {
      const int64_t width = net.units[k], before = k ? net.units[k - 1] : net.inputs;
      if (k < n.layers) {
        Job j = a.layer(k, count);
        j.scratch = scratch;
        const void* weights = a.weights(j);
        const StateRows<T> s{here, net.columns[6 + 2 * k] + m * width, net.columns[7 + 2 * k] + m * width};
        if (values) choose<V, StepRows>(j, s, weights, const_cast<const T*>(in), out);
      } else {
        const Matrix<V> dense = a.dense(k - n.layers);
        if (!values) continue;
        dense.apply(in, count, out);
        for (int64_t i = 0; i < count * width; i += V::W)
          activate(V::load_n(out + i, count * width - i), n.activation).store_n(out + i, count * width - i);
      }
      if (!values) continue;
      if (n.residual && width == before)
        for (int64_t i = 0; i < count * width; i += V::W)
          (V::load_n(out + i, count * width - i) + V::load_n(in + i, count * width - i))
              .store_n(out + i, count * width - i);
      T* unused = in == x ? third : in;
      in = out;
      out = unused;
    }
    const size_t bytes = static_cast<size_t>(net.outputs) * sizeof(T);
    for (int64_t r = 0; r < count; ++r) {
      T* output = row(r) + net.columns[6 + 2 * n.layers] + m * net.outputs;
      std::memcpy(values ? output : in + r * net.outputs, values ? in + r * net.outputs : output, bytes);
    }
    return in;
  }

  // forecast [H, D, O] of each row = level + scale gain (head + skip), of the m-th member.
  void emit(Arrays<V>& a, int64_t m, int64_t first, int64_t count, const T* out, T* to) const {
    const int64_t width = net.numbers / n.targets;
    a.head().apply(out, count, to);
    if (n.future) ahead(a, first, count, out, to);
    const bool plain = net.numbers == 1;  // the skip's product goes straight to the head's
    for (int64_t i = 0; n.levels > 0 && i < count * each; i += width) order(to + i);
    for (int64_t d = 0; d < n.targets; ++d) {
      for (int64_t r = 0; r < count; ++r) {
        const Target<T> t = target(row(r), d);
        T &level = levels[r * n.targets + d], &scale = scales[r * n.targets + d];
        t.level_scale(n.normalize, floor(), net.ring, level, scale);
        static_cast<T*>(o.scale.data)[(first + r) * n.targets + d] = scale;
        if (n.skip)
          t.template relative<V>(net.ring - n.skip, net.ring, level, scale, arrays.ring_gain[d], lasts + r * n.skip);
        if (n.series && m == 0) map(row(r), d, lasts + r * n.skip, local + (r * n.targets + d) * n.horizon);
      }
      if (n.skip && plain)
        a.skip().apply(lasts, count, to, true);
      else if (n.skip)
        a.skip().apply(lasts, count, linear);
      for (int64_t r = 0; r < count && n.series; ++r)
        add(local + (r * n.targets + d) * n.horizon, plain ? to + r * each : linear + r * n.horizon);
      for (int64_t r = 0; r < count; ++r)
        into_units(levels[r * n.targets + d], scales[r * n.targets + d], d,
                   n.skip && !plain ? linear + r * n.horizon : nullptr, to + r * each);
    }
  }
  // What the map of a row's series makes of the last values of target d: [H], 0 where the series has none.
  void map(const T* state, int64_t d, const T* last, T* to) const {
    const T number = state[net.columns[8 + 2 * n.layers]];
    if (!(number >= T(1) && number <= static_cast<T>(n.series))) {
      std::memset(to, 0, static_cast<size_t>(n.horizon) * sizeof(T));
      return;
    }
    const T* weights = arrays.maps + ((static_cast<int64_t>(number) - 1) * n.targets + d) * n.horizon * n.skip;
    constexpr int most = 4;  // steps ahead whose sums are made side by side
    for (int64_t h = 0; h < n.horizon; h += most)
      with_constant<most>(n.horizon - h < most ? n.horizon - h : most,
                          [&](auto count) { sums(count, weights + h * n.skip, last, to + h); });
  }
  template <class N_>
  void sums(N_, const T* weights, const T* last, T* to) const {
    constexpr int N = N_::value;
    V acc[N];
    SC_EACH (h, N) acc[h] = V::set(0);
    int64_t k = 0;
    for (; k + V::W <= n.skip; k += V::W) {
      const V x = V::load(last + k);
      SC_EACH (h, N) acc[h] = fma(x, V::load(weights + h * n.skip + k), acc[h]);
    }
    if (const int64_t left = n.skip - k; left > 0) {
      const V x = V::load_n(last + k, left);
      SC_EACH (h, N) acc[h] = fma(x, V::load_n(weights + h * n.skip + k, left), acc[h]);
    }
    SC_EACH (h, N) to[h] = total(acc[h]);
  }
  void add(const T* more, T* to) const {
    for (int64_t h = 0; h < n.horizon; h += V::W)
      (V::load_n(to + h, n.horizon - h) + V::load_n(more + h, n.horizon - h)).store_n(to + h, n.horizon - h);
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
  void ahead(Arrays<V>& a, int64_t first, int64_t count, const T* out, T* to) const {
    const int64_t units = n.horizon * n.mixed;
    T* of_state = mixed + units;
    a.state_ahead().apply(out, count, of_state);
    const Matrix<V> known = a.known();
    const T* step = a.step_ahead();
    const Matrix<V> mix = a.mix();
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t h = 0; h < n.horizon; ++h)
        for (int64_t k = 0; k < n.mixed; k += V::W) {
          const int64_t left = n.mixed - k, at = h * n.mixed + k;
          (V::load_n(of_state + r * n.mixed + k, left) + V::load_n(step + at, left)).store_n(mixed + at, left);
        }
      known.apply(static_cast<const T*>(o.future.data) + (first + r) * n.horizon * n.future, n.horizon, mixed, true);
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

  static int64_t packed_bytes(const Net& net) {
    return Arrays<V>(net, nullptr).rest.used + net.sizes->members * Arrays<V>::bytes_of_member(net);
  }
  // Fills the block at `to` from arrays in the order of statecast_network_pack.
  static int32_t pack(const Net& net, const statecast_array* arrays, int64_t count, void* to) {
    Source from{arrays, count, STATECAST_OK};
    Arrays<V> a(net, to);
    a.constants(from);
    for (int64_t m = 0; m < net.sizes->members; ++m) a.member(&from);
    return from.status == STATECAST_OK && from.left != 0 ? STATECAST_BAD_LENGTH : from.status;
  }
  static int64_t bytes(const Net& net, const statecast_observations& o, int64_t rows) {
    return Observe<V>(net, o, nullptr, rows < together ? rows : together, nullptr).arena.used;
  }
  static void run(const Net& net, const statecast_observations& o, const statecast_adaptation* adaptation,
                  int64_t steps, int64_t first, int64_t rows, void* scratch) {
    Observe<V>(net, o, adaptation, rows < together ? rows : together, scratch).run(first, rows, steps);
  }
};

}  // namespace SC_NAMESPACE
}  // namespace statecast
