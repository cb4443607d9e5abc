#include "tests/component/identity/bpf_fixture.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>

namespace warder::testing {
namespace {

// pidfd_open(2) of a thread, from Linux 6.9; before, of a first thread only.
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

net::UniqueFd socket_in_table(pid_t thread) {
  net::UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, thread, PIDFD_THREAD)));
  if (!process) process.reset(static_cast<int>(::syscall(SYS_pidfd_open, thread, 0)));
  net::UniqueFd last;
  std::error_code none;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(thread) + "/fd", none)) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(entry.path(), gone);
    if (!target.string().starts_with("socket:")) continue;
    const int number = std::stoi(entry.path().filename());
    net::UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), number, 0)));
    int protocol = 0;
    socklen_t size = sizeof protocol;
    if (::getsockopt(copy.get(), SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
        protocol == IPPROTO_TCP)
      last = std::move(copy);
  }
  return last;
}

}  // namespace

net::UniqueFd copy_of_socket(pid_t pid) {
  net::UniqueFd found;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task"))
    if (!found) found = socket_in_table(std::stoi(entry.path().filename()));
  REQUIRE(found);
  return found;
}

Ids socket_of(pid_t pid) {
  const net::UniqueFd copy = copy_of_socket(pid);
  Ids ids;
  socklen_t size = sizeof ids.cookie;
  struct stat info {};
  REQUIRE(::getsockopt(copy.get(), SOL_SOCKET, SO_COOKIE, &ids.cookie, &size) == 0);
  REQUIRE(::fstat(copy.get(), &info) == 0);
  ids.inode = info.st_ino;
  return ids;
}

void wait_until_in_call(pid_t pid, int number) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  for (std::string text; !text.starts_with(std::to_string(number) + " ");) {
    REQUIRE(std::chrono::steady_clock::now() < end);
    std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/syscall"), text);
  }
}

identity::BpfView open_view() {
  const net::UniqueFd proc_root(::open("/proc", O_PATH | O_CLOEXEC));
  return identity::open_bpf_view(proc_root.get());
}

BpfFixture::BpfFixture() {
  for (const identity::Ability& ability : opened_.abilities) {
    INFO(ability.name << ": " << ability.detail);
    REQUIRE(ability.available);
  }
}

Ids BpfFixture::connect(Client& client, const std::string& command, const std::string& address) {
  gates_.push_back(std::make_unique<Gate>(address));
  (void)gates_.back()->let_in(client, command);
  return socket_of(client.pid());
}

Ids BpfFixture::connect_in_child(Client& client) {
  gates_.push_back(std::make_unique<Gate>());
  (void)gates_.back()->let_in(client);
  const std::string pid = std::to_string(client.pid());
  pid_t child = 0;
  std::ifstream("/proc/" + pid + "/task/" + pid + "/children") >> child;
  return socket_of(child);
}

identity::SocketPass BpfFixture::pass(std::uint64_t inode, pid_t pid, bool others) {
  auto result = opened_.view->pass({&inode, 1}, {pid, others});
  if (!result) UNSCOPED_INFO(describe(result.error()));
  REQUIRE(result);
  return *std::move(result);
}

identity::SocketPass BpfFixture::counted(std::uint64_t inode, pid_t pid, std::size_t descriptors,
                                         std::uint64_t references, std::uint32_t waiting) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  for (;;) {
    identity::SocketPass seen = pass(inode, pid);
    const auto differs = [&](const identity::HeldDescriptor& held) {
      return held.references != references || held.waiting != waiting || !held.steady ||
             held.task >= seen.tasks.size();
    };
    const auto odd = std::find_if(seen.held.begin(), seen.held.end(), differs);
    if (seen.held.size() == descriptors && odd == seen.held.end()) return seen;
    if (std::chrono::steady_clock::now() < end) continue;
    if (odd != seen.held.end()) UNSCOPED_INFO(odd->references << " references, " << odd->waiting);
    FAIL(seen.held.size() << " descriptors");
  }
}

std::optional<identity::Connector> BpfFixture::connector(std::uint64_t cookie) {
  auto result = opened_.view->connector(cookie);
  REQUIRE(result);
  return *result;
}

}  // namespace warder::testing
