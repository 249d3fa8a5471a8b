/* The plain C interface of statecast's native kernel: a recurrent layer over a segment, forward and backward.
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

#define STATECAST_VERSION 1

enum statecast_cell {
  STATECAST_LSTM = 0,
  STATECAST_GRU = 1,
  STATECAST_GRU_RESET_BEFORE = 2,
  STATECAST_RNN_TANH = 3,
  STATECAST_RNN_RELU = 4
};
enum statecast_dtype { STATECAST_FLOAT32 = 0, STATECAST_FLOAT64 = 1 };
enum statecast_isa { STATECAST_PLAIN = 0, STATECAST_NEON = 1, STATECAST_AVX2 = 2, STATECAST_AVX512 = 3 };
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

/* Sizes of a call. networks > 1: that many layers of one shape in one call, with an array of argument structs each.
 * threads: at most so many, at least 1. isa: one of statecast_isa, or -1 for the best this machine runs. */
typedef struct {
  int32_t cell, dtype, threads, isa;
  int64_t networks, steps, batch, inputs, hidden;
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
/* The best instruction set that this machine runs; whether it runs a given one; its name, or null. */
STATECAST_API int32_t statecast_best_isa(void);
STATECAST_API int32_t statecast_runs_isa(int32_t isa);
STATECAST_API const char* statecast_isa_name(int32_t isa);

/* sizes[0], sizes[1] = elements of gates and aux for one network. */
STATECAST_API int32_t statecast_saved_sizes(const statecast_shape* shape, int64_t sizes[2]);
STATECAST_API int32_t statecast_forward(const statecast_shape* shape, const statecast_inputs* in,
                                        const statecast_outputs* out);
STATECAST_API int32_t statecast_backward(const statecast_shape* shape, const statecast_inputs* in,
                                         const statecast_saved* saved, const statecast_gradients* out);

/* One step for some rows of a table of states. `packed` holds the weights as statecast_pack left them
 * (statecast_packed_bytes bytes, aligned to 64). states [rows, stride]: a row's h begins at column h_at, its c at c_at;
 * both are replaced in place. index: which rows, all different; null: the first `batch` rows. x [batch, I];
 * y [batch, H], or null. shape->steps and shape->networks must be 1. */
typedef struct {
  const void *packed, *x;
  void *states, *y;
  const int64_t* index;
  int64_t rows, stride, h_at, c_at;
} statecast_rows;

STATECAST_API int64_t statecast_packed_bytes(const statecast_shape* shape);
STATECAST_API int32_t statecast_pack(const statecast_shape* shape, const statecast_inputs* weights, void* packed);
STATECAST_API int32_t statecast_step(const statecast_shape* shape, const statecast_rows* rows);

#ifdef __cplusplus
}
#endif
#endif
