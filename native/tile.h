// Products of small tiles that stay in registers, and the packing that lets them read memory in a straight line.
//
// All three products of a layer are one loop, `multiply`: M rows times N vectors of columns, a broadcast value from one
// side and packed vectors from the other. Weights are packed once a call, as panels of up to four vectors.
#pragma once
#include "factors.h"

namespace statecast {
namespace SC_NAMESPACE {

template <int n>
struct Constant {
  static constexpr int value = n;
  static constexpr SC_INLINE int count() { return n; }
};
// The rows in use of a tile that always has `most` of them.
template <int most>
struct Height {
  static constexpr int value = most;
  int n;
  SC_INLINE int count() const { return n; }
};

// Calls f with each constant from 0 to n - 1.
template <int n, class F>
SC_INLINE void each_constant(F&& f) {
  if constexpr (n > 0) {
    each_constant<n - 1>(f);
    f(Constant<n - 1>{});
  }
}

// Calls f with n, which is from 1 to most, as a constant.
template <int most, class F>
SC_INLINE void with_constant(int64_t n, F&& f) {
  if constexpr (most > 1) {
    if (n < most) return with_constant<most - 1>(n, f);
  }
  f(Constant<most>{});
}

// Calls f with the height of a tile of n rows: a constant where the tile lies in registers.
template <class V, class F>
SC_INLINE void with_height(int64_t n, F&& f) {
#if defined(SC_AMX)
  f(Height<V::ROWS>{static_cast<int>(n)});
#else
  with_constant<V::ROWS>(n, f);
#endif
}

// Splits rows as evenly as the tile's height allows: f(first row, Constant of rows).
template <class V, class F>
SC_INLINE void row_tiles(int64_t rows, F&& f) {
  const int64_t tiles = (rows + V::ROWS - 1) / V::ROWS;
  for (int64_t k = 0, first = 0; k < tiles; ++k) {
    const int64_t count = rows / tiles + (k < rows % tiles);
    with_height<V>(count, [&](auto m) { f(first, m); });
    first += count;
  }
}

// N vectors of a panel, of which the last stands at `LAST` (a gated recurrent unit's products skip a column).
template <int N, int LAST>
struct Columns {
  static constexpr int count = N, last = LAST;
  static constexpr int at(int k) { return k == N - 1 ? LAST : k; }
};
template <int N>
using Dense = Columns<N, N - 1>;

#if defined(SC_AMX)
template <class V, int M, int N>
constexpr bool sums_in_order = true;

// Sums go into tiles 0 to 3, one for each vector of a row, and come back when all products are added. Their 16 rows are
// memory, of which what lies beyond the rows in use may hold anything.
template <class V, int C>
SC_INLINE void into_tiles(const V (&acc)[16][C]) {
  each_constant<C>([&](auto v) { tile_load<decltype(v)::value>(&acc[0][decltype(v)::value], C * int64_t{sizeof(V)}); });
}
template <class V, int C>
SC_INLINE void out_of_tiles(V (&acc)[16][C]) {
  each_constant<C>([&](auto v) { tile_store<decltype(v)::value>(&acc[0][decltype(v)::value], C * int64_t{sizeof(V)}); });
}

// Tile A::at(v) [r] += sum over k of a[r * row + k] * b[k * stride + B::at(v) * W]. The factors come into tiles 4 and 5
// and into 6 and 7 by turns, so that a load need not wait for the product before it.
template <class A, class B, bool alike = false, class V, int C>
SC_INLINE void multiply(V (&)[16][C], const Pair* a, int64_t row, int64_t, int64_t depth, const Pair* b, int64_t stride) {
  constexpr int N = A::count, size = sizeof(Pair);
  const auto block = [&](auto turn) {
    constexpr int left = 4 + decltype(turn)::value;
    tile_load<left>(a, row * size);
    each_constant<N>([&](auto v_) {
      constexpr int v = decltype(v_)::value, right = 6 + v % 2;
      tile_load<right>(b + B::at(v) * V::W, stride * size);
      tile_multiply<A::at(v), left, right>();
    });
    a += 16;
    b += 16 * stride;
  };
  int64_t k = 0;
  for (; k + 32 <= depth; k += 32) {
    block(Constant<0>{});
    block(Constant<1>{});
  }
  if (k < depth) block(Constant<0>{});
}
#else
// Register tiles are sums from the first.
template <class V, int M, int C>
SC_INLINE void into_tiles(const V (&)[M][C]) {}
template <class V, int M, int C>
SC_INLINE void out_of_tiles(V (&)[M][C]) {}

// Whether the sums of a tile of M rows and N vectors are made in the order of k: a tile of few accumulators would wait
// for each sum, and makes several partial sums to keep the units busy.
template <class V, int M, int N>
constexpr bool sums_in_order = M * N >= V::BUSY;

// acc[r][A::at(v)] += sum over k of a[r * row + k * next] * b[k * stride + B::at(v) * W]. Where `alike`, a row's sums are
// made in one order whatever the tile's height, so that its bits do not depend on the rows beside it.
template <class A, class B, bool alike = false, class V, int M, int C, class E>
SC_INLINE void multiply(V (&acc)[M][C], const E* a, int64_t row, int64_t next, int64_t depth, const E* b,
                        int64_t stride) {
  using X = typename Factors<V>::Vector;
  constexpr int N = A::count, W = V::W;
  constexpr int S = alike || sums_in_order<V, M, N> ? 1 : M * N >= 4 ? 2 : M * N >= 2 ? 4 : 8;
  if constexpr (S == 1) {
    for (int64_t k = 0; k < depth; ++k, a += next, b += stride) {
      X w[N];
      SC_EACH (v, N) w[v] = X::load(b + B::at(v) * W);
      SC_EACH (r, M) {
        const X x = X::set(a[r * row]);
        SC_EACH (v, N) acc[r][A::at(v)] = fma(x, w[v], acc[r][A::at(v)]);
      }
    }
  } else {
    V part[S][M][N];
    SC_EACH (s, S)
      SC_EACH (r, M)
        SC_EACH (v, N) part[s][r][v] = V::set(0);
    int64_t k = 0;
    for (; k + S <= depth; k += S, a += S * next, b += S * stride)
      SC_EACH (s, S)
        SC_EACH (r, M) {
          const X x = X::set(a[r * row + s * next]);
          SC_EACH (v, N) part[s][r][v] = fma(x, X::load(b + s * stride + B::at(v) * W), part[s][r][v]);
        }
    for (; k < depth; ++k, a += next, b += stride)
      SC_EACH (r, M)
        SC_EACH (v, N) part[0][r][v] = fma(X::set(a[r * row]), X::load(b + B::at(v) * W), part[0][r][v]);
    SC_UNROLL
    for (int half = S / 2; half > 0; half /= 2)
      SC_EACH (s, half)
        SC_EACH (r, M)
          SC_EACH (v, N) part[s][r][v] = part[s][r][v] + part[s + half][r][v];
    SC_EACH (r, M)
      SC_EACH (v, N) acc[r][A::at(v)] = acc[r][A::at(v)] + part[0][r][v];
  }
}
#endif

// A matrix [rows, panels * width] kept panel by panel: element (row, p * width + k) stands at
// (p * rows + row) * width + k.
template <class T>
struct Panels {
  T* data;
  int64_t rows, width, count;
  SC_INLINE T* at(int64_t panel, int64_t row) const { return data + (panel * rows + row) * width; }
};

// Runs of columns of every panel that take part in a product, in elements of its factors.
struct Runs {
  int64_t count = 0, total = 0, first[4] = {}, length[4] = {};
  // Adds a run; what follows the last one without a gap makes it longer, and what that one holds counts once.
  SC_INLINE void add(int64_t begin, int64_t n) {
    const int64_t room = count > 0 ? first[count - 1] + length[count - 1] - begin : 0;
    if (room > 0) {
      begin += room;
      n -= room;
    }
    if (count > 0 && first[count - 1] + length[count - 1] == begin) {
      length[count - 1] += n;
    } else {
      first[count] = begin;
      length[count++] = n;
    }
    total += n;
  }
};

// How n columns of a result are split into panels of at most four vectors: evenly.
struct Split {
  int64_t vectors, panels;
  SC_INLINE Split(int64_t n, int64_t w) : vectors((n + w - 1) / w), panels((vectors + 3) / 4) {}
  SC_INLINE int64_t width(int64_t p) const { return vectors / panels + (p < vectors % panels); }
};

// A large tile is a function of its own, whose registers are for its sums alone.
template <class F, class M>
SC_APART void apart(F& tile, int64_t row, M m) {
  tile(row, m);
}

// out [rows, n] (stride) = (add ? out : 0) + z[first .. first + rows] times packed, for z kept in panels.
template <class V, bool alike = false, class E, class T>
void product(const Panels<E>& z, int64_t first, int64_t rows, const Runs& runs, const E* packed, int64_t n, T* out,
             int64_t stride, bool add, Ahead* ahead = nullptr) {
  const Split split(n, V::W);
  if (ahead) ahead->divide(split.panels * ((rows + V::ROWS - 1) / V::ROWS) * z.count * runs.count);
  const int64_t depth = z.count * runs.total;
  for (int64_t p = 0, vector = 0; p < split.panels; ++p) {
    const int64_t width = split.width(p);
    const E* weights = packed + vector * V::W * depth;
    with_constant<4>(width, [&](auto n_) {
      constexpr int N = decltype(n_)::value;
      const auto tile = [&](int64_t row, auto m_) {
        constexpr int M = decltype(m_)::value;
        V acc[M][N];
        T* to = out + row * stride + vector * V::W;
        const int64_t left = n - vector * V::W;
        SC_ROW_BY_ROW (r, m_)
          for (int v = 0; v < N; ++v)
            acc[r][v] = add ? V::load_n(to + r * stride + v * V::W, left - v * V::W) : V::set(0);
        const E* b = weights;
        into_tiles(acc);
        for (int64_t q = 0; q < z.count; ++q)
          for (int64_t run = 0; run < runs.count; ++run) {
            multiply<Dense<N>, Dense<N>, alike>(acc, z.at(q, first + row) + runs.first[run], z.width, 1, runs.length[run], b,
                                         N * V::W);
            b += runs.length[run] * N * V::W;
            if (ahead) ahead->fetch();
          }
        out_of_tiles(acc);
        SC_ROW_BY_ROW (r, m_)
          for (int v = 0; v < N; ++v) acc[r][v].store_n(to + r * stride + v * V::W, left - v * V::W);
      };
      row_tiles<V>(rows, [&](int64_t row, auto m) {
        if constexpr (decltype(m)::value * N > 2 * V::BUSY)
          apart(tile, row, m);
        else
          tile(row, m);
      });
    });
    vector += width;
  }
}

#if defined(SC_AMX)
// Puts rows k - 15 to k of `lines` [16][width] into strips of 16 columns, each [16][depth], once all of them are written.
template <class V>
void put_in_strips(const Pair* lines, int64_t m, int64_t k, int64_t depth, Pair* strips) {
  const int64_t width = (m + 15) / 16 * 16;
  for (int64_t first = 0; k % 16 == 15 && first < m; first += 16)
    transpose(lines + first, width, strips + first * depth + k - 15, depth);
}
SC_INLINE int64_t strip_row(int, int64_t depth) { return depth; }
#else
// Puts `line` [m] as row k of strips of ROWS columns, each [depth][ROWS]; the last strip is as narrow as it comes.
template <class V, class E>
SC_INLINE void put_in_strips(const E* line, int64_t m, int64_t k, int64_t depth, E* strips) {
  int64_t first = 0;
  for (; first + V::ROWS <= m; first += V::ROWS)
    std::memcpy(strips + first * depth + k * V::ROWS, line + first, V::ROWS * sizeof(E));
  for (int64_t r = first; r < m; ++r) strips[first * depth + k * (m - first) + r - first] = line[r];
}
// How far the columns of a strip lie apart.
SC_INLINE int64_t strip_row(int, int64_t) { return 1; }
#endif

// sums [m][N * W] += left^T times right [depth][width], of one panel, in elements along the depth; left holds strips of
// ROWS of its m columns, as `put_in_strips` leaves them.
template <class V, class B, class E, class T>
void outer(const E* left, int64_t m, int64_t depth, const E* right, int64_t width, T* sums) {
  constexpr int N = B::count;
  for (int64_t first = 0; first < m; first += V::ROWS) {
    const int64_t height = m - first < V::ROWS ? m - first : V::ROWS;
    with_height<V>(height, [&](auto m_) {
      constexpr int M = decltype(m_)::value;
      V acc[M][N];
      T* to = sums + first * N * V::W;
      SC_ROWS (r, m_)
        SC_EACH (v, N) acc[r][v] = V::load(to + (r * N + v) * V::W);
      into_tiles(acc);
      multiply<Dense<N>, B>(acc, left + first * depth, strip_row(M, depth), M, depth, right, width);
      out_of_tiles(acc);
      SC_ROWS (r, m_)
        SC_EACH (v, N) acc[r][v].store(to + (r * N + v) * V::W);
    });
  }
}

}  // namespace SC_NAMESPACE
}  // namespace statecast
