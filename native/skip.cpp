// The linear skip's C interface: checks what comes, and splits the work among threads.
#include <algorithm>
#include <vector>

#include "check.h"
#include "job.h"
#include "parallel.h"

namespace statecast {
namespace {

// Every number of a series must be one of theirs, or 0.
int32_t check_numbers(const statecast_skip& s, const statecast_skip_arrays& a) {
  const int32_t* numbers = static_cast<const int32_t*>(a.numbers.data);
  for (int64_t n = 0; numbers && n < s.steps * s.batch; ++n)
    if (numbers[n] < 0 || numbers[n] > s.series) return STATECAST_BAD_ROW;
  return STATECAST_OK;
}

// Every ring must lie in the series, as far as it is read.
int32_t check_places(const statecast_skip& s, const statecast_skip_arrays& a) {
  const int32_t *last = static_cast<const int32_t*>(a.last.data), *age = static_cast<const int32_t*>(a.age.data);
  for (int64_t n = 0; n < s.steps * s.batch; ++n)
    if (age[n] < 0 || last[n] < 0 || last[n] >= s.places || last[n] - std::min<int64_t>(age[n], s.size - 1) < 0)
      return STATECAST_BAD_ROW;
  return STATECAST_OK;
}

int32_t check(const statecast_skip* s, const statecast_skip_arrays* arrays, bool backward) {
  if (!s || !arrays) return STATECAST_NULL;
  if (s->dtype != STATECAST_FLOAT32 && s->dtype != STATECAST_FLOAT64) return STATECAST_BAD_DTYPE;
  if (!arithmetic(s->isa == -1 ? best_isa(s->dtype) : s->isa, s->dtype)) return STATECAST_BAD_ISA;
  for (int64_t size : {s->networks, s->places, s->steps, s->batch, s->targets, s->size, s->horizon, s->series})
    if (size < 0 || size > INT32_MAX) return STATECAST_BAD_SHAPE;
  if (s->size == 0 || s->horizon == 0) return STATECAST_BAD_SHAPE;
  const int64_t t = bytes_of(s->dtype), steps = s->steps, batch = s->batch, d = s->targets, k = s->size, h = s->horizon;
  // The scratch memory that a call shares is larger than any array by no more than this.
  if (product(64, {steps, batch, h, d}) < 0 || product(64, {k + 64, h, d}) < 0) return STATECAST_BAD_SHAPE;
  const int64_t series = backward ? 0 : s->series, numbered = series > 0 ? steps : 0;
  for (int64_t n = 0; n < s->networks; ++n) {
    const statecast_skip_arrays& a = arrays[n];
    if (const int32_t bad =
            check({needs(a.y, t, {d, s->places}), may_have(a.m, t, {d, s->places}), needs(a.last, 4, {steps, batch}),
                   needs(a.age, 4, {steps, batch}), needs(a.level, t, {steps, batch, d}),
                   needs(a.scale, t, {steps, batch, d})}))
      return bad;
    const int32_t bad = backward ? check({needs(a.dout, t, {steps, batch, h, d}), needs(a.dW, t, {d, k, h})})
                                 : check({needs(a.W, t, {d, k, h}), needs(a.out, t, {steps, batch, h, d})});
    if (bad) return bad;
    if (const int32_t wrong = check({needs(a.numbers, 4, {numbered, batch}), needs(a.maps, t, {series, d, h, k})}))
      return wrong;
    if (const int32_t outside = check_places(*s, a)) return outside;
    if (const int32_t outside = check_numbers(*s, a)) return outside;
  }
  return STATECAST_OK;
}

// The networks' calls, each with its part of the memory that its jobs share.
struct Calls {
  Memory memory_;
  std::vector<SkipCall> each;

