// The C interface of a network's step: checks what comes, and splits rows among threads.
#include <cstring>

#include "check.h"
#include "job.h"
#include "parallel.h"
#include "table.h"

namespace statecast {
namespace {

// What a packed network begins with; the units and columns follow it, then the arrays.
struct Header {
  char magic[8];
  int64_t version;
  statecast_network sizes;
};
constexpr char magic[] = "statecst";
constexpr int64_t int64_bytes = sizeof(int64_t);

int64_t padded(int64_t bytes) { return (bytes + 63) / 64 * 64; }
int64_t units_of(const statecast_network& n) { return n.layers + n.dense; }
int64_t columns_of(const statecast_network& n) { return 9 + 2 * n.layers; }
int64_t units_at() { return padded(int64_t{sizeof(Header)}); }
int64_t arrays_at(const statecast_network& n) {
  return units_at() + padded((units_of(n) + columns_of(n)) * int64_bytes);
}

int32_t check_sizes(const statecast_network& n) {
  if (!gates_of(n.cell)) return STATECAST_BAD_CELL;
  if (n.dtype != STATECAST_FLOAT32 && n.dtype != STATECAST_FLOAT64) return STATECAST_BAD_DTYPE;
  if (!arithmetic(n.isa, n.dtype)) return STATECAST_BAD_ISA;
  if (n.series < 0 || n.series > int64_t{1} << 24 || (n.series > 0 && n.skip == 0)) return STATECAST_BAD_SHAPE;
  constexpr int64_t most = int64_t{1} << 17;  // no product of three sizes leaves 64 bits
  for (int64_t size : {n.targets, n.lags, n.skip, n.covariates, n.statics, n.layers, n.dense, n.horizon, n.levels,
                       n.future, n.mixed, n.members})
    if (size < 0 || size > most) return STATECAST_BAD_SHAPE;
  if (n.targets < 1 || n.horizon < 1 || n.members < 1 || n.members > 1024 || n.statics > n.covariates ||
      units_of(n) > 1024 || n.levels > 1024 || n.normalize < STATECAST_NONE || n.normalize > STATECAST_WINDOW ||
      n.activation < STATECAST_LINEAR || n.activation > STATECAST_SILU)
    return STATECAST_BAD_SHAPE;
  return STATECAST_OK;
}

// Whether units are in range, and all sizes in bytes far from where 64 bits end.
int32_t check_units(const statecast_network& n, const int64_t* units) {
  double before = double(n.lags) * n.targets + n.covariates + 4.0 * n.targets, numbers = 2.0 * n.targets;
  for (int64_t k = 0; k < units_of(n); ++k) {
    if (units[k] < 1 || units[k] > int64_t{1} << 17) return STATECAST_BAD_SHAPE;
    numbers += 4.0 * (before + units[k] + 128) * (units[k] + 128);
    before = double(units[k]);
  }
  const double forecast = double(n.targets) * (2.0 * n.levels + 1) * n.horizon;
  numbers += (before + 1) * (forecast + n.mixed + 128) + double(n.targets) * (n.skip + 1.0) * (n.horizon + 128.0);
  numbers += double(n.mixed + 128) * (n.future + double(n.horizon) + n.targets * (2.0 * n.levels + 1));
  const double maps = double(n.series) * n.targets * n.horizon * n.skip;
  return numbers * double(n.members) + maps < 1e14 ? STATECAST_OK : STATECAST_BAD_SHAPE;
}

int32_t check(const statecast_network* n, const statecast_array* units) {
  if (!n || !units) return STATECAST_NULL;
  if (const int32_t status = check_sizes(*n)) return status;
  if (const int32_t status = check({needs(*units, int64_bytes, {units_of(*n)})})) return status;
  return check_units(*n, static_cast<const int64_t*>(units->data));
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

// The network in a block that `statecast_network_pack` filled; anything else is refused.
int32_t read(const statecast_array* block, Net& net) {
  if (!block || !block->data) return STATECAST_NULL;
  if (block->bytes < units_at() || reinterpret_cast<uintptr_t>(block->data) % 64 != 0) return STATECAST_BAD_PACK;
  const Header* h = static_cast<const Header*>(block->data);
  if (std::memcmp(h->magic, magic, sizeof h->magic) != 0 || h->version != STATECAST_VERSION) return STATECAST_BAD_PACK;
  const statecast_network& n = h->sizes;
  if (check_sizes(n) || block->bytes < arrays_at(n)) return STATECAST_BAD_PACK;
  char* at = const_cast<char*>(static_cast<const char*>(block->data));
  const int64_t* units = reinterpret_cast<const int64_t*>(at + units_at());
  if (check_units(n, units)) return STATECAST_BAD_PACK;
  net = net_of(n, units, units + units_of(n), at + arrays_at(n));
  const int64_t bytes = arrays_at(n) + arithmetic(n.isa, n.dtype)->packed_bytes(net);
  return block->bytes == bytes ? STATECAST_OK : STATECAST_BAD_PACK;
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
  return good && inside(6 + 2 * n.layers, n.members * net.outputs) &&
         (!n.statics || inside(7 + 2 * n.layers, n.statics)) && (!n.series || inside(8 + 2 * n.layers, 1));
}

int32_t check_rows(const Net& net, const statecast_observations& o, int64_t steps) {
  const statecast_network& n = *net.sizes;
  if (steps < 0 || o.count < 0 || o.rows < 0 || o.stride < 0 || !fits(net, o.stride)) return STATECAST_BAD_SHAPE;
  const int64_t element = bytes_of(n.dtype), width = net.numbers / n.targets;
  const int32_t status = check({may_have(o.values, int64_t{sizeof(double)}, {steps, o.count, n.targets}),
                                may_have(o.forecast, element, {o.count, n.horizon, n.targets, width})});
  if (status) return status;
  if (o.values.data)
    if (const int32_t bad = check({needs(o.covariates, element, {steps, o.count, n.covariates})})) return bad;
  if (o.forecast.data)
    if (const int32_t bad = check({needs(o.scale, element, {o.count, n.targets}),
                                   needs(o.future, element, {o.count, n.horizon, n.future})}))
      return bad;
  return o.count == 0 ? STATECAST_OK : check_table(o, o.count, element);
}

// Intervals adapt to the point forecasts of this network, from the values that it takes.
int32_t check_both(const Net& net, const statecast_observations& o, const statecast_adaptation* a) {
  if (!a) return STATECAST_OK;
  const statecast_network& n = *net.sizes;
  if (o.count > 0 && (!o.values.data || !o.forecast.data)) return STATECAST_NULL;
  if (a->dtype != n.dtype) return STATECAST_BAD_DTYPE;
  if (a->targets != n.targets || a->horizon != n.horizon || net.numbers != n.targets) return STATECAST_BAD_SHAPE;
  if (const int32_t status = check_adaptation(*a, o.stride)) return status;
  return check({may_have(o.report, bytes_of(n.dtype), {o.count, report_numbers(*a)})});
}

// Rows, each through one step, for which the start of a thread is worth while: about a tenth of a millisecond.
int64_t worth_a_thread(const Net& net) {
  double work = double(net.ring) * net.sizes->targets * 4 + double(net.outputs + net.sizes->skip) * net.numbers;
  for (int64_t k = 0; k < net.sizes->layers; ++k)
    work += 4.0 * double(net.units[k]) * double(net.units[k] + (k ? net.units[k - 1] : net.inputs));
  const double maps = net.sizes->series ? double(net.sizes->skip) * net.sizes->horizon * net.sizes->targets : 0;
  return std::max<int64_t>(1, int64_t(2e6 / (work * double(net.sizes->members) + maps)));
}

// All rows through all steps, each thread with rows of its own.
int32_t run(const Net& net, int32_t threads, const statecast_observations& o, const statecast_adaptation* adaptation,
            int64_t steps) {
  const Arithmetic* a = arithmetic(net.sizes->isa, net.sizes->dtype);
  return guarded([&] {
    const int64_t worth = (worth_a_thread(net) + steps - 1) / steps;
    const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(threads, o.count / worth));
    const int64_t most = (o.count + parts - 1) / parts, each = (a->observe_bytes(net, o, most) + 4095) / 4096 * 4096;
    const Memory scratch = memory(each * parts);
    in_parallel(nullptr, parts, parts, [&](int64_t worker, int64_t k) {
      const int64_t first = o.count * k / parts, end = o.count * (k + 1) / parts;
      a->observe(net, o, adaptation, steps, first, end - first, static_cast<char*>(scratch.get()) + worker * each);
    });
  });
}

}  // namespace
}  // namespace statecast

