#include "proxy/admin.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "net/unique_fd.h"

namespace warder::proxy {
namespace {

using namespace std::chrono_literals;

const AdminAddress kAnyPort{net::Endpoint{net::IpAddress::v4({127, 0, 0, 1}), 0}, {}};

std::vector<Check> all_well() { return {{"listening", true, true, "127.0.0.1:3128"}}; }

class Directory {
 public:
  Directory() { REQUIRE(::mkdtemp(path_.data()) != nullptr); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() {
    ::unlink(socket().c_str());
    ::rmdir(path_.c_str());
  }
  [[nodiscard]] std::string socket() const { return path_ + "/s"; }

 private:
  std::string path_ = "/tmp/warder-admin-XXXXXX";
};

net::UniqueFd connect_to(const std::string& address) {
  sockaddr_storage storage{};
  socklen_t length = 0;
  if (address.rfind("unix:", 0) == 0) {
    auto& name = reinterpret_cast<sockaddr_un&>(storage);
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, address.data() + 5, address.size() - 5);
    length = sizeof name;
  } else {
    const auto endpoint = net::Endpoint::parse(address);
    REQUIRE(endpoint);
    length = endpoint->to_sockaddr(storage);
  }
  net::UniqueFd fd(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0) return {};
  return fd;
}

std::string ask(const std::string& address, const std::string& path) {
  const net::UniqueFd fd = connect_to(address);
  REQUIRE(fd);
  const std::string request =
      "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  REQUIRE(::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(request.size()));
  std::string answer;
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t count = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (count <= 0) return answer;
    answer.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("admin answers over TCP and a unix socket") {
  const Directory directory;
  for (const AdminAddress& address : {kAnyPort, AdminAddress{{}, directory.socket()}}) {
    Metrics metrics;
    metrics.count_decision(Verdict::deny, "denied");
    auto admin = make_admin(address, all_well, metrics);
    REQUIRE(admin);
    const std::string at = (*admin)->address();
    CAPTURE(at);
    CHECK(has(ask(at, "/healthz"), "200 OK"));
    const std::string ready = ask(at, "/readyz");
    CHECK(has(ready, "200 OK"));
    CHECK(
        has(ready, R"({"name":"listening","ok":true,"required":true,"detail":"127.0.0.1:3128"})"));
    const std::string counted = ask(at, "/metrics");
    CHECK(has(counted, "200 OK"));
    CHECK(has(counted, "warder_decisions_total{"));
    CHECK(has(ask(at, "/nothing"), "404"));
    admin->reset();
    CHECK_FALSE(connect_to(at));
  }
}

TEST_CASE("a required check that fails makes it not ready, another one does not") {
  const Metrics metrics;
  std::atomic<bool> opa_ok{true};
  const auto readiness = [&opa_ok] {
    return std::vector<Check>{{"opa", opa_ok, true, opa_ok ? "" : "opa_unreachable"},
                              {"decision_logs", false, false, "off\n\xff"}};
  };
  auto admin = make_admin(kAnyPort, readiness, metrics);
  REQUIRE(admin);
  const std::string warned = ask((*admin)->address(), "/readyz");
  CHECK(has(warned, "200 OK"));
  CHECK(has(warned, "off\\n\\\\xff"));
  opa_ok = false;
  const std::string failed = ask((*admin)->address(), "/readyz");
  CHECK(has(failed, "503"));
  CHECK(has(failed, R"("ready":false)"));
  CHECK(has(failed, "opa_unreachable"));
}

TEST_CASE("an address in use is an error at start") {
  const Metrics metrics;
  auto first = make_admin(kAnyPort, all_well, metrics);
  REQUIRE(first);
  const AdminAddress same{net::Endpoint::parse((*first)->address()), {}};
  CHECK_FALSE(make_admin(same, all_well, metrics));
  CHECK(has(ask((*first)->address(), "/healthz"), "200 OK"));
}

TEST_CASE("an address others can reach is refused") {
  const Metrics metrics;
  const AdminAddress open{net::Endpoint{net::IpAddress::v4({0, 0, 0, 0}), 0}, {}};
  const auto admin = make_admin(open, all_well, metrics);
  REQUIRE_FALSE(admin);
  CHECK(admin.error().code == Errc::bad_config);
}

TEST_CASE("the file of a unix socket: mode, left over, in use, not a socket, removed") {
  const Directory directory;
  const Metrics metrics;
  const AdminAddress address{{}, directory.socket()};

  {  // left over: bound once, and nobody listens
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, directory.socket().data(), directory.socket().size());
    const net::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
  }
  auto admin = make_admin(address, all_well, metrics);
  REQUIRE(admin);
  struct stat status {};
  REQUIRE(::stat(directory.socket().c_str(), &status) == 0);
  CHECK((status.st_mode & 0777U) == 0600U);

  CHECK_FALSE(make_admin(address, all_well, metrics));
  CHECK(has(ask((*admin)->address(), "/healthz"), "200 OK"));

  admin->reset();
  CHECK(::stat(directory.socket().c_str(), &status) != 0);

  std::ofstream(directory.socket()) << "precious";
  CHECK_FALSE(make_admin(address, all_well, metrics));
  std::string content;
  std::ifstream(directory.socket()) >> content;
  CHECK(content == "precious");
}

TEST_CASE("a client that never ends its request can't hold up the end") {
  const Metrics metrics;
  auto admin = make_admin(kAnyPort, all_well, metrics);
  REQUIRE(admin);
  std::vector<net::UniqueFd> slow;
  for (int i = 0; i < 8; ++i) {
    slow.push_back(connect_to((*admin)->address()));
    REQUIRE(::send(slow.back().get(), "GET /hea", 8, MSG_NOSIGNAL) == 8);
  }
  const auto before = std::chrono::steady_clock::now();
  admin->reset();
  CHECK(std::chrono::steady_clock::now() - before < 10s);
}

}  // namespace warder::proxy
