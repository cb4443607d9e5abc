#include "tests/support/dns_server.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <string_view>

#include "net/socket.h"

namespace warder::testing {
namespace {

constexpr std::size_t kHeader = 12;
constexpr unsigned kTypeA = 1;
constexpr char kTypeCname = 5;
constexpr char kServFail = 2;
constexpr char kNxDomain = 3;

// The first name of the question section, and the offset behind it (RFC 1035, 4.1.2).
std::string question_name(std::string_view query, std::size_t& offset) {
  std::string name;
  for (;;) {
    const auto length = static_cast<unsigned char>(query.at(offset++));
    if (length == 0) return name;
    if (!name.empty()) name += '.';
    name += query.substr(offset, length);
    offset += length;
  }
}

std::string wire_name(std::string_view name) {
  std::string wire;
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    wire += static_cast<char>(label.size());
    wire += label;
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  return wire + '\0';
}

// Class IN.
void append_record(std::string& reply, const std::string& owner, char type, unsigned ttl,
                   const std::string& data) {
  reply += owner;
  reply += {0, type, 0, 1};
  for (const unsigned shift : {24U, 16U, 8U, 0U}) reply += static_cast<char>(ttl >> shift);
  reply += {0, static_cast<char>(data.size())};
  reply += data;
}

}  // namespace

DnsServer::DnsServer(net::Loop& loop, net::Endpoint at)
    : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  sockaddr_storage storage{};
  const socklen_t length = at.to_sockaddr(storage);
  REQUIRE(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0);
  at_ = net::local_endpoint(fd_.get()).value();
  watcher_ = net::FdWatcher::create(loop, fd_.get(), *this).value();
  watcher_->watch({true, false});
}

void DnsServer::on_ready(net::FdWatcher& /*watcher*/, net::Readiness /*readiness*/) {
  std::array<char, 1500> buffer{};
  sockaddr_storage peer{};
  socklen_t length = sizeof peer;
  auto* address = reinterpret_cast<sockaddr*>(&peer);
  const ssize_t count = ::recvfrom(fd_.get(), buffer.data(), buffer.size(), 0, address, &length);
  if (count <= 0) return;
  const std::string query(buffer.data(), static_cast<std::size_t>(count));
  const net::Endpoint from = net::Endpoint::from_sockaddr(address, length).value();
  std::size_t offset = kHeader;
  const std::string name = question_name(query, offset);
  const auto type = static_cast<unsigned char>(query.at(offset + 1));
  asked.push_back((type == kTypeA ? "A " : "AAAA ") + name);
  if (held.contains(name)) {
    waiting_.emplace_back(query, from);
    return;
  }
  if (!silent.contains(name)) reply_to(query, from);
}

void DnsServer::release() {
  held.clear();
  for (const auto& [query, peer] : std::exchange(waiting_, {})) reply_to(query, peer);
}

void DnsServer::reply_to(const std::string& query, const net::Endpoint& peer) {
  const std::string reply = answer(query);
  sockaddr_storage storage{};
  const socklen_t length = peer.to_sockaddr(storage);
  ::sendto(fd_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&storage), length);
}

unsigned DnsServer::ttl_of(const std::string& name) const {
  const auto found = ttls.find(name);
  return found == ttls.end() ? 1 : found->second;
}

std::string DnsServer::answer(const std::string& query) {
  std::size_t offset = kHeader;
  const std::string name = question_name(query, offset);
  const auto type = static_cast<unsigned char>(query.at(offset + 1));
  std::string reply = query.substr(0, offset + 4);
  char count = 0;
  std::string owner{'\xc0', static_cast<char>(kHeader)};  // a pointer to the question's name
  std::string target = name;
  if (const auto alias = aliases.find(name); alias != aliases.end()) {
    target = alias->second;
    append_record(reply, owner, kTypeCname, ttl_of(name), wire_name(target));
    owner = wire_name(target);
    ++count;
  }
  const auto known = names.find(target);
  if (known != names.end()) {
    for (const auto& address : known->second) {
      if (address.is_v4() != (type == kTypeA)) continue;
      const auto* bytes = reinterpret_cast<const char*>(address.bytes());
      append_record(reply, owner, static_cast<char>(type), ttl_of(target),
                    std::string(bytes, address.size()));
      ++count;
    }
  }
  char code = known == names.end() ? kNxDomain : '\0';
  if (failing.contains(name)) code = kServFail;
  reply[2] = '\x81';  // a response; recursion was desired
  reply[3] = static_cast<char>('\x80' | code);
  reply[6] = 0;
  reply[7] = count;
  reply[8] = reply[9] = reply[10] = reply[11] = 0;
  return reply;
}

}  // namespace warder::testing
