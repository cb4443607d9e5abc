#include "proxy/config_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <utility>

#include "opa-client/client.h"

namespace warder::proxy {
namespace {

using identity::SandboxSpec;
using std::chrono::milliseconds;
using Lookup = identity::HostResolverOptions::Lookup;

// A unix socket's path is at most 107 bytes (unix(7)); the admin server first binds a sibling of
// it.
constexpr std::size_t kSocketPathLimit = 100;
constexpr std::size_t kMaxWorkers = 256;

struct Unit {
  std::string_view name;
  std::int64_t milliseconds;
};
constexpr std::array<Unit, 4> kUnits{{{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}}};

// All of `text` as a number, else nullopt; also when it does not fit.
template <class T>
std::optional<T> number(std::string_view text) {
  if (text.empty() || text.front() == '-') return std::nullopt;
  T value{};
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stopped != end) return std::nullopt;
  return value;
}

struct SandboxKind {
  std::string_view name;
  SandboxSpec::Kind kind;
};
constexpr std::array<SandboxKind, 4> kSandboxKinds{{{"pid", SandboxSpec::Kind::pid},
                                                    {"pidfile", SandboxSpec::Kind::pidfile},
                                                    {"cgroup", SandboxSpec::Kind::cgroup},
                                                    {"container", SandboxSpec::Kind::container}}};

// 12 digits are what container engines show of an id's 64.
std::string read_container(std::string_view text) {
  const bool good = text.size() >= 12 && text.size() <= 64 &&
                    text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  return good ? "" : "must be a container id: 12 to 64 lower-case hexadecimal digits";
}

// As /proc/<pid>/cgroup shows it.
std::string read_cgroup(std::string_view text) {
  const bool good = text.size() > 1 && text.front() == '/' && text.back() != '/' &&
                    text.size() < 4096 && text.find('\0') == std::string_view::npos &&
                    text.find("/../") == std::string_view::npos;
  return good ? "" : "must be the path of a cgroup below the hierarchy's root, such as /a/b";
}

bool is_path_byte(char byte) {
  constexpr std::string_view kAllowed = "-._~!$&'()*+,;=:@/";
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
         (byte >= 'A' && byte <= 'Z') || kAllowed.find(byte) != std::string_view::npos;
}

}  // namespace

bool is_loopback(const net::IpAddress& address) {
  const net::IpAddress plain = address.unmapped();
  if (plain.is_v4()) return plain.bytes()[0] == 127;
  return plain == net::IpAddress::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
}

std::string read_size(std::string_view text, Range<std::size_t> range, std::size_t& out) {
  const auto value = number<std::size_t>(text);
  if (!value || *value < range.least || *value > range.most) {
    return fmt::format("must be an integer from {} to {}", range.least, range.most);
  }
  out = *value;
  return {};
}

std::string read_duration(std::string_view text, Range<milliseconds> range, milliseconds& out) {
  std::string wanted = fmt::format("must be a duration from {} to {}, such as 500ms, 10s, 5m or 1h",
                                   show(range.least), show(range.most));
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto* unit = std::find_if(kUnits.begin(), kUnits.end(), [&](const Unit& candidate) {
    return candidate.name == text.substr(digits);
  });
  const auto count = number<std::int64_t>(text.substr(0, digits));
  if (unit == kUnits.end() || !count ||
      *count > std::numeric_limits<std::int64_t>::max() / unit->milliseconds) {
    return wanted;
  }
  const milliseconds value{*count * unit->milliseconds};
  if (value < range.least || value > range.most) return wanted;
  out = value;
  return {};
}

std::string read_bool(std::string_view text, bool& out) {
  if (text != "true" && text != "false") return "must be true or false";
  out = text == "true";
  return {};
}

std::string read_level(std::string_view text, LogLevel& out) {
  for (const auto level : {LogLevel::debug, LogLevel::info, LogLevel::warn, LogLevel::error}) {
    if (text != show(level)) continue;
    out = level;
    return {};
  }
  return "must be debug, info, warn or error";
}

std::string read_format(std::string_view text, LogFormat& out) {
  for (const auto format : {LogFormat::json, LogFormat::text}) {
    if (text != show(format)) continue;
    out = format;
    return {};
  }
  return "must be json or text";
}

std::string read_explain(std::string_view text, Explain& out) {
  for (const auto explain : {Explain::code, Explain::full}) {
    if (text != show(explain)) continue;
    out = explain;
    return {};
  }
  return "must be code or full";
}

std::string read_workers(std::string_view text, std::size_t& out) {
  if (text == "auto") {
    out = 0;
    return {};
  }
  if (read_size(text, {1, kMaxWorkers}, out).empty()) return {};
  return fmt::format("must be auto or an integer from 1 to {}", kMaxWorkers);
}

