// The C interface: checks what comes, splits rows among threads, and chooses the instruction set.
#include <algorithm>
#include <cstring>
#include <vector>

#include "check.h"
#include "job.h"
#include "parallel.h"

#if defined(SC_X86) && defined(_MSC_VER)
#include <intrin.h>
#elif defined(SC_X86)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace statecast {
namespace {

#if defined(SC_X86) && defined(_MSC_VER)
bool processor_has(int isa) {
  int a[4], b[4];
  __cpuid(a, 1);
  __cpuidex(b, 7, 0);
  if (!(a[2] & (1 << 27))) return false;
  const unsigned long long registers = _xgetbv(0);
  if (isa == STATECAST_AVX2) return (registers & 6) == 6 && (a[2] & (1 << 12)) && (b[1] & (1 << 5));
  return (registers & 0xe6) == 0xe6 && (b[1] & (1 << 16)) && (b[1] & (1 << 17)) && (b[1] & (1 << 30)) && (b[1] & (1 << 31));
}
#elif defined(SC_X86)
bool processor_has(int isa) {
  if (isa == STATECAST_AVX2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
// Leaf 7 of the processor's description of itself: products of pairs of numbers in bfloat16, and tiles of them.
bool processor_multiplies_pairs() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return processor_has(STATECAST_AVX512) && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 5));
}
bool processor_has_tiles() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return processor_multiplies_pairs() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & (1u << 22)) &&
         (d & (1u << 24));
}
#endif

#if defined(SC_HAVE_AMX)
// Linux gives a process the use of tiles when it asks for it, and refuses where the system cannot save them.
bool tiles_may_be_used() {
#if defined(STATECAST_EMULATE_AMX)
  return processor_multiplies_pairs();
#elif defined(__linux__)
  constexpr long ask_for_state = 0x1023, of_tiles = 18;
  return processor_has_tiles() && syscall(SYS_arch_prctl, ask_for_state, of_tiles) == 0;
#else
  return false;
#endif
}
#endif

// Intel's processors multiply pairs at less than half the pace of AMD's: float32 is quicker there (measured on a Xeon).
bool pairs_are_quick() {
#if defined(SC_HAVE_AVX512_BF16) && defined(__GNUC__)
  return !__builtin_cpu_is("intel");
#else
  return true;
#endif
}

// Null where the processor has no instruction for it.
const Arithmetic* bf16([[maybe_unused]] int isa) {
#if defined(SC_HAVE_AMX)
  static const bool tiles = tiles_may_be_used();
  if (isa == STATECAST_AMX && tiles) return bf16_tiles();
#endif
#if defined(SC_HAVE_AVX512_BF16)
  static const bool pairs = processor_multiplies_pairs();
  if (isa == STATECAST_AVX512_BF16 && pairs) return bf16_pairs();
#endif
  return nullptr;
}

}  // namespace

const Arithmetic* arithmetic(int isa, int dtype) {
  if (dtype == STATECAST_BF16) return bf16(isa);
  if (isa == STATECAST_PLAIN) return dtype == STATECAST_FLOAT64 ? plain_double() : plain_float();
  if (dtype == STATECAST_FLOAT64) return plain_double();
#if defined(SC_HAVE_NEON)
  if (isa == STATECAST_NEON) return neon_float();
#endif
#if defined(SC_HAVE_AVX2)
  if (isa == STATECAST_AVX2 && processor_has(isa)) return avx2_float();
#endif
#if defined(SC_HAVE_AVX512)
  if (isa == STATECAST_AVX512 && processor_has(isa)) return avx512_float();
#endif
  return nullptr;
}

int best_isa(int dtype) {
  if (dtype == STATECAST_BF16) {
    if (bf16(STATECAST_AMX)) return STATECAST_AMX;
    return bf16(STATECAST_AVX512_BF16) && pairs_are_quick() ? STATECAST_AVX512_BF16 : -1;
  }
  for (int isa : {STATECAST_AVX512, STATECAST_AVX2, STATECAST_NEON})
    if (arithmetic(isa, STATECAST_FLOAT32)) return isa;
  return STATECAST_PLAIN;
}

