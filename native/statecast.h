/* The plain C interface of statecast's native kernel: a recurrent layer over a segment, forward and backward, and a
 * whole network over one time step.
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
 * The library keeps nothing between calls and may be called from any number of threads. Equal arguments (threads and
 * instruction set among them) give equal bits.
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

#define STATECAST_VERSION 6

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
  STATECAST_BAD_ROW = 8
};

/* Threads that the caller keeps: `schedule` has task(data) run on one of them, at some time or other, and returns 0, or
 * returns something else and never runs it. */
typedef struct {
  int32_t (*schedule)(void* context, void (*task)(void* data), void* data);
  void* context;
} statecast_pool;

/* Sizes of a call. networks > 1: that many layers of one shape in one call, with an array of argument structs each.
 * threads: at most so many, at least 1. isa: one of statecast_isa, or -1 for the best this machine runs. pool: whose
 * threads help; null: the call starts its own. */
typedef struct {
  int32_t cell, dtype, threads, isa;
  int64_t networks, steps, batch, inputs, hidden;
  const statecast_pool* pool;
} statecast_shape;

/* bn: gru alone. c0, c_reset: lstm alone. mask, reset, states and their resets may be null: all 1, all 0, zeros. */
typedef struct {
  const void *x, *W, *U, *b, *bn, *h0, *c0, *h_reset, *c_reset;
  const uint8_t *mask, *reset;
} statecast_inputs;

/* gates and aux: what backward needs, of statecast_saved_sizes elements; both null where there will be no backward. */
typedef struct {
  void *y, *h, *c, *gates, *aux;
} statecast_outputs;

/* What forward left, and the gradients of its outputs; a null gradient is zero. */
typedef struct {
  const void *y, *gates, *aux, *dy, *dh, *dc;
} statecast_saved;

/* Results of backward; dx may be null where nobody asks for it, as may the gradients of states and resets. */
typedef struct {
  void *dx, *dW, *dU, *db, *dbn, *dh0, *dc0, *dh_reset, *dc_reset;
} statecast_gradients;

STATECAST_API int32_t statecast_version(void);
STATECAST_API const char* statecast_message(int32_t status);
/* The best instruction set that this machine runs for a dtype, or -1; whether it runs a given one; its name, or null. */
STATECAST_API int32_t statecast_best_isa(int32_t dtype);
STATECAST_API int32_t statecast_runs_isa(int32_t isa);
STATECAST_API const char* statecast_isa_name(int32_t isa);

/* sizes[0], sizes[1] = elements of gates and aux for one network. */
STATECAST_API int32_t statecast_saved_sizes(const statecast_shape* shape, int64_t sizes[2]);
STATECAST_API int32_t statecast_forward(const statecast_shape* shape, const statecast_inputs* in,
                                        const statecast_outputs* out);
STATECAST_API int32_t statecast_backward(const statecast_shape* shape, const statecast_inputs* in,
                                         const statecast_saved* saved, const statecast_gradients* out);

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
/* missing, level_input, residual: 0 or 1. covariates: numbers a row, of which the last `statics` are kept in the state.
 * future: numbers known of each step ahead; mixed: units of the hidden layer that takes them. members: networks of
 * these sizes over the same rows, whose forecasts are averaged; what they remember, each layer's h and c and the
 * stack's output, lies side by side from its column on. */
typedef struct {
  int32_t cell, dtype, isa, normalize, activation, missing, level_input, residual;
  double decay;
  int64_t targets, lags, skip, covariates, statics, layers, dense, horizon, levels, future, mixed;
  int64_t members;
} statecast_network;

/* Packs a network into statecast_network_bytes bytes, aligned to 64; 0 bytes stand for a network that is refused.
 * units [layers + dense]: of each layer. columns [8 + 2 layers]: where in a row of the states begin level, spread,
 * count, since, ring and held, each layer's h and c (c of the LSTM alone is read), the stack's output, and the static
 * covariates. arrays, in this order: origin, unit (double [D]); level, spread, deviation, ring_gain [D],
 * output_gain [H, D]; of each layer W, U, b, bn (null but for the GRU); of each dense layer W, b; of the head W, b;
 * where future > 0, W and b from the state, W from what is known, e [H, mixed], W of the mix [mixed, D O]; where
 * skip > 0, W [D, skip, H]; what begins with the first layer, member by member. */
