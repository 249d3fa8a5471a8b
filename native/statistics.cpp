// The front's statistics of a table over time: `Front.scan` of src/statecast/model/front.py.
#define SC_NAMESPACE table
#include "check.h"

#include "front.h"

namespace {

template <class T>
void statistics(const statecast_statistics_call& s) {
  const auto in = [](const statecast_array& a) { return static_cast<const T*>(a.data); };
  const auto out = [](const statecast_buffer& a) { return static_cast<T*>(a.data); };
  const uint8_t* reset = static_cast<const uint8_t*>(s.reset.data);
  const int64_t numbers = s.rows * s.targets;
  for (int64_t t = 0; t < s.steps; ++t)
    for (int64_t k = 0; k < numbers; ++k) {
      const int64_t at = t * numbers + k, d = k % s.targets;
      T level = t ? out(s.level)[at - numbers] : in(s.level_before)[k];
      T spread = t ? out(s.spread)[at - numbers] : in(s.spread_before)[k];
      T count = t ? out(s.count)[at - numbers] : in(s.count_before)[k];
      T since = t ? out(s.since)[at - numbers] : in(s.since_before)[k];
      if (reset[t * s.rows + k / s.targets]) {
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

int32_t check(const statecast_statistics_call* s) {
  using statecast::needs;
  if (!s) return STATECAST_NULL;
  if (s->dtype != STATECAST_FLOAT32 && s->dtype != STATECAST_FLOAT64) return STATECAST_BAD_DTYPE;
  if (s->steps < 0 || s->rows < 0 || s->targets < 0 || s->normalize < STATECAST_NONE ||
      s->normalize > STATECAST_WINDOW)
    return STATECAST_BAD_SHAPE;
  const int64_t t = statecast::bytes_of(s->dtype), steps = s->steps, rows = s->rows, d = s->targets;
  return statecast::check(
      {needs(s->y, t, {steps, rows, d}), needs(s->m, t, {steps, rows, d}), needs(s->reset, 1, {steps, rows}),
       needs(s->level_first, t, {d}), needs(s->spread_first, t, {d}), needs(s->level_before, t, {rows, d}),
       needs(s->spread_before, t, {rows, d}), needs(s->count_before, t, {rows, d}),
       needs(s->since_before, t, {rows, d}), needs(s->level, t, {steps, rows, d}),
       needs(s->spread, t, {steps, rows, d}), needs(s->count, t, {steps, rows, d}),
       needs(s->since, t, {steps, rows, d})});
}

}  // namespace

extern "C" int32_t statecast_statistics(const statecast_statistics_call* call) {
  if (const int32_t status = check(call)) return status;
  if (call->steps == 0 || call->rows == 0 || call->targets == 0) return STATECAST_OK;
  if (call->dtype == STATECAST_FLOAT64)
    statistics<double>(*call);
  else
    statistics<float>(*call);
  return STATECAST_OK;
}
