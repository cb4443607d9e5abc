#include "identity/proc_files.h"

#include <array>
#include <charconv>
#include <cstring>
#include <limits>

namespace warder::identity {
namespace {

// The whole of `text` as one number; from_chars takes a sign only for signed types, and no blanks.
template <class T>
std::optional<T> number(std::string_view text, int base = 10) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, base);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

// Cuts the next field off `text`; empty when there is none.
std::string_view next_field(std::string_view& text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) {
    text = {};
    return {};
  }
  text.remove_prefix(begin);
  const std::string_view field = text.substr(0, text.find_first_of(" \t\n"));
  text.remove_prefix(field.size());
  return field;
}

// net/ipv4/tcp_ipv4.c and net/ipv6/tcp_ipv6.c print each 32-bit word of the address, which is in
// network order, with %08X: as a number of the machine's own byte order.
template <std::size_t N>
std::optional<std::array<std::uint8_t, N>> address_bytes(std::string_view hex) {
  std::array<std::uint8_t, N> bytes{};
  for (std::size_t at = 0; at < N; at += 4) {
    const auto word = number<std::uint32_t>(hex.substr(at * 2, 8), 16);
    if (!word) return std::nullopt;
    std::memcpy(bytes.data() + at, &*word, sizeof *word);
  }
  return bytes;
}

std::optional<net::Endpoint> parse_endpoint(std::string_view field) {
  const auto colon = field.find(':');
  if (colon == std::string_view::npos || field.size() - colon != 5) return std::nullopt;
  const auto port = number<std::uint16_t>(field.substr(colon + 1), 16);
  if (!port) return std::nullopt;
  const std::string_view hex = field.substr(0, colon);
  if (hex.size() == 8) {
    const auto bytes = address_bytes<4>(hex);
    if (!bytes) return std::nullopt;
    return net::Endpoint{net::IpAddress::v4(*bytes), *port};
  }
  if (hex.size() != 32) return std::nullopt;
  const auto bytes = address_bytes<16>(hex);
  if (!bytes) return std::nullopt;
  return net::Endpoint{net::IpAddress::v6(*bytes), *port};
}

// What follows "key:" at the beginning of a line. proc(5): newlines in Name are escaped, so that a
// process cannot make up a line of its own.
std::optional<std::string_view> status_line(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (line.size() > key.size() && line.substr(0, key.size()) == key && line[key.size()] == ':')
      return line.substr(key.size() + 1);
    text.remove_prefix(line.size() < text.size() ? line.size() + 1 : text.size());
  }
  return std::nullopt;
}

template <class T>
bool one_number(std::string_view line, T& into, int base = 10) {
  const auto value = number<T>(next_field(line), base);
  if (!value || !next_field(line).empty()) return false;
  into = *value;
  return true;
}

template <class T, std::size_t N>
bool all_numbers(std::string_view line, std::array<T, N>& into) {
  for (T& each : into) {
    const auto value = number<T>(next_field(line));
    if (!value) return false;
    each = *value;
  }
  return next_field(line).empty();
}

template <class T>
bool all_numbers(std::string_view line, std::vector<T>& into) {
  into.clear();
  for (;;) {
    const std::string_view field = next_field(line);
    if (field.empty()) return true;
    const auto value = number<T>(field);
    if (!value) return false;
    into.push_back(*value);
  }
}

}  // namespace

std::optional<SocketRow> parse_socket_row(std::string_view line) {
  const std::string_view slot = next_field(line);
  if (slot.size() < 2 || slot.back() != ':') return std::nullopt;
  const auto local = parse_endpoint(next_field(line));
  const auto remote = parse_endpoint(next_field(line));
  const auto state = number<std::uint8_t>(next_field(line), 16);
  // tx:rx, timer:when, retransmits, uid, timeout
  for (int i = 0; i < 5; ++i)
    if (next_field(line).empty()) return std::nullopt;
  const auto inode = number<std::uint64_t>(next_field(line));
  if (!local || !remote || !state || !inode) return std::nullopt;
  if (local->address.is_v4() != remote->address.is_v4()) return std::nullopt;
  return SocketRow{*local, *remote, *state, *inode};
}

std::optional<ProcStat> parse_stat(std::string_view text) {
  // The name in parentheses may hold anything, parentheses and newlines too; nothing after it can.
  const auto name_end = text.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  text.remove_prefix(name_end + 1);
  std::array<std::string_view, 20> field;  // fields 3 (state) to 22 (starttime)
  for (auto& each : field) each = next_field(text);
  const auto parent = number<pid_t>(field[1]);
  const auto flags = number<std::uint32_t>(field[6]);
  const auto threads = number<long>(field[17]);  // NOLINT(google-runtime-int)
  const auto start_time = number<std::uint64_t>(field[19]);
  if (field[0].size() != 1 || !parent || *parent < 0 || !flags || !threads || !start_time)
    return std::nullopt;
  return ProcStat{field[0].front(), *parent, *flags, *threads, *start_time};
}

std::optional<ProcStatus> parse_status(std::string_view text) {
  ProcStatus status;
  bool uids = false;
  bool gids = false;
  bool good = true;
  while (!text.empty() && good) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() < text.size() ? line.size() + 1 : text.size());
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view key = line.substr(0, colon);
    line.remove_prefix(colon + 1);
    if (key == "Uid")
      good = uids = all_numbers(line, status.uids);
    else if (key == "Gid")
      good = gids = all_numbers(line, status.gids);
    else if (key == "Groups")
      good = all_numbers(line, status.groups);
    else if (key == "NSpid")
      good = all_numbers(line, status.numbers);
    else if (key == "TracerPid")
      good = one_number(line, status.tracer);
    else if (key == "CapPrm")
      good = one_number(line, status.capabilities, 16);
  }
  if (!good || !uids || !gids || status.tracer < 0) return std::nullopt;
  return status;
}

std::optional<pid_t> parse_status_tracer(std::string_view text) {
  auto line = status_line(text, "TracerPid");
  pid_t tracer = 0;
  if (!line || !one_number(*line, tracer) || tracer < 0) return std::nullopt;
  return tracer;
}

std::optional<pid_t> parse_fdinfo_pid(std::string_view text) {
  auto line = status_line(text, "Pid");
  pid_t pid = 0;
  if (!line || !one_number(*line, pid) || pid <= 0) return std::nullopt;
  return pid;
}

std::optional<pid_t> parse_pidfile(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  return parse_pid(text);
}

std::optional<std::uint64_t> parse_status_capabilities(std::string_view text) {
  auto line = status_line(text, "CapEff");
  if (!line) return std::nullopt;
  return number<std::uint64_t>(next_field(*line), 16);
}

std::optional<std::uint64_t> parse_inode_link(std::string_view target, std::string_view kind) {
  if (target.size() < kind.size() + 4 || target.substr(0, kind.size()) != kind ||
      target.substr(kind.size(), 2) != ":[" || target.back() != ']')
    return std::nullopt;
  target.remove_prefix(kind.size() + 2);
  target.remove_suffix(1);
  return number<std::uint64_t>(target);
}

std::optional<pid_t> parse_pid(std::string_view name) {
  if (name.empty() || name.front() < '1' || name.front() > '9') return std::nullopt;
  return number<pid_t>(name);
}

}  // namespace warder::identity
