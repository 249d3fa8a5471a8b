// The C interface of a network's step: checks what comes, and splits rows among threads.
#include <cstring>

#include "follow.h"
#include "job.h"
#include "parallel.h"

namespace statecast {
namespace {

// What a packed network begins with; the units and columns follow it, then the arrays.
struct Header {
  char magic[8];
  int64_t version;
  statecast_network sizes;
};
constexpr char magic[] = "statecst";

int64_t padded(int64_t bytes) { return (bytes + 63) / 64 * 64; }
int64_t columns_of(const statecast_network& n) { return 8 + 2 * n.layers; }
int64_t arrays_at(const statecast_network& n) {
  return padded(int64_t{sizeof(Header)}) + padded((n.layers + n.dense + columns_of(n)) * int64_t{sizeof(int64_t)});
}

int check(const statecast_network* n, const int64_t* units) {
  if (!n) return STATECAST_NULL;
  if (n->cell < STATECAST_LSTM || n->cell > STATECAST_RNN_RELU) return STATECAST_BAD_CELL;
  if (n->dtype != STATECAST_FLOAT32 && n->dtype != STATECAST_FLOAT64) return STATECAST_BAD_DTYPE;
  if (!arithmetic(n->isa, n->dtype)) return STATECAST_BAD_ISA;
  constexpr int64_t most = int64_t{1} << 17;  // no product of three sizes leaves 64 bits
  for (int64_t size : {n->targets, n->lags, n->skip, n->covariates, n->statics, n->layers, n->dense, n->horizon,
                       n->levels, n->future, n->mixed, n->members})
    if (size < 0 || size > most) return STATECAST_BAD_SHAPE;
  if (n->targets < 1 || n->horizon < 1 || n->members < 1 || n->members > 1024 || n->statics > n->covariates || n->layers + n->dense > 1024 ||
      n->levels > 1024 || n->normalize < STATECAST_NONE || n->normalize > STATECAST_WINDOW ||
      n->activation < STATECAST_LINEAR || n->activation > STATECAST_SILU)
    return STATECAST_BAD_SHAPE;
  if (n->layers + n->dense > 0 && !units) return STATECAST_NULL;
  for (int64_t k = 0; k < n->layers + n->dense; ++k)
    if (units[k] < 1 || units[k] > most) return STATECAST_BAD_SHAPE;
  return STATECAST_OK;
}

Net net_of(const statecast_network& n, const int64_t* units, const int64_t* columns, void* arrays) {
  Net net{&n, units, columns, 0, 0, 0, 0, 0, arrays};
  net.ring = std::max<int64_t>({n.lags, n.skip, 1});
  net.inputs = n.lags * n.targets + n.covariates + 2 * n.targets * (!!n.missing + !!n.level_input);
  net.outputs = n.layers + n.dense > 0 ? units[n.layers + n.dense - 1] : net.inputs;
  net.numbers = n.targets * (2 * n.levels + 1);
  net.widest = net.inputs;
  for (int64_t k = 0; k < n.layers + n.dense; ++k) net.widest = std::max(net.widest, units[k]);
  return net;
}

// The packed network at `packed`, which is refused where it is none.
int read(const void* packed, Net& net) {
  if (!packed) return STATECAST_NULL;
  const Header* h = static_cast<const Header*>(packed);
  if (std::memcmp(h->magic, magic, sizeof h->magic) != 0 || h->version != STATECAST_VERSION) return STATECAST_BAD_PACK;
  char* at = const_cast<char*>(static_cast<const char*>(packed));
  const int64_t* units = reinterpret_cast<const int64_t*>(at + padded(int64_t{sizeof(Header)}));
  const statecast_network& n = h->sizes;
  net = net_of(n, units, units + n.layers + n.dense, at + arrays_at(n));
  return STATECAST_OK;
}

// Whether every part of a row lies within it.
bool fits(const Net& net, int64_t stride) {
  const statecast_network& n = *net.sizes;
  const auto inside = [&](int64_t k, int64_t width) {
    return net.columns[k] >= 0 && net.columns[k] <= stride - width;
  };
  bool good = true;
  for (int64_t k = 0; k < 4; ++k) good = good && inside(k, n.targets);
  for (int64_t k = 4; k < 6; ++k) good = good && inside(k, net.ring * n.targets);
  for (int64_t k = 0; k < n.layers; ++k) {
    const int64_t width = n.members * net.units[k];
    good = good && inside(6 + 2 * k, width) && (n.cell != STATECAST_LSTM || inside(7 + 2 * k, width));
  }
  return good && inside(6 + 2 * n.layers, n.members * net.outputs) && (!n.statics || inside(7 + 2 * n.layers, n.statics));
}

int check_rows(const Net& net, const statecast_observations& o) {
  const statecast_network& n = *net.sizes;
  if (o.count < 0 || o.rows < 0 || !fits(net, o.stride)) return STATECAST_BAD_SHAPE;
  if (o.count == 0) return STATECAST_OK;
  if (o.values && n.covariates && !o.covariates) return STATECAST_NULL;
  if (o.forecast && (!o.scale || (n.future && !o.future))) return STATECAST_NULL;
  return check_table(o, o.count);
}

// Intervals follow the point forecasts of this network, from the values that it takes.
int check_both(const Net& net, const statecast_observations& o, const statecast_following* f) {
  if (!f) return STATECAST_OK;
  const statecast_network& n = *net.sizes;
  if (o.count > 0 && (!o.values || !o.forecast)) return STATECAST_NULL;
  if (f->dtype != n.dtype) return STATECAST_BAD_DTYPE;
  if (f->targets != n.targets || f->horizon != n.horizon || net.numbers != n.targets) return STATECAST_BAD_SHAPE;
  return check_following(*f, o.stride);
}

// Rows for which the start of a thread is worth while: about a tenth of a millisecond.
int64_t worth_a_thread(const Net& net) {
  double work = double(net.ring) * net.sizes->targets * 4 + double(net.outputs + net.sizes->skip) * net.numbers;
  for (int64_t k = 0; k < net.sizes->layers; ++k)
    work += 4.0 * double(net.units[k]) * double(net.units[k] + (k ? net.units[k - 1] : net.inputs));
  return std::max<int64_t>(1, int64_t(2e6 / (work * double(net.sizes->members))));
}

}  // namespace
}  // namespace statecast