using namespace statecast;

extern "C" {

int64_t statecast_network_bytes(const statecast_network* network, const statecast_array* units) {
  if (check(network, units)) return 0;
  const Net net = net_of(*network, static_cast<const int64_t*>(units->data), nullptr, nullptr);
  return arrays_at(*network) + arithmetic(network->isa, network->dtype)->packed_bytes(net);
}

int32_t statecast_network_pack(const statecast_network* network, const statecast_array* units,
                               const statecast_array* columns, const statecast_array* arrays, int64_t count,
                               const statecast_buffer* block) {
  if (const int32_t status = check(network, units)) return status;
  if (!columns || !arrays || !block || !block->data) return STATECAST_NULL;
  const statecast_network& n = *network;
  if (const int32_t status = check({needs(*columns, int64_bytes, {columns_of(n)})})) return status;
  if (count < 0 || block->bytes != statecast_network_bytes(network, units) ||
      reinterpret_cast<uintptr_t>(block->data) % 64 != 0)
    return STATECAST_BAD_LENGTH;
  Header h{};
  std::memcpy(h.magic, magic, sizeof h.magic);
  h.version = STATECAST_VERSION;
  h.sizes = n;
  char* to = static_cast<char*>(block->data);
  std::memcpy(to, &h, sizeof h);
  int64_t* numbers = reinterpret_cast<int64_t*>(to + units_at());
  if (units_of(n)) std::memcpy(numbers, units->data, static_cast<size_t>(units_of(n) * int64_bytes));
  std::memcpy(numbers + units_of(n), columns->data, static_cast<size_t>(columns_of(n) * int64_bytes));
  Net net{};
  const statecast_array packed{block->data, block->bytes};
  if (const int32_t status = read(&packed, net)) return status;
  const int32_t status = arithmetic(n.isa, n.dtype)->pack(net, arrays, count, net.arrays);
  if (status) std::memset(to, 0, sizeof h);  // so that nobody takes it for a network
  return status;
}

int32_t statecast_network_observe(const statecast_array* block, int32_t threads,
                                  const statecast_observations* observations, const statecast_adaptation* adaptation) {
  Net net{};
  if (const int32_t status = read(block, net)) return status;
  if (!observations) return STATECAST_NULL;
  const statecast_observations& o = *observations;
  if (const int32_t status = check_rows(net, o, 1)) return status;
  if (const int32_t status = check_both(net, o, adaptation)) return status;
  return o.count == 0 ? STATECAST_OK : run(net, threads, o, adaptation, 1);
}

int32_t statecast_network_advance(const statecast_array* block, int32_t threads,
                                  const statecast_observations* observations, int64_t steps) {
  Net net{};
  if (const int32_t status = read(block, net)) return status;
  if (!observations) return STATECAST_NULL;
  const statecast_observations& o = *observations;
  if (o.forecast.data) return STATECAST_BAD_SHAPE;
  if (const int32_t status = check_rows(net, o, steps)) return status;
  if (o.count == 0 || steps == 0) return STATECAST_OK;
  return o.values.data ? run(net, threads, o, nullptr, steps) : STATECAST_NULL;
}

}  // extern "C"
