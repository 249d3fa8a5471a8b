// The linear skip over many steps of many series: the products of the last values at each step with weights.
//
// The ring of a step is a stretch of its series, and overlaps with the next step's in all but one value: a Hankel matrix,
// whose leading dimension is one. So the products read the series where it lies, in vectors along the taps of a ring.
// The level is taken from a value in the register that it was read into: a sum of values less the level times the sum of
// weights would lose the digits of a series far from zero. A ring that begins before its series or has a gap is made in
// scratch memory before it is read (forward), or as it is read (backward).
//
// A series may have a map of its own, which adds to the common weights. Its taps lie one after another, as those of a ring
// do, so it is read where it lies and added in a register: steps of a series one after another share what is read.
//
// Rows are the steps of one series after another. A row's sums are made in one order, whatever the rows beside it, and
// the gradient's in the order of the rows, whichever thread makes them.
#pragma once
#include "job.h"
#include "tile.h"

namespace statecast {
namespace SC_NAMESPACE {

template <class V>
struct Skip {
  using T = typename V::Number;
  static constexpr int W = V::W;
  // Tiles of sums that fill the registers: rows by steps ahead forward, vectors of taps by steps ahead backward.
  static constexpr bool many = V::ROWS >= 6, plain = V::ROWS < 3;  // registers
  static constexpr int ROWS = many ? 4 : 3, AHEAD = many ? 6 : plain ? 2 : 3;
  static constexpr int TAPS = plain ? 1 : 2, AHEAD_BACK = many ? 12 : plain ? 4 : 5;

  // Where a row's ring begins in the flat series, from which tap on it is of the row's series, what its values are
  // relative to, and the share of the sum that is the result; the map of its series [ahead, taps], null where there is
  // none; whole: it has a value at every tap.
  struct Row {
    int64_t begin, first;
    T level, share;
    const T* map;
    bool whole;
  };

  const SkipCall& c;
  int64_t taps, ahead, padded, rows;
  explicit Skip(const SkipCall& call)
      : c(call), taps(call.size), ahead(call.horizon), padded((taps + W - 1) / W * W), rows(call.steps * call.batch) {}

  static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
  static int64_t quotient(int64_t n, int64_t part) { return (n + part - 1) / part; }
  const T* values(int64_t d) const { return static_cast<const T*>(c.y) + d * c.places; }
  const T* mask(int64_t d) const { return c.m ? static_cast<const T*>(c.m) + d * c.places : nullptr; }
  // Where a row stands in arrays that are time-major.
  int64_t place(int64_t row) const { return row % c.steps * c.batch + row / c.steps; }
  // The map of target d at a place.
  const T* map(int64_t d, int64_t at) const {
    if (!c.maps || c.numbers[at] == 0) return nullptr;
    return static_cast<const T*>(c.maps) + ((c.numbers[at] - 1) * c.targets + d) * ahead * taps;
  }

  // Rows first .. first + count of target d. The mask is read once for all rings that overlap.
  void find(int64_t d, int64_t first, int64_t count, Row* to) const {
    const T* m = mask(d);
    int64_t begin = 0, end = 0, gap = -1;  // of the stretch that was read, and the last gap in it
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = place(first + i), last = c.last[at], age = c.age[at];
      Row& r = to[i];
      r.begin = last - taps + 1;
      r.first = age < taps - 1 ? taps - 1 - age : 0;
      r.level = static_cast<const T*>(c.level)[at * c.targets + d];
      r.share = T(1) / static_cast<const T*>(c.scale)[at * c.targets + d];
      r.map = map(d, at);
      r.whole = r.first == 0;
      if (!m || !r.whole) continue;
      if (r.begin < begin || r.begin > end) {
        begin = end = r.begin;
        gap = -1;
      }
      for (; end <= last; ++end)
        if (m[end] != T(1)) gap = end;
      r.whole = gap < r.begin;
    }
  }

  // Taps k .. k + n of a ring, relative to the row's level and 0 where it has no value.
  SC_INLINE V relative(const T* y, const T* m, const Row& r, int64_t k, int64_t n) const {
    n = least(n, W);
    if (n <= 0 || r.first >= k + n) return V::set(0);
    const T* from = y + r.begin + k;
    if (r.first <= k) {
      const V x = V::load_n(from, n) - V::set(r.level);
      return m ? x * V::load_n(m + r.begin + k, n) : x;
    }
    T part[W] = {};
    for (int64_t j = r.first - k; j < n; ++j) part[j] = (from[j] - r.level) * (m ? m[r.begin + k + j] : T(1));
    return V::load(part);
  }

