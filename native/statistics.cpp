// The front's statistics of a table over time: `Front.scan` of src/statecast/model/front.py.
#include <initializer_list>

#define SC_NAMESPACE table
#include "statecast.h"

#include "front.h"

namespace {

template <class T>
void statistics(const statecast_statistics_call& s) {
  const int64_t numbers = s.rows * s.targets;
  const auto in = [](const void* p) { return static_cast<const T*>(p); };
  const auto out = [](void* p) { return static_cast<T*>(p); };
  for (int64_t t = 0; t < s.steps; ++t)
    for (int64_t k = 0; k < numbers; ++k) {
      const int64_t at = t * numbers + k, d = k % s.targets;
      T level = t ? out(s.level)[at - numbers] : in(s.level_before)[k];
      T spread = t ? out(s.spread)[at - numbers] : in(s.spread_before)[k];
      T count = t ? out(s.count)[at - numbers] : in(s.count_before)[k];
      T since = t ? out(s.since)[at - numbers] : in(s.since_before)[k];
      if (s.reset[t * s.rows + k / s.targets]) {
        level = in(s.level_first)[d];
        spread = in(s.spread_first)[d];
        count = since = 0;
      }
      statecast::table::advance(level, spread, count, since, in(s.y)[at], in(s.m)[at], s.normalize,
                                static_cast<T>(s.decay));
      out(s.level)[at] = level;
      out(s.spread)[at] = spread;
      out(s.count)[at] = count;
      out(s.since)[at] = since;
    }
}

int check(const statecast_statistics_call* s) {
  if (!s) return STATECAST_NULL;
  if (s->dtype != STATECAST_FLOAT32 && s->dtype != STATECAST_FLOAT64) return STATECAST_BAD_DTYPE;
  if (s->steps < 0 || s->rows < 0 || s->targets < 0 || s->normalize < STATECAST_NONE ||
      s->normalize > STATECAST_WINDOW)
    return STATECAST_BAD_SHAPE;
  if (s->steps == 0 || s->rows == 0 || s->targets == 0) return STATECAST_OK;
  for (const void* p : {s->y, s->m, static_cast<const void*>(s->reset), s->level_first, s->spread_first,
                        s->level_before, s->spread_before, s->count_before, s->since_before,
                        static_cast<const void*>(s->level), static_cast<const void*>(s->spread),
                        static_cast<const void*>(s->count), static_cast<const void*>(s->since)})
    if (!p) return STATECAST_NULL;
  return STATECAST_OK;
}

}  // namespace

extern "C" int32_t statecast_statistics(const statecast_statistics_call* call) {
  if (const int bad = check(call)) return bad;
  if (call->steps == 0 || call->rows == 0 || call->targets == 0) return STATECAST_OK;
  if (call->dtype == STATECAST_FLOAT64)
    statistics<double>(*call);
  else
    statistics<float>(*call);
  return STATECAST_OK;
}
