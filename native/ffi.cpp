// XLA's face of the kernel: reads a call's buffers, checks each against the layer's sizes, and calls the C interface.
//
// `vmap` brings leading axes, on which each buffer is either as long as the result or of length 1 (shared): together
// they are the networks of one call.
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "job.h"
#include "xla_ffi.h"

namespace statecast {
namespace {

using xla::Buffer;
using xla::CallFrame;
using Sizes = std::vector<int64_t>;

struct BadCall {
  std::string message;
};

[[noreturn]] void refuse(const std::string& what) { throw BadCall{"statecast: " + what}; }

xla::Error* failure(const CallFrame& frame, int code, const char* message) {
  xla::ErrorCreate e{sizeof(xla::ErrorCreate), nullptr, message, code};
  return frame.api->create_error(&e);
}

// Whether this is the runtime's question for metadata rather than a call; answers it.
bool asked_for_metadata(const CallFrame& frame) {
  for (xla::Extension* e = frame.extension; e; e = e->next) {
    if (e->type != 1) continue;
    xla::Metadata* m = reinterpret_cast<xla::MetadataExtension*>(e)->metadata;
    m->version = {sizeof(xla::Version), nullptr, 0, 1};
    m->traits = 0;
    return true;
  }
  return false;
}

// The runtime's own threads as a pool: they are awake, where new ones would have to be started beside them.
int32_t schedule(void* context, void (*task)(void*), void* data) {
  const CallFrame& frame = *static_cast<const CallFrame*>(context);
  xla::Schedule s{sizeof(xla::Schedule), nullptr, frame.context, task, data};
  xla::Error* error = frame.api->schedule(&s);
  if (!error) return 0;
  xla::ErrorDestroy d{sizeof(xla::ErrorDestroy), nullptr, error};
  frame.api->destroy_error(&d);
  return 1;
}

int64_t attribute(const CallFrame& frame, const char* name) {
  const xla::Attributes& a = frame.attributes;
  for (int64_t k = 0; k < a.size; ++k) {
    if (a.names[k]->length != std::strlen(name) || std::memcmp(a.names[k]->text, name, a.names[k]->length) != 0)
      continue;
    const xla::Scalar* s = static_cast<xla::Scalar*>(a.values[k]);
    if (a.types[k] == 3 && s->dtype == xla::kInt64) return *static_cast<int64_t*>(s->value);
  }
  refuse(std::string("attribute ") + name + " is missing or is no 64-bit integer");
}

// One network's part of a buffer.
struct Part {
  char* data = nullptr;
  int64_t bytes = 0;
  operator statecast_array() const { return {data, bytes}; }
  operator statecast_buffer() const { return {data, bytes}; }
};

// What the elements of a buffer are: of the call's dtype, bytes of 0 or 1, or 32-bit integers.
enum class Kind { number, flag, place };

// The networks of a call, and what their arrays have in common.
template <class Shape>
struct Call {
  Shape shape{};
  Sizes leading;  // of the result
  int dtype = 0;
  statecast_pool pool{};

  // `shape` points into this.
  Call(const Call&) = delete;
  Call(const CallFrame& frame, const Buffer& x, const Buffer& result, int64_t result_rank) {
    if (result.rank < result_rank) refuse("an array has too few axes");
    shape.threads = static_cast<int32_t>(attribute(frame, "threads"));
    shape.isa = static_cast<int32_t>(attribute(frame, "isa"));
    dtype = x.dtype;
    if (dtype != xla::kFloat && dtype != xla::kDouble) refuse("arrays must be float32 or float64");
    shape.dtype = static_cast<int32_t>(attribute(frame, "dtype"));
    if ((shape.dtype == STATECAST_FLOAT64) != (dtype == xla::kDouble)) refuse("arrays have another dtype than the call");
    leading.assign(result.dims, result.dims + result.rank - result_rank);
    shape.networks = 1;
    for (int64_t n : leading) shape.networks *= n;
    pool = {schedule, const_cast<CallFrame*>(&frame)};
    shape.pool = frame.api->struct_size >= sizeof(xla::Api) ? &pool : nullptr;
  }

