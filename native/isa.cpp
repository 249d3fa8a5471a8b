// The arithmetic for one instruction set; compiled once for each, with SC_NAMESPACE and the compiler's flags set.
#include "backward.h"

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
  const bool relu = j.cell == STATECAST_RNN_RELU;
  // As few panels as four vectors allow, of equal width: little of a tile is padding.
  const int64_t vectors = (j.hidden + V::W - 1) / V::W, panels = (vectors + 3) / 4;
  switch ((vectors + panels - 1) / panels) {
    case 1:
      return relu ? Use<V, Rnn<1, true>>::run(j, a...) : Use<V, Rnn<1, false>>::run(j, a...);
    case 2:
      return relu ? Use<V, Rnn<2, true>>::run(j, a...) : Use<V, Rnn<2, false>>::run(j, a...);
    case 3:
      return relu ? Use<V, Rnn<3, true>>::run(j, a...) : Use<V, Rnn<3, false>>::run(j, a...);
    default:
      return relu ? Use<V, Rnn<4, true>>::run(j, a...) : Use<V, Rnn<4, false>>::run(j, a...);
  }
}

template <class V, class C>
struct GatesElements {
  static int64_t run(const Job& j) { return Forward<V, C>::gates_elements(j); }
};
template <class V, class C>
struct AuxElements {
  static int64_t run(const Job& j) { return Forward<V, C>::aux_elements(j); }
};
template <class V, class C>
struct ForwardBytes {
  static int64_t run(const Job& j) {
    Arena arena(nullptr);
    Forward<V, C> f(j, arena, j.out->gates != nullptr);
    return arena.used;
  }
};
template <class V, class C>
struct BackwardBytes {
  static int64_t run(const Job& j) {
    Arena arena(nullptr);
    Backward<V, C> b(j, arena);
    return arena.used;
  }
};
template <class V, class C>
struct SumsBytes {
  static int64_t run(const Job& j) { return typename Backward<V, C>::Sums(Layout<V, C>(j), nullptr).bytes; }
};
template <class V, class C>
struct RunForward {
  static void run(const Job& j) {
    Arena arena(j.scratch);
    Forward<V, C>(j, arena, j.out->gates != nullptr).run();
  }
};
template <class V, class C>
struct RunBackward {
  static void run(const Job& j) {
    Arena arena(j.scratch);
    Backward<V, C>(j, arena).run();
  }
};
template <class V, class C>
struct Finish {
  static void run(const Job& j, int64_t count) { Backward<V, C>::finish(&j, count); }
};
template <class V, class C>
struct PackedBytes {
  static int64_t run(const Job& j) {
    Arena arena(nullptr);
    Packed<V, C> packed(Layout<V, C>(j), arena);
    return arena.used;
  }
};
template <class V, class C>
struct Pack {
  static void run(const Job& j, void* to) {
    const Layout<V, C> l(j);
    Arena arena(to);
    Packed<V, C>(l, arena).fill(l, *j.in);
  }
};
template <class V, class C>
struct StepRows {
  static void run(const Job& j, const statecast_rows& rows) { step_rows<V, C>(j, rows); }
};

template <class V>
const Arithmetic* arithmetic() {
  static const Arithmetic table = {
      [](const Job& j) { return choose<V, GatesElements>(j); },
      [](const Job& j) { return choose<V, AuxElements>(j); },
      [](const Job& j) { return choose<V, ForwardBytes>(j); },
      [](const Job& j) { return choose<V, BackwardBytes>(j); },
      [](const Job& j) { return choose<V, SumsBytes>(j); },
      [](const Job& j) { choose<V, RunForward>(j); },
      [](const Job& j) { choose<V, RunBackward>(j); },
      [](const Job* j, int64_t count) { choose<V, Finish>(*j, count); },
      [](const Job& j) { return choose<V, PackedBytes>(j); },
      [](const Job& j, void* to) { choose<V, Pack>(j, to); },
      [](const Job& j, const statecast_rows& rows) { choose<V, StepRows>(j, rows); },
  };
  return &table;
}

}  // namespace SC_NAMESPACE

#if defined(SC_AVX512)
const Arithmetic* avx512_float() { return SC_NAMESPACE::arithmetic<SC_NAMESPACE::Float>(); }
#elif defined(SC_AVX2)
const Arithmetic* avx2_float() { return SC_NAMESPACE::arithmetic<SC_NAMESPACE::Float>(); }
#elif defined(SC_NEON)
const Arithmetic* neon_float() { return SC_NAMESPACE::arithmetic<SC_NAMESPACE::Float>(); }
#else
const Arithmetic* plain_float() { return SC_NAMESPACE::arithmetic<SC_NAMESPACE::Plain<float, 8>>(); }
const Arithmetic* plain_double() { return SC_NAMESPACE::arithmetic<SC_NAMESPACE::Plain<double, 4>>(); }
#endif

}  // namespace statecast
