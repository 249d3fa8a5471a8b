/* The plain C interface of statecast's native kernel: a recurrent layer over a segment and the linear skip, forward and
 * backward, and a whole network over one time step.
 *
 * Arrays are dense, row-major and time-major: x [T, B, I], y [T, B, H], states [B, H], W [I, G*H], U [H, G*H],
 * b [G*H], bn [H], mask and reset [T, B] bytes of 0 or 1. Gates are blocks of H columns:
 *   lstm               i, f, g, o   c' = s(f) c + s(i) tanh(g);  h' = s(o) tanh(c')
 *   gru                r, u, n      n = tanh(x_n + r (h U_n + bn));  h' = (1 - u) n + u h
 *   gru_reset_before   r, u, n      n = tanh(x_n + (r h) U_n);       h' = (1 - u) n + u h
 *   rnn_tanh, rnn_relu              h' = act(x W + b + h U)
 * Where mask = 0 the state passes a step unchanged and nothing of that step's input is read into a result; where
 * reset = 1 the state before the step is replaced by the row h_reset (c_reset).
 *
 * Every array comes with its length in bytes, which a call compares with its sizes before it reads or
 * writes anything: an array of another length, or one that is not aligned to its elements, is STATECAST_BAD_LENGTH.
 *
 * The library keeps nothing between calls and may be called from any number of threads. Equal arguments (threads and
 * instruction set among them) give equal bits.
 *
 * The names and their order here are those of statecast/model/kernel/interface.py; tests/test_kernel_interface.py
 * compares the two.
 */
#ifndef STATECAST_H_
#define STATECAST_H_

#include <stdint.h>

#if defined(_WIN32)
#define STATECAST_API __declspec(dllexport)
#else
#define STATECAST_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define STATECAST_VERSION 14

enum statecast_cell {
  STATECAST_LSTM = 0,
  STATECAST_GRU = 1,
  STATECAST_GRU_RESET_BEFORE = 2,
  STATECAST_RNN_TANH = 3,
  STATECAST_RNN_RELU = 4
};
/* bf16: arrays are float32, and so is all arithmetic but that products of matrices take factors rounded to bfloat16. */
enum statecast_dtype { STATECAST_FLOAT32 = 0, STATECAST_FLOAT64 = 1, STATECAST_BF16 = 2 };
/* The last two are for bf16 alone, and bf16 has no other. */
enum statecast_isa {
  STATECAST_PLAIN = 0,
  STATECAST_NEON = 1,
  STATECAST_AVX2 = 2,
  STATECAST_AVX512 = 3,
  STATECAST_AVX512_BF16 = 4,
  STATECAST_AMX = 5
};
enum statecast_status {
  STATECAST_OK = 0,
  STATECAST_BAD_SHAPE = 1,
  STATECAST_BAD_CELL = 2,
  STATECAST_BAD_DTYPE = 3,
  STATECAST_BAD_ISA = 4,
  STATECAST_NULL = 5,
  STATECAST_NO_MEMORY = 6,
  STATECAST_BAD_PACK = 7,
  STATECAST_BAD_ROW = 8,
  STATECAST_BAD_LENGTH = 9
};

/* An array to read, and one to write. Where an array may be absent, its data are null. */
typedef struct {
  const void* data;
  int64_t bytes;
} statecast_array;
typedef struct {
  void* data;
  int64_t bytes;
} statecast_buffer;

/* Threads that the caller keeps: `schedule` has task(data) run on one of them, at some time or other, and returns 0, or
 * returns something else and never runs it. */
typedef struct {
  int32_t (*schedule)(void* context, void (*task)(void* data), void* data);
  void* context;
} statecast_pool;

/* Sizes of a call for one recurrent layer. networks > 1: that many layers of one shape in one call, with an array of
 * argument structs each. threads: at most so many, at least 1. isa: one of statecast_isa, or -1 for the best this machine
 * runs. pool: whose threads help; null: the call starts its own. */
typedef struct {
  int32_t cell, dtype, threads, isa;
  int64_t networks, steps, batch, inputs, hidden;
  const statecast_pool* pool;
} statecast_layer;

/* bn: gru alone. c, c_reset: lstm alone. mask, reset, states and their resets may be absent: all 1, all 0, zeros. */
typedef struct {
  statecast_array x, W, U, b, bn, h, c, h_reset, c_reset, mask, reset;
} statecast_inputs;

/* gates and aux: what backward needs, of statecast_tape_sizes elements; both absent where there is no backward. */
typedef struct {
  statecast_buffer y, h, c, gates, aux;
} statecast_outputs;

/* What forward left, and the gradients of its outputs; an absent gradient is zero. */
typedef struct {
  statecast_array y, gates, aux, dy, dh, dc;
} statecast_tape;

/* Results of backward. dx, and the gradients of states and resets, may be absent. */
typedef struct {
  statecast_buffer dx, dW, dU, db, dbn, dh, dc, dh_reset, dc_reset;
} statecast_gradients;

