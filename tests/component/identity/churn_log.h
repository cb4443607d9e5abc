#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace warder::testing::churn {

// What the processes of the churner (churner_main.cc) write down of who has which socket, in memory
// they share with the test, and what follows from it.

constexpr int kWorkers = 4;
constexpr std::size_t kEvents = std::size_t{1} << 20;  // of one worker; then it stops
// "Has it" of a socket on its way from one process to another.
constexpr int kOnTheWay = kWorkers;

// A system call that changed who has a socket. It happened at some time between `begin` and `end`
// (CLOCK_MONOTONIC, nanoseconds).
struct Event {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::uint32_t socket = 0;
  std::int16_t who = 0;     // a worker, or kOnTheWay
  std::int16_t change = 0;  // of the number of descriptors
};

struct Page {
  std::atomic<std::size_t> used{0};
  Event events[kEvents];
};

// Zeroed memory is a valid one.
struct Log {
  std::atomic<bool> go;    // the workers have connected and may begin to pass sockets on
  std::atomic<bool> stop;  // they stand still, and keep what they have
  std::atomic<int> stopped;
  std::uint32_t sockets;  // of each worker
  Page pages[kWorkers];
};

[[nodiscard]] std::int64_t now();

// Who was found to have a socket, by a lookup between two times.
struct Answer {
  std::uint32_t socket = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::set<int> holders;  // workers; kOnTheWay when references were left over
};

// Everything that happened, by socket. To be made after the workers have stopped.
class History {
 public:
  explicit History(const Log& log);

  // Whether there was an instant within the lookup at which the answer can have been true.
  [[nodiscard]] bool allows(const Answer& answer) const;
  // Whether each of the workers that were found had it at some time within the lookup.
  [[nodiscard]] bool knows_all(const Answer& answer) const;
  // How many changes there were while it was looked up.
  [[nodiscard]] std::size_t changes_within(const Answer& answer) const;
  // Who has it at the end.
  [[nodiscard]] std::set<int> last_holders(std::uint32_t socket) const;
  [[nodiscard]] std::string text(const Answer& answer) const;

 private:
  using Counts = std::array<int, kWorkers + 1>;
  struct Socket {
    std::vector<Event> events;  // by `begin`
    std::vector<Counts> until;  // before each of them, once all that came earlier have ended
    std::int64_t longest = 0;   // of any of them
  };
  // What was under way or came at that time or later, until another, and what had been before.
  struct Window {
    Counts before{};
    std::span<const Event> events;
  };
  [[nodiscard]] Window window(const Answer& answer) const;
  // Between two of these nothing changes.
  [[nodiscard]] static std::vector<std::int64_t> instants(const Window& window,
                                                          const Answer& answer);
  [[nodiscard]] static bool may_have(const Window& window, std::int64_t time, int who);
  [[nodiscard]] static bool true_at(const Window& window, std::int64_t time,
                                    const std::set<int>& holders);

  std::vector<Socket> by_socket_;
};

}  // namespace warder::testing::churn