  // One array for each network; without data where the buffer is empty, that is, absent.
  std::vector<Part> parts(const char* name, const Buffer& b, const Sizes& lengths, Kind kind = Kind::number) const {
    const int64_t axes = static_cast<int64_t>(leading.size()), rank = static_cast<int64_t>(lengths.size());
    std::vector<Part> out(static_cast<size_t>(shape.networks));
    if (b.rank != axes + rank) refuse(std::string(name) + " has the wrong number of axes");
    int64_t count = kind == Kind::flag ? 1 : kind == Kind::place || dtype == xla::kFloat ? 4 : 8, present = 1;
    for (int64_t k = 0; k < rank; ++k) present *= b.dims[axes + k];
    if (present == 0) return out;
    const bool flag = b.dtype == xla::kBool || b.dtype == xla::kByte;
    if (!(kind == Kind::flag ? flag : b.dtype == (kind == Kind::place ? xla::kInt32 : dtype)))
      refuse(std::string(name) + " has another dtype than it must have");
    for (int64_t k = 0; k < rank; ++k) {
      if (b.dims[axes + k] != lengths[static_cast<size_t>(k)])
        refuse(std::string(name) + " has length " + std::to_string(b.dims[axes + k]) + " on axis " + std::to_string(k) +
               ", wanted " + std::to_string(lengths[static_cast<size_t>(k)]));
      count *= b.dims[axes + k];
    }
    for (int64_t k = 0; k < axes; ++k)
      if (b.dims[k] != 1 && b.dims[k] != leading[static_cast<size_t>(k)])
        refuse(std::string(name) + " has another leading axis than the result");
    for (int64_t n = 0; n < shape.networks; ++n) {
      int64_t rest = n, at = 0, step = count;
      for (int64_t k = axes - 1; k >= 0; --k) {
        const int64_t length = leading[static_cast<size_t>(k)], index = rest % length;
        rest /= length;
        if (b.dims[k] != 1) at += index * step;
        step *= b.dims[k];
      }
      out[static_cast<size_t>(n)] = {static_cast<char*>(b.data) + at, count};
    }
    return out;
  }
};

// The sizes of a layer's call.
struct LayerBuffers : Call<statecast_layer> {
  LayerBuffers(const CallFrame& frame, const Buffer& x, const Buffer& u, const Buffer& result, int64_t result_rank)
      : Call(frame, x, result, result_rank) {
    if (x.rank < 3 || u.rank < 2) refuse("an array has too few axes");
    shape.cell = static_cast<int32_t>(attribute(frame, "cell"));
    shape.steps = x.dims[x.rank - 3];
    shape.batch = x.dims[x.rank - 2];
    shape.inputs = x.dims[x.rank - 1];
    shape.hidden = u.dims[u.rank - 2];
  }
};

void demand(const CallFrame& frame, int64_t arguments, int64_t results) {
  if (frame.arguments.size != arguments || frame.results.size != results) refuse("wrong number of arrays");
}

void finished(int32_t status) {
  if (status == STATECAST_NO_MEMORY) throw std::bad_alloc();
  if (status != STATECAST_OK) refuse(statecast_message(status));
}

void forward(const CallFrame& frame) {
  demand(frame, 11, 5);
  Buffer **a = frame.arguments.buffers, **r = frame.results.buffers;
  const LayerBuffers call(frame, *a[0], *a[2], *r[0], 3);
  const statecast_layer& s = call.shape;
  const int64_t t = s.steps, b = s.batch, i = s.inputs, h = s.hidden, g = gates_of(s.cell) * h;
  int64_t sizes[2];
  finished(statecast_tape_sizes(&s, sizes));
  const auto x = call.parts("x", *a[0], {t, b, i}), w = call.parts("W", *a[1], {i, g});
  const auto u = call.parts("U", *a[2], {h, g}), bias = call.parts("b", *a[3], {g});
  const auto bn = call.parts("bn", *a[4], {h}), h0 = call.parts("h", *a[5], {b, h});
  const auto c0 = call.parts("c", *a[6], {b, h}), hr = call.parts("init h", *a[7], {h});
  const auto cr = call.parts("init c", *a[8], {h}), mask = call.parts("mask", *a[9], {t, b}, Kind::flag);
  const auto reset = call.parts("reset", *a[10], {t, b}, Kind::flag);
  const auto y = call.parts("y", *r[0], {t, b, h}), hn = call.parts("h after", *r[1], {b, h});
  const auto cn = call.parts("c after", *r[2], {b, h}), gates = call.parts("gates", *r[3], {sizes[0]});
  const auto aux = call.parts("aux", *r[4], {sizes[1]});
  std::vector<statecast_inputs> in;
  std::vector<statecast_outputs> out;
  for (size_t n = 0; n < static_cast<size_t>(s.networks); ++n) {
    in.push_back({x[n], w[n], u[n], bias[n], bn[n], h0[n], c0[n], hr[n], cr[n], mask[n], reset[n]});
    out.push_back({y[n], hn[n], cn[n], gates[n], aux[n]});
  }
  finished(statecast_forward(&s, in.data(), out.data()));
}

void backward(const CallFrame& frame) {
  demand(frame, 13, 9);
  Buffer **a = frame.arguments.buffers, **r = frame.results.buffers;
  const LayerBuffers call(frame, *a[0], *a[2], *r[1], 2);
  const statecast_layer& s = call.shape;
  const int64_t t = s.steps, b = s.batch, i = s.inputs, h = s.hidden, g = gates_of(s.cell) * h;
  int64_t sizes[2];
  finished(statecast_tape_sizes(&s, sizes));
  const auto x = call.parts("x", *a[0], {t, b, i}), w = call.parts("W", *a[1], {i, g});
  const auto u = call.parts("U", *a[2], {h, g}), h0 = call.parts("h", *a[3], {b, h});
  const auto hr = call.parts("init h", *a[4], {h}), mask = call.parts("mask", *a[5], {t, b}, Kind::flag);
  const auto reset = call.parts("reset", *a[6], {t, b}, Kind::flag), y = call.parts("y", *a[7], {t, b, h});
  const auto gates = call.parts("gates", *a[8], {sizes[0]}), aux = call.parts("aux", *a[9], {sizes[1]});
  const auto dy = call.parts("dy", *a[10], {t, b, h}), dh = call.parts("dh", *a[11], {b, h});
  const auto dc = call.parts("dc", *a[12], {b, h}), dx = call.parts("dx", *r[0], {t, b, i});
  const auto dw = call.parts("dW", *r[1], {i, g}), du = call.parts("dU", *r[2], {h, g});
  const auto db = call.parts("db", *r[3], {g}), dbn = call.parts("dbn", *r[4], {h});
  const auto dh0 = call.parts("dh0", *r[5], {b, h}), dc0 = call.parts("dc0", *r[6], {b, h});
  const auto dhr = call.parts("dinit h", *r[7], {h}), dcr = call.parts("dinit c", *r[8], {h});
  std::vector<statecast_inputs> in;
  std::vector<statecast_tape> tape;
  std::vector<statecast_gradients> out;
  for (size_t n = 0; n < static_cast<size_t>(s.networks); ++n) {
    in.push_back({x[n], w[n], u[n], {}, {}, h0[n], {}, hr[n], {}, mask[n], reset[n]});
    tape.push_back({y[n], gates[n], aux[n], dy[n], dh[n], dc[n]});
    out.push_back({dx[n], dw[n], du[n], db[n], dbn[n], dh0[n], dc0[n], dhr[n], dcr[n]});
  }
  finished(statecast_backward(&s, in.data(), tape.data(), out.data()));
}

// The sizes and the series of a skip's call, whose arrays y, m, last, age, level and scale come first.
struct SkipBuffers : Call<statecast_skip> {
  std::vector<statecast_skip_arrays> arrays;