  // --- forward

  int64_t tiles() const { return quotient(ahead, AHEAD); }
  static int64_t packed_bytes(const SkipCall& c) {
    return c.targets * c.horizon * Skip(c).padded * int64_t{sizeof(T)};
  }
  static int64_t packs(const SkipCall& c) { return c.targets * Skip(c).tiles(); }
  static void pack(const SkipCall& c, int64_t job) { Skip(c).pack(job / Skip(c).tiles(), job % Skip(c).tiles()); }
  // Target d's weights of the steps ahead of one tile: vectors along the taps, side by side [padded / W][n][W].
  void pack(int64_t d, int64_t tile) const {
    const int64_t first = tile * AHEAD, n = least(ahead - first, AHEAD);
    T* to = packed(d, first);
    const T* from = static_cast<const T*>(c.W) + d * taps * ahead + first;
    for (int64_t k = 0; k < padded; k += W, to += n * W)
      for (int64_t j = 0; j < W; ++j)
        for (int64_t h = 0; h < n; ++h) to[h * W + j] = k + j < taps ? from[(k + j) * ahead + h] : T(0);
  }
  T* packed(int64_t d, int64_t first) const { return static_cast<T*>(c.shared) + (d * ahead + first) * padded; }

  static int64_t forward_bytes(const SkipCall& c) {
    return skip_rows * (Skip(c).padded * int64_t{sizeof(T)} + int64_t{sizeof(Row)});
  }
  static void forward(const SkipCall& c, int64_t first, int64_t count, void* scratch) {
    Skip(c).some_rows(first, count, static_cast<T*>(scratch));
  }
  void some_rows(int64_t first, int64_t count, T* rings) const {
    Row* r = reinterpret_cast<Row*>(rings + skip_rows * padded);
    for (int64_t d = 0; d < c.targets; ++d) {
      find(d, first, count, r);
      for (int64_t i = 0; i < count; ++i)
        for (int64_t k = 0; k < padded && !r[i].whole; k += W)
          relative(values(d), mask(d), r[i], k, taps - k).store(rings + i * padded + k);
      for (int64_t h = 0; h < ahead; h += AHEAD)
        with_constant<AHEAD>(least(ahead - h, AHEAD), [&](auto n) {
          for (int64_t i = 0, size; i < count; i += size) {
            size = alike(r + i, least(count - i, ROWS));
            with_constant<ROWS>(size, [&](auto m) {
              if (r[i].map)
                sums(m, n, Constant<1>{}, d, h, first + i, r + i, rings + i * padded);
              else
                sums(m, n, Constant<0>{}, d, h, first + i, r + i, rings + i * padded);
            });
          }
        });
    }
  }
  // How many of the first `most` rows have the same map.
  static int64_t alike(const Row* row, int64_t most) {
    int64_t count = 1;
    while (count < most && row[count].map == row[0].map) ++count;
    return count;
  }
  template <class M_, class N_, class Mapped>
  SC_APART void sums(M_, N_, Mapped, int64_t d, int64_t h0, int64_t first, const Row* row, const T* rings) const {
    constexpr int M = M_::value, N = N_::value;
    const T *ring[M], *w = packed(d, h0), *map = Mapped::value ? row->map + h0 * taps : nullptr;
    // Weights of the taps from k on, of which n are in the ring; beyond them they are 0.
    const auto weights = [&](int64_t h, int64_t k, int64_t n) {
      const V common = V::load(w + h * W);
      if constexpr (Mapped::value) {
        const T* local = map + h * taps + k;
        return common + (n < W ? V::load_n(local, n) : V::load(local));
      }
      return common;
    };
    V level[M], acc[M][N];
    SC_EACH (r, M) {
      ring[r] = row[r].whole ? values(d) + row[r].begin : rings + r * padded;
      level[r] = V::set(row[r].whole ? row[r].level : T(0));
      SC_EACH (h, N) acc[r][h] = V::set(0);
    }
    int64_t k = 0;
    for (; k + W <= taps; k += W, w += N * W) {
      V x[M];
      SC_EACH (r, M) x[r] = V::load(ring[r] + k) - level[r];
      SC_EACH (h, N) {
        const V of_step = weights(h, k, W);
        SC_EACH (r, M) acc[r][h] = fma(x[r], of_step, acc[r][h]);
      }
    }
    if (k < taps)
      SC_EACH (r, M) {
        const V x = V::load_n(ring[r] + k, taps - k) - level[r];
        SC_EACH (h, N) acc[r][h] = fma(x, weights(h, k, taps - k), acc[r][h]);
      }
    SC_EACH (r, M) {
      T* to = static_cast<T*>(c.out) + (place(first + r) * ahead + h0) * c.targets + d;
      SC_EACH (h, N) to[h * c.targets] = total(acc[r][h]) * row[r].share;
    }
  }

