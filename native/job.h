// What passes between the interface, which knows threads and arguments, and the arithmetic, which knows neither.
#pragma once
#include "statecast.h"

namespace statecast {

// Blocks of H columns in a cell's weights; `cells.h` compares its equations with this table.
constexpr int32_t gates_of(int32_t cell) {
  constexpr int32_t gates[] = {4, 3, 3, 1, 1};
  return cell >= STATECAST_LSTM && cell <= STATECAST_RNN_RELU ? gates[cell] : 0;
}

// The rows first .. first + rows of one network's batch, through all steps.
struct Job {
  int32_t cell;
  int64_t steps, batch, inputs, hidden, first, rows;
  const statecast_inputs* in;
  const statecast_outputs* out;
  const statecast_tape* tape;
  const statecast_gradients* gradients;
  void* scratch;  // this job's alone, while it runs
  void* sums;     // its share of the weights' gradients, until `finish`
};

// The linear skip of one network: sizes and arrays as in statecast.h, and memory that all jobs of the call share.
struct SkipCall {
  int64_t places, steps, batch, targets, size, horizon;
  const void *y, *m, *level, *scale, *W, *maps, *dout;
  const int32_t *last, *age, *numbers;
  void *shared, *out;  // out: dW of a backward call
};

// A whole network, packed: its sizes, what follows from them, and its arrays.
struct Net {
  const statecast_network* sizes;
  const int64_t *units, *columns;  // as in statecast_network_pack
  int64_t ring, inputs, outputs, numbers, widest;
  void* arrays;
};

// The skip's part of the table. A call packs the weights, or prepares the rows, before it runs the jobs proper.
struct SkipArithmetic {
  int64_t (*packed_bytes)(const SkipCall&);
  int64_t (*packs)(const SkipCall&);  // jobs
  void (*pack)(const SkipCall&, int64_t job);
  int64_t (*forward_bytes)(const SkipCall&);  // scratch
  void (*forward)(const SkipCall&, int64_t first, int64_t rows, void* scratch);
  int64_t (*prepared_bytes)(const SkipCall&);
  void (*prepare)(const SkipCall&, int64_t first, int64_t rows);
  int64_t (*backwards)(const SkipCall&);  // jobs
  void (*backward)(const SkipCall&, int64_t job);
};
constexpr int64_t skip_rows = 48;  // of a job, at most

// A table of the arithmetic for one instruction set and dtype.
struct Arithmetic {
  int64_t (*gates_elements)(const Job&);  // of one network, for all rows and steps
  int64_t (*aux_elements)(const Job&);
  int64_t (*forward_bytes)(const Job&);  // scratch
  int64_t (*backward_bytes)(const Job&);
  int64_t (*sums_bytes)(const Job&);
  void (*forward)(const Job&);
  void (*backward)(const Job&);
  void (*finish)(const Job*, int64_t count);  // adds the jobs' sums, in order, into the gradients
  int64_t (*packed_bytes)(const Net&);
  int32_t (*pack)(const Net&, const statecast_array* arrays, int64_t count, void* to);
  int64_t (*observe_bytes)(const Net&, const statecast_observations&, int64_t rows);  // scratch
  void (*observe)(const Net&, const statecast_observations&, const statecast_adaptation*, int64_t steps, int64_t first,
                  int64_t rows, void* scratch);
  const SkipArithmetic* skip;  // null for bf16
};

// Null where this build lacks it.
const Arithmetic* plain_float();
const Arithmetic* plain_double();
const Arithmetic* neon_float();
const Arithmetic* avx2_float();
const Arithmetic* avx512_float();
const Arithmetic* bf16_pairs();
const Arithmetic* bf16_tiles();

// The table for an instruction set and dtype, null where this machine or build lacks it; the best set that it runs, or
// -1 where it has none for that dtype.
const Arithmetic* arithmetic(int isa, int dtype);
int best_isa(int dtype);

}  // namespace statecast