  SkipBuffers(const CallFrame& frame, const Buffer& result, int64_t result_rank)
      : Call(frame, *frame.arguments.buffers[0], result, result_rank) {
    Buffer** a = frame.arguments.buffers;
    if (a[0]->rank < 2 || a[4]->rank < 3) refuse("an array has too few axes");
    shape.places = a[0]->dims[a[0]->rank - 1];
    shape.targets = a[0]->dims[a[0]->rank - 2];
    shape.steps = a[4]->dims[a[4]->rank - 3];
    shape.batch = a[4]->dims[a[4]->rank - 2];
    const Sizes series = {shape.targets, shape.places}, rows = {shape.steps, shape.batch};
    const Sizes statistics = {shape.steps, shape.batch, shape.targets};
    const auto y = parts("y", *a[0], series), m = parts("m", *a[1], series);
    const auto last = parts("last", *a[2], rows, Kind::place), age = parts("age", *a[3], rows, Kind::place);
    const auto level = parts("level", *a[4], statistics), scale = parts("scale", *a[5], statistics);
    for (size_t n = 0; n < static_cast<size_t>(shape.networks); ++n)
      arrays.push_back({y[n], m[n], last[n], age[n], level[n], scale[n], {}, {}, {}, {}, {}, {}});
  }
};

void skip_forward(const CallFrame& frame) {
  demand(frame, 9, 1);
  Buffer** a = frame.arguments.buffers;
  const Buffer &w = *a[6], &maps = *a[8], &out = *frame.results.buffers[0];
  SkipBuffers call(frame, out, 4);
  if (w.rank < 3 || maps.rank < 4) refuse("an array has too few axes");
  statecast_skip& s = call.shape;
  s.size = w.dims[w.rank - 2];
  s.horizon = w.dims[w.rank - 1];
  s.series = maps.dims[maps.rank - 4];
  const auto weights = call.parts("W", w, {s.targets, s.size, s.horizon});
  const auto numbers = call.parts("numbers", *a[7], {s.steps, s.batch}, Kind::place);
  const auto local = call.parts("maps", maps, {s.series, s.targets, s.horizon, s.size});
  const auto results = call.parts("out", out, {s.steps, s.batch, s.horizon, s.targets});
  for (size_t n = 0; n < call.arrays.size(); ++n) {
    call.arrays[n].W = weights[n];
    call.arrays[n].numbers = numbers[n];
    call.arrays[n].maps = local[n];
    call.arrays[n].out = results[n];
  }
  finished(statecast_skip_forward(&s, call.arrays.data()));
}

void skip_backward(const CallFrame& frame) {
  demand(frame, 7, 1);
  const Buffer &dout = *frame.arguments.buffers[6], &dw = *frame.results.buffers[0];
  SkipBuffers call(frame, dw, 3);
  statecast_skip& s = call.shape;
  s.size = dw.dims[dw.rank - 2];
  s.horizon = dw.dims[dw.rank - 1];
  const auto gradients = call.parts("dout", dout, {s.steps, s.batch, s.horizon, s.targets});
  const auto results = call.parts("dW", dw, {s.targets, s.size, s.horizon});
  for (size_t n = 0; n < call.arrays.size(); ++n) {
    call.arrays[n].dout = gradients[n];
    call.arrays[n].dW = results[n];
  }
  finished(statecast_skip_backward(&s, call.arrays.data()));
}

xla::Error* guarded(void (*call)(const CallFrame&), const CallFrame& frame) {
  constexpr int kInvalidArgument = 3, kResourceExhausted = 8;
  if (asked_for_metadata(frame)) return nullptr;
  try {
    call(frame);
    return nullptr;
  } catch (const BadCall& bad) {
    return failure(frame, kInvalidArgument, bad.message.c_str());
  } catch (const std::bad_alloc&) {
    return failure(frame, kResourceExhausted, "statecast: out of memory");
  }
}

}  // namespace
}  // namespace statecast

extern "C" {
STATECAST_API statecast::xla::Error* statecast_xla_forward(statecast::xla::CallFrame* frame) {
  return statecast::guarded(statecast::forward, *frame);
}
STATECAST_API statecast::xla::Error* statecast_xla_backward(statecast::xla::CallFrame* frame) {
  return statecast::guarded(statecast::backward, *frame);
}
STATECAST_API statecast::xla::Error* statecast_xla_skip_forward(statecast::xla::CallFrame* frame) {
  return statecast::guarded(statecast::skip_forward, *frame);
}
STATECAST_API statecast::xla::Error* statecast_xla_skip_backward(statecast::xla::CallFrame* frame) {
  return statecast::guarded(statecast::skip_backward, *frame);
}
}