STATECAST_API int64_t statecast_network_bytes(const statecast_network* network, const int64_t* units);
STATECAST_API int32_t statecast_network_pack(const statecast_network* network, const int64_t* units,
                                             const int64_t* columns, const void* const* arrays, void* packed);

/* Intervals that follow each series (statecast/model/adaptive.py), for a point head: what is the same for all rows.
 * From number `begin` of a row on lie turn [1], waiting [1 + 2 + 4 + ... + 2^(leads-1), D, 2] and moved
 * [leads, levels, D]. From number `counts` on lies how many values [D] have come; a forecast made after fewer than
 * `least` of them is not kept (counts = -1: all are). steps [leads]: 1, 2, 4, ...; ahead [leads]: where on the axis H of the
 * forecast each of them lies. origin and unit [D] make working units of values; low, high [leads, levels, D],
 * size [leads, D], rate [leads] and share [levels] as `Bounds` has them. */
typedef struct {
  int32_t dtype;
  int64_t leads, levels, targets, horizon, begin, counts, least;
  const int64_t *steps, *ahead;
  const double *origin, *unit, *low, *high, *size, *rate, *share;
} statecast_following;

/* Some rows of a table of states, which lies in blocks of `block` rows of `stride` numbers each, the last of them
 * perhaps of fewer: `rows` in all. index [count]: which rows, all different; null: the first `count`.
 * values [count, D] in the units of the table, NaN where missing; covariates [count, covariates];
 * future [count, H, future]; forecast [count, H, D, O] and scale [count, D] in working units;
 * moved [count, leads, levels, D]: how far intervals are moved. */
typedef struct {
  void* const* blocks;
  const int64_t* index;
  int64_t block, rows, stride, count;
  const double* values;
  const void *covariates, *future;
  void *forecast, *scale, *moved;
} statecast_observations;

/* The rows' next states replace them, and what is forecast from there is written; then their intervals follow, where
 * `following` is not null. values null: nothing moves, and the forecast is made from the states as they are. forecast
 * null: none is made. moved null: not asked for. Equal arguments give equal bits, whatever `threads` and the number of
 * rows beside a row. What is refused moves nothing. */
STATECAST_API int32_t statecast_network_observe(const void* packed, int32_t threads,
                                                const statecast_observations* observations,
                                                const statecast_following* following);

/* The intervals alone, of rows for which forecast and scale are at hand: made at the same step. */
STATECAST_API int32_t statecast_follow(const statecast_following* following,
                                       const statecast_observations* observations);

/* One row of the table, the first of `index` or of all, through `steps` of its values [steps, D], one after another.
 * said [steps]: which of the `count` forecasts and scales was made at each step. kept [steps]: which of the `places`
 * of `moved` takes how far the intervals are moved after it; -1: none. */
STATECAST_API int32_t statecast_follow_through(const statecast_following* following,
                                               const statecast_observations* observations, int64_t steps,
                                               const int64_t* said, const int64_t* kept, int64_t places);

/* The front's statistics over time (Front.scan of statecast/model/front.py): y and m [steps, rows, D] in working units,
 * 0 where missing; reset [steps, rows]: before which steps a row begins anew, from level_first and spread_first [D].
 * What was before the first step [rows, D]; results [steps, rows, D]. */
typedef struct {
  int32_t dtype, normalize;
  double decay;
  int64_t steps, rows, targets;
  const void *y, *m;
  const uint8_t* reset;
  const void *level_first, *spread_first;
  const void *level_before, *spread_before, *count_before, *since_before;
  void *level, *spread, *count, *since;
} statecast_statistics_call;
STATECAST_API int32_t statecast_statistics(const statecast_statistics_call* call);

#ifdef __cplusplus
}
#endif
#endif