namespace {

bool multiplies(std::initializer_list<int64_t> factors) {
  int64_t n = 64;  // room for padding and for the size of an element
  for (int64_t f : factors) {
    if (f > 0 && n > (int64_t{1} << 46) / f) return false;
    n *= std::max<int64_t>(f, 1);
  }
  return true;
}

int32_t check(const statecast_layer* s) {
  if (!s) return STATECAST_NULL;
  if (!gates_of(s->cell)) return STATECAST_BAD_CELL;
  if (s->dtype < STATECAST_FLOAT32 || s->dtype > STATECAST_BF16) return STATECAST_BAD_DTYPE;
  if (s->networks < 0 || s->steps < 0 || s->batch < 0 || s->inputs < 0 || s->hidden < 0) return STATECAST_BAD_SHAPE;
  if (!multiplies({s->networks, s->steps, s->batch, s->inputs + 1}) ||
      !multiplies({s->networks, s->steps, s->batch, s->hidden, 4}) || !multiplies({s->inputs + 1, s->hidden, 4}) ||
      !multiplies({s->hidden, s->hidden, 4}) || !multiplies({s->networks, s->batch, s->hidden, 4}))
    return STATECAST_BAD_SHAPE;
  const int dtype = s->dtype == STATECAST_BF16 ? STATECAST_BF16 : STATECAST_FLOAT32;  // float64 has one for all
  if (!arithmetic(s->isa == -1 ? best_isa(dtype) : s->isa, dtype)) return STATECAST_BAD_ISA;
  return STATECAST_OK;
}

const Arithmetic& arithmetic_of(const statecast_layer& s) {
  int isa = s.isa == -1 ? best_isa(s.dtype) : s.isa;
  // Up to 8 units fill half a wide vector: the shorter ones do the same in less time.
  if (isa == STATECAST_AVX512 && s.hidden <= 8 && arithmetic(STATECAST_AVX2, s.dtype)) isa = STATECAST_AVX2;
  return *arithmetic(isa, s.dtype);
}

Job job_of(const statecast_layer& s) {
  Job j{};
  j.cell = s.cell;
  j.steps = s.steps;
  j.batch = j.rows = s.batch;
  j.inputs = s.inputs;
  j.hidden = s.hidden;
  return j;
}

// Into how many parts a network's rows are split. It depends on the shape alone, so that backward finds what forward
// left; a part should be worth the start of a thread.
int64_t parts(const statecast_layer& s) {
  const double work =
      2.0 * double(s.steps) * double(s.batch) * double(s.inputs + s.hidden) * double(gates_of(s.cell) * s.hidden);
  const int64_t threads = std::max<int64_t>(s.threads, 1), worth = int64_t(std::min(work / 1e6, 1e6));
  const int64_t share = (threads + std::max<int64_t>(s.networks, 1) - 1) / std::max<int64_t>(s.networks, 1);
  return std::max<int64_t>(1, std::min({share, s.batch, worth}));
}

// The jobs of a call: each network's rows in parts.
template <class Set>
std::vector<Job> split(const statecast_layer& s, Set&& set) {
  const int64_t count = parts(s);
  std::vector<Job> jobs;
  jobs.reserve(static_cast<size_t>(s.networks * count));
  for (int64_t n = 0; n < s.networks; ++n)
    for (int64_t k = 0, first = 0; k < count; ++k) {
      Job j = job_of(s);
      j.first = first;
      j.rows = s.batch / count + (k < s.batch % count);
      first += j.rows;
      set(j, n);
      jobs.push_back(j);
    }
  return jobs;
}

int64_t workers(const statecast_layer& s, int64_t jobs) {
  return std::max<int64_t>(1, std::min<int64_t>(s.threads, jobs));
}

int64_t most(const std::vector<Job>& jobs, int64_t (*bytes)(const Job&)) {
  int64_t n = 0;
  for (const Job& j : jobs) n = std::max(n, (bytes(j) + 4095) / 4096 * 4096);
  return n;
}

void run_forward(const statecast_layer& s, const statecast_inputs* in, const statecast_outputs* out) {
  const Arithmetic& a = arithmetic_of(s);
  std::vector<Job> jobs = split(s, [&](Job& j, int64_t n) {
    j.in = in + n;
    j.out = out + n;
  });
  const Job whole = job_of(s);
  const int64_t element = bytes_of(s.dtype);
  for (int64_t n = 0; n < s.networks; ++n) {
    touch_in_large_pages(out[n].y.data, s.steps * s.batch * s.hidden * element);
    touch_in_large_pages(out[n].gates.data, a.gates_elements(whole) * element);
    touch_in_large_pages(out[n].aux.data, a.aux_elements(whole) * element);
  }
  const int64_t each = most(jobs, a.forward_bytes), threads = workers(s, int64_t(jobs.size()));
  const Memory scratch = memory(each * threads);
  in_parallel(s.pool, int64_t(jobs.size()), threads, [&](int64_t worker, int64_t k) {
    jobs[size_t(k)].scratch = static_cast<char*>(scratch.get()) + worker * each;
    a.forward(jobs[size_t(k)]);
  });
}

void run_backward(const statecast_layer& s, const statecast_inputs* in, const statecast_tape* tape,
                  const statecast_gradients* out) {
  const Arithmetic& a = arithmetic_of(s);
  std::vector<Job> jobs = split(s, [&](Job& j, int64_t n) {
    j.in = in + n;
    j.tape = tape + n;
    j.gradients = out + n;
  });
  const int64_t count = parts(s), threads = workers(s, int64_t(jobs.size()));
  const int64_t each = most(jobs, a.backward_bytes), sums = most(jobs, a.sums_bytes);
  const Memory scratch = memory(each * threads);
  const Memory totals = memory(sums * (count > 1 ? int64_t(jobs.size()) : threads));
  in_parallel(s.pool, int64_t(jobs.size()), threads, [&](int64_t worker, int64_t k) {
    Job& j = jobs[size_t(k)];
    j.scratch = static_cast<char*>(scratch.get()) + worker * each;
    j.sums = static_cast<char*>(totals.get()) + (count > 1 ? k : worker) * sums;
    a.backward(j);
    if (count == 1) a.finish(&j, 1);
  });
  const FlushTiny tiny;
  for (int64_t k = 0; count > 1 && k < int64_t(jobs.size()); k += count) a.finish(&jobs[size_t(k)], count);
}

bool has_c(const statecast_layer& s) { return s.cell == STATECAST_LSTM; }
bool has_bn(const statecast_layer& s) { return s.cell == STATECAST_GRU; }

int32_t check(const statecast_layer& s, const statecast_inputs& in) {
  const int64_t e = bytes_of(s.dtype), t = s.steps, b = s.batch, h = s.hidden, columns = gates_of(s.cell) * h;
  return check({needs(in.x, e, {t, b, s.inputs}), needs(in.W, e, {s.inputs, columns}), needs(in.U, e, {h, columns}),
                may_have(in.b, e, {columns}), may_have(in.bn, e, {has_bn(s) ? h : 0}), may_have(in.h, e, {b, h}),
                may_have(in.c, e, {has_c(s) ? b : 0, h}), may_have(in.h_reset, e, {h}),
                may_have(in.c_reset, e, {has_c(s) ? h : 0}), may_have(in.mask, 1, {t, b}),
                may_have(in.reset, 1, {t, b})});
}

// Backward reads no biases.
int32_t check_biases(const statecast_layer& s, const statecast_inputs& in) {
  return (!in.b.data && s.hidden > 0) || (!in.bn.data && has_bn(s)) ? STATECAST_NULL : STATECAST_OK;
}

int32_t check(const statecast_layer& s, const statecast_outputs& out) {
  const int64_t e = bytes_of(s.dtype), b = s.batch, h = s.hidden;
  const Job j = job_of(s);
  const int64_t gates = arithmetic_of(s).gates_elements(j), aux = out.gates.data ? arithmetic_of(s).aux_elements(j) : 0;
  return check({needs(out.y, e, {s.steps, b, h}), may_have(out.h, e, {b, h}), may_have(out.c, e, {has_c(s) ? b : 0, h}),
                may_have(out.gates, e, {gates}), needs(out.aux, e, {aux})});
}

int32_t check(const statecast_layer& s, const statecast_tape& tape) {
  const int64_t e = bytes_of(s.dtype), t = s.steps, b = s.batch, h = s.hidden;
  const Job j = job_of(s);
  return check({needs(tape.y, e, {t, b, h}), needs(tape.gates, e, {arithmetic_of(s).gates_elements(j)}),
                needs(tape.aux, e, {arithmetic_of(s).aux_elements(j)}), may_have(tape.dy, e, {t, b, h}),
                may_have(tape.dh, e, {b, h}), may_have(tape.dc, e, {has_c(s) ? b : 0, h})});
}

int32_t check(const statecast_layer& s, const statecast_gradients& out) {
  const int64_t e = bytes_of(s.dtype), b = s.batch, h = s.hidden, columns = gates_of(s.cell) * h;
  return check({may_have(out.dx, e, {s.steps, b, s.inputs}), needs(out.dW, e, {s.inputs, columns}),
                needs(out.dU, e, {h, columns}), needs(out.db, e, {columns}), needs(out.dbn, e, {has_bn(s) ? h : 0}),
                may_have(out.dh, e, {b, h}), may_have(out.dc, e, {has_c(s) ? b : 0, h}),
                may_have(out.dh_reset, e, {h}), may_have(out.dc_reset, e, {has_c(s) ? h : 0})});
}

}  // namespace
}  // namespace statecast

