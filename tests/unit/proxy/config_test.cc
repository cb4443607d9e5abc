#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "proxy/config_keys.h"
#include "proxy/config_load.h"
#include "proxy/config_values.h"

namespace warder::proxy {
namespace {

using namespace std::chrono_literals;

constexpr const char* kEverything = R"(
listen: ["127.0.0.1:3128", "[::1]:3128"]
admin: "unix:/run/warder/admin.sock"
opa: { url: "unix:///run/opa.sock", path: "/v1/data/egress/decision", timeout: 250ms, connections: 4, queue: 9, max_age: 0s }
identity:
  sandboxes: [{ pid: 469 }, { pidfile: "/run/a:b.pid" }, { cgroup: /a/b }, { container: 0123456789ab }]
  discover: true
  discover_user_namespaces: true
  lookup: procfs
  proc: /host/proc
  listener_aliases: ["10.200.0.1:3128"]
  queue: 7
  timeout: 2s
  command_line: true
  hash: { enabled: false, max_bytes: 1099511627776, timeout: 7s }
guard: { allow_loopback: true, always_blocked: [203.0.113.0/24] }
limits: { connections: 100, connections_per_client: 10, connections_per_identity: 11, head_bytes: 8192, log_queue: 5 }
timeouts: { head: 1s, dns: 2s, connect: 3s, idle: 2h, drain: 4m, linger: 1s }
dns: { server: "127.0.0.1:53", cache_entries: 12, max_ttl: 0s, max_in_flight: 3 }
tunnels: { reauthorize: 0s, identity_check: 5s }
explain: full
workers: 3
log: { level: warn, format: text }
)";

std::string problem_of(const std::string& text) {
  const auto config = parse_config(text, "warder.yaml");
  if (config) return "no problem";
  CHECK(config.error().code == Errc::bad_config);
  return config.error().detail;
}

}  // namespace

TEST_CASE("every key of a file arrives") {
  const auto config = parse_config(kEverything, "warder.yaml");
  REQUIRE(config);
  CHECK(config->listen.size() == 2);
  REQUIRE(config->admin);
  CHECK(config->admin->socket_path == "/run/warder/admin.sock");
  CHECK_FALSE(config->admin->endpoint);
  CHECK(config->opa.url == "unix:///run/opa.sock");
  CHECK(config->opa.timeout == 250ms);
  CHECK(config->opa.max_age == 0ms);
  CHECK(config->opa.connections == 4);
  using Kind = identity::SandboxSpec::Kind;
  CHECK(config->identity.sandboxes ==
        std::vector<identity::SandboxSpec>{{Kind::pid, 469, {}},
                                           {Kind::pidfile, 0, "/run/a:b.pid"},
                                           {Kind::cgroup, 0, "/a/b"},
                                           {Kind::container, 0, "0123456789ab"}});
  CHECK(config->identity.discover);
  CHECK(config->identity.discover_user_namespaces);
  CHECK(config->identity.lookup == identity::HostResolverOptions::Lookup::procfs);
  CHECK(config->identity.command_line);
  CHECK_FALSE(config->identity.hash_enabled);
  CHECK(config->identity.hash_max_bytes == 1099511627776);
  CHECK(config->identity.hash_timeout == 7s);
  CHECK(config->identity.proc == "/host/proc");
  REQUIRE(config->identity.listener_aliases.size() == 1);
  CHECK(config->identity.listener_aliases[0].text() == "10.200.0.1:3128");
  CHECK(config->guard.allow_loopback);
  REQUIRE(config->guard.always_blocked.size() == 1);
  CHECK(config->guard.always_blocked[0].text() == "203.0.113.0/24");
  CHECK(config->limits.head_bytes == 8192);
  CHECK(config->timeouts.idle == 2h);
  CHECK(config->timeouts.drain == 4min);
  CHECK(config->dns.server == "127.0.0.1:53");
  CHECK(config->dns.cache_entries == 12);
  CHECK(config->dns.max_ttl == 0ms);
  CHECK(config->dns.max_in_flight == 3);
  CHECK(config->workers == 3);
  CHECK(config->log.level == LogLevel::warn);
  CHECK(config->log.format == LogFormat::text);
  CHECK(config->warnings.empty());
}

TEST_CASE("an empty file gives the defaults") {
  for (const char* text : {"", "\n", "# nothing\n", "---\n", "{}", "opa:\nlimits: {}\n"}) {
    CAPTURE(text);
    const auto config = parse_config(text, "warder.yaml");
    REQUIRE(config);
    for (const Key& key : config_keys()) CHECK(key.get(*config) == key.get(Config{}));
  }
}

