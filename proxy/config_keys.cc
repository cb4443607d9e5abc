#include "proxy/config_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "proxy/config_values.h"

namespace warder::proxy {
namespace {

using Values = std::vector<std::string>;
using Shape = Key::Shape;
using std::chrono::milliseconds;

constexpr std::size_t kMostCount = 1'000'000;
constexpr std::int64_t kMinute = 60'000;
constexpr std::int64_t kDay = std::int64_t{24} * 60 * kMinute;

Values texts(const std::vector<net::Endpoint>& items) {
  Values values;
  for (const net::Endpoint& item : items) values.push_back(item.text());
  return values;
}

Values texts(const std::vector<net::IpRange>& items) {
  Values values;
  for (const net::IpRange& item : items) values.push_back(item.text());
  return values;
}

Values texts(const std::vector<identity::SandboxSpec>& items) {
  Values values;
  for (const identity::SandboxSpec& item : items) values.push_back(show(item));
  return values;
}

// Reads each of `values`; writes `out` only when all are good.
template <class T>
std::string read_list(const Values& values, std::string (*read)(std::string_view, T&),
                      std::vector<T>& out) {
  std::vector<T> items;
  for (const std::string& value : values) {
    T item{};
    const std::string problem = read(value, item);
    if (!problem.empty()) return fmt::format("item {} {}", items.size() + 1, problem);
    items.push_back(std::move(item));
  }
  out = std::move(items);
  return {};
}

// The kinds of keys. `Section` and `Member` are pointers to members: &Config::opa,
// &Config::Opa::url.

template <auto Section, auto Member, std::size_t Least = 1, std::size_t Most = kMostCount>
constexpr Key size_key(std::string_view name, std::string_view doc) {
  Key key{.name = name, .is_text = false, .doc = doc};
  key.set = [](Config& config, const Values& values) {
    return read_size(values[0], {Least, Most}, config.*Section.*Member);
  };
  key.get = [](const Config& config) { return Values{std::to_string(config.*Section.*Member)}; };
  return key;
}

template <auto Section, auto Member, std::int64_t MostMilliseconds = 10 * kMinute,
          std::int64_t LeastMilliseconds = 1>
constexpr Key duration_key(std::string_view name, std::string_view doc) {
  Key key{.name = name, .doc = doc};
  key.set = [](Config& config, const Values& values) {
    return read_duration(values[0],
                         {milliseconds{LeastMilliseconds}, milliseconds{MostMilliseconds}},
                         config.*Section.*Member);
  };
  key.get = [](const Config& config) { return Values{show(config.*Section.*Member)}; };
  return key;
}

template <auto Section, auto Member, std::string (*Read)(std::string_view, std::string&)>
constexpr Key text_key(std::string_view name, std::string_view doc) {
  Key key{.name = name, .doc = doc};
  key.set = [](Config& config, const Values& values) {
    return Read(values[0], config.*Section.*Member);
  };
  key.get = [](const Config& config) { return Values{config.*Section.*Member}; };
  return key;
}

template <auto Section, auto Member, auto Read>
constexpr Key choice_key(std::string_view name, std::string_view doc) {
  Key key{.name = name, .doc = doc};
  key.set = [](Config& config, const Values& values) {
    return Read(values[0], config.*Section.*Member);
  };
  key.get = [](const Config& config) { return Values{show(config.*Section.*Member)}; };
  return key;
}

template <auto Section, auto Member, auto Read>
constexpr Key list_key(std::string_view name, std::string_view doc) {
  Key key{.name = name, .shape = Shape::list, .doc = doc};
  key.set = [](Config& config, const Values& values) {
    return read_list(values, Read, config.*Section.*Member);
  };
  key.get = [](const Config& config) { return texts(config.*Section.*Member); };
  return key;
}

constexpr Key with_flag(Key key, std::string_view flag, std::string_view value) {
  key.flag = flag;
  key.flag_value = value;
  return key;
}

constexpr Key unquoted(Key key) {
  key.is_text = false;
  return key;
}

constexpr Key entries_of(Key key, std::span<const Key::Entry> entries) {
  key.shape = Shape::entries;
  key.entries = entries;
  return key;
}

constexpr Key listen_key() {
  Key key{.name = "listen", .shape = Shape::list, .flag = "--listen", .flag_value = "A:P"};
  key.doc = "Addresses the proxy listens on.";
  key.set = [](Config& config, const Values& values) -> std::string {
    if (values.empty()) return "must name at least one address";
    return read_list(values, read_endpoint, config.listen);
  };
  key.get = [](const Config& config) { return texts(config.listen); };
  return key;
}

constexpr Key admin_key() {
  Key key{.name = "admin", .flag = "--admin", .flag_value = "A:P|unix:PATH|none"};
  key.doc =
      "Where `/healthz`, `/readyz` and `/metrics` are served: a loopback address, a unix socket "
      "(mode 0600), or nowhere.";
  key.set = [](Config& config, const Values& values) {
    return read_admin(values[0], config.admin);
  };
  key.get = [](const Config& config) { return Values{show(config.admin)}; };
  return key;
}

constexpr Key explain_key() {
  Key key{.name = "explain"};
  key.doc =
      "What a refused client is told. `code`: which program it is, where to, and the code; `full`: "
      "also what the policy says, which may be about other programs. Records have it all.";
  key.set = [](Config& config, const Values& values) {
    return read_explain(values[0], config.explain);
  };
  key.get = [](const Config& config) { return Values{show(config.explain)}; };
  return key;
}

constexpr Key workers_key() {
  Key key{.name = "workers", .is_text = false};
  key.doc = "Event loops. `auto`: one for each core this process may use.";
  key.set = [](Config& config, const Values& values) {
    return read_workers(values[0], config.workers);
  };
  key.get = [](const Config& config) {
    return Values{config.workers == 0 ? "auto" : std::to_string(config.workers)};
  };
  return key;
}

using C = Config;

constexpr std::array<Key::Entry, 4> kSandboxEntries{
    {{"pid", false}, {"pidfile", true}, {"cgroup", true}, {"container", true}}};

constexpr std::array kKeys{
    listen_key(),
    admin_key(),
    with_flag(text_key<&C::opa, &C::Opa::url, read_opa_url>(
                  "opa.url",
                  "The policy server: `http://host:port`, `https://host:port` or `unix:///path`. A "
                  "name is looked up for each connection; `localhost` is 127.0.0.1."),
              "--opa", "URL"),
    with_flag(text_key<&C::opa, &C::Opa::path, read_url_path>(
                  "opa.path", "The decision document, as a path of OPA's data API."),
              "--opa-path", "PATH"),
    duration_key<&C::opa, &C::Opa::timeout>(
        "opa.timeout", "Deadline of one question, waiting for a connection included."),
    size_key<&C::opa, &C::Opa::connections, 1, 1024>(
        "opa.connections",
        "Connections to OPA, per worker. One caller (told apart as in "
        "`limits.connections_per_identity`) has at most a quarter of them at once, and callers "
        "take turns."),
    size_key<&C::opa, &C::Opa::queue>(
        "opa.queue",
        "Questions waiting for a connection, per worker, and of one caller three quarters of that; "
        "above: 503 `opa_queue_full`."),
    text_key<&C::opa, &C::Opa::ca_file, read_optional_path>(
        "opa.ca_file",
        "PEM file of the authorities that may vouch for an https OPA; empty: the system's. This "
        "and the next two are looked at once a second; while changed ones are no good, those read "
        "before stay in use."),
    text_key<&C::opa, &C::Opa::cert_file, read_optional_path>(
        "opa.cert_file", "PEM file of the certificate, and its chain, that OPA is shown."),
    text_key<&C::opa, &C::Opa::key_file, read_optional_path>(
        "opa.key_file", "PEM file of its key, without a pass phrase; empty: in `opa.cert_file`."),
    text_key<&C::opa, &C::Opa::token_file, read_optional_path>(
        "opa.token_file",
        "File with the bearer token for OPA, looked at once a second. One that can't be read is an "
        "error at once (503 `opa_token`), and after 10 seconds where there was a token before."),
    size_key<&C::opa, &C::Opa::breaker_failures, 0>(
        "opa.breaker_failures",
        "Questions in a row, per worker, without any answer of OPA's, after which none is asked "
        "(503 "
        "`opa_breaker_open`) until it answers; `0`: never."),
    duration_key<&C::opa, &C::Opa::breaker_pause>(
        "opa.breaker_pause", "The pause before OPA is tried again then, by `GET /health`."),
    size_key<&C::opa, &C::Opa::max_denials_per_second, 0>(
        "opa.max_denials_per_second",
        "Denials of one caller (told apart as in `limits.connections_per_identity`) that OPA is "
        "asked for in a second, and twice as many at once; above: 429 `denial_rate`, but for what "
        "the caller was last allowed. `0`: no limit."),
    duration_key<&C::opa, &C::Opa::max_age, 60 * kMinute, 0>(
        "opa.max_age",
        "The longest time for which an answer is given again without asking OPA, if the answer's "
        "own `max_age` is longer; `0s`: OPA is asked each time."),
    duration_key<&C::opa, &C::Opa::probe>(
        "opa.probe",
        "How often Warder asks OPA a question of its own, for `/readyz`, and so that another "
        "`revision` is noticed while nobody calls. Until it is ready, each half second."),
    entries_of(
        with_flag(list_key<&C::identity, &C::Identity::sandboxes, read_sandbox>(
                      "identity.sandboxes",
                      "Processes whose network namespaces are searched before Warder's own. Each "
                      "is `{ pid: N }`, `{ pidfile: PATH }`, `{ cgroup: PATH }` (below the "
                      "hierarchy's root) or `{ container: ID }`; all but `pid` are found "
                      "again after a restart. In the environment `container:ID` and so on; "
                      "a number alone is a pid."),
                  "--pid", "N"),
        kSandboxEntries),
    unquoted(choice_key<&C::identity, &C::Identity::discover, read_bool>(
        "identity.discover",
        "Search the network namespaces seen in procfs too, so that nobody has to be named.")),
    unquoted(choice_key<&C::identity, &C::Identity::discover_user_namespaces, read_bool>(
        "identity.discover_user_namespaces",
        "Let discovered namespaces count that belong to a user namespace below Warder's: whoever "
        "made it may have set up what is seen there.")),
    choice_key<&C::identity, &C::Identity::lookup, read_lookup>(
        "identity.lookup",
        "`auto`: the best that kernel and privileges allow. `procfs`: nothing but procfs."),
    text_key<&C::identity, &C::Identity::proc, read_absolute_path>("identity.proc",
                                                                   "Where procfs is mounted."),
    list_key<&C::identity, &C::Identity::listener_aliases, read_endpoint>(
        "identity.listener_aliases",
        "Addresses under which clients reach the listeners, where a DNAT in their own network "
        "namespace changes it."),
    size_key<&C::identity, &C::Identity::queue>("identity.queue",
                                                "Lookups waiting; above: `lookup_failed`."),
    duration_key<&C::identity, &C::Identity::timeout>("identity.timeout",
                                                      "Deadline of one lookup."),
    unquoted(choice_key<&C::identity, &C::Identity::command_line, read_bool>(
        "identity.command_line",
        "Send OPA the command lines of callers. They are the caller's claim, and often hold "
        "secrets.")),
    unquoted(choice_key<&C::identity, &C::Identity::hash_enabled, read_bool>(
        "identity.hash.enabled", "Compute the SHA-256 of each caller's running image, once.")),
    size_key<&C::identity, &C::Identity::hash_max_bytes, 1, std::size_t{1} << 40>(
        "identity.hash.max_bytes", "Of an image; a larger one has no SHA-256."),
    duration_key<&C::identity, &C::Identity::hash_timeout>(
        "identity.hash.timeout", "Until one image is hashed; later, that lookup has no SHA-256."),
    duration_key<&C::names, &C::Names::refresh, kDay>(
        "names.refresh",
        "How often OPA is asked which paths the policy mentions (`binaries` beside the decision), "
        "besides when an answer brings another `revision`. A program is known by each of them "
        "that leads to its file."),
    unquoted(choice_key<&C::guard, &C::Guard::allow_loopback, read_bool>(
        "guard.allow_loopback",
        "Let a policy's `allowed_ips` name loopback addresses and those of this host.")),
    list_key<&C::guard, &C::Guard::always_blocked, read_range>(
        "guard.always_blocked",
        "Ranges no policy can allow, beside the built-in ones (link-local, metadata, multicast, "
        "…)."),
    size_key<&C::limits, &C::Limits::connections>(
        "limits.connections", "Client connections; lowered to what RLIMIT_NOFILE can hold."),
    size_key<&C::limits, &C::Limits::connections_per_client>(
        "limits.connections_per_client", "Connections from one client address."),
    size_key<&C::limits, &C::Limits::connections_per_identity>(
        "limits.connections_per_identity",
        "Connections of one program of one user in one container; of all callers there without a "
        "name to rely on; of one address where nobody is known."),
    size_key<&C::limits, &C::Limits::head_bytes, 1024, 1'048'576>(
        "limits.head_bytes", "Bytes of a request head; above: 431."),
    size_key<&C::limits, &C::Limits::log_queue>(
        "limits.log_queue",
        "Records waiting for standard output; above, records are dropped and the drops counted."),
    duration_key<&C::timeouts, &C::Timeouts::head>("timeouts.head",
                                                   "Until a request head is complete."),
    duration_key<&C::timeouts, &C::Timeouts::client_hello>(
        "timeouts.client_hello",
        "Until a ClientHello is complete in a tunnel whose policy says `sni: match`."),
    duration_key<&C::timeouts, &C::Timeouts::dns>("timeouts.dns", "Until a name is resolved."),
    duration_key<&C::timeouts, &C::Timeouts::connect>(
        "timeouts.connect", "Until the origin is connected, all its addresses together."),
    duration_key<&C::timeouts, &C::Timeouts::idle, 7 * kDay>(
        "timeouts.idle", "How long a tunnel may go without a byte in either direction."),
    duration_key<&C::timeouts, &C::Timeouts::drain, kDay>(
        "timeouts.drain",
        "How long a tunnel of which one side ended may go on without a byte, and how long SIGTERM "
        "waits for tunnels."),
    duration_key<&C::timeouts, &C::Timeouts::response, kDay>(
        "timeouts.response",
        "How long a forwarded request may go without a byte in either direction before its answer "
        "begins; then timeouts.idle holds."),
    duration_key<&C::timeouts, &C::Timeouts::keep_alive>(
        "timeouts.keep_alive", "How long a client's connection may wait for its next request."),
    duration_key<&C::timeouts, &C::Timeouts::upstream_idle>(
        "timeouts.upstream_idle",
        "How long a connection to an origin waits for the next request of the same caller."),
    duration_key<&C::timeouts, &C::Timeouts::linger>(
        "timeouts.linger", "How long a refused client may go on writing."),
    text_key<&C::dns, &C::Dns::server, read_dns_server>(
        "dns.server",
        "The only DNS server to ask, as `address:port`; empty: those of `/etc/resolv.conf`, which "
        "is read again when it has changed."),
    size_key<&C::dns, &C::Dns::cache_entries, 1, 1'048'576>(
        "dns.cache_entries", "Names whose addresses are kept, per worker."),
    duration_key<&C::dns, &C::Dns::max_ttl, kDay, 0>(
        "dns.max_ttl",
        "The longest time for which an answer is kept, if its own TTL is longer; `0s`: none is."),
    size_key<&C::dns, &C::Dns::max_in_flight, 1, 65535>(
        "dns.max_in_flight",
        "Names asked for at once, per worker. Four times as many may wait; above: `overloaded`."),
    duration_key<&C::tunnels, &C::Tunnels::reauthorize, kDay, 0>(
        "tunnels.reauthorize",
        "How often an open tunnel is decided again, give or take a tenth; also when the policy's "
        "revision changes. One that is denied now is closed. `0s`: never."),
    duration_key<&C::tunnels, &C::Tunnels::identity_check>(
        "tunnels.identity_check",
        "How long after its opening a tunnel's caller is looked at once more; another one closes "
        "it."),
    explain_key(),
    workers_key(),
    with_flag(choice_key<&C::log, &C::Log::level, read_level>(
                  "log.level", "`debug`, `info`, `warn` or `error`. Denials are `warn`."),
              "--log-level", "L"),
    with_flag(choice_key<&C::log, &C::Log::format, read_format>("log.format", "`json` or `text`."),
              "--log-format", "json|text"),
};

std::string default_text(const Key& key) {
  const Values values = key.get(Config{});
  if (key.shape != Shape::scalar) return fmt::format("`[{}]`", fmt::join(values, ", "));
  if (values.empty()) return "none";
  return values[0].empty() ? "empty" : fmt::format("`{}`", values[0]);
}

// In a cell of a table a '|' would end it, also within backquotes.
std::string cell(std::string_view text) {
  std::string out;
  for (const char byte : text) {
    if (byte == '|') out += '\\';
    out += byte;
  }
  return out;
}

}  // namespace

std::span<const Key> config_keys() { return kKeys; }

const Key* find_key(std::string_view name) {
  const auto* found =
      std::find_if(kKeys.begin(), kKeys.end(), [&](const Key& key) { return key.name == name; });
  return found == kKeys.end() ? nullptr : found;
}

const Key* find_key_of_flag(std::string_view flag) {
  if (flag.empty()) return nullptr;
  const auto* found =
      std::find_if(kKeys.begin(), kKeys.end(), [&](const Key& key) { return key.flag == flag; });
  return found == kKeys.end() ? nullptr : found;
}

std::string environment_name(const Key& key) {
  std::string name = "WARDER_";
  for (const char byte : key.name) {
    const bool lower = byte >= 'a' && byte <= 'z';
    name += byte == '.' ? '_' : lower ? static_cast<char>(byte - 'a' + 'A') : byte;
  }
  return name;
}

std::string config_reference() {
  std::string text = R"(# Configuration

Written by `warder config-reference`, which reads the table the program itself uses.

A value comes from the file (`--config FILE`, or `WARDER_CONFIG`), from the environment, or from a flag;
flags win over the environment, and that wins over the file. A list in the environment is separated by
commas; an empty variable counts as not set. A key the file has twice or that does not exist, and a value of
the wrong type, are errors (exit code 2). Durations are digits and `ms`, `s`, `m` or `h`.
`warder check FILE` reads a file and says what is wrong.

| key | default | environment | flag | |
|---|---|---|---|---|
)";
  for (const Key& key : kKeys) {
    const std::string flag =
        key.flag.empty() ? "" : fmt::format("`{} {}`", key.flag, cell(key.flag_value));
    text += fmt::format("| `{}` | {} | `{}` | {} | {} |\n", key.name, default_text(key),
                        environment_name(key), flag, key.doc);
  }
  return text;
}

}  // namespace warder::proxy