using namespace statecast;

extern "C" {

int64_t statecast_network_bytes(const statecast_network* network, const int64_t* units) {
  if (check(network, units)) return 0;
  const Net net = net_of(*network, units, nullptr, nullptr);
  return arrays_at(*network) + arithmetic(network->isa, network->dtype)->packed_bytes(net);
}

int32_t statecast_network_pack(const statecast_network* network, const int64_t* units, const int64_t* columns,
                               const void* const* arrays, void* packed) {
  if (const int bad = check(network, units)) return bad;
  if (!columns || !arrays || !packed) return STATECAST_NULL;
  Header h{};
  std::memcpy(h.magic, magic, sizeof h.magic);
  h.version = STATECAST_VERSION;
  h.sizes = *network;
  char* to = static_cast<char*>(packed);
  std::memcpy(to, &h, sizeof h);
  int64_t* numbers = reinterpret_cast<int64_t*>(to + padded(int64_t{sizeof h}));
  const int64_t count = network->layers + network->dense;
  if (count) std::memcpy(numbers, units, static_cast<size_t>(count) * sizeof(int64_t));
  std::memcpy(numbers + count, columns, static_cast<size_t>(columns_of(*network)) * sizeof(int64_t));
  Net net{};
  if (const int bad = read(packed, net)) return bad;
  arithmetic(network->isa, network->dtype)->pack(net, arrays, net.arrays);
  return STATECAST_OK;
}

int32_t statecast_network_observe(const void* packed, int32_t threads, const statecast_observations* observations,
                                  const statecast_following* following) {
  Net net{};
  if (const int bad = read(packed, net)) return bad;
  if (!observations) return STATECAST_NULL;
  const statecast_observations& o = *observations;
  if (const int bad = check_rows(net, o)) return bad;
  if (const int bad = check_both(net, o, following)) return bad;
  const Arithmetic* a = arithmetic(net.sizes->isa, net.sizes->dtype);
  if (!a) return STATECAST_BAD_ISA;
  if (o.count == 0) return STATECAST_OK;
  return guarded([&] {
    const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(threads, o.count / worth_a_thread(net)));
    const int64_t most = (o.count + parts - 1) / parts, each = (a->observe_bytes(net, o, most) + 4095) / 4096 * 4096;
    const Memory scratch = memory(each * parts);
    in_parallel(nullptr, parts, parts, [&](int64_t worker, int64_t k) {
      const int64_t first = o.count * k / parts, end = o.count * (k + 1) / parts;
      a->observe(net, o, following, first, end - first, static_cast<char*>(scratch.get()) + worker * each);
    });
  });
}

}  // extern "C"