std::string read_sandbox(std::string_view text, SandboxSpec& out) {
  const std::size_t colon = text.find(':');
  const std::string_view word = colon == std::string_view::npos ? "pid" : text.substr(0, colon);
  const std::string_view value = colon == std::string_view::npos ? text : text.substr(colon + 1);
  const auto* known = std::find_if(kSandboxKinds.begin(), kSandboxKinds.end(),
                                   [&](const SandboxKind& kind) { return kind.name == word; });
  if (known == kSandboxKinds.end()) {
    return "must be a process id, or begin with pid:, pidfile:, cgroup: or container:";
  }
  SandboxSpec spec{known->kind, 0, std::string(value)};
  std::string problem;
  switch (known->kind) {
    case SandboxSpec::Kind::pid: {
      const auto pid = number<pid_t>(value);
      if (!pid || *pid < 1) return "must be a process id";
      out = {SandboxSpec::Kind::pid, *pid, {}};
      return {};
    }
    case SandboxSpec::Kind::pidfile: problem = read_absolute_path(value, spec.value); break;
    case SandboxSpec::Kind::cgroup: problem = read_cgroup(value); break;
    case SandboxSpec::Kind::container: problem = read_container(value); break;
  }
  if (!problem.empty()) return fmt::format("{} {}", word, problem);
  out = std::move(spec);
  return {};
}

std::string read_lookup(std::string_view text, Lookup& out) {
  for (const auto lookup : {Lookup::automatic, Lookup::procfs}) {
    if (text != show(lookup)) continue;
    out = lookup;
    return {};
  }
  return "must be auto or procfs";
}

std::string read_endpoint(std::string_view text, net::Endpoint& out) {
  const auto endpoint = net::Endpoint::parse(text);
  if (!endpoint) return "must be address:port, such as 127.0.0.1:3128 or [::1]:3128";
  out = *endpoint;
  return {};
}

std::string read_range(std::string_view text, net::IpRange& out) {
  const auto range = net::IpRange::parse(text);
  if (!range) return "must be an address or a range such as 10.0.0.0/8";
  out = *range;
  return {};
}

std::string read_admin(std::string_view text, std::optional<AdminAddress>& out) {
  constexpr std::string_view kUnix = "unix:";
  if (text == "none") {
    out.reset();
    return {};
  }
  AdminAddress address;
  if (text.substr(0, kUnix.size()) == kUnix) {
    const std::string problem = read_absolute_path(text.substr(kUnix.size()), address.socket_path);
    if (!problem.empty()) return "the path of the socket " + problem;
    if (address.socket_path.size() > kSocketPathLimit) {
      return fmt::format("the path of the socket must have at most {} bytes", kSocketPathLimit);
    }
    out = std::move(address);
    return {};
  }
  net::Endpoint endpoint;
  if (!read_endpoint(text, endpoint).empty()) {
    return "must be a loopback address and port, unix:/path, or none";
  }
  // There is no authentication: what it tells is for those on this host.
  if (!is_loopback(endpoint.address)) {
    return "must be a loopback address, because the admin server asks for no password";
  }
  address.endpoint = endpoint;
  out = std::move(address);
  return {};
}

std::string read_opa_url(std::string_view text, std::string& out) {
  std::string url(text);
  const auto address = opa::parse_url(url);
  if (!address) return address.error().detail;
  out = std::move(url);
  return {};
}

std::string read_url_path(std::string_view text, std::string& out) {
  const bool good = !text.empty() && text.front() == '/' && text.size() <= 1024 &&
                    std::all_of(text.begin(), text.end(), is_path_byte);
  if (!good) return "must be a URL path such as /v1/data/egress/decision, without query";
  out = text;
  return {};
}

std::string read_absolute_path(std::string_view text, std::string& out) {
  const bool good = !text.empty() && text.front() == '/' && text.size() < 4096 &&
                    text.find('\0') == std::string_view::npos;
  if (!good) return "must be an absolute path";
  out = text;
  return {};
}

std::string read_optional_path(std::string_view text, std::string& out) {
  if (!text.empty()) return read_absolute_path(text, out);
  out.clear();
  return {};
}

std::string read_dns_server(std::string_view text, std::string& out) {
  net::Endpoint endpoint;
  if (!text.empty()) {
    std::string problem = read_endpoint(text, endpoint);
    if (!problem.empty()) return problem;
  }
  out = text;
  return {};
}

std::string show(milliseconds value) {
  const auto* best = kUnits.begin();
  for (const Unit& unit : kUnits) {
    if (value.count() != 0 && value.count() % unit.milliseconds == 0) best = &unit;
  }
  return fmt::format("{}{}", value.count() / best->milliseconds, best->name);
}

std::string show(bool value) { return value ? "true" : "false"; }

std::string show(LogLevel value) {
  switch (value) {
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::warn: return "warn";
    case LogLevel::error: return "error";
  }
  return "info";
}

std::string show(Explain value) { return value == Explain::code ? "code" : "full"; }

std::string show(LogFormat value) { return value == LogFormat::json ? "json" : "text"; }

std::string show(const SandboxSpec& value) {
  for (const SandboxKind& known : kSandboxKinds) {
    if (known.kind != value.kind) continue;
    return fmt::format(
        "{}:{}", known.name,
        value.kind == SandboxSpec::Kind::pid ? std::to_string(value.pid) : value.value);
  }
  return {};
}

std::string show(Lookup value) { return value == Lookup::procfs ? "procfs" : "auto"; }

std::string show(const std::optional<AdminAddress>& value) {
  if (!value) return "none";
  return value->endpoint ? value->endpoint->text() : "unix:" + value->socket_path;
}

}  // namespace warder::proxy
