#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proxy/record.h"

namespace warder::proxy {

// Refusals that were not told one by one because they were like others just before.
struct RepeatedDenial {
  Verdict verdict = Verdict::deny;
  std::optional<std::string> binary;
  std::optional<std::string> host;
  std::optional<std::uint16_t> port;
  std::string code;
  std::uint64_t count = 0;
  std::chrono::milliseconds window{};  // from the first of the kind, told or not
  std::string last_request_id;
  std::optional<std::string> last_decision_id;
};

// Sums up refusals with the same binary, host, port and code (those for being denied too often
// whatever the host and the port): of each kind the first few in a window are told one by one, the
// rest as one count when the window ends. Revocations of open tunnels are all told one by one. The
// table is bounded. When it is full, refusals of further kinds with an id of a decision, or that
// OPA may have decided, are all told one by one: DenialLimit and breaker bound how many there are.
// Of the others there
// may be any number, so they are summed up whatever their destination, and with still more programs
// whatever the program. Not thread-safe.
class DenialSummary {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr std::size_t kToldOneByOne = 5;
  static constexpr std::chrono::seconds kWindow{10};
  static constexpr std::size_t kMaxKinds = 1024;
  // With those of any destination; there are as many more as there are codes.
  static constexpr std::size_t kMaxWiderKinds = 2048;

  // Whether `record` is to be told by itself; otherwise it has been counted. Allows and
  // revocations always are.
  [[nodiscard]] bool admit(const DecisionRecord& record, Clock::time_point now);
  // The counts of windows that have ended, of which there are none afterwards.
  [[nodiscard]] std::vector<RepeatedDenial> expire(Clock::time_point now);
  // The counts of all windows, ended or not.
  [[nodiscard]] std::vector<RepeatedDenial> flush(Clock::time_point now);
  [[nodiscard]] bool empty() const { return kinds_.empty(); }

 private:
  struct Like {
    std::optional<std::string> binary;
    std::optional<std::string> host;
    std::optional<std::uint16_t> port;
    std::string code;
    friend auto operator<=>(const Like&, const Like&) = default;
  };
  struct Seen {
    Clock::time_point since;
    std::size_t told = 0;
    Verdict verdict = Verdict::deny;
    std::uint64_t untold = 0;
    std::string last_request_id;
    std::optional<std::string> last_decision_id;
  };

  // nullptr: there is no room, and `record` is to be told by itself.
  [[nodiscard]] Seen* find(const DecisionRecord& record, Clock::time_point now);
  [[nodiscard]] Seen* enter(Like like, std::size_t most, Clock::time_point now);
  [[nodiscard]] std::vector<RepeatedDenial> take(Clock::time_point now, Clock::duration age);

  std::map<Like, Seen> kinds_;
};

}  // namespace warder::proxy