TEST_CASE("a mistake is told with file, line and key") {
  CHECK(problem_of("opa:\n  urll: x\n") == "warder.yaml:2: opa.urll: is not a key");
  CHECK(problem_of("workers: 1\nworkers: 2\n") == "warder.yaml:2: workers: is there twice");
  CHECK(problem_of("opa: {}\nlog: {}\nopa: {}\n") == "warder.yaml:3: opa: is there twice");
  CHECK(problem_of("limits:\n  head_bytes: 1024\n  head_bytes: 2048\n") ==
        "warder.yaml:3: limits.head_bytes: is there twice");
  CHECK(problem_of("\nworkers: many\n") ==
        "warder.yaml:2: workers: must be auto or an integer from 1 to 256");
  CHECK(problem_of("opa: [1]") == "warder.yaml:1: opa: must be a mapping of keys to values");
  CHECK(problem_of("- 1") == "warder.yaml:1: must be a mapping of keys to values");
  CHECK(problem_of("listen: [\"127.0.0.1:1\",\n  \"127.0.0.1\"]\n")
            .find("warder.yaml:1: listen: item 2 must be address:port") == 0);
  CHECK(problem_of("a: [").find("warder.yaml:") == 0);
  CHECK(problem_of("identity:\n  sandboxes: [{ container: Web }]\n") ==
        "warder.yaml:2: identity.sandboxes: item 1 container must be a container id: 12 to 64 "
        "lower-case hexadecimal digits");
  CHECK(problem_of("identity: { sandboxes: [{ pid: 1, pid: 2 }] }") ==
        "warder.yaml:1: identity.sandboxes: must have one key in each entry");
  CHECK(problem_of("identity: { hash: { enabled: 1 } }") ==
        "warder.yaml:1: identity.hash.enabled: must be true or false");
  CHECK(problem_of("workers: 1\n---\nworkers: 2\n") ==
        "warder.yaml: holds more than one YAML document");
}

TEST_CASE("wrong types and values are refused") {
  const std::vector<std::string> wrong{
      "workers: [1]",
      "workers: \"1\"",
      "workers: 0",
      "workers: -1",
      "workers: 0x2",
      "workers:",
      "listen: 127.0.0.1:1",
      "listen: []",
      "listen: [[\"127.0.0.1:1\"]]",
      "admin: 0.0.0.0:3129",
      "admin: 10.0.0.1:3129",
      "admin: unix:relative",
      "admin: unix:/" + std::string(100, 'a'),
      "admin: localhost:1",
      "opa: { url: ftp://x }",
      "opa: { url: }",
      "opa: { path: v1/data }",
      "opa: { path: \"/v1/data x\" }",
      "opa: { path: \"/a?b\" }",
      "opa: { timeout: 500 }",
      "opa: { timeout: 0s }",
      "opa: { max_age: 0 }",
      "opa: { max_age: 61m }",
      "opa: { timeout: -1s }",
      "opa: { timeout: 1.5s }",
      "opa: { timeout: 1 s }",
      "opa: { timeout: 9223372036854775807h }",
      "opa: { timeout: 2562047788015216h }",
      "opa: { connections: 0 }",
      "opa: { connections: 1e3 }",
      "identity: { sandboxes: [1] }",
      "identity: { sandboxes: [{ pidfile: x }] }",
      "identity: { sandboxes: [{ pod: x }] }",
      "identity: { sandboxes: [{ pid: 1, pid: 2 }] }",
      "identity: { sandboxes: [{ pid: 1, container: 0123456789ab }] }",
      "identity: { sandboxes: [{ pid: \"1\" }] }",
      "identity: { sandboxes: [{ cgroup: a/b }] }",
      "identity: { sandboxes: [{ cgroup: / }] }",
      "identity: { sandboxes: [{ cgroup: /a/../b }] }",
      "identity: { sandboxes: [{ container: 0123456789a }] }",
      "identity: { sandboxes: [{ container: sandbox }] }",
      "identity: { sandboxes: [{ container: }] }",
      "identity: { sandboxes: [{ container: [0123456789ab] }] }",
      "identity: { sandboxes: [{ pid: 0 }] }",
      "identity: { sandboxes: [{ pid: 99999999999 }] }",
      "identity: { sandboxes: [{}] }",
      "identity: { sandboxes: { pid: 1 } }",
      "identity: { discover: yes }",
      "identity: { lookup: fast }",
      "identity: { hash: { enabled: 1 } }",
      "identity: { hash: { max_bytes: 0 } }",
      "identity: { hash: { bytes: 1 } }",
      "identity: { hash: true }",
      "identity: { proc: proc }",
      "guard: { allow_loopback: no }",
      "guard: { allow_loopback: \"true\" }",
      "guard: { allow_loopback: True }",
      "guard: { always_blocked: [10.0.0.0/33] }",
      "limits: { head_bytes: 10 }",
      "limits: { head_bytes: 18446744073709551616 }",
      "dns: { server: 127.0.0.1 }",
      "log: { level: loud }",
      "log: { format: xml }",
      "explain: all",
      "log: { level: !!binary aW5mbw== }",
      "? [a]\n: 1",
      "tunnels: { reauthorize: 60 }",
      "<<: { workers: 2 }",
  };
  for (const std::string& text : wrong) {
    CAPTURE(text);
    CHECK(problem_of(text).find("warder.yaml:1: ") == 0);
  }
}

