// The arithmetic for one instruction set; compiled once for each, with SC_NAMESPACE and the compiler's flags set.
#include "backward.h"
#include "choose.h"
#if !defined(SC_BF16)
#include "network.h"
#include "skip.h"
#endif

namespace statecast {
namespace SC_NAMESPACE {

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
    Forward<V, C> f(j, arena, j.out->gates.data != nullptr);
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
    [[maybe_unused]] const typename Factors<V>::Session session;
    Arena arena(j.scratch);
    Forward<V, C>(j, arena, j.out->gates.data != nullptr).run();
  }
};
template <class V, class C>
struct RunBackward {
  static void run(const Job& j) {
    [[maybe_unused]] const typename Factors<V>::Session session;
    Arena arena(j.scratch);
    Backward<V, C>(j, arena).run();
  }
};
template <class V, class C>
struct Finish {
  static void run(const Job& j, int64_t count) { Backward<V, C>::finish(&j, count); }
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
#if defined(SC_BF16)  // a network's step is always float32, and so is the skip
      nullptr,
      nullptr,
      nullptr,
      nullptr,
      nullptr,
#else
      Observing<V>::packed_bytes,
      Observing<V>::pack,
      Observing<V>::bytes,
      Observing<V>::run,
      skip_arithmetic<V>(),
#endif
  };
  return &table;
}

}  // namespace SC_NAMESPACE

#if defined(SC_AMX)
const Arithmetic* bf16_tiles() { return SC_NAMESPACE::arithmetic<SC_NAMESPACE::Float>(); }
#elif defined(SC_BF16)
const Arithmetic* bf16_pairs() { return SC_NAMESPACE::arithmetic<SC_NAMESPACE::Float>(); }
#elif defined(SC_AVX512)
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
