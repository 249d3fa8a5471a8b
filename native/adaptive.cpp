// Intervals that follow a series: one step of src/statecast/model/adaptive.py, for the errors of a point forecast.
#include <cmath>
#include <cstring>

#include "follow.h"
#include "prefetch.h"

namespace statecast {
namespace {

// Numbers of a row that are the intervals': the turn, what waits for its values, and how far they are moved.
int64_t own(const statecast_following& f) {
  return 1 + f.targets * (2 * (2 * f.steps[f.leads - 1] - 1) + f.leads * f.levels);
}
int64_t moved_numbers(const statecast_following& f) { return f.leads * f.levels * f.targets; }

// How far a row's intervals are moved, behind what waits: 1 + 2 + 4 + … + the last of the steps.
template <class T>
T* moved_of(const statecast_following& f, T* row) {
  return row + f.begin + 1 + (2 * f.steps[f.leads - 1] - 1) * f.targets * 2;
}
template <class T>
void copy_moved(const statecast_following& f, T* row, void* to, int64_t place) {
  const int64_t numbers = moved_numbers(f);
  std::memcpy(static_cast<T*>(to) + place * numbers, moved_of(f, row), static_cast<size_t>(numbers) * sizeof(T));
}

// One step of a row: the k-th values come, and the n-th forecast is made.
template <class T>
void follow(const statecast_following& f, const statecast_observations& o, T* row, int64_t k, int64_t n) {
  T *turn = row + f.begin, *waiting = turn + 1, *moved = moved_of(f, row);
  const int64_t last = f.steps[f.leads - 1], now = static_cast<int64_t>(*turn);
  const double* values = o.values + k * f.targets;
  const T* forecast = static_cast<const T*>(o.forecast) + n * f.horizon * f.targets;
  const T* scale = static_cast<const T*>(o.scale) + n * f.targets;
  for (int64_t l = 0; l < f.leads; ++l) {
    T* due = waiting + (f.steps[l] - 1 + now % f.steps[l]) * f.targets * 2;
    for (int64_t d = 0; d < f.targets; ++d, due += 2) {
      const bool there = !std::isnan(values[d]);
      if (there && due[1] > 0) {
        const T y = static_cast<T>((values[d] - f.origin[d]) / f.unit[d]);
        const double score = (static_cast<double>(y) - static_cast<double>(due[0])) / static_cast<double>(due[1]);
        for (int64_t v = 0; v < f.levels; ++v) {
          const int64_t at = (l * f.levels + v) * f.targets + d;
          const double reach = f.size[l * f.targets + d] * static_cast<double>(moved[at]);
          const double outside = score < f.low[at] - reach || score > f.high[at] + reach;
          moved[at] = static_cast<T>(static_cast<double>(moved[at]) + f.rate[l] * (outside - f.share[v]));
        }
      }
      // A forecast from before the ring is full is worse than those to come, and no measure of them.
      const bool kept = there && (f.counts < 0 || row[f.counts + d] >= static_cast<T>(f.least));
      due[0] = forecast[f.ahead[l] * f.targets + d];
      due[1] = kept ? scale[d] : T(0);
    }
  }
  *turn = static_cast<T>((now + 1) % last);
}

template <class T>
void follow_located(const statecast_following& f, const statecast_observations& o, T* const* rows, int64_t first,
                    int64_t count) {
  for (int64_t r = 0; r < count; ++r) {
    follow<T>(f, o, rows[r], first + r, first + r);
    if (o.moved) copy_moved(f, rows[r], o.moved, first + r);
  }
}

template <class T>
void follow_all(const statecast_following& f, const statecast_observations& o) {
  constexpr int64_t early = 8;  // rows of a large table lie anywhere in memory
  T* rows[early] = {};
  for (int64_t k = 0; k < o.count + early; ++k) {
    if (k >= early) follow_located<T>(f, o, rows + k % early, k - early, 1);
    if (k >= o.count) continue;
    rows[k % early] = row_of<T>(o, k);
    soon(rows[k % early] + f.begin, own(f));
  }
}

template <class T>
void follow_through(const statecast_following& f, const statecast_observations& o, int64_t steps, const int64_t* said,
                    const int64_t* kept) {
  T* row = row_of<T>(o, 0);
  for (int64_t t = 0; t < steps; ++t) {
    follow<T>(f, o, row, t, said[t]);
    if (kept[t] >= 0) copy_moved(f, row, o.moved, kept[t]);
  }
}

// `count` tells forecasts; `rows` how many rows of the table take them.
int check(const statecast_following* f, const statecast_observations* o, int64_t rows) {
  if (!f || !o) return STATECAST_NULL;
  if (o->count < 0 || o->rows < 0) return STATECAST_BAD_SHAPE;
  if (const int bad = check_following(*f, o->stride)) return bad;
  if (o->count == 0) return STATECAST_OK;
  if (!o->values || !o->forecast || !o->scale) return STATECAST_NULL;
  return check_table(*o, rows);
}

}  // namespace

int check_table(const statecast_observations& o, int64_t rows) {
  if (!o.blocks) return STATECAST_NULL;
  if (o.block < 1) return STATECAST_BAD_SHAPE;
  if (!o.index && rows > o.rows) return STATECAST_BAD_ROW;
  for (int64_t k = 0; o.index && k < rows; ++k)
    if (o.index[k] < 0 || o.index[k] >= o.rows) return STATECAST_BAD_ROW;
  return STATECAST_OK;
}

int check_following(const statecast_following& f, int64_t stride) {
  if (f.dtype != STATECAST_FLOAT32 && f.dtype != STATECAST_FLOAT64) return STATECAST_BAD_DTYPE;
  if (f.leads < 1 || f.leads > 40 || f.levels < 0 || f.targets < 0 || f.horizon < 1 || f.begin < 0 ||
      f.counts < -1 || (f.counts >= 0 && f.counts + f.targets > stride))
    return STATECAST_BAD_SHAPE;
  if (!f.steps || !f.ahead) return STATECAST_NULL;
  for (int64_t l = 0; l < f.leads; ++l)
    if (f.steps[l] != int64_t{1} << l || f.ahead[l] < 0 || f.ahead[l] >= f.horizon) return STATECAST_BAD_SHAPE;
  if (f.begin + own(f) > stride) return STATECAST_BAD_SHAPE;
  return f.origin && f.unit && f.low && f.high && f.size && f.rate && f.share ? STATECAST_OK : STATECAST_NULL;
}

void follow_rows(const statecast_following& f, const statecast_observations& o, float* const* rows, int64_t first,
                 int64_t count) {
  follow_located<float>(f, o, rows, first, count);
}
void follow_rows(const statecast_following& f, const statecast_observations& o, double* const* rows, int64_t first,
                 int64_t count) {
  follow_located<double>(f, o, rows, first, count);
}

}  // namespace statecast