  Calls(const statecast_skip& s, const statecast_skip_arrays* arrays, bool backward,
        int64_t (*bytes)(const SkipCall&)) {
    for (int64_t n = 0; n < s.networks; ++n) {
      const statecast_skip_arrays& a = arrays[n];
      each.push_back({s.places, s.steps, s.batch, s.targets, s.size, s.horizon, a.y.data, a.m.data, a.level.data,
                      a.scale.data, a.W.data, a.maps.data, a.dout.data, static_cast<const int32_t*>(a.last.data),
                      static_cast<const int32_t*>(a.age.data), static_cast<const int32_t*>(a.numbers.data), nullptr,
                      backward ? a.dW.data : a.out.data});
    }
    if (each.empty()) return;
    const int64_t size = (bytes(each[0]) + 63) / 64 * 64;
    memory_ = memory(size * s.networks);
    for (int64_t n = 0; n < s.networks; ++n)
      each[size_t(n)].shared = static_cast<char*>(memory_.get()) + n * size;
  }
};

// As many threads as some work is worth.
int64_t workers(const statecast_skip& s, int64_t jobs, double work) {
  const int64_t worth = int64_t(std::min(work * double(s.networks) / 1e6, 1e6)) + 1;
  return std::max<int64_t>(1, std::min({int64_t{s.threads}, worth, jobs * s.networks}));
}

// Runs f(worker, call, job) for the jobs of all calls.
template <class F>
void run(const statecast_skip& s, const std::vector<SkipCall>& calls, int64_t jobs, double work, F&& f) {
  in_parallel(s.pool, jobs * s.networks, workers(s, jobs, work),
              [&](int64_t worker, int64_t k) { f(worker, calls[size_t(k / jobs)], k % jobs); });
}

int64_t row_jobs(const statecast_skip& s) { return (s.steps * s.batch + skip_rows - 1) / skip_rows; }

// Runs f(worker, call, first row, rows) for all rows.
template <class F>
void run_rows(const statecast_skip& s, const std::vector<SkipCall>& calls, double work, F&& f) {
  const int64_t rows = s.steps * s.batch;
  run(s, calls, row_jobs(s), work, [&](int64_t worker, const SkipCall& c, int64_t job) {
    f(worker, c, job * skip_rows, std::min(skip_rows, rows - job * skip_rows));
  });
}

double products(const statecast_skip& s) {
  return 2.0 * double(s.steps) * double(s.batch) * double(s.targets) * double(s.size) * double(s.horizon);
}

const SkipArithmetic& chosen(const statecast_skip& s) {
  return *arithmetic(s.isa == -1 ? best_isa(s.dtype) : s.isa, s.dtype)->skip;
}

void forward(const statecast_skip& s, const statecast_skip_arrays* arrays) {
  const SkipArithmetic& a = chosen(s);
  const Calls calls(s, arrays, false, a.packed_bytes);
  if (s.networks == 0) return;
  const double weights = 8.0 * double(s.targets) * double(s.size) * double(s.horizon);
  run(s, calls.each, a.packs(calls.each[0]), weights,
      [&](int64_t, const SkipCall& c, int64_t job) { a.pack(c, job); });
  const int64_t scratch = (a.forward_bytes(calls.each[0]) + 4095) / 4096 * 4096;
  const Memory rings = memory(scratch * workers(s, row_jobs(s), products(s)));
  run_rows(s, calls.each, products(s), [&](int64_t worker, const SkipCall& c, int64_t first, int64_t count) {
    a.forward(c, first, count, static_cast<char*>(rings.get()) + worker * scratch);
  });
}

void backward(const statecast_skip& s, const statecast_skip_arrays* arrays) {
  const SkipArithmetic& a = chosen(s);
  const Calls calls(s, arrays, true, a.prepared_bytes);
  if (s.networks == 0) return;
  const double rows = double(s.steps) * double(s.batch) * double(s.targets) * double(s.horizon + 50);
  run_rows(s, calls.each, rows,
           [&](int64_t, const SkipCall& c, int64_t first, int64_t count) { a.prepare(c, first, count); });
  run(s, calls.each, a.backwards(calls.each[0]), products(s),
      [&](int64_t, const SkipCall& c, int64_t job) { a.backward(c, job); });
}

}  // namespace
}  // namespace statecast

using namespace statecast;

extern "C" {

int32_t statecast_skip_forward(const statecast_skip* skip, const statecast_skip_arrays* arrays) {
  if (const int32_t status = check(skip, arrays, false)) return status;
  return guarded([&] { forward(*skip, arrays); });
}

int32_t statecast_skip_backward(const statecast_skip* skip, const statecast_skip_arrays* arrays) {
  if (const int32_t status = check(skip, arrays, true)) return status;
  return guarded([&] { backward(*skip, arrays); });
}

}  // extern "C"
