#include "identity/network_namespace.h"

#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <thread>

#include "identity/proc_fs.h"
#include "net/socket.h"
#include "tests/support/sockets.h"

namespace warder::identity {
namespace {

// Runs `body` on a thread of its own in a network namespace of its own, with lo up.
void in_new_namespace(const std::function<void()>& body) {
  bool ready = false;
  std::exception_ptr failed;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) return;
    const net::UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq lo{};
    lo.ifr_name[0] = 'l';
    lo.ifr_name[1] = 'o';
    lo.ifr_flags = IFF_UP;
    if (::ioctl(fd.get(), SIOCSIFFLAGS, &lo) != 0) return;
    ready = true;
    try {
      body();
    } catch (...) {
      failed = std::current_exception();
    }
  }).join();
  REQUIRE(ready);
  if (failed) std::rethrow_exception(failed);
}

std::uint64_t own_number() {
  struct stat info {};
  REQUIRE(::stat("/proc/thread-self/ns/net", &info) == 0);
  return info.st_ino;
}

net::UniqueFd own_namespace() {
  return net::UniqueFd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
}

void run(const std::string& command) { REQUIRE(std::system(command.c_str()) == 0); }

net::UniqueFd client_of(const net::Endpoint& to, const char* interface = nullptr) {
  net::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (interface != nullptr)
    REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, interface,
                         static_cast<socklen_t>(std::strlen(interface))) == 0);
  sockaddr_storage address{};
  const socklen_t size = to.to_sockaddr(address);
  REQUIRE(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
  return fd;
}

}  // namespace

TEST_CASE("a thread goes into a namespace and comes back", "[identity]") {
  const std::uint64_t home_number = own_number();
  const net::UniqueFd home = own_namespace();
  net::UniqueFd there;
  in_new_namespace([&] { there = own_namespace(); });
  std::uint64_t seen = 0;
  REQUIRE(in_network_namespace(there.get(), home.get(), [&] { seen = own_number(); }));
  CHECK(seen != home_number);
  CHECK(own_number() == home_number);

  bool called = false;
  const net::UniqueFd no_namespace(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK_FALSE(in_network_namespace(no_namespace.get(), home.get(), [&] { called = true; }));
  CHECK_FALSE(called);
}

TEST_CASE("a process with no way back into its namespace is ended", "[identity]") {
  const net::UniqueFd there = own_namespace();
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    std::signal(SIGABRT, SIG_DFL);
    ::close(2);
    const auto done = in_network_namespace(there.get(), -1, [] {});
    ::_exit(done ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGABRT);
}

TEST_CASE("a view shows the namespace where it was opened", "[identity]") {
  const auto proc = open_directory(AT_FDCWD, "/proc");
  REQUIRE(proc);
  EnteredNamespaces views(proc->get());
  CHECK(views.check_own());
  CHECK(views.check_entering());
  in_new_namespace([&] {
    const auto listener = testing::listen_somewhere();
    const auto client = client_of(listener.at);
    const SocketEnds ends{*net::local_endpoint(client.get()), listener.at};
    Place place;
    place.directory = proc->get();
    place.link = "thread-self/ns/net";
    place.network_namespace = own_number();
    const std::uint64_t here = own_number();
    const auto view = views.view(place);
    REQUIRE(view);
    // The views' home is where they were made; this thread is taken there.
    CHECK(own_number() != here);
    const auto found = (*view)->find(std::array{ends}, SockDiag::Bound::seen);
    REQUIRE(found);
    REQUIRE(found->size() == 1);
    struct stat info {};
    REQUIRE(::fstat(client.get(), &info) == 0);
    CHECK(found->front().inode == info.st_ino);
    CHECK(*views.view(place) == *view);

    Place own;
    own.ours = true;
    const auto elsewhere = (*views.view(own))->find(std::array{ends}, SockDiag::Bound::seen);
    REQUIRE(elsewhere);
    CHECK(elsewhere->empty());

    // Another namespace behind the same link.
    Place moved = place;
    *moved.network_namespace += 1;
    CHECK_FALSE(views.view(moved));
  });
}

TEST_CASE("connection tracking tells what was dialled", "[identity]") {
  in_new_namespace([&] {
    const auto listener = testing::listen_somewhere();
    const std::string port = std::to_string(listener.at.port);
    net::Endpoint dialled{*net::IpAddress::parse("127.0.0.1"), 80};
    SECTION("redirected") {
      run("iptables -w -t nat -A OUTPUT -p tcp --dport 80 -j REDIRECT --to-ports " + port);
    }
    SECTION("sent to another address") {
      dialled.address = *net::IpAddress::parse("127.0.0.99");
      run("iptables -w -t nat -A OUTPUT -d 127.0.0.99 -p tcp --dport 80 -j DNAT --to-destination " +
          listener.at.text());
    }
    const auto client = client_of(dialled);
    const auto accepted = net::accept_tcp(listener.fd.get());
    REQUIRE(accepted);
    REQUIRE(*accepted);
    const auto view = NamespaceSockets::open();
    REQUIRE(view);
    const net::Endpoint peer = (*accepted)->peer;
    const auto exact =
        (*view)->find(std::array{SocketEnds{peer, listener.at}}, SockDiag::Bound::seen);
    REQUIRE(exact);
    CHECK(exact->empty());
    const auto told = (*view)->dialled(listener.at, peer);
    REQUIRE(told);
    REQUIRE(*told);
    CHECK(**told == SocketEnds{*net::local_endpoint(client.get()), dialled});
    const auto other = (*view)->dialled(listener.at, {peer.address, 1});
    REQUIRE(other);
    CHECK_FALSE(*other);
  });
}

TEST_CASE("an interface that came later is asked too", "[identity]") {
  in_new_namespace([] {
    const auto view = NamespaceSockets::open();
    REQUIRE(view);
    const auto listener = testing::listen_somewhere(*net::IpAddress::parse("0.0.0.0"));
    const net::Endpoint lo{*net::IpAddress::parse("127.0.0.1"), listener.at.port};
    const auto first = client_of(lo, "lo");
    const SocketEnds ends{*net::local_endpoint(first.get()), lo};
    const auto found = (*view)->find(std::array{ends}, SockDiag::Bound::seen);
    REQUIRE(found);
    CHECK(found->size() == 1);
    CHECK((*view)->find(std::array{ends}, SockDiag::Bound::ignored)->empty());

    // Still connecting, out of an interface where nobody answers.
    run("ip link add later type veth peer name other && ip link set other up && ip addr add "
        "10.1.2.3/24 dev later && ip link set later "
        "up");
    net::UniqueFd second(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    REQUIRE(::setsockopt(second.get(), SOL_SOCKET, SO_BINDTODEVICE, "later", 5) == 0);
    const net::Endpoint away{*net::IpAddress::parse("10.1.2.4"), 80};
    sockaddr_storage address{};
    const socklen_t size = away.to_sockaddr(address);
    REQUIRE(::connect(second.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0);
    const auto late = (*view)->find(
        std::array{SocketEnds{*net::local_endpoint(second.get()), away}}, SockDiag::Bound::seen);
    REQUIRE(late);
    REQUIRE(late->size() == 1);
    CHECK(late->front().state == TCP_SYN_SENT);
  });
}

}  // namespace warder::identity
