// The matrix tiles of a processor: eight of them, each of 16 rows of 64 bytes.
//
// The instructions are written out here, since a compiler's own functions do not tell it that a tile's load reads
// memory. STATECAST_EMULATE_AMX puts plain loops in their place, so that what is built on them can be tested on
// processors that have no tiles.
#pragma once
#include "vector.h"

namespace statecast {
namespace SC_NAMESPACE {

#if defined(STATECAST_EMULATE_AMX)

struct Tile {
  unsigned char row[16][64];
};
inline Tile& tile(int k) {
  static thread_local Tile tiles[8];
  return tiles[k];
}
struct TilesInUse {};

template <int to>
void tile_load(const void* from, int64_t stride) {
  for (int r = 0; r < 16; ++r) std::memcpy(tile(to).row[r], static_cast<const char*>(from) + r * stride, 64);
}
template <int from>
void tile_store(void* to, int64_t stride) {
  for (int r = 0; r < 16; ++r) std::memcpy(static_cast<char*>(to) + r * stride, tile(from).row[r], 64);
}
// Row r of a tile of pairs, as numbers.
inline void widen(int k, int r, float* to) {
  for (int c = 0; c < 32; ++c) {
    uint16_t half;
    std::memcpy(&half, tile(k).row[r] + 2 * c, sizeof half);
    const uint32_t bits = static_cast<uint32_t>(half) << 16;
    std::memcpy(to + c, &bits, sizeof bits);
  }
}
// sums [16][16] += left [16][16 pairs] times right [16 pairs][16].
template <int sums, int left, int right>
void tile_multiply() {
  float a[32], b[16][32], sum[16];
  for (int k = 0; k < 16; ++k) widen(right, k, b[k]);
  for (int r = 0; r < 16; ++r) {
    widen(left, r, a);
    std::memcpy(sum, tile(sums).row[r], sizeof sum);
    for (int k = 0; k < 16; ++k)
      for (int c = 0; c < 16; ++c) sum[c] += a[2 * k] * b[k][2 * c] + a[2 * k + 1] * b[k][2 * c + 1];
    std::memcpy(tile(sums).row[r], sum, sizeof sum);
  }
}

#else

// While it lives, this thread's tiles are set up; afterwards the system has none of them to save.
class TilesInUse {
 public:
  TilesInUse() {
    struct alignas(64) {
      uint8_t palette = 1, start = 0, unused[14] = {};
      uint16_t bytes[16] = {};
      uint8_t rows[16] = {};
    } sizes;
    for (int k = 0; k < 8; ++k) {
      sizes.bytes[k] = 64;
      sizes.rows[k] = 16;
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(sizes));
  }
  ~TilesInUse() { __asm__ volatile("tilerelease" : : : "memory"); }
  TilesInUse(const TilesInUse&) = delete;
  TilesInUse& operator=(const TilesInUse&) = delete;
};

template <int to>
SC_INLINE void tile_load(const void* from, int64_t stride) {
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(to) : "memory");
}
template <int from>
SC_INLINE void tile_store(void* to, int64_t stride) {
  __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(from) : "memory");
}
// sums [16][16] += left [16][16 pairs] times right [16 pairs][16].
template <int sums, int left, int right>
SC_INLINE void tile_multiply() {
  __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(left), "i"(right));
}

#endif

// to[c][r] = from[r][c] for 16 x 16 elements of four bytes; rows lie `width` and `depth` elements apart.
template <class E>
void transpose(const E* from, int64_t width, E* to, int64_t depth) {
  static_assert(sizeof(E) == 4, "a vector holds 16 elements");
  __m512i a[16], b[16];
  SC_EACH (r, 16) a[r] = _mm512_loadu_si512(from + r * width);
  SC_EACH (r, 8) {  // pairs of rows
    b[2 * r] = _mm512_unpacklo_epi32(a[2 * r], a[2 * r + 1]);
    b[2 * r + 1] = _mm512_unpackhi_epi32(a[2 * r], a[2 * r + 1]);
  }
  SC_EACH (r, 4)  // fours of rows: a[4 r + k] holds columns k, 4 + k, 8 + k, 12 + k
    SC_EACH (k, 2) {
      a[4 * r + 2 * k] = _mm512_unpacklo_epi64(b[4 * r + k], b[4 * r + 2 + k]);
      a[4 * r + 2 * k + 1] = _mm512_unpackhi_epi64(b[4 * r + k], b[4 * r + 2 + k]);
    }
  SC_EACH (k, 4) {  // all rows, a quarter of a vector from each four
    const __m512i low = _mm512_shuffle_i32x4(a[k], a[4 + k], 0x88), low_odd = _mm512_shuffle_i32x4(a[k], a[4 + k], 0xdd);
    const __m512i high = _mm512_shuffle_i32x4(a[8 + k], a[12 + k], 0x88);
    const __m512i high_odd = _mm512_shuffle_i32x4(a[8 + k], a[12 + k], 0xdd);
    _mm512_storeu_si512(to + k * depth, _mm512_shuffle_i32x4(low, high, 0x88));
    _mm512_storeu_si512(to + (4 + k) * depth, _mm512_shuffle_i32x4(low_odd, high_odd, 0x88));
    _mm512_storeu_si512(to + (8 + k) * depth, _mm512_shuffle_i32x4(low, high, 0xdd));
    _mm512_storeu_si512(to + (12 + k) * depth, _mm512_shuffle_i32x4(low_odd, high_odd, 0xdd));
  }
}

}  // namespace SC_NAMESPACE
}  // namespace statecast
