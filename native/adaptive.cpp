// Intervals that adapt to a series: one step of src/statecast/model/adaptive.py, for the errors of a point forecast.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "check.h"
#include "prefetch.h"
#include "surprise.h"
#include "table.h"

namespace statecast {
namespace {

const double* doubles(const statecast_array& a) { return static_cast<const double*>(a.data); }
const int64_t* integers(const statecast_array& a) { return static_cast<const int64_t*>(a.data); }

int64_t last_step(const statecast_adaptation& a) { return int64_t{1} << (a.leads - 1); }
// Numbers of the forecasts that wait for their values: 1 + 2 + 4 + ... + the last of the steps, each with its scale.
int64_t waiting(const statecast_adaptation& a) { return (2 * last_step(a) - 1) * a.targets * 2; }
// What a row holds for its intervals: the turn, the waiting forecasts, the shifts, and what scores its values.
int64_t numbers(const statecast_adaptation& a) {
  return 1 + waiting(a) + shift_numbers(a) + (a.rules.data ? surprises * a.targets : 0);
}

template <class T>
T* report_of(const statecast_adaptation& a, T* row) {
  return row + a.begin + 1 + waiting(a);
}
template <class T>
void copy_report(const statecast_adaptation& a, T* row, const statecast_buffer& to, int64_t place) {
  const int64_t count = report_numbers(a);
  if (count > 0)
    std::memcpy(static_cast<T*>(to.data) + place * count, report_of(a, row), static_cast<size_t>(count) * sizeof(T));
}

// The size of a series' errors at a watched step, from that of the step before; 1 where intervals are not sized.
template <class T>
double size_after(const statecast_adaptation& a, const T* moves, double before) {
  if (!a.typical.data) return 1;
  const T *sum = moves + a.levels * a.targets, *weight = sum + a.targets;
  return (a.prior * before + static_cast<double>(*sum)) / (a.prior + static_cast<double>(*weight));
}

// The intervals of one step ahead and target by a score in units of the series' own errors.
template <class T>
void move(const statecast_adaptation& a, T* moves, int64_t l, int64_t d, double score) {
  const double *low = doubles(a.low), *high = doubles(a.high), *width = doubles(a.width);
  for (int64_t v = 0; v < a.levels; ++v) {
    const int64_t at = (l * a.levels + v) * a.targets + d;
    T* shift = moves + v * a.targets;
    const double reach = width[l * a.targets + d] * static_cast<double>(*shift);
    const double outside = score < low[at] - reach || score > high[at] + reach;
    *shift = static_cast<T>(static_cast<double>(*shift) + doubles(a.rate)[l] * (outside - doubles(a.share)[v]));
  }
}

// How far a score lies from the median, in units of the way from there to the outermost bound.
template <class T>
double position(const statecast_adaptation& a, const T* moves, int64_t l, int64_t d, double score) {
  const int64_t v = a.levels - 1, at = (l * a.levels + v) * a.targets + d;
  const double unit = doubles(a.width)[l * a.targets + d], middle = doubles(a.middle)[l * a.targets + d];
  const double reach = unit * static_cast<double>(moves[v * a.targets]);
  const double half = score > middle ? doubles(a.high)[at] + reach - middle : middle - (doubles(a.low)[at] - reach);
  const double least = std::max(a.narrowest * unit, 1 / a.farthest);
  return std::min(std::max((score - middle) / std::max(half, least), -a.farthest), a.farthest);
}

// What is known of the value of a step, for one target.
template <class T>
Surprise<T> surprise_of(const statecast_adaptation& a, T* row, int64_t d) {
  const double* excess = doubles(a.excess);
  return {*static_cast<const Rules*>(a.rules.data), row + shift_numbers(a) + d, a.targets,
          {excess[d], excess[a.targets + d]}, doubles(a.centre)[d]};
}

// Where a value lies among the forecasts of one step ahead.
template <class T>
void place_value(const statecast_adaptation& a, const T* moves, int64_t l, int64_t d, const T* forecast, double score,
                 double size, Arrival& arrival) {
  const double where = position(a, moves, l, d, score / size);
  if (arrival.forecasts == 0) arrival.latest = where;
  arrival.together += where;
  arrival.forecasts += 1;
  if (l > 0) return;
  arrival.next = true;
  arrival.error = arrival.value - static_cast<double>(forecast[0]);
}

template <class T>
void learn(const statecast_adaptation& a, T* moves, int64_t lead, double error, double size) {
  T *sum = moves + a.levels * a.targets, *weight = sum + a.targets;
  const double part = 1.0 / static_cast<double>(lead), most = a.most * size;
  *sum = static_cast<T>((1 - a.forget) * static_cast<double>(*sum) + (error < most ? error : most) * part);
  *weight = static_cast<T>((1 - a.forget) * static_cast<double>(*weight) + part);
}

// One step of a row: the k-th values come, and the n-th forecast begins to wait.
template <class T>
void step(const statecast_adaptation& a, const statecast_observations& o, T* row, int64_t k, int64_t n) {
  T *turn = row + a.begin, *ring = turn + 1, *shift = report_of(a, row);
  const int64_t last = last_step(a);
  // A state may come from a file: a turn that is no turn counts as the first.
  const int64_t now = *turn >= T(0) && *turn < static_cast<T>(last) ? static_cast<int64_t>(*turn) : 0;
  const double *values = doubles(o.values) + k * a.targets, *origin = doubles(a.origin), *unit = doubles(a.unit);
  const T* forecast = static_cast<const T*>(o.forecast.data) + n * a.horizon * a.targets;
  const T* scale = static_cast<const T*>(o.scale.data) + n * a.targets;
  for (int64_t d = 0; d < a.targets; ++d) {
    const bool observed = !std::isnan(values[d]);
    double size = 1;  // of the series' errors at the step before
    Arrival arrival;
    arrival.observed = observed;
    arrival.value = observed ? static_cast<double>(static_cast<T>((values[d] - origin[d]) / unit[d])) : 0;
    for (int64_t l = 0; l < a.leads; ++l) {
      const int64_t lead = int64_t{1} << l;
      T* place = ring + ((lead - 1 + now % lead) * a.targets + d) * 2;  // of the forecast that these values were of
      T* moves = shift + l * places(a) * a.targets + d;
      size = size_after(a, moves, size);
      if (observed && place[1] > 0) {
        const T y = static_cast<T>((values[d] - origin[d]) / unit[d]);
        const double score = (static_cast<double>(y) - static_cast<double>(place[0])) / static_cast<double>(place[1]);
        if (a.rules.data) place_value(a, moves, l, d, place, score, size, arrival);
        move(a, moves, l, d, score / size);
        if (a.typical.data) learn(a, moves, lead, std::abs(score) / doubles(a.typical)[l * a.targets + d], size);
      }
      const bool measures = observed && (a.counts < 0 || row[a.counts + d] >= static_cast<T>(a.least));
      place[0] = forecast[integers(a.ahead)[l] * a.targets + d];
      place[1] = measures ? scale[d] : T(0);
    }
    if (a.rules.data) {
      if (arrival.forecasts > 0) arrival.together /= arrival.forecasts;
      surprise_of(a, shift, d).observe(arrival);
    }
  }
  *turn = static_cast<T>((now + 1) % last);
}

template <class T>
void adapt(const statecast_adaptation& a, const statecast_observations& o, T* const* rows, int64_t first,
           int64_t count) {
  for (int64_t r = 0; r < count; ++r) {
    step<T>(a, o, rows[r], first + r, first + r);
    if (o.report.data) copy_report(a, rows[r], o.report, first + r);
  }
}

template <class T>
void adapt_all(const statecast_adaptation& a, const statecast_observations& o) {
  constexpr int64_t early = 8;  // rows of a large table lie anywhere in memory
  T* rows[early] = {};
  for (int64_t k = 0; k < o.count + early; ++k) {
    if (k >= early) adapt<T>(a, o, rows + k % early, k - early, 1);
    if (k >= o.count) continue;
    rows[k % early] = row_of<T>(o, k);
    prefetch(rows[k % early] + a.begin, numbers(a));
  }
}

template <class T>
void adapt_along(const statecast_adaptation& a, const statecast_observations& o, const statecast_path& path) {
  T* row = row_of<T>(o, 0);
  for (int64_t t = 0; t < path.steps; ++t) {
    step<T>(a, o, row, t, integers(path.origins)[t]);
    if (integers(path.places)[t] >= 0) copy_report(a, row, o.report, integers(path.places)[t]);
  }
}

// For `values` rows of values, which move `rows` rows of the table and leave `slots` reports.
int32_t check(const statecast_adaptation* a, const statecast_observations* o, int64_t rows, int64_t values,
              int64_t slots) {
  if (o->count < 0) return STATECAST_BAD_SHAPE;
  if (const int32_t status = check_adaptation(*a, o->stride)) return status;
  const int64_t t = bytes_of(a->dtype), d = a->targets;
  const int32_t status = check({needs(o->values, 8, {values, d}), needs(o->forecast, t, {o->count, a->horizon, d}),
                                needs(o->scale, t, {o->count, d}),
                                may_have(o->report, t, {slots, report_numbers(*a)})});
  return status ? status : check_table(*o, rows, t);
}

}  // namespace

int32_t check_table(const statecast_observations& o, int64_t rows, int64_t element) {
  if (o.block < 1 || o.rows < 0 || o.stride < 0) return STATECAST_BAD_SHAPE;
  const int64_t blocks = o.rows / o.block + (o.rows % o.block > 0), bytes = int64_t{sizeof(statecast_buffer)};
  const int32_t status = check({{o.blocks.data, o.blocks.bytes, product(bytes, {blocks}), 8, false},
                                may_have(o.index, 8, {rows})});
  if (status) return status;
  if (!o.index.data && rows > o.rows) return STATECAST_BAD_ROW;
  for (int64_t k = 0; k < rows; ++k) {
    const int64_t at = o.index.data ? integers(o.index)[k] : k;
    if (at < 0 || at >= o.rows) return STATECAST_BAD_ROW;
    const statecast_buffer& b = static_cast<const statecast_buffer*>(o.blocks.data)[at / o.block];
    if (!b.data) return STATECAST_NULL;
    const int64_t end = product(element, {at % o.block + 1, o.stride});
    if (end < 0 || b.bytes < end || reinterpret_cast<uintptr_t>(b.data) % static_cast<uintptr_t>(element) != 0)
      return STATECAST_BAD_LENGTH;
  }
  return STATECAST_OK;
}

int32_t check_adaptation(const statecast_adaptation& a, int64_t stride) {
  if (a.dtype != STATECAST_FLOAT32 && a.dtype != STATECAST_FLOAT64) return STATECAST_BAD_DTYPE;
  if (a.leads < 1 || a.leads > 24 || a.levels < 0 || a.levels > 1024 || a.targets < 0 ||
      a.targets > int64_t{1} << 17 || a.horizon < 1 || a.begin < 0 || a.counts < -1)
    return STATECAST_BAD_SHAPE;
  if (numbers(a) > stride || a.begin > stride - numbers(a) || a.counts > stride - a.targets) return STATECAST_BAD_SHAPE;
  const int64_t leads = a.leads, levels = a.levels, d = a.targets;
  const int32_t status =
      check({needs(a.steps, 8, {leads}), needs(a.ahead, 8, {leads}), needs(a.origin, 8, {d}), needs(a.unit, 8, {d}),
             needs(a.low, 8, {leads, levels, d}), needs(a.high, 8, {leads, levels, d}), needs(a.width, 8, {leads, d}),
             needs(a.rate, 8, {leads}), needs(a.share, 8, {levels}), may_have(a.typical, 8, {leads, d}),
             may_have(a.middle, 8, {leads, d}), may_have(a.excess, 8, {2, d}), may_have(a.centre, 8, {d}),
             may_have(a.rules, 8, {int64_t{sizeof(Rules)} / 8})});
  if (status) return status;
  if (a.rules.data && levels < 1) return STATECAST_BAD_SHAPE;
  if (a.rules.data && !(a.middle.data && a.excess.data && a.centre.data)) return STATECAST_NULL;
  for (int64_t l = 0; l < leads; ++l)
    if (integers(a.steps)[l] != int64_t{1} << l || integers(a.ahead)[l] < 0 || integers(a.ahead)[l] >= a.horizon)
      return STATECAST_BAD_SHAPE;
  return STATECAST_OK;
}

void adapt_rows(const statecast_adaptation& a, const statecast_observations& o, float* const* rows, int64_t first,
                int64_t count) {
  adapt<float>(a, o, rows, first, count);
}
void adapt_rows(const statecast_adaptation& a, const statecast_observations& o, double* const* rows, int64_t first,
                int64_t count) {
  adapt<double>(a, o, rows, first, count);
}

}  // namespace statecast