TEST_CASE("control bytes of a key are not shown raw") {
  CHECK(problem_of("\"a\\e[2Jb\": 1") == "warder.yaml:1: a\\x1b[2Jb: is not a key");
}

TEST_CASE("every key has a variable, and what it shows can be read back") {
  const auto full = parse_config(kEverything, "warder.yaml");
  REQUIRE(full);
  std::set<std::string> names;
  for (const Key& key : config_keys()) {
    const auto values = key.get(*full);
    if (values.empty()) continue;
    std::string joined;
    for (const auto& value : values) joined += (joined.empty() ? "" : ", ") + value;
    const std::string variable = environment_name(key);
    CAPTURE(variable, joined);
    CHECK(names.insert(variable).second);
    Overrides overrides;
    overrides.environment = {variable + "=" + joined};
    const auto config = load_config(overrides);
    REQUIRE(config);
    CHECK(config->warnings.empty());
    CHECK(key.get(*config) == values);
  }
  CHECK(environment_name(*find_key("limits.connections")) == "WARDER_LIMITS_CONNECTIONS");
}

TEST_CASE("a bad variable is an error, a strange one a warning, an empty one nothing") {
  Overrides overrides;
  overrides.environment = {"WARDER_OPA_TIMEOUT=soon"};
  auto config = load_config(overrides);
  REQUIRE_FALSE(config);
  CHECK(config.error().detail.find("WARDER_OPA_TIMEOUT: opa.timeout: must be a duration") == 0);

  overrides.environment = {"WARDER_SERVICE_HOST=10.0.0.1", "WARDER_OPA_TIMEOUT=", "PATH=/bin"};
  config = load_config(overrides);
  REQUIRE(config);
  REQUIRE(config->warnings.size() == 1);
  CHECK(config->warnings[0].find("WARDER_SERVICE_HOST") != std::string::npos);
}

TEST_CASE("a bearer token that others can read on its way is a warning") {
  const auto warned = [](const std::string& url, const std::string& token_file) {
    Overrides overrides;
    overrides.environment = {"WARDER_OPA_URL=" + url, "WARDER_OPA_TOKEN_FILE=" + token_file};
    const auto config = load_config(overrides);
    REQUIRE(config);
    return !config->warnings.empty();
  };
  for (const char* url :
       {"http://10.0.0.1:8181", "http://opa.internal:8181", "http://[fd00::1]:8181"}) {
    CAPTURE(url);
    CHECK(warned(url, "/run/token"));
    CHECK_FALSE(warned(url, ""));
  }
  for (const char* url : {"https://10.0.0.1:8181", "http://127.0.0.1:8181", "http://localhost:8181",
                          "http://[::1]:8181", "unix:///run/opa.sock"}) {
    CAPTURE(url);
    CHECK_FALSE(warned(url, "/run/token"));
  }
}

TEST_CASE("a flag is named in its error") {
  Overrides overrides;
  overrides.flags = {{"--opa-path", {"x"}}};
  const auto config = load_config(overrides);
  REQUIRE_FALSE(config);
  CHECK(config.error().detail.find("--opa-path: opa.path: must be a URL path") == 0);
}

TEST_CASE("durations are shown in the largest unit that fits") {
  CHECK(show(500ms) == "500ms");
  CHECK(show(std::chrono::milliseconds(10s)) == "10s");
  CHECK(show(std::chrono::milliseconds(90s)) == "90s");
  CHECK(show(std::chrono::milliseconds(1h)) == "1h");
  CHECK(show(0ms) == "0ms");
}

TEST_CASE("docs/config.md is what the program writes") {
  std::ifstream file(WARDER_SOURCE_DIR "/docs/config.md");
  REQUIRE(file);
  std::ostringstream text;
  text << file.rdbuf();
  CHECK(text.str() == config_reference());
}

}  // namespace warder::proxy
