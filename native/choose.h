// From a cell's number to its equations.
#pragma once
#include "forward.h"

namespace statecast {
namespace SC_NAMESPACE {

template <class V, template <class, class> class Use, class... A>
auto choose(const Job& j, A&&... a) {
  switch (j.cell) {
    case STATECAST_LSTM:
      return Use<V, Lstm>::run(j, a...);
    case STATECAST_GRU:
      return Use<V, Gru>::run(j, a...);
    case STATECAST_GRU_RESET_BEFORE:
      return Use<V, GruResetBefore>::run(j, a...);
  }
  // As few panels as four vectors allow, of equal width: little of a tile is padding.
  const int64_t vectors = (j.hidden + V::W - 1) / V::W, panels = (vectors + 3) / 4;
  switch ((vectors + panels - 1) / panels) {
    case 1:
      return Use<V, Rnn<1>>::run(j, a...);
    case 2:
      return Use<V, Rnn<2>>::run(j, a...);
    case 3:
      return Use<V, Rnn<3>>::run(j, a...);
    default:
      return Use<V, Rnn<4>>::run(j, a...);
  }
}

}  // namespace SC_NAMESPACE
}  // namespace statecast
