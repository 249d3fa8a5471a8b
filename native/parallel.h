// Threads, memory and the processor's state: what a call takes from the system, and gives back before it returns.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "statecast.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#define SC_X86 1
#endif

namespace statecast {
namespace {

// Numbers too small to be normal are slow and mean nothing here: they count as zero, in this call and thread alone.
class FlushTiny {
 public:
#if defined(SC_X86)
  FlushTiny() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
  ~FlushTiny() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#elif defined(__aarch64__)
  FlushTiny() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(before_));
    __asm__ volatile("msr fpcr, %0" : : "r"(before_ | (uint64_t{1} << 24)));
  }
  ~FlushTiny() { __asm__ volatile("msr fpcr, %0" : : "r"(before_)); }

 private:
  uint64_t before_;
#endif
};

// A moment's wait for another thread.
void relax() {
#if defined(SC_X86)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// A large buffer that this call is the first to touch costs a page fault for every 4 KB, which can take as long as the
// arithmetic. Huge pages for it are advice to the system, for these addresses alone.
void touch_in_large_pages(void* p, int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t page = 4096;
  constexpr int64_t worth = int64_t{4} << 20;
  if (!p || bytes < worth) return;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(p) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(p) + static_cast<uintptr_t>(bytes)) / page * page;
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);  // whether it is heeded does not matter
#else
  (void)p;
  (void)bytes;
#endif
}

struct Free {
  void operator()(void* p) const { ::operator delete(p, std::align_val_t{64}); }
};
using Memory = std::unique_ptr<void, Free>;
Memory memory(int64_t bytes) {
  return Memory(::operator new(static_cast<size_t>(std::max<int64_t>(bytes, 64)), std::align_val_t{64}));
}

// What the threads of a call share. Tasks of a pool may begin when the call is long over, and then find no job left, so
// they own this; the function itself lives in the call, which ends when every job that a thread has taken is done.
struct Shared {
  const int64_t jobs;
  void (*const run)(const void* f, int64_t worker, int64_t job);
  const void* const f;
  std::atomic<int64_t> next{0}, workers{0}, done{0};

  void work() {
    const FlushTiny tiny;
    int64_t k = next.fetch_add(1, std::memory_order_relaxed);
    if (k >= jobs) return;
    const int64_t worker = workers.fetch_add(1, std::memory_order_relaxed);
    for (; k < jobs; k = next.fetch_add(1, std::memory_order_relaxed)) {
      run(f, worker, k);
      done.fetch_add(1, std::memory_order_release);
    }
  }
};

// Runs f(worker, job) for every job on this thread and on those of the pool that come in time.
template <class F>
void in_pool(const statecast_pool& pool, int64_t jobs, int64_t threads, const F& f) {
  const auto run = [](const void* g, int64_t worker, int64_t job) { (*static_cast<const F*>(g))(worker, job); };
  const std::shared_ptr<Shared> shared(new Shared{jobs, run, &f});
  for (int64_t k = 1; k < std::min(threads, jobs); ++k) {
    // Without memory for one more there is no exception: other threads may be at work on this call already.
    auto* reference = new (std::nothrow) std::shared_ptr<Shared>(shared);
    if (!reference) break;
    const auto task = [](void* data) {
      const std::unique_ptr<std::shared_ptr<Shared>> owner(static_cast<std::shared_ptr<Shared>*>(data));
      (*owner)->work();
    };
    if (pool.schedule(pool.context, task, reference) != 0) {
      delete reference;
      break;  // this thread does the rest
    }
  }
  shared->work();
  for (int64_t k = 0; shared->done.load(std::memory_order_acquire) < jobs; ++k)
    if (k < 1000)
      relax();
    else
      std::this_thread::yield();
}

// Runs f(worker, job) for every job, on at most `threads` threads, this one among them.
template <class F>
void in_parallel(const statecast_pool* pool, int64_t jobs, int64_t threads, F&& f) {
  if (pool && std::min(threads, jobs) > 1) return in_pool(*pool, jobs, threads, f);
  std::atomic<int64_t> next{0};
  const auto work = [&](int64_t worker) {
    const FlushTiny tiny;
    for (int64_t k; (k = next.fetch_add(1, std::memory_order_relaxed)) < jobs;) f(worker, k);
  };
  std::vector<std::thread> helpers;
  helpers.reserve(static_cast<size_t>(threads));
  for (int64_t k = 1; k < std::min(threads, jobs); ++k) {
    try {
      helpers.emplace_back(work, k);
    } catch (const std::system_error&) {
      break;  // no thread to be had: those that run do the work
    }
  }
  work(0);
  for (std::thread& t : helpers) t.join();
}

// No exception may cross a C interface; the only one that the arithmetic's surroundings raise is want of memory.
template <class F>
int guarded(F&& f) {
  try {
    f();
    return STATECAST_OK;
  } catch (const std::bad_alloc&) {
    return STATECAST_NO_MEMORY;
  }
}

}  // namespace
}  // namespace statecast
