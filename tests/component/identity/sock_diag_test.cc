#include "identity/sock_diag.h"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "net/socket.h"
#include "tests/support/sockets.h"

namespace warder::identity {
namespace {

std::uint64_t inode_of(int fd) {
  struct stat info {};
  REQUIRE(::fstat(fd, &info) == 0);
  return info.st_ino;
}

std::uint64_t cookie_of(int fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  REQUIRE(::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0);
  return cookie;
}

net::UniqueFd connected(const net::Endpoint& to, const char* interface = nullptr,
                        std::optional<net::Endpoint> from = {}) {
  net::UniqueFd fd(
      ::socket(to.address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(fd);
  if (interface != nullptr)
    REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, interface, 2) == 0);
  sockaddr_storage address{};
  if (from) {
    const int yes = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    const socklen_t size = from->to_sockaddr(address);
    REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
  }
  const socklen_t size = to.to_sockaddr(address);
  REQUIRE(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
  return fd;
}

SocketEnds ends_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  REQUIRE(::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return {*net::local_endpoint(fd),
          *net::Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&address), size)};
}

std::vector<DiagSocket> find(const SocketEnds& ends) {
  auto diag = SockDiag::open();
  REQUIRE(diag);
  auto found = diag->find({&ends, 1}, SockDiag::Bound::seen);
  REQUIRE(found);
  return *found;
}

void check_found(int fd, const SocketEnds& ends) {
  const auto found = find(ends);
  REQUIRE(found.size() == 1);
  CHECK(found.front().inode == inode_of(fd));
  CHECK(found.front().cookie == cookie_of(fd));
  CHECK(found.front().uid == ::getuid());
}

}  // namespace

TEST_CASE("sock_diag is there", "[identity]") { CHECK(SockDiag::check()); }

TEST_CASE("a socket is found by its ends before anybody accepts it", "[identity]") {
  const std::string address = GENERATE("127.0.0.1", "::1");
  const auto listener = testing::listen_somewhere(*net::IpAddress::parse(address));
  const auto client = connected(listener.at);
  check_found(client.get(), ends_of(client.get()));
}

TEST_CASE("mapped addresses are IPv4 in the question and in the answer", "[identity]") {
  const auto mapped = [](const net::Endpoint& end) {
    return net::Endpoint{end.address.mapped(), end.port};
  };
  const auto listener = testing::listen_somewhere();
  const bool v6_socket = GENERATE(false, true);
  const auto client = connected(v6_socket ? mapped(listener.at) : listener.at);
  const SocketEnds ends = ends_of(client.get());
  CHECK(ends.local.address.is_v6() == v6_socket);
  const SocketEnds plain{ends.local.unmapped(), ends.remote.unmapped()};
  check_found(client.get(), plain);
  check_found(client.get(), {mapped(plain.local), mapped(plain.remote)});
  check_found(client.get(), {mapped(plain.local), plain.remote});
  check_found(client.get(), {plain.local, mapped(plain.remote)});
}

TEST_CASE("a listener is not the connection that was asked for", "[identity]") {
  const std::string address = GENERATE("127.0.0.1", "0.0.0.0", "::1", "::");
  const auto listener = testing::listen_somewhere(*net::IpAddress::parse(address));
  const bool v4 = listener.at.address.is_v4() || address == "::";
  const auto here = *net::IpAddress::parse(v4 ? "127.0.0.1" : "::1");
  CHECK(find({{here, listener.at.port}, {here, 1}}).empty());
  // Bound to an address or to all of them, but not connected: not shown either.
  CHECK(find({{here, 1}, {here, listener.at.port}}).empty());
}

TEST_CASE("another's source port on another address of ours", "[identity]") {
  const auto listener = testing::listen_somewhere();
  const auto client = connected(listener.at);
  const SocketEnds ends = ends_of(client.get());
  const auto other = *net::IpAddress::parse("127.0.0.2");
  CHECK(find({{other, ends.local.port}, ends.remote}).empty());
  const auto second = connected(listener.at, nullptr, net::Endpoint{other, ends.local.port});
  check_found(second.get(), {{other, ends.local.port}, ends.remote});
  check_found(client.get(), ends);
}

TEST_CASE("a half-closed socket is there, a closed one has no inode", "[identity]") {
  auto [client, accepted] = testing::tcp_pair();
  const SocketEnds ends = ends_of(client.get());
  REQUIRE(::shutdown(client.get(), SHUT_WR) == 0);
  check_found(client.get(), ends);
  client.reset();
  auto found = find(ends);
  REQUIRE(found.size() == 1);
  CHECK(found.front().inode == 0);
  CHECK((found.front().state == TCP_FIN_WAIT1 || found.front().state == TCP_FIN_WAIT2));
  accepted.reset();
  found = find(ends);
  REQUIRE(found.size() == 1);
  CHECK(found.front().inode == 0);
  CHECK(found.front().state == TCP_TIME_WAIT);
}

TEST_CASE("a socket bound to an interface is found", "[identity]") {
  const auto listener = testing::listen_somewhere();
  const auto bound = connected(listener.at, "lo");
  check_found(bound.get(), ends_of(bound.get()));
}

TEST_CASE("many questions in one go", "[identity]") {
  const auto listener = testing::listen_somewhere();
  std::vector<net::UniqueFd> clients;
  std::vector<SocketEnds> wanted;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(connected(listener.at));
    wanted.push_back(ends_of(clients.back().get()));
  }
  auto diag = SockDiag::open();
  REQUIRE(diag);
  const auto found = diag->find(wanted, SockDiag::Bound::seen);
  REQUIRE(found);
  REQUIRE(found->size() == 100);
  for (std::size_t i = 0; i < 100; ++i) CHECK((*found)[i].inode == inode_of(clients[i].get()));
}

}  // namespace warder::identity
