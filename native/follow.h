// Rows of a table of states, and the intervals that follow them: what a network's step and adaptation alone share.
#pragma once
#include "statecast.h"

namespace statecast {

// The k-th row that is observed.
template <class T>
T* row_of(const statecast_observations& o, int64_t k) {
  const int64_t at = o.index ? o.index[k] : k;
  return static_cast<T*>(o.blocks[at / o.block]) + at % o.block * o.stride;
}

// STATECAST_OK where every one of `rows` rows lies in the table.
int check_table(const statecast_observations& o, int64_t rows);
// STATECAST_OK where the intervals' numbers lie in rows of `stride` numbers and the arrays are there.
int check_following(const statecast_following& f, int64_t stride);

// One step of the intervals of `count` rows, of which the first is the `first`-th that is observed.
void follow_rows(const statecast_following& f, const statecast_observations& o, float* const* rows, int64_t first,
                 int64_t count);
void follow_rows(const statecast_following& f, const statecast_observations& o, double* const* rows, int64_t first,
                 int64_t count);

}  // namespace statecast
