// Intervals that follow a series: one step of src/statecast/model/adaptive.py, for the errors of a point forecast.
#include <cmath>
#include <cstring>

#include "prefetch.h"
#include "statecast.h"

namespace {

// A row's own numbers: its turn, what waits for its values, and how far its intervals are moved.
int64_t own(const statecast_following& f) {
  return 1 + f.targets * (2 * (2 * f.steps[f.leads - 1] - 1) + f.leads * f.levels);
}
template <class T>
T* turn_of(const statecast_following& f, int64_t k) {
  return static_cast<T*>(f.states) + (f.index ? f.index[k] : k) * f.stride + f.begin;
}

// How far a row's intervals are moved, behind what waits: 1 + 2 + 4 + … + the last of the steps.
template <class T>
T* moved_of(const statecast_following& f, T* turn) {
  return turn + 1 + (2 * f.steps[f.leads - 1] - 1) * f.targets * 2;
}

// One step of a row: the k-th values come, and the n-th forecast is made.
template <class T>
void follow(const statecast_following& f, T* turn, int64_t k, int64_t n) {
  const int64_t last = f.steps[f.leads - 1], now = static_cast<int64_t>(*turn);
  T *waiting = turn + 1, *moved = moved_of(f, turn);
  const double* values = f.values + k * f.targets;
  const T* forecast = static_cast<const T*>(f.forecast) + n * f.horizon * f.targets;
  const T* scale = static_cast<const T*>(f.scale) + n * f.targets;
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
      due[0] = forecast[f.ahead[l] * f.targets + d];
      due[1] = there ? scale[d] : T(0);
    }
  }
  *turn = static_cast<T>((now + 1) % last);
}

template <class T>
void follow_all(const statecast_following& f) {
  constexpr int64_t early = 8;  // rows of a large table lie anywhere in memory
  for (int64_t k = 0; k < f.count; ++k) {
    if (k + early < f.count) statecast::soon(turn_of<T>(f, k + early), own(f));
    follow<T>(f, turn_of<T>(f, k), k, k);
  }
}

template <class T>
void follow_through(const statecast_following& f, int64_t steps, const int64_t* said, const int64_t* kept, T* to) {
  T* turn = turn_of<T>(f, 0);
  const int64_t numbers = f.leads * f.levels * f.targets;
  for (int64_t t = 0; t < steps; ++t) {
    follow<T>(f, turn, t, said[t]);
    if (kept[t] >= 0) std::memcpy(to + kept[t] * numbers, moved_of(f, turn), static_cast<size_t>(numbers) * sizeof(T));
  }
}

// `count` tells forecasts, of which a row of states takes one each where `by_row`.
int check(const statecast_following* f, bool by_row) {
  if (!f) return STATECAST_NULL;
  if (f->dtype != STATECAST_FLOAT32 && f->dtype != STATECAST_FLOAT64) return STATECAST_BAD_DTYPE;
  if (f->leads < 1 || f->leads > 40 || f->levels < 0 || f->targets < 0 || f->horizon < 1 || f->begin < 0 ||
      f->count < 0 || f->rows < 0)
    return STATECAST_BAD_SHAPE;
  if (!f->steps || !f->ahead) return STATECAST_NULL;
  for (int64_t l = 0; l < f->leads; ++l)
    if (f->steps[l] != int64_t{1} << l || f->ahead[l] < 0 || f->ahead[l] >= f->horizon) return STATECAST_BAD_SHAPE;
  if (f->begin + own(*f) > f->stride) return STATECAST_BAD_SHAPE;
  if (f->count == 0) return STATECAST_OK;
  if (!f->states || !f->values || !f->forecast || !f->scale || !f->origin || !f->unit || !f->low || !f->high ||
      !f->size || !f->rate || !f->share)
    return STATECAST_NULL;
  const int64_t rows = by_row ? f->count : 1;
  if (!f->index) return rows <= f->rows ? STATECAST_OK : STATECAST_BAD_ROW;
  for (int64_t k = 0; k < rows; ++k)
    if (f->index[k] < 0 || f->index[k] >= f->rows) return STATECAST_BAD_ROW;
  return STATECAST_OK;
}

}  // namespace

extern "C" int32_t statecast_follow(const statecast_following* following) {
  if (const int bad = check(following, true)) return bad;
  if (following->dtype == STATECAST_FLOAT64)
    follow_all<double>(*following);
  else
    follow_all<float>(*following);
  return STATECAST_OK;
}

extern "C" int32_t statecast_follow_through(const statecast_following* following, int64_t steps, const int64_t* said,
                                            const int64_t* kept, int64_t places, void* moved) {
  if (const int bad = check(following, false)) return bad;
  if (steps < 0 || places < 0) return STATECAST_BAD_SHAPE;
  if (steps == 0) return STATECAST_OK;
  if (following->count == 0) return STATECAST_BAD_SHAPE;
  if (!said || !kept || (places > 0 && !moved)) return STATECAST_NULL;
  for (int64_t t = 0; t < steps; ++t)
    if (said[t] < 0 || said[t] >= following->count || kept[t] < -1 || kept[t] >= places) return STATECAST_BAD_ROW;
  if (following->dtype == STATECAST_FLOAT64)
    follow_through<double>(*following, steps, said, kept, static_cast<double*>(moved));
  else
    follow_through<float>(*following, steps, said, kept, static_cast<float*>(moved));
  return STATECAST_OK;
}
