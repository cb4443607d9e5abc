#include "tests/support/dns_server.h"

#include <sys/socket.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <string_view>

#include "net/socket.h"

namespace warder::testing {
namespace {

constexpr std::size_t kHeader = 12;
constexpr unsigned kTypeA = 1;
constexpr unsigned kTypeAaaa = 28;
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

void append_record(std::string& reply, const net::IpAddress& address) {
  const auto type = static_cast<char>(address.is_v4() ? kTypeA : kTypeAaaa);
  const auto length = static_cast<char>(address.size());
  // A pointer to the question's name, class IN, a TTL of one second.
  reply += {'\xc0', static_cast<char>(kHeader), 0, type, 0, 1, 0, 0, 0, 1, 0, length};
  for (std::size_t i = 0; i < address.size(); ++i) reply += static_cast<char>(address.bytes()[i]);
}

}  // namespace

DnsServer::DnsServer(net::Loop& loop)
    : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  sockaddr_storage storage{};
  const net::Endpoint any_port{net::IpAddress::v4({127, 0, 0, 1}), 0};
  const socklen_t length = any_port.to_sockaddr(storage);
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
  const std::string reply = answer(std::string(buffer.data(), static_cast<std::size_t>(count)));
  if (!reply.empty()) ::sendto(fd_.get(), reply.data(), reply.size(), 0, address, length);
}

std::string DnsServer::answer(const std::string& query) {
  std::size_t offset = kHeader;
  const std::string name = question_name(query, offset);
  const auto type = static_cast<unsigned char>(query.at(offset + 1));
  asked.push_back((type == kTypeA ? "A " : "AAAA ") + name);
  if (silent.contains(name)) return {};
  std::string reply = query.substr(0, offset + 4);
  const auto known = names.find(name);
  char count = 0;
  if (known != names.end()) {
    for (const auto& address : known->second) {
      if (address.is_v4() != (type == kTypeA)) continue;
      append_record(reply, address);
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
