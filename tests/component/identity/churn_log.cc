#include "tests/component/identity/churn_log.h"

#include <algorithm>
#include <ctime>

namespace warder::testing::churn {

std::int64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

History::History(const Log& log) {
  by_socket_.resize(std::size_t{log.sockets} * kWorkers);
  for (const Page& page : log.pages)
    for (std::size_t i = 0; i < page.used; ++i)
      by_socket_.at(page.events[i].socket).events.push_back(page.events[i]);
  for (Socket& socket : by_socket_) {
    std::sort(socket.events.begin(), socket.events.end(),
              [](const Event& a, const Event& b) { return a.begin < b.begin; });
    Counts counts{};
    for (const Event& event : socket.events) {
      socket.until.push_back(counts);
      counts.at(static_cast<std::size_t>(event.who)) += event.change;
      socket.longest = std::max(socket.longest, event.end - event.begin);
    }
    socket.until.push_back(counts);
  }
}

History::Window History::window(const Answer& answer) const {
  const Socket& socket = by_socket_.at(answer.socket);
  const auto from = std::partition_point(
      socket.events.begin(), socket.events.end(),
      [&](const Event& event) { return event.begin + socket.longest < answer.begin; });
  const auto to = std::partition_point(
      from, socket.events.end(), [&](const Event& event) { return event.begin <= answer.end; });
  const auto at = static_cast<std::size_t>(from - socket.events.begin());
  return {socket.until.at(at), {from, to}};
}

// A call that was under way at that time may have had its effect already, or not.
bool History::true_at(const Window& window, std::int64_t time, const std::set<int>& holders) {
  Counts at_least = window.before;
  Counts at_most = window.before;
  bool moving = false;
  for (const Event& event : window.events) {
    const auto who = static_cast<std::size_t>(event.who);
    const bool begun = event.begin <= time;
    const bool done = event.end <= time;
    moving |= begun && !done;
    if (event.change > 0 ? done : begun) at_least.at(who) += event.change;
    if (event.change > 0 ? begun : done) at_most.at(who) += event.change;
  }
  // Within a call there are references for a moment that are in no table yet, or no longer.
  if (moving) at_most.at(kOnTheWay) = std::max(at_most.at(kOnTheWay), 1);
  for (int who = 0; who <= kOnTheWay; ++who) {
    const bool has = holders.count(who) > 0;
    if (has && at_most.at(static_cast<std::size_t>(who)) <= 0) return false;
    if (!has && at_least.at(static_cast<std::size_t>(who)) > 0) return false;
  }
  return true;
}

std::vector<std::int64_t> History::instants(const Window& window, const Answer& answer) {
  std::vector<std::int64_t> times{answer.begin, answer.end};
  for (const Event& event : window.events)
    for (const std::int64_t time : {event.begin, event.end, event.end - 1})
      if (time > answer.begin && time < answer.end) times.push_back(time);
  return times;
}

bool History::may_have(const Window& window, std::int64_t time, int who) {
  int at_most = window.before.at(static_cast<std::size_t>(who));
  for (const Event& event : window.events)
    if (event.who == who && (event.change > 0 ? event.begin : event.end) <= time)
      at_most += event.change;
  return at_most > 0;
}

bool History::knows_all(const Answer& answer) const {
  const Window seen = window(answer);
  const auto times = instants(seen, answer);
  return std::all_of(answer.holders.begin(), answer.holders.end(), [&](int who) {
    return who == kOnTheWay || std::any_of(times.begin(), times.end(), [&](std::int64_t time) {
             return may_have(seen, time, who);
           });
  });
}

bool History::allows(const Answer& answer) const {
  const Window seen = window(answer);
  const auto times = instants(seen, answer);
  return std::any_of(times.begin(), times.end(),
                     [&](std::int64_t time) { return true_at(seen, time, answer.holders); });
}

std::size_t History::changes_within(const Answer& answer) const {
  const Window seen = window(answer);
  return static_cast<std::size_t>(
      std::count_if(seen.events.begin(), seen.events.end(),
                    [&](const Event& event) { return event.end >= answer.begin; }));
}

std::set<int> History::last_holders(std::uint32_t socket) const {
  const Counts& counts = by_socket_.at(socket).until.back();
  std::set<int> holders;
  for (int who = 0; who <= kOnTheWay; ++who)
    if (counts.at(static_cast<std::size_t>(who)) > 0) holders.insert(who);
  return holders;
}

std::string History::text(const Answer& answer) const {
  std::string text = "socket " + std::to_string(answer.socket) + ", found:";
  for (const int who : answer.holders) text += " " + std::to_string(who);
  text += ", in " + std::to_string(answer.end - answer.begin) + " ns\n";
  for (const Event& event : by_socket_.at(answer.socket).events) {
    if (event.end < answer.begin - 1'000'000 || event.begin > answer.end + 1'000'000) continue;
    text += "  " + std::to_string(event.begin - answer.begin) + " to " +
            std::to_string(event.end - answer.begin) + ": " + std::to_string(event.who) +
            (event.change > 0 ? " has one more\n" : " has one less\n");
  }
  return text;
}

}  // namespace warder::testing::churn