using namespace statecast;

extern "C" int32_t statecast_follow(const statecast_following* following, const statecast_observations* observations) {
  if (const int bad = check(following, observations, observations ? observations->count : 0)) return bad;
  if (following->dtype == STATECAST_FLOAT64)
    follow_all<double>(*following, *observations);
  else
    follow_all<float>(*following, *observations);
  return STATECAST_OK;
}

extern "C" int32_t statecast_follow_through(const statecast_following* following,
                                            const statecast_observations* observations, int64_t steps,
                                            const int64_t* said, const int64_t* kept, int64_t places) {
  if (const int bad = check(following, observations, 1)) return bad;
  if (steps < 0 || places < 0) return STATECAST_BAD_SHAPE;
  if (steps == 0) return STATECAST_OK;
  const statecast_observations& o = *observations;
  if (o.count == 0) return STATECAST_BAD_SHAPE;
  if (!said || !kept || (places > 0 && !o.moved)) return STATECAST_NULL;
  for (int64_t t = 0; t < steps; ++t)
    if (said[t] < 0 || said[t] >= o.count || kept[t] < -1 || kept[t] >= places) return STATECAST_BAD_ROW;
  if (following->dtype == STATECAST_FLOAT64)
    follow_through<double>(*following, o, steps, said, kept);
  else
    follow_through<float>(*following, o, steps, said, kept);
  return STATECAST_OK;
}
