// Rows of a table of states, and the intervals that adapt to them: what a network's step and adaptation alone share.
#pragma once
#include "statecast.h"

namespace statecast {
namespace {

// The k-th row that is observed. One copy for each file: files are compiled for different processors.
template <class T>
inline T* row_of(const statecast_observations& o, int64_t k) {
  const int64_t* index = static_cast<const int64_t*>(o.index.data);
  const int64_t at = index ? index[k] : k;
  return static_cast<T*>(static_cast<const statecast_buffer*>(o.blocks.data)[at / o.block].data) +
         at % o.block * o.stride;
}

// Numbers of each watched step and target: the shifts, and where intervals are sized, the sum of errors and its weight.
inline int64_t places(const statecast_adaptation& a) { return a.levels + (a.typical.data ? 2 : 0); }
inline int64_t shift_numbers(const statecast_adaptation& a) { return a.leads * places(a) * a.targets; }
// Numbers that go out with a row's forecast: the shifts, and where values are scored, what tells of them.
inline int64_t report_numbers(const statecast_adaptation& a) {
  return shift_numbers(a) + (a.rules.data ? 6 * a.targets : 0);
}

}  // namespace

// STATECAST_OK where every one of `rows` rows lies in the table, in its block's memory.
int32_t check_table(const statecast_observations& o, int64_t rows, int64_t element);
// STATECAST_OK where the intervals' numbers lie in rows of `stride` numbers and the arrays are as long as they should be.
int32_t check_adaptation(const statecast_adaptation& a, int64_t stride);

// One step of the intervals of `count` rows, of which the first is the `first`-th that is observed.
void adapt_rows(const statecast_adaptation& a, const statecast_observations& o, float* const* rows, int64_t first,
                int64_t count);
void adapt_rows(const statecast_adaptation& a, const statecast_observations& o, double* const* rows, int64_t first,
                int64_t count);

}  // namespace statecast
