#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "identity/host_resolver.h"
#include "net/address.h"
#include "net/result.h"
#include "opa-client/client.h"

namespace warder::proxy {

// Where the admin server listens.
struct AdminAddress {
  std::optional<net::Endpoint> endpoint;  // a loopback address
  std::string socket_path;                // else a unix socket
};

enum class LogLevel { debug, info, warn, error };
enum class LogFormat { json, text };
// What a refused client is told: which program it is, where to and the code; or also what the
// policy says, which may be about other programs.
enum class Explain { code, full };

// All that can be set, with its default: the only place where a default stands. Made by
// load_config(); docs/config.md is tested against it.
struct Config {
  std::vector<net::Endpoint> listen{{net::IpAddress::v4({127, 0, 0, 1}), 3128}};
  std::optional<AdminAddress> admin = AdminAddress{
      net::Endpoint{net::IpAddress::v4({127, 0, 0, 1}), 3129}, {}};  // "none" turns it off

  struct Opa {
    std::string url = "http://127.0.0.1:8181";
    std::string path = "/v1/data/egress/decision";
    std::chrono::milliseconds timeout{500};
    std::size_t connections = 16;  // per worker
    std::size_t queue = 1024;      // per worker
    std::chrono::milliseconds max_age{10000};
    std::chrono::milliseconds probe{5000};
    std::string ca_file, cert_file, key_file, token_file;  // empty: none of its own
    std::size_t breaker_failures = 5;                      // in a row, per worker
    std::chrono::milliseconds breaker_pause{250};
    std::size_t max_denials_per_second = 50;  // of one caller
  } opa;

  struct Identity {
    std::vector<identity::SandboxSpec> sandboxes;
    bool discover = false;
    bool discover_user_namespaces = false;
    identity::HostResolverOptions::Lookup lookup = identity::HostResolverOptions::Lookup::automatic;
    std::string proc = "/proc";
    std::vector<net::Endpoint> listener_aliases;
    std::size_t queue = 4096;
    std::chrono::milliseconds timeout{5000};
    bool command_line = false;
    bool hash_enabled = true;
    std::size_t hash_max_bytes = std::size_t{1} << 30;
    std::chrono::milliseconds hash_timeout{3000};  // of one file
  } identity;

  struct Names {
    std::chrono::milliseconds refresh{30000};
  } names;

  struct Guard {
    bool allow_loopback = false;
    std::vector<net::IpRange> always_blocked;  // added to the built-in ones
  } guard;

  struct Limits {
    std::size_t connections = 10000;  // lowered to what RLIMIT_NOFILE can hold
    std::size_t connections_per_client = 1000;
    std::size_t connections_per_identity = 1000;
    std::size_t head_bytes = 65536;
    std::size_t log_queue = 8192;  // records waiting for standard output
  } limits;

  struct Timeouts {
    std::chrono::milliseconds head{10000};
    std::chrono::milliseconds client_hello{5000};
    std::chrono::milliseconds dns{5000};
    std::chrono::milliseconds connect{10000};  // of one tunnel, all addresses together
    std::chrono::milliseconds idle{3600000};
    std::chrono::milliseconds drain{30000};
    // Until the answer to a forwarded request begins, as long as neither side moves a byte.
    std::chrono::milliseconds response{900000};
    std::chrono::milliseconds keep_alive{60000};     // of a client's connection between requests
    std::chrono::milliseconds upstream_idle{30000};  // of an origin's connection between requests
    std::chrono::milliseconds linger{2000};          // how long a refused client may go on writing
  } timeouts;

  struct Tunnels {
    // How often an open tunnel is decided again; 0: never.
    std::chrono::milliseconds reauthorize{60000};
    // After the opening, the caller is looked at once more.
    std::chrono::milliseconds identity_check{1000};
  } tunnels;

  struct Dns {
    std::string server;                // empty: resolv.conf(5)
    std::size_t cache_entries = 4096;  // per worker
    std::chrono::milliseconds max_ttl{300000};
    std::size_t max_in_flight = 256;  // per worker
  } dns;

  Explain explain = Explain::code;

  std::size_t workers = 0;  // 0: auto, one per core this process may use

  struct Log {
    LogLevel level = LogLevel::info;
    LogFormat format = LogFormat::json;
  } log;

  // What load_config() has to say beside the values, one sentence each; to be logged at start.
  std::vector<std::string> warnings;
};

}  // namespace warder::proxy
