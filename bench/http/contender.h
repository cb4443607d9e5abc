#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "load.h"
#include "net/result.h"
#include "process.h"

namespace warder::bench {

// Where things are, and what all of them have in common.
struct Site {
  std::string self;       // this program, whose connections the policy allows
  std::string warder;     // the program measured
  std::string opa;        // its policy server
  std::string policy;     // the directory of the policy package
  std::string envoy;      // the peers that are not at one place on every machine
  std::string directory;  // for configurations, sockets and logs; everybody may enter it
  bool access_log = false;
};

// Two ports of one origin. Answers of the policy may be reused for the first, not for the second.
inline constexpr std::uint16_t kReusePort = 8001;
inline constexpr std::uint16_t kDecidePort = 8002;

// Something that a request can be sent through.
struct Contender {
  std::string name;
  std::string label;  // with version
  std::vector<Process> processes;
  net::Endpoint at;
  std::uint16_t origin_port = kReusePort;
  bool asks_opa = false;  // OPA's CPU is part of what a request costs
};

struct Opa {
  Process process;
  std::string socket;
  std::string decision_log;  // a file
};

[[nodiscard]] inline net::Endpoint loopback(std::uint16_t port) {
  return {net::IpAddress::v4({127, 0, 0, 1}), port};
}

// All of these return when it accepts connections; errors: timed_out, closed_by_peer, system, with
// the end of what it printed.
[[nodiscard]] Result<Process> start_origin(const Site& site);
[[nodiscard]] Result<Opa> start_opa(const Site& site);
[[nodiscard]] Result<Contender> start_warder(const Site& site, const Opa& opa, bool reuse);
[[nodiscard]] Result<Contender> start_squid(const Site& site);
[[nodiscard]] Result<Contender> start_apache(const Site& site);
[[nodiscard]] Result<Contender> start_envoy(const Site& site);

// The question Warder asked for its request, as a whole request to OPA: taken from the decision
// log, so that it is the same document. Errors: not_found, when there is none.
[[nodiscard]] Result<std::string> asked_question(const Opa& opa);

}  // namespace warder::bench