using namespace statecast;

extern "C" int32_t statecast_adapt(const statecast_adaptation* adaptation, const statecast_observations* observations) {
  if (!adaptation || !observations) return STATECAST_NULL;
  const int64_t count = observations->count;
  if (const int32_t status = check(adaptation, observations, count, count, count)) return status;
  if (adaptation->dtype == STATECAST_FLOAT64)
    adapt_all<double>(*adaptation, *observations);
  else
    adapt_all<float>(*adaptation, *observations);
  return STATECAST_OK;
}

extern "C" int32_t statecast_adapt_along(const statecast_adaptation* adaptation,
                                         const statecast_observations* observations, const statecast_path* path) {
  if (!adaptation || !observations || !path) return STATECAST_NULL;
  if (path->steps < 0 || path->slots < 0) return STATECAST_BAD_SHAPE;
  if (const int32_t status = check(adaptation, observations, 1, path->steps, path->slots)) return status;
  if (const int32_t status = check({needs(path->origins, 8, {path->steps}), needs(path->places, 8, {path->steps})}))
    return status;
  const int64_t slots = observations->report.data ? path->slots : 0;
  for (int64_t t = 0; t < path->steps; ++t) {
    const int64_t origin = integers(path->origins)[t], place = integers(path->places)[t];
    if (origin < 0 || origin >= observations->count || place < -1 || place >= slots) return STATECAST_BAD_ROW;
  }
  if (adaptation->dtype == STATECAST_FLOAT64)
    adapt_along<double>(*adaptation, *observations, *path);
  else
    adapt_along<float>(*adaptation, *observations, *path);
  return STATECAST_OK;
}