  // --- backward: what the jobs share are the gradients of the sums, row by row, and then the rows

  static int64_t prepared_bytes(const SkipCall& c) {
    const Skip s(c);
    return s.gradients_bytes() + c.targets * s.rows * int64_t{sizeof(Row)};
  }
  int64_t gradients_bytes() const { return quotient(c.targets * rows * ahead * int64_t{sizeof(T)}, 64) * 64; }
  T* gradients(int64_t d, int64_t row) const { return static_cast<T*>(c.shared) + (d * rows + row) * ahead; }
  Row* prepared(int64_t d, int64_t row) const {
    return reinterpret_cast<Row*>(static_cast<char*>(c.shared) + gradients_bytes()) + d * rows + row;
  }
  static void prepare(const SkipCall& c, int64_t first, int64_t count) {
    const Skip s(c);
    for (int64_t d = 0; d < c.targets; ++d) {
      s.find(d, first, count, s.prepared(d, first));
      for (int64_t row = first; row < first + count; ++row) {
        const T* from = static_cast<const T*>(c.dout) + s.place(row) * s.ahead * c.targets + d;
        T* to = s.gradients(d, row);
        for (int64_t h = 0; h < s.ahead; ++h) to[h] = from[h * c.targets] * s.prepared(d, row)->share;
      }
    }
  }

  static int64_t backwards(const SkipCall& c) {
    const Skip s(c);
    return c.targets * quotient(s.taps, TAPS * W) * quotient(s.ahead, AHEAD_BACK);
  }
  static void backward(const SkipCall& c, int64_t job) {
    const Skip s(c);
    const int64_t columns = quotient(s.ahead, AHEAD_BACK), lines = quotient(s.taps, TAPS * W);
    const int64_t h = job % columns * AHEAD_BACK, k = job / columns % lines * TAPS * W, d = job / columns / lines;
    with_constant<AHEAD_BACK>(least(s.ahead - h, AHEAD_BACK), [&](auto n) {
      if (k + TAPS * W <= s.taps)
        s.gradient(n, Constant<1>{}, d, k, h);
      else
        s.gradient(n, Constant<0>{}, d, k, h);
    });
  }
  template <class N_, class Full>
  SC_APART void gradient(N_, Full, int64_t d, int64_t k0, int64_t h0) const {
    constexpr int N = N_::value;
    const T *y = values(d), *m = mask(d), *g = gradients(d, 0) + h0;
    V acc[TAPS][N];
    SC_EACH (j, TAPS)
      SC_EACH (h, N) acc[j][h] = V::set(0);
    for (const Row *r = prepared(d, 0), *end = r + rows; r < end; ++r, g += ahead) {
      V x[TAPS];
      if (Full::value && r->whole) {
        SC_EACH (j, TAPS) x[j] = V::load(y + r->begin + k0 + j * W) - V::set(r->level);
      } else {
        SC_EACH (j, TAPS) x[j] = relative(y, m, *r, k0 + j * W, taps - k0 - j * W);
      }
      SC_EACH (h, N) {
        const V one = V::set(g[h]);
        SC_EACH (j, TAPS) acc[j][h] = fma(x[j], one, acc[j][h]);
      }
    }
    T* to = static_cast<T*>(c.out) + (d * taps + k0) * ahead + h0;
    T lanes[N][TAPS * W];  // in memory, since this is done once: written out for registers it would be most of the code
    SC_EACH (h, N)
      SC_EACH (j, TAPS) acc[j][h].store(lanes[h] + j * W);
    for (int64_t k = 0; k < least(TAPS * W, taps - k0); ++k)
      for (int h = 0; h < N; ++h) to[k * ahead + h] = lanes[h][k];
  }
};

template <class V>
const SkipArithmetic* skip_arithmetic() {
  using S = Skip<V>;
  static const SkipArithmetic table = {S::packed_bytes,   S::packs,   S::pack,      S::forward_bytes, S::forward,
                                       S::prepared_bytes, S::prepare, S::backwards, S::backward};
  return &table;
}

}  // namespace SC_NAMESPACE
}  // namespace statecast
