// What a series' own past says of a value: one target's step of src/statecast/model/surprise.py, where it is explained.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

namespace statecast {
namespace {

// What `surprise.rules` gives, in its order.
struct Rules {
  double weight, most, forget, recent, steady, step, shape, first, least, slow, doubt, loss, farthest;
  double stakes[4], edges[4], bound;
};

struct Arrival {
  double value = 0, latest = 0, together = 0, forecasts = 0, error = 0;
  bool observed = false, next = false;
};

enum Place { report = 6, excess = 4, records = 18, past = 2, usual = 3, stakes = 8, surprises = 41 };

// The numbers of one target of a row, `stride` apart.
template <class T>
struct Surprise {
  const Rules& rules;
  T* row;
  int64_t stride;
  double mean_excess[2], centre;

  T& at(int64_t k) const { return row[k * stride]; }
  double get(int64_t k) const { return static_cast<double>(at(k)); }
  void put(int64_t k, double value) const { at(k) = static_cast<T>(value); }

  // Steps without values.
  void skip() const {
    for (int64_t k = 0; k < report; ++k) put(k, 0);
    for (int64_t n = 0; n < 4; ++n)
      if (get(stakes_at(n)) > 0) put(stakes_at(n) + 1, get(stakes_at(n) + 1) + 1);
  }

  void observe(const Arrival& a) const {
    skip();
    if (!a.observed) return;
    const bool there = a.forecasts > 0;
    const double latest = scaled(0, a.latest, there), together = scaled(1, a.together, there);
    const double rarest = record(a);
    put(0, latest);
    put(1, together);
    put(2, a.forecasts);
    put(3, rarest);
    if (a.next) changes(a, latest);
  }

 private:
  static constexpr int64_t excess_at = report, records_at = excess_at + excess, past_at = records_at + records;
  static constexpr int64_t usual_at = past_at + past;
  static constexpr int64_t stakes_at(int64_t n) { return usual_at + usual + 2 * n; }

  double scaled(int64_t look, double position, bool there) const {
    const int64_t at = excess_at + 2 * look;
    const double ratio = (rules.weight + get(at)) / (rules.weight + get(at + 1)), size = std::abs(position);
    const double beyond = std::max(size - 1, 0.0);
    if (there && beyond > 0) {
      put(at, (1 - rules.forget) * get(at) + std::min(beyond / mean_excess[look], rules.most * ratio));
      put(at + 1, (1 - rules.forget) * get(at + 1) + 1);
    }
    return std::copysign(std::min(size, 1.0) + std::min(beyond / ratio, rules.farthest), position);
  }

  // Of the value, its running mean and the error one step ahead: the least probable record.
  double record(const Arrival& a) const {
    const double count = get(past_at), before = get(past_at + 1);
    const double mean = count > 0 ? before + rules.steady * (a.value - before) : a.value;
    const double numbers[3] = {a.value, mean, a.error};
    double rarest = 0;
    for (int64_t n = 0; n < 3; ++n) {
      if (n == 2 && !a.next) continue;
      const int64_t up = records_at + 6 * n, down = up + 3;
      const double span = get(up) + get(down);
      for (int64_t side = 0; side < 2; ++side) {
        const double sign = side ? -1 : 1, news = one(side ? down : up, sign * numbers[n], span, count);
        if (news > std::abs(rarest)) rarest = sign * news;
      }
    }
    put(past_at, count + 1);
    put(past_at + 1, mean);
    return rarest;
  }

  double one(int64_t at, double number, double span, double count) const {
    const double extreme = get(at), total = get(at + 1), weight = get(at + 2);
    const double far = rules.farthest, step = (number - extreme) / std::max(span, 1 / (far * far * far));
    const bool there = count > 0 && span > 0 && step > 0;
    const double beyond = there ? std::min(step, far) : 0;
    const double expected = (total + rules.first * rules.step) / (weight + rules.first);
    const double often = std::max(1 / (count + 1), std::min(rules.recent * weight, 1.0));
    put(at, count > 0 ? std::max(extreme, number) : number);
    put(at + 1, (1 - rules.recent) * total + beyond);
    put(at + 2, (1 - rules.recent) * weight + there);
    if (!there || count < rules.least) return 0;
    return std::log1p(rules.shape * beyond / (expected * (1 - rules.shape))) / rules.shape - std::log(often);
  }

  void changes(const Arrival& a, double latest) const {
    const double total = get(usual_at), louds = get(usual_at + 1), weight = get(usual_at + 2);
    const double far = rules.farthest, count = std::max(weight, 1 / far);
    const double whole = std::abs(a.error), mean = weight > 0 ? total / count : whole;
    const double size = mean > 0 ? std::min(whole, rules.most * mean) : whole;
    const double loudness = size / std::max(size + mean, 1 / (far * far * far));
    const double louder = weight >= rules.least ? loudness - louds / count : 0;
    const double lean = std::min(std::max(latest, -2.0), 2.0) / 2 - centre;
    const double gains[4] = {lean, -lean, louder, -louder};
    double bound = rules.bound, age = 0;
    int64_t winner = 0;
    for (int64_t n = 0; n < 4; ++n) {
      const int64_t at = stakes_at(n);
      const double before = get(at), steps = before > 0 ? get(at + 1) : 1;
      const double gain = std::max(rules.stakes[n] * (gains[n] - rules.edges[n]), -rules.loss);
      const double stake = std::max(before, 0.0) + std::log1p(gain);
      if (stake >= bound) {
        winner = n + 1;
        age = steps;
      }
      bound = std::max(bound, stake);
      put(at, stake);
      put(at + 1, stake > 0 ? steps : 0);
    }
    put(4, static_cast<double>(winner));
    put(5, age);
    if (winner) {
      for (int64_t k = 0; k < usual; ++k) put(usual_at + k, 0);
    } else if (std::max(get(stakes_at(2)), get(stakes_at(3))) <= rules.doubt) {
      put(usual_at, (1 - rules.slow) * total + size);
      put(usual_at + 1, (1 - rules.slow) * louds + loudness);
      put(usual_at + 2, (1 - rules.slow) * weight + 1);
    }
    if (winner)
      for (int64_t k = 0; k < stakes; ++k) put(stakes_at(0) + k, 0);
  }
};

}  // namespace
}  // namespace statecast