STATECAST_API int32_t statecast_version(void);
STATECAST_API const char* statecast_message(int32_t status);
/* The best instruction set that this machine runs for a dtype, or -1; whether it runs a certain one. */
STATECAST_API int32_t statecast_best_isa(int32_t dtype);
STATECAST_API int32_t statecast_runs_isa(int32_t isa);
/* Blocks of H columns in W, U and b; 0 for a number that is no cell. */
STATECAST_API int32_t statecast_gates(int32_t cell);

/* sizes[0], sizes[1] = elements of gates and aux for one network. */
STATECAST_API int32_t statecast_tape_sizes(const statecast_layer* layer, int64_t sizes[2]);
STATECAST_API int32_t statecast_forward(const statecast_layer* layer, const statecast_inputs* in,
                                        const statecast_outputs* out);
STATECAST_API int32_t statecast_backward(const statecast_layer* layer, const statecast_inputs* in,
                                         const statecast_tape* tape, const statecast_gradients* out);

/* A whole network for one time step: front, layers of one cell, dense layers, head and skip, with the equations of
 * statecast/model/network.py. Sizes: D = targets, H = horizon, O = 2 levels + 1 numbers for each (step, target). */
enum statecast_normalize {
  STATECAST_NONE = 0,
  STATECAST_GLOBAL = 1,
  STATECAST_LAST = 2,
  STATECAST_EWMA = 3,
  STATECAST_WINDOW = 4
};
enum statecast_activation {
  STATECAST_LINEAR = 0,
  STATECAST_TANH = 1,
  STATECAST_RELU = 2,
  STATECAST_SIGMOID = 3,
  STATECAST_GELU = 4,
  STATECAST_SILU = 5
};
/* missing, level_input, residual: 0 or 1. floor, ceiling: the smallest scale, and the largest input from the ring in
 * typical deviations. covariates: numbers a row, of which the last `statics` are kept in the state. future: known numbers
 * of each step ahead; mixed: units of the hidden layer that takes them. members: networks of these sizes over the same
 * rows, whose forecasts are averaged; what they remember, each layer's h and c and the stack's output, lies side by side
 * from its column on. series: how many of them have a map of their own, which adds to the skip of their rows. */
typedef struct {
  int32_t cell, dtype, isa, normalize, activation, missing, level_input, residual;
  double decay, floor, ceiling;
  int64_t targets, lags, skip, covariates, statics, layers, dense, horizon, levels, future, mixed, members,
      series;
} statecast_network;

/* Packs a network into a block of statecast_network_bytes bytes, aligned to 64; 0 bytes stand for a network that is
 * refused.
 * units (int64 [layers + dense]): of each layer. columns (int64 [9 + 2 layers]): where in a row of the states begin
 * level, spread, count, since, ring and held, each layer's h and c (c of the LSTM alone is read), the stack's output, the
 * static covariates, and the number of the row's series (read where series > 0; only 1 .. series have a map). arrays
 * [count], in this order: origin, unit (double [D]); level, spread, deviation, ring_gain [D], output_gain [H, D]; where
 * series > 0, their maps [series, D, H, skip]; of each layer W, U, b, bn (absent but for the GRU); of each dense layer W,
 * b; of the head W, b; where future > 0, W and b from the state, W from what is known, e [H, mixed], W of the mix
 * [mixed, D O]; where skip > 0, W [D, skip, H]; what begins with the first layer, member by member. */
STATECAST_API int64_t statecast_network_bytes(const statecast_network* network, const statecast_array* units);
STATECAST_API int32_t statecast_network_pack(const statecast_network* network, const statecast_array* units,
                                             const statecast_array* columns, const statecast_array* arrays,
                                             int64_t count, const statecast_buffer* block);

/* Intervals that adapt to each series (statecast/model/adaptive.py), for a point head: what is the same for all rows.
 * From number `begin` of a row on lie turn [1], waiting [1 + 2 + 4 + ... + 2^(leads-1), D, 2] and shift
 * [leads, levels, D], or where typical is there [leads, levels + 2, D], with the sum of the sizes of errors and its weight
 * behind the levels (`Adaptive.sizes`, with its FORGET, PRIOR and MOST), and then, where rules are there, the
 * numbers of `surprise.parts`, of which watch [6, D] is reported with the shift (middle, narrowest and farthest are
 * those of `Bounds.position`; excess [2, D], centre [D] and rules of `surprise.Watching`). From number `counts` on lies how many values [D]
 * have come; a forecast from after fewer than `least` of them does not wait (counts = -1: all do). steps (int64 [leads]):
 * 1, 2, 4, ...; ahead (int64 [leads]): where on the axis H of the forecast each of them lies. origin and unit [D] make
 * working units of values; these, low, high [leads, levels, D], width [leads, D], rate [leads], share [levels], typical,
 * middle [leads, D], excess, centre and rules are double, as `Bounds` has them. */
