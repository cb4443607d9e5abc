#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "http/process.h"
#include "net/address.h"
#include "net/result.h"

namespace warder::bench {

struct GateSite {
  std::string self;         // this program, whose requests the policy allows
  std::string flooder;      // another one, whose requests it denies
  std::string warder, opa;  // programs
  std::string policy;       // the folder of the policy package
  std::string directory;    // for configurations, sockets and logs
  std::string limit;        // opa.max_denials_per_second; empty: the default
};

inline constexpr std::uint16_t kOriginPort = 8001;
// Where nobody may go: every name below this one.
inline constexpr const char* kDeniedName = ".flood.test";

// The origin, a real OPA with its decision log, and Warder.
class Gate {
 public:
  // Returns once a request can be decided. Errors: those of starting them; timed_out.
  [[nodiscard]] static Result<std::unique_ptr<Gate>> start(const GateSite& site);

  [[nodiscard]] net::Endpoint address() const;
  // CPU time that both have used.
  [[nodiscard]] double warder_seconds() const;
  [[nodiscard]] double opa_seconds() const;
  // Ends Warder in order, so that its log is whole. Errors: timed_out.
  [[nodiscard]] Result<void> stop();

  // What the logs say of the flood; after stop(). Errors: bad_response.
  struct Told {
    std::uint64_t asked = 0;   // of OPA, by its decision log
    std::uint64_t lines = 0;   // of Warder's log
    std::uint64_t denied = 0;  // by Warder's log, one by one and in sums
  };
  [[nodiscard]] Result<Told> told() const;

 private:
  Gate(const GateSite& site, Process origin, Process opa, Process warder);

  const GateSite site_;
  const Process origin_, opa_, warder_;
};

}  // namespace warder::bench