using namespace statecast;

extern "C" {

int32_t statecast_version(void) { return STATECAST_VERSION; }

const char* statecast_message(int32_t status) {
  static const char* const messages[] = {"no error",
                                         "a size is negative or too large, or a column lies outside a row",
                                         "unknown cell",
                                         "unknown dtype",
                                         "this machine or build lacks that instruction set",
                                         "a pointer that is needed is null",
                                         "out of memory",
                                         "not a packed network, or one for another instruction set or version",
                                         "a row index outside the table of states",
                                         "an array is not as long as the sizes say, or not aligned"};
  return status >= 0 && status <= STATECAST_BAD_LENGTH ? messages[status] : "unknown status";
}

int32_t statecast_best_isa(int32_t dtype) { return best_isa(dtype); }
int32_t statecast_runs_isa(int32_t isa) {
  return arithmetic(isa, isa > STATECAST_AVX512 ? STATECAST_BF16 : STATECAST_FLOAT32) != nullptr;
}
int32_t statecast_gates(int32_t cell) { return gates_of(cell); }

int32_t statecast_tape_sizes(const statecast_layer* layer, int64_t sizes[2]) {
  if (const int32_t status = check(layer)) return status;
  if (!sizes) return STATECAST_NULL;
  const Job j = job_of(*layer);
  sizes[0] = layer->hidden > 0 ? arithmetic_of(*layer).gates_elements(j) : 0;
  sizes[1] = layer->hidden > 0 ? arithmetic_of(*layer).aux_elements(j) : 0;
  return STATECAST_OK;
}

int32_t statecast_forward(const statecast_layer* s, const statecast_inputs* in, const statecast_outputs* out) {
  if (const int32_t status = check(s)) return status;
  if (s->networks == 0 || s->batch == 0 || s->hidden == 0) return STATECAST_OK;
  if (!in || !out) return STATECAST_NULL;
  for (int64_t n = 0; n < s->networks; ++n) {
    if (const int32_t status = check(*s, in[n])) return status;
    if (const int32_t status = check_biases(*s, in[n])) return status;
    if (const int32_t status = check(*s, out[n])) return status;
  }
  return guarded([&] { run_forward(*s, in, out); });
}

int32_t statecast_backward(const statecast_layer* s, const statecast_inputs* in, const statecast_tape* tape,
                           const statecast_gradients* out) {
  if (const int32_t status = check(s)) return status;
  if (s->networks == 0 || s->hidden == 0) return STATECAST_OK;
  if (!in || !tape || !out) return STATECAST_NULL;
  for (int64_t n = 0; n < s->networks; ++n) {
    if (const int32_t status = check(*s, in[n])) return status;
    if (const int32_t status = check(*s, tape[n])) return status;
    if (const int32_t status = check(*s, out[n])) return status;
  }
  return guarded([&] { run_backward(*s, in, tape, out); });
}

}  // extern "C"