typedef struct {
  int32_t dtype;
  double forget, prior, most, narrowest, farthest;
  int64_t leads, levels, targets, horizon, begin, counts, least;
  statecast_array steps, ahead, origin, unit, low, high, width, rate, share, typical, middle, excess, centre, rules;
} statecast_adaptation;

/* Some rows of a table of states, which lies in blocks of `block` rows of `stride` numbers each, the last of them
 * perhaps of fewer: `rows` in all. blocks (statecast_buffer [rows / block, rounded up]): where each begins, and its
 * length. index (int64 [count]): which rows, all different; absent: the first `count`. values (double [count, D]) in the
 * units of the table, NaN where missing; covariates [count, covariates]; future [count, H, future]; forecast
 * [count, H, D, O] and scale [count, D] in working units; report [count, ...] as it lies in a row. */
typedef struct {
  int64_t block, rows, stride, count;
  statecast_array blocks, index, values, covariates, future;
  statecast_buffer forecast, scale, report;
} statecast_observations;

/* The rows' next states replace them, and the forecasts from there are written; then the intervals adapt, unless
 * `adaptation` is null. values absent: the states stay as they are, and the forecast is made from them. forecast absent:
 * none is made. report absent: not asked for. Equal arguments give equal bits, whatever `threads` and the number of rows
 * beside a row. A call that is refused changes nothing. */
STATECAST_API int32_t statecast_network_observe(const statecast_array* block, int32_t threads,
                                                const statecast_observations* observations,
                                                const statecast_adaptation* adaptation);

/* The rows' states after `steps` steps, one after another, of which nobody asks the forecasts: values are [steps, count,
 * D] and covariates [steps, count, covariates]; forecast must be absent, and intervals stay as they are. The bits are
 * those of as many calls of statecast_network_observe. */
STATECAST_API int32_t statecast_network_advance(const statecast_array* block, int32_t threads,
                                                const statecast_observations* observations, int64_t steps);

/* The intervals alone, of rows for which the forecast and the scale of the same step are at hand. */
STATECAST_API int32_t statecast_adapt(const statecast_adaptation* adaptation,
                                      const statecast_observations* observations);

/* One row of the table, the first of `index` (int64 [1]) or of all, through `steps` of its values [steps, D], one after
 * another. origins (int64 [steps]): which of the `count` forecasts and scales belongs to each step. places (int64
 * [steps]): where in report [slots, ...] the row's report after the step is put; -1: nowhere. */
typedef struct {
  int64_t steps, slots;
  statecast_array origins, places;
} statecast_path;
STATECAST_API int32_t statecast_adapt_along(const statecast_adaptation* adaptation,
                                            const statecast_observations* observations, const statecast_path* path);

/* The front's statistics over time (Front.scan of statecast/model/front.py): y and m [steps, rows, D] in working units,
 * 0 where missing; reset [steps, rows]: before which steps a row begins anew, from level_first and spread_first [D].
 * The statistics before the first step [rows, D]; results [steps, rows, D]. */
typedef struct {
  int32_t dtype, normalize;
  double decay;
  int64_t steps, rows, targets;
  statecast_array y, m, reset, level_first, spread_first;
  statecast_array level_before, spread_before, count_before, since_before;
  statecast_buffer level, spread, count, since;
} statecast_statistics_call;
STATECAST_API int32_t statecast_statistics(const statecast_statistics_call* call);

/* The linear skip over many steps of many series (Front.skip_of of statecast/model/front.py). Of target d, step n of row
 * b holds the `size` values of y [targets, places] that end at place last[n, b], or the 1 + age[n, b] newest of them where
 * its series begins after the others; m has 1 where y has a value and 0 where it is missing, or is absent for 1
 * everywhere. last, age (int32 [steps, batch]); level, scale [steps, batch, targets].
 * forward:  out [steps, batch, horizon, targets] = sum over k of W[d, k, h] (y - level) m / scale, for W [targets, size,
 * horizon]. backward: dW, from the gradient dout of out. What the other one reads and writes is absent.
 * series > 0: the weights of step n of row b are W + maps[numbers[n, b] - 1], for maps [series, targets, horizon, size]
 * and numbers (int32 [steps, batch]), of which 0 stands for W alone. Both are absent where series = 0, and backward.
 * networks > 1: that many calls of one shape, with an array of argument structs. threads, isa, pool: as for a layer; the
 * bits of a result depend on no number of threads, and those of out on no step beside it. */
typedef struct {
  int32_t dtype, threads, isa;
  int64_t networks, places, steps, batch, targets, size, horizon, series;
  const statecast_pool* pool;
} statecast_skip;
typedef struct {
  statecast_array y, m, last, age, level, scale, W, numbers, maps, dout;
  statecast_buffer out, dW;
} statecast_skip_arrays;
STATECAST_API int32_t statecast_skip_forward(const statecast_skip* skip, const statecast_skip_arrays* arrays);
STATECAST_API int32_t statecast_skip_backward(const statecast_skip* skip, const statecast_skip_arrays* arrays);

#ifdef __cplusplus
}
#endif
#endif
